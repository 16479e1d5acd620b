"""What a request has to pass before it is read: its host, its token, its rate, its size."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
import math
import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lrat_hub.errors import LratError
from lrat_hub.serving.limits import Limits
from lrat_hub.serving.metrics import ServiceMetrics
from lrat_hub.serving.rates import RateLimiter

OPEN_ROUTES = frozenset({"/health"})
"""Answered without a token, and whatever the rate: those who watch over a server ask these."""

SINGLE_HEADERS = frozenset({b"host", b"authorization", b"mcp-session-id", b"traceparent"})
"""Headers that say who asks. Which of several counts would be up to whoever reads them, a proxy among them."""


class Tokens:
    """Who may ask, by the tokens that they send; only hashes of the tokens are kept.

    Args:
        subjects: Each token's subject; a subject may have several tokens, such as while one replaces the other.
    """

    def __init__(self, subjects: Sequence[tuple[str, str]]) -> None:
        self._subjects = [(subject, _digest(token)) for subject, token in subjects]

    @classmethod
    def read(cls, path: Path) -> Tokens:
        """Tokens from a file whose lines are `subject:token`; empty lines and those that start with # are skipped.

        Raises:
            LratError: It can't be read, a line is something else, or there is no token in it. No token is quoted.
        """
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise LratError(f"Tokens: expected a text file at {path}, found {error}.") from error
        subjects = []
        for number, line in enumerate(lines, start=1):
            if not line.strip() or line.startswith("#"):
                continue
            subject, separator, token = (part.strip() for part in line.partition(":"))
            if not (subject and separator and token) or not token.isascii() or len(token) < 8:
                raise LratError(
                    f"Tokens: expected subject:token in line {number} of {path}, with a token of 8 ASCII characters "
                    "or more; found something else."
                )
            subjects.append((subject, token))
        if not subjects:
            raise LratError(f"Tokens: expected a line subject:token in {path}, found none.")
        return cls(subjects)

    def subject_of(self, token: str) -> str | None:
        """The subject of a token; None for one that nobody has. It takes as long for any token."""
        given, found = _digest(token), None
        for subject, digest in self._subjects:
            if hmac.compare_digest(given, digest):
                found = subject
        return found


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()


class Gate:
    """ASGI middleware that lets requests in, knows their subject, and counts how they were answered.

    The subject is in `request.scope["subject"]`: that of the token, or None where there are no tokens.

    Args:
        app: What is behind it.
        metrics: Counts requests.
        routes: Paths that are counted by their names; all others are one, since clients may think of any number.
        hosts: Names by which clients may call the server; `*` for any. A page from elsewhere, whose name its owner
            lets point to this machine, must not read the corpus.
        tokens: Who may ask; None for anybody.
        limits: Size and rate of requests.
        shared: A folder of several processes that serve together, for which the rate holds; None for one alone.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        metrics: ServiceMetrics,
        routes: Sequence[str] = (),
        hosts: Sequence[str] = ("*",),
        tokens: Tokens | None = None,
        limits: Limits | None = None,
        shared: Path | None = None,
    ) -> None:
        self._app, self._metrics, self._routes = app, metrics, frozenset(routes)
        self._hosts, self._tokens, self._limits = frozenset(hosts), tokens, limits or Limits()
        self._rates = RateLimiter(self._limits.rate, shared)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        route = scope["path"] if scope["path"] in self._routes else "other"
        status, started = 500, time.monotonic()

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if status == 413 and "connection" not in Headers(raw=message.get("headers", [])):
                    # Other protocols than HTTP's own routes refuse a body without ending it.
                    message = {**message, "headers": [*message.get("headers", []), (b"connection", b"close")]}
            await send(message)

        try:
            refusal = self._refusal(scope)
            if refusal is not None:
                await _refuse(refusal, counted)
            else:
                await self._app(scope, self._limited(receive), counted)
        finally:
            self._metrics.answered(route, status, time.monotonic() - started)

    def _refusal(self, scope: Scope) -> HTTPException | None:
        scope["subject"] = None
        headers: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            if name in SINGLE_HEADERS and name in headers:
                return HTTPException(400, f"Headers: expected one `{name.decode()}` at most, found several.")
            headers.setdefault(name, value)
        host = _name(headers.get(b"host", b"").decode("latin-1"))
        if "*" not in self._hosts and host not in self._hosts:
            return HTTPException(400, f"Host: expected {' or '.join(sorted(self._hosts))}, found {host[:80]!r}.")
        length = headers.get(b"content-length", b"0").decode("latin-1")
        if length.isdecimal() and int(length[:20]) > self._limits.body:
            return _too_long(self._limits.body)
        if scope["path"] in OPEN_ROUTES:
            return None
        if self._tokens is not None:
            scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
            if scheme.lower() != "bearer" or not token.strip():
                found = "another scheme" if scheme else "none"
                return _unknown(f"Token: expected the header `Authorization: Bearer TOKEN`, found {found}.")
            scope["subject"] = self._tokens.subject_of(token.strip())
            if scope["subject"] is None:
                return _unknown("Token: expected a token of this server, found another one.")
        caller = scope["subject"] or (scope.get("client") or ("nobody",))[0]
        if wait := self._rates.wait(caller):
            return HTTPException(
                429,
                f"Rate: expected at most {self._limits.rate:g} requests a second of {caller}, found more. "
                "Wait as long as Retry-After says.",
                {"Retry-After": str(math.ceil(wait))},
            )
        return None

    def _limited(self, receive: Receive) -> Receive:
        """The body as it comes, no more than may: its length may not have been said, or not truthfully."""
        size = 0

        async def limited() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self._limits.body:
                raise _too_long(self._limits.body)
            return message

        return limited


@lru_cache(256)
def _name(host: str) -> str:
    """A Host header without its port."""
    name, separator, port = host.rpartition(":")
    bare = name if separator and port.isdecimal() and (name.endswith("]") or ":" not in name) else host
    return bare.removeprefix("[").removesuffix("]").lower()


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine alone."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _too_long(limit: int) -> HTTPException:
    return HTTPException(
        413, f"Body: expected at most {limit} bytes, found more. Send less at once.", {"Connection": "close"}
    )


def _unknown(detail: str) -> HTTPException:
    return HTTPException(401, detail, {"WWW-Authenticate": "Bearer"})


async def _refuse(refusal: HTTPException, send: Send) -> None:
    body = json.dumps({"error": refusal.detail}).encode()
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **(refusal.headers or {})}
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": refusal.status_code, "headers": raw})
    await send({"type": "http.response.body", "body": body})
