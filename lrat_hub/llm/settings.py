"""Which language model is asked, and where its server is. No heavy import, so that options are shown quickly."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from math import inf
from urllib.parse import urlsplit

from lrat_hub.errors import LratError
from lrat_hub.option import option

_STARTED_ALIKE = ("vllm_python", "tensor_parallel", "data_parallel", "devices", "server_timeout")


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """A language model and its server: one that runs already, or vLLM, which is then started and stopped.

    The metadata of a field holds its help, whether it is part of a `recipe`, and its name as an `option` where that
    differs from its own; see `lrat_hub.cli.options`.
    """

    model: str = option(
        "",
        "Language model: a Hub reference, best pinned to a commit; with `base_url`, its name at that server will do.",
        group="essentials",
        recipe=False,
    )
    base_url: list[str] = option(
        factory=list,
        help="URL of a running server of the model, up to and including /v1, or URLs of several that share the "
        "requests; if empty, a vLLM server is started and stopped with the run.",
        group="essentials",
        recipe=False,
        option="url",
    )
    vllm_python: str = option("", "Python interpreter that has vLLM; the current one if empty.", recipe=False)
    vllm_args: str = option("", "Additional options of the vLLM server, as one quoted text.")
    tensor_parallel: int = option(
        0, "Number of GPUs that each copy of the model is split over in vLLM; 0 means 1.", recipe=False
    )
    data_parallel: int = option(0, "Number of copies of the model that vLLM serves; 0 means 1.", recipe=False)
    devices: str = option(
        "", "GPUs that the vLLM server may use, such as 0,1,2,3; all that this process sees if empty.", recipe=False
    )
    server_timeout: float = option(1_800.0, "Seconds to wait for a started vLLM server to answer.", recipe=False)
    server_log: str = option(
        "", "File for the output of the vLLM server; a file beside the journal or the cache if empty.", recipe=False
    )
    request_timeout: float = option(
        600.0,
        "Seconds to wait for each reply of the model, and for a server where none answers any more.",
        recipe=False,
    )
    attempts: int = option(4, "Number of times a request is sent before it counts as failed.", recipe=False)

    def __post_init__(self) -> None:
        # A recipe, and Python, may give one as it is.
        given = [self.base_url] if isinstance(self.base_url, str) else self.base_url
        urls = [url.strip().rstrip("/") for url in given if url.strip()]
        places = [_place(url) for url in urls]
        if repeated := [url for url, place in zip(urls, places, strict=True) if places.count(place) > 1]:
            raise LratError(f"Model server: expected each `base_url` once, found {repeated[-1]} again. Leave it out.")
        object.__setattr__(self, "base_url", urls)
        for name, least in {"attempts": 1, "tensor_parallel": 0, "data_parallel": 0}.items():
            if getattr(self, name) < least:
                raise LratError(f"Model server: expected {name} of {least} or more, found {getattr(self, name)}.")
        for name in ("request_timeout", "server_timeout"):
            if not 0 < getattr(self, name) < inf:
                raise LratError(f"Model server: expected {name} of some seconds, found {getattr(self, name)}.")
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


def _place(url: str) -> tuple[str, str, int, str]:
    """What tells a server from others, however its URL is written.

    Raises:
        LratError: It is no URL of a server. A password is not repeated.
    """
    try:
        parts = urlsplit(url)
        host, port, scheme = parts.hostname, parts.port, parts.scheme
    except ValueError:
        parts, host, port, scheme = None, None, None, ""
    is_plain = url.isprintable() and not any(mark in url for mark in "?#@ ")
    if parts is None or not host or scheme not in ("http", "https") or not is_plain:
        raise LratError(
            f"Model server: expected a `base_url` such as http://host:8000/v1, found {url.rpartition('@')[2]!r}"
            f"{' with a password' if '@' in url else ''}. A key is read from OPENAI_API_KEY."
        )
    return scheme, host, port or (443 if scheme == "https" else 80), parts.path
