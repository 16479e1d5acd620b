"""A journal of what was served: records in a folder, on the disk before the calls they are about are answered.

A file has a record a line and a name of its day, `2026-11-28-0001.jsonl`; a new one is begun each day, and when one
has grown to `max_bytes`. Records that come at the same time share one `fsync`. A line that a killed process left
unfinished was never acknowledged: it is cut off when the journal is opened again.
"""

from __future__ import annotations

import asyncio
import fcntl
import io
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lrat_hub.errors import LratError
from lrat_hub.serving.batching import Overloaded
from lrat_hub.storage import fsync_path

MAX_BYTES = 64 << 20
"""Bytes at which a file is closed and another begun."""

SHORT = 8
"""Characters below which a session's name counts as mentioned only where it stands as a word."""

_FILE = re.compile(r"\d{4}-\d{2}-\d{2}-\d{4,}\.jsonl")
_WRITER, _COMMIT = ".writer.lock", ".commit.lock"


class Occupied(LratError):
    """Another process writes the journal."""


class NotWritten(Overloaded):
    """A record could not be written, such as on a full disk: what it is about must not be answered as if it were."""


class Journal:
    """The one writer of a folder; records are appended by `append`, from one event loop.

    Args:
        folder: Made if there is none.
        max_bytes: Bytes at which a file is closed.
        now: The time; a record's file is that of its day.

    Raises:
        LratError: Another process writes there, or the folder can't be written.
    """

    def __init__(
        self, folder: Path, *, max_bytes: int = MAX_BYTES, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.folder, self._max_bytes, self._now = folder, max_bytes, now
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._worker: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._file: io.FileIO | None = None
        self._path = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = (folder / _WRITER).open("ab")
        except OSError as error:
            raise LratError(f"Journal {folder}: expected a folder that can be written; {error}.") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise Occupied(
                f"Journal {folder}: expected no other writer, found another process that writes it. Stop it, or name "
                "another folder."
            ) from error
        self.num_cut = 0
        """Unfinished lines that were cut off when the journal was opened."""
        self.num_written = 0
        self.failure = ""
        """Why the last records could not be written; "" since some could."""
        try:
            for path in files_of(folder):
                self.num_cut += _mend(path)
        except OSError as error:
            self._lock.close()
            raise LratError(f"Journal {folder}: expected files that can be written; {error}.") from error

    async def append(self, record: Mapping[str, Any]) -> None:
        """Writes a record; when this returns, it is on the disk.

        Raises:
            NotWritten: It is not: the disk is full, or the like. The journal goes on with the next record.
        """
        line = (json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n").encode("utf-8", "replace")
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((line, written))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        await written

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                await loop.run_in_executor(self._thread, self._commit, b"".join(line for line, _ in batch))
            except (OSError, ValueError, RuntimeError) as error:
                problem = NotWritten(
                    f"Journal {self.folder}: expected to write {len(batch)} records, found {error}. Make space, and "
                    "ask again."
                )
                self.failure = str(problem)
                for _, written in batch:
                    if not written.done():
                        written.set_exception(problem)
            else:
                self.num_written += len(batch)
                self.failure = ""
                for _, written in batch:
                    if not written.done():
                        written.set_result(None)

    def _commit(self, lines: bytes) -> None:
        """Writes lines to the file of the day and syncs them; whatever fails leaves nothing of them."""
        with _committing(self.folder):
            file = self._opened()
            end = file.seek(0, os.SEEK_END)
            try:
                written = memoryview(lines)
                while written:
                    written = written[file.write(written) :]
                os.fsync(file.fileno())
            except OSError:
                # What was half written would be another record's beginning.
                os.ftruncate(file.fileno(), end)
                raise

    def _opened(self) -> io.FileIO:
        """The file to write to, opened again where it is full, of another day, or has been replaced."""
        day = self._now().strftime("%Y-%m-%d")
        if self._file is not None:
            there = os.fstat(self._file.fileno())
            if there.st_nlink and there.st_size < self._max_bytes and self._path.name.startswith(day):
                return self._file
            self._file.close()
            self._file = None
        of_day = [path for path in files_of(self.folder) if path.name.startswith(day)]
        number = int(of_day[-1].stem.rpartition("-")[2]) if of_day else 1
        if of_day and of_day[-1].stat().st_size >= self._max_bytes:
            number += 1
        self._path = self.folder / f"{day}-{number:04d}.jsonl"
        if self._path.exists():
            _mend(self._path)
        self._file = io.FileIO(self._path, "ab", opener=_for_its_owner)
        fsync_path(self.folder)
        return self._file

    def close(self) -> None:
        """Ends the journal; what is being written is written first."""
        self._thread.shutdown()
        if self._file is not None:
            self._file.close()
        self._lock.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def open_journal(folder: Path, *, writers: int = 1) -> Journal:
    """A journal in a folder that several processes write, each in a folder of its own within it.

    Args:
        writers: How many processes there may be.

    Raises:
        LratError: As many write there already.
    """
    if writers == 1:
        return Journal(folder)
    for number in range(1, writers + 1):
        try:
            return Journal(folder / f"writer-{number}")
        except Occupied:
            continue
    raise Occupied(f"Journal {folder}: expected fewer than {writers} writers, found as many. Stop them first.")


def files_of(folder: Path) -> list[Path]:
    """The files of a journal, in the order in which they were written."""
    found = [path for path in folder.iterdir() if _FILE.fullmatch(path.name)]
    return sorted(found, key=lambda path: (path.name[:10], int(path.stem.rpartition("-")[2])))


@dataclass(frozen=True)
class Forgotten:
    """What was deleted of a session.

    Args:
        records: Records that were deleted.
        files: Files that were written again without them.
        mentions: Records of other sessions that contain the session's name, such as in a query: they are kept.
    """

    records: int
    files: int
    mentions: int


def forget_session(folder: Path, session: str) -> Forgotten:
    """Deletes every record of a session, also while a server writes the journal.

    Each file is replaced as a whole by one without the session. Afterwards every byte of the folder is read again.

    Args:
        session: The session's name, or the subject of its token.

    Raises:
        LratError: There is no journal, it can't be written, or the session has no record in it.
    """
    try:
        journals = [part for part in (folder, *folder.glob("writer-*")) if part.is_dir() and files_of(part)]
        if not journals:
            raise LratError(f"Journal {folder}: expected the files of a journal, found none. Check the path.")
        counts = [_forget(part, session) for part in journals]
        records, files = (sum(column) for column in zip(*counts, strict=True))
        if not records:
            raise LratError(f"Journal {folder}: expected records of the session {session!r}, found none.")
        return Forgotten(records, files, _mentions(folder, session))
    except OSError as error:
        raise LratError(f"Journal {folder}: expected files that can be written; {error}.") from error


def _forget(folder: Path, session: str) -> tuple[int, int]:
    """Records that were deleted, and files that were written again."""
    records = files = 0
    # Nothing is written to a file that is being replaced.
    with _committing(folder):
        for left_over in folder.glob(".*.forgetting"):
            left_over.unlink()
        for path in files_of(folder):
            lines = path.read_bytes().splitlines(keepends=True)
            kept = [line for line in lines if not _is_of(line, session)]
            if len(kept) == len(lines):
                continue
            records, files = records + len(lines) - len(kept), files + 1
            temporary = path.with_name(f".{path.name}.forgetting")
            with open(temporary, "wb", opener=_for_its_owner) as file:
                file.writelines(kept)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            fsync_path(folder)
    return records, files


def _is_of(line: bytes, session: str) -> bool:
    try:
        record = json.loads(line)
    except ValueError:
        return False
    return isinstance(record, dict) and session in (record.get("session"), record.get("subject"))


def _mentions(folder: Path, session: str) -> int:
    """Lines of any file of the folder in which the name still stands."""
    names = {session.encode("utf-8", "replace"), json.dumps(session)[1:-1].encode()}
    pattern = b"|".join(map(re.escape, names))
    if len(session) < SHORT:
        # Words hold short names by chance.
        pattern = rb"(?<!\w)(?:" + pattern + rb")(?!\w)"
    mentioned = re.compile(pattern)
    paths = (path for path in folder.rglob("*") if path.is_file())
    return sum(mentioned.search(line) is not None for path in paths for line in path.read_bytes().splitlines())


@contextmanager
def _committing(folder: Path) -> Iterator[None]:
    """Keeps writers of records and those who replace files apart."""
    with (folder / _COMMIT).open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _for_its_owner(path: str, flags: int) -> int:
    """Opens a file that nobody else may read: it has what people asked."""
    return os.open(path, flags, 0o600)


def _mend(path: Path) -> int:
    """Cuts off the line that a killed process left unfinished; whether there was one."""
    with path.open("r+b") as file:
        content_end = file.seek(0, os.SEEK_END)
        end = content_end
        while end:
            start = max(0, end - (1 << 16))
            file.seek(start)
            found = file.read(end - start).rfind(b"\n")
            if found >= 0:
                end = start + found + 1
                break
            end = start
        if end == content_end:
            return 0
        file.truncate(end)
        os.fsync(file.fileno())
    return 1
