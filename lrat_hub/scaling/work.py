"""The contract of work that maps over items, and the folder that its files lie in until they are published.

The work is in parts of consecutive items, each of which becomes a file by itself, whoever makes it and whatever was
made before. A shard is every n-th part. So any number of shards, and any that were there before another number was
chosen, come to the same files.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import pickle
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol, Self

from lrat_hub.errors import LratError
from lrat_hub.storage import fsync_path

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Features

STAMP_FILE = "stamp.json"


class Work(Protocol):
    """A stage's work over many items, as pins and settings: it can be pickled, and run where nothing of it is open."""

    @property
    def name(self) -> str:
        """What is done, in a word or two."""
        ...

    def run(self, shard: int, shards: int) -> int:
        """Makes those files of a shard that are not there, and gives the number of items that they hold.

        Args:
            shard, shards: Number of the shard, from 0, and how many there are.
        """
        ...


class Parts(ABC):
    """Work whose parts are files of one folder, numbered from 0: see `Work`."""

    name: str

    @abstractmethod
    def __len__(self) -> int:
        """Number of parts."""

    @abstractmethod
    def path(self, number: int) -> Path:
        """The file of a part."""

    @abstractmethod
    def make(self, number: int) -> None:
        """Writes the file of a part, which is either not there or whole (`write_whole`)."""

    def has(self, number: int) -> bool:
        """Whether the file of a part is there."""
        return self.path(number).exists()

    def run(self, shard: int, shards: int) -> int:
        """Makes the parts of a shard that are not there, and gives how many parts the shard has."""
        numbers = range(shard, len(self), shards)
        for number in numbers:
            if not self.has(number):
                self.make(number)
        return len(numbers)


@dataclass(frozen=True)
class WorkFolder:
    """The folder of one piece of work, which its manifest names. From `open`."""

    path: Path
    _locks: list[IO[str]] = field(default_factory=list, compare=False, repr=False)

    @classmethod
    def open(cls, work_dir: Path, manifest: Mapping[str, Any]) -> Self:
        """The folder for a manifest, made if it is missing.

        Args:
            work_dir: Holds a folder for each manifest.
            manifest: All that shapes the files: pins, settings, versions. Anything that JSON can hold.

        Raises:
            LratError: The folder is stamped by another manifest.
        """
        stamp = json.dumps(manifest, indent=2)
        path = work_dir / hashlib.sha256(stamp.encode()).hexdigest()[:16]
        path.mkdir(parents=True, exist_ok=True)
        file = path / STAMP_FILE
        if not file.exists():
            write_whole(file, lambda stream: stream.write(stamp.encode()))
        if file.read_text(encoding="utf-8") != stamp:
            raise LratError(
                f"{file}: expected the stamp of this work, with its inputs and settings, found another stamp. "
                f"Remove {path.name}, or take another work folder."
            )
        return cls(path)

    def lock(self) -> None:
        """Keeps other runs away from these files until `unlock`, or until this process ends.

        Raises:
            LratError: Another run has them.
        """
        # Beside the folder, which is removed with all that is in it.
        path = self.path.with_suffix(".lock")
        file = path.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            file.close()
            raise LratError(
                f"{self.path}: process {holder} does the same work. Wait for it, or take another `work_dir`."
            ) from error
        if not path.exists() or not os.path.samestat(os.fstat(file.fileno()), path.stat()):
            # Whoever had it has removed it between the two calls.
            file.close()
            return self.lock()
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        self._locks.append(file)

    def unlock(self) -> None:
        """Lets other runs use these files."""
        while self._locks:
            self.path.with_suffix(".lock").unlink(missing_ok=True)
            self._locks.pop().close()

    def remove(self) -> None:
        """Removes the folder with its files."""
        shutil.rmtree(self.path)


ACCOUNTS = b"lrat_hub"
"""Key of a file's accounts in the metadata of its schema."""


def with_accounts(features: Features, accounts: Any) -> pa.Schema:
    """The schema of an Arrow file that holds accounts beside its rows."""
    schema = features.arrow_schema
    return schema.with_metadata({**schema.metadata, ACCOUNTS: pickle.dumps(accounts)})


def accounts_in(path: Path) -> Any:
    """The accounts in an Arrow file, whose rows are not read."""
    import pyarrow as pa

    with pa.OSFile(str(path)) as file:
        return pickle.loads(pa.ipc.open_stream(file).schema.metadata[ACCOUNTS])


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Another path to write to, which becomes `path` at the end: that is either not there or whole, whenever the
    process or the machine stops."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    yield partial
    fsync_path(partial)
    partial.replace(path)
    fsync_path(path.parent)


def write_whole(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Writes a file by `whole_file`."""
    with whole_file(path) as partial, partial.open("wb") as file:
        write(file)
