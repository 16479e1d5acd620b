"""Large files: immutable objects named by the sha256 of their content, and the pointers to them in git.

See https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md for the pointer format.
"""

from __future__ import annotations

import errno
import hashlib
import io
import logging
import os
import re
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeGuard

from lrat_hub.localhub.protocol import HubError
from lrat_hub.localhub.root import Stamp, fsync_path, stamp_of

logger = logging.getLogger("uvicorn.error")

DAMAGED = "damaged"
PORTION_BYTES = 1024 * 1024
# How many objects are remembered as sound; each takes about 300 bytes.
SOUND_MAX = 200_000
# Objects up to this size are read before they are sent for the first time; longer ones while they are.
CHECKED_FIRST_BYTES = 64 * 1024 * 1024
# What any disk and processor can do, to tell which objects can be read in the time that a client waits.
READ_BYTES_PER_SECOND = 100_000_000

_OID = re.compile(r"[0-9a-f]{64}")
_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\noid sha256:(?P<oid>[0-9a-f]{64})\nsize (?P<size>[0-9]{1,18})\n"
)
# No pointer is longer, so that longer blobs need not be read to know that they are none.
POINTER_MAX_BYTES = 160


@dataclass(frozen=True)
class Pointer:
    """A large file: the sha256 and the number of bytes of its content."""

    oid: str
    size: int

    @classmethod
    def parse(cls, blob: bytes) -> Pointer | None:
        """The pointer that `blob` is, or None for any other content."""
        match = _POINTER.fullmatch(blob)
        return cls(match["oid"].decode(), int(match["size"])) if match else None

    def dump(self) -> bytes:
        return f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.oid}\nsize {self.size}\n".encode()


def is_oid(oid: object) -> TypeGuard[str]:
    return isinstance(oid, str) and _OID.fullmatch(oid) is not None


class ObjectStore:
    """The objects of all namespaces: `root/NAMESPACE/AA/BB/SHA256`, visible once complete and verified.

    Each namespace has its own, so that nobody gets at another's content by knowing its hash: who may upload to a
    namespace may read all of it.

    Args:
        root: Where the objects are.
        tmp: Where uploads under way are, on the same file system.
    """

    def __init__(self, root: Path, tmp: Path) -> None:
        self.root = root
        self.tmp = tmp
        self.damaged = root.parent / DAMAGED
        for folder in (root, tmp):
            folder.mkdir(parents=True, exist_ok=True)
        # What was read and is right, or came over the network and was checked, by what the file system says of it.
        self._sound: dict[Path, Stamp] = {}
        self._lock = threading.Lock()

    def of(self, namespace: str) -> NamespaceObjects:
        return NamespaceObjects(self, namespace)

    def namespaces(self) -> list[NamespaceObjects]:
        return [self.of(folder.name) for folder in sorted(self.root.iterdir()) if folder.is_dir()]

    def recover(self) -> None:
        """Remove what a killed server left behind. Only for the owner of the root, before it serves."""
        for leftover in self.tmp.iterdir():
            if leftover.is_dir() and not leftover.is_symlink():
                shutil.rmtree(leftover)
            else:
                leftover.unlink()

    def is_known_sound(self, path: Path) -> bool:
        return self._sound.get(path) == stamp_of(path)

    def note_sound(self, path: Path, stamp: Stamp) -> None:
        with self._lock:
            if len(self._sound) >= SOUND_MAX:
                self._sound.clear()
            self._sound[path] = stamp

    def is_sound(self, path: Path, *, rate: int | None = None) -> bool:
        """Whether the content of an object has the sha256 that it is named by; if not, it is put aside.

        Args:
            path: The file of the object.
            rate: The most bytes to read in a second, for who has time; None for all speed.
        """
        stamp = stamp_of(path)
        if stamp is None:
            return False
        if sha256_of(path, rate=rate) == path.name:
            self.note_sound(path, stamp)
            return True
        self.put_aside(path, stamp)
        return False

    def put_aside(self, path: Path, stamp: Stamp) -> None:
        """Take an object that is damaged out of what is served, so that it can be uploaded again.

        Args:
            stamp: What the file system said of it before it was read: a newer one may have taken its place.
        """
        with self._lock:
            if stamp_of(path) != stamp:
                return
            self.damaged.mkdir(exist_ok=True)
            namespace = path.parent.parent.parent.name
            os.replace(path, self.damaged / f"{namespace}-{path.name}")
            for folder in (path.parent, self.damaged):
                fsync_path(folder)
        logger.error("object %s of %s is damaged and was put aside in %s", path.name, namespace, self.damaged)

    def put(self, source: Path, path: Path, *, sound: bool) -> None:
        """Let a file that is complete and flushed be an object, in place of a damaged one if need be.

        Args:
            sound: Whether somebody has compared its content with its name.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._lock:
            os.replace(source, path)
        stamp = stamp_of(path)
        if stamp is not None and sound:
            self.note_sound(path, stamp)
        for folder in (path.parent, path.parent.parent, path.parent.parent.parent, self.root):
            fsync_path(folder)


@dataclass(frozen=True)
class NamespaceObjects:
    """The objects of one namespace, whose name must be a valid one."""

    store: ObjectStore
    namespace: str

    @property
    def root(self) -> Path:
        return self.store.root / self.namespace

    def path(self, oid: str) -> Path:
        return self.root / oid[:2] / oid[2:4] / oid

    def size(self, oid: str) -> int | None:
        """The number of bytes of an object; None if it is not here."""
        try:
            return self.path(oid).stat().st_size
        except FileNotFoundError:
            return None

    def has(self, pointer: Pointer) -> bool:
        return self.size(pointer.oid) == pointer.size

    def is_sound(self, pointer: Pointer, deadline: float) -> bool:
        """Whether an object is here with its content; what can't be read until the deadline counts as not here."""
        path = self.path(pointer.oid)
        if not self.has(pointer):
            return False
        if self.store.is_known_sound(path):
            return True
        left = deadline - time.monotonic()
        return pointer.size <= left * READ_BYTES_PER_SECOND and self.store.is_sound(path)

    def open(self, pointer: Pointer) -> BinaryIO:
        """The content of an object; read first if it is not too long for whoever waits.

        Raises:
            FileNotFoundError: It is not here, or not with its content.
        """
        path = self.path(pointer.oid)
        if not self.has(pointer):
            raise FileNotFoundError(path)
        if (
            pointer.size <= CHECKED_FIRST_BYTES
            and not self.store.is_known_sound(path)
            and not self.store.is_sound(path)
        ):
            raise FileNotFoundError(path)
        return CheckedFile(self.store, path)

    def share(self, pointer: Pointer, other: NamespaceObjects) -> None:
        """Give an object to another namespace, which takes no further room on the disk.

        Raises:
            FileNotFoundError: It is not here.
        """
        source, target = self.path(pointer.oid), other.path(pointer.oid)
        if source == target or other.has(pointer):
            return
        link = self.store.tmp / f"link-{secrets.token_hex(8)}"
        os.link(source, link)
        self.store.put(link, target, sound=self.store.is_known_sound(source))

    def upload(self, pointer: Pointer) -> Upload:
        return Upload(self, pointer)

    def paths(self) -> Iterator[Path]:
        """The files of all objects."""
        return self.root.glob("??/??/*")


