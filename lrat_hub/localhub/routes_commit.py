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

import anyio.to_thread
import pygit2
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from lrat_hub.localhub.access import (
    hub_of,
    may_write,
    objects_of,
    participant,
    readable,
    repo_of,
    require_user,
    writable,
)
from lrat_hub.localhub.changes import Delete, Put
from lrat_hub.localhub.discussions import Discussions
from lrat_hub.localhub.objects import NamespaceObjects, Pointer, is_oid
from lrat_hub.localhub.protocol import PULL, HubError, RepoId, bad_path, is_sha, not_here, text_in
from lrat_hub.localhub.repository import Repository
from lrat_hub.localhub.root import Account
from lrat_hub.localhub.rules import Rules
from lrat_hub.localhub.trees import Entry
from lrat_hub.localhub.wire import (
    check_known,
    chunks,
    endpoint_of,
    is_set,
    list_field,
    takes_json,
    text_field,
)

# Larger files go to the object store, where they are streamed; see `preupload`.
REGULAR_MAX_BYTES = 10 * 1024 * 1024
LINE_MAX_BYTES = REGULAR_MAX_BYTES * 4 // 3 + 64 * 1024

# As many as clients send at once, and some more.
PREUPLOAD_MAX = 1000
# What is known of each operation.
_FIELDS = {
    "file": ("path", "content", "encoding"),
    "lfsFile": ("path", "algo", "oid", "size"),
    "deletedFile": ("path",),
    "deletedFolder": ("path",),
}

XET_ADVICE = "/api/no-xet/set-HF_HUB_DISABLE_XET=1-as-lrat-hub-env-does"
COMMIT_MAX_BYTES = 2 * 1024**3
# A commit larger than this is parsed from disk, not from memory.
SPOOL_BYTES = 16 * 1024 * 1024


def _may_commit(request: Request) -> RepoId:
    """The repository of a request that commits there, or proposes to; raises HubError for who may not."""
    if is_set(request.query_params.get("create_pr")):
        return participant(request)
    pull = PULL.fullmatch(request.path_params["revision"])
    if pull is None or may_write(request):
        return writable(request)
    # Who opened a pull request may go on with it.
    repo = participant(request)
    opened = Discussions(readable(request)).read(int(pull[1]))
    if opened.author != require_user(request).name:
        raise HubError(403, f"Pull request {pull[1]} is for who opened it, and for those who may write here")
    return repo


@takes_json(_may_commit, fields="files gitAttributes gitIgnore branch")
def preupload(request: Request, data: dict[str, Any]) -> JSONResponse:
    """Say for each file whether it goes over LFS or inside the commit, what it is now, and if git ignores it."""
    repository = readable(request)
    commit = repository.commit_at(request.path_params["revision"])
    files = list_field(data, "files")
    if len(files) > PREUPLOAD_MAX:
        raise HubError(413, f"Too many files: expected at most {PREUPLOAD_MAX}, found {len(files)}")
    paths = {text_field(file, "path") for file in files}
    large = _rules(repository, commit, data, "gitAttributes", ".gitattributes", paths)
    ignored = _rules(repository, commit, data, "gitIgnore", ".gitignore", paths)
    described = []
    with Rules(repository, commit, attributes=large, ignore=ignored) as rules:
        for file in files:
            path = text_field(file, "path")
            mode = "lfs" if _is_large(rules, path, file) else "regular"
            fields = {"path": path, "uploadMode": mode, "shouldIgnore": rules.ignores(path)}
            present = repository.find(commit, path)
            if present is not None and _is_sound(request, repository, present):
                # Clients leave out files that are the same already.
                fields["oid"] = present.etag
            described.append(fields)
    return JSONResponse({"files": described})


def _is_sound(request: Request, repository: Repository, entry: Entry) -> bool:
    """Whether nobody has to publish a file again, as far as can be told without reading all of a large one."""
    return objects_of(request).has(entry.pointer) if entry.pointer else repository.is_readable(entry)


def _rules(
    repository: Repository, commit: pygit2.Commit, data: dict[str, Any], key: str, path: str, paths: set[str]
) -> bytes | None:
    """The rules that a client is about to commit; by default those of the commit."""
    if data.get(key) is not None:
        return text_field(data, key).encode()
    try:
        return repository.read(commit, path)
    except HubError as error:
        # Who publishes them again does not need them.
        if path in paths:
            return None
        # No 500, after which clients try again.
        raise HubError(409, error.message) from None


def _is_large(rules: Rules, path: str, file: dict[str, Any]) -> bool:
    size = file.get("size")
    if type(size) is not int or size < 0:
        raise HubError(400, "Malformed request: expected a number of bytes as size")
    try:
        sample = base64.b64decode(text_field(file, "sample", ""), validate=True)
    except ValueError as error:
        raise HubError(400, f"Malformed request: sample is not base64: {error}") from None
    return size > REGULAR_MAX_BYTES or b"\0" in sample or rules.keeps_as_large(path)


