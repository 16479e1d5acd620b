"""A corpus's vectors as shards on disk: encoded by any number of processes, kept when a run is killed, and searched
exactly where they are, so that neither memory nor one file has to hold them all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from lrat_hub.documents import Documents
from lrat_hub.errors import LratError
from lrat_hub.hub.lineage import package_versions
from lrat_hub.retrieval.dense import encode_documents
from lrat_hub.retrieval.indexes import DOCIDS_FILE, DocidFile, write_docids
from lrat_hub.retrieval.settings import IndexSettings
from lrat_hub.retrieval.vectors import VectorIndex
from lrat_hub.scaling.work import WorkFolder, write_whole
from lrat_hub.schema import Document

if TYPE_CHECKING:
    from datasets import Dataset
    from sentence_transformers import MultiVectorEncoder, SentenceTransformer

SHAPING_PACKAGES = ("sentence-transformers", "torch", "transformers")

BLOCK_BYTES = 96 * 2**20
"""Vectors that are in memory at once, as float32. Larger blocks are no faster to search, and cost time to be made."""

QUERIES = 4_096
"""Queries of one pass over the vectors; more of them take another pass."""


@dataclass(frozen=True)
class EncodedCorpus:
    """Vectors of a corpus's documents in shards of consecutive documents.

    A shard is encoded by itself, so its bytes don't depend on who encodes it, nor on which shards were there before.
    It appears under its name only when it is complete and safe on disk.

    Args:
        work: Where the shards are; from `open`.
        documents: Documents of the corpus.
    """

    work: WorkFolder
    documents: int
    dimension: int
    settings: IndexSettings

    @classmethod
    def open(
        cls,
        work_dir: Path,
        model: SentenceTransformer | MultiVectorEncoder,
        documents: int,
        settings: IndexSettings,
        *,
        corpus_pin: str,
        model_pin: str,
        device: str = "",
    ) -> Self:
        """The shards of one corpus by one model, with one choice of settings, in a folder of their own.

        Shards are used again only by a run that would make the same bytes: its corpus, its model and its settings
        are the same, and so are the libraries that encode, the kind of device and, on a CPU, the number of threads,
        by which sums are split.

        Args:
            work_dir: Holds a folder for each such combination.
            corpus_pin, model_pin: What the documents and the model are.
            device: Kind of device that encodes, such as "cuda", where it is not the model's here.

        Raises:
            LratError: The folder is stamped by another combination.
        """
        import torch

        device, versions = device or model.device.type, package_versions()
        work = WorkFolder.open(
            work_dir,
            {
                "corpus": corpus_pin,
                "model": model_pin,
                "settings": settings.encoding(),
                "device": device,
                "threads": torch.get_num_threads() if device == "cpu" else None,
                "versions": {name: versions[name] for name in SHAPING_PACKAGES},
            },
        )
        dimension = model.get_embedding_dimension()
        if dimension is None:
            raise LratError(f"{model_pin}: expected a model that knows the dimension of its vectors, found none.")
        return cls(work, documents, dimension, settings)

    @property
    def folder(self) -> Path:
        """Where the shards are."""
        return self.work.path

    def lock(self) -> None:
        """See `WorkFolder.lock`."""
        self.work.lock()

    def unlock(self) -> None:
        """See `WorkFolder.unlock`."""
        self.work.unlock()

    def encode(
        self,
        model: SentenceTransformer | MultiVectorEncoder,
        table: Dataset,
        *,
        rank: int = 0,
        ranks: int = 1,
        on_documents: Callable[[int], object] = lambda documents: None,
    ) -> None:
        """Encodes this process's share of the shards, leaving out those that are there.

        Args:
            table: The corpus.
            rank, ranks: This process's number, from 0, and how many there are.
            on_documents: Called with a number of documents that are done: a batch's, and those of each shard that is
                there already.
        """
        for number in range(rank, len(self), ranks):
            rows = range(*self._rows(number))
            if self.has(number):
                on_documents(len(rows))
                continue
            self._encode_shard(number, model, list(Documents(table.select(rows)).in_order()), on_documents)

    def _encode_shard(
        self, number: int, model: Any, documents: Sequence[Document], on_documents: Callable[[int], object]
    ) -> None:
        vectors = encode_documents(model, documents, batch_size=self.settings.batch_size, on_texts=on_documents)
        self._save(number, vectors)

    def _save(self, number: int, vectors: np.ndarray) -> None:
        vectors = vectors.astype(self._dtype)
        if not np.isfinite(vectors).all():
            raise LratError("Vectors: expected numbers that fit into float16, found larger. Leave `fp16` out.")
        write_whole(self._path(number), lambda file: np.save(file, vectors, allow_pickle=False))

    def share(self, rank: int = 0, ranks: int = 1) -> int:
        """Number of documents that `encode` gives to a process."""
        return sum(len(range(*self._rows(number))) for number in range(rank, len(self), ranks))

    def has(self, number: int) -> bool:
        """Whether a shard is there, whole."""
        try:
            return self._load(number) is not None
        except (OSError, ValueError):
            # Not there, or cut short by a disk that lost what it had promised to keep.
            return False

    def shards(self) -> Sequence[np.memmap]:
        """All shards in order, memory-mapped, each of shape (documents, dimension).

        Raises:
            LratError: One is missing.
        """
        if missing := [number for number in range(len(self)) if not self.has(number)]:
            raise LratError(
                f"{self.folder}: expected {len(self)} shards, found {len(self) - len(missing)}. "
                "Run the same command again to encode the rest."
            )
        return [self._load(number) for number in range(len(self))]

    def vector_index(self, docids: Iterable[str]) -> VectorIndex:
        """The exact search through all shards. The docids go into a file beside them.

        Args:
            docids: Ids of the documents, in the order of the corpus.

        Raises:
            LratError: A shard is missing.
        """
        path = self.folder / DOCIDS_FILE
        write_docids(path, docids)
        return VectorIndex(StreamedVectors(self.shards()), DocidFile(path))

    def remove(self) -> None:
        """Removes the shards and their folder."""
        self.work.remove()

    def __len__(self) -> int:
        return -(-self.documents // self.settings.shard_size)

    @property
    def _dtype(self) -> type[np.floating[Any]]:
        return np.float16 if self.settings.fp16 else np.float32

    def _rows(self, number: int) -> tuple[int, int]:
        start = number * self.settings.shard_size
        return start, min(start + self.settings.shard_size, self.documents)

    def _path(self, number: int) -> Path:
        return self.folder / f"shard-{number:06d}.npy"

    def _load(self, number: int) -> np.memmap:
        vectors = np.load(self._path(number), mmap_mode="r", allow_pickle=False)
        start, end = self._rows(number)
        if vectors.shape != (end - start, self.dimension) or vectors.dtype != self._dtype:
            raise ValueError(f"{self._path(number)}: {vectors.dtype} of shape {vectors.shape}")
        return vectors


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

    @property
    def num_bytes(self) -> int:
        return self.ntotal * self.d * self._dtype.itemsize

    def search(self, vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Scores and positions of the `k` best for each query, best first; -1 where there are fewer, as in FAISS.

        Args:
            vectors: Shape (queries, dimension), float32.
        """
        passes = [self._search(vectors[start : start + QUERIES], k) for start in range(0, len(vectors), QUERIES)]
        scores, positions = zip(*passes, strict=True)
        return np.concatenate(scores), np.concatenate(positions)

    def _search(self, vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        import faiss

        best = faiss.ResultHeap(len(vectors), k, keep_max=True)
        for start, block in self._blocks():
            scores, positions = faiss.knn(vectors, block, min(k, len(block)), metric=faiss.METRIC_INNER_PRODUCT)
            best.add_result(scores, positions + start)
        best.finalize()
        return best.D, best.I

    def reconstruct_batch(self, positions: np.ndarray) -> np.ndarray:
        """The vectors at these positions in the corpus, shape (positions, dimension), float32."""
        vectors = np.empty((len(positions), self.d), dtype=self._dtype)
        shards = np.searchsorted(self._starts, positions, side="right") - 1
        order = np.argsort(positions, kind="stable")
        row_bytes, view = self.d * self._dtype.itemsize, vectors.data.cast("B")
        offsets = (positions - self._starts[shards]) * row_bytes
        for shard, group in groupby(order.tolist(), key=shards.tolist().__getitem__):
            with self._files[shard].open("rb", buffering=0) as file:
                # A call a row and nothing around it: this is what searching on disk costs each query more.
                for index in group:
                    row = view[index * row_bytes : (index + 1) * row_bytes]
                    if os.preadv(file.fileno(), [row], self._offsets[shard] + int(offsets[index])) < row_bytes:
                        file.seek(self._offsets[shard] + int(offsets[index]))
                        _read(file, vectors[index])
        return vectors.astype(np.float32, copy=False)

    def _blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """Blocks of vectors with the position of the first, each of shape (up to a block's rows, dimension), float32.

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
        """Where a range of positions lies: files, bytes before the first vector there, and the number of vectors."""
        row_bytes = self.d * self._dtype.itemsize
        while start < end:
            shard = int(np.searchsorted(self._starts, start, side="right")) - 1
            until = min(end, int(self._starts[shard + 1]))
            offset = self._offsets[shard] + (start - int(self._starts[shard])) * row_bytes
            yield self._files[shard], offset, until - start
            start = until


def _read(file: FileIO, into: np.ndarray) -> None:
    view = into.data.cast("B")
    while len(view):
        count = file.readinto(view)
        if not count:
            raise LratError(f"{file.name}: expected {len(view)} bytes more, found its end. Encode the corpus again.")
        view = view[count:]
