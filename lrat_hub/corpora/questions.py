"""Questions with their answers, out of TSV files, TREC topics or any source of rows."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

from lrat_hub.corpora.browsecomp import plain_row
from lrat_hub.corpora.files import MAX_LENGTH, file_format, opened, read_lines, unusable
from lrat_hub.corpora.rows import ColumnMap, Row, header_rows, identifier, read_rows
from lrat_hub.corpora.settings import Quotes
from lrat_hub.corpora.trec import read_topics
from lrat_hub.hub.inputs import LocalSource, Source
from lrat_hub.ledger import Ledger


def read_queries(
    source: Source,
    ledger: Ledger,
    *,
    columns: ColumnMap | None = None,
    quotes: Quotes = "text",
    topic_field: str = "title",
    canary: str | None = None,
    max_length: int = MAX_LENGTH,
) -> Iterator[dict[str, str | None]]:
    """Rows `query_id, query, answer, question_id`.

    Args:
        source: A TSV file `id, question[, answer]` without a header (InfoSeekQA, InfoSeek-Eval, MS MARCO);
            TREC topics; or a Hub dataset or file with named columns. With `columns` given, a TSV file has a header.
        quotes: How a TSV file without a header writes quotes, one rule for all of it. The released code reads some
            files with both, and so gets fragments for answers.
        topic_field: The field of a TREC topic that is the question.
        canary: For rows that are obfuscated as BrowseComp-Plus publishes them: the key where a row has no column
            `canary`, or "" when all have it. None for plain rows.

    Raises:
        LratError: The source can't be read, or a row needs a canary that is not given.
    """
    for row in _rows(source, columns, ledger, quotes, topic_field, max_length):
        if canary is not None and (row := plain_row(row, canary, ledger)) is None:
            continue
        query_id, query, answer = identifier(row["query_id"]), row["query"], row["answer"]
        if query_id is None or not isinstance(query, str) or not query.strip():
            ledger.drop("no id or no text")
            continue
        if answer is not None and not isinstance(answer, str):
            ledger.note("its answer is not a string and was left out")
            answer = None
        if reason := unusable(query_id, query, answer or "", max_length=max_length):
            ledger.drop(reason)
            continue
        yield {"query_id": query_id, "query": query, "answer": answer, "question_id": query_id}


def _rows(
    source: Source,
    columns: ColumnMap | None,
    ledger: Ledger,
    quotes: Quotes,
    topic_field: str,
    max_length: int,
) -> Iterator[Row]:
    named = columns or ColumnMap.of("queries")
    suffix = file_format(source.path) if isinstance(source, LocalSource) and source.path.is_file() else None
    if suffix is None or suffix in (".jsonl", ".parquet"):
        return read_rows(source, named, ledger, max_length=max_length)
    lines = read_lines(source.path, ledger, max_length=max_length)
    if _starts_with_tag(source.path):
        return read_topics(lines, ledger, topic_field, source)
    if columns is not None:
        return header_rows(lines, named, ledger, source)
    return _tsv_rows(lines, ledger, quotes)


def _starts_with_tag(path: Path) -> bool:
    with opened(path) as file:
        return file.read(256).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")


def _tsv_rows(lines: Iterable[str], ledger: Ledger, quotes: Quotes) -> Iterator[Row]:
    """Two or three fields a row. What looks like the other rule of quotes is noted: it may be the wrong choice."""
    for fields in _csv_fields(lines, ledger) if quotes == "csv" else _fields(lines):
        if len(fields) not in (2, 3):
            ledger.drop("not two or three fields")
            continue
        if quotes == "text" and any(len(field) > 1 and field[0] == field[-1] == '"' for field in fields):
            ledger.note("a whole field is in quotes, which were kept: was the file written with csv quotes?")
        yield {"query_id": fields[0], "query": fields[1], "answer": fields[2] if len(fields) == 3 else None}


def _fields(lines: Iterable[str]) -> Iterator[list[str]]:
    return (line.rstrip("\r\n").split("\t") for line in lines if line.strip())


def _csv_fields(lines: Iterable[str], ledger: Ledger) -> Iterator[list[str]]:
    reader = csv.reader(lines, delimiter="\t", strict=True)
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error:
            ledger.drop("quotes that don't match")
            continue
        if fields:
            yield fields