async def commit(request: Request) -> JSONResponse:
    await run_in_threadpool(_may_commit, request)
    with tempfile.SpooledTemporaryFile(SPOOL_BYTES, dir=str(hub_of(request).objects.tmp)) as body:
        received = 0
        async for chunk in chunks(request):
            received += len(chunk)
            if received > COMMIT_MAX_BYTES:
                raise HubError(413, f"Commit too large: expected at most {COMMIT_MAX_BYTES} bytes; make several")
            body.write(chunk)
        body.seek(0)
        # Not in all threads, so that many and long commits leave some for others.
        return await anyio.to_thread.run_sync(_commit, request, body, limiter=hub_of(request).commits)


def _commit(request: Request, body: IO[bytes]) -> JSONResponse:
    hub, repo, user = hub_of(request), repo_of(request), require_user(request)
    revision = request.path_params["revision"]
    proposes = is_set(request.query_params.get("create_pr"))
    if proposes:
        # Now: what it proposes is stored while it is read.
        hub.store.open(repo).branch_tip(revision)
    objects = objects_of(request)
    is_here = objects.has if may_write(request) else _known_to(request, user, objects)
    writer = hub.store.open(repo)
    asked = read_commit(_lines(body), writer.write_blob, objects, is_here)
    writer.flush_blobs()
    page, pull = f"{endpoint_of(request)}/{repo.url_path}", {}
    by = {"message": asked.message, "author": user.name, "parent": asked.parent}
    with hub.store.change(repo) as repository:
        if proposes:
            known = Discussions(repository)
            opened = known.begin(asked.summary, user.name, description=asked.description, base=revision)
            sha = repository.propose(opened.number, revision, asked.changes, **by)
            known.save(opened)
            pull = {"pullRequestUrl": f"{page}/discussions/{opened.number}"}
        else:
            sha = repository.commit(revision, asked.changes, **by)
    return JSONResponse({"success": True, "commitOid": sha, "commitUrl": f"{page}/commit/{sha}", **pull})


def _known_to(request: Request, user: Account, objects: NamespaceObjects) -> Callable[[Pointer], bool]:
    """Which large files somebody may refer to in a namespace of others: what they see there, or uploaded."""
    referred = readable(request).pointers(lenient=True)
    uploaded, namespace = hub_of(request).uploaded, objects.namespace

    def is_here(pointer: Pointer) -> bool:
        return objects.has(pointer) and (pointer in referred or (user.name, namespace, pointer.oid) in uploaded)

    return is_here


def _lines(body: IO[bytes]) -> Iterator[bytes]:
    while line := body.readline(LINE_MAX_BYTES + 1):
        yield line


def xet_token(request: Request) -> Response:
    """Clients with `hf_xet` come here before an upload, whatever the Hub has, and show their user no text of ours.

    They do show the address of the request that failed: so that has to say it.
    """
    return RedirectResponse(XET_ADVICE, 307)


def no_xet(request: Request) -> Response:
    raise not_here("Xet storage: set HF_HUB_DISABLE_XET=1, as `lrat hub env` does")


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
    lines: Iterable[bytes],
    write_blob: Callable[[bytes], str],
    objects: NamespaceObjects,
    is_here: Callable[[Pointer], bool],
) -> CommitRequest:
    """Read and check a commit request, storing the content of each file as it comes.

    Args:
        lines: The lines of the body.
        write_blob: Stores a git blob and returns its sha.
        objects: The namespace's large files, where those of the commit must already be.
        is_here: Whether one is, as far as the caller may know.

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
                request.changes.append(_change(key, value, write_blob, objects, is_here))
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
    check_known("field", value, ("summary", "description", "parentCommit"))
    parent = value.get("parentCommit")
    if parent is not None and not (isinstance(parent, str) and is_sha(parent)):
        raise ValueError("expected the full sha of a commit as parentCommit")
    return CommitRequest(text_in(value, "summary"), text_in(value, "description", ""), parent)


def _change(
    key: str,
    value: dict[str, Any],
    write_blob: Callable[[bytes], str],
    objects: NamespaceObjects,
    is_here: Callable[[Pointer], bool],
) -> Put | Delete:
    if key not in _FIELDS:
        raise ValueError(f"unknown operation {key[:50]!r}")
    check_known("field", value, _FIELDS[key])
    path = text_in(value, "path")
    if key == "deletedFolder":
        path = path.removesuffix("/")
    if reason := bad_path(path):
        raise HubError(422, f"Invalid path {path[:300]!r}: {reason}")
    match key:
        case "deletedFile" | "deletedFolder":
            return Delete(path, is_folder=key == "deletedFolder")
        case "file":
            content = _content(value)
            if pointer := Pointer.parse(content):
                _check_uploaded(path, pointer, is_here)
            return Put(path, write_blob(content))
        case _:
            pointer = _pointer(value, objects)
            _check_uploaded(path, pointer, is_here)
            return Put(path, write_blob(pointer.dump()))


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


def _pointer(value: dict[str, Any], objects: NamespaceObjects) -> Pointer:
    if value.get("algo", "sha256") != "sha256" or not is_oid(value.get("oid")):
        raise ValueError("expected the sha256 of a large file as oid")
    oid = value["oid"]
    # A copy within the Hub comes without a size.
    size = value.get("size", objects.size(oid))
    return Pointer(oid, size if isinstance(size, int) else -1)


def _check_uploaded(path: str, pointer: Pointer, is_here: Callable[[Pointer], bool]) -> None:
    if not is_here(pointer):
        raise HubError(422, f"Large file {path} has not been uploaded: no object {pointer.oid} of its size")
