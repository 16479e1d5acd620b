"""Blobs written as loose objects of git: by Python's hash and compression, which let other threads run meanwhile.

libgit2 would keep all of the server waiting, and take a damaged object for one that need not be written. See
https://git-scm.com/book/en/v2/Git-Internals-Git-Objects for the format.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import zlib
from pathlib import Path

import pygit2
from pygit2.enums import ObjectType

from lrat_hub.localhub.root import fsync_path

# Longer content is stored as it is: compressing takes longer than anything else about it, and packing does it later.
COMPRESSED_MAX_BYTES = 256 * 1024


def write_blob(git: pygit2.Repository, content: bytes, folders: set[Path]) -> str:
    """Store content, also where a damaged object of the same name is in its place.

    Args:
        folders: Gets those that are still to be flushed, once for all blobs of a commit.

    Returns:
        The sha of the blob.
    """
    header = b"blob %d\0" % len(content)
    digest = hashlib.sha1(header, usedforsecurity=False)
    digest.update(content)
    oid = digest.hexdigest()
    if pygit2.Oid(hex=oid) in git.odb:
        if is_readable(git, oid):
            return oid
        loose_path(git, oid).unlink(missing_ok=True)
    folders |= _write(loose_path(git, oid), header, content)
    return oid


def write_loose(git: pygit2.Repository, oid: str) -> None:
    """Write an object that is in a pack as a loose one too."""
    kind, content = git.odb.read(oid)
    names = {ObjectType.BLOB: b"blob", ObjectType.TREE: b"tree", ObjectType.COMMIT: b"commit", ObjectType.TAG: b"tag"}
    for folder in _write(loose_path(git, oid), b"%b %d\0" % (names[ObjectType(kind)], len(content)), content):
        fsync_path(folder)


def loose_path(git: pygit2.Repository, oid: str) -> Path:
    """Where a loose object of this name is, if it is one."""
    return Path(git.path, "objects", oid[:2], oid[2:])


def is_readable(git: pygit2.Repository, oid: str) -> bool:
    """Whether an object is there, with the content that it is named by."""
    try:
        # libgit2 compares the hash of whatever it reads.
        git.odb.read(oid)
    except (KeyError, pygit2.GitError):
        return False
    return True


def _write(path: Path, header: bytes, content: bytes) -> set[Path]:
    """Write a loose object. Returns the folders that are to be flushed before anybody is told of it."""
    level = 1 if len(content) <= COMPRESSED_MAX_BYTES else 0
    compressor = zlib.compressobj(level)
    path.parent.mkdir(exist_ok=True)
    draft = path.with_name(f"tmp_obj_{secrets.token_hex(8)}")
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444), "wb") as file:
            file.write(compressor.compress(header))
            file.write(compressor.compress(content))
            file.write(compressor.flush())
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            draft.unlink()
        raise
    # The folder of objects too, as it may be that of a new one.
    return {path.parent, path.parent.parent}
