"""What a server of a language model says of itself."""

from __future__ import annotations

import http.client
import json
import os
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from lrat_hub.errors import LratError
from lrat_hub.llm.chat import NoServerError


@dataclass(frozen=True)
class ServerDescription:
    """What a server says of itself; None for what it does not say.

    Args:
        vllm: Version of vLLM.
        context_tokens: Longest conversation.
        weights: What it has loaded: a repository, or the name of a folder, which may be elsewhere on each machine.
    """

    vllm: str | None = None
    context_tokens: int | None = None
    weights: str | None = None

    def difference(self, other: ServerDescription) -> str:
        """What differs from another server, in words; "" where it serves the same."""
        said = {"weights": "weights {}", "context_tokens": "{} tokens of context", "vllm": "vLLM {}"}
        parts = [
            f"{text.format(mine)} and not {theirs}"
            for name, text in said.items()
            if (mine := getattr(self, name)) != (theirs := getattr(other, name))
        ]
        return ", ".join(parts)


def describe_server(base_url: str, model: str, *, timeout: float = 30.0) -> ServerDescription:
    """What a server says of itself.

    Args:
        timeout: Seconds to wait for each of its answers.

    Raises:
        NoServerError: Nothing answers there.
        LratError: It serves other models, or the key is none that a request can carry.
    """
    root = base_url.removesuffix("/").removesuffix("/v1")
    key = os.environ.get("OPENAI_API_KEY", "")
    if not (key.isascii() and key.isprintable()):
        raise LratError("OPENAI_API_KEY: expected a key of letters, digits and signs, found other characters in it.")
    try:
        listed = _get_json(f"{base_url.rstrip('/')}/models", key, timeout)
    except _NO_ANSWER as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # the answer that it holds, with its connection
        raise NoServerError(
            f"{base_url}: expected a server that lists its models, found {_described(error)}. {_cure(base_url, error)}"
        ) from error
    try:
        version = _get_json(f"{root}/version", key, timeout).get("version")
    except _NO_ANSWER:
        version = None
    entries = listed.get("data")
    served = {
        entry["id"]: entry
        for entry in (entries if isinstance(entries, list) else ())
        if isinstance(entry, dict) and isinstance(entry.get("id"), str)
    }
    if served and model not in served:
        raise LratError(f"{base_url}: expected a server of {model}, found one of {', '.join(served)}.")
    entry = served.get(model, {})
    meta = entry.get("meta")
    # As vLLM says it, or llama.cpp.
    context_tokens = entry.get("max_model_len") or (meta.get("n_ctx") if isinstance(meta, dict) else None)
    weights = entry.get("root")
    if isinstance(weights, str) and (path := PurePath(weights)).is_absolute():
        weights = path.name
    return ServerDescription(
        version if isinstance(version, str) else None,
        context_tokens if isinstance(context_tokens, int) else None,
        weights if isinstance(weights, str) else None,
    )


LONGEST_ANSWER = 2**24
"""Bytes of a list of models; of what never ends, this much is read."""

_NO_ANSWER = (OSError, ValueError, RecursionError, http.client.HTTPException)


def _get_json(url: str, key: str, timeout: float) -> dict[str, Any]:
    """The JSON object at a URL. Raises one of _NO_ANSWER where there is none."""
    until = time.monotonic() + timeout
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"} if key else {})
    body = b""
    with urllib.request.urlopen(request, timeout=timeout) as response:
        # The time-out of a connection is that of each of its parts, however many they are.
        while part := response.read1(2**16):
            body += part
            if time.monotonic() > until or len(body) > LONGEST_ANSWER:
                raise TimeoutError("an answer without an end")
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ValueError(repr(body[:100].decode(errors="replace")))
    return value


def _cure(base_url: str, error: Exception) -> str:
    """What to do; what answers with a status is there, and is not started again."""
    status = error.code if isinstance(error, urllib.error.HTTPError) else None
    if status in (401, 403):
        return "Set its key, OPENAI_API_KEY."
    if status == 404 and not base_url.rstrip("/").endswith("/v1"):
        return f"The URL goes up to and including /v1: is it {base_url.rstrip('/')}/v1?"
    begin = "Start it, or correct" if status is None else "Correct"
    return f"{begin} the URL (up to and including /v1) or its key (OPENAI_API_KEY)."


def _described(error: Exception) -> str:
    """What was found in place of an answer, in a line."""
    if isinstance(error, urllib.error.HTTPError):
        return f"status {error.code}"
    reason = getattr(error, "reason", error)
    return " ".join(str(reason).split())[:200] or type(error).__name__
