"""Endpoints that change content: preupload and commit."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Iterator
from typing import IO, Any

import pygit2
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from lrat_hub.localhub.access import hub_of, objects_of, readable, repo_of, require_user, writable
from lrat_hub.localhub.commits import LINE_MAX_BYTES, REGULAR_MAX_BYTES, read_commit
from lrat_hub.localhub.errors import HubError
from lrat_hub.localhub.repository import Repository
from lrat_hub.localhub.wire import endpoint_of, is_set, list_field, read_json, text_field

XET_ADVICE = "/api/no-xet/set-HF_HUB_DISABLE_XET=1-as-lrat-hub-env-does"
COMMIT_MAX_BYTES = 2 * 1024**3
# A commit larger than this is parsed from disk, not from memory.
SPOOL_BYTES = 8 * 1024 * 1024


async def preupload(request: Request) -> JSONResponse:
    """Say for each file whether it goes over LFS or inside the commit, and what it is at present."""
    writable(request)
    files = list_field(await read_json(request), "files")
    return await run_in_threadpool(_preupload, request, files)


def _preupload(request: Request, files: list[dict[str, Any]]) -> JSONResponse:
    repository = readable(request)
    commit = repository.commit_at(request.path_params["revision"])
    answer = []
    for file in files:
        path = text_field(file, "path")
        mode = "lfs" if _is_large(repository, commit, path, file) else "regular"
        fields = {"path": path, "uploadMode": mode, "shouldIgnore": False}
        if (present := repository.find(commit, path)) is not None:
            # Clients leave out files that are the same already.
            fields["oid"] = present.etag
        answer.append(fields)
    return JSONResponse({"files": answer})


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
    with tempfile.SpooledTemporaryFile(SPOOL_BYTES, dir=hub_of(request).objects.tmp) as body:
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
