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
