"""Records out of files, folders and archives, one at a time: no source is held in memory.

A `.jsonl` file has a record a line, a Parquet file one a row, and a `.json` file is one record, an array of records,
or lines after all. What can't be read is left out and counted; what comes after it is read all the same.
"""

from __future__ import annotations

import gzip
import io
import itertools
import json
import re
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from lrat_hub.errors import LratError
from lrat_hub.importers.values import load_json, storable
from lrat_hub.ledger import Ledger

SUFFIXES = (".json", ".jsonl", ".ndjson", ".json.gz", ".jsonl.gz", ".parquet")
ROWS_AT_A_TIME = 8
CHUNK = 1 << 20
CUT_OFF = "cut off or damaged"

IsPart = Callable[[Any], bool]
"""Whether an element of a JSON array is part of a record, such as a message, so that the array is one record."""

# What reading a compressed file or archive raises where it is damaged.
DAMAGE = (EOFError, OSError, zlib.error)

_BLANK = re.compile(r"[\s,]*")


@dataclass(frozen=True)
class Record:
    """One value of a source.

    Args:
        source: Its file, without suffix and relative to the folder or archive.
        place: Its line, row or element, 1 for the first, or the key that it stands under; None when it is the whole
            file.
    """

    source: str
    place: int | str | None
    value: Any

    @property
    def name(self) -> str:
        """What it is called: no other record of the same import has this name."""
        return self.source if self.place is None else f"{self.source}/{self.place}"


def read_records(path: Path, ledger: Ledger, is_part: IsPart) -> Iterator[Record]:
    """The records of a file, a folder or a tar archive, in a stable order.

    Args:
        ledger: Gets a drop for each record that can't be read; those that can be are for the caller to count.

    Raises:
        LratError: The path does not exist, or has no file of a suffix that is read.
    """
    if not path.exists():
        raise LratError(f"Import: expected a file, folder or tar.gz at {path}, found nothing. Check the path.")
    found, before = False, ledger.read
    for record in _archived(path, ledger, is_part) if _is_archive(path) else _stored(path, ledger, is_part):
        found = True
        yield record
    if not found and ledger.read == before:
        raise LratError(
            f"Import: expected .json files (or .jsonl, .parquet) in {path}, found none. "
            "Give such a file, or a folder or tar.gz of them."
        )


def _is_archive(path: Path) -> bool:
    if path.is_dir() or _split(path.name)[1]:
        return False
    try:
        return tarfile.is_tarfile(path)
    except (EOFError, zlib.error):
        return True  # compressed, and cut off before the first member
    except OSError as error:
        raise LratError(f"Import: expected a readable file at {path}; {error}.") from error


def _archived(path: Path, ledger: Ledger, is_part: IsPart) -> Iterator[Record]:
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                name, suffix = _split(member.name)
                if suffix and member.isfile() and (stream := archive.extractfile(member)):
                    yield from _records(name, suffix, stream, ledger, is_part)
            # tarfile takes a damaged header for the end, which is a block of zeros.
            archive.fileobj.seek(archive.offset)
            if archive.fileobj.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:
                raise tarfile.ReadError(CUT_OFF)
    except (tarfile.TarError, *DAMAGE):
        # What came before the damage has been read; the rest is one loss that can't be counted in records.
        ledger.drop(f"archive is {CUT_OFF}")


def _stored(path: Path, ledger: Ledger, is_part: IsPart) -> Iterator[Record]:
    # The LRAT release has outcomes in the names of folders; they are kept when such a folder is the source itself.
    folder = (path if path.is_dir() else path.parent).resolve().name
    outcome = f"{folder}/" if folder.endswith(("_true", "_false")) else ""
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        name, suffix = _split(file.relative_to(path).as_posix() if path.is_dir() else file.name)
        if file == path and not suffix:
            name, suffix = file.name, ".json"  # a file that is named is read whatever it is called
        if not suffix or not file.is_file():
            continue
        try:
            with file.open("rb") as stream:
                yield from _records(outcome + name, suffix, stream, ledger, is_part)
        except DAMAGE:
            ledger.drop(f"file is {CUT_OFF}")


def _split(name: str) -> tuple[str, str]:
    """A file's name and its suffix, which is "" for files that are not read."""
    suffix = max((end for end in SUFFIXES if name.endswith(end)), key=len, default="")
    return PurePosixPath(name[: -len(suffix)] if suffix else name).as_posix(), suffix