class Upload:
    """An object on its way in; a context manager that leaves nothing behind unless `finish` succeeded."""

    def __init__(self, objects: NamespaceObjects, pointer: Pointer) -> None:
        self._objects = objects
        self._pointer = pointer
        self._hash = hashlib.sha256()
        self._received = 0

    def __enter__(self) -> Upload:
        self._file = tempfile.NamedTemporaryFile(dir=self._objects.store.tmp, delete=False)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        Path(self._file.name).unlink(missing_ok=True)

    def write(self, data: bytes | bytearray) -> None:
        self._received += len(data)
        if self._received > self._pointer.size:
            raise HubError(413, f"Upload refused: expected {self._pointer.size} bytes, received more")
        self._hash.update(data)
        self._file.write(data)

    def finish(self) -> None:
        """Make the object visible if its size and hash are what was announced."""
        if self._received != self._pointer.size:
            raise HubError(400, f"Upload refused: expected {self._pointer.size} bytes, received {self._received}")
        if self._hash.hexdigest() != self._pointer.oid:
            raise HubError(400, f"Upload refused: expected sha256 {self._pointer.oid}, found {self._hash.hexdigest()}")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._objects.store.put(Path(self._file.name), self._objects.path(self._pointer.oid), sound=True)


class CheckedFile(io.FileIO):
    """The content of an object. Whoever reads all of it in order gets an error at its end if it is damaged."""

    def __init__(self, store: ObjectStore, path: Path) -> None:
        super().__init__(path)
        self._store, self._path = store, path
        self._stamp = stamp_of(path)
        self._hash = None if store.is_known_sound(path) else hashlib.sha256()
        self._next = 0

    def read(self, size: int | None = -1, /) -> bytes:
        start = self.tell()
        data = super().read(size) or b""
        if self._hash is not None and self._stamp is not None and start == self._next:
            self._next += len(data)
            self._hash.update(data)
            if self._next == self._stamp[2]:
                self._end(self._hash.hexdigest(), self._stamp)
        return data

    def _end(self, found: str, stamp: Stamp) -> None:
        self._hash = None
        if found == self._path.name:
            self._store.note_sound(self._path, stamp)
            return
        self._store.put_aside(self._path, stamp)
        # Before the last part is sent: whoever downloads sees that it is not all there.
        raise OSError(errno.EIO, "the content of an object is damaged", str(self._path))


def sha256_of(path: Path, *, rate: int | None = None) -> str:
    """The sha256 of a file, read with at most `rate` bytes a second."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while portion := file.read(PORTION_BYTES):
            digest.update(portion)
            if rate is not None:
                time.sleep(len(portion) / rate)
    return digest.hexdigest()
