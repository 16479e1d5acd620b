"""Words and sentences of English text."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

# A word starts with a letter or digit; "U.S." and "1,024" stay whole, a final "'s" is no part of the word.
_WORD = re.compile(r"(?<!\w['’])[^\W_]+(?:[.,'’-](?!s\b)[^\W_]+)*")
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"'”’)\]]* +(?=[\"'“‘(\[]*[^\W_a-z])")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\"“‘])(?:[^\W\d_]|[^\W\d_](?:\.[^\W\d_])+"  # initials: "J." and "U.S."
    r"|Mr|Mrs|Ms|Dr|Prof|St|Sr|Jr|Lt|Col|Gen|Capt|Sgt|Rev|Hon|Gov|Sen|Rep|No|Nos|vs|v|cf|ca|c|ed|eds|vol|pp|p|fl|approx"
    r"|e\.g|i\.e|Inc|Ltd|Co|Corp|Bros|Mt|Ft|Jan|Feb|Aug|Sept|Oct|Nov|Dec)\.$"
)


@cache
def stop_words() -> frozenset[str]:
    # bm25s takes SciPy along, which those who only ask for help don't need.
    from bm25s.stopwords import STOPWORDS_EN_PLUS

    return frozenset(STOPWORDS_EN_PLUS)


class Word(NamedTuple):
    """A word of a text and where it starts in it."""

    text: str
    start: int

    @property
    def lower(self) -> str:
        return self.text.lower()

    @property
    def is_name_like(self) -> bool:
        """Whether it is capitalised or holds a digit: a proper word or a number."""
        return self.text != self.lower or any(character.isdigit() for character in self.text)

    @property
    def end(self) -> int:
        return self.start + len(self.text)


def split_words(text: str) -> list[Word]:
    return [Word(match.group(), match.start()) for match in _WORD.finditer(text)]


def is_content_word(word: str) -> bool:
    """Whether a lower-case word says something of its own."""
    return len(word) > 2 and word not in stop_words()


def split_sentences(text: str) -> list[str]:
    """Splits running English text; its sentences joined by single spaces give it back, spaces apart."""
    sentences, start = [], 0
    for match in _SENTENCE_END.finditer(text):
        sentence = text[start : match.end()].strip()
        if _ABBREVIATION.search(sentence) is None:
            sentences.append(sentence)
            start = match.end()
    rest = text[start:].strip()
    return [*sentences, rest] if rest else sentences
