"""Result lists with the queries they belong to, and signs by which one list is told from the next."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from lrat_hub.importers.entries import Entry
from lrat_hub.importers.rows import plain
from lrat_hub.schema import Candidate


@dataclass(frozen=True)
class Listing:
    """The list of one query.

    Args:
        announced: How many entries it says it has.
        is_unknown: Whether there is something that may be a list, in no form that is known.
    """

    query: str
    entries: tuple[Entry, ...]
    announced: int = 0
    is_unknown: bool = False


@dataclass(frozen=True)
class SearchResults:
    """What a search's observation shows.

    Args:
        queries: The queries that were run, as far as the observation shows.
        candidates: What they found.
        num_lists: How many queries have a list of their own, which may be empty.
        dropped: Why lists are left out, and how many.
        unread: Entries that the observation announces and does not show in a form that can be read.
        not_run: Queries that were asked and that the observation does not mention, while it names others.
    """

    queries: tuple[str, ...]
    candidates: tuple[Candidate, ...] = ()
    num_lists: int = 0
    dropped: tuple[tuple[str, int], ...] = ()
    unread: int = 0
    not_run: int = 0


def is_cut_off(name: str, query: str) -> bool:
    """Whether a name is the begin of a query that was too long for it."""
    return len(name) > 10 and plain(query).startswith(plain(name.rstrip(" .…")))


def is_numbered(entries: Sequence[Entry]) -> bool:
    """Whether entries are numbered from 1 on."""
    return [entry.number for entry in entries] == list(range(1, len(entries) + 1))


def are_lists(pieces: Sequence[list[Entry] | None], sign: str) -> bool:
    """Whether pieces are lists of their own and not the entries of one list."""
    if not any(pieces):
        return False
    numbered = [entries for entries in pieces if entries and entries[0].number is not None]
    for before, after in itertools.pairwise(numbered):
        if after[0].number != 1 or before[0].number != 1:
            return False
    return sign.startswith("=") or any(len(entries or ()) > 1 for entries in pieces)


def first_list(body: str, entries: list[Entry]) -> tuple[list[Entry], int]:
    """The entries up to a line of signs after which another list begins, and how many lists begin after it."""
    rule = re.search(r"^={3,}[ \t]*$", body, re.MULTILINE) if "===" in body else None
    if rule is None and entries[0].number != 1:
        return entries, 0
    numbers = [entry.number for entry in entries]
    if rule is not None and any(entry.start > rule.start() for entry in entries) and entries[0].start < rule.start():
        first = [entry for entry in entries if entry.start < rule.start()]
        after = entries[len(first)]
        if after.number is None or after.number != (first[-1].number or 0) + 1:
            return first, 1
    again = numbers.index(1, 1) if 1 in numbers[1:] else None
    if again is not None and numbers[0] == 1:
        return entries[:again], numbers[1:].count(1)
    return entries, 0
