"""One entry of a result list, entries that a pattern finds, and those that stand in the documents of others."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple, cast

from lrat_hub.importers.mapped_patterns import TextPattern
from lrat_hub.importers.values import docid_of


class Entry(NamedTuple):
    """One entry of a result list.

    Args:
        docid: None where the list does not say it.
        number: The number that the list gives the entry.
        start: Where the entry begins in the text.
        aliases: Other ids and addresses of the document, under which it may be opened.
    """

    docid: str | None
    title: str = ""
    snippet: str = ""
    score: float | None = None
    number: int | None = None
    start: int = 0
    aliases: tuple[str, ...] = ()


def entries_by(
    pattern: TextPattern, text: str, begin: str | None = None, *, keeps_nameless: bool = False
) -> list[Entry]:
    """The entries that a pattern finds the begin of; see `ResultFormat.pattern`.

    Args:
        begin: Text with which every match begins, at the begin of a line: it is found much faster than a pattern.
        keeps_nameless: Whether what has no id is an entry, too, and not a text of the entry before.
    """
    found = pattern.finditer(text) if begin is None else _matches(cast("re.Pattern[str]", pattern), text, begin)
    has_docid, has_title, has_number, has_snippet = map(
        pattern.groupindex.__contains__, ("docid", "title", "number", "snippet")
    )
    entries: list[Entry] = []
    end = len(text)
    # From the last on: an entry goes on to the next one that has an id.
    for match in reversed(list(found)):
        docid = docid_of(match["docid"]) if has_docid else None
        if has_docid and not docid and not keeps_nameless:
            continue
        start, behind = match.span()
        title = (match["title"] or "").strip() if has_title else ""
        snippet = match["snippet"] or "" if has_snippet else text[behind:end]
        number = match["number"] if has_number else None
        entries.append(Entry(docid, title, snippet.strip(), None, int(number) if number else None, start))
        end = start
    return entries[::-1]


def _matches(pattern: re.Pattern[str], text: str, begin: str) -> Iterator[re.Match[str]]:
    """What `finditer` gives for a pattern whose matches begin with a text at the begin of a line."""
    newline = f"\n{begin}"
    at = 0 if text.startswith(begin) else text.find(newline) + 1 or -1
    while at >= 0:
        match = pattern.match(text, at)
        if match is not None:
            yield match
        # The newline before the next one may be the last character of this match.
        at = text.find(newline, at if match is None else match.end() - 1) + 1 or -1


class Mark(NamedTuple):
    """What an entry of a list looks like: what its id stands behind, and whether it has a number and a title."""

    name: str = ""
    has_number: bool = False
    has_title: bool = False


def without_other_marks(text: str, entries: list[Entry], marks: Sequence[Mark | None]) -> list[Entry]:
    """The entries that look like the first; others are of the document before, whose text goes on.

    Others are looked for where the first one has a number, or where they stand between those like it.

    Args:
        marks: What each entry looks like; None where it may be any.
    """
    first = marks[0] if marks else None
    like_first = [index for index, mark in enumerate(marks) if mark is None or mark == first]
    if len(like_first) == len(entries) or first is None:
        return entries
    if not first.has_number and like_first[-1] == len(like_first) - 1:
        return entries
    ends = [*(entries[index].start for index in like_first[1:]), len(text)]
    return [
        entry if index + 1 in like_first or index + 1 == len(entries)
        else entry._replace(snippet=f"{entry.snippet}\n{text[entries[index + 1].start : end].strip()}".strip())
        for index, end in zip(like_first, ends, strict=True)
        for entry in entries[index : index + 1]
    ]  # fmt: skip
