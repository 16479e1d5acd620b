"""Pieces of files whose records any process can read without the rest of the file.

A small file is one piece. In a file with a record a line, a piece ends where a line ends with a closing brace and the
next one begins with an opening one: no JSON value goes on there, whatever stands before. What has no such places, such
as a long array, is read in one go.
"""

from __future__ import annotations

import io
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

from lrat_hub.importers.sources.arrays import IsPart
from lrat_hub.importers.sources.bounds import CHUNK, MIB, LimitExceeded, pushed_back
from lrat_hub.importers.sources.layouts import WHOLE, Position, values_of
from lrat_hub.ledger import Ledger

PIECE = MIB // 4
"""Bytes of a file of which the last place where it can be divided ends a piece."""

NO_MEMORY = "needs more memory than there is"

# What a text may have without a value in it.
_NOTHING = b"[], \t\r\n\x1e"


@dataclass(frozen=True)
class Record:
    """One value of a source.

    Args:
        source: Its file, without suffix and relative to the folder or archive.
        position: Its line, row or element, 1 for the first, or the key that it stands under; None when it is the whole
            file.
    """

    source: str
    position: Position
    value: Any

    @property
    def name(self) -> str:
        """What it is called: no other record of the same import has this name."""
        return self.source if self.position is None else f"{self.source}/{self.position}"


@dataclass(frozen=True)
class Piece:
    """A text of which the records have not been read. It holds a record, or what counts as one that can't be read.

    Args:
        source: That of its records.
        path: Where its file is, for the examples in the account.
        one_a_line: Whether the file's name says that each line is a record.
        limit: Bytes of the longest record that is read.
        text: In UTF-8.
        num_before: Lines of the file that stand before it.
        is_whole: Whether it is all of the file.
    """

    source: str
    path: str
    one_a_line: bool
    limit: int
    text: bytes = b""
    num_before: int = 0
    is_whole: bool = False

    def records(self, account: Ledger, is_part: IsPart) -> Iterator[Record]:
        """Its records.

        Args:
            account: Gets a drop for each that can't be read.
        """
        # A buffer for all of it, as lines would be put together from the pieces of a smaller one.
        stream = io.BufferedReader(cast("Any", io.BytesIO(self.text)), max(io.DEFAULT_BUFFER_SIZE, len(self.text)))
        values = values_of(
            stream, self.path, account, is_part,
            limit=self.limit, one_a_line=self.one_a_line, num_before=self.num_before,
        )  # fmt: skip
        try:
            for position, value in values:
                yield Record(self.source, position, value)
        except MemoryError:
            account.drop(NO_MEMORY, example=self.path)


def pieces_of(stream: io.BufferedReader, blank: Piece) -> Generator[Piece, None, tuple[io.BufferedReader, int]]:
    """The pieces that a file begins with. Returns what is left of it, and how many lines stand before that.

    Args:
        blank: A piece without a text.
    """
    if blank.one_a_line:
        return (yield from _of_lines(stream, blank))
    size = min(blank.limit, WHOLE)
    text = stream.read(size)
    if len(text) < size and text.lstrip()[:1] in (b"{", b"[") and text.strip(_NOTHING):
        yield replace(blank, text=text, is_whole=True)
        text = b""
    return pushed_back(text, stream), 0


def _of_lines(stream: io.BufferedReader, blank: Piece) -> Generator[Piece, None, tuple[io.BufferedReader, int]]:
    head = stream.peek(1)
    if head.lstrip()[:1] != b"{":
        return stream, 0
    border = b"}\r\n{" if head[: head.find(b"\n") + 1].endswith(b"\r\n") else b"}\n{"
    text, num_before, is_end = bytearray(), 0, False
    while len(text) < WHOLE and not is_end:
        size = len(text) + PIECE
        try:
            while len(text) < size and not is_end:
                more = stream.read1(CHUNK // 8)
                text += more
                is_end = not more
        except (OSError, LimitExceeded):
            # What came before the damage is not lost, but for the line it is in.
            if end := text.rfind(b"\n") + 1:
                yield replace(blank, text=bytes(text[:end]), num_before=num_before)
            raise
        end = len(text) if is_end else text.rfind(border) + len(border) - 1
        if end >= len(border) or is_end:
            yield replace(blank, text=bytes(text[:end]), num_before=num_before, is_whole=is_end and not num_before)
            num_before += text.count(b"\n", 0, end)
            del text[:end]
    return pushed_back(bytes(text), stream), num_before
