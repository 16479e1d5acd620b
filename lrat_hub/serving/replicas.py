"""Several processes that serve the same retriever at one address: a socket that all of them accept from."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import re
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from lrat_hub.errors import LratError

SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable of prometheus_client: replicas keep their numbers in this folder, and each reports all."""

STARTUP_FAILURE = 3
"""Code of a replica that could not start, as uvicorn has it: the others could not, either."""

HUNG_SECONDS = 60
"""Seconds without a sign of life after which a replica is killed and started again."""

LEFT_SECONDS = 60.0
"""Age from which a folder that nobody holds was left by a killed server; a younger one may not be held yet."""

_NUMBERS = re.compile(r"gauge_live\w*_(\d+)\.db")


@contextmanager
def server_folder(prefix: str) -> Iterator[Path]:
    """A temporary folder of a server, which goes with it. Those that killed servers have left are removed.

    Args:
        prefix: What the names of all such folders begin with, and of no others.
    """
    for path in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        try:
            if path.stat().st_uid == os.getuid() and time.time() - path.stat().st_mtime > LEFT_SECONDS:
                with _held(path):
                    shutil.rmtree(path)
        except OSError:
            continue  # its server runs, or another one that has just started removes it
    with tempfile.TemporaryDirectory(prefix=prefix) as name, _held(Path(name)):
        yield Path(name)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Holds a folder for as long as this process lives, in whatever container it is.

    Raises:
        OSError: Another process holds it.
    """
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(opened)


def serve_replicas(make_app: Callable[[], object], listener: socket.socket, replicas: int, keep_alive: int) -> None:
    """Serves until SIGINT or SIGTERM, with each replica started again when it ends.

    A connection that no replica has accepted yet waits for another one. Requests that a replica was answering when it
    was killed are cut, and answered when the client sends them again.

    Args:
        make_app: Makes the application, in each replica; it is pickled.
        listener: The socket.
        replicas: How many.
        keep_alive: Seconds that a connection without a request is kept.

    Raises:
        LratError: One could not start: it ended with `STARTUP_FAILURE`.
    """
    import uvicorn
    from uvicorn.supervisors import Multiprocess

    with server_folder("lrat-serve-") as folder:
        # Before prometheus_client is imported there.
        os.environ[SHARED_FOLDER] = str(folder)
        config = uvicorn.Config(
            make_app,  # pyright: ignore[reportArgumentType]  (a factory)
            factory=True,
            workers=replicas,
            ws="none",
            log_level="warning",
            access_log=False,
            timeout_worker_healthcheck=HUNG_SECONDS,
            timeout_keep_alive=keep_alive,
        )
        supervisor = Multiprocess(config, [listener])
        supervisor.run()
    if any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes):
        raise LratError(f"Replicas: expected {replicas} to start, found one that could not. Its own message says why.")


def join_replicas() -> None:
    """Makes this process one of several: it ends when its parent does, and forgets the gauges of those that ended."""
    from prometheus_client.multiprocess import mark_process_dead

    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
    folder = Path(os.environ[SHARED_FOLDER])
    for match in filter(None, (_NUMBERS.fullmatch(path.name) for path in folder.iterdir())):
        if not psutil.pid_exists(int(match[1])):
            mark_process_dead(int(match[1]))
