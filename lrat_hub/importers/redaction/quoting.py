r"""Quotes and escapes of text within text: what may be replaced without breaking the JSON or the code around it.

A quote in JSON within JSON is written with backslashes before it. Its *depth* is the number of strings that it lies
in: `"` has depth 0, `\"` depth 1, `\\\"` depth 2; `\\"` has depth 0 again, because the backslashes are an escaped one.
"""

from __future__ import annotations

import re

MAX_BACKSLASHES = 63

_ESCAPE = re.compile(r"[nrtbf/]|u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2}")
_HEX = re.compile(r"[0-9A-Fa-f]{2}")
# What follows the quote at the end of a string in JSON or a Python repr.
_STRUCTURE = re.compile(r"(\\{0,63})[\"'`](?=\s{0,64}(?:\\{1,63}[nrt]\s{0,64}){0,8}(?:[,:}\])\"'\\]|\Z))")


def backslashes_before(text: str, index: int) -> int:
    """Number of backslashes that end at an index, `MAX_BACKSLASHES` at most."""
    before = text[max(0, index - MAX_BACKSLASHES) : index]
    return len(before) - len(before.rstrip("\\"))


def depth_of(backslashes: int) -> int:
    """Depth of a quote that has so many backslashes before it."""
    depth = 0
    while backslashes % 2:
        backslashes, depth = (backslashes - 1) // 2, depth + 1
    return depth


def end_of_quoted(text: str, start: int, quote: str, depth: int, limit: int, *, sure: bool) -> int | None:
    """Where a quoted value ends: before its closing quote and the backslashes that belong to it.

    Args:
        start: Index of its first character.
        quote: A double or single quote, or a backtick.
        depth: Depth of the opening quote.
        limit: Maximum number of characters of the value.
        sure: The opening quote is certainly one, because the name before it is quoted the same way. Otherwise it may
            be an apostrophe in a string, and the value also ends where a string of the other kind seems to end.
    """
    index, stop = start, start + limit
    while True:
        index = text.find(quote, index, stop)
        if index < 0:
            return None
        closing = depth_of(backslashes_before(text, index))
        if closing <= depth:
            end = max(start, index - (2**closing - 1))
            break
        index += 1
    if not sure:
        for match in _STRUCTURE.finditer(text, start, end):
            if text[match.end() - 1] != quote:
                return match.start()
    return end


def start_after_escape(text: str, start: int) -> int:
    r"""The start of a word, behind the letters of an escape: after `\n` in `\nword`, `%3D` in `%3Dword`."""
    if start and text[start - 1] == "\\":
        escape = _ESCAPE.match(text, start)
        return escape.end() if escape else start
    if start and text[start - 1] == "%":
        code = _HEX.match(text, start)
        return code.end() if code else start
    return start
