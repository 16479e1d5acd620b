"""Questions with their answers, and relevance judgements: out of TSV files, TREC's files or any source of rows.

BrowseComp and BrowseComp-Plus publish their questions obfuscated, and so does this library (`lrat_hub.obfuscation`):
the plain text is made in memory, and published only by a wish of its own, to a private repository.
"""

from __future__ import annotations

import csv
import html
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Literal, TypeGuard

from lrat_hub.corpora.rows import (
    MAX_LENGTH,
    ColumnMap,
    SourceRow,
    fields_of,
    file_format,
    header_rows,
    identifier,
    opened,
    read_lines,
    read_rows,
    tab_fields,
    unusable,
)
from lrat_hub.errors import LratError
from lrat_hub.hub.inputs import LocalSource, Source
from lrat_hub.ledger import Ledger
from lrat_hub.llm.pinned import Pointer
from lrat_hub.obfuscation import deobfuscate

Quotes = Literal["auto", "text", "csv"]

PUBLISHED = "published"
"""Stands for the canary of BrowseComp-Plus, which its authors publish in their script."""

CANARY = Pointer(
    repository="texttron/BrowseComp-Plus",
    commit="97c637cebfd93965b28f93199e27abfd1dcc5de6",
    file="scripts_build_index/decrypt_dataset.py",
    constant="DEFAULT_CANARY",
    sha256="20287cf38eca18a9153bbd95dab116d5d732bda95f99f74005974cd2feb3a232",
)

_TOPIC = re.compile(r"<(top|topic)\b([^>]*)>(.*?)</\1>", re.DOTALL | re.IGNORECASE)
_FIELD = re.compile(r"<(\w+)[^>]*>([^<]*)")
_NUMBER = re.compile(r"""(?:number|id)\s*=\s*["']([^"']+)["']""", re.IGNORECASE)
_LABELS = re.compile(r"^\s*(?:Number|Topic|Description|Narrative)\s*:", re.IGNORECASE)


def read_queries(
    source: Source,
    ledger: Ledger,
    *,
    columns: ColumnMap | None = None,
    quotes: Quotes = "auto",
    topic_field: str = "title",
    canary: str = "",
    plain: bool = False,
    max_length: int = MAX_LENGTH,
) -> Iterator[dict[str, str | None]]:
    """Rows `query_id, query, answer, question_id, canary`; the last is None where the texts are plain.

    Args:
        source: A TSV file `id, question[, answer]` (InfoSeekQA, InfoSeek-Eval, MS MARCO), where a first line of known
            names of columns is a header; TREC topics; or a Hub dataset or file with named columns. With `columns`
            given, a TSV file has a header.
        quotes: How a TSV file without a header writes quotes, one rule for all of it. The released code reads some
            files with both, and so gets fragments for answers. "auto" takes them for text, unless only as CSV quotes
            all rows have two or three fields.
        topic_field: The field of a TREC topic that is the question.
        canary: The key of rows that are obfuscated as BrowseComp-Plus publishes them, where a row has no column
            `canary`; "published" for the one that its authors publish, and "published@PATH" to read that from a
            checkout of their repository. Rows without any key are plain.
        plain: Whether all rows are obfuscated, and to be given in plain; by default texts stay as they are published.

    Raises:
        LratError: The source can't be read, or a row needs a key that is not given.
    """
    own_key = canary_of(canary)
    for given in _query_rows(source, columns, ledger, quotes, topic_field, max_length):
        key, row = given.get("canary") or own_key, given
        if key and (row := plain_row(given, key, ledger)) is None:
            continue
        if plain and not key:
            raise LratError(
                "Obfuscated questions: expected the canary string that is their key, in a column `canary` or as the "
                "setting `canary`; found neither. 'published' takes the one that BrowseComp-Plus's authors publish."
            )
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
        kept = key if key and not plain else None
        if kept:
            query, answer = given["query"], given["answer"] if answer is not None else None
        yield {"query_id": query_id, "query": query, "answer": answer, "question_id": query_id, "canary": kept}


