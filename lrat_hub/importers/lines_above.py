"""What stands above the addresses of a list: titles, or whole texts where each address comes last.

Lists that people write by hand have an address in a line of its own. What stands above it belongs to it, and not to
the entry before, whose text would otherwise end with the title of another, or be another's altogether.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from lrat_hub.importers.entry import Entry

MAX_TITLE = 300
"""Characters of a line that may be a title."""

_NUMBER = re.compile(
    r"[ \t]{0,40}(?:\*\*|#{1,6}[ \t]+)?(?:\[(?P<bracketed>\d{1,6})\]|(?P<number>\d{1,6})[.)、])[ \t]*(?=\S)"
)
_MARK = re.compile(r"[ \t]{0,40}(?:#{1,6}[ \t]+|\*\*)(?=\S)")
_SENTENCE_ENDS = (".", "!", "?", "…", "。", "！", "？", '."', ".”", ")")


class _Above(NamedTuple):
    """The line right above an address.

    Args:
        line: "" where it is blank, or where there is none.
        is_first: Whether nothing or a blank line stands above it.
    """

    line: str
    is_first: bool


def with_lines_above(text: str, entries: Sequence[Entry]) -> list[Entry]:
    """The entries with what stands right above their addresses, where none of them has a title.

    Titles are lines with numbers that rise, or marked as headings, or each the first line of its
    paragraph with a text below the address. Texts are what stands above where nothing stands below the last address.
    """
    starts = [-1, *(entry.start for entry in entries)]
    above = [_line_above(text, entry.start, before) for before, entry in zip(starts, entries, strict=False)]
    # The first title may have been taken for the line that names the query.
    if any(entry.title for entry in entries) or not above[-1].line or not all(one.line for one in above[1:]):
        return list(entries)
    if titled := _titled(entries, above):
        return titled
    if len(entries) > 1 and above[0].line and not entries[-1].snippet:
        return _address_last(text, entries)
    return list(entries)


def _line_above(text: str, start: int, before: int) -> _Above:
    end = start - 1
    if end <= 0:
        return _Above("", True)
    begin = text.rfind("\n", 0, end) + 1
    if begin == before:
        return _Above("", False)  # the address of the entry before
    return _Above(text[begin:end].strip("\r"), not text[text.rfind("\n", 0, max(begin - 1, 0)) + 1 : begin].strip())


def _titled(entries: Sequence[Entry], above: Sequence[_Above]) -> list[Entry]:
    """The entries with the lines above as their titles; none where they are not titles."""
    if any(len(one.line) > MAX_TITLE for one in above):
        return []
    lines = [one.line for one in above if one.line]
    missing = [""] * (len(above) - len(lines))
    # The line above the next address is the last one of this entry's text.
    texts = [entry.snippet.rpartition("\n")[0].strip() for entry in entries[:-1]] + [entries[-1].snippet]
    numbers: list[int | None] = [entry.number for entry in entries]
    numbered = [found for line in lines if (found := _numbered(line))]
    own = [number for number, _ in numbered]
    if len(own) == len(lines) and all(after == 1 or after > before for before, after in pairwise(own)):
        titles, numbers = [title for _, title in numbered], [*numbers[: len(missing)], *own]
    elif all(marks := [_MARK.match(line) for line in lines]):
        titles = [_plain(line[mark.end() :], " \t*#") for line, mark in zip(lines, marks, strict=True) if mark]
    elif len(entries) > 1 and not missing and all(one.is_first for one in above) and all(texts):
        titles = [line.strip() for line in lines]
    else:
        return []
    return [
        entry._replace(title=title, snippet=snippet, number=number)
        for entry, title, snippet, number in zip(entries, [*missing, *titles], texts, numbers, strict=True)
    ]


def _address_last(text: str, entries: Sequence[Entry]) -> list[Entry]:
    """The entries with the texts above their addresses, each of which the entry before was given."""
    head = text[: entries[0].start].rstrip()
    blocks = [head[head.rfind("\n\n") + 1 :].strip(), *(entry.snippet for entry in entries[:-1])]
    if not all(blocks):
        return list(entries)
    are_titles = all("\n" not in block and not block.endswith(_SENTENCE_ENDS) for block in blocks)
    return [_of_block(entry, block, are_titles) for entry, block in zip(entries, blocks, strict=True)]


def _of_block(entry: Entry, block: str, is_title: bool) -> Entry:
    first, _, rest = block.partition("\n")
    number, line = _numbered(first) or (entry.number, "")
    if line and (rest or is_title):
        return entry._replace(title=line, snippet=rest.strip(), number=number)
    if is_title:
        return entry._replace(title=block, snippet="")
    return entry._replace(snippet=line or block, number=number)


def _numbered(line: str) -> tuple[int, str] | None:
    """The number that a line begins with, and the rest of it; None where it has none."""
    match = _NUMBER.match(line)
    title = _plain(line[match.end() :], " \t*") if match else ""
    return (int(match["bracketed"] or match["number"]), title) if match and title else None


def _plain(title: str, ends: str) -> str:
    """A title without the marks behind it, of which the emphasis may also stand before it."""
    plain = title.rstrip(ends)
    emphasis = title[: len(title) - len(title.lstrip("*"))]
    return plain.removeprefix(emphasis) if title[len(plain) :].startswith(emphasis) else plain
