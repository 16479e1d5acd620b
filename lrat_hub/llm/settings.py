"""Which language model is asked, and where its server is. No heavy import, so that options are shown quickly."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field, replace

from lrat_hub.errors import LratError

_STARTED_ALIKE = ("vllm_python", "tensor_parallel", "data_parallel", "server_timeout")


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """A language model and its server: one that runs already, or vLLM, which is then started and stopped.

    The metadata of a field holds its help, whether it is part of a `recipe`, and its name as an `option` where that
    differs from its own; see `lrat_hub.cli.options`.
    """

    model: str = field(
        default="",
        metadata={
            "group": "essentials",
            "help": "Language model: a Hub reference, best pinned to a commit; with `base_url`, its name at that "
            "server will do.",
            "recipe": False,
        },
    )
    base_url: str = field(
        default="",
        metadata={
            "group": "essentials",
            "help": "URL of a running server of the model, up to and including /v1; if empty, a vLLM server is "
            "started and stopped with the run.",
            "recipe": False,
            "option": "url",
        },
    )
    vllm_python: str = field(
        default="",
        metadata={"help": "Python interpreter that has vLLM; the current one if empty.", "recipe": False},
    )
    vllm_args: str = field(default="", metadata={"help": "Additional options of the vLLM server, as one quoted text."})
    tensor_parallel: int = field(
        default=0,
        metadata={
            "help": "Number of GPUs that each copy of the model is split over in vLLM; 0 means 1.",
            "recipe": False,
        },
    )
    data_parallel: int = field(
        default=0, metadata={"help": "Number of copies of the model that vLLM serves; 0 means 1.", "recipe": False}
    )
    server_timeout: float = field(
        default=1_800.0, metadata={"help": "Seconds to wait for a started vLLM server to answer.", "recipe": False}
    )
    server_log: str = field(
        default="",
        metadata={
            "help": "File for the output of the vLLM server; a file beside the journal or the cache if empty.",
            "recipe": False,
        },
    )
    request_timeout: float = field(
        default=600.0, metadata={"help": "Seconds to wait for each reply of the model.", "recipe": False}
    )
    attempts: int = field(
        default=4, metadata={"help": "Number of times a request is sent before it counts as failed.", "recipe": False}
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
