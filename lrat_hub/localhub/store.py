"""The repositories of a Hub: `repos/KIND/NAMESPACE/NAME.git`, each with its settings in `hub.json`."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from lrat_hub.localhub.libgit import copy_history, create_repository
from lrat_hub.localhub.objects import ObjectStore
from lrat_hub.localhub.protocol import KINDS, HubError, RepoId, iso_date, repo_not_found
from lrat_hub.localhub.repository import Repository
from lrat_hub.localhub.root import fsync_path, replace_file

SETTINGS = "hub.json"
DISCUSSIONS = "discussions"
# Of one repository, that lead from one id to the next.
MOVES_MAX = 10
SPACE_CARD = """---
title: {name}
sdk: {sdk}
---
"""
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
    """The properties of a repository besides its content.

    Args:
        private: Whether only those of its namespace may see it.
        created_at: When it was made.
        sdk: That of a Space.
        others: What a later version of this program has written, which stays as it is.
    """

    private: bool
    created_at: str
    sdk: str | None = None
    others: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @classmethod
    def parse(cls, text: str) -> Settings:
        """Raises ValueError if the text is that of no settings: then nobody knows who may see the repository."""
        data = json.loads(text)
        if not isinstance(data, dict):
            raise ValueError(f"expected an object, found {type(data).__name__}")
        private, created, sdk = data.pop("private", None), data.pop("created_at", None), data.pop("sdk", None)
        if not isinstance(private, bool):
            raise ValueError("expected true or false as private")
        if not isinstance(created, str) or not isinstance(sdk, str | None):
            raise ValueError("expected text as created_at, and as sdk")
        return cls(private, created, sdk, data)

    def dump(self) -> str:
        return json.dumps({**self.others, "private": self.private, "created_at": self.created_at, "sdk": self.sdk})


class SettingsDamaged(HubError):
    """The settings of a repository that can't be read."""

    def __init__(self, repo: RepoId, reason: object) -> None:
        super().__init__(500, f"The settings of {repo} are damaged: {reason}; see `lrat hub verify`", code="Damaged")


