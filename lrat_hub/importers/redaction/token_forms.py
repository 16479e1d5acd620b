"""Forms of tokens: a prefix with its alphabet and length, or a shape around a mark in its middle."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from lrat_hub.importers.redaction.patterns import NOTHING, Finding, Span
from lrat_hub.importers.redaction.quoting import start_after_escape
from lrat_hub.importers.redaction.values import drawn, mixed_case, pronounceable

# Judged runs are cut there, so that prefixes within one long run cost no more than linear work.
_JUDGED = 96
# At most three line breaks within a token; a break is written, escaped, or that of a shell.
_BREAK = re.compile(r"(?:\\?\r?\n[ \t]{0,40}|\\{1,16}n[ \t]{0,40}|%0[Aa])(?=[A-Za-z0-9_-])")
_BREAKS = ("\\", "\r", "\n", "%")
_BASE64 = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/"
_FILLER = frozenset("xX0*._-")


@dataclass(frozen=True)
class Issued:
    """Tokens of one form.

    Args:
        prefixes: What they begin with.
        alphabet: The characters that follow, as in a regular expression's class.
        minimum: Number of characters that follow, at least.
        exact: No more characters of the alphabet may follow.
        usual: Number of characters that it has as a rule; as many are looked for where it is broken over lines.
        weak: The prefix is short or a part of words: it must begin a word, and what follows must look drawn.
    """

    prefixes: tuple[str, ...]
    alphabet: str
    minimum: int
    exact: bool = False
    weak: bool = False
    usual: int = 0

    @cached_property
    def body(self) -> re.Pattern[str]:
        limit = self.minimum if self.exact else max(self.minimum, _JUDGED)
        edge = f"(?![{self.alphabet}])" if self.exact else ""
        return re.compile(f"[{self.alphabet}]{{{self.minimum},{limit}}}{edge}")

    @cached_property
    def run(self) -> re.Pattern[str]:
        return re.compile(f"[{self.alphabet}]{{0,{max(self.minimum, 64)}}}")

    @cached_property
    def rest(self) -> re.Pattern[str]:
        return re.compile(f"[{self.alphabet}]*")

    def __call__(self, text: str, start: int, end: int) -> Finding:
        if (self.weak and not _begins_word(text, start)) or _in_base64(text, start, end):
            return NOTHING
        match = self.body.match(text, end)
        if match is None:
            span_end = self._end_of_broken(text, end)
            if span_end is None:
                return NOTHING
        elif _filler(match[0]) or _words(match[0]) or (self.weak and not _drawn(match[0])):
            return NOTHING
        else:
            span_end = match.end() if self.exact else self._end_of_run(text, match.end())
            if span_end - end < self.usual:
                span_end = self._end_of_broken(text, end) or span_end
        while text[span_end - 1] in "%.":
            span_end -= 1
        return Finding((Span(_start(text, start), span_end),), span_end)

    def _end_of_run(self, text: str, index: int) -> int:
        rest = self.rest.match(text, index)
        return rest.end() if rest else index

    def _end_of_broken(self, text: str, end: int) -> int | None:
        """Where a token ends that is broken over lines: in the line in which it has its length."""
        body, index, reached = "", end, None
        for _ in range(4):
            match = self.run.match(text, index)
            body += match[0] if match else ""
            index = match.end() if match else index
            if len(body) >= self.minimum and not _filler(body) and (drawn(body, 16) or mixed_case(body)):
                excess = len(body) - self.minimum
                reached = index - excess if self.exact else self._end_of_run(text, index)
            following = _BREAK.match(text, index) if text[index : index + 1] in _BREAKS else None
            if following is None or len(body) < 6 or len(body) >= max(self.minimum, self.usual):
                break
            if reached and not drawn(self.run.match(text, following.end())[0], 16):  # pyright: ignore
                break
            index = following.end()
        return reached


def _in_base64(text: str, start: int, end: int) -> bool:
    """Whether a prefix of letters and digits stands in the middle of data in base64, where it is there by accident."""
    return start >= 32 and not text[start - 32 : start].strip(_BASE64) and text[start:end].isalnum()


def _begins_word(text: str, start: int) -> bool:
    """Whether a prefix stands at the beginning of a word, or directly after an escape such as `%3D` or `\\n`."""
    before = text[max(0, start - 6) : start]
    if not before or not (before[-1].isalnum() or before[-1] == "+"):
        return True
    if "\\" not in before and "%" not in before:
        return False
    return any(
        len(before) > length and before[-length - 1] in "\\%" and start_after_escape(text, start - length) == start
        for length in (1, 2, 3, 5)
    )


def _words(body: str) -> bool:
    """Whether what follows a prefix is words, as in `phx_glr_auto_examples`."""
    chunks = _CHUNK.findall(body[:_JUDGED])
    return len(chunks) > 1 and all(
        chunk.islower() and chunk.isalpha() and (len(chunk) < 5 or pronounceable(chunk)) for chunk in chunks
    )


def _drawn(body: str) -> bool:
    """Whether what follows a weak prefix is drawn, and has no words in it as `sk-learn-contrib-...` has."""
    if not _LONG.search(body):
        return False
    words = any(
        chunk.islower() and chunk.isalpha() and len(chunk) > 3 and pronounceable(chunk)
        for chunk in _CHUNK.findall(body)
    )
    return not words and (drawn(body, 12) or mixed_case(body))


_CHUNK = re.compile(r"[A-Za-z0-9]+")
_LONG = re.compile(r"[A-Za-z0-9]{5}")


def _start(text: str, start: int) -> int:
    """The start of a token, or the character after it where that may belong to an escape such as the n of npm_."""
    return start_after_escape(text, start) if start and text[start - 1] == "\\" else start


def _filler(body: str) -> bool:
    return len(set(body)) <= 1 or _FILLER.issuperset(body[:_JUDGED])


@dataclass(frozen=True)
class Shaped:
    """A form around a mark in its middle: what stands before the mark is matched backwards by its alphabet.

    Args:
        regex: From the start of the token on, or from the mark on where nothing belongs before it; with a group
            `secret`, only that is replaced.
        before: Characters that the token may have before the mark.
        least: Number of them that it has at least.
    """

    regex: re.Pattern[str]
    before: str = ""
    least: int = 0

    def __call__(self, text: str, start: int, end: int) -> Finding:
        if self.before:
            window = text[max(0, start - 40) : start]
            if len(window.rstrip(self.before)) > len(window) - self.least:
                return NOTHING
            start = start_after_escape(text, start - len(window) + len(window.rstrip(self.before)))
        match = self.regex.match(text, start)
        if match is None:
            return NOTHING
        span = match.span("secret") if "secret" in self.regex.groupindex else match.span()
        return Finding((Span(_start(text, span[0]), span[1]),), span[1])
