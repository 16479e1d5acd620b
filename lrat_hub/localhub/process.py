"""Running the Hub: in the foreground (`serve`), or as a process of its own (`LocalHub`)."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, cast

from lrat_hub.errors import LratError
from lrat_hub.localhub.root import existing_root, note_port, owned, prepare_root, read_token

DEFAULT_PORT = 8970
START_SECONDS = 60
STOP_SECONDS = 10
# By these names a Hub that is for this machine only may be called.
LOOPBACK = ("127.0.0.1", "localhost")
# Requests under way when the server is told to stop get this long to finish.
GRACE_SECONDS = 5
# Connections without a request are kept for at least this long. Clients must be the first to give one up: a request
# that is sent while the server closes is lost, and uvicorn's own limit is that of httpx, 5 s.
KEEP_ALIVE_SECONDS = 75
# The search for damage while a Hub is served: slow enough for nobody to notice.
SCRUB_FIRST_SECONDS = 600
SCRUB_EVERY_SECONDS = 24 * 3600
SCRUB_BYTES_PER_SECOND = 16 * 1024 * 1024
FILES_MAX = 8192
BACKLOG = 512


def hub_env(root: str | Path, port: int) -> dict[str, str]:
    """The environment that points Hugging Face clients at the Hub of `root` on `port` of this machine.

    Xet is off because clients that have `hf_xet` installed would otherwise upload to a Xet server, without
    falling back to what this Hub speaks. This machine is added to the hosts that are not asked by way of a proxy.

    Raises:
        LratError: There is no Hub in that folder.
    """
    hosts = without_proxy()
    return {
        "HF_ENDPOINT": f"http://127.0.0.1:{port}",
        "HF_TOKEN": read_token(existing_root(Path(root))),
        "HF_HUB_DISABLE_XET": "1",
        # Both, as programs differ in which of them they read first.
        "NO_PROXY": hosts,
        "no_proxy": hosts,
    }


def without_proxy() -> str:
    """What `NO_PROXY` is in this environment, with the names of this machine added."""
    hosts = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    names = [name for name in (part.strip() for part in hosts.split(",")) if name]
    return ",".join(dict.fromkeys([*names, *LOOPBACK]))


def serve(
    root: str | Path,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    *,
    user: str = "lrat",
    on_ready: Callable[[int], None] | None = None,
) -> None:
    """Serve the Hub in `root` until the process receives SIGINT or SIGTERM. Only for the main thread.

    Args:
        root: The folder that holds the Hub; made if missing.
        host: The address to listen on.
        port: The port to listen on; 0 takes a free one.
        user: The name of the Hub's owner, which is who the token stands for.
        on_ready: Called with the port once connections are accepted.

    Raises:
        LratError: the root is no folder or held by another server, or the port is taken.
    """
    # A SystemExit instead of sudden death: locks and sockets are closed on every way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    root = prepare_root(Path(root))
    with owned(root), listen(host, port, name="lrat hub serve") as listener:
        import uvicorn

        from lrat_hub.localhub.app import create_app
        from lrat_hub.localhub.connections import Connection
        from lrat_hub.localhub.maintenance import Scrub
        from lrat_hub.localhub.store import open_stores

        files = _most_files()
        Connection.connections_max = files // 2
        config = uvicorn.Config(
            create_app(root, user=user, hosts=LOOPBACK if host in LOOPBACK else ("*",)),
            http=Connection,
            lifespan="off",
            ws="none",
            access_log=False,
            log_level="warning",
            server_header=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            # As many connections are accepted before the first of them is looked at.
            backlog=min(BACKLOG, files // 8),
        )
        note_port(root, listener.getsockname()[1])
        if on_ready is not None:
            on_ready(listener.getsockname()[1])
        Scrub(*open_stores(root), rate=SCRUB_BYTES_PER_SECOND).run(
            first=SCRUB_FIRST_SECONDS, every=SCRUB_EVERY_SECONDS
        )
        try:
            uvicorn.Server(config).run(sockets=[listener])
        except KeyboardInterrupt:
            # uvicorn has shut down in good order, and then passed on the signal that made it do so.
            return


def _most_files() -> int:
    """How many files this process may have open: as many as the system lets it have, up to a number."""
    most, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_MAX if hard == resource.RLIM_INFINITY else min(hard, FILES_MAX)
    if most == resource.RLIM_INFINITY or most >= wanted:
        return wanted
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def listen(host: str, port: int, *, name: str) -> socket.socket:
    """A socket that listens: every server of this project has one of these, and tells in the same words why not.

    Args:
        host: A name or an address, also one of IPv6.
        port: 0 takes a free one.
        name: The command that asks, for the message.

    Raises:
        LratError: The port is taken, or there is no such port or address.
    """
    # Python's own refusal leaves the socket open.
    if not 0 <= port <= 65_535:
        raise LratError(f"{name}: expected a port from 0 to 65535, found {port}.")
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason = error.strerror or str(error)
        raise LratError(f"{name}: expected {host}:{port} to be free, found: {reason}. Take another port.") from error
    # Connections inherit it. Asyncio would set it for sockets of its own; without it, a small download takes 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


class LocalHub:
    """A Hub in a process of its own, for as long as the context lasts or until this process ends.

    Args:
        root: The folder that holds the Hub; made if missing, kept afterwards.
        port: The port to listen on; 0 takes a free one.
        user: The name of the Hub's owner, which is who the token stands for.

    Attributes:
        endpoint: The URL of the Hub.
        token: The owner's token.
        env: `HF_ENDPOINT`, `HF_TOKEN`, `HF_HUB_DISABLE_XET` and `NO_PROXY`, for `os.environ` or a child process.
        pid: The process id of the server.

    Raises:
        LratError: on start, if the root is no folder or held by another server, or the port is taken.
    """

    endpoint: str
    token: str
    env: dict[str, str]
    pid: int

    def __init__(self, root: str | Path, port: int = 0, user: str = "lrat") -> None:
        self.root = Path(root)
        self._port = port
        self._user = user
        self._process: subprocess.Popen[str] | None = None

    def __repr__(self) -> str:
        return f"LocalHub({str(self.root)!r}, {self.endpoint if self._process else 'not running'})"

    def start(self) -> LocalHub:
        """Start the server and wait until it accepts connections."""
        settings = {"root": str(self.root), "port": self._port, "user": self._user, "parent": os.getpid()}
        process = subprocess.Popen(
            [sys.executable, "-m", "lrat_hub.localhub", json.dumps(settings)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            # A Ctrl-C meant for this process, or for a notebook cell, must not stop the Hub under it.
            start_new_session=True,
        )
        self._process = process
        with cast(IO[str], process.stdout) as output:
            line = output.readline() if select.select([output], [], [], START_SECONDS)[0] else ""
        silent = f"cannot open the Hub at {self.root}: its server did not start; see its output above"
        message: dict[str, Any] = json.loads(line or "{}")
        if "port" not in message:
            self.stop()
            raise LratError(message.get("error", silent))
        self.env = hub_env(self.root, message["port"])
        self.endpoint, self.token, self.pid = self.env["HF_ENDPOINT"], self.env["HF_TOKEN"], process.pid
        return self

    def stop(self) -> None:
        """Stop the server; requests under way may finish."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def __enter__(self) -> LocalHub:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
