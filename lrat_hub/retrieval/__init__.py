"""Retrievers: one protocol, BM25 and dense behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Hit(NamedTuple):
    """A document a retriever found: its id, its score (higher is better) and its rank (1 for the first)."""

    docid: str
    score: float
    rank: int


class Retriever(Protocol):
    """Ranks the documents of one corpus for queries.

    `name` and `revision` say what was run, for records and cards: "bm25" or a model's id, and the commit sha of
    what it was built from where there is one.
    """

    name: str
    revision: str | None

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """Gives for each query its best `k` documents (fewer in a smaller corpus), best first.

        Equal scores are ordered by the documents' place in the corpus, so that a result never depends on chance.
        """
        ...
