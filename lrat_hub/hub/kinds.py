"""Kinds of tables: the columns that each must have, and the values that none of its rows may lack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from lrat_hub.errors import LratError

if TYPE_CHECKING:
    from datasets import Dataset

TableKind = Literal[
    "corpus", "documents", "queries", "qrels", "trajectories", "pairs", "document_ids", "summary", "comparisons"
]

COLUMNS: dict[TableKind, tuple[str, ...]] = {
    "corpus": ("docid", "title", "text"),
    "documents": ("docid", "title", "text"),
    "queries": ("query_id", "query", "answer"),
    "qrels": ("query_id", "docid", "relevance"),
    "trajectories": ("trajectory_id", "query_id", "question", "steps"),
    "pairs": ("pair_id", "query", "positive_id", "negative_ids", "weight", "verdict"),
    "document_ids": ("docid",),
    "summary": ("system",),
    "comparisons": ("system", "baseline", "metric", "difference", "low", "high"),
}
"""The columns that a table of each kind must have."""

ID_COLUMNS = frozenset({"docid", "query_id", "question_id"})
"""Columns that are read as strings, whatever type the dataset has: 7 and "7" are the same document."""

NEEDED: dict[TableKind, tuple[str, ...]] = {
    "corpus": ("docid",),
    "documents": ("docid",),
    "document_ids": ("docid",),
    "queries": ("query_id", "query"),
    "qrels": ("query_id", "docid", "relevance"),
}
"""Columns without a null: a row without its id matches nothing, and a query without its text asks nothing."""


def check_kind(table: Dataset, kind: TableKind, name: str) -> Dataset:
    """The table, when it has the columns of its kind, with its ids as strings and its grades as whole numbers.

    Raises:
        LratError: It lacks a column, or a value that no row may lack; or a grade is no whole number.
    """
    import pyarrow as pa
    from datasets import Value

    if missing := [column for column in COLUMNS[kind] if column not in table.column_names]:
        raise LratError(
            f"{name}: expected a {kind} dataset with columns {', '.join(COLUMNS[kind])}; "
            f"found {', '.join(table.column_names)}, without {', '.join(missing)}."
        )
    for column in NEEDED.get(kind, ()):
        if nulls := table.data.column(column).null_count:
            raise LratError(f"{name}: expected a {column} in every row, found none in {nulls} of {len(table)} rows.")
    for column in ID_COLUMNS.intersection(table.column_names):
        if table.features[column] != Value("string"):
            table = table.cast_column(column, Value("string"))
    if kind == "qrels" and not pa.types.is_integer(table.data.column("relevance").type):
        try:
            table = table.cast_column("relevance", Value("int32"))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise LratError(
                f"{name}: expected grades of relevance that are whole numbers; {str(error).splitlines()[0]}. "
                "Publish them as whole numbers."
            ) from error
    return table