class Store:
    """The repositories in `root`. One lock a repository: readers take none, every change of a reference takes it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._locks_guard = threading.Lock()

    def path(self, repo: RepoId) -> Path:
        return self.root / repo.kind / repo.namespace / f"{repo.name}.git"

    def find(self, repo: RepoId) -> RepoId:
        """A repository by its id in any case; the id itself if there is none."""
        if not repo.valid or (self.path(repo) / SETTINGS).exists():
            return repo
        for namespace in _alike(self.root / repo.kind, repo.namespace):
            for name in _alike(self.root / repo.kind / namespace, f"{repo.name}.git"):
                return RepoId(repo.kind, namespace, name[: -len(".git")])
        return repo

    def namespace(self, name: str) -> str:
        """A namespace as it is written where there is one of this name in any case."""
        return next((found for kind in KINDS for found in _alike(self.root / kind, name)), name)

    def settings(self, repo: RepoId) -> Settings | None:
        """The settings of a repository; None if there is no such repository.

        Raises:
            SettingsDamaged: There is, and they can't be read.
        """
        if not repo.valid:
            return None
        try:
            return Settings.parse((self.path(repo) / SETTINGS).read_text())
        except (FileNotFoundError, NotADirectoryError):
            if (self.path(repo) / "refs").is_dir():
                raise SettingsDamaged(repo, f"{SETTINGS} is missing") from None
            return None
        except (ValueError, RecursionError) as error:
            raise SettingsDamaged(repo, error) from None

    def moved(self, repo: RepoId) -> RepoId | None:
        """Where a repository is now that had this id before; None if none had, or it is gone."""
        for _ in range(MOVES_MAX):
            if not repo.valid:
                return None
            try:
                namespace, name = json.loads(self._redirect(repo).read_text())["to"].split("/")
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                return None
            repo = self.find(RepoId(repo.kind, namespace, name))
            if repo.valid and self.path(repo).is_dir():
                return repo
        return None

    def _redirect(self, repo: RepoId) -> Path:
        return self.root / repo.kind / ".moved" / f"{str(repo).lower().replace('/', '--')}.json"

    def repositories(self, kinds: Sequence[str] = KINDS) -> list[RepoId]:
        """The repositories of some kinds, kind by kind, sorted by name."""
        return [
            repo
            for kind in kinds
            for repo in sorted(
                (RepoId(kind, path.parent.name, path.stem) for path in (self.root / kind).glob("[!.]*/*.git")), key=str
            )
        ]

    def open(self, repo: RepoId) -> Repository:
        return Repository(self.path(repo), repo)

    @contextlib.contextmanager
    def locked(self, repo: RepoId) -> Iterator[None]:
        with self._locks_guard:
            lock = self._locks[f"{repo.kind}/{repo}".lower()]
        with lock:
            yield

    @contextlib.contextmanager
    def change(self, repo: RepoId) -> Iterator[Repository]:
        """Open a repository with its lock held, so that references may be moved."""
        with self.locked(repo):
            self._existing(repo)
            yield self.open(repo)

    def create(
        self,
        repo: RepoId,
        *,
        private: bool,
        sdk: str | None,
        author: str,
        like: RepoId | None = None,
        share: Callable[[Repository], None] | None = None,
    ) -> RepoId | None:
        """Make a repository with an initial commit. It appears complete or not at all.

        Args:
            repo: Its id.
            private: Whether only those of its namespace may see it.
            sdk: That of a Space.
            author: Who makes it.
            like: Another one of the same kind, whose branches and tags it gets instead.
            share: Called with what was copied, to bring its large files into the namespace.

        Returns:
            The repository of this id, in any case, that was there before; then nothing was made.
        """
        with self.locked(repo):
            there = self.find(repo)
            if self.path(there).exists():
                return there
            draft = self.root / f".new-{uuid4().hex}"
            create_repository(draft)
            if like is None:
                files = {".gitattributes": GIT_ATTRIBUTES}
                if repo.kind == "spaces":
                    files["README.md"] = SPACE_CARD.format(name=repo.name, sdk=sdk).encode()
                Repository(draft, repo).create_initial_commit(files, author)
            else:
                copy_history(self.path(like), draft)
                if share is not None:
                    # Of what was copied: the other one may have got commits meanwhile.
                    share(Repository(draft, repo))
            _write_settings(draft, Settings(private=private, created_at=iso_date(time.time()), sdk=sdk))
            target = self.path(repo)
            target.parent.mkdir(parents=True, exist_ok=True)
            # libgit2 flushes objects and references, but not what it makes a repository of.
            for path in (*(path for path in draft.iterdir() if path.is_file()), draft):
                fsync_path(path)
            draft.rename(target)
            self._redirect(repo).unlink(missing_ok=True)
            for folder in (target.parent, target.parent.parent, self.root):
                fsync_path(folder)
            return None

    def update(self, repo: RepoId, *, private: bool) -> None:
        with self.locked(repo):
            _write_settings(self.path(repo), replace(self._existing(repo), private=private))

    def move(self, repo: RepoId, to: RepoId, share: Callable[[Repository], None] | None = None) -> bool:
        """Give a repository another id, under which requests for its old one find it; False if there is one with it.

        Args:
            repo: Its id.
            to: The other one.
            share: Called when no more commits can arrive, to bring its large files into the other namespace.
        """
        # In the same order whoever moves what, so that two moves don't wait for each other.
        first, second = sorted((repo, to), key=lambda each: str(each).lower())
        with contextlib.ExitStack() as locks:
            locks.enter_context(self.locked(first))
            if not repo.same(to):
                locks.enter_context(self.locked(second))
            self._existing(repo)
            there = self.find(to)
            if there != repo and self.path(there).exists():
                return False
            if share is not None:
                share(self.open(repo))
            target = self.path(to)
            target.parent.mkdir(parents=True, exist_ok=True)
            redirect = self._redirect(repo)
            redirect.parent.mkdir(exist_ok=True)
            # First: until the repository has moved, nobody asks where it is.
            if not repo.same(to):
                replace_file(redirect, json.dumps({"to": str(to)}))
            self.path(repo).rename(target)
            self._redirect(to).unlink(missing_ok=True)
            for folder in (self.path(repo).parent, target.parent, target.parent.parent):
                fsync_path(folder)
            return True

    def delete(self, repo: RepoId) -> None:
        """Remove a repository: at once for its readers, then from the disk. Also one whose settings are damaged."""
        doomed = self.root / f".deleted-{uuid4().hex}"
        with self.locked(repo):
            try:
                self.path(repo).rename(doomed)
            except FileNotFoundError:
                raise repo_not_found() from None
            fsync_path(self.path(repo).parent)
        shutil.rmtree(doomed)

    def recover(self) -> None:
        """Remove what a killed server left behind. Only for the owner of the root, before it serves."""
        for pattern in (".new-*", ".deleted-*"):
            for leftover in self.root.glob(pattern):
                shutil.rmtree(leftover)
        for git in self.root.glob("*/[!.]*/*.git"):
            # Git refuses names of references that end in .lock: none of these is a branch. A lock that stayed
            # would make every later commit to its branch fail.
            stale = [*git.glob("*.lock"), *(git / "refs").rglob("*.lock"), *git.glob("objects/tmp_object*")]
            # Of a garbage collection.
            stale += [*git.glob("gc.pid"), *git.glob("packed-refs.new"), *git.glob("objects/info/**/*.lock")]
            stale += [
                *git.glob("objects/pack/tmp_*"),
                *git.glob("objects/pack/.tmp-*"),
                *git.glob("objects/??/tmp_obj_*"),
            ]
            stale += [*git.glob(f"{DISCUSSIONS}/.*"), *git.glob(f".{SETTINGS}-*")]
            for leftover in stale:
                leftover.unlink()

    def _existing(self, repo: RepoId) -> Settings:
        settings = self.settings(repo)
        if settings is None:
            raise repo_not_found()
        return settings


def _write_settings(git: Path, settings: Settings) -> None:
    replace_file(git / SETTINGS, settings.dump())


def _alike(folder: Path, name: str) -> list[str]:
    """The names in a folder that differ from one in case only, itself first."""
    try:
        return sorted(
            (each for each in os.listdir(folder) if each.lower() == name.lower()), key=lambda each: each != name
        )
    except (FileNotFoundError, NotADirectoryError):
        return []


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
