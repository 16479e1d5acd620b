"""The JSON values of a text, however they are laid out: one a line, spread over lines, side by side, or in an array.

A value that can't be read costs itself: reading goes on with the next line that begins with a bracket.
"""

from __future__ import annotations

import io
import json
import re
from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

from lrat_hub.importers.sources.arrays import TOO_LONG, Elements, IsPart
from lrat_hub.importers.sources.bounds import CHUNK, MIB, in_bytes, pushed_back
from lrat_hub.importers.sources.texts import why_not_json, why_not_utf8
from lrat_hub.importers.values import load_json, storable
from lrat_hub.ledger import Ledger

WHOLE = 4 * MIB
"""Bytes of a document that are parsed at once; longer ones are read piece by piece."""

RESCANS = 64 * MIB
LINE_COST = 100
"""Lines behind a value that never ends are read again, but not over and over: a few times as many bytes as the file
has, and some more. A line costs time whatever its length."""

TOO_DEEP = "nested too deeply"

Position = int | str | None
Value = tuple[Position, Any]

# Blanks, commas after values, the separators of JSON text sequences, and byte order marks of files that were joined.
_BLANK = re.compile("[\\s,\x1e\ufeff]*")
_OPENING = ("{", "[", "\x1e")
_CLOSING = ("}", "]")
_DECODER = json.JSONDecoder()


def values_of(
    stream: io.BufferedReader, name: str, records: Ledger, is_part: IsPart,
    *, limit: int, one_a_line: bool, num_before: int = 0,
) -> Iterator[Value]:  # fmt: skip
    """The values of a text in UTF-8, each with its position: its line, its element, or None when it is all there is.

    Args:
        name: The file's name, for the examples in the account.
        records: Gets a drop for each value that can't be read.
        limit: Bytes of the longest value that is read.
        one_a_line: Whether the file's name says that each line is a record. A line that is a list then stays one,
            unless it is the only line.
        num_before: Lines of the file that have been read.
    """
    text = _Text(stream, name, records, is_part, limit, num_before)
    return text.lines() if one_a_line else text.document()


class _Line(NamedTuple):
    number: int
    text: str
    problem: str = ""


