"""One repository: a bare git repository read and written with libgit2, without a working tree."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pygit2
from pygit2.enums import FileMode, ObjectType, SortMode

from lrat_hub.localhub.changes import Delete, Put, changed_tree
from lrat_hub.localhub.libgit import git_object, has_reference, new_reference, open_git
from lrat_hub.localhub.loose import is_readable, write_blob
from lrat_hub.localhub.objects import Pointer
from lrat_hub.localhub.patches import Patch, patches
from lrat_hub.localhub.protocol import (
    MAIN,
    PULL,
    HubError,
    RepoId,
    damaged,
    entry_not_found,
    file_damaged,
    is_sha,
    revision_not_found,
)
from lrat_hub.localhub.root import fsync_path
from lrat_hub.localhub.trees import Entry, children, forget, pointers, totals, walk

# For what is wrong with some.
FILES_LOOKED_AT = 10_000
_SHA_PREFIX = re.compile(r"[0-9a-f]{7,40}")


class Repository:
    """Opened for one request: an open libgit2 repository is not for several threads, and opening one takes 0.1 ms.

    Methods that move references must be called under the lock of the repository (see `store`).
    """

    def __init__(self, path: Path, repo_id: RepoId) -> None:
        self.id = repo_id
        self.path = str(path)
        self._git = open_git(self.path)
        self._folders: set[Path] = set()

    # Reading

    def commit_at(self, revision: str) -> pygit2.Commit:
        """The commit that a sha, branch, tag, full reference name or short sha (7 digits or more) stands for."""
        if not is_sha(revision):
            names = [revision] if revision.startswith("refs/") else [f"refs/heads/{revision}", f"refs/tags/{revision}"]
            known = next((name for name in names if has_reference(self._git, name)), None)
            if known is not None:
                return self._git.references[known].peel(pygit2.Commit)
        try:
            commit = self._git.get(revision) if _SHA_PREFIX.fullmatch(revision) else None
        except ValueError:
            # An ambiguous prefix is as good as an unknown one.
            commit = None
        if not isinstance(commit, pygit2.Commit):
            raise revision_not_found(self.id, revision)
        return commit

    def find(self, commit: pygit2.Commit, path: str) -> Entry | None:
        """The file or folder at a path; None if there is none."""
        here = children(self.path, str(commit.tree_id))
        *folders, name = path.split("/")
        for folder in folders:
            step = here.get(folder)
            if step is None or not step.is_folder:
                return None
            here = children(self.path, step.oid)
        entry = here.get(name)
        return replace(entry, path=path) if entry else None

    def entry(self, commit: pygit2.Commit, path: str) -> Entry:
        """The file or folder at a path; raises HubError if there is none."""
        entry = self.find(commit, path)
        if entry is None:
            raise entry_not_found(path, str(commit.id))
        return entry

    def files(self, commit: pygit2.Commit) -> Iterator[Entry]:
        return (entry for entry in walk(self.path, str(commit.tree_id)) if not entry.is_folder)

    def walk(self, tree_id: str, *, prefix: str = "", recursive: bool) -> Iterator[Entry]:
        """The entries of a tree, in git's order; those of subtrees follow their folder."""
        return walk(self.path, tree_id, prefix=prefix, recursive=recursive)

    def totals(self, commit: pygit2.Commit) -> tuple[int, int]:
        """The number of files of a commit, and of their bytes."""
        return totals(self.path, str(commit.tree_id))

    def pointers(self, *, lenient: bool = False) -> frozenset[Pointer]:
        """Every large file that some commit refers to, whichever branch, tag or pull request leads to it.

        Args:
            lenient: Whether to leave out what can't be read, which raises KeyError otherwise.
        """
        tips = {self._git.references[name].peel(pygit2.Commit).id for name in self._git.references}
        return pointers(self.path, frozenset(map(str, tips)), lenient)

    def content(self, entry: Entry) -> bytes:
        """The content of a file as git has it. Raises HubError, which names the file, if it is damaged."""
        try:
            content = git_object(self._git, entry.oid, pygit2.Blob).data
        except pygit2.GitError:
            raise file_damaged(entry.path, entry.oid) from None
        if len(content) != entry.blob_size:
            # It was damaged when its size was read, and somebody has repaired it.
            forget()
        return content

    def is_readable(self, entry: Entry) -> bool:
        return is_readable(self._git, entry.oid)

    def read(self, commit: pygit2.Commit, path: str) -> bytes | None:
        """The content of a file that is in git; None if there is none, or it is a large one.

        Raises:
            HubError: It is damaged.
        """
        entry = self.find(commit, path)
        return self.content(entry) if entry and not entry.is_folder and not entry.pointer else None

    def damage(self, commit: pygit2.Commit) -> list[str]:
        """The files of a commit that can't be read, among the first ones."""
        return [entry.path for entry in islice(self.files(commit), FILES_LOOKED_AT) if entry.is_damaged]

    def history(self, commit: pygit2.Commit) -> Iterator[pygit2.Commit]:
        """The commit and those before it, newest first."""
        return self._git.walk(commit.id, SortMode.TOPOLOGICAL)

    def last_commits(self, commit: pygit2.Commit, paths: Iterable[str]) -> dict[str, pygit2.Commit]:
        """For each path of a commit, the commit that made it what it is."""
        tree = commit.tree
        # Names that are no text are none that a client can ask for.
        wanted = {path: tree[path].id for path in paths if path in tree}
        last: dict[str, pygit2.Commit] = {}
        for current in self.history(commit):
            if not wanted:
                break
            before = current.parents[0].tree if current.parents else None
            for path, oid in list(wanted.items()):
                if before is None or path not in before or before[path].id != oid:
                    last[path] = current
                    del wanted[path]
        return last

    def branch_tip(self, branch: str) -> pygit2.Commit:
        """The last commit of a branch; raises HubError if there is no branch of this name."""
        if not has_reference(self._git, f"refs/heads/{branch}"):
            raise revision_not_found(self.id, branch, "a branch")
        return self._git.references[f"refs/heads/{branch}"].peel(pygit2.Commit)

    def references(self, folder: str) -> dict[str, str]:
        """Name and commit sha of everything in `heads`, `tags` or `pr`."""
        prefix = f"refs/{folder}/"
        return {
            name.removeprefix(prefix): str(self._git.references[name].peel(pygit2.Commit).id)
            for name in sorted(self._git.references)
            if name.startswith(prefix)
        }

    # Comparing

    def is_part_of(self, commit: pygit2.Commit, tip: pygit2.Commit) -> bool:
        return commit.id == tip.id or self._git.descendant_of(tip.id, commit.id)

    def conflicts(self, into: pygit2.Commit, tip: pygit2.Commit) -> list[str]:
        """The paths that a merge can't decide about."""
        return [] if self.is_part_of(tip, into) else _conflicts(self._merged(into, tip))

    def _merged(self, into: pygit2.Commit, tip: pygit2.Commit) -> pygit2.Index:
        try:
            return self._git.merge_commits(into, tip)
        except (pygit2.GitError, SystemError) as error:
            # The second one is how libgit2 passes on what `loose` has to say.
            commits = [commit for commit in (into, tip, self.common(into, tip)) if commit is not None]
            found = sorted({path for commit in commits for path in self.damage(commit)})
            if found:
                raise damaged(f"The merge needs what is damaged: {', '.join(found[:5])}") from None
            raise pygit2.GitError(str(error.__cause__ or error)) from None

    def common(self, one: pygit2.Commit, other: pygit2.Commit) -> pygit2.Commit | None:
        """The commit from which two have come; None after one's history was squashed."""
        base = self._git.merge_base(one.id, other.id)
        return self._git[base].peel(pygit2.Commit) if base else None

    def commits_since(self, start: pygit2.Commit | None, tip: pygit2.Commit, most: int) -> list[pygit2.Commit]:
        """The commits of a tip that are not in the history of another commit, oldest first."""
        walker = self._git.walk(tip.id, SortMode.TOPOLOGICAL)
        if start is not None:
            walker.hide(start.id)
        return list(islice(walker, most))[::-1]

    def patches(self, old: pygit2.Commit | None, new: pygit2.Commit) -> Iterator[Patch]:
        """What changed between two commits, file by file; from nothing for None."""
        return patches(self._git, old, new)

    # Writing

    def write_blob(self, content: bytes) -> str:
        """Store content. Needs no lock: until a commit refers to it, nobody sees it."""
        return write_blob(self._git, content, self._folders)

    def flush_blobs(self) -> None:
        """Make the blobs that were written since the last time survive a power cut."""
        while self._folders:
            fsync_path(self._folders.pop())

    def commit(
        self, branch: str, changes: Iterable[Put | Delete], *, message: str, author: str, parent: str | None = None
    ) -> str:
        """Apply changes, in order, to the tip of a branch, and move the branch.

        Args:
            branch: The branch, or `refs/pr/N` for a pull request; it must exist.
            changes: What to write and remove.
            message: Title and body of the commit.
            author: The name of who makes it.
            parent: If given, the sha that the tip must have.

        Returns:
            The sha of the commit; that of the tip if nothing changed.

        Raises:
            HubError: 412 if the tip is not `parent`, 404 if something to delete is missing, 400 if a name would be
                both a file and a folder.
        """
        self.flush_blobs()
        reference, tip = self._tip(branch)
        if parent is not None and parent != str(tip.id):
            raise _moved(branch, parent, str(tip.id))
        tree = changed_tree(self._git, tip, changes)
        if tree == tip.tree_id:
            return str(tip.id)
        try:
            return self._create_commit(reference, tree, [tip.id], message, author)
        except pygit2.GitError as error:
            # libgit2 moves the branch only if it is still at the first parent; whoever moved it took no lock.
            now = str(self._tip(branch)[1].id)
            if now == str(tip.id):
                raise
            raise _moved(branch, str(tip.id), now) from error

    def propose(
        self,
        number: int,
        branch: str,
        changes: Iterable[Put | Delete],
        *,
        message: str,
        author: str,
        parent: str | None = None,
    ) -> str:
        """Make the first commit of a pull request, at `refs/pr/N`, which no branch has yet.

        Args:
            number: N.
            branch: The branch that the changes are for.
            parent: The sha of the commit that they were made on; by default the tip of the branch.

        Returns:
            The sha of the commit.
        """
        self.flush_blobs()
        tip = self.branch_tip(branch)
        base = self.commit_at(parent) if parent else tip
        tree = changed_tree(self._git, base, changes)
        return self._create_commit(f"refs/pr/{number}", tree, [base.id], message, author)

    def begin_pull(self, number: int, branch: str) -> None:
        """Make a pull request that is still without a commit."""
        self._git.references.create(f"refs/pr/{number}", self.branch_tip(branch).id)

    def squash(self, branch: str, message: str, author: str) -> str:
        """Make the files of a branch, or pull request, its only commit. Returns its sha."""
        reference, tip = self._tip(branch)
        signature = _signature(author)
        new = self._git.create_commit(None, signature, signature, message, tip.tree_id, [])
        self._git.references[reference].set_target(new, f"squash {tip.id}")
        return str(new)

    def merge(self, branch: str, tip: pygit2.Commit, *, message: str, author: str) -> str:
        """Merge a commit into a branch. Returns the sha of the merge.

        Raises:
            HubError: 409 if both changed the same in different ways.
        """
        reference, into = self._tip(branch)
        merged = self._merged(into, tip)
        if paths := _conflicts(merged):
            raise HubError(409, f"{title_of(message)!r} is in conflict with {branch}: {', '.join(paths)}")
        return self._create_commit(reference, merged.write_tree(self._git), [into.id, tip.id], message, author)

    def create_initial_commit(self, files: dict[str, bytes], author: str) -> None:
        index = pygit2.Index()
        for path, content in files.items():
            index.add(pygit2.IndexEntry(path, self._git.create_blob(content), FileMode.BLOB))
        self._create_commit(f"refs/heads/{MAIN}", index.write_tree(self._git), [], "initial commit", author)

    def create_branch(self, name: str, target: pygit2.Commit) -> None:
        self._create_reference("heads", name, target.id)

    def create_tag(self, name: str, target: pygit2.Commit, *, message: str, author: str) -> None:
        """A lightweight tag, or an annotated one if there is a message."""
        # Checked first: libgit2 would leave the tag's object behind.
        new_reference(self._git, "tags", name)
        if message:
            self._git.create_tag(name, target.id, ObjectType.COMMIT, _signature(author), message)
        else:
            self._create_reference("tags", name, target.id)

    def delete_branch(self, name: str) -> None:
        if name == MAIN:
            raise HubError(403, f"Cannot delete refs/heads/{MAIN}: every repository has it")
        self._delete_reference("heads", name)

    def delete_tag(self, name: str) -> None:
        self._delete_reference("tags", name)

    # Parts of the above

    def _tip(self, branch: str) -> tuple[str, pygit2.Commit]:
        """The full name of a branch or pull request, and its last commit."""
        name = branch if PULL.fullmatch(branch) else f"refs/heads/{branch}"
        if not has_reference(self._git, name):
            raise revision_not_found(self.id, branch, "a branch, or refs/pr/ and a number")
        return name, self._git.references[name].peel(pygit2.Commit)

    def _create_commit(
        self, reference: str, tree: pygit2.Oid, parents: list[pygit2.Oid], message: str, author: str
    ) -> str:
        signature = _signature(author)
        return str(self._git.create_commit(reference, signature, signature, message, tree, parents))

    def _create_reference(self, folder: str, name: str, target: pygit2.Oid) -> None:
        self._git.references.create(new_reference(self._git, folder, name), target)

    def _delete_reference(self, folder: str, name: str) -> None:
        reference = f"refs/{folder}/{name}"
        if not has_reference(self._git, reference):
            raise revision_not_found(self.id, name)
        self._git.references.delete(reference)


def title_of(message: str) -> str:
    return message.partition("\n")[0]


def _conflicts(merged: pygit2.Index) -> list[str]:
    if merged.conflicts is None:
        return []
    return sorted({str(side.path) for conflict in merged.conflicts for side in conflict if side is not None})


def _signature(author: str) -> pygit2.Signature:
    return pygit2.Signature(author, f"{author}@localhost")


def _moved(branch: str, expected: str, current: str) -> HubError:
    return HubError(
        412,
        # Clients look for the first sentences.
        "The branch was updated since you opened this page. Please refresh and try again. "
        f"A commit has happened since: expected {branch} at {expected}, found {current}",
    )
