"""Settings of indexes; no heavy import, so that options can be read and shown quickly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from lrat_hub.errors import LratError
from lrat_hub.option import option

Kind = Literal["flat", "hnsw", "ivf", "ivfpq", "lancedb"]

CODED = ("ivfpq", "lancedb")
"""Kinds that find candidates by short codes in clusters."""

STRUCTURE = {
    "flat": (),
    "hnsw": ("hnsw_",),
    "ivf": ("ivf_",),
    "ivfpq": ("ivf_", "pq_"),
    "lancedb": ("ivf_", "pq_", "store"),
}
"""How the names of the settings of each kind begin."""

PQ_DOCUMENTS = 39 * 256
"""Documents that 256 centroids a byte are trained with at least: FAISS warns of fewer."""

BATCH_SIZE = 64
SHARD_SIZE = 2_048
K1, B = 1.5, 0.75


@dataclass(frozen=True)
class IndexSettings:
    """How an index is made; each field says what it means, and a stamp holds those that shaped its index."""

    kind: Kind = option(
        "flat",
        "Kind of index: flat (exact), hnsw (a graph, fast at any size), ivf (clusters, quick to build), ivfpq (codes "
        "in memory find documents, and exact vectors on disk score them), or lancedb (the same in a table of LanceDB, "
        "which `store` names).",
        group="essentials",
    )
    fp16: bool = option(False, "Store vectors as float16 instead of float32.", group="essentials")
    precision: Literal["stored", "fp32", "bf16", "fp16"] = option(
        "stored",
        "Type that the model computes in, for documents and queries: that of its file (stored), fp32, bf16, or fp16, "
        "which is for GPUs. docs/retrieval.md has the effect on speed and recall.",
        group="essentials",
    )
    max_length: int = option(
        0, "Maximum number of tokens per document; 0 uses the model's own limit.", group="essentials"
    )
    batch_size: int = option(BATCH_SIZE, "Number of texts that are encoded together.", group="essentials")
    shard_size: int = option(SHARD_SIZE, "Documents per shard; a run that is killed loses at most one shard.")
    hnsw_links: int = option(32, "HNSW: links per document in the graph (M).")
    hnsw_build: int = option(200, "HNSW: candidates per document while the graph is built (efConstruction).")
    hnsw_search: int = option(128, "HNSW: candidates per query while the graph is searched (efSearch).")
    ivf_lists: int = option(
        0, "IVF: number of clusters (nlist); 0 uses 4 sqrt(documents), at least 39 documents each."
    )
    ivf_probes: int = option(
        0, "IVF: clusters searched per query (nprobe); 0 searches a quarter of them, of codes 4 sqrt(clusters)."
    )
    pq_bytes: int = option(
        0, "IVF-PQ: bytes per document in memory, a divisor of the model's dimension; 0 uses an eighth of it."
    )
    pq_candidates: int = option(
        400, "IVF-PQ: documents per query that the codes find and the exact vectors score, at least k."
    )
    store: str = option(
        "",
        "LanceDB: the table that is made, as /FOLDER/NAME.lance or s3://BUCKET/NAME.lance; the index is opened on "
        "machines that reach it.",
    )
    k1: float = option(K1, "BM25: term frequency saturation (k1).")
    b: float = option(B, "BM25: length normalization (b), from 0 (none) to 1 (full).")

    def __post_init__(self) -> None:
        for name in ("batch_size", "shard_size", "hnsw_links", "hnsw_build", "hnsw_search", "pq_candidates"):
            if getattr(self, name) < 1:
                raise LratError(f"Index settings: expected {name} of 1 or more, found {getattr(self, name)}.")
        for name in ("max_length", "ivf_lists", "ivf_probes", "pq_bytes"):
            if getattr(self, name) < 0:
                raise LratError(f"Index settings: expected {name} of 0 or more, found {getattr(self, name)}.")

        if bool(self.store) != (self.kind == "lancedb"):
            raise LratError(
                f"`store`: expected a table for kind lancedb and for no other, found {self.store or 'none'} for kind "
                f"{self.kind}. Give both, or neither."
            )

    def encoding(self) -> dict[str, Any]:
        """What shapes the vectors, bit for bit: which texts share a batch does, too."""
        return self._select("fp16", "precision", "max_length", "batch_size", "shard_size")

    def structure(self) -> dict[str, Any]:
        """What shapes the index of the vectors."""
        return self._select(*(name for name in self.__dataclass_fields__ if name.startswith(STRUCTURE[self.kind])))

    def require(self, documents: int, dimension: int) -> None:
        """Raises LratError for settings that can't make an index of so many vectors of a dimension."""
        if self.kind in ("ivf", *CODED) and self.ivf_lists > documents:
            raise LratError(
                f"`ivf_lists` {self.ivf_lists}: expected at most as many clusters as documents, found {documents:,}. "
                "Leave it out."
            )
        if self.kind not in CODED:
            return
        if documents < PQ_DOCUMENTS:
            raise LratError(
                f"Index of kind {self.kind}: expected {PQ_DOCUMENTS:,} documents or more to train its codes with, "
                f"found {documents:,}. Take kind flat."
            )
        if dimension % self.code_bytes(dimension):
            raise LratError(
                f"`pq_bytes` {self.code_bytes(dimension)}: expected a divisor of the dimension, {dimension}, as each "
                "byte stands for equally many numbers. Take another."
            )

    def code_bytes(self, dimension: int) -> int:
        """Bytes of a document's code in memory."""
        return self.pq_bytes or max(1, dimension // 8)

    def _select(self, *names: str) -> dict[str, Any]:
        return {name: getattr(self, name) for name in names}
