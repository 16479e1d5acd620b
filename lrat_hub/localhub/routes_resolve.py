"""The endpoint that every download uses: a file of a repository at a revision."""

from __future__ import annotations

import io
from pathlib import PurePosixPath
from typing import BinaryIO

from starlette.requests import Request
from starlette.responses import Response

from lrat_hub.localhub.access import objects_of, readable
from lrat_hub.localhub.errors import HubError, entry_not_found
from lrat_hub.localhub.repository import Repository
from lrat_hub.localhub.trees import Entry
from lrat_hub.localhub.wire import content_response

# Pictures in cards. A browser runs nothing in any of them, under the policy below.
IMAGE_TYPES = {
    **{f".{suffix}": f"image/{suffix}" for suffix in ("png", "gif", "jpeg", "webp")},
    ".jpg": "image/jpeg",
    ".svg": "image/svg+xml",
}


def resolve(request: Request) -> Response:
    repository = readable(request, password=True)
    commit = repository.commit_at(request.path_params["revision"])
    path = request.path_params["path"]
    entry = repository.entry(commit, path)
    if entry.is_folder:
        raise entry_not_found(path, str(commit.id))
    plain = "application/octet-stream" if entry.pointer else "text/plain; charset=utf-8"
    headers = {
        "ETag": f'"{entry.etag}"',
        "X-Repo-Commit": str(commit.id),
        "Content-Type": IMAGE_TYPES.get(PurePosixPath(path).suffix.lower(), plain),
        # What a repository holds must not run as a page of this Hub.
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    }
    if entry.pointer:
        headers |= {"X-Linked-Etag": f'"{entry.etag}"', "X-Linked-Size": str(entry.size)}
    return content_response(request, lambda: open_entry(request, repository, entry), entry.size, headers)


def open_entry(request: Request, repository: Repository, entry: Entry) -> BinaryIO:
    """The content of a file of the repository that a request names."""
    if entry.pointer is None:
        return io.BytesIO(repository.blob(entry.oid))
    try:
        return objects_of(request).path(entry.pointer.oid).open("rb")
    except FileNotFoundError:
        # No 404: clients would take the file for one that was never there.
        raise HubError(500, f"Large file {entry.path} is damaged: object {entry.pointer.oid} is missing") from None
