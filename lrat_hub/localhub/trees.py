"""Folders of commits, read once: a tree of git never changes, so that a new commit costs only what it touched."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import pygit2
from pygit2.enums import FileMode, RepositoryOpenFlag

from lrat_hub.localhub.objects import POINTER_MAX_BYTES, Pointer

# About 400 bytes each.
CACHED_ENTRIES = 200_000


@dataclass(frozen=True)
class Entry:
    """A file or folder of a commit: its git object, and the pointer if the content is a large object."""

    path: str
    is_folder: bool
    oid: str
    blob_size: int
    pointer: Pointer | None

    @property
    def etag(self) -> str:
        """The hash of the content: sha256 for a large object, git's sha1 for other files."""
        return self.pointer.oid if self.pointer else self.oid

    @property
    def size(self) -> int:
        return self.pointer.size if self.pointer else self.blob_size


Children = Mapping[str, Entry]


class _TreeCache:
    """The trees used last, as many as have `CACHED_ENTRIES` entries together, and the largest of all besides."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._trees: OrderedDict[tuple[str, str], Children] = OrderedDict()
        self._entries = 0

    def get(self, key: tuple[str, str]) -> Children | None:
        with self._lock:
            found = self._trees.get(key)
            if found is not None:
                self._trees.move_to_end(key)
            return found

    def put(self, key: tuple[str, str], tree: Children) -> None:
        with self._lock:
            if key in self._trees:
                return
            self._trees[key] = tree
            # An empty tree takes room too.
            self._entries += len(tree) + 1
            while self._entries > CACHED_ENTRIES and len(self._trees) > 1:
                _, dropped = self._trees.popitem(last=False)
                self._entries -= len(dropped) + 1


_cache = _TreeCache()
_blobs: dict[str, tuple[int, Pointer | None]] = {}


def forget() -> None:
    """Read everything anew from now on: for whoever looks for damage."""
    global _cache
    _cache = _TreeCache()
    _blobs.clear()
    totals.cache_clear()


def open_git(path: str) -> pygit2.Repository:
    return pygit2.Repository(path, RepositoryOpenFlag.BARE | RepositoryOpenFlag.NO_SEARCH)


def children(path: str, tree_id: str) -> Children:
    """What is directly in a tree of the repository at `path`, by name, in git's order."""
    key = (path, tree_id)
    found = _cache.get(key)
    if found is None:
        git = open_git(path)
        found = {child.name: _entry(git, child) for child in git[tree_id]}
        _cache.put(key, found)
    return found


def walk(path: str, tree_id: str, *, prefix: str = "", recursive: bool = True) -> Iterator[Entry]:
    """The entries of a tree, in git's order; those of subtrees follow their folder."""
    for child in children(path, tree_id).values():
        entry = replace(child, path=prefix + child.path)
        yield entry
        if recursive and entry.is_folder:
            yield from walk(path, entry.oid, prefix=entry.path + "/")


@lru_cache(maxsize=16384)
def totals(path: str, tree_id: str) -> tuple[int, int]:
    """The number of files in a tree and its subtrees, and of their bytes."""
    files = size = 0
    for child in children(path, tree_id).values():
        more_files, more_bytes = totals(path, child.oid) if child.is_folder else (1, child.size)
        files, size = files + more_files, size + more_bytes
    return files, size


def _entry(git: pygit2.Repository, found: pygit2.Object) -> Entry:
    oid = str(found.id)
    if found.filemode == FileMode.TREE:
        return Entry(found.name, True, oid, 0, None)
    size, pointer = _blobs.get(oid) or _blob(git, oid)
    return Entry(found.name, False, oid, size, pointer)


def _blob(git: pygit2.Repository, oid: str) -> tuple[int, Pointer | None]:
    """The size of a blob, and the pointer that it is: the same wherever it lies, so kept for the next tree with it."""
    _, size = git.odb.read_header(oid)
    pointer = Pointer.parse(git[oid].data) if size <= POINTER_MAX_BYTES else None
    if len(_blobs) >= CACHED_ENTRIES:
        _blobs.clear()
    _blobs[oid] = size, pointer
    return size, pointer
