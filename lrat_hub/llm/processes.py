"""Servers that stages start, each a Python module in a process: started, waited for, and stopped with all they
started."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from lrat_hub.errors import LratError

STOP_SECONDS = 20.0

NO_DEVICES = "cpu"
"""The devices of a server that sees no GPU."""

# Run by the server's interpreter. When the stage is killed the kernel ends the server, which would keep the GPUs
# otherwise.
_LAUNCH = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
    if os.getppid() != int(sys.argv[1]):
        sys.exit("its parent is gone")
os.execv(sys.executable, [sys.executable, "-m", *sys.argv[2:]])
"""


class ServerProcess:
    """A server that runs while inside `with`.

    Args:
        name: What messages call it.
        command: Its interpreter, the module, and the module's options.
        ready_url: Answers once the server is ready.
        log: File that its output is appended to.
        timeout: Seconds to wait until it is ready.
        devices: GPUs that it sees, such as "0,1"; "cpu" for none, and "" for those that this process sees.
        environment: Variables that it has besides those of this process.

    Raises:
        LratError: On entering: the server ended, or did not answer in time.
    """

    def __init__(
        self, name: str, command: Sequence[str], ready_url: str, *, log: Path, timeout: float, devices: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.name, self.command, self.ready_url = name, command, ready_url
        self.log, self.timeout, self.devices = log, timeout, devices
        self.environment = environment or {}

    def __enter__(self) -> ServerProcess:
        self.start()
        try:
            self.wait()
        except BaseException:
            self.stop()
            raise
        return self

    def start(self) -> None:
        """Starts it. The kernel ends it with the thread that has started it."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._output: BinaryIO = self.log.open("ab")
        python, *words = self.command
        self._process = subprocess.Popen(
            [python, "-c", _LAUNCH, str(os.getpid()), *words],
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            env=os.environ | self.environment | visible_devices(self.devices),
            # A group of its own: Ctrl-C is for the stage, which then stops the server.
            start_new_session=True,
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def has_ended(self) -> bool:
        """Whether it has ended by itself."""
        return self._process.poll() is not None

    def wait(self, given_up: Callable[[], bool] = lambda: False) -> None:
        """Waits until it is ready, or nobody waits any longer.

        Raises:
            LratError: It ended before, or was not ready in time.
        """
        deadline = time.monotonic() + self.timeout
        while time.monotonic() < deadline:
            if given_up():
                return
            if self._process.poll() is not None:
                raise LratError(
                    f"{self.name}: it ended with code {self._process.returncode}: {last_line(self.log)} "
                    f"See {self.log}."
                )
            with contextlib.suppress(OSError), urllib.request.urlopen(self.ready_url, timeout=5):
                return
            time.sleep(0.5)
        raise LratError(f"{self.name}: expected an answer within {self.timeout:g} s, found none. See {self.log}.")

    def stop(self) -> None:
        """Ends the server and the processes it has started, kindly at first, and waits until they are gone."""
        for sent in (signal.SIGTERM, signal.SIGKILL):
            self._signal(sent)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)
                break
        # What it has started may outlive it, and holds the GPUs until it is gone.
        deadline = time.monotonic() + STOP_SECONDS
        while self._signal(signal.SIGKILL) and time.monotonic() < deadline:
            time.sleep(0.05)
        self._output.close()

    def _signal(self, number: int) -> bool:
        """Sends a signal to the server and all it has started; whether there is still one of them."""
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return False
        return True


def last_line(log: Path) -> str:
    """The last line of a log that says something about an error, or else its last line."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    telling = [line for line in lines if "Error" in line] or [line for line in lines if line]
    return telling[-1][:300] if telling else "it wrote nothing."


def interpreter_with(*modules: str, given: str, advice: str) -> str:
    """The path of an interpreter that has some modules.

    Args:
        given: The interpreter; this one if empty.
        advice: What to do where a module is missing, for the message.

    Raises:
        LratError: There is no such interpreter, or it lacks a module.
    """
    python = shutil.which(given or sys.executable)
    if python is None:
        raise LratError(f"vLLM: expected an interpreter at {given}, found none. Give another `vllm_python`.")
    find = "import sys; from importlib.util import find_spec; print(*(m for m in sys.argv[1:] if not find_spec(m)))"
    found = subprocess.run([python, "-c", find, *modules], capture_output=True, text=True, check=False)
    if missing := found.stdout.split():
        raise LratError(f"{missing[0]}: expected it to be installed for {python}. {advice}")
    return python


def visible_devices(devices: str) -> dict[str, str]:
    """The environment of a process that is to see these GPUs, as `ServerProcess` takes them."""
    return {"CUDA_VISIBLE_DEVICES": "" if devices == NO_DEVICES else devices} if devices else {}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]
