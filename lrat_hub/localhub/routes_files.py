"""Endpoints for content: downloads, large files as git-lfs speaks it, and `git clone` by git's `upload-pack`.

A push over git would pass by all checks: it is refused. See https://git-scm.com/docs/http-protocol for the protocol.
"""

from __future__ import annotations

import io
import tempfile
import time
import zlib
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from lrat_hub.localhub import upload_pack
from lrat_hub.localhub.access import (
    git_access,
    hub_of,
    may_write,
    objects_of,
    participant,
    readable,
    repo_of,
    require_user,
    settings_for,
)
from lrat_hub.localhub.objects import Pointer, is_oid
from lrat_hub.localhub.protocol import HubError, RepoId, entry_not_found, file_damaged
from lrat_hub.localhub.repository import Repository
from lrat_hub.localhub.trees import Entry
from lrat_hub.localhub.wire import (
    BODY_MAX_BYTES,
    PORTION_BYTES,
    chunks,
    content_response,
    endpoint_of,
    is_set,
    list_field,
    read_body,
    takes_json,
    text_field,
)

LFS_MEDIA_TYPE = "application/vnd.git-lfs+json"
BATCH_MAX = 1000
# Clients wait for an answer for 10 seconds. What can't be read by then is uploaded again.
READ_SECONDS = 4.0
NO_CACHE = {"Cache-Control": "no-cache, max-age=0, must-revalidate"}
# Pictures in cards. A browser runs nothing in any of them, under the policy below.
IMAGE_TYPES = {
    **{f".{suffix}": f"image/{suffix}" for suffix in ("png", "gif", "jpeg", "webp")},
    ".jpg": "image/jpeg",
    ".svg": "image/svg+xml",
}


def resolve(request: Request) -> Response:
    """The content of a file."""
    return _content(request, with_pointer=False)


def raw(request: Request) -> Response:
    """The content of a file as git has it: of a large one the pointer."""
    return _content(request, with_pointer=True)


def _content(request: Request, *, with_pointer: bool) -> Response:
    settings = settings_for(request, password=True)
    repository = hub_of(request).store.open(repo_of(request))
    commit = repository.commit_at(request.path_params["revision"])
    path = request.path_params["path"]
    entry = repository.entry(commit, path)
    if entry.is_folder:
        raise entry_not_found(path, str(commit.id))
    if with_pointer:
        entry = replace(entry, pointer=None)
    plain = "application/octet-stream" if entry.pointer else "text/plain; charset=utf-8"
    headers = {
        "ETag": f'"{entry.etag}"',
        "X-Repo-Commit": str(commit.id),
        "Content-Type": IMAGE_TYPES.get(PurePosixPath(path).suffix.lower(), plain),
        # What a repository holds must not run as a page of this Hub.
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
        # What is private must not stay in caches on the way; of the rest, each is asked for again.
        "Cache-Control": "private, no-store" if settings.private else "no-cache",
        "Vary": "Authorization",
    }
    if is_set(request.query_params.get("download")):
        headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(PurePosixPath(path).name)}"
    if entry.pointer:
        headers |= {"X-Linked-Etag": f'"{entry.etag}"', "X-Linked-Size": str(entry.size)}
    size, content = entry.size, lambda: open_entry(request, repository, entry)
    if entry.pointer is None and request.method == "GET":
        # What is read is compared with its hash, which its size in lists is not.
        read = repository.content(entry)
        size, content = len(read), lambda: io.BytesIO(read)
    return content_response(request, content, size, headers)


def open_entry(request: Request, repository: Repository, entry: Entry) -> BinaryIO:
    """The content of a file of the repository that a request names."""
    if entry.pointer is None:
        return io.BytesIO(repository.content(entry))
    try:
        return objects_of(request).open(entry.pointer)
    except FileNotFoundError:
        raise file_damaged(f"Large file {entry.path}", entry.pointer.oid) from None


@takes_json(git_access, fields="operation transfers objects hash_algo ref")
def batch(request: Request, data: dict[str, Any]) -> JSONResponse:
    """A link for each object: to upload what is not here yet, or to download what the repository refers to."""
    operation = text_field(data, "operation")
    if operation not in ("upload", "download"):
        raise HubError(422, f"Malformed LFS request: expected upload or download as operation, found {operation!r}")
    if text_field(data, "hash_algo", "sha256") != "sha256":
        raise HubError(409, "Malformed LFS request: expected sha256 as hash_algo")
    if operation == "upload":
        # Who may not write may propose, and for that they upload.
        participant(request)
    pointers = [_pointer(item) for item in list_field(data, "objects")]
    if len(pointers) > BATCH_MAX:
        raise HubError(413, f"Too many objects: expected at most {BATCH_MAX}, found {len(pointers)}")
    objects = _uploads(request, pointers) if operation == "upload" else _downloads(request, pointers)
    return JSONResponse({"transfer": "basic", "objects": objects}, media_type=LFS_MEDIA_TYPE)


def _uploads(request: Request, pointers: list[Pointer]) -> list[dict[str, Any]]:
    repo, endpoint, links = repo_of(request), endpoint_of(request), hub_of(request).links
    verify = f"{endpoint}/{repo.url_path}.git/info/lfs/objects/verify"
    objects, deadline = objects_of(request), time.monotonic() + READ_SECONDS
    # Who writes here may read all of the namespace. Others learn of what their own eyes see, and nothing else.
    by = "" if may_write(request) else require_user(request).name
    referred = readable(request).pointers(lenient=True) if by else frozenset()
    answer = []
    for pointer in pointers:
        fields: dict[str, Any] = {"oid": pointer.oid, "size": pointer.size}
        # By its content, so that publishing a file again repairs it.
        if not ((not by or pointer in referred) and objects.is_sound(pointer, deadline)):
            upload = endpoint + links.path("PUT", repo.namespace, pointer, by)
            fields["actions"] = {"upload": {"href": upload}, "verify": {"href": verify}}
        answer.append(fields)
    return answer


