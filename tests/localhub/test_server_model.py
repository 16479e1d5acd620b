"""Commits against a model that can't be wrong: a dictionary from paths to contents."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from lrat_hub.localhub.changes import Delete, Put
from lrat_hub.localhub.protocol import HubError, RepoId
from lrat_hub.localhub.repository import Repository
from lrat_hub.localhub.store import Store
from lrat_hub.localhub.trees import forget

pytestmark = pytest.mark.slow

REPO = RepoId("models", "lrat", "m")
Files = dict[str, bytes]

# Few names, so that files and folders often want the same.
paths = st.lists(st.sampled_from(["a", "b", "ab", "a.b", "ü"]), min_size=1, max_size=3).map("/".join)
changes = st.one_of(
    st.tuples(st.just("put"), paths, st.binary(max_size=4)),
    st.tuples(st.just("delete"), paths),
    st.tuples(st.just("delete folder"), paths),
)

branches = st.sampled_from(["main", "dev", "x/y"])
others = st.sampled_from(["dev", "x/y"])


class Refused(Exception):
    """What the Hub must refuse; the argument is its status."""


def applied(files: Files, change: tuple) -> Files:
    """The files after one change. Raises Refused."""
    kind, path, *content = change
    inside = {other for other in files if other.startswith(f"{path}/")}
    if kind == "put":
        return {**files, path: content[0]}
    gone = inside if kind == "delete folder" or path not in files else {path}
    if not gone:
        raise Refused(404)
    return {other: data for other, data in files.items() if other not in gone}


def commit_on(files: Files, commit: list[tuple]) -> Files:
    """The files after a commit: each name is a file or a folder. Raises Refused."""
    for change in commit:
        files = applied(files, change)
    if any(other.startswith(f"{path}/") for path in files for other in files):
        raise Refused(400)
    return files


def _edit(repository: Repository, kind: str, path: str, *content: bytes) -> Put | Delete:
    if kind == "put":
        return Put(path, repository.write_blob(content[0]))
    return Delete(path, is_folder=kind == "delete folder")


class Commits(RuleBasedStateMachine):
    """One repository and its model: the files of each branch, and of every commit there ever was."""

    shas = Bundle("shas")

    @initialize(target=shas)
    def begin(self) -> str:
        self.folder = Path(tempfile.mkdtemp())
        self.store = Store(self.folder)
        self.store.create(REPO, private=False, sdk=None, author="lrat")
        first = self.store.open(REPO).commit_at("main")
        content = self.store.open(REPO).read(first, ".gitattributes")
        self.branches = {"main": {".gitattributes": content}}
        self.tips = {"main": str(first.id)}
        self.history = {str(first.id): self.branches["main"]}
        return str(first.id)

    def teardown(self) -> None:
        """What others make of it: git itself, of the loose objects and of packs, and this Hub, of git's packs."""
        if not hasattr(self, "folder"):
            return
        try:
            if hasattr(self, "tips") and (git := shutil.which("git")):
                for command in (["fsck", "--full", "--strict"], ["gc", "--quiet"], ["fsck", "--full", "--strict"]):
                    path = str(self.store.path(REPO))
                    done = subprocess.run([git, "-C", path, *command], capture_output=True, text=True)
                    assert (done.returncode, "error" in done.stderr) == (0, False), done.stderr
                forget()
                self.branches_hold_what_they_should()
                # On what lies in packs.
                self._commit("main", [("put", "a", b"after"), ("delete folder", "b")], None)
                self._commit("main", [("put", "a", b"after"), ("put", "b", b"")], None)
                self.branches_hold_what_they_should()
        finally:
            shutil.rmtree(self.folder)

    @rule(target=shas, branch=branches, commit=st.lists(changes, max_size=4), on_tip=st.booleans())
    def commit(self, branch: str, commit: list[tuple], on_tip: bool) -> str:
        return self._commit(branch, commit, self.tips.get(branch) if on_tip else None)

    @rule(target=shas, commit=st.lists(changes, min_size=1, max_size=2), parent=shas)
    def commit_on_some_parent(self, commit: list[tuple], parent: str) -> str:
        return self._commit("main", commit, parent)

    def _commit(self, branch: str, commit: list[tuple], parent: str | None) -> str:
        known = branch in self.branches
        status, after = 200, self.branches.get(branch, {})
        if not known:
            status = 404
        elif parent not in (None, self.tips[branch]):
            status = 412
        else:
            try:
                after = commit_on(after, commit)
            except Refused as refused:
                status = refused.args[0]
        answered = 200
        try:
            with self.store.change(REPO) as repository:
                edits = [_edit(repository, *change) for change in commit]
                sha = repository.commit(branch, edits, message="x", author="lrat", parent=parent)
        except HubError as error:
            answered = error.status
        assert answered == status
        if answered != 200:
            return self.tips["main"]
        if after == self.branches[branch]:
            # Nothing changed: there is no commit.
            assert sha == self.tips[branch]
        self.branches[branch], self.tips[branch] = after, sha
        self.history[sha] = after
        return sha

    @rule(name=others, start=shas)
    def branch(self, name: str, start: str) -> None:
        expected, answered = 409 if name in self.branches else 200, 200
        try:
            with self.store.change(REPO) as repository:
                repository.create_branch(name, repository.commit_at(start))
            self.branches[name], self.tips[name] = self.history[start], start
        except HubError as error:
            answered = error.status
        assert answered == expected

    @rule(name=others)
    def delete_branch(self, name: str) -> None:
        expected, answered = 200 if name in self.branches else 404, 200
        try:
            with self.store.change(REPO) as repository:
                repository.delete_branch(name)
            del self.branches[name], self.tips[name]
        except HubError as error:
            answered = error.status
        assert answered == expected

    @rule(sha=shas)
    def look_back(self, sha: str) -> None:
        """Every commit stays what it was."""
        assert self._files(sha) == self.history[sha]

    @invariant()
    def branches_hold_what_they_should(self) -> None:
        if hasattr(self, "branches"):
            assert {name: self._files(name) for name in self.branches} == self.branches
            assert self.store.open(REPO).references("heads") == self.tips

    def _files(self, revision: str) -> Files:
        repository = self.store.open(REPO)
        commit = repository.commit_at(revision)
        listed = {entry.path: repository.content(entry) for entry in repository.files(commit)}
        assert repository.totals(commit) == (len(listed), sum(map(len, listed.values())))
        assert {path: repository.content(repository.entry(commit, path)) for path in listed} == listed
        return listed


Commits.TestCase.settings = settings(
    max_examples=40, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
)
test_commits_do_what_they_would_to_a_dictionary = Commits.TestCase
