"""Records that are parts of one run, such as the lines of a session or the spans of a trace, as one record.

Parts of several runs stand mixed in a file, so that a run is complete only where the file ends. Until then they are
kept in a temporary SQLite database: memory is flat in the number of records.
"""

from __future__ import annotations

import pickle
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from lrat_hub.errors import LratError
from lrat_hub.importers.sources.records import Record
from lrat_hub.importers.values import UnreadableRecord

RECORDS_OF_A_RUN = 20_000
BYTES_OF_A_RUN = 256 << 20
CACHE_IN_KIB = 32 << 10

Grouper = Callable[[Iterator[Record]], Iterator[Record]]
"""Puts records together that are parts of one run, such as the lines of a session."""


@dataclass(frozen=True)
class Oversized:
    """Stands in the place of the records of a run that are too many to be one: its reason is that of the drop."""

    reason: str


def parts_of(value: Any) -> list[Any]:
    """The parts that `by_key` put together, or the one that stands alone.

    Raises:
        UnreadableRecord: They are too many.
    """
    if isinstance(value, Oversized):
        raise UnreadableRecord(value.reason)
    return value if isinstance(value, list) else [value]


def by_key(
    key: Callable[[Any], str | None],
    *,
    max_records: int = RECORDS_OF_A_RUN,
    max_bytes: int = BYTES_OF_A_RUN,
    across_files: bool = False,
) -> Grouper:
    """Makes a function that puts the records of a file with the same key together.

    Their record has the name of the first of them and, as its value, the list of their values in the order of the
    file. Groups come in the order in which they begin, at the end of their file; records without a key pass at once.

    Args:
        key: The key of a record's value, None for a record that stands alone. It must not raise.
        max_records: A run of more records becomes `Oversized`.
        max_bytes: So does one of more bytes.
        across_files: Whether records of different files go together, too, such as those of a log that is rotated.
    """

    def group(records: Iterator[Record]) -> Iterator[Record]:
        for _, of_file in groupby(records, key=lambda record: None if across_files else record.source):
            yield from _grouped(of_file, key, max_records, max_bytes)

    return group


def _grouped(
    records: Iterator[Record], key: Callable[[Any], str | None], max_records: int, max_bytes: int
) -> Iterator[Record]:
    spool: _Spool | None = None
    try:
        for record in records:
            group = key(record.value)
            if group is None:
                yield record
                continue
            spool = spool or _Spool(max_records, max_bytes)
            if not spool.add(group, record):
                yield record
        if spool is not None:
            yield from spool.groups()
    except sqlite3.Error as error:
        raise LratError(
            f"Import: records of the same run are put together in a temporary file, which failed: {error}. "
            "Set TMPDIR to a folder with space."
        ) from error
    finally:
        if spool is not None:
            spool.close()


class _Spool:
    """Groups of records in a temporary database, of which SQLite holds in memory what fits its cache."""

    def __init__(self, max_records: int, max_bytes: int) -> None:
        self._max_records, self._max_bytes = max_records, max_bytes
        # A name that is empty makes a file that nobody else can open, and that is gone when it is closed.
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.executescript(
            f"PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-{CACHE_IN_KIB};"
            "CREATE TABLE groups (number INTEGER PRIMARY KEY, key UNIQUE, first BLOB, count INTEGER, size INTEGER);"
            "CREATE TABLE records (number INTEGER PRIMARY KEY, of_group INTEGER, value BLOB);"
        )
        # One transaction: without it, each record is written to the disk by itself.
        self._database.execute("BEGIN")

    def add(self, key: str, record: Record) -> bool:
        """Adds a record to its group; False for one that is nested too deeply to be stored."""
        try:
            value = pickle.dumps(record.value, pickle.HIGHEST_PROTOCOL)
        except RecursionError:
            return False
        name = key.encode("utf-8", "surrogatepass")
        row = self._database.execute("SELECT number, count, size FROM groups WHERE key = ?", [name]).fetchone()
        if row is None:
            first = pickle.dumps(replace(record, value=None), pickle.HIGHEST_PROTOCOL)
            number = self._database.execute("INSERT INTO groups VALUES (NULL, ?, ?, 0, 0)", [name, first]).lastrowid
            count = size = 0
        else:
            number, count, size = row
        count, size = count + 1, size + len(value)
        self._database.execute("UPDATE groups SET count = ?, size = ? WHERE number = ?", [count, size, number])
        if not self._exceeds(count, size):
            self._database.execute("INSERT INTO records VALUES (NULL, ?, ?)", [number, value])
        return True

    def groups(self) -> Iterator[Record]:
        self._database.execute("CREATE INDEX of_group ON records (of_group)")
        groups = self._database.execute("SELECT number, first, count, size FROM groups ORDER BY number")
        for number, first, count, size in groups:
            record = pickle.loads(first)
            if self._exceeds(count, size):
                limits = f"{self._max_records:,} records or {self._max_bytes >> 20:,} MiB"
                yield replace(record, value=Oversized(f"run of more than {limits}"))
                continue
            rows = self._database.execute("SELECT value FROM records WHERE of_group = ? ORDER BY number", [number])
            yield replace(record, value=[pickle.loads(value) for (value,) in rows])

    def close(self) -> None:
        self._database.close()

    def _exceeds(self, count: int, size: int) -> bool:
        return count > self._max_records or size > self._max_bytes
