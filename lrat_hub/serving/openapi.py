"""The routes of the HTTP service, and the OpenAPI document that is made of them: neither can be without the other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from lrat_hub.serving.messages import ErrorAnswer

_REFUSALS = {
    "400": "The Host header names another server.",
    "401": "The token is missing or wrong.",
    "413": "The body is too long.",
    "422": "The request is something else than was expected, or asks for more than it may.",
    "429": "Too many requests a second; Retry-After says when to ask again.",
    "500": "The retriever failed.",
    "503": "Too many queries wait, or a shard does not answer; Retry-After says when to ask again.",
}
_SCHEMAS = "#/components/schemas/"


@dataclass(frozen=True)
class Endpoint:
    """A route with what it takes and gives.

    Args:
        question: The model of its body; None for a GET.
        answer: The model of its answer, or its media type.
        summary: What it does, as a sentence.
        error: The model of what goes wrong.
        codes: Statuses of what goes wrong.
    """

    path: str
    handle: Callable[[Request], Awaitable[Response]]
    question: type[BaseModel] | None
    answer: type[BaseModel] | str
    summary: str
    error: type[BaseModel] = ErrorAnswer
    codes: Sequence[str] = field(default=tuple(_REFUSALS))

    @property
    def method(self) -> str:
        return "GET" if self.question is None else "POST"

    @property
    def route(self) -> Route:
        return Route(self.path, _Handling(self.handle), methods=[self.method])


class _Handling:
    """A handler as an ASGI application. What it raises is answered once for all, without a wrapper of each route."""

    def __init__(self, handle: Callable[[Request], Awaitable[Response]]) -> None:
        self._handle = handle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._handle(Request(scope, receive, send))
        await response(scope, receive, send)


def openapi_endpoint(endpoints: Sequence[Endpoint]) -> Endpoint:
    """The route that describes these endpoints, and itself."""

    async def describe(request: Request) -> Response:
        return JSONResponse(document)

    own = Endpoint("/openapi.json", describe, None, "application/json", "Gives this document.")
    document = openapi_document([*endpoints, own])
    return own


def openapi_document(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """The OpenAPI 3.1 document of these endpoints."""
    models = {
        model
        for endpoint in endpoints
        for model in (endpoint.question, endpoint.answer, endpoint.error)
        if isinstance(model, type)
    }
    names = sorted(models, key=lambda model: model.__name__)
    _, schemas = models_json_schema([(model, "validation") for model in names], ref_template=f"{_SCHEMAS}{{model}}")
    return {
        "openapi": "3.1.0",
        "info": {"title": "lrat serve", "version": version("lrat-hub")},
        "security": [{}, {"token": []}],
        "paths": {endpoint.path: {endpoint.method.lower(): _operation(endpoint)} for endpoint in endpoints},
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": schemas["$defs"],
        },
    }


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    media = "application/json"
    answer = {media: _schema(endpoint.answer)} if isinstance(endpoint.answer, type) else {endpoint.answer: {}}
    responses = {"200": {"description": "The answer.", "content": answer}}
    for code in endpoint.codes:
        # What lies before every route speaks for itself.
        error = ErrorAnswer if code in ("400", "401", "413", "429") else endpoint.error
        responses[code] = {"description": _REFUSALS[code], "content": {media: _schema(error)}}
    operation: dict[str, Any] = {
        "summary": endpoint.summary,
        "operationId": endpoint.path.strip("/").replace(".json", "") or "about",
        "responses": responses,
    }
    if endpoint.question is not None:
        operation["requestBody"] = {"required": True, "content": {media: _schema(endpoint.question)}}
    return operation


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    return {"schema": {"$ref": f"{_SCHEMAS}{model.__name__}"}}
