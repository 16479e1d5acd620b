"""Retrievers: one protocol, BM25 and dense behind it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from lrat_hub.errors import LratError
from lrat_hub.queries import QueryStyle


class Hit(NamedTuple):
    """A document that a retriever found: its id, its score (higher is better) and its rank (1 for the first)."""

    docid: str
    score: float
    rank: int


class IndexSize(NamedTuple):
    """What a retriever stores of its corpus, without the documents' texts and ids.

    Args:
        vectors: Vectors of all documents together; 0 for BM25.
        num_bytes: Bytes of the vectors and what finds them, or of BM25's postings.
    """

    vectors: int
    num_bytes: int


class Retriever(Protocol):
    """Ranks the documents of one corpus for queries.

    `name` and `revision` say what was run, for records and cards: "bm25" or a model's id, and the commit sha of
    what it was built from where there is one. One that was trained to read more than the agent's query has a
    `query_style` besides: see `style_read_by`. One that knows what it stores has an `index_size`: see `size_of`. One
    whose models, or some of them, are in another process is `served_elsewhere`.
    """

    name: str
    revision: str | None

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """Gives for each query its best `k` documents (fewer in a smaller corpus), best first.

        Equal scores are ordered by the documents' place in the corpus, so that a result never depends on chance.
        """
        ...


_SURROGATES = re.compile(r"[\ud800-\udfff]")


def query_list(queries: Sequence[str], k: int) -> list[str]:
    r"""The queries of a search as a list of texts.

    Lone surrogates, which JSON can write as \ud800 and tokenizers refuse, are replaced.

    Args:
        k: Results that are asked for.

    Raises:
        LratError: There is one text, whose letters would be searched otherwise, a query is no text, or `k` is below 0.
    """
    if isinstance(queries, str):
        raise LratError(f"Retriever: expected a list of queries, found one text. Give [{queries[:40]!r}].")
    if k < 0:
        raise LratError(f"Retriever: expected a number of results of 0 or more, found {k}.")
    for number, query in enumerate(queries, start=1):
        if not isinstance(query, str):
            raise LratError(f"Retriever: expected queries that are texts, found {query!r} as number {number}.")
    return [_SURROGATES.sub("\ufffd", query) for query in queries]


def shown_as(retriever: Retriever) -> str:
    """What a retriever prints as: its class, its name and, where there is one, the first digits of its commit."""
    revision = f", revision={retriever.revision[:7]!r}" if retriever.revision else ""
    return f"{type(retriever).__name__}({retriever.name!r}{revision})"


def size_of(retriever: Retriever) -> IndexSize | None:
    """What a retriever stores of its corpus; None where it does not say, as one that is served elsewhere."""
    return getattr(retriever, "index_size", None)


def stores_of(retriever: Retriever) -> Sequence[Retriever]:
    """The retrievers in one that store something of its corpus: itself, unless it is made of others."""
    return getattr(retriever, "stores", [retriever])


def is_served_elsewhere(part: object) -> bool:
    """Whether the models of a retriever or reranker, or some of them, are in another process."""
    return bool(getattr(part, "served_elsewhere", False))


def style_read_by(retriever: Retriever) -> QueryStyle:
    """The style that a retriever's queries have to be rendered in (`render_query`)."""
    return getattr(retriever, "query_style", "plain")
