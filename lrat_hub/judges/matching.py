"""Answers compared as text, without a model."""

from __future__ import annotations

import re
import unicodedata


def normalize_answer(text: str) -> str:
    """Lower case, no accents, punctuation, articles or extra blanks: SQuAD's normalisation, and accents besides."""
    plain = "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))
    words = re.sub(r"[^\w\s]|_", " ", plain.lower()).split()
    return " ".join(word for word in words if word not in ("a", "an", "the"))


def answer_matches(answer: str | None, gold: str) -> bool:
    """Whether an answer equals the gold answer once both are normalised."""
    return bool(answer) and normalize_answer(answer) == normalize_answer(gold)


MORE_WORDS = 12
"""Words that an answer may have beside the gold answer to be taken for it."""

_HEDGES = frozenset(
    (
        "not",
        "no",
        "nor",
        "neither",
        "or",
        "either",
        "unless",
        "versus",
        "vs",
        "instead",
        "cannot",
        "unknown",
        "unclear",
    )
)


def answer_contains(answer: str | None, gold: str) -> bool:
    """Whether a short answer has all of the gold answer in it, word for word, once both are normalised.

    Only the answer's first paragraph counts. One that denies something or names alternatives is not taken for the gold
    answer, nor is one by a single digit or letter: these stand in too many texts.
    """
    wanted = normalize_answer(gold).split()
    first = next((part for part in re.split(r"\n\s*\n|\n(?=\w+:)", (answer or "").strip()) if part.strip()), "")
    words = normalize_answer(first).split()
    if not wanted or len("".join(wanted)) < 2 or len(words) > len(wanted) + MORE_WORDS:
        return False
    starts = (place for place in range(len(words) - len(wanted) + 1) if words[place : place + len(wanted)] == wanted)
    place = next(starts, None)
    if place is None:
        return False
    return not _HEDGES.intersection(words[:place] + words[place + len(wanted) :])
