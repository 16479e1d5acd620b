"""The elements of a JSON array, decoded while it is read: an array of gigabytes takes the memory of its elements."""

from __future__ import annotations

import codecs
import io
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from lrat_hub.importers.sources.bounds import CHUNK
from lrat_hub.importers.values import storable

IsPart = Callable[[Any], bool]
"""Whether an element of a JSON array is part of a record, such as a message, so that the array is one record."""

TOO_LONG = object()
"""Stands for an element that is longer than the limit."""

_BLANK = re.compile("[\\s,\x1e]*")
_IN_STRING = re.compile(r'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_OUTSIDE = re.compile(r'[^"{}\[\],]*+')
_DECODER = json.JSONDecoder()


class Elements:
    """The elements of an array in UTF-8, or TOO_LONG for one.

    ijson is about 2.5 times as fast, but ends at NaN, at integers beyond 64 bits and at 1e999, which logs of Python
    hold, puts a question mark for a lone surrogate, and takes memory with the square of a value's depth.

    Args:
        head: The beginning of the array, which was read from the stream already.
        limit: Characters of the longest element.

    Attributes:
        consumed: Characters of the array up to the last element.
        num_lines: Ends of lines among them.
        rest: What was read and not consumed.
        pending: Bytes after it that are no character yet.
    """

    def __init__(self, stream: io.BufferedReader, head: bytes, limit: int) -> None:
        self._stream = stream
        self._limit = limit
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._failure: UnicodeDecodeError | None = None
        self._head = head
        self.consumed = self.num_lines = 0
        self._buffer = ""
        self._start = 0

    @property
    def rest(self) -> str:
        return self._buffer[self._start :]

    @property
    def pending(self) -> bytes:
        return self._decoder.getstate()[0] if self._failure is None else self._failure.object[self._failure.end :]

    def __iter__(self) -> Iterator[Any]:
        """Decodes them.

        Raises:
            ValueError: It stops being an array, or being UTF-8; what comes after the element before is in `rest`.
            RecursionError: An element is nested too deeply.
        """
        while "[" not in self._buffer:
            if not self._read(CHUNK):
                return
        self._advance(self._buffer.index("[") + 1)
        while True:
            self._advance(_blank(self._buffer, self._start).end())
            if self._buffer.startswith("]", self._start):
                self._advance(self._start + 1)
                return
            try:
                value, end = _DECODER.raw_decode(self._buffer, self._start)
                following = _blank(self._buffer, end)
                # A number may go on behind the end of what has been read; a comma or bracket shows that it does not.
                complete = following.end() < len(self._buffer) or "," in following.group()
            except ValueError as error:
                if not _may_go_on(error, self._buffer):
                    raise
                value, end, complete = None, self._start, False
            if complete:
                # Before it is handed out, so that whoever gets it knows how far it reaches.
                long = end - self._start > self._limit
                self._advance(end)
                yield TOO_LONG if long else storable(value)
            elif len(self._buffer) - self._start > self._limit:
                self._pass_over()
                yield TOO_LONG
            # As much again as is there already, so that a long element is not decoded over and over.
            elif not self._read(max(CHUNK, min(len(self.rest), self._limit - len(self.rest) + 1))):
                raise ValueError("the array is cut off")

    def _advance(self, end: int) -> None:
        self.num_lines += self._buffer.count("\n", self._start, end)
        self.consumed += end - self._start
        self._start = end

    def _read(self, size: int) -> bool:
        """Adds characters to the buffer, in the place of those that are consumed; False at the end."""
        if self._failure is not None:
            raise self._failure
        head, self._head = self._head, b""
        content = head or self._stream.read(size)
        try:
            more = self._decoder.decode(content, final=not content)
        except UnicodeDecodeError as error:  # raised when what comes before it has been read
            self._failure, more = error, error.object[: error.start].decode()
        self._buffer, self._start = self.rest + more, 0
        return bool(content)

    def _pass_over(self) -> None:
        """Goes to the end of an element without holding it: brackets are counted, except for those in strings."""
        depth, in_string = 0, False
        while True:
            match = (_IN_STRING if in_string else _OUTSIDE).match(self._buffer, self._start)
            assert match is not None  # the patterns also match nothing
            self._advance(match.end())
            token = self._buffer[self._start : self._start + 1]
            if token in ("", "\\"):
                if not self._read(CHUNK):
                    raise ValueError("the array is cut off")
                continue
            if not in_string and not depth and token in ",]}":
                return  # the element was a number or a string
            if token == '"':
                in_string = not in_string
            elif token != ",":
                depth += 1 if token in "{[" else -1
            self._advance(self._start + 1)
            if not in_string and not depth:
                return


def _blank(text: str, start: int) -> re.Match[str]:
    """The blanks and commas from there on, which may be none."""
    match = _BLANK.match(text, start)
    assert match is not None  # the pattern also matches nothing
    return match


def _may_go_on(error: ValueError, buffer: str) -> bool:
    """Whether an element looks broken only because the rest of it has not been read."""
    at_the_end = 16  # the longest literal or escape
    return isinstance(error, json.JSONDecodeError) and (
        error.msg.startswith("Unterminated string") or error.pos >= len(buffer) - at_the_end
    )
