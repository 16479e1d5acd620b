"""The tree that the changes of a commit make: read and written where they are, and nowhere else.

What lies beside them is not looked at, so that a commit takes no longer in a large repository, and is none the worse
for damage that it doesn't touch.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pygit2
from pygit2.enums import FileMode

from lrat_hub.localhub.libgit import git_object
from lrat_hub.localhub.loose import is_readable, loose_path
from lrat_hub.localhub.protocol import HubError, entry_not_found, file_damaged


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


class _Folder:
    """A folder as changes leave it. While they are made, one name may be that of a file and of a folder."""

    def __init__(self, git: pygit2.Repository, path: str, tree_id: pygit2.Oid | None = None) -> None:
        self._git, self._path = git, path
        self._tree: pygit2.Tree | None = None
        # By name: the blob of each file that is written, None for what stays; folders that no change has come to by
        # their trees.
        self._files: dict[str, str | None] = {}
        self._folders: dict[str, _Folder | pygit2.Oid] = {}
        if tree_id is None:
            return
        try:
            self._tree = git_object(git, str(tree_id), pygit2.Tree)
        except pygit2.GitError:
            raise file_damaged(path or "/", str(tree_id)) from None
        for entry in self._tree:
            if entry.filemode == FileMode.TREE:
                self._folders[entry.name or ""] = entry.id
            else:
                self._files[entry.name or ""] = None

    def put(self, names: list[str], blob: str) -> None:
        if len(names) == 1:
            self._files[names[0]] = blob
        else:
            self._opened(names[0]).put(names[1:], blob)

    def delete(self, names: list[str], *, is_folder: bool) -> bool:
        """Remove a file or folder; False if there is none. Clients may name a folder as they name a file."""
        name, *rest = names
        if rest:
            return name in self._folders and self._opened(name).delete(rest, is_folder=is_folder)
        if name in self._files and not is_folder:
            del self._files[name]
            return True
        if self._has_folder(name):
            self._folders[name] = _Folder(self._git, self._below(name))
            return True
        return False

    def write(self) -> pygit2.Oid:
        """Write what was changed. Raises HubError if one name is that of a file and of a folder."""
        builder = self._git.TreeBuilder() if self._tree is None else self._git.TreeBuilder(self._tree)
        for entry in self._tree or ():
            if entry.filemode != FileMode.TREE and entry.name not in self._files:
                builder.remove(entry.name or "")
        for name, folder in self._folders.items():
            if self._has_folder(name) and name in self._files:
                raise HubError(400, f"Invalid path {self._below(name)!r}: it would be both a file and a folder")
            if not isinstance(folder, _Folder):
                continue
            if not folder.is_empty:
                builder.insert(name, folder.write(), FileMode.TREE)
            elif builder.get(name) is not None:
                builder.remove(name)
        for name, blob in self._files.items():
            if blob is not None:
                builder.insert(name, pygit2.Oid(hex=blob), FileMode.BLOB)
        written = str(builder.write())
        if not is_readable(self._git, written):
            # libgit2 takes a damaged object for one that need not be written.
            loose_path(self._git.path, written).unlink(missing_ok=True)
            builder.write()
            if not is_readable(self._git, written):
                # It lies in a pack, which a repair takes apart.
                raise file_damaged(self._path or "/", written)
        return pygit2.Oid(hex=written)

    @property
    def is_empty(self) -> bool:
        return not self._files and not any(map(self._has_folder, self._folders))

    def _has_folder(self, name: str) -> bool:
        folder = self._folders.get(name)
        return folder is not None and not (isinstance(folder, _Folder) and folder.is_empty)

    def _opened(self, name: str) -> _Folder:
        folder = self._folders.get(name)
        if not isinstance(folder, _Folder):
            folder = self._folders[name] = _Folder(self._git, self._below(name), folder)
        return folder

    def _below(self, name: str) -> str:
        return f"{self._path}/{name}" if self._path else name


def changed_tree(git: pygit2.Repository, tip: pygit2.Commit, changes: Iterable[Put | Delete]) -> pygit2.Oid:
    """Write the tree that changes make, in order, of that of a commit.

    Raises:
        HubError: 404 if something to delete is missing, 400 if a name would be both a file and a folder, 500 if a
            folder that is changed is damaged.
    """
    root = _Folder(git, "", tip.tree_id)
    for change in changes:
        names = change.path.split("/")
        if isinstance(change, Put):
            root.put(names, change.blob)
        elif not root.delete(names, is_folder=change.is_folder):
            error = entry_not_found(change.path, str(tip.id))
            # huggingface_hub looks for this sentence to explain how to delete a folder.
            error.message = f"A file with this name doesn't exist: {change.path}"
            raise error
    return root.write()
