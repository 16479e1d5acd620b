"""Retrievers made of others: several fused, one ranked again by a model, plug-ins whose hits are checked."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lrat_hub.encoders import retriever_options
from lrat_hub.errors import LratError
from lrat_hub.plugins import attribute_of, described
from lrat_hub.queries import QueryStyle
from lrat_hub.retrieval import (
    Hit,
    IndexSize,
    Retriever,
    is_served_elsewhere,
    query_list,
    shown_as,
    size_of,
    stores_of,
    style_read_by,
)
from lrat_hub.retrieval.rerankers import Reranker, reranker_of
from lrat_hub.retrieval.settings import BATCH_SIZE
from lrat_hub.schema import Document

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder, MultiVectorEncoder

    from lrat_hub.hub.inputs import Source

RRF_CONSTANT = 60
"""k of reciprocal rank fusion, as Cormack, Clarke and Buettcher chose it (SIGIR 2009): results hardly depend on it."""

FUSION_DEPTH = 100
RERANKING_DEPTH = 100


class PluginRetriever:
    """Anyone's retriever, with what it lacks, and with hits that are checked before they get into records.

    Args:
        retriever: See `Retriever`; its hits have a `docid` and a `score`, and their order is their rank.
        name: What it is called where it has no name.
        documents: The corpus; a hit that is not in it is refused.
    """

    def __init__(self, retriever: Any, name: str, documents: Container[str]) -> None:
        self._retriever, self._documents = retriever, documents
        self.name: str = attribute_of(retriever, "name", str, name)
        self.revision: str | None = attribute_of(retriever, "revision", str, None)
        self.query_style: QueryStyle = style_read_by(retriever)

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """See `Retriever.search`.

        Raises:
            LratError: The plug-in raised, or gave something else than at most `k` hits for each query: documents of
                the corpus, each once, with finite scores.
        """
        try:
            results = [list(hits) for hits in self._retriever.search(queries, k)]
        except LratError:
            raise
        except (Exception, SystemExit) as error:
            raise LratError(f"Retriever {self.name}: its search failed; {described(error)}") from error
        if len(results) != len(queries):
            raise LratError(f"Retriever {self.name}: expected {len(queries)} result lists, found {len(results)}.")
        return [self._checked(hits, k) for hits in results]

    def _checked(self, hits: Sequence[Any], k: int) -> list[Hit]:
        if len(hits) > k:
            raise LratError(f"Retriever {self.name}: expected at most {k} hits, found {len(hits)}.")
        checked: dict[str, Hit] = {}
        for rank, hit in enumerate(hits, start=1):
            try:
                docid, score = hit.docid, float(hit.score)
            except (AttributeError, TypeError, ValueError) as error:
                raise LratError(
                    f"Retriever {self.name}: expected hits with a docid and a score, found {hit!r}."
                ) from error
            if not math.isfinite(score):
                raise LratError(f"Retriever {self.name}: expected finite scores, found {score} for {docid!r}.")
            if not isinstance(docid, str) or docid not in self._documents:
                raise LratError(f"Retriever {self.name}: expected documents of the corpus, found {docid!r}.")
            if docid in checked:
                raise LratError(
                    f"Retriever {self.name}: expected each document once in a list, found {docid!r} twice."
                )
            checked[docid] = Hit(docid, score, rank)
        return list(checked.values())


class FusionRetriever:
    """Reciprocal rank fusion: a document scores the sum of `1 / (constant + rank)` over the lists it is in.

    Args:
        retrievers: Two or more, over the same corpus.
        row_of: A document's position in the corpus by its docid, which decides ties: `Documents.row`.
        depth: Results of each retriever that take part, at least; a larger `k` takes more.
        constant: The larger it is, the less the first ranks stand out.

    Raises:
        LratError: There are fewer than two, or they read queries in different styles.
    """

    def __init__(
        self,
        retrievers: Sequence[Retriever],
        row_of: Callable[[str], int],
        *,
        depth: int = FUSION_DEPTH,
        constant: int = RRF_CONSTANT,
    ) -> None:
        if len(retrievers) < 2:
            raise LratError(f"Fusion: expected two or more retrievers, found {len(retrievers)}.")
        self.name = "+".join(retriever.name for retriever in retrievers)
        self.revision = _joined("+", (retriever.revision for retriever in retrievers))
        self.query_style = require_one_style(
            self.name, [(retriever.name, style_read_by(retriever)) for retriever in retrievers]
        )
        self._retrievers, self._row_of = tuple(retrievers), row_of
        self._depth, self._constant = depth, constant

    def __repr__(self) -> str:
        return shown_as(self)

    @property
    def stores(self) -> Sequence[Retriever]:
        """Its retrievers that store something, such as the BM25 of `bm25+(bm25>r)`, which is there twice."""
        return [store for retriever in self._retrievers for store in stores_of(retriever)]

    @property
    def index_size(self) -> IndexSize | None:
        """What all of them store together, each store once; None where one does not say."""
        stores = {id(store): store for store in self.stores}
        sizes = [size_of(store) for store in stores.values()]
        known = [size for size in sizes if size is not None]
        if len(known) < len(sizes):
            return None
        return IndexSize(sum(size.vectors for size in known), sum(size.num_bytes for size in known))

    @property
    def served_elsewhere(self) -> bool:
        """Whether one of them is."""
        return any(map(is_served_elsewhere, self._retrievers))

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """See `Retriever.search`. Each retriever gets all queries at once."""
        queries = query_list(queries, k)
        results = [retriever.search(queries, max(k, self._depth)) for retriever in self._retrievers]
        return [fuse(lists, k, self._row_of, constant=self._constant) for lists in zip(*results, strict=True)]


def fuse_runs(
    runs: Sequence[Mapping[str, Sequence[Hit]]], k: int, row_of: Callable[[str], int]
) -> dict[str, list[Hit]]:
    """Fuses the runs of several systems: query id to the `k` best, for all queries of any of them."""
    queries = dict.fromkeys(query_id for run in runs for query_id in run)
    return {query_id: fuse([run.get(query_id, ()) for run in runs], k, row_of) for query_id in queries}


def fuse(
    lists: Sequence[Sequence[Hit]], k: int, row_of: Callable[[str], int], *, constant: int = RRF_CONSTANT
) -> list[Hit]:
    """The `k` best of several lists for one query, by reciprocal rank fusion; see `FusionRetriever`."""
    shares: dict[str, list[float]] = {}
    for hits in lists:
        for hit in hits:
            shares.setdefault(hit.docid, []).append(1 / (constant + hit.rank))
    # Summed exactly, so that a tie is one whatever the order of the retrievers.
    scores = {docid: math.fsum(parts) for docid, parts in shares.items()}
    best = sorted(scores, key=lambda docid: (-scores[docid], row_of(docid)))[:k]
    return [Hit(docid, scores[docid], rank) for rank, docid in enumerate(best, start=1)]


class RerankedRetriever:
    """A retriever whose best results a model ranks again: a CrossEncoder, or late interaction.

    The documents of each query are scored by themselves, so that its ranking never depends on the queries beside it.
    Scores are the model's own (`CrossEncoderReranker`, `LateReranker`). Equal scores keep the order of the first
    retriever.

    Args:
        first: Finds the documents that are ranked again; no others are in the results.
        model: Any CrossEncoder that gives one score per pair, any MultiVectorEncoder, or any `Reranker`. It reads the
            query as the first retriever gets it.
        documents: The corpus's documents by their ids.
        name, revision: The model's repository and commit sha, kept for records.
        query_style: The style of queries that the model was trained with; None for one that reads any.
        depth: Results of the first retriever that are ranked again, and at most so many come out. None for 100, or
            `k` where that is more.
        batch_size: Documents that are scored, or encoded, together.

    Raises:
        LratError: The model gives several scores per pair, or reads queries in another style than the first retriever.
    """

    def __init__(
        self,
        first: Retriever,
        model: CrossEncoder | MultiVectorEncoder | Reranker,
        documents: Mapping[str, Document],
        *,
        name: str = "reranker",
        revision: str | None = None,
        query_style: QueryStyle | None = "plain",
        depth: int | None = None,
        batch_size: int = BATCH_SIZE,
    ) -> None:
        if depth is not None and depth < 1:
            raise LratError(f"Reranking: expected a depth of 1 or more, found {depth}.")
        self._reranker = reranker_of(model, name=name, batch_size=batch_size)
        self.name = f"{first.name}>{name}" if depth is None else f"{first.name}>{depth}:{name}"
        self.revision = _joined(">", (first.revision, revision))
        own = style_read_by(first)
        self.query_style = require_one_style(self.name, [(first.name, own), (name, query_style or own)])
        self._first, self._documents, self._depth = first, documents, depth

    @classmethod
    def of(
        cls,
        source: Source,
        first: Retriever,
        model: CrossEncoder | MultiVectorEncoder,
        documents: Mapping[str, Document],
        *,
        depth: int | None = None,
    ) -> RerankedRetriever:
        """A model that a pin names, with the name, commit and query style that it has there.

        Raises:
            LratError: As above, or the model's configuration can't be read.
        """
        return cls(first, model, documents, depth=depth, **retriever_options(source))

    def __repr__(self) -> str:
        return shown_as(self)

    @property
    def stores(self) -> Sequence[Retriever]:
        """What stores something: the first retriever, or its parts."""
        return stores_of(self._first)

    @property
    def index_size(self) -> IndexSize | None:
        """What the first retriever stores: documents are read again for each query."""
        return size_of(self._first)

    @property
    def served_elsewhere(self) -> bool:
        """Whether the first retriever or the reranker is."""
        return is_served_elsewhere(self._first) or is_served_elsewhere(self._reranker)

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """See `Retriever.search`. The first retriever gets all queries at once.

        Raises:
            LratError: A score is not finite, there are others than one a document, or the first retriever finds
                documents that are not in the corpus.
        """
        queries = query_list(queries, k)
        depth = self._depth or max(k, RERANKING_DEPTH)
        results = self._first.search(queries, depth)
        return [self._ranked(query, hits[:depth])[:k] for query, hits in zip(queries, results, strict=True)]

    def _ranked(self, query: str, hits: Sequence[Hit]) -> list[Hit]:
        if not hits:
            return []
        try:
            texts = [self._documents[hit.docid].content for hit in hits]
        except KeyError as error:
            raise LratError(f"{self.name}: expected documents of the corpus, found {error}.") from error
        given = self._reranker.score(query, texts)
        try:
            scores = np.asarray(given, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise LratError(f"{self.name}: expected numbers as scores, found {given!r}.") from error
        if scores.shape != (len(hits),):
            raise LratError(
                f"{self.name}: expected a score for each of {len(hits)} documents, found shape {scores.shape}."
            )
        if not np.isfinite(scores).all():
            raise LratError(f"{self.name}: expected finite scores, found others for {query[:80]!r}. Is it damaged?")
        order = np.argsort(-scores, kind="stable")
        return [Hit(hits[index].docid, float(scores[index]), rank) for rank, index in enumerate(order, start=1)]


def require_one_style(name: str, styles: Sequence[tuple[str, QueryStyle]]) -> QueryStyle:
    """The style that all parts of a retriever read queries in, "plain" when there are none.

    Args:
        name: The retriever's.
        styles: The parts' names and styles.

    Raises:
        LratError: They differ: one text can't be rendered for all of them.
    """
    if len({style for _, style in styles}) > 1:
        given = ", ".join(f"{part}: {style}" for part, style in styles)
        raise LratError(f"Retriever {name}: expected parts that read queries in one style, found {given}.")
    return styles[0][1] if styles else "plain"


def _joined(separator: str, revisions: Iterable[str | None]) -> str | None:
    known = list(revisions)
    return None if None in known else separator.join(map(str, known))
