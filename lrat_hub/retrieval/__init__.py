"""Retrievers: one protocol, BM25 and dense behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from lrat_hub.errors import LratError
from lrat_hub.queries import QueryStyle


class Hit(NamedTuple):
    """A document a retriever found: its id, its score (higher is better) and its rank (1 for the first)."""

    docid: str
    score: float
    rank: int


class Retriever(Protocol):
    """Ranks the documents of one corpus for queries.

    `name` and `revision` say what was run, for records and cards: "bm25" or a model's id, and the commit sha of
    what it was built from where there is one. One that was trained to read more than the agent's query has a
    `query_style` besides: see `style_read_by`.
    """

    name: str
    revision: str | None

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """Gives for each query its best `k` documents (fewer in a smaller corpus), best first.

        Equal scores are ordered by the documents' place in the corpus, so that a result never depends on chance.
        """
        ...


def query_list(queries: Sequence[str]) -> list[str]:
    """The queries of a search as a list. Raises LratError for one text, whose letters would be searched otherwise."""
    if isinstance(queries, str):
        raise LratError(f"Retriever: expected a list of queries, found one text. Give [{queries[:40]!r}].")
    return list(queries)


def style_read_by(retriever: Retriever) -> QueryStyle:
    """The style that a retriever's queries have to be rendered in (`render_query`)."""
    return getattr(retriever, "query_style", "plain")
