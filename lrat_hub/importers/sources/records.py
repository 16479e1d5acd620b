"""Records out of files, folders and archives, one at a time: no source is held in memory.

A `.jsonl` file has a record a line, a Parquet file one a row, and a `.json` file is one record, an array of records,
or values one after the other. Files may be compressed, in archives, and in archives of archives. What can't be read is
left out and counted; what comes after it is read all the same.
"""

from __future__ import annotations

import io
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePath
from typing import Any

from lrat_hub.errors import LratError
from lrat_hub.importers.sources import containers
from lrat_hub.importers.sources.arrays import IsPart
from lrat_hub.importers.sources.bounds import CHUNK, HEAD, Budget, BudgetExceeded, LimitExceeded, Limits
from lrat_hub.importers.sources.folders import (
    ONE_A_LINE,
    PARQUET,
    WRITTEN_AS_LINES,
    files_in,
    is_hidden,
    is_read,
    passed_over,
    split,
)
from lrat_hub.importers.sources.layouts import Value, values_of
from lrat_hub.importers.sources.pieces import NO_MEMORY, Piece, Record, pieces_of
from lrat_hub.importers.sources.tables import PARQUET_MAGIC, rows_of
from lrat_hub.importers.sources.texts import AS_LINES, MARKUP, as_utf8, problem_of
from lrat_hub.ledger import Ledger

__all__ = ["CHUNK", "IsPart", "Item", "Limits", "Piece", "Record", "read_items", "read_records"]

CUT_OFF = "cut off or damaged"
NAME_LENGTH = 1000

_UNSAFE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_DRIVE = re.compile("[A-Za-z]:")


def read_records(
    path: Path, records: Ledger, is_part: IsPart, files: Ledger | None = None, limits: Limits | None = None
) -> Iterator[Record]:
    """The records of a file, a folder or an archive, in a stable order; see `read_items`."""
    for item in read_items(path, records, is_part, files, limits):
        if isinstance(item, Piece):
            yield from item.records(records, is_part)
        else:
            yield item


Item = Record | Piece


def read_items(
    path: Path,
    records: Ledger,
    is_part: IsPart,
    files: Ledger | None = None,
    limits: Limits | None = None,
    per_file: int | None = None,
) -> Iterator[Item]:
    """The records of a file, a folder or an archive, with pieces in the place of those that can be read apart.

    Args:
        records: Gets a drop for each record that can't be read; those that can be are for the caller to count.
        files: Gets each file that is read as kept, and each that is passed over or can't be read as a drop.
        limits: How much is read of what is too much.
        per_file: How many items are read of each file; None for all.

    Raises:
        LratError: The path does not exist, or holds no file that can be read.
    """
    if not path.exists():
        raise LratError(f"Import: expected a file, folder or archive at {path}, found nothing. Check the path.")
    files = Ledger("files") if files is None else files
    reader = _Reader(records, files, is_part, limits or Limits(), per_file)
    any_item, before = False, records.read
    for item in reader.read(path):
        any_item = True
        yield item
    if not any_item and records.read == before:
        counts = ", ".join(f"{count} {reason}" for reason, count in (files.dropped + files.notes).most_common(8))
        raise LratError(
            f"Import: expected .json files (or .jsonl, .ndjson, .parquet; compressed or in archives) in {path}, found "
            f"none that can be read: {counts or 'no files'}.{AS_LINES if files.dropped[MARKUP] else ''}"
        )


