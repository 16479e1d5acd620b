"""Settings of indexes; no heavy import, so that options can be read and shown quickly."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from lrat_hub.errors import LratError

Kind = Literal["flat", "hnsw", "ivf"]

BATCH_SIZE = 64
SHARD_SIZE = 2_048
K1, B = 1.5, 0.75


@dataclass(frozen=True)
class IndexSettings:
    """How an index is made; each field says what it means, and a stamp holds those that shaped its index."""

    kind: Kind = field(
        default="flat",
        metadata={
            "group": "essentials",
            "help": "Kind of index: flat (exact), hnsw (a graph, fast at any size) or ivf (clusters, quick to build).",
        },
    )
    fp16: bool = field(
        default=False, metadata={"group": "essentials", "help": "Store vectors as float16 instead of float32."}
    )
    max_length: int = field(
        default=0,
        metadata={
            "group": "essentials",
            "help": "Maximum number of tokens per document; 0 uses the model's own limit.",
        },
    )
    batch_size: int = field(
        default=BATCH_SIZE, metadata={"group": "essentials", "help": "Number of texts that are encoded together."}
    )
    shard_size: int = field(
        default=SHARD_SIZE, metadata={"help": "Documents per shard; a run that is killed loses at most one shard."}
    )
    hnsw_links: int = field(default=32, metadata={"help": "HNSW: links per document in the graph (M)."})
    hnsw_build: int = field(
        default=200, metadata={"help": "HNSW: candidates per document while the graph is built (efConstruction)."}
    )
    hnsw_search: int = field(
        default=128, metadata={"help": "HNSW: candidates per query while the graph is searched (efSearch)."}
    )
    ivf_lists: int = field(
        default=0,
        metadata={"help": "IVF: number of clusters (nlist); 0 uses 4 sqrt(documents), at least 39 documents each."},
    )
    ivf_probes: int = field(
        default=0, metadata={"help": "IVF: clusters searched per query (nprobe); 0 searches a quarter of them."}
    )
    k1: float = field(default=K1, metadata={"help": "BM25: term frequency saturation (k1)."})
    b: float = field(default=B, metadata={"help": "BM25: length normalization (b), from 0 (none) to 1 (full)."})

    def __post_init__(self) -> None:
        for name in ("batch_size", "shard_size", "hnsw_links", "hnsw_build", "hnsw_search"):
            if getattr(self, name) < 1:
                raise LratError(f"Index settings: expected {name} of 1 or more, found {getattr(self, name)}.")
        for name in ("max_length", "ivf_lists", "ivf_probes"):
            if getattr(self, name) < 0:
                raise LratError(f"Index settings: expected {name} of 0 or more, found {getattr(self, name)}.")

    def encoding(self) -> dict[str, Any]:
        """What shapes the vectors, bit for bit: which texts share a batch does, too."""
        return self._select("fp16", "max_length", "batch_size", "shard_size")

    def structure(self) -> dict[str, Any]:
        """What shapes the index of the vectors."""
        return self._select(*(name for name in self.__dataclass_fields__ if name.startswith(f"{self.kind}_")))

    def _select(self, *names: str) -> dict[str, Any]:
        return {name: getattr(self, name) for name in names}
