"""What may be called what: repositories, branches and tags, files. Everything a client names passes here."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

KINDS = ("models", "datasets", "spaces")

# A branch becomes the name of a file, with .lock behind it while that is written.
REF_MAX_BYTES = 200

# What huggingface_hub accepts, in ASCII; "--" separates the parts of an id in its cache folders.
_SEGMENT = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?")
# Namespaces that would be mistaken for another part of the URL space.
_RESERVED = {*KINDS, "api"}
_SHA = re.compile(r"[0-9a-f]{40}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class RepoId:
    """A repository: its kind (`models`, `datasets` or `spaces`), namespace and name."""

    kind: str
    namespace: str
    name: str

    @property
    def valid(self) -> bool:
        """Whether it may name a repository; then its parts are also safe as names of folders."""
        return (
            self.kind in KINDS
            and self.namespace not in _RESERVED
            and all(_SEGMENT.fullmatch(part) for part in (self.namespace, self.name))
            and not any(part in str(self) for part in ("--", ".."))
            and not any(part.endswith((".git", ".lock")) for part in (self.namespace, self.name))
        )

    @property
    def url_path(self) -> str:
        """The path of its page: models have no prefix."""
        return str(self) if self.kind == "models" else f"{self.kind}/{self}"

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def is_text(value: str) -> bool:
    """Whether git and file systems can hold a string: JSON can also express halves of characters, and zeros."""
    return "\0" not in value and not any("\ud800" <= char <= "\udfff" for char in value)


def is_sha(revision: str) -> bool:
    return _SHA.fullmatch(revision) is not None


def bad_ref_name(name: str) -> str | None:
    """Why a branch or tag may not be called `name`, beyond what git itself refuses; None if it may."""
    if name.startswith("-"):
        return "it would be read as an option on a git command line"
    if name.startswith("refs/"):
        return "it would be mistaken for the full name of a reference"
    if is_sha(name.lower()):
        return "it would be mistaken for a commit sha, and pins must not move"
    if len(name.encode()) > REF_MAX_BYTES:
        return "it is too long"
    return None


def bad_path(path: str) -> str | None:
    """Why a file may not be committed as `path`, a text; None if it may. Every system must be able to clone it."""
    if _CONTROL.search(path) or "\\" in path:
        return "it holds a control character or a backslash"
    if len(path.encode()) > 2048 or any(len(part.encode()) > 255 for part in path.split("/")):
        return "it is too long"
    for part in path.split("/"):
        if part in ("", ".", ".."):
            return "it has an empty or relative segment"
        if _is_dot_git(part):
            return "it would be git's own folder"
    return None


def _is_dot_git(part: str) -> bool:
    """Whether some file system takes this name for `.git`: by case, invisible characters, dots at the end."""
    visible = "".join(char for char in part if unicodedata.category(char) != "Cf")
    folded = unicodedata.normalize("NFKC", visible).casefold().split(":")[0].rstrip(". ")
    return folded in (".git", "git~1")
