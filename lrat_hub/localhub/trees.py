"""Folders of commits: their entries, read once, as a tree of git never changes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import pygit2
from pygit2.enums import FileMode

from lrat_hub.localhub.libgit import git_object, open_git, printable
from lrat_hub.localhub.objects import POINTER_MAX_BYTES, Pointer

# About 400 bytes each.
CACHED_ENTRIES = 200_000


@dataclass(frozen=True)
class Entry:
    """A file or folder of a commit: its git object, and the pointer if the content is a large object.

    That an object can't be read is told to who reads it, and to nobody who reads what lies beside it.
    """

    path: str
    is_folder: bool
    oid: str
    blob_size: int
    pointer: Pointer | None
    is_damaged: bool = False

    @property
    def etag(self) -> str:
        """The hash of the content: sha256 for a large object, git's sha1 for other files."""
        return self.pointer.oid if self.pointer else self.oid

    @property
    def size(self) -> int:
        return self.pointer.size if self.pointer else self.blob_size


Children = Mapping[str, Entry]


class _TreeCache:
    """The trees used last: as many as have `CACHED_ENTRIES` entries together, and at least one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._trees: OrderedDict[tuple[str, str], Children] = OrderedDict()
        self._entries = 0

    def get(self, key: tuple[str, str]) -> Children | None:
        with self._lock:
            tree = self._trees.get(key)
            if tree is not None:
                self._trees.move_to_end(key)
            return tree

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
    """Read everything from the disk again from now on: for whoever looks for damage."""
    global _cache
    _cache = _TreeCache()
    _blobs.clear()
    totals.cache_clear()
    pointers.cache_clear()


def children(path: str, tree_id: str) -> Children:
    """What is directly in a tree of the repository at `path`, by name, in git's order."""
    key = (path, tree_id)
    tree = _cache.get(key)
    if tree is None:
        git = open_git(path)
        # A submodule is no file of this repository: what it stands for is elsewhere.
        found = (child for child in git_object(git, tree_id, pygit2.Tree) if child.filemode != FileMode.COMMIT)
        entries = [_entry(git, child) for child in found]
        tree = {entry.path: entry for entry in entries}
        # Somebody may repair what is damaged.
        if not any(entry.is_damaged for entry in entries):
            _cache.put(key, tree)
    return tree


def walk(path: str, tree_id: str, *, prefix: str = "", recursive: bool = True) -> Iterator[Entry]:
    """The entries of a tree, in git's order; those of subtrees follow their folder."""
    # No recursion: folders may lie deeper in one another than Python's stack.
    waiting = [(prefix, iter(children(path, tree_id).values()))]
    while waiting:
        folder, entries = waiting[-1]
        child = next(entries, None)
        if child is None:
            waiting.pop()
            continue
        entry = replace(child, path=folder + child.path)
        yield entry
        if recursive and entry.is_folder:
            waiting.append((entry.path + "/", iter(children(path, entry.oid).values())))


@lru_cache(maxsize=4096)
def totals(path: str, tree_id: str) -> tuple[int, int]:
    """The number of files in a tree and its subtrees, and of their bytes."""
    known: dict[str, tuple[int, int]] = {}
    waiting = [tree_id]
    while waiting:
        entries = children(path, waiting[-1]).values()
        unknown = [entry.oid for entry in entries if entry.is_folder and entry.oid not in known]
        if unknown:
            waiting += unknown
            continue
        parts = [known[entry.oid] if entry.is_folder else (1, entry.size) for entry in entries]
        known[waiting.pop()] = sum(files for files, _ in parts), sum(size for _, size in parts)
    return known[tree_id]


def _entry(git: pygit2.Repository, child: pygit2.Object) -> Entry:
    name, oid = printable(child.name or ""), str(child.id)
    if child.filemode == FileMode.TREE:
        return Entry(name, True, oid, 0, None)
    try:
        size, pointer = _blobs.get(oid) or _blob(git, oid)
    except (KeyError, pygit2.GitError):
        return Entry(name, False, oid, 0, None, is_damaged=True)
    return Entry(name, False, oid, size, pointer)


def _blob(git: pygit2.Repository, oid: str) -> tuple[int, Pointer | None]:
    """The size of a blob, and the pointer that it is: the same wherever it lies, so kept for the next tree with it."""
    _, size = git.odb.read_header(oid)
    pointer = Pointer.parse(git_object(git, oid, pygit2.Blob).data) if size <= POINTER_MAX_BYTES else None
    if len(_blobs) >= CACHED_ENTRIES:
        _blobs.clear()
    _blobs[oid] = size, pointer
    return size, pointer


@lru_cache(maxsize=64)
def pointers(path: str, tips: frozenset[str], lenient: bool) -> frozenset[Pointer]:
    """Every large file that the history of some commits refers to.

    Args:
        lenient: Whether to leave out what can't be read; otherwise it raises KeyError: nobody knows what that
            refers to.
    """
    git = open_git(path)
    walker = git.walk(None)
    for tip in tips:
        walker.push(tip)
    found: set[Pointer] = set()
    seen: set[str] = set()
    waiting: list[str] = []
    for commit in walker:
        waiting.append(str(commit.tree_id))
        while waiting:
            tree_id = waiting.pop()
            if tree_id in seen:
                continue
            seen.add(tree_id)
            entries = children(path, tree_id).values()
            if not lenient and (damaged := next((entry for entry in entries if entry.is_damaged), None)):
                raise KeyError(f"git object {damaged.oid} of {damaged.path} is missing or damaged")
            waiting += [entry.oid for entry in entries if entry.is_folder]
            found |= {entry.pointer for entry in entries if entry.pointer}
    return frozenset(found)
