"""The repositories of a Hub: `repos/KIND/NAMESPACE/NAME.git`, each with its settings in `hub.json`."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from uuid import uuid4

from lrat_hub.localhub.objects import ObjectStore
from lrat_hub.localhub.protocol import KINDS, HubError, RepoId, iso_date, repo_not_found
from lrat_hub.localhub.repository import Repository, create_repository
from lrat_hub.localhub.root import fsync_path, replace_file

SETTINGS = "hub.json"
# Where an early version kept large files.
OLD_OBJECTS = "lfs"

# What a new repository keeps as large files, whatever their size; much as on huggingface.co.
LARGE_SUFFIXES = """
    7z arrow avro bin bz2 ckpt faiss flac ftz gguf gif gz h5 jpeg jpg joblib lz4 mlmodel model mp3 mp4 msgpack npy npz
    ogg onnx ot parquet pb pdf pickle pkl png pt pth rar safetensors tar tflite tgz wasm wav webm webp xz zip zst
"""
GIT_ATTRIBUTES = "".join(
    f"*.{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in LARGE_SUFFIXES.split()
).encode()


@dataclass(frozen=True)
class Settings:
    """The properties of a repository besides its content."""

    private: bool
    created_at: str
    sdk: str | None = None


class Store:
    """The repositories in `root`. One lock a repository: readers take none, every change of a reference takes it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        self._locks: defaultdict[RepoId, threading.Lock] = defaultdict(threading.Lock)
        self._locks_guard = threading.Lock()

    def path(self, repo: RepoId) -> Path:
        return self.root / repo.kind / repo.namespace / f"{repo.name}.git"

    def settings(self, repo: RepoId) -> Settings | None:
        """The settings of a repository; None if there is no such repository."""
        if not repo.valid:
            return None
        try:
            return Settings(**json.loads((self.path(repo) / SETTINGS).read_text()))
        except FileNotFoundError:
            return None

    def repositories(self, kinds: Sequence[str] = KINDS) -> list[RepoId]:
        """The repositories of some kinds, kind by kind, sorted by name."""
        return [
            repo
            for kind in kinds
            for repo in sorted(
                (RepoId(kind, path.parent.name, path.stem) for path in (self.root / kind).glob("*/*.git")), key=str
            )
        ]

    def open(self, repo: RepoId) -> Repository:
        return Repository(self.path(repo), repo)

    @contextlib.contextmanager
    def locked(self, repo: RepoId) -> Iterator[None]:
        with self._locks_guard:
            lock = self._locks[repo]
        with lock:
            yield

    @contextlib.contextmanager
    def change(self, repo: RepoId) -> Iterator[Repository]:
        """Open a repository with its lock held, so that references may be moved."""
        with self.locked(repo):
            self._existing(repo)
            yield self.open(repo)

    def create(self, repo: RepoId, *, private: bool, sdk: str | None, author: str) -> bool:
        """Make a repository with an initial commit; False if it exists. It appears complete or not at all."""
        with self.locked(repo):
            if self.settings(repo) is not None:
                return False
            draft = self.root / f".new-{uuid4().hex}"
            create_repository(draft)
            Repository(draft, repo).create_initial_commit({".gitattributes": GIT_ATTRIBUTES}, author)
            _write_settings(draft, Settings(private=private, created_at=iso_date(time.time()), sdk=sdk))
            target = self.path(repo)
            target.parent.mkdir(parents=True, exist_ok=True)
            # libgit2 flushes objects and references, but not what it makes a repository of.
            for path in (*(path for path in draft.iterdir() if path.is_file()), draft):
                fsync_path(path)
            draft.rename(target)
            for folder in (target.parent, target.parent.parent, self.root):
                fsync_path(folder)
            return True

    def update(self, repo: RepoId, *, private: bool) -> None:
        with self.locked(repo):
            _write_settings(self.path(repo), replace(self._existing(repo), private=private))

    def delete(self, repo: RepoId) -> None:
        """Remove a repository: at once for its readers, then from the disk."""
        doomed = self.root / f".deleted-{uuid4().hex}"
        with self.change(repo):
            self.path(repo).rename(doomed)
            fsync_path(self.path(repo).parent)
        shutil.rmtree(doomed)

    def recover(self) -> None:
        """Remove what a killed server left behind. Only for the owner of the root, before it serves."""
        for pattern in (".new-*", ".deleted-*"):
            for leftover in self.root.glob(pattern):
                shutil.rmtree(leftover)
        for git in self.root.glob("*/*/*.git"):
            # Git refuses names of references that end in .lock: none of these is a branch. A lock that stayed
            # would make every later commit to its branch fail.
            stale = [*git.glob("*.lock"), *(git / "refs").rglob("*.lock"), *git.glob("objects/tmp_object*")]
            # Of a garbage collection.
            stale += [*git.glob("gc.pid"), *git.glob("objects/pack/tmp_*"), *git.glob("objects/??/tmp_obj_*")]
            for leftover in [*stale, *git.glob(f".{SETTINGS}-*")]:
                leftover.unlink()

    def _existing(self, repo: RepoId) -> Settings:
        settings = self.settings(repo)
        if settings is None:
            raise repo_not_found(repo)
        return settings


def _write_settings(git: Path, settings: Settings) -> None:
    replace_file(git / SETTINGS, json.dumps(asdict(settings)))


def check_new(repo: RepoId) -> None:
    """Refuse an id that no repository may have."""
    if not repo.valid:
        raise HubError(
            400, f"Invalid repository id {str(repo)!r}: expected namespace/name of letters, digits, ., _, -"
        )


def open_stores(root: Path) -> tuple[Store, ObjectStore]:
    """The repositories and the large files of a root."""
    return Store(root / "repos"), ObjectStore(root / "objects", root / "tmp")


def adopt_old_objects(root: Path, store: Store, objects: ObjectStore) -> None:
    """Move the large files of a root that an early version wrote, where namespaces shared them in `lfs`."""
    old = root / OLD_OBJECTS
    if not old.is_dir():
        return
    for repo in store.repositories():
        kept = objects.of(repo.namespace)
        for pointer in store.open(repo).pointers():
            source, target = old / pointer.oid[:2] / pointer.oid[2:4] / pointer.oid, kept.path(pointer.oid)
            if source.exists() and not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                os.link(source, target)
    # What nothing refers to goes with it, as a garbage collection would have it.
    shutil.rmtree(old)
