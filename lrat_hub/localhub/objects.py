"""Large files: immutable objects named by the sha256 of their content, pointers to them in git, and signed links.

See https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md for the pointer format.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeGuard
from urllib.parse import urlencode

from lrat_hub.localhub.protocol import HubError, parse_number
from lrat_hub.localhub.root import fsync_path

Method = Literal["GET", "PUT"]

# Clients ask for the links of a whole commit, and then transfer its files one after another.
LINK_SECONDS = 24 * 3600

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
        for folder in (root, tmp):
            folder.mkdir(parents=True, exist_ok=True)

    def of(self, namespace: str) -> NamespaceObjects:
        return NamespaceObjects(self, namespace)

    def namespaces(self) -> list[NamespaceObjects]:
        return [self.of(folder.name) for folder in sorted(self.root.iterdir()) if folder.is_dir()]

    def recover(self) -> None:
        """Remove what a killed server left behind. Only for the owner of the root, before it serves."""
        for leftover in self.tmp.iterdir():
            leftover.unlink()


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
        target = self._objects.path(self._pointer.oid)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(self._file.name, target)
        root = self._objects.root
        for folder in (target.parent, target.parent.parent, root, root.parent):
            fsync_path(folder)


class Links:
    """Makes and checks links to large files: each stands for one permission on one object, for some time.

    Clients send no token along with the content of a large file, as they would send it to a storage service.

    Args:
        key: The key that links are signed with.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def path(self, method: Method, namespace: str, pointer: Pointer) -> str:
        """The path of a link by which whoever holds it may get or put this object of a namespace, and nothing else."""
        expires = str(int(time.time()) + LINK_SECONDS)
        signature = self._signature(method, namespace, pointer, expires)
        query = urlencode({"size": pointer.size, "expires": expires, "signature": signature})
        return f"/api/lfs-objects/{namespace}/{pointer.oid}?{query}"

    def check(self, method: Method, namespace: str, oid: str, query: Mapping[str, str]) -> Pointer:
        """The object that a link is for.

        Raises:
            HubError: 403 if the link is forged or has expired.
        """
        expires = query.get("expires", "")
        size, end = (parse_number(text, max_digits=19) for text in (query.get("size", ""), expires))
        if not is_oid(oid) or size is None or end is None:
            raise HubError(403, "Link refused: it is incomplete")
        pointer = Pointer(oid, size)
        signature = self._signature(method, namespace, pointer, expires)
        if not hmac.compare_digest(signature.encode(), query.get("signature", "").encode()):
            raise HubError(403, "Link refused: its signature is wrong")
        if end < time.time():
            raise HubError(403, "Link refused: it has expired")
        return pointer

    def _signature(self, method: Method, namespace: str, pointer: Pointer, expires: str) -> str:
        text = f"{method} {namespace} {pointer.oid} {pointer.size} {expires}"
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()
