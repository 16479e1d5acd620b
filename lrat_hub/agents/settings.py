"""Settings of agents that are language models; no heavy import, so that options can be read and shown quickly."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal

from lrat_hub.errors import LratError
from lrat_hub.llm.serving import split_arguments
from lrat_hub.schema import Sampling


@dataclass
class AgentSettings:
    """Which model an agent is, how it is asked, and what serves it. The defaults are the paper's (section 6.1.4)."""

    model: str = field(
        default="",
        metadata={
            "help": "The agent's model: a Hub reference; with --base-url also just its name at that server.",
            "recipe": False,
        },
    )
    protocol: Literal["tongyi", "webexplorer", "agentcpm", "tools", "json"] = field(
        default="tools", metadata={"help": "How the model calls tools; see docs/rollouts.md."}
    )
    prompt: str = field(
        default="", metadata={"help": "What it is told: a name or a YAML file; the protocol's own if empty."}
    )
    temperature: float | None = field(default=0.85, metadata={"help": "Paper: 0.85."})
    top_p: float | None = field(default=0.95, metadata={"help": "Paper: 0.95."})
    presence_penalty: float | None = field(default=1.1, metadata={"help": "Paper: 1.1."})
    seed: int | None = field(
        default=2025, metadata={"help": "Sent with each request (paper: 2025); sample number n gets seed + n."}
    )
    max_tokens: int = field(default=8_192, metadata={"help": "Tokens of a reply, thinking included."})
    context_tokens: int = field(
        default=0,
        metadata={"help": "Tokens of a conversation; an answer is asked for before. 0: what the server says."},
    )
    max_repeats: int = field(
        default=5,
        metadata={"help": "The same call so often, or so many unreadable ones in a row, and the run is stopped."},
    )
    extra: str = field(default="", metadata={"help": 'Further fields of each request, as JSON: {"top_k": 20}.'})
    request_timeout: float = field(default=600.0, metadata={"help": "Seconds to wait for a reply.", "recipe": False})
    attempts: int = field(
        default=4, metadata={"help": "How often a request is sent before it has failed.", "recipe": False}
    )
    base_url: str = field(
        default="",
        metadata={
            "help": "A running server, up to and with /v1; without it vLLM is started and stopped.",
            "recipe": False,
        },
    )
    vllm_python: str = field(
        default="", metadata={"help": "The Python that vLLM is installed for; this one if empty.", "recipe": False}
    )
    vllm_args: str = field(
        default="", metadata={"help": "Further options of vLLM's server, as one text: --vllm-args='--dtype float32'."}
    )
    tensor_parallel: int = field(default=1, metadata={"help": "GPUs that share the model's layers.", "recipe": False})
    data_parallel: int = field(default=1, metadata={"help": "Copies of the model.", "recipe": False})
    server_timeout: float = field(
        default=1_800.0, metadata={"help": "Seconds until the server has to be up.", "recipe": False}
    )
    server_log: str = field(
        default="",
        metadata={"help": "File of the server's output; in the journal's folder if empty.", "recipe": False},
    )

    def __post_init__(self) -> None:
        for name in ("max_tokens", "attempts", "tensor_parallel", "data_parallel"):
            if getattr(self, name) < 1:
                raise LratError(f"Agent: expected {name} of 1 or more, found {getattr(self, name)}.")
        self.extra_fields()
        self.server_arguments()

    @property
    def sampling(self) -> Sampling:
        return Sampling(self.temperature, self.top_p, self.presence_penalty, self.seed)

    def server_arguments(self) -> list[str]:
        """`vllm_args`, taken apart as a shell would. Raises LratError when a quotation mark is missing."""
        return split_arguments(self.vllm_args)

    def extra_fields(self) -> dict[str, Any]:
        """`extra`, read. Raises LratError when it is no JSON object."""
        try:
            value = json.loads(self.extra or "{}")
        except ValueError as error:
            raise LratError(f"Agent: expected extra to be a JSON object; {error}.") from error
        if not isinstance(value, dict):
            raise LratError(f"Agent: expected extra to be a JSON object, found {self.extra!r}.")
        return value
