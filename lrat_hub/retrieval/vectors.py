"""Vectors in a FAISS index: exact (flat), a graph (HNSW) or clusters (IVF), searched with ties decided by position."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lrat_hub.errors import LratError
from lrat_hub.retrieval import Hit
from lrat_hub.retrieval.settings import CODED, IndexSettings, Kind

if TYPE_CHECKING:
    import faiss

    from lrat_hub.retrieval.coded import CodedVectors
    from lrat_hub.retrieval.shards import StreamedVectors
    from lrat_hub.retrieval.stores import LanceVectors

TIE_MARGIN = 32
"""Documents fetched beyond k, so that ties at rank k are seen."""

ROUNDING = 1e-5
"""Largest error of FAISS's inner products, relative to the vectors' norms: sums of float32 in an order of its own."""

FETCHED = 16_384
"""Vectors fetched at once to be scored again."""

BLAS_NUMBERS = 4_096
"""Queries times numbers, for each thread, from which products of matrices are faster."""

SINCE_1_15 = 1_000
"""Older FAISS counts queries alone, and has 20 here."""

GPU_DEPTH = 2_048
"""Most results that FAISS gives on a GPU."""

GPU_WORKSPACE = 2 * 10**9
"""Bytes on each GPU beside the vectors: FAISS takes 1.5 GiB for temporary results."""

MIN_CLUSTER = 39
TRAINING_CLUSTER = 64
"""Documents a cluster of IVF: at least (FAISS warns of fewer), and at most in training, where more gain little."""


class VectorIndex:
    """Documents' vectors in a FAISS index of inner products.

    What FAISS finds is scored again here, in double precision and one document at a time. FAISS itself gives equal
    vectors different last digits, depending on where they stand and how many queries come at once; that way the
    ranking of a query would hang on the company it comes in, and not on documents' positions in the corpus.

    With a FAISS for GPUs and a GPU, flat and IVF indexes are searched there; several GPUs share the vectors.

    Args:
        index: From `build_index`, or any FAISS index of inner products over all documents that can give vectors back;
            or vectors on disk, alone, with codes in memory, or in a store.
        docids: Ids of the documents, in the order of the corpus.

    Raises:
        LratError: The numbers of vectors and ids differ.
    """

    def __init__(
        self, index: faiss.Index | StreamedVectors | CodedVectors | LanceVectors, docids: Sequence[str]
    ) -> None:
        import faiss

        use_matrix_products()
        if index.ntotal != len(docids):
            raise LratError(f"Index: expected {len(docids)} vectors, found {index.ntotal}. Build it again.")
        if isinstance(index, faiss.IndexIVF):
            index.make_direct_map()
        self._index, self._docids, self._least = index, docids, getattr(index, "candidates", 0)
        self._gpu_index = None
        if isinstance(index, faiss.Index) and not isinstance(index, faiss.IndexHNSW) and faiss.get_num_gpus() > 0:
            self._gpu_index = _on_gpus(index)

    @classmethod
    def load(cls, path: Path, docids: Sequence[str], kind: Kind, *, mmap: bool = True) -> VectorIndex:
        """An index from a file that FAISS wrote; see `read_index`."""
        return cls(read_index(path, kind, mmap=mmap), docids)

    def part(self, rows: range) -> VectorIndex:
        """An exact index of some consecutive documents of this one, in memory, with the same vectors to the bit."""
        import faiss

        if isinstance(self._index, faiss.IndexFlat):
            index = faiss.IndexFlatIP(self._index.d)
        elif isinstance(self._index, faiss.IndexScalarQuantizer):
            index = faiss.IndexScalarQuantizer(
                self._index.d, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
            )
        else:
            raise LratError(f"Index: expected a flat one to take a part of, found {type(self._index).__name__}.")
        _copy(self._index, rows, index)
        return VectorIndex(index, self._docids[rows.start : rows.stop])

    def __len__(self) -> int:
        return len(self._docids)

    @property
    def docids(self) -> Sequence[str]:
        """Ids of the documents, in the order of the corpus."""
        return self._docids

    @property
    def num_bytes(self) -> int:
        """Bytes of the vectors and of what finds them: the size of FAISS's file, or of the shards on disk."""
        import faiss

        if not isinstance(self._index, faiss.Index):
            return self._index.num_bytes
        if isinstance(self._index, (faiss.IndexFlat, faiss.IndexScalarQuantizer)):
            return self._index.ntotal * self._index.code_size
        if isinstance(self._index, faiss.IndexIVF):
            # A file that is mapped would be written as a reference to itself.
            return self._index.ntotal * (self._index.code_size + 8) + 4 * self._index.nlist * self._index.d
        written = 0

        def count(data: bytes) -> int:
            nonlocal written
            written += len(data)
            return len(data)

        faiss.write_index(self._index, faiss.PyCallbackIOWriter(count))  # pyright: ignore[reportAttributeAccessIssue]
        return written

    @property
    def dimension(self) -> int:
        """Numbers a vector."""
        return self._index.d

    def search(self, vectors: np.ndarray, k: int) -> list[list[Hit]]:
        """The `k` best documents for each query, equal scores by position in the corpus.

        An HNSW, IVF or IVF-PQ index may miss some of the best; those it finds are scored and ordered as a flat one's.
        A query whose vector is zero, such as an empty text's by a model of word vectors, is as near to every document
        as to any other, and finds nothing.

        Args:
            vectors: Shape (queries, dimension), float32.
        """
        results: list[list[Hit]] = [[] for _ in vectors]
        pending, depth = np.flatnonzero(vectors.any(axis=1)), min(max(k + TIE_MARGIN, self._least), len(self._docids))
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


