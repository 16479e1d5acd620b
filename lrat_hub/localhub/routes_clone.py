"""Endpoints for `git clone` and `git fetch`, by git's `upload-pack`. A push would pass by all checks: it is refused.

See https://git-scm.com/docs/http-protocol for the protocol.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from lrat_hub.localhub.access import git_access, hub_of, repo_of
from lrat_hub.localhub.errors import HubError
from lrat_hub.localhub.names import RepoId
from lrat_hub.localhub.wire import BODY_MAX_BYTES, PORTION_BYTES, read_body

SERVICE = "git-upload-pack"
NO_CACHE = {"Cache-Control": "no-cache, max-age=0, must-revalidate"}
_PROTOCOL = re.compile(r"version=[012]")


async def info_refs(request: Request) -> Response:
    """What there is to fetch."""
    if request.query_params.get("service") != SERVICE:
        raise push_refused()
    path = _git_path(request)
    process = await _upload_pack(request, path, "--http-backend-info-refs")
    advertised, _ = await process.communicate()
    if process.returncode != 0:
        raise HubError(500, "git upload-pack failed; see the output of the Hub")
    start = f"# service={SERVICE}\n"
    body = f"{len(start) + 4:04x}{start}0000".encode() + advertised
    return Response(body, media_type=f"application/x-{SERVICE}-advertisement", headers=NO_CACHE)


async def upload_pack(request: Request) -> Response:
    """The objects that a client lacks."""
    path = _git_path(request)
    wanted = await read_body(request)
    if request.headers.get("content-encoding") in ("gzip", "x-gzip"):
        wanted = _unzipped(wanted)
    process = await _upload_pack(request, path)
    return StreamingResponse(_answer(process, wanted), media_type=f"application/x-{SERVICE}-result", headers=NO_CACHE)


def receive_pack(request: Request) -> Response:
    raise push_refused()


def push_refused() -> HubError:
    return HubError(403, "This Hub takes no pushes over git: upload with `hf upload` or huggingface_hub instead")


def _git_path(request: Request) -> Path:
    """The folder of the repository of a request, whose name may have `.git` behind it; raises as `git_access` does."""
    named = repo_of(request)
    repo = RepoId(named.kind, named.namespace, named.name.removesuffix(".git"))
    git_access(request, repo)
    return hub_of(request).store.path(repo)


async def _upload_pack(request: Request, path: Path, *options: str) -> asyncio.subprocess.Process:
    git = shutil.which("git")
    if git is None:
        raise HubError(501, "Cloning needs git on the machine of this Hub; downloads by other clients don't")
    # Nothing of the settings of whoever runs the Hub; and a root may belong to another user, as in containers.
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": "*",
    }
    version = request.headers.get("git-protocol", "")
    if _PROTOCOL.fullmatch(version):
        environment["GIT_PROTOCOL"] = version
    return await asyncio.create_subprocess_exec(
        *(git, "upload-pack", "--stateless-rpc", "--strict", *options, str(path)),
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )


async def _answer(process: asyncio.subprocess.Process, wanted: bytes) -> AsyncIterator[bytes]:
    async def ask() -> None:
        try:
            process.stdin.write(wanted)
            await process.stdin.drain()
            process.stdin.close()
        except (BrokenPipeError, ConnectionResetError):
            # It has understood enough to answer, or to refuse.
            return

    asking = asyncio.create_task(ask())
    try:
        while portion := await process.stdout.read(PORTION_BYTES):
            yield portion
    finally:
        # Also when the client has gone.
        asking.cancel()
        if process.returncode is None and not process.stdout.at_eof():
            process.kill()
        await process.wait()


def _unzipped(body: bytes) -> bytes:
    decompressor = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        content = decompressor.decompress(body, BODY_MAX_BYTES)
    except zlib.error as error:
        raise HubError(400, f"Malformed body: {error}") from None
    if decompressor.unconsumed_tail:
        raise HubError(413, f"Request body too large: expected at most {BODY_MAX_BYTES} bytes")
    return content
