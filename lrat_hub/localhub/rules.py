"""What the `.gitattributes` and `.gitignore` of a commit say of paths, by git's own reading of them."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pygit2

from lrat_hub.localhub.protocol import HubError, bad_path
from lrat_hub.localhub.repository import Repository

# Longer files of rules are none that anybody wrote, and each rule is tried on each path.
RULES_MAX_BYTES = 128 * 1024


class Rules:
    """The rules at a commit, or those that a client is about to commit; a context manager.

    libgit2 reads `.gitignore` from a working tree only: it gets one that holds nothing else.

    Args:
        repository: The repository.
        commit: The commit, whose rules in folders below the root count too.
        attributes: The `.gitattributes` of the root.
        ignore: The `.gitignore` of the root.
    """

    def __init__(
        self, repository: Repository, commit: pygit2.Commit, *, attributes: bytes | None, ignore: bytes | None
    ) -> None:
        for name, content in ((".gitattributes", attributes), (".gitignore", ignore)):
            if content is not None and len(content) > RULES_MAX_BYTES:
                raise HubError(413, f"{name} is too long: expected at most {RULES_MAX_BYTES} bytes")
        self._repository, self._commit = repository, commit
        self._root = {".gitattributes": attributes, ".gitignore": ignore}
        self._written: set[str] = set()

    def __enter__(self) -> Rules:
        self._folder = tempfile.TemporaryDirectory(prefix="lrat-rules-")
        # As little as makes a repository: libgit2 would flush each of its files to the disk.
        git = Path(self._folder.name, ".git")
        for name in ("objects", "refs"):
            (git / name).mkdir(parents=True)
        (git / "HEAD").write_text("ref: refs/heads/main\n")
        self._git = pygit2.Repository(str(git))
        for name, content in self._root.items():
            if content is not None:
                Path(self._folder.name, name).write_bytes(content)
        return self

    def __exit__(self, *_: object) -> None:
        self._git.free()
        self._folder.cleanup()

    def ignores(self, path: str) -> bool:
        """Whether git would leave a file out."""
        return self._usable(path) and self._git.path_is_ignored(path)

    def keeps_as_large(self, path: str) -> bool:
        """Whether git would give a file to git-lfs."""
        return self._usable(path) and self._git.get_attr(path, "filter") == "lfs"

    def _usable(self, path: str) -> bool:
        """Whether a path can be asked about, with the rules of the folders on its way in place."""
        if bad_path(path):
            return False
        folder = path.rpartition("/")[0]
        missing: list[str] = []
        while folder and folder not in self._written:
            missing.append(folder)
            self._written.add(folder)
            folder = folder.rpartition("/")[0]
        for each in reversed(missing):
            for name in self._root:
                content = self._repository.read(self._commit, f"{each}/{name}")
                if content is not None and len(content) <= RULES_MAX_BYTES:
                    target = Path(self._folder.name, each, name)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(content)
        return True
