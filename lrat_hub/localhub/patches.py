"""What changed between two commits, file by file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import pygit2

from lrat_hub.localhub.libgit import printable

# Longer files are not compared line by line.
COMPARED_MAX_BYTES = 512 * 1024


@dataclass(frozen=True)
class Patch:
    """What happened to a file: `A`, `M` or `D`, its path, and the lines that changed, None if nobody can tell."""

    status: str
    path: str
    text: str | None


def patches(git: pygit2.Repository, old: pygit2.Commit | None, new: pygit2.Commit) -> Iterator[Patch]:
    """What changed between two commits; from nothing for None."""
    difference = old.tree.diff_to_tree(new.tree) if old else new.tree.diff_to_tree(swap=True)
    for number, delta in enumerate(difference.deltas):
        file = delta.old_file if delta.status_char() == "D" else delta.new_file
        text = None
        # A file that is damaged hides nothing of the others.
        with contextlib.suppress(KeyError, pygit2.GitError):
            # Comparing is the one thing here that may take much longer than the files are long.
            if all(_size(git, side.id) <= COMPARED_MAX_BYTES for side in (delta.old_file, delta.new_file)):
                patch = difference[number]
                text = None if patch is None or patch.delta.is_binary else patch.data.decode(errors="replace")
        yield Patch(delta.status_char(), printable(file.path), text)


def _size(git: pygit2.Repository, oid: pygit2.Oid) -> int:
    return 0 if not any(oid.raw) else git.odb.read_header(oid)[1]
