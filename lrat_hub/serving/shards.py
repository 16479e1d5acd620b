"""A shard of an index by HTTP, for the server of the whole, and what that one does to watch its shards.

`lrat_hub.retrieval.sharded` says what is asked and answered. A shard answers nothing that an agent asks: its lists
are of a part of the corpus, which nobody may take for the whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from lrat_hub.errors import LratError
from lrat_hub.retrieval.bm25 import BM25Retriever
from lrat_hub.retrieval.sharded import WATCH_SECONDS, Shard, ShardedRetriever, unpacked
from lrat_hub.serving.answering import assemble, read_question, repeating
from lrat_hub.serving.gate import Tokens
from lrat_hub.serving.limits import Limits
from lrat_hub.serving.messages import ShardAnswer, ShardHealthAnswer, ShardListsAnswer, ShardQuestion
from lrat_hub.serving.metrics import ServiceMetrics
from lrat_hub.serving.openapi import Endpoint

if TYPE_CHECKING:
    from lrat_hub.retrieval import Hit
    from lrat_hub.retrieval.vectors import VectorIndex


def create_shard_app(
    shard: Shard,
    index: BM25Retriever | VectorIndex,
    *,
    hosts: Sequence[str] = ("*",),
    tokens: Tokens | None = None,
    limits: Limits | None = None,
) -> Starlette:
    """The service of a shard as an ASGI application.

    Args:
        shard, index: See `load_shard`.
        hosts, tokens, limits: See `create_app`.
    """
    most, stamp = limits or Limits(), asdict(shard)
    # One search at a time, which uses all cores; always in the same thread, as FAISS keeps a pool for each.
    thread = ThreadPoolExecutor(1, thread_name_prefix="search")

    def answered(question: ShardQuestion) -> Response:
        lists = _searched(index, question, most)
        docids = [[hit.docid for hit in hits] for hits in lists]
        scores = [[hit.score for hit in hits] for hits in lists]
        return JSONResponse({**stamp, "docids": docids, "scores": scores})

    async def about(request: Request) -> Response:
        return JSONResponse(stamp)

    async def search(request: Request) -> Response:
        question = await read_question(request, ShardQuestion, "Shard")
        return await asyncio.get_running_loop().run_in_executor(thread, answered, question)

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ready", "shard": stamp})

    endpoints = [
        Endpoint("/", about, None, ShardAnswer, "Says which part of which index is searched."),
        Endpoint("/shard", search, ShardQuestion, ShardListsAnswer, "Lists documents of this part for queries."),
        Endpoint("/health", health, None, ShardHealthAnswer, "Says that searches are answered.", codes=("400",)),
    ]
    return assemble(
        endpoints, metrics=ServiceMetrics(), hosts=hosts, tokens=tokens, limits=most, close=thread.shutdown
    )


def _searched(index: BM25Retriever | VectorIndex, question: ShardQuestion, limits: Limits) -> list[list[Hit]]:
    limits.check_search(question.queries or (), question.k)
    wanted = "queries" if isinstance(index, BM25Retriever) else "vectors"
    given = [name for name in ("queries", "vectors") if getattr(question, name) is not None]
    if given != [wanted]:
        raise LratError(f"Shard: expected `{wanted}`, found {' and '.join(given) or 'neither queries nor vectors'}.")
    if isinstance(index, BM25Retriever):
        return index.search(question.queries or (), question.k)
    vectors = unpacked(question.vectors or "", index.dimension)
    if len(vectors) > limits.queries:
        raise LratError(f"Shard: expected at most {limits.queries} vectors, found {len(vectors)}.")
    return index.search(vectors, question.k)


@asynccontextmanager
async def watching(retriever: ShardedRetriever) -> AsyncIterator[None]:
    """Asks the shards again and again which they are while inside, so that what is wrong is known before a search."""
    try:
        async with repeating(partial(asyncio.to_thread, retriever.check), WATCH_SECONDS):
            yield
    finally:
        retriever.close()
