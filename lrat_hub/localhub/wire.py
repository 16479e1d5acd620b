"""What HTTP asks for, whatever the endpoint: bodies of requests within limits, answers in pages and in ranges."""

from __future__ import annotations

import asyncio
import functools
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Iterator
from itertools import islice
from typing import Any, BinaryIO
from urllib.parse import parse_qs, urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from lrat_hub.localhub.protocol import KINDS, HubError, not_here, parse_number, text_in

# Parts of a body that take longer to come than this end the request. So does a body for which the server has waited
# this long, and longer than it would take at the least rate.
BODY_SECONDS = 60.0
BODY_BYTES_PER_SECOND = 4096
JsonEndpoint = Callable[[Request, dict[str, Any]], Response]
Endpoint = Callable[[Request], Awaitable[Response]]

BODY_MAX_BYTES = 8 * 1024 * 1024
PORTION_BYTES = 1024 * 1024
_RANGE = re.compile(r"bytes=(?P<first>\d{0,100})-(?P<last>\d{0,100})", re.ASCII)


class DeclaredRoute(Route):
    """A route that says which parameters its query may have, and refuses all others: ignored, they would mislead.

    Args:
        query: Parameters that it understands.
        lacks: Parameters of huggingface.co that it does not.
    """

    def __init__(
        self, path: str, endpoint: Callable[..., Any], query: str = "", lacks: str = "", method: str = "GET"
    ) -> None:
        super().__init__(path, endpoint, methods=[method])
        self.query, self.lacks = frozenset(query.split()), frozenset(lacks.split())

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.methods is None or scope["method"] in self.methods:
            try:
                names = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True, max_num_fields=1000)
            except ValueError as error:
                raise HubError(400, f"Malformed query: {error}") from None
            check_known("parameter", names, self.query, self.lacks)
        await super().handle(scope, receive, send)


def check_known(what: str, names: Iterable[str], known: Collection[str], lacks: Collection[str] = ()) -> None:
    """Refuse a request that asks for more than an endpoint does.

    Raises:
        HubError: 501 for what only huggingface.co does, 400 for what is unknown.
    """
    for name in names:
        if name in lacks:
            raise not_here(f"{what} {name} here")
        if name not in known:
            expected = f"one of {', '.join(sorted(known))}" if known else "none"
            raise HubError(400, f"Unknown {what}: expected {expected}, found {name[:100]!r}")


async def chunks(request: Request) -> AsyncIterator[bytes]:
    """The body of a request as it comes, from clients that go on sending, and not too slowly."""
    stream, loop, received, waited = request.stream(), asyncio.get_running_loop(), 0, 0.0
    while True:
        # Only waiting counts: a client can do nothing about the time that the server takes for what has come.
        start, left = loop.time(), BODY_SECONDS + received / BODY_BYTES_PER_SECOND - waited
        try:
            async with asyncio.timeout(min(BODY_SECONDS, left)):
                chunk = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise HubError(
                408,
                f"The request was given up: expected something of its body every {BODY_SECONDS:g} seconds, and "
                f"{BODY_BYTES_PER_SECOND} bytes a second in all, found {received} bytes so far",
            ) from None
        waited, received = waited + loop.time() - start, received + len(chunk)
        yield chunk


async def read_body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in chunks(request):
        body += chunk
        if len(body) > BODY_MAX_BYTES:
            raise HubError(413, f"Request body too large: expected at most {BODY_MAX_BYTES} bytes")
    return bytes(body)


def parse_json(body: bytes) -> dict[str, Any]:
    """The JSON object in a body; an empty body and null are an empty object."""
    try:
        data = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise HubError(400, f"Malformed JSON: {error}") from None
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise HubError(400, f"Malformed JSON: expected an object, found {type(data).__name__}")
    return data


def takes_json(
    check: Callable[[Request], object] | None = None, *, fields: str = "", lacks: str = ""
) -> Callable[[JsonEndpoint], Endpoint]:
    """Make an endpoint of a function that takes a request and the JSON object in its body, and runs in a thread.

    Args:
        check: Called before the body is read; raises HubError for callers who may not do this.
        fields: Fields of the body that the endpoint understands.
        lacks: Fields that only huggingface.co understands.
    """
    known, missing = frozenset(fields.split()), frozenset(lacks.split())

    def make_endpoint(function: JsonEndpoint) -> Endpoint:
        def answer(request: Request, body: bytes) -> Response:
            data = parse_json(body)
            check_known("field", data, known, missing)
            return function(request, data)

        @functools.wraps(function)
        async def endpoint(request: Request) -> Response:
            if check is not None:
                await run_in_threadpool(check, request)
            return await run_in_threadpool(answer, request, await read_body(request))

        endpoint.fields = known  # type: ignore[attr-defined]
        return endpoint

    return make_endpoint


async def read_form(request: Request) -> dict[str, list[str]]:
    try:
        text = (await read_body(request)).decode()
        return await run_in_threadpool(parse_qs, text, keep_blank_values=True, max_num_fields=10_000)
    except ValueError as error:
        raise HubError(400, f"Malformed form: {error}") from None