def _downloads(request: Request, pointers: list[Pointer]) -> list[dict[str, Any]]:
    """Only what a commit of this repository refers to: the namespace may have private repositories."""
    referred = readable(request, password=True).pointers(lenient=True)
    namespace, links = repo_of(request).namespace, hub_of(request).links
    answer = []
    for pointer in pointers:
        fields: dict[str, Any] = {"oid": pointer.oid, "size": pointer.size}
        if pointer in referred and objects_of(request).has(pointer):
            href = endpoint_of(request) + links.path("GET", namespace, pointer)
            fields["actions"] = {"download": {"href": href}}
        else:
            fields["error"] = {"code": 404, "message": "no such object in this repository"}
        answer.append(fields)
    return answer


async def upload(request: Request) -> JSONResponse:
    namespace, oid = request.path_params["namespace"], request.path_params["oid"]
    hub, by = hub_of(request), request.query_params.get("by")
    pointer = hub.links.check("PUT", namespace, oid, request.query_params)
    with hub.objects.of(namespace).upload(pointer) as incoming:
        portion = bytearray()
        async for chunk in chunks(request):
            # Hashing and writing go to a thread in portions; smaller ones cost more in switching than in work.
            portion += chunk
            if len(portion) >= PORTION_BYTES:
                await run_in_threadpool(incoming.write, portion)
                portion = bytearray()
        await run_in_threadpool(incoming.write, portion)
        await run_in_threadpool(incoming.finish)
    if by:
        hub.note_uploaded(by, namespace, pointer)
    return JSONResponse({})


def download(request: Request) -> Response:
    namespace, oid = request.path_params["namespace"], request.path_params["oid"]
    pointer = hub_of(request).links.check("GET", namespace, oid, request.query_params)
    objects = hub_of(request).objects.of(namespace)
    headers = {
        "ETag": f'"{oid}"',
        "Content-Type": "application/octet-stream",
        "Cache-Control": "private, no-store",
    }

    def content() -> BinaryIO:
        try:
            return objects.open(pointer)
        except FileNotFoundError:
            raise HubError(404, f"No object {oid}, or it is damaged", code="EntryNotFound") from None

    return content_response(request, content, pointer.size, headers)


# Only who may upload here is told what is here.
@takes_json(participant, fields="oid size")
def verify(request: Request, data: dict[str, Any]) -> JSONResponse:
    hub, pointer = hub_of(request), _pointer(data)
    own = (require_user(request).name, repo_of(request).namespace, pointer.oid) in hub.uploaded
    if not (own or may_write(request)) or not objects_of(request).has(pointer):
        raise HubError(404, f"No object {pointer.oid} of {pointer.size} bytes", code="EntryNotFound")
    return JSONResponse({})


def _pointer(item: dict[str, Any]) -> Pointer:
    oid, size = item.get("oid"), item.get("size")
    # True is an int as well.
    if not is_oid(oid) or type(size) is not int or not 0 <= size < 10**18:
        raise HubError(422, "Malformed LFS object: expected a sha256 as oid and a number of bytes as size")
    return Pointer(oid, size)


async def info_refs(request: Request) -> Response:
    """What there is to fetch."""
    if request.query_params.get("service") != upload_pack.SERVICE:
        raise push_refused()
    path, turns = await run_in_threadpool(_git_path, request), hub_of(request).clones
    advertised = await upload_pack.advertised(turns, path, _git_version(request))
    return Response(advertised, media_type=f"application/x-{upload_pack.SERVICE}-advertisement", headers=NO_CACHE)


async def fetch(request: Request) -> Response:
    """The objects that a client lacks."""
    path, turns = await run_in_threadpool(_git_path, request), hub_of(request).clones
    body = await read_body(request)
    if request.headers.get("content-encoding") in ("gzip", "x-gzip"):
        body = await run_in_threadpool(_unzipped, body)
    with tempfile.TemporaryFile(dir=hub_of(request).objects.tmp) as wanted:
        wanted.write(body)
        # On the disk while it waits for its turn, and no more in memory.
        body = b""
        wanted.seek(0)
        process = await upload_pack.start(turns, path, _git_version(request), stdin=wanted)
    return upload_pack.UploadPack(process, turns, NO_CACHE)


def _git_version(request: Request) -> str:
    return request.headers.get("git-protocol", "")


def receive_pack(request: Request) -> Response:
    raise push_refused()


def push_refused() -> HubError:
    return HubError(403, "This Hub takes no pushes over git: upload with `hf upload` or huggingface_hub instead")


def _git_path(request: Request) -> Path:
    """The folder of the repository of a request, whose name may have `.git` behind it; raises as `git_access` does."""
    params, store = request.path_params, hub_of(request).store
    repo = store.find(RepoId(params["kind"], params["namespace"], params["name"].removesuffix(".git")))
    git_access(request, repo)
    return store.path(repo)


def _unzipped(body: bytes) -> bytes:
    decompressor = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        content = decompressor.decompress(body, BODY_MAX_BYTES)
    except zlib.error as error:
        raise HubError(400, f"Malformed body: {error}") from None
    if decompressor.unconsumed_tail:
        raise HubError(413, f"Request body too large: expected at most {BODY_MAX_BYTES} bytes")
    return content
