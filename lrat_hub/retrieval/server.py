"""A retriever as an HTTP service: the server of the protocol in `lrat_hub.retrieval.remote`."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from lrat_hub.errors import LratError
from lrat_hub.retrieval import Retriever, style_read_by

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse


def create_app(retriever: Retriever, *, corpus: str | None = None) -> Starlette:
    """The service as an ASGI application.

    Args:
        corpus: Pin of the corpus that the retriever searches, for clients that check it.
    """
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    # One batch at a time: models and indexes use all cores for one anyway, and need not be safe for more.
    searching = asyncio.Lock()

    async def about(request: Request) -> JSONResponse:
        named = {"name": retriever.name, "revision": retriever.revision, "query_style": style_read_by(retriever)}
        return JSONResponse({**named, "corpus": corpus})

    async def search(request: Request) -> JSONResponse:
        try:
            queries, k = _read_search(await request.body())
        except LratError as error:
            return JSONResponse({"error": str(error)}, status_code=422)
        async with searching:
            results = await run_in_threadpool(retriever.search, queries, k)
        return JSONResponse(
            {"results": [[{"docid": hit.docid, "score": hit.score} for hit in hits] for hits in results]}
        )

    return Starlette(routes=[Route("/", about), Route("/search", search, methods=["POST"])])


def _read_search(body: bytes) -> tuple[list[str], int]:
    try:
        question: Any = json.loads(body)
        queries, k = question["queries"], question["k"]
    except (ValueError, KeyError, TypeError) as error:
        raise LratError('Search: expected {"queries": [...], "k": ...}, found something else.') from error
    if not isinstance(queries, list) or not all(isinstance(query, str) for query in queries):
        raise LratError("Search: expected queries as a list of strings, found something else.")
    if not isinstance(k, int) or isinstance(k, bool) or k < 1:
        raise LratError(f"Search: expected k of 1 or more, found {k!r}.")
    return queries, k
