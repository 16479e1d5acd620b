"""Words, sentences and the wording of a clue question: what its writer and its reader have to agree on.

A question is one string, and everything that an agent knows of it:

    Two passages of one article are described below, in other words. Passage 1: <clue>. Passage 2: <clue with ____>.
    Which name belongs in the blank?
"""

from __future__ import annotations

import re
from typing import NamedTuple

from bm25s.stopwords import STOPWORDS_EN_PLUS

from lrat_hub.errors import LratError

BLANK = "____"
"""Stands in a clue where its sentence has the name that is asked for."""

STOP_WORDS = frozenset(STOPWORDS_EN_PLUS)

# A word starts with a letter or digit; "U.S." and "1,024" stay whole, a final "'s" is no part of the word.
_WORD = re.compile(r"(?<!\w['’])[^\W_]+(?:[.,'’-](?!s\b)[^\W_]+)*")
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"'”’)\]]* +(?=[\"'“‘(\[]*[^\W_a-z])")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\"“‘])(?:[^\W\d_]|[^\W\d_](?:\.[^\W\d_])+"  # initials: "J." and "U.S."
    r"|Mr|Mrs|Ms|Dr|Prof|St|Sr|Jr|Lt|Col|Gen|Capt|Sgt|Rev|Hon|Gov|Sen|Rep|No|Nos|vs|v|cf|ca|c|ed|eds|vol|pp|p|fl|approx"
    r"|e\.g|i\.e|Inc|Ltd|Co|Corp|Bros|Mt|Ft|Jan|Feb|Aug|Sept|Oct|Nov|Dec)\.$"
)
_QUESTION = re.compile(
    r"Two passages of one article are described below, in other words\. "
    r"Passage 1: (?P<first>.+)\. Passage 2: (?P<second>.+)\. Which name belongs in the blank\?"
)


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
    return len(word) > 2 and word not in STOP_WORDS


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


def write_question(first_clue: str, second_clue: str) -> str:
    """The question for two clues, of which the second has the blank."""
    return (
        "Two passages of one article are described below, in other words. "
        f"Passage 1: {first_clue}. Passage 2: {second_clue}. Which name belongs in the blank?"
    )


def read_question(question: str) -> tuple[str, str]:
    """Gives the two clues of a question.

    Raises:
        LratError: If the question is worded in another way.
    """
    match = _QUESTION.fullmatch(question)
    if match is None:
        raise LratError(
            f"Reading a clue question failed: expected {write_question('<clue>', f'<clue with {BLANK}>')!r}, "
            f"found {question!r}. Ask another agent."
        )
    return match["first"], match["second"]