def _records(name: str, suffix: str, stream: IO[bytes], ledger: Ledger, is_part: IsPart) -> Iterator[Record]:
    if suffix == ".parquet":
        values = _rows(stream, ledger)
    else:
        # Files, members of archives and decompressors all are buffered readers, which let one look ahead.
        content = cast("io.BufferedReader", gzip.GzipFile(fileobj=stream) if suffix.endswith(".gz") else stream)
        is_lines = suffix.startswith((".jsonl", ".ndjson"))
        values = _lines(content, ledger) if is_lines else _document(content, ledger, is_part)
    empty, before = True, ledger.read
    for place, value in values:
        empty = False
        yield Record(name, place, value)
    if empty and ledger.read == before:
        ledger.drop("empty file")


def _lines(stream: Iterable[bytes], ledger: Ledger) -> Iterator[tuple[int, Any]]:
    for place, line in enumerate(stream, start=1):
        if line.strip():
            yield from ((place, value) for value in _decoded(line, ledger))


def _document(stream: io.BufferedReader, ledger: Ledger, is_part: IsPart) -> Iterator[tuple[int | None, Any]]:
    """The records of a file called .json: it may also hold an array of them, or one a line."""
    if stream.peek(CHUNK).lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"[":
        text = io.TextIOWrapper(stream, encoding="utf-8-sig")
        try:
            yield from _array(text, ledger, is_part)
        finally:
            text.detach()  # whoever opened the stream closes it
        return
    head = stream.readline()
    more = stream.readline()
    if more.strip() and _is_json(head):
        yield from _lines(itertools.chain([head, more], stream), ledger)
    elif content := (head + more + stream.read()).strip():
        yield from ((None, value) for value in _decoded(content, ledger))


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _decoded(content: bytes, ledger: Ledger) -> Iterator[Any]:
    """The JSON value, or nothing and a drop."""
    try:
        yield load_json(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        ledger.drop("not UTF-8")
    except (ValueError, RecursionError):
        ledger.drop("not JSON")


def _array(stream: IO[str], ledger: Ledger, is_part: IsPart) -> Iterator[tuple[int | None, Any]]:
    """The elements of an array, or the array itself when its elements are parts of one record."""
    elements = enumerate(_elements(stream), start=1)
    try:
        head = next(elements, None)
        if head is not None and is_part(head[1]):
            yield None, [head[1], *(value for _, value in elements)]
        elif head is not None:
            yield head
            yield from elements
    except UnicodeDecodeError:
        ledger.drop("not UTF-8")
    except (ValueError, RecursionError):
        ledger.drop("not JSON")


def _elements(stream: IO[str]) -> Iterator[Any]:
    """Decodes the elements of a JSON array while it is read. Raises ValueError where it stops being one.

    ijson is about 2.5 times as fast, but ends at NaN, at integers beyond 64 bits and at 1e999, which logs of Python
    hold, puts a question mark for a lone surrogate, and takes memory with the square of a value's depth.
    """
    decoder = json.JSONDecoder()
    buffer, start = stream.read(CHUNK).lstrip().removeprefix("["), 0
    value, end = None, 0
    while True:
        start = _blank(buffer, start).end()
        try:
            if buffer.startswith("]", start):
                return
            value, end = decoder.raw_decode(buffer, start)
            following = _blank(buffer, end)
            # A number may go on behind the end of what has been read; a comma or bracket shows that it does not.
            complete = following.end() < len(buffer) or "," in following.group()
        except ValueError as error:
            if not _may_go_on(error, buffer):
                raise
            complete = False
        if complete:
            yield storable(value)
            start = end
            continue
        # As much again as is there already, so that a long element is not decoded over and over.
        more = stream.read(max(CHUNK, len(buffer) - start))
        if not more:
            raise ValueError(CUT_OFF)
        buffer, start = buffer[start:] + more, 0


def _blank(text: str, start: int) -> re.Match[str]:
    """The blanks and commas from there on, which may be none."""
    match = _BLANK.match(text, start)
    assert match is not None  # the pattern also matches nothing
    return match


def _may_go_on(error: ValueError, buffer: str) -> bool:
    """Whether an element looks broken only because the rest of it has not been read."""
    at_the_end = 16  # the longest literal or escape
    return isinstance(error, json.JSONDecodeError) and (
        error.msg.startswith("Unterminated string") or error.pos >= len(buffer) - at_the_end
    )


def _rows(stream: IO[bytes], ledger: Ledger) -> Iterator[tuple[int, Any]]:
    import pyarrow
    import pyarrow.parquet

    place = 0
    try:
        for batch in pyarrow.parquet.ParquetFile(stream).iter_batches(batch_size=ROWS_AT_A_TIME):
            for row in batch.to_pylist():
                place += 1
                yield place, row
    except (pyarrow.ArrowException, OSError):
        ledger.drop(f"Parquet file is {CUT_OFF}")