def _query_rows(
    source: Source,
    columns: ColumnMap | None,
    ledger: Ledger,
    quotes: Quotes,
    topic_field: str,
    max_length: int,
) -> Iterator[SourceRow]:
    named = columns or ColumnMap.of("queries")
    if not _is_text_file(source):
        return read_rows(source, named, ledger, max_length=max_length)
    lines = read_lines(source.path, ledger, max_length=max_length)
    if _starts_with_tag(source.path):
        return read_topics(lines, ledger, topic_field, source)
    if quotes == "auto" and columns is None:
        quotes = _rule_of_quotes(source.path, max_length)
    rows = _fields(lines, quotes, ledger)
    first = next(rows, [])
    rows = chain([first] if first else [], rows)
    if columns is not None or _is_header(first, named):
        return header_rows(rows, named, ledger, source)
    return _tsv_rows(rows, ledger, quotes)


def _is_header(fields: Sequence[str], columns: ColumnMap) -> bool:
    """Whether a row has names of both the id's and the question's column: no question reads "query" or "text"."""
    plain = [field.strip('"') for field in fields]
    return all(any(name in plain for name in columns.names[ours]) for ours in ("query_id", "query"))


def _is_text_file(source: Source) -> TypeGuard[LocalSource]:
    """Whether a source is a file whose rows have no names of their own."""
    return (
        isinstance(source, LocalSource)
        and source.path.is_file()
        and file_format(source.path) not in (".jsonl", ".parquet")
    )


def _starts_with_tag(path: Path) -> bool:
    with opened(path) as file:
        return file.read(256).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")


def _tsv_rows(rows: Iterable[list[str]], ledger: Ledger, quotes: Quotes) -> Iterator[SourceRow]:
    """Two or three fields a row. What looks like the other rule of quotes is noted: it may be the wrong choice."""
    for fields in rows:
        if len(fields) not in (2, 3):
            ledger.drop("not two or three fields")
            continue
        if quotes == "text" and any(len(field) > 1 and field[0] == field[-1] == '"' for field in fields):
            ledger.note("a whole field is in quotes, which were kept: was the file written with csv quotes?")
        yield {"query_id": fields[0], "query": fields[1], "answer": fields[2] if len(fields) == 3 else None}


def _rule_of_quotes(path: Path, max_length: int) -> Quotes:
    """The rule by which the rows of a TSV file are whole; that of plain text where both are, or neither is."""
    for rule in ("text", "csv"):
        ledger = Ledger(rule)
        rows = _fields(read_lines(path, ledger, max_length=max_length), rule, ledger)
        if all(len(fields) in (2, 3) for fields in rows) and not ledger.num_dropped:
            return rule
    return "text"


def _fields(lines: Iterable[str], quotes: Quotes, ledger: Ledger) -> Iterator[list[str]]:
    """The fields of each row that is not blank. Between CSV quotes a line may be blank."""
    if quotes != "csv":
        return tab_fields(line for line in lines if line.strip())
    return (fields for fields in _csv_fields(lines, ledger) if any(map(str.strip, fields)))


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
        yield fields


def read_qrels(
    source: Source,
    ledger: Ledger,
    *,
    columns: ColumnMap | None = None,
    canary: str = "",
    max_length: int = MAX_LENGTH,
) -> Iterator[SourceRow]:
    """Rows `query_id, docid, relevance`.

    Args:
        source: A file of TREC's four fields a line; one in BEIR's form, with a header `query-id, corpus-id, score`;
            or a Hub dataset or file with named columns. A list of documents for its `docid` judges each of them
            relevant, as BrowseComp-Plus has them beside its questions.
        canary: As for `read_queries`, for the ids in such lists.
    """
    key = canary_of(canary)
    rows = _qrel_rows(source, columns or ColumnMap.of("qrels"), ledger, max_length)
    for row in chain.from_iterable(_judgements(row, key, ledger) for row in rows):
        query_id, docid, relevance = identifier(row["query_id"]), identifier(row["docid"]), _grade(row["relevance"])
        if query_id is None or docid is None:
            ledger.drop("no id")
        elif relevance is None:
            ledger.drop("relevance is not a whole number")
        elif reason := unusable(query_id, docid, max_length=max_length):
            ledger.drop(reason)
        else:
            yield {"query_id": query_id, "docid": docid, "relevance": relevance}


