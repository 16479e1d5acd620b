"""Which language model is asked, and where its server is. No heavy import, so that options are shown quickly."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field, replace

from lrat_hub.errors import LratError

_STARTED_ALIKE = ("vllm_python", "tensor_parallel", "data_parallel", "server_timeout")


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """A language model and its server: one that runs already, or vLLM, which is then started and stopped.

    The metadata of a field holds its help, whether it is part of a `recipe`, and its name behind a prefix
    (`prefixed`) where that differs from its own; see `lrat_hub.cli.options`.
    """

    model: str = field(
        default="",
        metadata={
            "help": "Model to ask: a Hub reference, best at a commit; with `base_url` also just its name there.",
            "recipe": False,
        },
    )
    base_url: str = field(
        default="",
        metadata={
            "help": "URL of a running server of the model, up to and including /v1; if empty, vLLM is started for "
            "the time of the run.",
            "recipe": False,
            "prefixed": "url",
        },
    )
    vllm_python: str = field(
        default="",
        metadata={"help": "Python interpreter that vLLM is installed for; this one if empty.", "recipe": False},
    )
    vllm_args: str = field(default="", metadata={"help": "Further options of vLLM's server, as one text."})
    tensor_parallel: int = field(
        default=0, metadata={"help": "GPUs that share the model's layers in vLLM; 0 for one.", "recipe": False}
    )
    data_parallel: int = field(
        default=0, metadata={"help": "Copies of the model that vLLM serves; 0 for one.", "recipe": False}
    )
    server_timeout: float = field(
        default=1_800.0, metadata={"help": "Seconds within which vLLM has to answer once started.", "recipe": False}
    )
    server_log: str = field(
        default="",
        metadata={"help": "File for vLLM's output; beside the journal or the cache if empty.", "recipe": False},
    )
    request_timeout: float = field(
        default=600.0, metadata={"help": "Seconds to wait for each reply.", "recipe": False}
    )
    attempts: int = field(
        default=4, metadata={"help": "Number of times a request is sent before it has failed.", "recipe": False}
    )

    def __post_init__(self) -> None:
        for name, least in {"attempts": 1, "tensor_parallel": 0, "data_parallel": 0}.items():
            if getattr(self, name) < least:
                raise LratError(f"Model server: expected {name} of {least} or more, found {getattr(self, name)}.")
        self.vllm_options()

    def vllm_options(self) -> list[str]:
        """`vllm_args`, split as a shell would. Raises LratError when a quotation mark is missing."""
        try:
            return shlex.split(self.vllm_args)
        except ValueError as error:
            raise LratError(f"Options of vLLM's server: {error} in {self.vllm_args!r}.") from error

    def started_like(self, other: ServerSettings) -> ServerSettings:
        """These settings, with vLLM started as `other` says (interpreter, GPUs, time-out) where they leave it open."""
        default = ServerSettings()
        missing = [name for name in _STARTED_ALIKE if getattr(self, name) == getattr(default, name)]
        return replace(self, **{name: getattr(other, name) for name in missing})
