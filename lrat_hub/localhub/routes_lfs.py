"""Endpoints for the content of large files, as git-lfs speaks it: which are missing, and links to put and get them."""

from __future__ import annotations

from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from lrat_hub.localhub.access import git_access, hub_of, objects_of, readable, repo_of, writable
from lrat_hub.localhub.errors import HubError
from lrat_hub.localhub.objects import Pointer, is_oid
from lrat_hub.localhub.wire import content_response, endpoint_of, list_field, read_json, text_field

# Hashing and writing go to a thread in portions of this size; smaller ones cost more in switching than in work.
PORTION_BYTES = 1024 * 1024
MEDIA_TYPE = "application/vnd.git-lfs+json"


async def batch(request: Request) -> JSONResponse:
    """A link for each object: to upload what is not here yet, or to download what the repository refers to."""
    git_access(request, repo_of(request))
    data = await read_json(request)
    operation = text_field(data, "operation")
    if operation not in ("upload", "download"):
        raise HubError(422, f"Malformed LFS request: expected upload or download as operation, found {operation!r}")
    if operation == "upload":
        writable(request)
    pointers = [_pointer(item) for item in list_field(data, "objects")]
    answer_for = _uploads if operation == "upload" else _downloads
    answer = await run_in_threadpool(answer_for, request, pointers)
    return JSONResponse({"transfer": "basic", "objects": answer}, media_type=MEDIA_TYPE)


def _uploads(request: Request, pointers: list[Pointer]) -> list[dict[str, Any]]:
    repo, endpoint, links = repo_of(request), endpoint_of(request), hub_of(request).links
    verify = f"{endpoint}/{repo.url_path}.git/info/lfs/objects/verify"
    answer = []
    for pointer in pointers:
        fields: dict[str, Any] = {"oid": pointer.oid, "size": pointer.size}
        if not objects_of(request).has(pointer):
            upload = endpoint + links.path("PUT", repo.namespace, pointer)
            fields["actions"] = {"upload": {"href": upload}, "verify": {"href": verify}}
        answer.append(fields)
    return answer


def _downloads(request: Request, pointers: list[Pointer]) -> list[dict[str, Any]]:
    """Only what a commit of this repository refers to: the namespace may have private repositories."""
    referred = readable(request, password=True).pointers()
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
    pointer = hub_of(request).links.check("PUT", namespace, oid, request.query_params)
    with hub_of(request).objects.of(namespace).upload(pointer) as incoming:
        portion = bytearray()
        async for chunk in request.stream():
            portion += chunk
            if len(portion) >= PORTION_BYTES:
                await run_in_threadpool(incoming.write, portion)
                portion = bytearray()
        await run_in_threadpool(incoming.write, portion)
        await run_in_threadpool(incoming.finish)
    return JSONResponse({})


def download(request: Request) -> Response:
    namespace, oid = request.path_params["namespace"], request.path_params["oid"]
    pointer = hub_of(request).links.check("GET", namespace, oid, request.query_params)
    objects = hub_of(request).objects.of(namespace)
    if not objects.has(pointer):
        raise HubError(404, f"No object {oid}", code="EntryNotFound")
    headers = {"ETag": f'"{oid}"', "Content-Type": "application/octet-stream"}
    return content_response(request, lambda: objects.path(oid).open("rb"), pointer.size, headers)


async def verify(request: Request) -> JSONResponse:
    # Only who may upload here is told what is here.
    writable(request)
    pointer = _pointer(await read_json(request))
    if not objects_of(request).has(pointer):
        raise HubError(404, f"No object {pointer.oid} of {pointer.size} bytes", code="EntryNotFound")
    return JSONResponse({})


def _pointer(item: dict[str, Any]) -> Pointer:
    oid, size = item.get("oid"), item.get("size")
    # True is an int as well.
    if not is_oid(oid) or type(size) is not int or not 0 <= size < 10**18:
        raise HubError(422, "Malformed LFS object: expected a sha256 as oid and a number of bytes as size")
    return Pointer(oid, size)