class _Reader:
    def __init__(self, records: Ledger, files: Ledger, is_part: IsPart, limits: Limits, per_file: int | None) -> None:
        self._records = records
        self._files = files
        self._is_part = is_part
        self._limits = limits
        self._per_file = per_file
        self._names = _Names()

    def read(self, path: Path) -> Iterator[Item]:
        # The LRAT release has outcomes in the names of folders; they are kept when such a folder is the source itself.
        folder = (path if path.is_dir() else path.parent).resolve().name
        outcome = f"{folder}/" if folder.endswith(("_true", "_false")) else ""
        if path.is_dir():
            for name, file in files_in(path, self._files):
                yield from self._file(outcome, name, file, is_source=False)
        elif stat.S_ISREG(path.stat().st_mode):
            yield from self._file(outcome, path.name, path, is_source=True)
        else:
            raise LratError(
                f"Import: expected a file, folder or archive at {path}, found a pipe or device. "
                "Write its content to a file."
            )

    def _file(self, folder: str, name: str, path: Path, *, is_source: bool) -> Iterator[Item]:
        before = self._files.read
        try:
            raw = path.open("rb", buffering=0)
        except OSError as error:
            self._files.drop(f"can't be opened: {error.strerror}", example=name)
            return
        try:
            with raw, io.BufferedReader(raw, CHUNK // 4) as stream:
                budget = Budget(self._limits, os.fstat(raw.fileno()).st_size, raw.tell)
                yield from self._content(_Location(folder, name, is_source=is_source), stream, budget)
        except (OSError, LimitExceeded, MemoryError) as error:
            self._lose(error, folder + name, before)

    def _lose(self, error: Exception, name: str, before: int) -> None:
        """Counts a file that failed: as one, or as a loss of records that have no number when some of it was read.

        Args:
            before: The number of files in the account when it was begun.
        """
        match error:
            case LimitExceeded():
                reason, example = str(error), name
            case MemoryError():
                reason, example = NO_MEMORY, name
            case _:
                reason, example = f"file is {CUT_OFF}", f"{name}: {error}"
        (self._records if self._files.read > before else self._files).drop(reason, example=example)

    def _content(self, location: _Location, stream: io.BufferedReader[Any], budget: Budget) -> Iterator[Item]:
        """The records of a file, unpacked as often as it is packed."""
        in_place, depth = not location.depth, 0
        while compression := containers.compression_of(head := stream.peek(HEAD)):
            depth += 1
            if depth > self._limits.depth:
                raise LimitExceeded(f"compressed more than {self._limits.depth} times")
            stream, in_place = containers.decompressed(stream, compression, budget), False
        archive = containers.archive_of(head, location.suffix)
        if archive is not None and location.depth == self._limits.depth:
            raise LimitExceeded(f"archive in more than {self._limits.depth} archives")
        if archive == "tar":
            yield from self._members(location, containers.tar_members(stream, budget), budget)
        elif archive == "zip":
            with containers.seekable(stream, in_place, self._limits.spooled) as file:
                yield from self._members(location, containers.zip_members(file, budget, in_place=in_place), budget)
        elif head.startswith(PARQUET_MAGIC):
            if in_place:
                budget.read_out_of_order()
            with containers.seekable(stream, in_place, self._limits.spooled) as file:
                rows = rows_of(file, location.path, self._records, budget)
                yield from self._items_of(location, self._names.of(location), rows)
        elif problem := _problem_of(location.name, head) or (
            f"file is {CUT_OFF}" if head and location.suffix == PARQUET else ""
        ):
            self._files.drop(problem, example=location.path)
        else:
            blank = Piece(self._names.of(location), location.path, location.suffix in ONE_A_LINE, self._limits.record)
            yield from self._items_of(location, blank.source, self._texts_of(as_utf8(stream, head), blank))

    def _members(self, archive: _Location, members: Iterator[containers.Member], budget: Budget) -> Iterator[Item]:
        before, failure = self._files.read, None
        try:
            for member in members:
                if failure is not None:
                    self._lose(*failure)
                location, failure = archive.member(member.name), None
                if any(is_hidden(part) for part in location.name.split("/")):
                    self._files.note("hidden file", example=location.path)
                elif member.problem or not is_read(location.name):
                    self._files.drop(member.problem or passed_over(location.name), example=location.path)
                else:
                    before_member = self._files.read
                    try:
                        with member.open() as stream:
                            yield from self._content(location, stream, budget)
                    except (BudgetExceeded, MemoryError):
                        raise
                    except (OSError, LimitExceeded) as error:
                        failure = (error, location.path, before_member)
        except OSError as error:
            # What came before the damage has been read; the rest is one loss that can't be counted in records. A
            # member that failed just before is part of it.
            ledger = self._records if self._files.read > before else self._files
            ledger.drop(f"archive is {CUT_OFF}", example=f"{archive.path}: {error}")
            return
        if failure is not None:
            self._lose(*failure)
        if self._files.read == before:
            self._files.drop("empty archive", example=archive.path)

    def _texts_of(self, stream: io.BufferedReader, blank: Piece) -> Iterator[Value | Piece]:
        """A text as the pieces it begins with, and the values of the rest."""
        rest, num_before = yield from pieces_of(stream, blank)
        yield from values_of(
            rest, blank.path, self._records, self._is_part,
            limit=blank.limit, one_a_line=blank.one_a_line, num_before=num_before,
        )  # fmt: skip

    def _items_of(self, location: _Location, source: str, items: Iterator[Value | Piece]) -> Iterator[Item]:
        before, count = self._records.read, 0
        try:
            for item in islice(items, self._per_file):
                count += 1
                yield item if isinstance(item, Piece) else Record(source, *item)
        except (OSError, LimitExceeded, MemoryError):
            if count or self._records.read > before:
                self._files.keep()
            raise
        if count or self._records.read > before:
            self._files.keep()
        else:
            self._files.drop("empty file", example=location.path)


@dataclass(frozen=True)
class _Location:
    """Where a file is.

    Args:
        folder: What comes before its name in the names of records: "" or a path with a slash at its end.
        name: Its path in the folder or archive.
        is_source: Whether it is the source itself: its members are then not named after it.
        depth: How many archives it is in.
    """

    folder: str
    name: str
    is_source: bool = False
    depth: int = 0

    @property
    def path(self) -> str:
        return self.folder + self.name

    @property
    def suffix(self) -> str:
        return split(self.name)[1]

    def member(self, name: str) -> _Location:
        """Where a file of this archive is. Its path may be anything, and is only a name here."""
        parts = _UNSAFE.sub("\ufffd", name).replace("\\", "/").split("/")
        path = "/".join(part for part in parts if part not in ("", ".", "..") and not _DRIVE.fullmatch(part))
        folder = self.folder if self.is_source else f"{self.folder}{split(self.name)[0]}/"
        return _Location(folder, path[-NAME_LENGTH:] or "file", depth=self.depth + 1)


class _Names:
    """Names of files for records: their paths without suffixes, or with them where two would be the same."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._numbered: set[str] = set()

    def of(self, location: _Location) -> str:
        """The name of the next file."""
        stem = _UNSAFE.sub("\ufffd", location.folder + split(location.name)[0])
        path = _UNSAFE.sub("\ufffd", location.path)
        name, number = stem, 1
        while name in self._taken or name in self._numbered or not self._taken.isdisjoint(_parents(name)):
            name, number = (path if number == 1 else f"{path} ({number})"), number + 1
        self._taken.add(name)
        self._numbered.update(_parents(name))
        return name


def _problem_of(name: str, head: bytes) -> str:
    """Why a file holds no records, from its name and its first bytes; empty when it may hold some."""
    return passed_over(name) if PurePath(name).suffix.lower() in WRITTEN_AS_LINES else problem_of(head)


def _parents(name: str) -> Iterator[str]:
    """Names of files of which a record could have this name: "runs" for "runs/12"."""
    head, _, tail = name.rpartition("/")
    while head and tail.isdecimal():
        yield head
        head, _, tail = head.rpartition("/")
