"""Relevance judgements, out of TREC files, BEIR's TSV files or any source of rows."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

from lrat_hub.corpora.files import MAX_LENGTH, file_format, read_lines, unusable
from lrat_hub.corpora.rows import ColumnMap, Row, header_rows, identifier, read_rows
from lrat_hub.corpora.trec import read_qrel_lines
from lrat_hub.hub.inputs import LocalSource, Source
from lrat_hub.ledger import Ledger


def read_qrels(
    source: Source,
    ledger: Ledger,
    *,
    columns: ColumnMap | None = None,
    max_length: int = MAX_LENGTH,
) -> Iterator[Row]:
    """Rows `query_id, docid, relevance`.

    Args:
        source: A file of TREC's four fields a line; one in BEIR's form, with a header `query-id, corpus-id, score`;
            or a Hub dataset or file with named columns.
    """
    for row in _rows(source, columns or ColumnMap.of("qrels"), ledger, max_length):
        query_id, docid, relevance = identifier(row["query_id"]), identifier(row["docid"]), _grade(row["relevance"])
        if query_id is None or docid is None:
            ledger.drop("no id")
        elif relevance is None:
            ledger.drop("relevance is not a whole number")
        elif reason := unusable(query_id, docid, max_length=max_length):
            ledger.drop(reason)
        else:
            yield {"query_id": query_id, "docid": docid, "relevance": relevance}


def _rows(source: Source, columns: ColumnMap, ledger: Ledger, max_length: int) -> Iterator[Row]:
    is_text = isinstance(source, LocalSource) and source.path.is_file()
    if not is_text or file_format(source.path) in (".jsonl", ".parquet"):
        return read_rows(source, columns, ledger, max_length=max_length)
    lines = (line for line in read_lines(source.path, ledger, max_length=max_length) if line.strip())
    first = next(lines, "")
    lines = chain([first], lines)
    # TREC's files have four fields and no header; a header is told by the names of its columns.
    if any(name in first.rstrip("\r\n").split("\t") for name in columns.names["query_id"]):
        return header_rows(lines, columns, ledger, source)
    return read_qrel_lines(lines, ledger)


def _grade(value: Any) -> int | None:
    """A grade as a whole number that fits into 32 bits; BEIR's Hub datasets have some as floats."""
    try:
        grade = float(value) if not isinstance(value, bool) else None
    except (TypeError, ValueError):
        return None
    return int(grade) if grade is not None and grade.is_integer() and abs(grade) < 2**31 else None
