"""Folders of commits: their entries, read once as a tree of git never changes, and the trees that changes make."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TypeVar

import pygit2
from pygit2.enums import FileMode, RepositoryOpenFlag

from lrat_hub.localhub.objects import POINTER_MAX_BYTES, Pointer
from lrat_hub.localhub.protocol import HubError, entry_not_found

T = TypeVar("T", bound=pygit2.Object)

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


def open_git(path: str) -> pygit2.Repository:
    return pygit2.Repository(path, RepositoryOpenFlag.BARE | RepositoryOpenFlag.NO_SEARCH)


def git_object(git: pygit2.Repository, oid: str, kind: type[T]) -> T:
    """An object by its sha. Raises KeyError if the repository has none of this type."""
    item = git[oid]
    if not isinstance(item, kind):
        raise KeyError(f"{oid}: expected a {kind.__name__.lower()}, found a {item.type_str}")
    return item


def children(path: str, tree_id: str) -> Children:
    """What is directly in a tree of the repository at `path`, by name, in git's order."""
    key = (path, tree_id)
    tree = _cache.get(key)
    if tree is None:
        git = open_git(path)
        entries = [_entry(git, child) for child in git_object(git, tree_id, pygit2.Tree)]
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
    name, oid = child.name or "", str(child.id)
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


@dataclass(frozen=True)
class Put:
    """Write a file; `blob` is a git blob that the repository already has."""

    path: str
    blob: str


@dataclass(frozen=True)
class Delete:
    """Remove a file, or a folder with everything in it."""

    path: str
    is_folder: bool


def changed_tree(git: pygit2.Repository, tip: pygit2.Commit, changes: Iterable[Put | Delete]) -> pygit2.Oid:
    """Write the tree that changes make, in order, of that of a commit.

    Raises:
        HubError: 404 if something to delete is missing, 400 if a name would be both a file and a folder.
    """
    index = pygit2.Index()
    index.read_tree(tip.tree)
    written: set[str] = set()
    for change in changes:
        if isinstance(change, Put):
            # libgit2 would silently replace a file by the folder that a longer path makes of it.
            if any(folder in index for folder in folders_of(change.path)):
                raise _file_and_folder(change.path)
            index.add(pygit2.IndexEntry(change.path, pygit2.Oid(hex=change.blob), FileMode.BLOB))
            written.add(change.path)
        elif change.is_folder or change.path not in index:
            # Clients may name a folder as they name a file.
            before = len(index)
            index.remove_directory(change.path)
            if len(index) == before:
                raise _nothing_to_delete(change.path, tip)
        else:
            index.remove(change.path)
    # The other direction: libgit2 would write a tree in which one name is a file and a folder.
    folders: set[str] = set()
    for entry in index:
        folder = entry.path.rpartition("/")[0]
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    for path in written & folders:
        if path in index:
            raise _file_and_folder(path)
    return index.write_tree(git)


def folders_of(path: str) -> list[str]:
    """Every folder on the way to a path, without the root."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[: depth + 1]) for depth in range(len(parts))]


def _file_and_folder(path: str) -> HubError:
    return HubError(400, f"Invalid path {path!r}: it would be both a file and a folder")


def _nothing_to_delete(path: str, commit: pygit2.Commit) -> HubError:
    error = entry_not_found(path, str(commit.id))
    # huggingface_hub looks for this sentence to explain how to delete a folder.
    error.message = f"A file with this name doesn't exist: {path}"
    return error
