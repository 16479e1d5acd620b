"""Maintenance of a Hub's folder: checking everything in it, and removing what nothing refers to."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import pygit2

from lrat_hub.errors import LratError
from lrat_hub.localhub.objects import NamespaceObjects, Pointer
from lrat_hub.localhub.protocol import RepoId
from lrat_hub.localhub.repository import forget
from lrat_hub.localhub.root import owned, prepare_root
from lrat_hub.localhub.store import Store, open_stores
from lrat_hub.localhub.trees import open_git


@dataclass
class Verification:
    """What a check has read, and the problems it found."""

    repositories: int = 0
    git_objects: int = 0
    large_files: int = 0
    large_bytes: int = 0
    unreferenced: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass
class Collection:
    """What a garbage collection removed, and how many objects it kept because they are too young."""

    large_files: int = 0
    large_bytes: int = 0
    kept: int = 0
    packed: int = 0


def verify(root: Path, *, hashes: bool = True) -> Verification:
    """Check every repository and every object of a Hub. It may be served meanwhile.

    Args:
        root: The folder of the Hub.
        hashes: Whether to read all large files to compare their sha256; their sizes are compared in any case.
    """
    store, objects = open_stores(_existing(root))
    forget()
    result = Verification()
    referred: defaultdict[str, set[str]] = defaultdict(set)
    for repo in store.repositories():
        try:
            pointers = _verify_repository(store, repo, result)
        except (OSError, ValueError, TypeError, KeyError, pygit2.GitError) as error:
            # Somebody may have deleted it since it was listed.
            if store.path(repo).exists():
                result.problems.append(f"{repo.kind}/{repo}: {error}")
            continue
        referred[repo.namespace] |= {pointer.oid for pointer in pointers}
        kept = objects.of(repo.namespace)
        for pointer in sorted(pointers, key=lambda pointer: pointer.oid):
            size = kept.size(pointer.oid)
            if size != pointer.size:
                what = "is missing" if size is None else f"has {size} bytes instead of {pointer.size}"
                result.problems.append(f"{repo.kind}/{repo}: large file {pointer.oid} {what}")
    for kept in objects.namespaces():
        for path in kept.paths():
            result.large_files += 1
            result.large_bytes += path.stat().st_size
            result.unreferenced += path.name not in referred[kept.namespace]
            if hashes and _sha256(path) != path.name:
                result.problems.append(f"objects/{kept.namespace}: content of {path.name} has another sha256")
    return result


def collect(root: Path, *, keep_seconds: float, dry_run: bool = False) -> Collection:
    """Remove objects that no commit refers to, and pack repositories where git is installed.

    Args:
        root: The folder of the Hub, which must not be served meanwhile.
        keep_seconds: Younger objects stay: somebody may have uploaded them for a commit that is still to come.
        dry_run: Whether to count only, and remove nothing.

    Raises:
        LratError: a server holds the root, or a repository can't be read: what it refers to would be unknown.
    """
    root = _existing(root)
    result = Collection()
    with owned(root):
        store, objects = open_stores(root)
        store.recover()
        objects.recover()
        forget()
        referred: defaultdict[str, set[str]] = defaultdict(set)
        for repo in store.repositories():
            try:
                pointers = store.open(repo).pointers()
            except (OSError, ValueError, KeyError, pygit2.GitError) as error:
                raise LratError(
                    f"{repo.kind}/{repo} can't be read: {error}; nothing was removed. See `lrat hub verify`"
                ) from error
            referred[repo.namespace] |= {pointer.oid for pointer in pointers}
        youngest = time.time() - keep_seconds
        for kept in objects.namespaces():
            _collect_objects(kept, referred[kept.namespace], youngest, dry_run, result)
        git = shutil.which("git")
        if git is not None and not dry_run:
            for repo in store.repositories():
                _pack(git, store.path(repo), keep_seconds)
                result.packed += 1
    return result


def _existing(root: Path) -> Path:
    if not (root / "repos").is_dir():
        raise LratError(f"{root}: expected the folder of a Hub, found no repositories in it; give its root")
    return prepare_root(root)


def _verify_repository(store: Store, repo: RepoId, result: Verification) -> frozenset[Pointer]:
    result.repositories += 1
    if store.settings(repo) is None:
        raise ValueError("its settings are missing, or its name is none that a repository may have")
    git = open_git(str(store.path(repo)))
    # libgit2 compares the hash of whatever it reads.
    for oid in git:
        try:
            git.odb.read(oid)
        except (KeyError, pygit2.GitError) as error:
            result.problems.append(f"{repo.kind}/{repo}: git object {oid}: {error}")
        result.git_objects += 1
    if "refs/heads/main" not in git.references:
        raise ValueError("it has no branch main")
    # Raises if anything is missing on the way from a reference to a file.
    return store.open(repo).pointers()


def _collect_objects(
    kept: NamespaceObjects, referred: set[str], youngest: float, dry_run: bool, result: Collection
) -> None:
    for path in list(kept.paths()):
        if path.name in referred:
            continue
        status = path.stat()
        if status.st_mtime > youngest:
            result.kept += 1
            continue
        result.large_files += 1
        result.large_bytes += status.st_size
        if not dry_run:
            path.unlink()


def _pack(git: str, path: Path, keep_seconds: float) -> None:
    """Let git put loose objects into packs; it keeps every object that a reference leads to."""
    options = ("-c", "core.fsync=all", "-c", "safe.directory=*")
    command = [git, *options, "-C", str(path), "gc", "--quiet", f"--prune={int(keep_seconds)}.seconds.ago"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"GIT_CONFIG_GLOBAL": os.devnull})
    if done.returncode != 0:
        raise LratError(f"{path}: git gc failed: {' '.join(done.stderr.split())}; see `lrat hub verify`")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
