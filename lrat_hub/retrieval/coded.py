"""Search in short codes that stand for vectors, with exact vectors on disk that score what the codes find; and the
recall of an approximate index against exact search, measured where it is built."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lrat_hub.errors import LratError
from lrat_hub.retrieval.shards import StreamedVectors
from lrat_hub.retrieval.vectors import VectorIndex, read_index

if TYPE_CHECKING:
    import faiss

VECTORS_PATTERN = "vectors-*.npy"
FILE_BYTES = 4 * 2**30
"""Bytes of one file of vectors at most, of which the Hub takes 50 GB."""

RECALL_QUERIES = 256
RECALL_WORDS = 12
RECALL_DEPTHS = (10, 100)


class CodedVectors:
    """Codes (IVF-PQ) beside the exact vectors, with those methods of a FAISS index that `VectorIndex` calls.

    The codes are searched in memory. Scores come from the vectors, which are read from disk: `candidates` reads of a
    vector for each query. What the codes don't find among the candidates is missed; what they find is ranked exactly.

    Args:
        index: The codes of all vectors.
        vectors: The vectors, in the order of the corpus.
        candidates: Documents that the codes find for a query, whatever is asked for.

    Raises:
        LratError: The two differ in number or dimension.
    """

    def __init__(self, index: faiss.IndexIVF, vectors: StreamedVectors, candidates: int) -> None:
        if (index.ntotal, index.d) != (vectors.ntotal, vectors.d):
            raise LratError(
                f"Index: expected codes of {vectors.ntotal} vectors of {vectors.d} numbers, found {index.ntotal} of "
                f"{index.d}. Build it again."
            )
        self._index, self._vectors, self.candidates = index, vectors, candidates
        self.ntotal, self.d = vectors.ntotal, vectors.d

    @classmethod
    def load(cls, folder: Path, index_file: str, candidates: int) -> CodedVectors:
        """Those of an index's folder; vectors stay on disk, and so do the codes until they are searched.

        Raises:
            LratError: A file is missing or damaged.
        """
        try:
            shards = [np.load(path, mmap_mode="r") for path in sorted(folder.glob(VECTORS_PATTERN))]
        except (OSError, ValueError) as error:
            raise LratError(f"{folder.name}: expected {VECTORS_PATTERN}, found {error}. Build it again.") from error
        return cls(read_index(folder / index_file, "ivfpq"), StreamedVectors(shards), candidates)

    @property
    def num_bytes(self) -> int:
        """Bytes of the codes with their positions, of the clusters' centres, and of the vectors on disk."""
        codes = self.ntotal * (self._index.code_size + 8) + 4 * self._index.nlist * self.d
        return codes + self._vectors.num_bytes

    def search(self, vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Scores by the codes, and positions, of the `k` best for each query; -1 where there are fewer."""
        return self._index.search(vectors, k)

    def reconstruct_batch(self, positions: np.ndarray) -> np.ndarray:
        """The exact vectors at these positions, shape (positions, dimension), float32."""
        return self._vectors.reconstruct_batch(positions)


def write_vectors(folder: Path, shards: Sequence[np.ndarray], file_bytes: int = FILE_BYTES) -> None:
    """Writes vectors in the order of the corpus into as few `vectors-*.npy` as the size of a file allows."""
    each = max(1, file_bytes // max(1, shards[0].nbytes))
    groups = [shards[start : start + each] for start in range(0, len(shards), each)]
    for number, group in enumerate(groups):
        rows, dimension = sum(len(shard) for shard in group), group[0].shape[1]
        path = folder / f"vectors-{number:05d}-of-{len(groups):05d}.npy"
        into = np.lib.format.open_memmap(path, mode="w+", dtype=group[0].dtype, shape=(rows, dimension))
        start = 0
        for shard in group:
            into[start : start + len(shard)] = shard
            start += len(shard)
        into.flush()


def sampled_queries(texts: Iterable[str], count: int) -> list[str]:
    """Queries to measure recall with, where nobody has asked any yet: how evenly spaced documents begin.

    Args:
        texts: Of all documents.
        count: Number of documents.
    """
    chosen = islice(texts, 0, None, max(1, count // RECALL_QUERIES))
    return [" ".join(text.split()[:RECALL_WORDS]) for text in islice(chosen, RECALL_QUERIES)]


def measured_recall(index: VectorIndex, shards: Sequence[np.memmap], queries: np.ndarray) -> dict[str, Any]:
    """The share of the exact results that an index finds, on average over queries.

    Args:
        index: The one that is measured.
        shards: The same vectors, which are searched exactly: see `StreamedVectors`.
        queries: Vectors, shape (queries, dimension), float32.

    Returns:
        The number of `queries`, and `recall@10` and `recall@100`, from 0 to 1; of smaller corpora, of all there is.
    """
    exact = VectorIndex(StreamedVectors(shards), index.docids)
    found, expected = (one.search(queries, max(RECALL_DEPTHS)) for one in (index, exact))
    measured: dict[str, Any] = {"queries": len(queries)}
    for depth in RECALL_DEPTHS:
        shares = [
            len({hit.docid for hit in hits[:depth]} & {hit.docid for hit in best[:depth]}) / len(best[:depth])
            for hits, best in zip(found, expected, strict=True)
            if best
        ]
        measured[f"recall@{depth}"] = round(float(np.mean(shares)), 4)
    return measured


def recall_in_words(recall: Mapping[str, Any]) -> str:
    """What `measured_recall` gives, as it is printed and stands on cards."""
    shares = ", ".join(f"{name} {value:.3f}" for name, value in recall.items() if name != "queries")
    return f"against exact search, of {recall['queries']} queries that are the first words of documents: {shares}"
