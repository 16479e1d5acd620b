"""Rows with named columns, out of Hub datasets and files of any compression, under this project's names."""

from __future__ import annotations

import bz2
import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

from lrat_hub.errors import LratError
from lrat_hub.hub.inputs import Source, load_split
from lrat_hub.hub.refs import HubRef
from lrat_hub.ledger import Ledger

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

TableKind = Literal["documents", "queries", "qrels"]
SourceRow = dict[str, Any]
"""A row with our columns, whatever their values."""

KNOWN_NAMES: Mapping[TableKind, Mapping[str, tuple[str, ...]]] = {
    "documents": {"docid": ("docid", "id", "_id", "doc_id"), "title": ("title",), "text": ("text", "contents")},
    "queries": {
        "query_id": ("query_id", "query-id", "id", "_id", "qid"),
        "query": ("query", "question", "text"),
        "answer": ("answer",),
        "canary": ("canary",),
    },
    "qrels": {
        "query_id": ("query_id", "query-id", "qid"),
        "docid": ("docid", "corpus-id", "doc_id"),
        "relevance": ("relevance", "score"),
        "canary": ("canary",),
    },
}
"""Our columns and the names they go by in published datasets, the likeliest first."""

OPTIONAL = frozenset({"title", "answer", "canary"})
_BATCH_ROWS = 500

MAX_LENGTH = 16_000_000
"""Longest row that is kept: bytes of a line, characters of a text. No page of any corpus we know comes near."""

_COMPRESSED = {".gz": gzip.open, ".bz2": bz2.open}
_ROW_FORMATS = frozenset({".jsonl", ".parquet", ".tsv", ".txt", ".xml", ".trec", ".topics", ".sgml", ".qrels"})
_BOM = "\ufeff"
_ASCII_BLANKS = " \t\r\n\v\f"
_BLANKS = re.compile(rf"[{_ASCII_BLANKS}]+")


@dataclass(frozen=True)
class ColumnMap:
    """Which columns of a source become ours.

    Args:
        names: Our column to the names it may have in the source, tried in order; none leaves it empty.
        optional: Our columns that a source may lack.
    """

    names: Mapping[str, tuple[str, ...]]
    optional: frozenset[str] = OPTIONAL

    @classmethod
    def of(cls, kind: TableKind, given: Sequence[str] = ()) -> ColumnMap:
        """The known names of a kind of table, but for those that are given as `ours=theirs`; `title=` means no title.

        Raises:
            LratError: It is not `ours=theirs`, or there is no such column of ours.
        """
        names = dict(KNOWN_NAMES[kind])
        for pair in given:
            ours, equals, theirs = pair.partition("=")
            if not equals or ours not in names or not (theirs or ours in OPTIONAL):
                raise LratError(
                    f"Columns of {kind}: expected OURS=THEIRS with {', '.join(names)} on the left, found {pair!r}."
                )
            names[ours] = (theirs,) if theirs else ()
        return cls(names)

    def resolve(self, available: Sequence[str], where: object) -> dict[str, str]:
        """Our column to theirs in a source with a fixed set of columns.

        Raises:
            LratError: It lacks one that is needed.
        """
        columns = {
            ours: next((name for name in names if name in available), None) for ours, names in self.names.items()
        }
        if missing := [ours for ours, theirs in columns.items() if theirs is None and ours not in self.optional]:
            raise LratError(
                f"{where}: expected a column for {missing[0]} ({', '.join(self.names[missing[0]])}), found "
                f"{', '.join(available)}. Say which it is with {missing[0]}=COLUMN in the option for columns."
            )
        return {ours: theirs for ours, theirs in columns.items() if theirs is not None}

    def pick(self, row: Mapping[str, Any]) -> SourceRow:
        """Our columns of a row whose keys are its own; None for what it lacks."""
        return {
            ours: next((row[name] for name in names if row.get(name) is not None), None)
            for ours, names in self.names.items()
        }


def read_rows(
    source: Source,
    columns: ColumnMap,
    ledger: Ledger,
    *,
    max_length: int = MAX_LENGTH,
) -> Iterator[SourceRow]:
    """Rows with all of our columns, whatever their values; None for what is missing.

    Args:
        source: A Hub dataset, a `.jsonl`, `.parquet` or (with a header) `.tsv` file, or a folder of such files.
        max_length: Longest line of a file, in bytes; the texts of other sources are the caller's to measure.

    Raises:
        LratError: It can't be read, or lacks a column.
    """
    if isinstance(source, HubRef):
        yield from _hub_rows(source, columns)
        return
    for path in files_of(source.path):
        if file_format(path) == ".parquet":
            yield from _parquet_rows(path, columns, ledger)
        elif file_format(path) == ".jsonl":
            yield from _json_rows(path, columns, ledger, max_length)
        elif file_format(path) == ".tsv":
            lines = read_lines(path, ledger, max_length=max_length)
            yield from header_rows(tab_fields(lines), columns, ledger, path)
        else:
            raise LratError(f"{path}: expected a .jsonl, .parquet or .tsv file, found {path.name}.")


def files_of(path: Path) -> list[Path]:
    """The file itself, or the files of rows in a folder by name, so that a corpus can lie there in shards."""
    if path.is_file():
        return [path]
    files = sorted(file for file in path.iterdir() if file_format(file) in (".jsonl", ".parquet", ".tsv", ".xml"))
    if len({file_format(file) for file in files}) != 1:
        raise LratError(
            f"{path}: expected files of one format there (.jsonl, .parquet, .tsv or .xml), "
            f"found {', '.join(file.name for file in files[:5]) or 'none'}. Name the file."
        )
    return files


