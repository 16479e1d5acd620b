"""libgit2 as this Hub uses it: its settings, opening and making repositories, objects by type, names of references."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

import pygit2
from pygit2.enums import ConfigLevel, RepositoryOpenFlag

from lrat_hub.localhub.loose import PRIORITY, LooseObjects
from lrat_hub.localhub.protocol import MAIN, REF_MAX_BYTES, HubError, bad_ref_name, folders_of

T = TypeVar("T", bound=pygit2.Object)

# libgit2 reads this when it opens a repository: set later, it would flush objects but not references.
pygit2.settings.enable_fsync_gitdir(True)
# Nothing of the settings of whoever runs the Hub, such as what they never want to commit.
for _level in (ConfigLevel.SYSTEM, ConfigLevel.XDG, ConfigLevel.GLOBAL):
    pygit2.settings.search_path[_level] = os.devnull


def open_git(path: str) -> pygit2.Repository:
    git = pygit2.Repository(path, RepositoryOpenFlag.BARE | RepositoryOpenFlag.NO_SEARCH)
    git.odb.add_backend(LooseObjects(Path(path)), PRIORITY)
    return git


def create_repository(path: Path) -> None:
    """Make an empty bare repository."""
    pygit2.init_repository(str(path), bare=True, initial_head=MAIN)


def copy_history(source: Path, target: Path) -> None:
    """Give an empty repository the branches and tags of another one. Raises pygit2.GitError if that is damaged."""
    read = open_git(str(source))
    # libgit2 opens it by itself, and would read for ever what ends early.
    for oid in read:
        read.odb.read(oid)
    remote = open_git(str(target)).remotes.create_anonymous(str(source.resolve()))
    remote.fetch(["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"])


def git_object(git: pygit2.Repository, oid: str, kind: type[T]) -> T:
    """An object by its sha. Raises pygit2.GitError if the repository has none of this type, or a damaged one."""
    try:
        item = git[oid]
    except KeyError:
        raise pygit2.GitError(f"git object {oid} is missing") from None
    if not isinstance(item, kind):
        raise pygit2.GitError(f"{oid}: expected a {kind.__name__.lower()}, found a {item.type_str}")
    return item


def printable(name: str) -> str:
    """The name of a file, as libgit2 gives it, without what is no text: git takes any bytes for one."""
    return name.encode(errors="surrogateescape").decode(errors="replace")


def has_reference(git: pygit2.Repository, name: str) -> bool:
    # libgit2 has no answer for names that are malformed or very long.
    usable = len(name.encode()) <= 2 * REF_MAX_BYTES and pygit2.reference_is_valid_name(name)
    return usable and name in git.references


def new_reference(git: pygit2.Repository, folder: str, name: str) -> str:
    """The full name of a branch or tag that can be made.

    Raises:
        HubError: 400 for a name that none may have, 409 for one that is taken, or in the way of another.
    """
    reference = f"refs/{folder}/{name}"
    if reason := bad_ref_name(name):
        raise HubError(400, f"Invalid reference name {name!r}: {reason}")
    if not pygit2.reference_is_valid_name(reference):
        raise HubError(400, f"Invalid reference name {name!r}")
    if reference in git.references:
        raise HubError(409, f"Reference {reference} already exists")
    # A reference is a file: `dev` leaves no room for `dev/x`, nor the other way round.
    taken = [other for other in git.references if f"{other}/".startswith(f"{reference}/")]
    taken += [parent for parent in folders_of(reference) if parent in git.references]
    if taken:
        raise HubError(409, f"Reference {reference} is in conflict with {taken[0]}")
    return reference
