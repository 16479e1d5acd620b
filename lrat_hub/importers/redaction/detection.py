"""Finding secrets in texts: one scan for the marks of all patterns, which then look only around their own."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate
from typing import Any

from ahocorasick_rs import BytesAhoCorasick, Implementation

from lrat_hub.importers.redaction.issued_tokens import ISSUED
from lrat_hub.importers.redaction.named_secrets import NAMED
from lrat_hub.importers.redaction.patterns import NOTHING, REDACTED, Finding, Pattern, Span
from lrat_hub.importers.redaction.private_keys import PRIVATE_KEYS
from lrat_hub.importers.redaction.quoting import start_after_escape
from lrat_hub.importers.redaction.transported_secrets import TRANSPORTED

SECRETS: tuple[Pattern, ...] = (*PRIVATE_KEYS, *ISSUED, *TRANSPORTED, *NAMED)
"""All kinds of secrets. Where two overlap, the first names the replacement."""

MAX_REPLACEMENT = 64
"""Characters of a replacement at most."""

_REPLACEMENT = re.compile(rf"{re.escape(REDACTED)}[^\[\]\n]{{1,{MAX_REPLACEMENT - len(REDACTED) - 1}}}\]")

# Between two texts that are scanned as one: no mark has it.
_BETWEEN = b"\0"

_LOCAL_PART = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.%+-"
_DOMAIN = re.compile(r"(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}\b")


def _find_address(text: str, start: int, end: int) -> Finding:
    window = text[max(0, start - 64) : start]
    first = start_after_escape(text, start - len(window) + len(window.rstrip(_LOCAL_PART)))
    domain = _DOMAIN.match(text, end)
    return Finding((Span(first, domain.end()),), domain.end()) if domain and first < start else NOTHING


EMAIL = Pattern("e-mail address", ("@",), _find_address)


@dataclass(frozen=True)
class Detector:
    """Finds secrets in many texts at once.

    Args:
        patterns: The kinds of secrets; of two that overlap, the first names the span.
        counted: Kinds that are reported where they touch no secret, behind the secrets of their text.
    """

    patterns: tuple[Pattern, ...]
    counted: tuple[Pattern, ...] = ()

    @cached_property
    def _sought(self) -> tuple[Pattern, ...]:
        return (*self.patterns, *self.counted)

    @cached_property
    def _scanner(self) -> tuple[BytesAhoCorasick, list[tuple[int, ...]]]:
        return _automaton(self._sought)

    def __reduce__(self) -> tuple[type[Detector], tuple[Any, ...]]:
        """What another process needs, which builds its own automaton."""
        return Detector, (self.patterns, self.counted)

    def find(self, texts: list[str]) -> Iterator[tuple[str, list[tuple[Span, str]]]]:
        """The texts in which patterns find something, with its spans and the names of the patterns."""
        if not self._sought or not texts:
            return
        automaton, owners = self._scanner
        # Bytes, of which the scanner need not count the characters. No mark has a part of a lone surrogate.
        encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
        joined = _BETWEEN.join(encoded)
        hits = automaton.find_matches_as_indexes(joined, overlapping=True)
        if not hits:
            return
        starts = [0, *accumulate([len(text) + len(_BETWEEN) for text in encoded])]
        spans: list[tuple[Span, int]] = []
        current, resume, at, characters = -1, {}, 0, 0
        for mark, start, end in hits:
            index = bisect_right(starts, start) - 1
            if index != current:
                if spans:
                    yield texts[current], self._resolved(spans)
                current, spans, resume, at, characters = index, [], {}, starts[index], 0
            # Hits come by their ends. Marks are ASCII: they have as many characters as bytes.
            characters += len(joined[at:end].decode("utf-8", "surrogatepass"))
            text, first, at = texts[index], characters - (end - start), end
            for owner in owners[mark]:
                if first >= resume.get(owner, 0):
                    finding = self._sought[owner].find(text, first, characters)
                    if finding is not NOTHING:
                        resume[owner] = finding.resume
                        spans.extend((part, owner) for span in finding.spans for part in _unreplaced(text, span))
        if spans:
            yield texts[current], self._resolved(spans)

    def _resolved(self, spans: list[tuple[Span, int]]) -> list[tuple[Span, str]]:
        """Spans in their order; those that overlap become one, which the first of their patterns names.

        What is counted comes behind them, where it touches no secret: it must not change what is redacted.
        """
        resolved: list[tuple[Span, int]] = []
        counted: list[tuple[Span, int]] = []
        for span, owner in sorted(spans):
            if owner >= len(self.patterns):
                counted.append((span, owner))
            elif resolved and span.start < resolved[-1][0].end:
                before, first = resolved[-1]
                merged = Span(before.start, max(before.end, span.end), before.quote or span.quote)
                resolved[-1] = (merged, min(owner, first))
            elif span.start < span.end:
                resolved.append((span, owner))
        ends = {span.start: span.end for span, _ in resolved}
        starts = [*ends]
        for span, owner in counted:
            before = bisect_left(starts, span.end)
            if not before or ends[starts[before - 1]] <= span.start:
                resolved.append((span, owner))
        return [(span, self._sought[owner].name) for span, owner in resolved]


@lru_cache(maxsize=8)
def _automaton(patterns: tuple[Pattern, ...]) -> tuple[BytesAhoCorasick, list[tuple[int, ...]]]:
    """All marks as one automaton, and for each the patterns that look at it. Built once in each process."""
    owners: dict[str, tuple[int, ...]] = {}
    for index, pattern in enumerate(patterns):
        for mark in pattern.marks:
            owners[mark] = (*owners.get(mark, ()), index)
    marks = [mark.encode() for mark in owners]
    return BytesAhoCorasick(marks, implementation=Implementation.DFA), list(owners.values())


def _unreplaced(text: str, span: Span) -> Iterator[Span]:
    """A span without the replacements in it, of which none is redacted again."""
    start = span.start
    for match in _REPLACEMENT.finditer(text, span.start, span.end + MAX_REPLACEMENT):
        if match.start() >= span.end:
            break
        yield span._replace(start=start, end=match.start())
        start = match.end()
    yield span._replace(start=start)
