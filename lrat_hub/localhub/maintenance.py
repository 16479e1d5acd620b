"""Maintenance of a Hub's folder: checking everything in it, and removing what nothing refers to."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pygit2

from lrat_hub.errors import LratError
from lrat_hub.localhub.libgit import open_git
from lrat_hub.localhub.loose import is_readable, is_whole, loose_path, write_object
from lrat_hub.localhub.objects import NamespaceObjects, ObjectStore, Pointer, sha256_of
from lrat_hub.localhub.protocol import HubError, RepoId
from lrat_hub.localhub.root import fsync_path, owned, prepare_root
from lrat_hub.localhub.store import Store, open_stores
from lrat_hub.localhub.trees import forget

logger = logging.getLogger("uvicorn.error")
# Between two objects of git, which are small, while the Hub is served.
SCRUB_PAUSE_SECONDS = 0.002


@dataclass
class Verification:
    """What a check has read, and the problems it found."""

    repositories: int = 0
    git_objects: int = 0
    large_files: int = 0
    large_bytes: int = 0
    unreferenced: int = 0
    problems: list[str] = field(default_factory=list)
    repaired: list[str] = field(default_factory=list)


@dataclass
class Collection:
    """What a garbage collection removed, and how many objects it kept because they are too young."""

    large_files: int = 0
    large_bytes: int = 0
    kept: int = 0
    packed: int = 0


def verify(root: Path, *, hashes: bool = True, repair: bool = False) -> Verification:
    """Check every repository and every object of a Hub. It may be served meanwhile.

    Args:
        root: The folder of the Hub.
        hashes: Whether to read all large files to compare their sha256; their sizes are compared in any case.
        repair: Whether to put damaged objects aside, so that publishing them again repairs them, and to take those
            that another namespace or repository has from there.
    """
    store, objects = open_stores(_existing(root))

    def is_sound(path: Path) -> bool:
        return not hashes or objects.is_known_sound(path) or sha256_of(path) == path.name

    forget()
    result = Verification()
    if repair:
        _repair_large_files(objects, result)
        _repair_git_objects(store, objects, result)
        forget()
    referred: defaultdict[str, set[str]] = defaultdict(set)
    for repo in store.repositories():
        try:
            pointers = _verify_repository(store, repo, result)
        except (OSError, ValueError, TypeError, KeyError, HubError, pygit2.GitError) as error:
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
            if problem := _damage_of(kept, path, is_sound):
                result.problems.append(problem)
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
    with owned(root) as lock:
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
                _pack(git, store.path(repo), keep_seconds, lock)
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


def _damage_of(kept: NamespaceObjects, path: Path, is_sound: Callable[[Path], bool]) -> str | None:
    """What is wrong with a large file; None if nothing is, or somebody has deleted it since it was listed."""
    try:
        return None if is_sound(path) else f"objects/{kept.namespace}: content of {path.name} has another sha256"
    except FileNotFoundError:
        return None
    except OSError as error:
        # A disk that can't read one file may read the others.
        return f"objects/{kept.namespace}: {path.name} can't be read: {error.strerror}"


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


def _pack(git: str, path: Path, keep_seconds: float, lock: int) -> None:
    """Let git put loose objects into packs; it keeps every object that a reference leads to.

    It inherits the lock of the root: if this process is killed, nobody serves the repository until git is done.
    """
    options = ("-c", "core.fsync=all", "-c", "safe.directory=*")
    command = [git, *options, "-C", str(path), "gc", "--quiet", f"--prune={int(keep_seconds)}.seconds.ago"]
    environment = os.environ | {"GIT_CONFIG_GLOBAL": os.devnull}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, pass_fds=[lock])
    if done.returncode != 0:
        raise LratError(f"{path}: git gc failed: {' '.join(done.stderr.split())}; see `lrat hub verify`")


def _repair_large_files(objects: ObjectStore, result: Verification) -> None:
    damaged = [
        path for kept in objects.namespaces() for path in kept.paths() if _damage_of(kept, path, objects.is_sound)
    ]
    for path in damaged:
        for other in objects.namespaces():
            source = other.path(path.name)
            # Copied, and not linked: the two would be damaged together the next time.
            if source.exists() and objects.is_sound(source):
                draft = objects.tmp / f"repair-{path.name}"
                shutil.copyfile(source, draft)
                fsync_path(draft)
                objects.put(draft, path, sound=True)
                result.repaired.append(path.name)
                break


def _repair_git_objects(store: Store, objects: ObjectStore, result: Verification) -> None:
    for repo in store.repositories():
        try:
            git = open_git(str(store.path(repo)))
            damaged = [str(oid) for oid in git if not is_readable(git, str(oid))]
        except pygit2.GitError:
            # It can't even be opened, or listed, as the check afterwards says.
            continue
        aside = objects.damaged / f"{repo.kind}-{repo.namespace}-{repo.name}"
        for name in damaged:
            loose = loose_path(git.path, name)
            # Published again, it is whole there, while that in a pack is not.
            if os.path.lexists(loose) and not is_whole(loose):
                objects.damaged.mkdir(exist_ok=True)
                loose.rename(f"{aside}-{name}")
        git = open_git(git.path)
        if any(pygit2.Oid(hex=name) in git.odb and not is_readable(git, name) for name in damaged):
            _take_packs_apart(git, aside)
            git = open_git(git.path)
        for name in damaged:
            found = None if is_readable(git, name) else _from_another(store, repo, name)
            if found is not None:
                git.odb.write(*found)
            if is_readable(git, name):
                result.repaired.append(name)


def _from_another(store: Store, repo: RepoId, oid: str) -> tuple[int, bytes] | None:
    """Type and content of a git object that some other repository has; None if none has it whole."""
    for other in store.repositories():
        if other != repo:
            with contextlib.suppress(KeyError, pygit2.GitError):
                return open_git(str(store.path(other))).odb.read(oid)
    return None


def _take_packs_apart(git: pygit2.Repository, aside: Path) -> None:
    """Make everything that can be read in packs loose, and put the packs aside: a single object can't be replaced."""
    for oid in list(git):
        loose = loose_path(git.path, str(oid))
        if not loose.exists() and is_readable(git, str(oid)):
            write_object(loose, *git.odb.read(oid))
    aside.mkdir(parents=True, exist_ok=True)
    # Indexes first: without them, nobody looks into a pack.
    for path in sorted(Path(git.path, "objects/pack").glob("pack-*"), key=lambda path: path.suffix != ".idx"):
        path.rename(aside / path.name)


