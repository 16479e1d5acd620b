"""What a commit changes, and the tree that comes of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pygit2
from pygit2.enums import FileMode

from lrat_hub.localhub.errors import HubError, entry_not_found


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
        elif change.is_folder:
            before = len(index)
            index.remove_directory(change.path)
            if len(index) == before:
                raise _nothing_to_delete(change.path, tip)
        elif change.path in index:
            index.remove(change.path)
        else:
            raise _nothing_to_delete(change.path, tip)
    # The other direction: libgit2 would write a tree in which one name is a file and a folder.
    folders = {folder for entry in index for folder in folders_of(entry.path)}
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
