"""Endpoints that change content. A commit is newline-delimited JSON, one operation a line, the header first.

{"key": "header", "value": {"summary": "...", "description": "...", "parentCommit": "<sha>"}}
{"key": "file", "value": {"path": "...", "content": "<base64>", "encoding": "base64"}}
{"key": "lfsFile", "value": {"path": "...", "algo": "sha256", "oid": "<sha256>", "size": 1}}
{"key": "deletedFile", "value": {"path": "..."}}
{"key": "deletedFolder", "value": {"path": ".../"}}
"""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import IO, Any

import pygit2
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from lrat_hub.localhub.access import hub_of, objects_of, readable, repo_of, require_user, writable
from lrat_hub.localhub.objects import NamespaceObjects, Pointer, is_oid
from lrat_hub.localhub.protocol import HubError, bad_path, is_sha, text_in
from lrat_hub.localhub.repository import Repository
from lrat_hub.localhub.trees import Delete, Put
from lrat_hub.localhub.wire import endpoint_of, is_set, list_field, takes_json, text_field

# Larger files go to the object store, where they are streamed; see `preupload`.
REGULAR_MAX_BYTES = 10 * 1024 * 1024
LINE_MAX_BYTES = REGULAR_MAX_BYTES * 4 // 3 + 64 * 1024

XET_ADVICE = "/api/no-xet/set-HF_HUB_DISABLE_XET=1-as-lrat-hub-env-does"
COMMIT_MAX_BYTES = 2 * 1024**3
# A commit larger than this is parsed from disk, not from memory.
SPOOL_BYTES = 8 * 1024 * 1024


@takes_json(writable)
def preupload(request: Request, data: dict[str, Any]) -> JSONResponse:
    """Say for each file whether it goes over LFS or inside the commit, and what it is at present."""
    repository = readable(request)
    commit = repository.commit_at(request.path_params["revision"])
    described = []
    for file in list_field(data, "files"):
        path = text_field(file, "path")
        mode = "lfs" if _is_large(repository, commit, path, file) else "regular"
        fields = {"path": path, "uploadMode": mode, "shouldIgnore": False}
        if (present := repository.find(commit, path)) is not None:
            # Clients leave out files that are the same already.
            fields["oid"] = present.etag
        described.append(fields)
    return JSONResponse({"files": described})


def _is_large(repository: Repository, commit: pygit2.Commit, path: str, file: dict[str, Any]) -> bool:
    size = file.get("size")
    if not isinstance(size, int):
        raise HubError(400, "Malformed request: expected a number as size")
    try:
        sample = base64.b64decode(text_field(file, "sample", ""), validate=True)
    except ValueError as error:
        raise HubError(400, f"Malformed request: sample is not base64: {error}") from None
    return size > REGULAR_MAX_BYTES or b"\0" in sample or repository.keeps_as_large(commit, path)


async def commit(request: Request) -> JSONResponse:
    writable(request)
    with tempfile.SpooledTemporaryFile(SPOOL_BYTES, dir=str(hub_of(request).objects.tmp)) as body:
        received = 0
        async for chunk in request.stream():
            received += len(chunk)
            if received > COMMIT_MAX_BYTES:
                raise HubError(413, f"Commit too large: expected at most {COMMIT_MAX_BYTES} bytes; make several")
            body.write(chunk)
        body.seek(0)
        return await run_in_threadpool(_commit, request, body)


def _commit(request: Request, body: IO[bytes]) -> JSONResponse:
    hub, repo, user = hub_of(request), repo_of(request), require_user(request)
    asked = read_commit(_lines(body), hub.store.open(repo).write_blob, objects_of(request))
    by = {"message": asked.message, "author": user.name, "parent": asked.parent}
    page, pull = f"{endpoint_of(request)}/{repo.url_path}", {}
    with hub.store.change(repo) as repository:
        if is_set(request.query_params.get("create_pr")):
            number, sha = repository.propose(asked.changes, **by)
            pull = {"pullRequestUrl": f"{page}/discussions/{number}"}
        else:
            sha = repository.commit(request.path_params["revision"], asked.changes, **by)
    return JSONResponse({"success": True, "commitOid": sha, "commitUrl": f"{page}/commit/{sha}", **pull})


def _lines(body: IO[bytes]) -> Iterator[bytes]:
    while line := body.readline(LINE_MAX_BYTES + 1):
        yield line


def xet_token(request: Request) -> Response:
    """Clients with `hf_xet` come here before an upload, whatever the Hub has, and show their user no text of ours.

    They do show the address of the request that failed: so that has to say it.
    """
    return RedirectResponse(XET_ADVICE, 307)


def no_xet(request: Request) -> Response:
    raise HubError(501, "This Hub has no Xet storage: set HF_HUB_DISABLE_XET=1, see `lrat hub env`")


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
    return CommitRequest(text_in(value, "summary"), text_in(value, "description", ""), parent)


def _change(
    key: str, value: dict[str, Any], write_blob: Callable[[bytes], str], objects: NamespaceObjects
) -> Put | Delete:
    path = text_in(value, "path")
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


def _content(value: dict[str, Any]) -> bytes:
    encoding = value.get("encoding", "utf-8")
    text = text_in(value, "content")
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
