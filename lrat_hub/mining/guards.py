"""Guards: reasonings whose length says little about the document, so that it should not count in full.

None is on by default, as the paper has none. A reasoning that a guard finds counts for no more than the half-life.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Literal

from lrat_hub.schema import Pair

Guard = Literal["degenerate", "repetitive", "off_topic"]

ENOUGH_WORDS = 20
"""Shorter reasonings are never degenerate or repetitive: there is nothing to cap."""

GRAM = 4
DISTINCT_GRAMS = 0.5
ONE_WORD = 0.3
LETTERS = 0.5


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def is_degenerate(pair: Pair) -> bool:
    """Whether the reasoning is no prose: mostly signs, or a single word over and over."""
    words, dense = _words(pair.reasoning), "".join(pair.reasoning.split())
    if len(words) < ENOUGH_WORDS:
        return bool(len(dense) > 5 * ENOUGH_WORDS and sum(map(str.isalnum, dense)) < LETTERS * len(dense))
    ((_, most),) = Counter(words).most_common(1)
    return most > ONE_WORD * len(words) or sum(map(str.isalnum, dense)) < LETTERS * len(dense)


def is_repetitive(pair: Pair) -> bool:
    """Whether fewer than half of the runs of four words are distinct."""
    words = _words(pair.reasoning)
    if len(words) < ENOUGH_WORDS:
        return False
    grams = [tuple(words[place : place + GRAM]) for place in range(len(words) - GRAM + 1)]
    return len(set(grams)) < DISTINCT_GRAMS * len(grams)


def is_off_topic(pair: Pair) -> bool:
    """Whether the reasoning shares no word of four letters or more with the query or the question.

    Only for reasonings in the language of the question.
    """
    topic = {word for word in _words(f"{pair.query} {pair.question}") if len(word) > 3}
    return bool(topic) and topic.isdisjoint(_words(pair.reasoning))


GUARDS: dict[Guard, Callable[[Pair], bool]] = {
    "degenerate": is_degenerate,
    "repetitive": is_repetitive,
    "off_topic": is_off_topic,
}
