"""Result lists with the queries they belong to, and signs by which one list is told from the next."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from lrat_hub.importers.entry import Entry
from lrat_hub.importers.rows import plain
from lrat_hub.schema import Candidate

TOLD_APART = "lists of several queries that can't be told apart"
UNRECOGNISED = "lists in no form that is known"
NOT_ONE_EACH = "lists beside a text that are not one for each query"
NOT_NAMED = "lists of which nothing says to which query they belong"


class Inseparable(Exception):
    """There are lists, and nothing says which is whose."""


class Listing(NamedTuple):
    """The list of one query.

    Args:
        announced: How many entries it says it has.
        is_unknown: Whether there is something that may be a list, in no form that is known.
    """

    query: str
    entries: tuple[Entry, ...]
    announced: int = 0
    is_unknown: bool = False


class SearchResults(NamedTuple):
    """What a search's observation shows.

    Args:
        queries: The queries that were run, as far as the observation shows.
        candidates: What they found.
        num_lists: How many queries have a list of their own, which may be empty.
        dropped: Why lists are left out, and how many.
        unread: Entries that the observation announces and does not show in a form that can be read.
        not_run: Queries that were asked and that the observation does not mention, while it names others.
        aliases: Other ids and addresses of what they found, each with the document's id.
    """

    queries: tuple[str, ...]
    candidates: tuple[Candidate, ...] = ()
    num_lists: int = 0
    dropped: tuple[tuple[str, int], ...] = ()
    unread: int = 0
    not_run: int = 0
    aliases: tuple[tuple[str, str], ...] = ()


def is_cut_off(name: str, query: str) -> bool:
    """Whether a name is the begin of a query that was too long for it."""
    return len(name) > 10 and plain(query).startswith(plain(name.rstrip(" .…")))


def is_numbered(entries: Sequence[Entry]) -> bool:
    """Whether entries are numbered from 1 on."""
    return [entry.number for entry in entries] == list(range(1, len(entries) + 1))


_NUMBER = re.compile(
    r"^[ \t]{0,40}(?:#{1,6}[ \t]+)?(?:\*\*)?(?:\[(?P<bracketed>\d{1,6})\]|(?P<number>\d{1,6})[.)、])", re.MULTILINE
)


def with_gaps(text: str, entries: list[Entry]) -> list[Entry]:
    """The entries with those that can't be read, whose numbers begin lines between them or behind the last.

    Numbers behind the last entry count where they look like its own, and where no list of its text begins before them.
    """
    found: list[Entry] = []
    number, start = 0, 0
    for entry in entries:
        if entry.number is None:
            return entries
        for match in _NUMBER.finditer(text, start, entry.start) if entry.number > number + 1 else ():
            if number + 1 == _number_in(match) < entry.number:
                number += 1
                _add_unread(found, text, match, number)
        found.append(entry)
        number, start = entry.number, entry.start
    own = _NUMBER.match(text, start)
    if len(entries) > 1 and is_numbered(found) and own is not None and own["number"]:
        for match in _NUMBER.finditer(text, own.end()):
            if _number_in(match) <= number or match[0].replace(match["number"] or "", "", 1) != own[0].replace(
                own["number"], "", 1
            ):
                break
            if _number_in(match) == number + 1:
                number += 1
                _add_unread(found, text, match, number)
    return found


def _number_in(match: re.Match[str]) -> int:
    return int(match["bracketed"] or match["number"])


def _add_unread(found: list[Entry], text: str, match: re.Match[str], number: int) -> None:
    """Adds the entry that begins with a number, and takes it out of the text of the one before."""
    end = text.find("\n", match.start())
    line = text[match.start() : end if end >= 0 else len(text)].strip()
    if found and line in found[-1].snippet:
        found[-1] = found[-1]._replace(snippet=found[-1].snippet.partition(line)[0].rstrip())
    found.append(Entry(None, number=number, start=match.start()))


def without_inner(text: str, entries: list[Entry]) -> list[Entry]:
    """The entries of lists without those of lists that stand in their snippets, which begin again at 1.

    A number 1 begins an inner list where it is laid out otherwise than the first entry, or where the numbers before it
    go on behind what it begins.
    """
    if 1 not in [entry.number for entry in entries[1:]] or entries[0].number != 1:
        return entries
    first = _layout(text, entries[0])
    has_gaps = any(_layout(text, entry)[0] for entry in entries[1:])
    lists: list[tuple[list[Entry], bool]] = [([entries[0]], False)]
    for entry in entries[1:]:
        gap, indent, key = _layout(text, entry)
        is_alike = (indent, key) == first[1:] and (gap or not has_gaps)
        # The list whose numbers go on: an outer one only where this entry looks like its others. A 1 goes on in none.
        inner = 0 if entry.number == 1 else len(lists) - 1
        while inner > 0 and not (goes_on(lists[inner][0], [entry]) and not (lists[inner][1] and is_alike)):
            inner -= 1
        is_last = inner == len(lists) - 1
        # A number that has been there begins nothing; a number that is missing may have been of any list.
        comes_back = is_alike and (entry.number or 0) <= (lists[-1][0][-1].number or 0)
        if goes_on(lists[inner][0], [entry]) and (is_last or comes_back or lists[-1][1]):
            del lists[inner + 1 :]
            lists[inner][0].append(entry)
        elif entry.number == 1:
            lists.append(([entry], not is_alike))
        else:
            return entries
    outer = [entry for listed, is_inner in lists if not is_inner for entry in listed]
    ends = [entry.start for entry in outer[1:]] + [len(text)]
    known = {entry.start: index for index, entry in enumerate(entries)}
    return [
        entry if (after := known[entry.start] + 1) >= len(entries) or entries[after].start >= end
        else entry._replace(snippet=f"{entry.snippet}\n{text[entries[after].start : end].strip()}".strip())
        for entry, end in zip(outer, ends, strict=True)
    ]  # fmt: skip


_SEEN_BEFORE, _SEEN_BEHIND = 400, 2_000
_NEXT_KEY = re.compile(r"[^\n]*\n[ \t]*([A-Z][a-z]{2,12}):")


def _layout(text: str, entry: Entry) -> tuple[bool, int, str]:
    """How an entry stands in a text: whether behind a gap, how far from the margin, and the key in its second line."""
    # A long line is no gap.
    before = text[max(0, entry.start - _SEEN_BEFORE) : entry.start]
    line = text[entry.start : entry.start + 80]
    key = _NEXT_KEY.match(text, entry.start, entry.start + _SEEN_BEHIND)
    lines = before.rsplit("\n", 2)
    gap = not before.strip() or (len(lines) > 1 and not lines[-2].strip(" \t=-*_#~"))
    return gap, len(line) - len(line.lstrip(" \t")), key[1] if key else ""


def goes_on(entries: Sequence[Entry], others: Sequence[Entry]) -> bool:
    """Whether the numbers of entries go on in others, so that all of them are one list."""
    last = entries[-1].number if entries else None
    return last is not None and others[0].number == last + 1


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
    rule = re.search(r"^={3,}[ \t]*$", body, re.MULTILINE) if "=" in body and "===" in body else None
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


def with_docids(
    listings: list[Listing] | None, docids: Sequence[str | None], asked: Sequence[str]
) -> list[Listing] | None:
    """The lists with ids that the log keeps apart, in their order, where the text has none.

    Raises:
        Inseparable: Nothing says which query the ids belong to.
    """
    entries = [entry for listing in listings or () for entry in listing.entries]
    if any(entry.docid is not None for entry in entries):
        return listings
    if listings and len(entries) == len(docids):
        ids = iter(docids)
        named = [[entry._replace(docid=next(ids)) for entry in listing.entries] for listing in listings]
        return [listing._replace(entries=tuple(new)) for listing, new in zip(listings, named, strict=True)]
    if len(asked) > 1:
        raise Inseparable
    query = listings[0].query if listings else (*asked, "")[0]
    return [Listing(query, tuple(Entry(docid) for docid in docids))]


def assembled(listings: Sequence[Listing], asked: tuple[str, ...], unattributed: int) -> SearchResults:
    """The lists in the order of the queries; those of queries that were not asked come where they stand.

    Args:
        unattributed: How many lists are left out because nothing says to which query they belong.
    """
    if len(listings) > 1:
        order = {plain(query): index for index, query in reversed(list(enumerate(asked)))}
        if all(plain(listing.query) in order for listing in listings):
            listings = sorted(listings, key=lambda listing: order[plain(listing.query)])
    candidates = [
        Candidate(index, rank, entry.docid, entry.title, entry.snippet, entry.score)
        for index, listing in enumerate(listings)
        for rank, entry in enumerate(listing.entries, start=1)
        if entry.docid is not None
    ]
    num_unknown = sum(listing.is_unknown for listing in listings)
    announced = sum(max(listing.announced, len(listing.entries)) for listing in listings)
    return SearchResults(
        tuple(listing.query for listing in listings) or asked,
        tuple(candidates),
        len(listings) - num_unknown,
        tuple((why, n) for why, n in ((NOT_NAMED, unattributed), (UNRECOGNISED, num_unknown)) if n),
        unread=announced - len(candidates),
        not_run=max(0, len(asked) - len(listings)),
        aliases=tuple(
            (alias, entry.docid)
            for listing in listings
            for entry in listing.entries
            if entry.docid is not None
            for alias in entry.aliases
        ),
    )


NAMELESS = "rows need `docid`"
KEYS_NAMED = 5


def without_nameless(found: SearchResults, listings: Sequence[Listing], rows: Sequence[Any]) -> SearchResults:
    """Results without the lists of which no entry has an id that is known.

    Args:
        rows: The rows that the entries were read from; the keys of the first are named in the account.
    """
    nameless = [listing for listing in listings if listing.entries and not any(row.docid for row in listing.entries)]
    if not nameless:
        return found
    first = next((row for row in rows if isinstance(row, dict)), {})
    keys = ", ".join(f"{key!r:.40}" for key in list(first)[:KEYS_NAMED]) or "none"
    return found._replace(
        num_lists=found.num_lists - len(nameless),
        dropped=(*found.dropped, (f"{NAMELESS}, found the keys {keys}", len(nameless))),
        unread=found.unread - sum(len(listing.entries) for listing in nameless),
    )
