"""Exact search through vectors that stay on disk: neither memory nor one file has to hold them all."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from io import FileIO
from itertools import groupby
from pathlib import Path

import numpy as np

from lrat_hub.errors import LratError

BLOCK_BYTES = 96 * 2**20
"""Vectors that are in memory at once, as float32. Larger blocks are no faster to search, and cost time to be made."""

QUERIES = 4_096
"""Queries of one pass over the vectors; more of them take another pass."""


class StreamedVectors:
    """Vectors in shards on disk, with those methods of a flat FAISS index that `VectorIndex` calls.

    A search reads all of them once, in blocks, and keeps the best of each block in FAISS's heaps. They are read, not
    mapped: pages of mapped files would count as this process's memory, and stay there until somebody else needs it.
    On a machine with a GPU it is still searched on the CPU.

    Args:
        shards: Memory-mapped arrays of shape (documents, dimension), float32 or float16, in the order of the corpus:
            `EncodedCorpus.shards`, or `numpy.load(path, mmap_mode="r")` each.

    Raises:
        LratError: There are none, or they differ in dimension or type.
    """

    def __init__(self, shards: Sequence[np.memmap]) -> None:
        kinds = {(shard.shape[1], shard.dtype) for shard in shards if shard.ndim == 2}
        if len(kinds) != 1:
            raise LratError(f"Vectors: expected shards of one dimension and type, found {len(kinds)} kinds of them.")
        ((self.d, self._dtype),) = kinds
        self._files = [Path(str(shard.filename)) for shard in shards]
        self._offsets = [int(shard.offset) for shard in shards]
        self._starts = np.cumsum([0, *(len(shard) for shard in shards)])

    @property
    def ntotal(self) -> int:
        return int(self._starts[-1])

    def search(self, vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Scores and places of the `k` best for each query, best first, as FAISS gives them; -1 where there are fewer.

        Args:
            vectors: Shape (queries, dimension), float32.
        """
        passes = [self._search(vectors[start : start + QUERIES], k) for start in range(0, len(vectors), QUERIES)]
        scores, places = zip(*passes, strict=True)
        return np.concatenate(scores), np.concatenate(places)

    def _search(self, vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        import faiss

        best = faiss.ResultHeap(len(vectors), k, keep_max=True)
        for start, block in self._blocks():
            scores, places = faiss.knn(vectors, block, min(k, len(block)), metric=faiss.METRIC_INNER_PRODUCT)
            best.add_result(scores, places + start)
        best.finalize()
        return best.D, best.I

    def reconstruct_batch(self, places: np.ndarray) -> np.ndarray:
        """The vectors at these places, shape (places, dimension), float32."""
        found = np.empty((len(places), self.d), dtype=self._dtype)
        shards = np.searchsorted(self._starts, places, side="right") - 1
        order = np.argsort(places, kind="stable")
        row_bytes, view = self.d * self._dtype.itemsize, memoryview(found).cast("B")
        positions = (places - self._starts[shards]) * row_bytes
        for shard, group in groupby(order.tolist(), key=shards.tolist().__getitem__):
            with self._files[shard].open("rb", buffering=0) as file:
                # A call a row and nothing around it: this is what searching on disk costs each query more.
                for at in group:
                    row = view[at * row_bytes : (at + 1) * row_bytes]
                    if os.preadv(file.fileno(), [row], self._offsets[shard] + int(positions[at])) < row_bytes:
                        file.seek(self._offsets[shard] + int(positions[at]))
                        _read(file, found[at])
        return found.astype(np.float32, copy=False)

    def _blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """Blocks of vectors with the place of their first, each of shape (up to a block's rows, dimension), float32.

        Each is read into the memory of the one before. The system is told of the next, which it reads ahead. A thread
        of ours that reads while FAISS searches costs more than it saves: FAISS keeps every core busy, and all of its
        threads wait for the one whose core the reader takes.
        """
        import faiss

        rows = max(1, min(BLOCK_BYTES // (4 * self.d), self.ntotal))
        buffer = np.empty((rows, self.d), dtype=np.float32)
        with ThreadPoolExecutor(faiss.omp_get_max_threads()) as readers:
            for start in range(0, self.ntotal, rows):
                block = buffer[: min(rows, self.ntotal - start)]
                parts, at = [], 0
                for path, offset, count in self._parts(start, start + len(block)):
                    parts.append((path, offset, block[at : at + count]))
                    at += count
                # The list is there for what reading raises.
                list(readers.map(self._read_part, *zip(*parts, strict=True)))
                self._read_ahead(start + rows, start + 2 * rows)
                yield start, block

    def _read_part(self, path: Path, offset: int, into: np.ndarray) -> None:
        raw = into if self._dtype == np.float32 else np.empty(into.shape, dtype=self._dtype)
        with path.open("rb", buffering=0) as file:
            file.seek(offset)
            _read(file, raw)
        if raw is not into:
            into[:] = raw

    def _read_ahead(self, start: int, end: int) -> None:
        # Not every system can be told.
        if hasattr(os, "posix_fadvise"):
            for path, offset, count in self._parts(start, min(end, self.ntotal)):
                # Nor does every file system take advice.
                with path.open("rb", buffering=0) as file, suppress(OSError):
                    size = count * self.d * self._dtype.itemsize
                    os.posix_fadvise(file.fileno(), offset, size, os.POSIX_FADV_WILLNEED)

    def _parts(self, start: int, end: int) -> Iterator[tuple[Path, int, int]]:
        """Where the vectors from one place to another lie: files, bytes before their first there, and their number."""
        row_bytes = self.d * self._dtype.itemsize
        while start < end:
            shard = int(np.searchsorted(self._starts, start, side="right")) - 1
            until = min(end, int(self._starts[shard + 1]))
            offset = self._offsets[shard] + (start - int(self._starts[shard])) * row_bytes
            yield self._files[shard], offset, until - start
            start = until


def _read(file: FileIO, into: np.ndarray) -> None:
    view = memoryview(into).cast("B")
    while len(view):
        count = file.readinto(view)
        if not count:
            raise LratError(f"{file.name}: expected {len(view)} bytes more, found its end. Encode the corpus again.")
        view = view[count:]
