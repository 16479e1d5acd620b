"""Vectors in a FAISS index: exact (flat), a graph (HNSW) or clusters (IVF), searched with ties decided by position."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lrat_hub.errors import LratError
from lrat_hub.retrieval import Hit
from lrat_hub.retrieval.settings import IndexSettings, Kind

if TYPE_CHECKING:
    import faiss

    from lrat_hub.retrieval.shards import StreamedVectors

TIE_MARGIN = 32
"""Documents fetched beyond k, so that ties at rank k are seen."""

ROUNDING = 1e-5
"""Largest error of FAISS's inner products, relative to the vectors' norms: sums of float32 in an order of its own."""

FETCHED = 16_384
"""Vectors fetched at once to be scored again."""

GPU_DEPTH = 2_048
"""Most results that FAISS gives on a GPU."""

MIN_CLUSTER = 39
TRAINING_CLUSTER = 64
"""Documents a cluster of IVF: at least (FAISS warns of fewer), and at most in training, where more gain little."""


class VectorIndex:
    """Documents' vectors in a FAISS index of inner products.

    What FAISS finds is scored again here, in double precision and one document at a time. FAISS itself gives equal
    vectors different last digits, depending on where they stand and how many queries come at once; that way the
    ranking of a query would hang on the company it comes in, and not on documents' positions in the corpus.

    With a FAISS for GPUs and a GPU, flat and IVF indexes are searched there.

    Args:
        index: From `build_index`, or any FAISS index of inner products over all documents that can give vectors back;
            or vectors on disk.
        docids: Ids of the documents, in the order of the corpus.

    Raises:
        LratError: The numbers of vectors and ids differ.
    """

    def __init__(self, index: faiss.Index | StreamedVectors, docids: Sequence[str]) -> None:
        import faiss

        if index.ntotal != len(docids):
            raise LratError(f"Index: expected {len(docids)} vectors, found {index.ntotal}. Build it again.")
        if isinstance(index, faiss.IndexIVF):
            index.make_direct_map()
        self._index, self._docids = index, docids
        self._gpu_index = None
        if isinstance(index, faiss.Index) and not isinstance(index, faiss.IndexHNSW) and faiss.get_num_gpus() > 0:
            self._gpu_index = faiss.index_cpu_to_all_gpus(index)

    @classmethod
    def load(cls, path: Path, docids: Sequence[str], kind: Kind, *, mmap: bool = True) -> VectorIndex:
        """An index from a file that FAISS wrote, memory-mapped unless told otherwise.

        Args:
            kind: That of the index; FAISS maps clusters into memory in another way than flat vectors and graphs.

        Raises:
            LratError: The file is not there or damaged.
        """
        import faiss

        flag = faiss.IO_FLAG_MMAP if kind == "ivf" else faiss.IO_FLAG_MMAP_IFC
        try:
            index = faiss.read_index(str(path), flag if mmap else 0)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise LratError(f"{path.name}: expected a FAISS index, found {reason}. Build it again.") from error
        return cls(index, docids)

    def search(self, vectors: np.ndarray, k: int) -> list[list[Hit]]:
        """The `k` best documents for each query, equal scores by position in the corpus.

        An HNSW or IVF index may miss some of the best; those it finds are scored and ordered as a flat one's. A query
        whose vector is zero, such as an empty text's by a model of word vectors, is as near to every document as to
        any other, and finds nothing.

        Args:
            vectors: Shape (queries, dimension), float32.
        """
        results: list[list[Hit]] = [[] for _ in vectors]
        pending, depth = np.flatnonzero(vectors.any(axis=1)), min(k + TIE_MARGIN, len(self._docids))
        while len(pending):
            unsettled = []
            for row, positions, fetched in self._fetched(pending, self._find(vectors[pending], depth)):
                scores, error = _scores(vectors[row], fetched)
                order = np.lexsort((positions, -scores))[:k]
                # A document that was not fetched may still tie with the k-th: then more are fetched.
                all_found = len(positions) < depth or depth == len(self._docids)
                if not all_found and scores.min() + error >= scores[order[-1]]:
                    unsettled.append(row)
                else:
                    results[row] = [
                        Hit(self._docids[int(positions[index])], float(scores[index]), rank)
                        for rank, index in enumerate(order, start=1)
                    ]
            pending, depth = np.array(unsettled, dtype=np.int64), min(4 * depth, len(self._docids))
        return results

    def _fetched(self, rows: np.ndarray, results: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Each row with the positions that were found for it and their vectors, fetched for many rows at once."""
        step = max(1, FETCHED // max(1, results.shape[1]))
        for start in range(0, len(rows), step):
            part = results[start : start + step]
            unique = np.unique(part[part >= 0])
            vectors = self._index.reconstruct_batch(unique) if len(unique) else np.empty((0, 0), dtype=np.float32)
            for row, positions in zip(rows[start : start + step], part, strict=True):
                positions = positions[positions >= 0]
                yield row, positions, vectors[np.searchsorted(unique, positions)]

    def _find(self, vectors: np.ndarray, depth: int) -> np.ndarray:
        searched = self._gpu_index if self._gpu_index is not None and depth <= GPU_DEPTH else self._index
        return searched.search(vectors, depth)[1]


def _scores(query: np.ndarray, vectors: np.ndarray) -> tuple[np.ndarray, float]:
    """Scores of documents as float32, and how far FAISS's own may be from them."""
    if not len(vectors):
        return np.empty(0, dtype=np.float32), 0.0
    vectors = vectors.astype(np.float64)
    scores = (vectors * query.astype(np.float64)).sum(axis=1).astype(np.float32)
    norms = np.sqrt((vectors * vectors).sum(axis=1).max())
    return scores, float(ROUNDING * norms * np.linalg.norm(query))


def build_index(shards: Sequence[np.ndarray], settings: IndexSettings) -> faiss.Index:
    """A FAISS index of inner products.

    On one thread and with FAISS's fixed seeds: the same shards give the same bytes on any number of cores.

    Args:
        shards: Vectors in the order of the corpus, each of shape (documents, dimension). Those of float16 make an
            index that stores float16.
    """
    import faiss

    count, dimension = sum(len(shard) for shard in shards), shards[0].shape[1]
    storage = "SQfp16" if shards[0].dtype == np.float16 else "Flat"
    lists = ivf_lists(count, settings)
    key = {"flat": storage, "hnsw": f"HNSW{settings.hnsw_links}_{storage}", "ivf": f"IVF{lists},{storage}"}
    index = faiss.index_factory(dimension, key[settings.kind], faiss.METRIC_INNER_PRODUCT)
    if isinstance(index, faiss.IndexHNSW):
        # Both are kept in the file.
        index.hnsw.efConstruction, index.hnsw.efSearch = settings.hnsw_build, settings.hnsw_search
    with _one_thread():
        if isinstance(index, faiss.IndexIVF):
            index.nprobe = min(settings.ivf_probes or math.ceil(lists / 4), lists)
            step = max(1, count // (TRAINING_CLUSTER * lists))
            index.train(_float32(np.concatenate([shard[::step] for shard in shards])))
        for shard in shards:
            index.add(_float32(shard))
    return index


def ivf_lists(count: int, settings: IndexSettings) -> int:
    """Number of clusters of an IVF index over `count` documents."""
    return settings.ivf_lists or max(1, min(round(4 * math.sqrt(count)), count // MIN_CLUSTER))


def _float32(vectors: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(vectors, dtype=np.float32)


@contextmanager
def _one_thread() -> Iterator[None]:
    import faiss

    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)