def use_matrix_products() -> None:
    """Has FAISS compare a few queries at once by a product of matrices, which is 3 to 8 times as fast on one thread.

    Since 1.15 it compares one query at a time, on all threads, until queries times numbers are 128,000. What it finds
    is scored again, so that results stay the same.
    """
    import faiss

    numbers = BLAS_NUMBERS * faiss.omp_get_max_threads()
    if faiss.cvar.distance_compute_blas_threshold >= SINCE_1_15:
        faiss.cvar.distance_compute_blas_threshold = min(faiss.cvar.distance_compute_blas_threshold, numbers)


def _on_gpus(index: faiss.Index) -> faiss.Index:
    """A copy of an index whose vectors are spread over all GPUs; FAISS by itself would put all of them on each."""
    import faiss
    import torch

    size = index.ntotal * (index.sa_code_size() + 8)
    require_gpu_memory(size, [torch.cuda.mem_get_info(device)[0] for device in range(faiss.get_num_gpus())])
    if isinstance(index, faiss.IndexIVF):
        options = faiss.GpuMultipleClonerOptions()
        options.shard = True
        return faiss.index_cpu_to_all_gpus(index, co=options)
    # FAISS spreads flat indexes, but none whose numbers are float16.
    parts = []
    for device in range(faiss.get_num_gpus()):
        config = faiss.GpuIndexFlatConfig()
        config.device, config.useFloat16 = device, isinstance(index, faiss.IndexScalarQuantizer)
        parts.append(faiss.GpuIndexFlatIP(faiss.StandardGpuResources(), index.d, config))
    return spread(index, parts)


