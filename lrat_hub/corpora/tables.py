"""Tables on disk: rows are written to Arrow as they come, and read back memory-mapped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrat_hub import schema
from lrat_hub.corpora.rows import Kind
from lrat_hub.documents import RowIndex
from lrat_hub.ledger import Ledger
from lrat_hub.storage import write_table

if TYPE_CHECKING:
    from datasets import Dataset, Features

KEYS: Mapping[Kind, tuple[str, ...]] = {
    "documents": ("docid",),
    "queries": ("query_id",),
    "qrels": ("query_id", "docid"),
}
"""Columns whose values must differ from row to row."""

_FEATURES: Mapping[Kind, Callable[[], Features]] = {
    "documents": schema.document_features,
    "queries": schema.query_features,
    "qrels": schema.qrel_features,
}


def build_table(kind: Kind, rows: Iterable[Mapping[str, Any]], ledger: Ledger, path: Path) -> Dataset:
    """Writes rows to an Arrow file; of rows with one key the first is kept.

    Memory is bounded by a batch of rows and 16 bytes a row: repeated keys are looked for when all rows are written.

    Args:
        rows: With the columns of the kind, in the order in which they are published.
        ledger: Counts what is kept, and what is dropped as a duplicate. The reader has counted the rest.
        path: The file to write; it must stay as long as the table is used.
    """
    import numpy as np

    table = write_table(rows, _FEATURES[kind](), path)
    repeated = RowIndex(table, *KEYS[kind]).repeated()
    if len(repeated):
        ledger.drop("duplicate id", len(repeated))
        table = table.select(np.setdiff1d(np.arange(len(table)), repeated, assume_unique=True))
    ledger.keep(len(table))
    return table
