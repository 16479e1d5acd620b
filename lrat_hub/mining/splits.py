"""Splits by question: a hash of the question alone decides, so that mining again never moves one."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from lrat_hub.errors import LratError
from lrat_hub.schema import Pair

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


def question_key(pair: Pair) -> str:
    """What counts as one question: its text, whatever the case, accents, punctuation and articles.

    Pairs from logs that don't hold the question go by its id, and without one by the query.
    """
    return _normalized(pair.question) or pair.query_id or _normalized(pair.query)


@lru_cache(maxsize=4096)
def _normalized(text: str) -> str:
    """Lower case, without accents, punctuation, articles and extra blanks.

    It is not shared with how answers are compared, and must never change: questions would move between splits.
    """
    plain = "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))
    words = re.sub(r"[^\w\s]|_", " ", plain.lower()).split()
    # A question of nothing but articles or signs is still one.
    return " ".join(word for word in words if word not in ("a", "an", "the")) or text.strip()


@dataclass(frozen=True)
class Splits:
    """Shares of the questions that go to each split; the rest is trained on.

    Growing one of them moves questions out of "train" only.
    """

    validation: float = 0.0
    test: float = 0.0

    def __post_init__(self) -> None:
        if min(self.validation, self.test) < 0 or self.validation + self.test >= 1:
            raise LratError(
                f"Splits: expected shares of 0 or more that leave something to train on, found validation "
                f"{self.validation:g} and test {self.test:g}."
            )

    def of(self, pair: Pair) -> Split:
        """The split of a pair's question."""
        place = _place(question_key(pair))
        if place < self.test:
            return "test"
        return "validation" if place >= 1 - self.validation else "train"


@lru_cache(maxsize=4096)
def _place(key: str) -> float:
    """A number in [0, 1) that looks random and is always the same for a key."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:6], "big") / 2**48
