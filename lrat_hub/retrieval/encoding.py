"""A corpus's vectors as shards on disk: encoded by any number of processes, and kept when a run is killed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from lrat_hub.documents import Documents
from lrat_hub.errors import LratError
from lrat_hub.hub.lineage import package_versions
from lrat_hub.retrieval.dense import encode_documents
from lrat_hub.retrieval.settings import IndexSettings
from lrat_hub.storage import fsync_path

if TYPE_CHECKING:
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer

STAMP_FILE = "stamp.json"
SHAPING_PACKAGES = ("sentence-transformers", "torch", "transformers")


@dataclass(frozen=True)
class EncodedCorpus:
    """Vectors of a corpus's documents in shards of consecutive documents.

    A shard is encoded by itself, so its bytes don't depend on who encodes it, nor on which shards were there before.
    It appears under its name only when it is complete and safe on disk.

    Args:
        folder: Where the shards are; from `open`.
        documents: Documents of the corpus.
    """

    folder: Path
    documents: int
    dimension: int
    settings: IndexSettings

    @classmethod
    def open(
        cls,
        work_dir: Path,
        model: SentenceTransformer,
        documents: int,
        settings: IndexSettings,
        *,
        corpus_pin: str,
        model_pin: str,
    ) -> EncodedCorpus:
        """The shards of one corpus by one model, with one choice of settings, in a folder of their own.

        Shards are used again only by a run that would make the same bytes: its corpus, its model and its settings
        are the same, and so are the libraries that encode, the kind of device and, on a CPU, the number of threads,
        by which sums are split.

        Args:
            work_dir: Holds a folder for each such combination.
            corpus_pin, model_pin: What the documents and the model are.

        Raises:
            LratError: The folder is stamped by another combination.
        """
        import torch

        versions = package_versions()
        stamp = json.dumps(
            {
                "corpus": corpus_pin,
                "model": model_pin,
                "settings": settings.encoding(),
                "device": model.device.type,
                "threads": torch.get_num_threads() if model.device.type == "cpu" else None,
                "versions": {name: versions[name] for name in SHAPING_PACKAGES},
            },
            indent=2,
        )
        folder = work_dir / hashlib.sha256(stamp.encode()).hexdigest()[:16]
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / STAMP_FILE
        if not path.exists():
            _write(path, lambda file: file.write(stamp.encode()))
        if path.read_text(encoding="utf-8") != stamp:
            raise LratError(
                f"{path}: expected the stamp of this corpus, model and settings, found another stamp. "
                f"Remove {folder.name}, or take another --work_dir."
            )
        return cls(folder, documents, model.get_embedding_dimension(), settings)

    def encode(
        self,
        model: SentenceTransformer,
        table: Dataset,
        *,
        rank: int = 0,
        ranks: int = 1,
        on_shard: Callable[[int], Any] = lambda documents: None,
    ) -> None:
        """Encodes this process's share of the shards, leaving out those that are there.

        Args:
            table: The corpus.
            rank, ranks: This process's number, from 0, and how many there are.
            on_shard: Called with the number of documents of each shard that is done.
        """
        for place in range(rank, len(self), ranks):
            rows = range(*self._rows(place))
            if not self.has(place):
                shard = list(Documents(table.select(rows)).in_order())
                vectors = encode_documents(model, shard, batch_size=self.settings.batch_size).astype(self._dtype)
                if not np.isfinite(vectors).all():
                    raise LratError("Vectors: expected numbers that fit into float16, found larger. Leave --fp16 out.")
                _write(self._path(place), lambda file, vectors=vectors: np.save(file, vectors, allow_pickle=False))
            on_shard(len(rows))

    def has(self, place: int) -> bool:
        """Whether a shard is there, whole."""
        try:
            return self._load(place) is not None
        except (OSError, ValueError):
            # Not there, or cut short by a disk that lost what it had promised to keep.
            return False

    def shards(self) -> Sequence[np.ndarray]:
        """All shards in order, memory-mapped, each of shape (documents, dimension).

        Raises:
            LratError: One is missing.
        """
        if missing := [place for place in range(len(self)) if not self.has(place)]:
            raise LratError(
                f"{self.folder}: expected {len(self)} shards, found {len(self) - len(missing)}. "
                "Run the same command again to encode the rest."
            )
        return [self._load(place) for place in range(len(self))]

    def remove(self) -> None:
        """Removes the shards and their folder."""
        import shutil

        shutil.rmtree(self.folder)

    def __len__(self) -> int:
        return -(-self.documents // self.settings.shard_size)

    @property
    def _dtype(self) -> type[np.floating[Any]]:
        return np.float16 if self.settings.fp16 else np.float32

    def _rows(self, place: int) -> tuple[int, int]:
        start = place * self.settings.shard_size
        return start, min(start + self.settings.shard_size, self.documents)

    def _path(self, place: int) -> Path:
        return self.folder / f"shard-{place:06d}.npy"

    def _load(self, place: int) -> np.ndarray:
        vectors = np.load(self._path(place), mmap_mode="r", allow_pickle=False)
        start, end = self._rows(place)
        if vectors.shape != (end - start, self.dimension) or vectors.dtype != self._dtype:
            raise ValueError(f"{self._path(place)}: {vectors.dtype} of shape {vectors.shape}")
        return vectors


def _write(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Writes a file that is either not there or whole, whenever the process or the machine stops."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with partial.open("wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    fsync_path(path.parent)
