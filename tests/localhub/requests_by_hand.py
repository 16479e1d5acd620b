"""Requests as they are written, for what the clients would not send, or would send again."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx2

Operation = tuple[str, dict[str, Any]]


def connect(endpoint: str, token: str | None = None, **options: Any) -> httpx2.Client:
    """Whoever has a token, or nobody, as a client that waits for a busy machine."""
    import httpx2

    client = httpx2.Client(base_url=endpoint, timeout=60, **options)
    if token is not None:
        client.headers["Authorization"] = f"Bearer {token}"
    return client


def commit(http: httpx2.Client, repo: str, *operations: Operation, **header: str) -> httpx2.Response:
    lines = [("header", {"summary": "a commit", **header}), *operations]
    body = b"".join(json.dumps({"key": key, "value": value}).encode() + b"\n" for key, value in lines)
    return http.post(f"/api/models/{repo}/commit/main", content=body)


def put(path: str, content: bytes = b"content") -> Operation:
    return "file", {"path": path, "content": base64.b64encode(content).decode(), "encoding": "base64"}
