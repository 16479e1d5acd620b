"""Commits as requests, for what the clients would not send, or would send again."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx2

Operation = tuple[str, dict[str, Any]]


def commit(http: httpx2.Client, repo: str, *operations: Operation, **header: str) -> httpx2.Response:
    lines = [("header", {"summary": "a commit", **header}), *operations]
    body = b"".join(json.dumps({"key": key, "value": value}).encode() + b"\n" for key, value in lines)
    return http.post(f"/api/models/{repo}/commit/main", content=body)


def put(path: str, content: bytes = b"content") -> Operation:
    return "file", {"path": path, "content": base64.b64encode(content).decode(), "encoding": "base64"}
