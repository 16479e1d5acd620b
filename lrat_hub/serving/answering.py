"""An application of endpoints: its gate, how questions are read, what errors are answered with, what is repeated."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from lrat_hub.errors import LratError, Unavailable
from lrat_hub.serving.batching import SearchFailed
from lrat_hub.serving.gate import Gate, Tokens
from lrat_hub.serving.limits import Limits
from lrat_hub.serving.messages import parse_question
from lrat_hub.serving.metrics import ServiceMetrics
from lrat_hub.serving.openapi import Endpoint, openapi_endpoint

Q = TypeVar("Q", bound=BaseModel)

LONG_BODY = 64 * 1024
"""Bytes from which a body is read in a thread, so that it holds up nobody."""


def assemble(
    endpoints: Sequence[Endpoint],
    *,
    metrics: ServiceMetrics,
    hosts: Sequence[str] = ("*",),
    tokens: Tokens | None = None,
    limits: Limits | None = None,
    shared: Path | None = None,
    routes: Sequence[BaseRoute] = (),
    during: Sequence[Callable[[], AbstractAsyncContextManager[object]]] = (),
    close: Callable[[], object],
) -> Starlette:
    """An ASGI application of endpoints and further routes, behind a gate; see `create_app`.

    Its metrics and its description are endpoints as well.

    Args:
        close: Called when it ends.
    """

    async def expose(request: Request) -> Response:
        return Response(await asyncio.to_thread(metrics.exposition), media_type=metrics.content_type)

    exposed = Endpoint("/metrics", expose, None, metrics.content_type, "Gives the metrics for Prometheus.")
    endpoints = [*endpoints, exposed]
    endpoints.append(openapi_endpoint(endpoints))

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.callback(close)
            for context in during:
                await stack.enter_async_context(context())
            yield

    return Starlette(
        lifespan=lifespan,
        routes=[*(endpoint.route for endpoint in endpoints), *routes],
        middleware=[
            Middleware(
                Gate,
                metrics=metrics,
                routes=[endpoint.path for endpoint in endpoints],
                hosts=hosts,
                tokens=tokens,
                limits=limits,
                shared=shared,
            )
        ],
        exception_handlers={
            HTTPException: _http_error,
            LratError: _error,
            ClientDisconnect: _gone,
            Exception: _defect,
        },
    )


@asynccontextmanager
async def repeating(act: Callable[[], Awaitable[object]], seconds: float) -> AsyncIterator[None]:
    """Acts again and again while inside, after a pause each time."""

    async def repeat() -> None:
        while True:
            await asyncio.sleep(seconds)
            await act()

    task = asyncio.create_task(repeat())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def read_question(request: Request, kind: type[Q], what: str) -> Q:
    """A request's body as its model; see `parse_question`."""
    body = await request.body()
    if len(body) < LONG_BODY:
        return parse_question(kind, body, what)
    return await asyncio.to_thread(parse_question, kind, body, what)


def status_of(error: LratError) -> tuple[int, dict[str, str]]:
    """Status and headers of the answer that an error is."""
    if isinstance(error, Unavailable):
        return 503, {"Retry-After": str(error.retry_after)}
    return (500 if isinstance(error, SearchFailed) else 422), {}


async def _error(request: Request, error: Exception) -> Response:
    assert isinstance(error, LratError)
    status, headers = status_of(error)
    return JSONResponse({"error": str(error)}, status, headers)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    detail = error.detail
    if error.status_code == 404:
        detail = f"Path: expected one of those in /openapi.json, found {request.url.path[:80]!r}."
    elif error.status_code == 405:
        detail = f"Method: expected {(error.headers or {}).get('Allow', 'another')}, found {request.method[:20]}."
    return JSONResponse({"error": detail}, error.status_code, error.headers)


async def _gone(request: Request, error: Exception) -> Response:
    # Whoever went away before the body was sent is no defect of the server, and reads no answer.
    return Response(status_code=400)


async def _defect(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": f"Server: it failed; {type(error).__name__}."}, 500)