def text_field(data: dict[str, Any], key: str, default: str | None = None) -> str:
    """The text under `key`; null counts as missing."""
    try:
        return text_in(data, key, default)
    except ValueError as error:
        raise HubError(400, f"Malformed request: {error}") from None


def kind_field(data: dict[str, Any], key: str) -> str:
    """The kind of repository under `key`, where clients write it in the singular; models by default."""
    name = text_field(data, key, "model")
    if f"{name}s" not in KINDS:
        raise HubError(400, f"Invalid repository type: expected model, dataset or space, found {name[:50]!r}")
    return f"{name}s"


def list_field(data: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """The list of objects under `key`."""
    value = data.get(key)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise HubError(400, f"Malformed request: expected a list of objects as {key}")
    return value


def is_set(value: str | None) -> bool:
    """Whether a parameter of a query or form is switched on; clients write True, true and 1."""
    known = {"1": True, "true": True, "0": False, "false": False, "": False}
    try:
        return known[(value or "").lower()]
    except KeyError:
        raise HubError(400, f"Malformed request: expected true or false, found {value!r}") from None


def truth_field(data: dict[str, Any], key: str) -> bool | None:
    """The truth under `key`; None if it is missing or null."""
    value = data.get(key)
    if value is not None and not isinstance(value, bool):
        raise HubError(400, f"Malformed request: expected true or false as {key}, found {value!r}")
    return value


def number(request: Request, key: str, default: int) -> int:
    """A parameter of the query that counts something."""
    text = request.query_params.get(key, str(default))
    value = parse_number(text)
    if value is None:
        raise HubError(400, f"Malformed request: expected a number as {key}, found {text!r}")
    return value


def endpoint_of(request: Request) -> str:
    """The URL of this Hub as the client knows it."""
    return str(request.base_url).rstrip("/")


def page_of(request: Request, items: Iterable[Any], *, size: int, path: str) -> tuple[list[Any], dict[str, str]]:
    """The items of the page that is asked for, and the `Link` header that leads to the next one.

    Args:
        request: Its query may have a `limit` below `size`, and the `cursor` of an earlier link.
        items: All items.
        size: The most items on a page.
        path: Where the next page is; by commit sha, as a branch may move between two pages.
    """
    start, limit = number(request, "cursor", 0), max(1, min(size, number(request, "limit", size)))
    page = list(islice(items, start, start + limit + 1))
    if len(page) <= limit:
        return page, {}
    asked = [(key, value) for key, value in request.query_params.multi_items() if key != "cursor"]
    query = urlencode([*asked, ("cursor", start + limit)])
    return page[:limit], {"Link": f'<{endpoint_of(request)}{path}?{query}>; rel="next"'}


def content_response(
    request: Request, open_content: Callable[[], BinaryIO], size: int, headers: dict[str, str]
) -> Response:
    """The content of a file, or the range of it that is asked for; streamed if it is large.

    Args:
        request: A GET or HEAD.
        open_content: Opens the content; not called when none is sent.
        size: The number of bytes of the content.
        headers: Those of the answer, with the ETag.

    Raises:
        HubError: 416 if the range is not in the file.
    """
    etag = headers["ETag"]
    if _unchanged(request, etag):
        return Response(status_code=304, headers=headers)
    first, end, status = 0, size, 200
    if request.method == "GET" and request.headers.get("if-range", etag) == etag:
        first, end, status = _asked_range(request, size)
    headers = {**headers, "Accept-Ranges": "bytes", "Content-Length": str(end - first)}
    if status == 206:
        headers["Content-Range"] = f"bytes {first}-{end - 1}/{size}"
    if request.method == "HEAD":
        return Response(headers=headers)
    content = open_content()
    if end - first > PORTION_BYTES:
        return _Content(content, first, end, status, headers)
    return Response(b"".join(_portions(content, first, end)), status, headers)


class _Content(StreamingResponse):
    """Part of a file, which is closed also when the client has gone before its end."""

    def __init__(self, content: BinaryIO, first: int, end: int, status: int, headers: dict[str, str]) -> None:
        super().__init__(_portions(content, first, end), status, headers)
        self._content = content

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._content.close()


def _unchanged(request: Request, etag: str) -> bool:
    known = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    return etag in known or "*" in known


def _asked_range(request: Request, size: int) -> tuple[int, int, int]:
    """First byte, end and status of the answer. Several ranges at once are answered with the whole file."""
    match = _RANGE.fullmatch(request.headers.get("range", ""))
    if match is None or match[0] == "bytes=-":
        return 0, size, 200
    if match["first"]:
        first, end = int(match["first"]), min(int(match["last"] or size) + 1, size)
        if match["last"] and int(match["last"]) < first:
            return 0, size, 200
    else:
        first, end = max(0, size - int(match["last"])), size
    if first >= end:
        raise HubError(
            416, f"Range not satisfiable: the file has {size} bytes", headers={"Content-Range": f"bytes */{size}"}
        )
    return first, end, 206


def _portions(content: BinaryIO, first: int, end: int) -> Iterator[bytes]:
    with content:
        content.seek(first)
        left = end - first
        while left > 0 and (portion := content.read(min(PORTION_BYTES, left))):
            left -= len(portion)
            yield portion