class Scrub:
    """Reads everything that a Hub keeps, slowly, while it is served; puts aside what is damaged, and names it.

    Args:
        store: The repositories.
        objects: The large files.
        rate: The most bytes of large files to read in a second; None for all speed.
    """

    def __init__(self, store: Store, objects: ObjectStore, rate: int | None = None) -> None:
        self._store, self._objects, self._rate = store, objects, rate

    def round(self) -> list[str]:
        """Read all of it once. Returns what is damaged; what was found before is named if it is in git."""
        problems = []
        for kept in self._objects.namespaces():
            for path in kept.paths():
                if problem := _damage_of(kept, path, lambda path: self._objects.is_sound(path, rate=self._rate)):
                    problems.append(problem)
        for repo in self._store.repositories():
            found = list(self._damage_in(repo))
            # Unless somebody has deleted it meanwhile.
            if self._store.path(repo).exists():
                problems += found
        for problem in problems:
            logger.error("%s; see `lrat hub verify`", problem)
        return problems

    def _damage_in(self, repo: RepoId) -> Iterator[str]:
        try:
            git = open_git(str(self._store.path(repo)))
            for oid in git:
                if not is_readable(git, str(oid)):
                    yield f"{repo.kind}/{repo}: git object {oid} is damaged"
                if self._rate is not None:
                    time.sleep(SCRUB_PAUSE_SECONDS)
        except pygit2.GitError as error:
            yield f"{repo.kind}/{repo}: {error}"

    def run(self, *, first: float, every: float) -> threading.Thread:
        """Go over it again and again, in a thread that ends with the process.

        Args:
            first: Seconds until the first time.
            every: Seconds between two times.
        """

        def rounds() -> None:
            time.sleep(first)
            while True:
                try:
                    self.round()
                except Exception:
                    # Whatever it was: its trace is told, and the next round comes.
                    logger.exception("The search for damage failed")
                time.sleep(every)

        thread = threading.Thread(target=rounds, name="scrub", daemon=True)
        thread.start()
        return thread
