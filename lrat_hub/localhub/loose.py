"""Loose objects of git, read and written by Python's compression and hash, in place of libgit2's.

libgit2 would keep all of the server waiting while it writes, and take a damaged object for one that need not be
written. It would read one that ends early for ever, and ask for all the memory that a damaged header announces. It
still compares what it gets here with the name of the object. See
https://git-scm.com/book/en/v2/Git-Internals-Git-Objects for the format.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pygit2
from pygit2.enums import ObjectType

from lrat_hub.localhub.root import fsync_path

# Longer content is stored as it is: compressing takes longer than anything else about it, and packing does it later.
COMPRESSED_MAX_BYTES = 256 * 1024
# Longer than any header.
HEADER_BYTES = 64
# Before the backends of libgit2, which have 1 and 2.
PRIORITY = 10
NAMES = {ObjectType.BLOB: b"blob", ObjectType.TREE: b"tree", ObjectType.COMMIT: b"commit", ObjectType.TAG: b"tag"}
TYPES = {name: kind for kind, name in NAMES.items()}
_HEADER = re.compile(rb"([a-z]{1,9}) ([0-9]{1,18})\0")


class LooseObjects(pygit2.OdbBackend):
    """Answers for loose objects before libgit2 reads them, and writes them as the rest of this package does."""

    def __init__(self, git: Path) -> None:
        super().__init__()
        self._git = git

    def read_cb(self, oid: Any) -> tuple[int, bytes]:
        return read_object(loose_path(self._git, str(oid)))

    def read_prefix_cb(self, oid: Any) -> tuple[int, bytes, pygit2.Oid]:
        name = str(oid)
        path = loose_path(self._git, name)
        found = [path] if len(name) == 40 else list(path.parent.glob(f"{path.name}*"))
        if len(found) != 1:
            # libgit2 says what it makes of several.
            raise KeyError(oid)
        return *read_object(found[0]), pygit2.Oid(hex=found[0].parent.name + found[0].name)

    def read_header_cb(self, oid: Any) -> NoReturn:
        # The start of an object is read without end or trouble.
        raise KeyError(oid)

    def exists_cb(self, oid: Any) -> bool:
        return False

    def exists_prefix_cb(self, oid: Any) -> NoReturn:
        raise KeyError(oid)

    def refresh_cb(self) -> None:
        pass

    def write_cb(self, oid: Any, content: bytes, kind: int) -> None:
        write_object(loose_path(self._git, str(oid)), kind, content)

    def __iter__(self) -> Iterator[Any]:
        return iter(())


def loose_path(git: str | Path, oid: str) -> Path:
    """Where a loose object of this name is in a repository, if it is one."""
    return Path(git, "objects", oid[:2], oid[2:])


def is_readable(git: pygit2.Repository, oid: str) -> bool:
    """Whether an object is there, loose or in a pack, with the content that it is named by."""
    try:
        # libgit2 compares the hash of whatever it reads.
        git.odb.read(oid)
    except (KeyError, pygit2.GitError):
        return False
    return True


def is_whole(path: Path) -> bool:
    """Whether a loose object is there, with the content that it is named by."""
    try:
        return _name_of(*read_object(path)) == path.parent.name + path.name
    except (KeyError, pygit2.GitError):
        return False


def read_object(path: Path) -> tuple[int, bytes]:
    """Type and content of a loose object. Raises KeyError if there is none, pygit2.GitError if it is damaged."""
    name = path.parent.name + path.name
    try:
        compressed = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise KeyError(name) from None
    except OSError as error:
        raise pygit2.GitError(f"git object {name} can't be read: {error.strerror}") from None
    stream = zlib.decompressobj()
    try:
        start = stream.decompress(compressed, HEADER_BYTES)
        header = _HEADER.match(start)
        if header is None or header[1] not in TYPES:
            raise pygit2.GitError(f"git object {name} has no header of an object")
        size, start = int(header[2]), start[header.end() :]
        # One byte more than is left shows that there is none, and takes the stream to its end.
        content = start + stream.decompress(stream.unconsumed_tail, max(size - len(start), 0) + 1)
    except zlib.error as error:
        raise pygit2.GitError(f"git object {name}: {error}") from None
    if not stream.eof and len(content) <= size:
        raise pygit2.GitError(f"git object {name} ends early")
    if len(content) != size or stream.unused_data:
        raise pygit2.GitError(f"git object {name} has another size than its header says")
    return TYPES[header[1]], content


def write_blob(git: pygit2.Repository, content: bytes, folders: set[Path]) -> str:
    """Store content, also where a damaged object of the same name is in its place.

    Args:
        folders: Gets those that are still to be flushed, once for all blobs of a commit.

    Returns:
        The sha of the blob.
    """
    oid = _name_of(ObjectType.BLOB, content)
    path = loose_path(git.path, oid)
    if pygit2.Oid(hex=oid) in git.odb:
        if is_readable(git, oid):
            # Another request may have written it just now, and not have flushed its folder yet.
            folders |= _folders_of(path) if path.exists() else set()
            return oid
        path.unlink(missing_ok=True)
    _write(path, ObjectType.BLOB, content)
    folders |= _folders_of(path)
    return oid


def write_object(path: Path, kind: int, content: bytes) -> None:
    """Write a loose object that survives a power cut from now on."""
    _write(path, kind, content)
    for folder in _folders_of(path):
        fsync_path(folder)


def _write(path: Path, kind: int, content: bytes) -> None:
    level = 1 if len(content) <= COMPRESSED_MAX_BYTES else 0
    compressor = zlib.compressobj(level)
    path.parent.mkdir(exist_ok=True)
    draft = path.with_name(f"tmp_obj_{secrets.token_hex(8)}")
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444), "wb") as file:
            file.write(compressor.compress(_header(kind, content)))
            file.write(compressor.compress(content))
            file.write(compressor.flush())
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            draft.unlink()
        raise


def _folders_of(path: Path) -> set[Path]:
    # The folder of objects too, as it may be that of a new one.
    return {path.parent, path.parent.parent}


def _header(kind: int, content: bytes) -> bytes:
    return b"%b %d\0" % (NAMES[ObjectType(kind)], len(content))


def _name_of(kind: int, content: bytes) -> str:
    digest = hashlib.sha1(_header(kind, content), usedforsecurity=False)
    digest.update(content)
    return digest.hexdigest()
