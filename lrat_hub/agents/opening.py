"""The language model that a stage's options name, as an agent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lrat_hub.agents.language import LanguageAgent
from lrat_hub.agents.settings import AgentSettings
from lrat_hub.llm.chat import ChatClient
from lrat_hub.llm.serving import NamedModel, ServedModel, Serving, open_model

ONLY_SERVERS_KNOW = ("agent.settings.context_tokens", "agent.settings.vllm")
"""Settings of runs that an agent without a server lacks."""


@contextmanager
def open_agent(model: NamedModel, settings: AgentSettings, *, log: Path) -> Iterator[LanguageAgent]:
    """The agent, whose server runs while inside `with`.

    Args:
        model: From `lrat_hub.llm.serving.pin_model`.
        log: The server's output, when the settings name no file.

    Raises:
        LratError: The server can't be started or reached, or the settings don't fit together.
    """
    serving = Serving(
        log=settings.server_log or log,
        base_url=settings.base_url,
        python=settings.vllm_python,
        tensor_parallel=settings.tensor_parallel,
        data_parallel=settings.data_parallel,
        arguments=settings.server_arguments(),
        timeout=settings.server_timeout,
        request_timeout=settings.request_timeout,
        attempts=settings.attempts,
        extra=settings.extra_fields(),
    )
    with open_model(model, serving) as served:
        yield _agent(served, settings)


def absent_agent(model: NamedModel, settings: AgentSettings) -> LanguageAgent:
    """The agent without a server, for its records: see `ONLY_SERVERS_KNOW`."""
    client = ChatClient(
        "", model.name, revision=getattr(model.source, "revision", None), extra=settings.extra_fields()
    )
    return _agent(ServedModel(client, None, None), settings)


def _agent(served: ServedModel, settings: AgentSettings) -> LanguageAgent:
    return LanguageAgent(
        served.client,
        settings.protocol,
        settings.prompt,
        sampling=settings.sampling,
        max_tokens=settings.max_tokens,
        context_tokens=settings.context_tokens or served.context_tokens or 0,
        max_repeats=settings.max_repeats,
        extra_settings={"vllm": served.vllm, "vllm_args": settings.server_arguments()},
    )
