"""What clients and the Hub agree on: the names that things may have, and errors that clients understand.

Everything that a client names passes the checks here. Clients tell errors apart by the `X-Error-Code` header: over
plain HTTP it is the only way they have.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

KINDS = ("models", "datasets", "spaces")
# The branch that every repository has.
MAIN = "main"

# A branch becomes the name of a file, with .lock behind it while that is written.
REF_MAX_BYTES = 200
# Each folder of a path is a tree of git that each commit to it writes.
PATH_MAX_DEPTH = 128

# What huggingface_hub accepts, in ASCII; "--" separates the parts of an id in its cache folders.
_SEGMENT = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?")
# Namespaces that would be mistaken for another part of the URL space.
RESERVED = {*KINDS, "api"}
# A pull request, as revisions name it.
PULL = re.compile(r"refs/pr/([1-9][0-9]{0,8})", re.ASCII)
_SHA = re.compile(r"[0-9a-f]{40}")
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class RepoId:
    """A repository: its kind (`models`, `datasets` or `spaces`), namespace and name."""

    kind: str
    namespace: str
    name: str

    @classmethod
    def parse(cls, kind: str, text: str) -> RepoId:
        """A repository of a kind by `namespace/name`; not a valid one if the text is not of this form."""
        namespace, _, name = text.partition("/")
        return cls(kind, namespace, name)

    @property
    def valid(self) -> bool:
        """Whether it may name a repository; then its parts are also safe as names of folders."""
        return (
            self.kind in KINDS
            and self.namespace.lower() not in RESERVED
            and all(_SEGMENT.fullmatch(part) for part in (self.namespace, self.name))
            and not any(part in str(self) for part in ("--", ".."))
            and not any(part.lower().endswith((".git", ".lock")) for part in (self.namespace, self.name))
        )

    @property
    def url_path(self) -> str:
        """The path of its page: models have no prefix."""
        return str(self) if self.kind == "models" else f"{self.kind}/{self}"

    def same(self, other: RepoId) -> bool:
        """Whether both name one repository: ids differ by more than case."""
        return (self.kind, str(self).lower()) == (other.kind, str(other).lower())

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def is_text(value: str) -> bool:
    """Whether git and file systems can hold a string: JSON can also express halves of characters, and zeros."""
    if value.isascii():
        return "\0" not in value
    return _NO_TEXT.search(value) is None


def text_in(data: Mapping[str, Any], key: str, default: str | None = None) -> str:
    """The text under `key` of a JSON object; null counts as missing. Raises ValueError if there is no text."""
    value = data.get(key)
    value = default if value is None else value
    if not isinstance(value, str) or not is_text(value):
        raise ValueError(f"expected text as {key}")
    return value


def parse_number(text: str, *, max_digits: int = 9) -> int | None:
    """The number that a text is in ASCII digits; None if it is something else, or longer than `max_digits`."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= max_digits else None


def iso_date(seconds: float) -> str:
    """A time, in seconds since 1970, as the Hub's answers have it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def is_sha(revision: str) -> bool:
    return _SHA.fullmatch(revision) is not None


def bad_ref_name(name: str) -> str | None:
    """Why a branch or tag may not be called `name`, beyond what git itself refuses; None if it may."""
    if name.startswith("-"):
        return "it would be read as an option on a git command line"
    if name.startswith("refs/"):
        return "it would be mistaken for the full name of a reference"
    if name in ("HEAD", "@"):
        return "git takes it for the commit that is checked out"
    if is_sha(name.lower()):
        return "it would be mistaken for a commit sha, and pins must not move"
    if len(name.encode()) > REF_MAX_BYTES:
        return "it is too long"
    return None


def bad_path(path: str) -> str | None:
    """Why a file may not be committed as `path`, a text; None if it may. Every system must be able to clone it."""
    if _CONTROL.search(path) or "\\" in path:
        return "it holds a control character or a backslash"
    if path.count("/") >= PATH_MAX_DEPTH:
        return f"it has more than {PATH_MAX_DEPTH} segments"
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


def folders_of(path: str) -> list[str]:
    """Every folder on the way to a path, without the root."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[: depth + 1]) for depth in range(len(parts))]


class HubError(Exception):
    """An HTTP error.

    Args:
        status: The HTTP status.
        message: One line for the user.
        code: The `X-Error-Code` of the Hub, if it has one for this.
        headers: Further response headers.
    """

    def __init__(self, status: int, message: str, code: str | None = None, headers: dict[str, str] | None = None):
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.headers = headers or {}


def damaged(message: str) -> HubError:
    """What is kept is not what was published: by its code, clients know that asking again is of no use."""
    return HubError(500, message, code="Damaged")


def repo_not_found() -> HubError:
    """Also the answer for a private repository that the caller may not see: the two must look the same.

    Clients say the same with the address, and leave these words out if they are no others.
    """
    return HubError(404, "Repository not found", code="RepoNotFound")


def revision_not_found(repo: RepoId, revision: str, expected: str = "") -> HubError:
    """The answer for a revision that is not there, or is none of those `expected`, such as a commit for a branch."""
    why = f": expected {expected}" if expected else ""
    return HubError(404, f"Invalid rev id: {revision} in {repo}{why}", code="RevisionNotFound")


def not_here(what: str) -> HubError:
    """The answer for what huggingface.co has and this Hub has not. It says so, instead of another cause."""
    return HubError(501, f"This Hub has no {what}; docs/embedded_hub.md lists what it has", code="NotImplemented")


def entry_not_found(path: str, commit: str) -> HubError:
    """The commit goes with it: clients remember that this file does not exist at this commit."""
    return HubError(404, f"Entry not found: {path}", code="EntryNotFound", headers={"X-Repo-Commit": commit})


def file_damaged(path: str, oid: str) -> HubError:
    """No 404: clients would take the file for one that was never there."""
    return damaged(
        f"{path} is damaged: its object {oid} is missing, or has other content. "
        "Publish it again, or see `lrat hub verify`"
    )