def require_gpu_memory(size: int, free: Sequence[int]) -> None:
    """Raises LratError when GPUs that share an index have too little memory, before anything is copied to them.

    Args:
        size: Bytes of the index.
        free: Free bytes of each GPU.
    """
    from lrat_hub.hub.preflight import in_words

    if (needed := size // len(free) + GPU_WORKSPACE) > (least := min(free)):
        raise LratError(
            f"Index: expected {in_words(needed)} of free memory on each of {len(free)} GPUs, found {in_words(least)}. "
            "Store vectors as float16 (fp16), give it more GPUs, or none (CUDA_VISIBLE_DEVICES=) to search on the CPU."
        )


def spread(index: faiss.Index, parts: Sequence[Any]) -> faiss.Index:
    """One index over parts, which get the vectors of a flat index in its order, as many each.

    Args:
        parts: Empty FAISS indexes, one for each device.
    """
    import faiss

    # A thread each, and the ids of a part follow those of the one before.
    shards = faiss.IndexShards(index.d, True, True)  # pyright: ignore[reportCallIssue]  (its stub lacks them)
    ends = [round(index.ntotal * number / len(parts)) for number in range(len(parts) + 1)]
    for part, first, end in zip(parts, ends, ends[1:], strict=False):
        _copy(index, range(first, end), part)
        shards.add_shard(part)
    return shards


def _copy(index: faiss.Index, rows: range, part: Any) -> None:
    """Adds vectors of a flat index, in its order, to another one; not all of them at once."""
    for start in range(rows.start, rows.stop, FETCHED):
        part.add(index.reconstruct_batch(np.arange(start, min(start + FETCHED, rows.stop))))


def _scores(query: np.ndarray, vectors: np.ndarray) -> tuple[np.ndarray, float]:
    """Scores of documents as float32, and how far FAISS's own may be from them."""
    if not len(vectors):
        return np.empty(0, dtype=np.float32), 0.0
    vectors = vectors.astype(np.float64)
    scores = (vectors * query.astype(np.float64)).sum(axis=1).astype(np.float32)
    norms = np.sqrt((vectors * vectors).sum(axis=1).max())
    return scores, float(ROUNDING * norms * np.linalg.norm(query))


def read_index(path: Path, kind: Kind, *, mmap: bool = True) -> Any:
    """What a file of FAISS holds, memory-mapped unless told otherwise.

    Args:
        kind: That of the index; FAISS maps clusters into memory in another way than flat vectors and graphs.

    Raises:
        LratError: The file is not there or damaged.
    """
    import faiss

    flag = faiss.IO_FLAG_MMAP if kind in ("ivf", "ivfpq") else faiss.IO_FLAG_MMAP_IFC
    try:
        return faiss.read_index(str(path), flag if mmap else 0)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise LratError(f"{path.name}: expected a FAISS index, found {reason}. Build it again.") from error


def build_index(shards: Sequence[np.ndarray], settings: IndexSettings, *, threads: int = 1) -> faiss.Index:
    """A FAISS index of inner products; of kind ivfpq, the codes alone.

    On one thread and with FAISS's fixed seeds: the same shards give the same bytes on any number of cores.

    Args:
        shards: Vectors in the order of the corpus, each of shape (documents, dimension). Those of float16 make an
            index that stores float16.
        threads: For clusters, which large corpora need more of; a graph is made on one. Their number can touch the
            last bits of centres.

    Raises:
        LratError: The settings can't make an index of these vectors.
    """
    import faiss

    count, dimension = sum(len(shard) for shard in shards), shards[0].shape[1]
    settings.require(count, dimension)
    storage = "SQfp16" if shards[0].dtype == np.float16 else "Flat"
    lists = ivf_lists(count, settings)
    key = {"flat": storage, "hnsw": f"HNSW{settings.hnsw_links}_{storage}", "ivf": f"IVF{lists},{storage}"}
    # np: codes are not ordered for filters that nobody uses here, which takes most of the training.
    key["ivfpq"] = f"IVF{lists},PQ{settings.code_bytes(dimension)}np"
    index = faiss.index_factory(dimension, key[settings.kind], faiss.METRIC_INNER_PRODUCT)
    if isinstance(index, faiss.IndexHNSW):
        # Both are kept in the file.
        index.hnsw.efConstruction, index.hnsw.efSearch = settings.hnsw_build, settings.hnsw_search
    with _threads(1 if settings.kind == "hnsw" else threads):
        if isinstance(index, faiss.IndexIVF):
            index.nprobe = ivf_probes(lists, settings)
            step = max(1, count // (TRAINING_CLUSTER * lists))
            index.train(_float32(np.concatenate([shard[::step] for shard in shards])))
        for shard in shards:
            index.add(_float32(shard))
    return index


def ivf_lists(count: int, settings: IndexSettings) -> int:
    """Number of clusters of an IVF index over `count` documents."""
    return settings.ivf_lists or max(1, min(round(4 * math.sqrt(count)), count // MIN_CLUSTER))


def ivf_probes(lists: int, settings: IndexSettings) -> int:
    """Number of clusters that are searched per query, of so many.

    Of codes, four times the root of their number: a share that falls as a corpus grows, while the recall stays about
    what it is (docs/scale.md).
    """
    of_kind = round(4 * math.sqrt(lists)) if settings.kind in CODED else math.ceil(lists / 4)
    return min(settings.ivf_probes or of_kind, lists)


def build_memory(count: int, dimension: int, settings: IndexSettings) -> int:
    """Bytes of memory that `lrat index` takes at most to write an index from its shards, besides a shard."""
    if settings.kind == "flat":
        return 0
    vectors = count * dimension * (2 if settings.fp16 else 4)
    trained = 4 * dimension * TRAINING_CLUSTER * ivf_lists(count, settings)
    if settings.kind in CODED:
        # A position of 8 bytes is beside each code, and lists grow by doubling.
        return trained + 2 * count * (settings.code_bytes(dimension) + 8)
    # FAISS's vectors grow by doubling.
    return 2 * vectors + (trained if settings.kind == "ivf" else 8 * settings.hnsw_links * count)


def _float32(vectors: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(vectors, dtype=np.float32)


@contextmanager
def _threads(number: int) -> Iterator[None]:
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(number)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
