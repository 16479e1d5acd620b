"""Fusion: several retrievers over one corpus as one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from lrat_hub.errors import LratError
from lrat_hub.retrieval import Hit, Retriever, style_read_by

RRF_CONSTANT = 60
"""k of reciprocal rank fusion, as Cormack, Clarke and Buettcher chose it (SIGIR 2009): results hardly depend on it."""

FUSION_DEPTH = 100


class FusionRetriever:
    """Reciprocal rank fusion: a document scores the sum of `1 / (constant + rank)` over the lists it is in.

    Args:
        retrievers: Two or more, over the same corpus.
        place: A document's place in the corpus by its docid, which decides ties: `Documents.row`.
        depth: Results of each retriever that take part, at least; a larger `k` takes more.
        constant: The larger it is, the less the first ranks stand out.

    Raises:
        LratError: They are less than two, or read queries in different styles.
    """

    def __init__(
        self,
        retrievers: Sequence[Retriever],
        place: Callable[[str], int],
        *,
        depth: int = FUSION_DEPTH,
        constant: int = RRF_CONSTANT,
    ) -> None:
        if len(retrievers) < 2:
            raise LratError(f"Fusion: expected two or more retrievers, found {len(retrievers)}.")
        if len(styles := {style_read_by(retriever) for retriever in retrievers}) > 1:
            found = ", ".join(f"{retriever.name}: {style_read_by(retriever)}" for retriever in retrievers)
            raise LratError(f"Fusion: expected retrievers that read queries in one style, found {found}.")
        (self.query_style,) = styles
        self._retrievers, self._place = tuple(retrievers), place
        self._depth, self._constant = depth, constant
        self.name = "+".join(retriever.name for retriever in retrievers)
        revisions = [retriever.revision for retriever in retrievers]
        self.revision = None if None in revisions else "+".join(map(str, revisions))

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """See `Retriever.search`. Each retriever gets all queries at once."""
        found = [retriever.search(queries, max(k, self._depth)) for retriever in self._retrievers]
        return [fuse(lists, k, self._place, constant=self._constant) for lists in zip(*found, strict=True)]


def fuse_runs(
    runs: Sequence[Mapping[str, Sequence[Hit]]], k: int, place: Callable[[str], int]
) -> dict[str, list[Hit]]:
    """The fusion of what several systems have found: query id to the `k` best, for all their queries."""
    queries = dict.fromkeys(query_id for run in runs for query_id in run)
    return {query_id: fuse([run.get(query_id, ()) for run in runs], k, place) for query_id in queries}


def fuse(
    lists: Sequence[Sequence[Hit]], k: int, place: Callable[[str], int], *, constant: int = RRF_CONSTANT
) -> list[Hit]:
    """The `k` best of several lists for one query, by reciprocal rank fusion; see `FusionRetriever`."""
    shares: dict[str, list[float]] = {}
    for hits in lists:
        for hit in hits:
            shares.setdefault(hit.docid, []).append(1 / (constant + hit.rank))
    # Summed exactly, so that a tie is one whatever the order of the retrievers.
    scores = {docid: math.fsum(parts) for docid, parts in shares.items()}
    best = sorted(scores, key=lambda docid: (-scores[docid], place(docid)))[:k]
    return [Hit(docid, scores[docid], rank) for rank, docid in enumerate(best, start=1)]
