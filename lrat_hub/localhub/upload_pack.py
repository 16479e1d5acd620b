"""Git's own program that serves clones: when its turn comes, how long it runs, and that none outlives its answer."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import IO, cast

from anyio import Semaphore
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from lrat_hub.localhub.protocol import HubError
from lrat_hub.localhub.wire import PORTION_BYTES

SERVICE = "git-upload-pack"
# For a turn: git waits patiently, and shows its user nothing of it.
WAITING_MAX = 256
WAITING_SECONDS = 300.0
# Of one process. Large files are not in git, so that nothing which takes longer is left.
SERVICE_SECONDS = 3600.0
# What is not packed yet is compressed for each clone: quickly, by one thread, and without comparing long files.
FRUGAL = {"pack.threads": "1", "pack.compression": "1", "core.bigFileThreshold": "1m", "pack.windowMemory": "64m"}
_VERSION = re.compile(r"version=[012]")


class UploadPack(StreamingResponse):
    """What a process of git writes, as an answer. The process ends with it, however that ends."""

    def __init__(self, process: asyncio.subprocess.Process, turns: Semaphore, headers: Mapping[str, str]) -> None:
        super().__init__(_output(process), headers=headers, media_type=f"application/x-{SERVICE}-result")
        self._process, self._turns = process, turns

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await end(self._process, self._turns)


async def start(
    turns: Semaphore, path: Path, version: str, *options: str, stdin: IO[bytes] | int = asyncio.subprocess.DEVNULL
) -> asyncio.subprocess.Process:
    """Let git serve the repository at `path`, when it is its turn. Whoever calls this calls `end` afterwards.

    Args:
        version: What a client has sent as the version of git's protocol.
        stdin: What it asks for.
    """
    git = shutil.which("git")
    if git is None:
        raise HubError(501, "Cloning needs git on the machine of this Hub; downloads by other clients don't")
    # Nothing of the settings of whoever runs the Hub; and a root may belong to another user, as in containers.
    settings = {"safe.directory": "*", "uploadpack.allowFilter": "true", **FRUGAL}
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_COUNT": str(len(settings)),
    }
    for number, (key, value) in enumerate(settings.items()):
        environment |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    if _VERSION.fullmatch(version):
        environment["GIT_PROTOCOL"] = version
    command = [git, "upload-pack", "--stateless-rpc", "--strict", *options, str(path)]
    await _take(turns)
    try:
        return await asyncio.create_subprocess_exec(
            *command,
            env=environment,
            stdin=stdin,
            stdout=asyncio.subprocess.PIPE,
            # A group of its own, as it starts further processes, which have to end with it.
            start_new_session=True,
        )
    except BaseException:
        turns.release()
        raise


async def advertised(turns: Semaphore, path: Path, version: str) -> bytes:
    """What there is to fetch, as an answer to a client."""
    process = await start(turns, path, version, "--http-backend-info-refs")
    try:
        output, _ = await process.communicate()
    finally:
        await end(process, turns)
    if process.returncode != 0:
        raise HubError(500, "git upload-pack failed; see the output of the Hub")
    head = f"# service={SERVICE}\n"
    return f"{len(head) + 4:04x}{head}0000".encode() + output


async def end(process: asyncio.subprocess.Process, turns: Semaphore) -> None:
    """Make sure that a process is no more, and let the next one begin."""
    try:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        # To its end: asyncio takes no process for ended whose output it has stopped to read.
        await cast(asyncio.StreamReader, process.stdout).read()
        await process.wait()
    finally:
        turns.release()


async def _output(process: asyncio.subprocess.Process) -> AsyncIterator[bytes]:
    output = cast(asyncio.StreamReader, process.stdout)
    async with asyncio.timeout(SERVICE_SECONDS):
        while portion := await output.read(PORTION_BYTES):
            yield portion
        await process.wait()


async def _take(turns: Semaphore) -> None:
    """Wait for a turn. Raises HubError, 503, if none comes."""
    busy = HubError(503, "Too many clones at once: try again in a minute", headers={"Retry-After": "60"})
    if turns.statistics().tasks_waiting >= WAITING_MAX:
        raise busy
    try:
        async with asyncio.timeout(WAITING_SECONDS):
            await turns.acquire()
    except TimeoutError:
        raise busy from None