def open_table(source: HubRef) -> Dataset:
    """One split of a Hub dataset, whatever its columns, memory-mapped; see `lrat_hub.hub.inputs.load_split`."""
    return load_split(
        source,
        "data that load_dataset reads (give the file itself to have bad rows counted and left out, or name the config "
        "as ref#config)",
    )


def _hub_rows(source: HubRef, columns: ColumnMap) -> Iterator[SourceRow]:
    table = open_table(source)
    chosen = columns.resolve(table.column_names, source)
    # A column can stand for two of ours.
    batches = table.select_columns(sorted(set(chosen.values()))).with_format("arrow").iter(_BATCH_ROWS)
    for batch in batches:
        yield from _table_rows(batch, chosen, columns, lambda reason: None)


def _parquet_rows(path: Path, columns: ColumnMap, ledger: Ledger) -> Iterator[SourceRow]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with opened(path) as stream, parquet.ParquetFile(stream) as file:
            chosen = columns.resolve(file.schema_arrow.names, path)
            for batch in file.iter_batches(_BATCH_ROWS, columns=sorted(set(chosen.values()))):
                yield from _table_rows(pa.Table.from_batches([batch]), chosen, columns, ledger.drop)
    except pa.ArrowInvalid as error:
        raise LratError(f"{path}: expected a Parquet file; {str(error).splitlines()[0]}") from error


def _table_rows(
    batch: pa.Table, chosen: Mapping[str, str], columns: ColumnMap, drop: Callable[[str], None]
) -> Iterator[SourceRow]:
    try:
        rows = batch.to_pylist()
    except UnicodeDecodeError:
        rows = _decoded(batch, drop)
    for row in rows:
        yield {ours: row[chosen[ours]] if ours in chosen else None for ours in columns.names}


def _decoded(batch: pa.Table, drop: Callable[[str], None]) -> Iterator[SourceRow]:
    """Rows one at a time, without those that are not UTF-8: Parquet lets writers put any bytes into strings."""
    for index in range(len(batch)):
        try:
            yield batch.slice(index, 1).to_pylist()[0]
        except UnicodeDecodeError:
            drop("bad UTF-8")


def _json_rows(path: Path, columns: ColumnMap, ledger: Ledger, max_length: int) -> Iterator[SourceRow]:
    first: list[str] = []
    # Any row may lack a column; a file whose rows all do has other names.
    missing = {ours: theirs for ours, theirs in columns.names.items() if ours not in columns.optional}
    for line in read_lines(path, ledger, max_length=max_length):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            ledger.drop("not JSON")
            continue
        if isinstance(row, dict):
            first = first or list(row)
            for ours in [ours for ours, theirs in missing.items() if not row.keys().isdisjoint(theirs)]:
                del missing[ours]
            yield columns.pick(row)
        else:
            ledger.drop("not a JSON object")
    if missing and first:
        columns.resolve(first, path)


def tab_fields(lines: Iterable[str]) -> Iterator[list[str]]:
    """The fields of each line of a TSV file. Quotes are text like any other."""
    return (line.rstrip("\r\n").split("\t") for line in lines)


def header_rows(rows: Iterable[list[str]], columns: ColumnMap, ledger: Ledger, where: object) -> Iterator[SourceRow]:
    """Rows of a TSV file by their fields, of which the first row's name the columns."""
    chosen: dict[str, int] | None = None
    width = 0
    for fields in rows:
        if chosen is None:
            width = len(fields)
            chosen = {ours: fields.index(theirs) for ours, theirs in columns.resolve(fields, where).items()}
        elif len(fields) != width:
            ledger.drop("another number of fields than the header")
        else:
            yield {ours: fields[chosen[ours]] if ours in chosen else None for ours in columns.names}


def identifier(value: Any) -> str | None:
    """An id as text; some sources have numbers. None when it is neither, or blank."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value.strip() else None


def file_format(path: Path) -> str:
    """The suffix that says how a file is read, in lower case, without that of its compression."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in _COMPRESSED:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def as_path(given: str) -> str:
    """The text of an input option: a name that ends like a file of rows is a path, also without `./` in front."""
    local = given.startswith(("/", "./", "../", "~"))
    return f"./{given}" if not local and "@" not in given and file_format(Path(given)) in _ROW_FORMATS else given


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """The file's bytes, decompressed.

    Raises:
        LratError: It can't be read, or ends in the middle of its compressed data. Raised in the `with` block, too.
    """
    try:
        with _COMPRESSED.get(path.suffix.lower(), Path.open)(path, "rb") as file:
            yield file
    except (OSError, EOFError, zlib.error) as error:
        raise LratError(f"{path}: expected a file that can be read to its end; {error}. Is it complete?") from error


def read_lines(path: Path, ledger: Ledger, *, max_length: int = MAX_LENGTH) -> Iterator[str]:
    """Lines with their ends. Those that are over-long or not UTF-8 are dropped, and never held in memory whole."""
    with opened(path) as file:
        first = True
        while line := file.readline(max_length + 1):
            if len(line) > max_length and not line.endswith(b"\n"):
                while line and not line.endswith(b"\n"):
                    line = file.readline(max_length)
                ledger.drop("over-long row")
                continue
            try:
                text = line.decode()
            except UnicodeDecodeError:
                ledger.drop("bad UTF-8")
                continue
            yield text.removeprefix(_BOM) if first else text
            first = False


def fields_of(line: str) -> list[str]:
    """The fields of a line of TREC's files. Like its tools, this splits at ASCII's blanks alone."""
    return _BLANKS.split(line.strip(_ASCII_BLANKS))


def unusable(*texts: str, max_length: int) -> str | None:
    """Why a row with these texts can't be kept, or None. JSON can spell halves of characters that no file can hold."""
    for text in texts:
        if len(text) > max_length:
            return "over-long row"
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError:
                return "bad UTF-8"
    return None