class _Text:
    def __init__(
        self, stream: io.BufferedReader, name: str, records: Ledger, is_part: IsPart, limit: int, num_before: int
    ) -> None:
        self._stream = stream
        self._name = name
        self._records = records
        self._is_part = is_part
        self._limit = limit
        self._too_long = f"record longer than {in_bytes(limit)}"
        self._number, self._last, self._count = num_before, 0, 0
        self._returned: deque[_Line] = deque()
        self._skipping = False
        self._rescans_left = RESCANS

    def lines(self) -> Iterator[Value]:
        """A record a line; a single line may be an array of them, and an array may be spread over the lines."""
        if self._stream.peek(1).lstrip()[:1] == b"[":
            head = self._stream.readline(min(self._limit, 4 * WHOLE))
            whole = head.endswith(b"\n") and _is_json(head)
            if not whole or not self._stream.peek(1).strip():
                yield from self._array(head, 1)
                return
            self._return(head)
        yield from self._values()

    def document(self) -> Iterator[Value]:
        """One value, an array of records, or values one after the other."""
        size = min(self._limit, WHOLE)
        content = self._stream.read(size)
        if len(content) < size:
            try:
                value = load_json(content.decode())
            except (ValueError, RecursionError):
                pass  # it may be lines; what is wrong with it is told below
            else:
                if isinstance(value, list) and not (value and self._is_part(value[0])):
                    yield from enumerate(value, start=1)
                else:
                    yield None, value
                return
        if content.lstrip()[:1] == b"[":
            yield from self._array(content, None)
            return
        self._return(content)
        before, values = self._records.read, self._values()
        first, second = next(values, None), next(values, None)
        if first is not None:
            # A value that is the whole file has no position in it.
            yield first if second is not None or self._records.read > before else (None, first[1])
        if second is not None:
            yield second
            yield from values

    def _array(self, head: bytes, position: Position) -> Iterator[Value]:
        """The elements of an array, and what comes after it; or the array, when they are parts of one record.

        Args:
            head: Its beginning, which has been read.
            position: That of the array, when it is a record.
        """
        elements = Elements(self._stream, head, self._limit)
        problem = ""
        try:
            yield from self._elements(elements, position)
        except UnicodeDecodeError as error:
            problem = why_not_utf8(error.object[max(0, error.start - 4) : error.end + 4])
        except RecursionError:
            problem = TOO_DEEP
        except ValueError:
            problem = why_not_json(elements.rest)
        if problem:
            self._drop(problem, elements.num_lines + 1)
        self._number = elements.num_lines
        self._return(elements.rest.encode() + elements.pending)
        if problem:
            self._pass_over_line()
            self._skipping = True
        for line, value in self._values():
            # Elements have numbers already, and lines must have others.
            yield (f"{line}/1" if isinstance(line, int) else line), value

    def _elements(self, elements: Elements, position: Position) -> Iterator[Value]:
        values = iter(elements)
        for number, value in enumerate(values, start=1):
            if value is TOO_LONG:
                self._drop(self._too_long, number)
            elif number > 1 or not self._is_part(value):
                yield number, value
            else:
                parts = [value]
                for part in values:
                    if part is TOO_LONG or elements.consumed > self._limit:
                        parts.clear()
                    elif parts:
                        parts.append(part)
                if parts:
                    yield position, parts
                else:
                    self._drop(self._too_long, 1)

    def _values(self) -> Iterator[Value]:
        """The values of lines."""
        while (line := self._next()) is not None:
            number, text, problem = line
            if problem:
                self._drop(problem, number)
                continue
            try:
                value = load_json(text)
            except RecursionError:
                self._drop(TOO_DEEP, number)
            except ValueError:
                yield from self._unusual(line)
            else:
                yield self._position(number), value

    def _unusual(self, line: _Line) -> Iterator[Value]:
        """The values of a line that is not one: several side by side, the beginning of one, or none."""
        text, start = line.text, _blank(line.text, 0)
        while start < len(text):
            try:
                value, end = _DECODER.raw_decode(text, start)
                value = storable(value)
            except RecursionError:
                self._drop(TOO_DEEP, line.number)
                return
            except ValueError as error:
                if text.startswith(_OPENING, start) and text[0] not in " \t" and _may_go_on(error, text):
                    yield from self._spread(_Line(line.number, text[start:]))
                elif text[start:].strip() not in _CLOSING:  # the end of an array that was broken
                    self._drop(why_not_json(text[start:]), line.number)
                return
            start = _blank(text, end)
            if not isinstance(value, (dict, list)) and start < len(text):
                self._drop(why_not_json(text), line.number)  # prose that begins with a number
                return
            yield self._position(line.number), value

    def _spread(self, head: _Line) -> Iterator[Value]:
        """A value that begins in one line and ends in another."""
        lines, size, tried, problem = [head], len(head.text), 0, ""
        while not problem:
            line = self._next()
            if line is not None:
                lines.append(line)
                size += len(line.text)
                problem = line.problem or (self._too_long if size > self._limit else "")
                # A bracket at the start of a line can end the value, or show that it was cut off.
                if problem or not line.text.startswith(_OPENING + _CLOSING) or size < 2 * tried:
                    continue
            text, tried = "".join(part.text for part in lines), size
            try:
                value, end = _DECODER.raw_decode(text)
                value = storable(value)
            except RecursionError:
                problem, lines = TOO_DEEP, lines[:1]
            except ValueError as error:
                if line is None or not _may_go_on(error, text):
                    problem = why_not_json(text)
            else:
                self._return_rest(lines, text, end)
                yield self._position(head.number), value
                return
        self._drop(problem, head.number)
        # What follows is part of the broken value, up to a line that begins as values do.
        self._skipping = True
        self._rescans_left -= size + LINE_COST * len(lines)
        if self._rescans_left > 0:
            self._returned.extendleft(line for line in reversed(lines[1:]) if not line.problem)

    def _return_rest(self, lines: list[_Line], text: str, end: int) -> None:
        """Puts back what was read beyond the end of a value."""
        index = text.count("\n", 0, end)
        self._returned.extendleft(reversed(lines[index + 1 :]))
        if rest := text[end:].partition("\n")[0].strip():
            # With its end: lines are counted by their ends.
            self._returned.appendleft(_Line(lines[index].number, f"{rest}\n"))

    def _next(self) -> _Line | None:
        """The next line that is not empty; None at the end."""
        while True:
            line = self._returned.popleft() if self._returned else self._read_line()
            if line is None or line.problem:
                return line
            if line.text.isspace() or (self._skipping and not line.text.startswith(_OPENING)):
                continue
            self._skipping = False
            return line

    def _read_line(self) -> _Line | None:
        content = self._stream.readline(self._limit + 1)
        if not content:
            return None
        self._number += 1
        self._rescans_left += 8 * len(content)
        if len(content) > self._limit and not content.endswith(b"\n"):
            self._pass_over_line()
            return _Line(self._number, "", self._too_long)
        try:
            return _Line(self._number, content.decode())
        except UnicodeDecodeError:
            return _Line(self._number, "", why_not_utf8(content))

    def _pass_over_line(self) -> None:
        while (piece := self._stream.readline(CHUNK)) and not piece.endswith(b"\n"):
            pass

    def _return(self, head: bytes) -> None:
        """Puts bytes back, to be read again before the rest."""
        self._stream = pushed_back(head, self._stream)

    def _position(self, number: int) -> Position:
        """The place of the next value, which begins in this line: the first one there has the line's number."""
        self._count = self._count + 1 if number == self._last else 1
        self._last = number
        return number if self._count == 1 else f"{number}/{self._count}"

    def _drop(self, reason: str, number: int) -> None:
        self._records.drop(reason, example=f"{self._name}/{number}")


def _blank(text: str, start: int) -> int:
    """The end of the blanks and commas from there on, which may be none."""
    match = _BLANK.match(text, start)
    assert match is not None  # the pattern also matches nothing
    return match.end()


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _may_go_on(error: ValueError, text: str) -> bool:
    """Whether lines look broken only because the rest of their value has not been read."""
    if not isinstance(error, json.JSONDecodeError) or error.msg.startswith("Invalid control character"):
        return False
    return error.pos >= len(text.rstrip())