def _judgements(row: SourceRow, key: str, ledger: Ledger) -> Iterator[SourceRow]:
    """A row for each document of a list; a row without a list is one itself."""
    documents = row["docid"]
    if not isinstance(documents, list):
        yield row
        return
    for document in documents:
        docid = document.get("docid") if isinstance(document, dict) else document
        plain = row | {"docid": docid, "relevance": 1}
        own_key = row.get("canary") or key
        if not own_key or (plain := plain_row(plain, own_key, ledger, ("docid",))) is not None:
            yield plain


def _qrel_rows(source: Source, columns: ColumnMap, ledger: Ledger, max_length: int) -> Iterator[SourceRow]:
    if not _is_text_file(source):
        return read_rows(source, columns, ledger, max_length=max_length)
    lines = (line for line in read_lines(source.path, ledger, max_length=max_length) if line.strip())
    first = next(lines, "")
    lines = chain([first], lines)
    # TREC's files have four fields and no header; a header is told by the names of its columns.
    if any(name in first.rstrip("\r\n").split("\t") for name in columns.names["query_id"]):
        return header_rows(tab_fields(lines), columns, ledger, source)
    return read_qrel_lines(lines, ledger)


def _grade(value: Any) -> int | None:
    """A grade as a whole number that fits into 32 bits; BEIR's Hub datasets have some as floats."""
    try:
        grade = float(value) if not isinstance(value, bool) else None
    except (TypeError, ValueError):
        return None
    return int(grade) if grade is not None and grade.is_integer() and abs(grade) < 2**31 else None


def read_qrel_lines(lines: Iterable[str], ledger: Ledger) -> Iterator[SourceRow]:
    """Rows `query_id, docid, relevance` of lines `query_id iteration docid relevance`."""
    for line in lines:
        fields = fields_of(line)
        if len(fields) == 4:
            yield {"query_id": fields[0], "docid": fields[2], "relevance": fields[3]}
        elif fields != [""]:
            ledger.drop("not four fields")


def read_topics(lines: Iterable[str], ledger: Ledger, field: str, where: object) -> Iterator[SourceRow]:
    """Rows `query_id, query, answer` of topics in both of TREC's forms.

    Either `<top>` with fields that are not closed (`<num> Number: 301`, `<title>`, `<desc> Description:`), or
    `<topic number="1">` with fields that are (`<query>`, `<question>`, `<description>`).

    Args:
        field: The field that is the question; "title" also finds `<query>`, which newer tracks call it.

    Raises:
        LratError: There are no topics.
    """
    topics = _TOPIC.findall("".join(lines))
    if not topics:
        raise LratError(f"{where}: expected TREC topics (<top> or <topic number=...>), found none.")
    for _, attributes, body in topics:
        fields = {
            name.lower(): " ".join(html.unescape(_LABELS.sub("", text)).split()) for name, text in _FIELD.findall(body)
        }
        number = _NUMBER.search(attributes)
        query = fields.get(field) or (fields.get("query") if field == "title" else None)
        query_id = number[1] if number else fields.get("num")
        if query_id and query:
            yield {"query_id": query_id, "query": query, "answer": None}
        else:
            ledger.drop(f"a topic without a number or <{field}>")


def canary_of(given: str) -> str:
    """The key that a setting means, or "" for none; see `read_queries`."""
    name, _, checkout = given.partition("@")
    return CANARY.read(Path(checkout) if checkout else None) if name == PUBLISHED else given


def plain_row(
    row: SourceRow, canary: str, ledger: Ledger, names: Sequence[str] = ("query", "answer")
) -> SourceRow | None:
    """A row with some columns in plain text, or None when that fails, which is counted."""
    try:
        return row | {name: deobfuscate(row[name], canary) for name in names if isinstance(row[name], str)}
    except ValueError:
        ledger.drop("can't be de-obfuscated with its canary")
        return None
