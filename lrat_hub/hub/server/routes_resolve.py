"""The endpoint that every download uses: a file of a repository at a revision."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import BinaryIO

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from lrat_hub.hub.server.access import hub_of, readable
from lrat_hub.hub.server.errors import HubError, entry_not_found
from lrat_hub.hub.server.repository import Entry, Repository

PORTION_BYTES = 1024 * 1024
_RANGE = re.compile(r"bytes=(?P<first>\d{0,18})-(?P<last>\d{0,18})")


def resolve(request: Request) -> Response:
    repository = readable(request)
    commit = repository.commit_at(request.path_params["revision"])
    path = request.path_params["path"]
    entry = repository.entry(commit, path)
    if entry.is_folder:
        raise entry_not_found(path, str(commit.id))
    etag = f'"{entry.etag}"'
    headers = {
        "ETag": etag,
        "X-Repo-Commit": str(commit.id),
        "Accept-Ranges": "bytes",
        # Files are shown to nobody: what a repository holds must not run as a page of this Hub.
        "Content-Type": "application/octet-stream" if entry.pointer else "text/plain; charset=utf-8",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
    if entry.pointer:
        headers |= {"X-Linked-Etag": etag, "X-Linked-Size": str(entry.size)}
    if _unchanged(request, etag):
        return Response(status_code=304, headers=headers)
    first, end, status = 0, entry.size, 200
    if request.method == "GET" and request.headers.get("if-range", etag) == etag:
        first, end, status = _asked_range(request, entry.size)
    if status == 206:
        headers["Content-Range"] = f"bytes {first}-{end - 1}/{entry.size}"
    headers["Content-Length"] = str(end - first)
    if request.method == "HEAD":
        return Response(headers=headers)
    content = _open(request, repository, entry)
    return StreamingResponse(_portions(content, first, end), status, headers)


def _unchanged(request: Request, etag: str) -> bool:
    known = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    return etag in known or "*" in known


def _asked_range(request: Request, size: int) -> tuple[int, int, int]:
    """First byte, end and status of the answer. Several ranges at once are answered with the whole file."""
    match = _RANGE.fullmatch(request.headers.get("range", ""))
    if match is None or match[0] == "bytes=-":
        return 0, size, 200
    if match["first"]:
        first, end = int(match["first"]), min(int(match["last"] or size) + 1, size)
        if match["last"] and int(match["last"]) < first:
            return 0, size, 200
    else:
        first, end = max(0, size - int(match["last"])), size
    if first >= end:
        raise HubError(
            416, f"Range not satisfiable: the file has {size} bytes", headers={"Content-Range": f"bytes */{size}"}
        )
    return first, end, 206


def _open(request: Request, repository: Repository, entry: Entry) -> BinaryIO:
    if entry.pointer is None:
        return io.BytesIO(repository.blob(entry.oid))
    try:
        return hub_of(request).objects.path(entry.pointer.oid).open("rb")
    except FileNotFoundError:
        # No 404: clients would take the file for one that was never there.
        raise HubError(500, f"Large file {entry.path} is damaged: object {entry.pointer.oid} is missing") from None


def _portions(content: BinaryIO, first: int, end: int) -> Iterator[bytes]:
    with content:
        content.seek(first)
        left = end - first
        while left > 0 and (portion := content.read(min(PORTION_BYTES, left))):
            left -= len(portion)
            yield portion
