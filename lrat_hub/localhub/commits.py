"""Reading a commit request: newline-delimited JSON, one operation a line, the header first.

{"key": "header", "value": {"summary": "...", "description": "...", "parentCommit": "<sha>"}}
{"key": "file", "value": {"path": "...", "content": "<base64>", "encoding": "base64"}}
{"key": "lfsFile", "value": {"path": "...", "algo": "sha256", "oid": "<sha256>", "size": 1}}
{"key": "deletedFile", "value": {"path": "..."}}
{"key": "deletedFolder", "value": {"path": ".../"}}
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from lrat_hub.localhub.edits import Delete, Put
from lrat_hub.localhub.errors import HubError
from lrat_hub.localhub.names import bad_path, is_sha, is_text
from lrat_hub.localhub.objects import NamespaceObjects, Pointer, is_oid

# Larger files go to the object store, where they are streamed; see `preupload` in `routes_commit`.
REGULAR_MAX_BYTES = 10 * 1024 * 1024
LINE_MAX_BYTES = REGULAR_MAX_BYTES * 4 // 3 + 64 * 1024


@dataclass
class CommitRequest:
    """What a client asks to commit. The content of its files is already in the repository and the object store."""

    summary: str = ""
    description: str = ""
    parent: str | None = None
    changes: list[Put | Delete] = field(default_factory=list)

    @property
    def message(self) -> str:
        return f"{self.summary}\n\n{self.description}" if self.description else self.summary


def read_commit(
    lines: Iterable[bytes], write_blob: Callable[[bytes], str], objects: NamespaceObjects
) -> CommitRequest:
    """Read and check a commit request, storing the content of each file as it comes.

    Args:
        lines: The lines of the body.
        write_blob: Stores a git blob and returns its sha.
        objects: The namespace's large files, where those of the commit must already be.

    Raises:
        HubError: 400 for what is malformed, 413 for a file too large to come this way, 422 for a large file that
            has not been uploaded.
    """
    request: CommitRequest | None = None
    for number, line in enumerate(lines, start=1):
        if len(line) > LINE_MAX_BYTES:
            raise HubError(413, f"Commit line {number} is too long: files above {REGULAR_MAX_BYTES} bytes go over LFS")
        if not line.strip():
            continue
        try:
            key, value = _operation(line)
            if key == "header":
                if request is not None:
                    raise ValueError("a second header")
                request = _header(value)
            elif request is None:
                raise ValueError("expected the header first")
            else:
                request.changes.append(_change(key, value, write_blob, objects))
        except (ValueError, RecursionError) as error:
            raise HubError(400, f"Malformed commit, line {number}: {error}") from None
    if request is None:
        raise HubError(400, "Malformed commit: it has no header")
    return request


def _operation(line: bytes) -> tuple[str, dict[str, Any]]:
    match json.loads(line):
        case {"key": str(key), "value": dict(value)}:
            return key, value
    raise ValueError("expected an object with a key and a value")


def _header(value: dict[str, Any]) -> CommitRequest:
    parent = value.get("parentCommit")
    if parent is not None and not (isinstance(parent, str) and is_sha(parent)):
        raise ValueError("expected the full sha of a commit as parentCommit")
    return CommitRequest(_text(value, "summary"), _text(value, "description", ""), parent)


def _change(
    key: str, value: dict[str, Any], write_blob: Callable[[bytes], str], objects: NamespaceObjects
) -> Put | Delete:
    path = _text(value, "path")
    if key == "deletedFolder":
        path = path.removesuffix("/")
    if reason := bad_path(path):
        raise ValueError(f"invalid path {path!r}: {reason}")
    match key:
        case "deletedFile" | "deletedFolder":
            return Delete(path, is_folder=key == "deletedFolder")
        case "file":
            content = _content(value)
            if pointer := Pointer.parse(content):
                _check_uploaded(path, pointer, objects)
            return Put(path, write_blob(content))
        case "lfsFile":
            pointer = _pointer(path, value, objects)
            return Put(path, write_blob(pointer.dump()))
    raise ValueError(f"unknown operation {key!r}")


def _text(value: dict[str, Any], key: str, default: str | None = None) -> str:
    found = value.get(key, default)
    if not isinstance(found, str) or not is_text(found):
        raise ValueError(f"expected text as {key}")
    return found


def _content(value: dict[str, Any]) -> bytes:
    encoding = value.get("encoding", "utf-8")
    text = _text(value, "content")
    if encoding == "base64":
        try:
            return base64.b64decode(text, validate=True)
        except ValueError as error:
            raise ValueError(f"content is not base64: {error}") from None
    if encoding == "utf-8":
        return text.encode()
    raise ValueError(f"expected the encoding base64 or utf-8, found {encoding!r}")


def _pointer(path: str, value: dict[str, Any], objects: NamespaceObjects) -> Pointer:
    if value.get("algo", "sha256") != "sha256" or not is_oid(value.get("oid")):
        raise ValueError("expected the sha256 of a large file as oid")
    oid = value["oid"]
    # A copy within the Hub comes without a size.
    size = value.get("size", objects.size(oid))
    pointer = Pointer(oid, size if isinstance(size, int) else -1)
    _check_uploaded(path, pointer, objects)
    return pointer


def _check_uploaded(path: str, pointer: Pointer, objects: NamespaceObjects) -> None:
    if not objects.has(pointer):
        raise HubError(422, f"Large file {path} has not been uploaded: no object {pointer.oid} of its size")
