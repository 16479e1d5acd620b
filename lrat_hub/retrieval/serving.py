"""A retriever on another machine, by HTTP: the client and the server of one protocol.

    GET  /        -> {"name": str, "revision": str or null, "corpus": str or null, "query_style": str}
    POST /search  {"queries": [str, ...], "k": int} -> {"results": [[{"docid": str, "score": float}, ...], ...]}

`results` has a list for each query, best first. `corpus` is the pin of the corpus that is searched. What goes wrong
is a status of 400 or more with {"error": str}.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tenacity import Retrying

from lrat_hub.errors import LratError
from lrat_hub.hub.inputs import Source
from lrat_hub.hub.retries import backoff
from lrat_hub.queries import STYLES, QueryStyle
from lrat_hub.retrieval import Hit, Retriever, style_read_by

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse

TEMPORARY = frozenset({429, 502, 503, 504})
"""Statuses that may be gone at the next attempt: too many requests, and servers that are down or overloaded."""


BODY_MAX_BYTES = 16 * 1024 * 1024
"""What a server reads of one request: far more than the queries of a batch have."""


def is_url(text: str) -> bool:
    """Whether an option names a remote retriever, rather than a repository or a path."""
    return text.startswith(("http://", "https://"))


class RemoteRetriever:
    """Searches by HTTP, in batches, each tried again when the connection fails.

    Searching changes nothing at the server, so that asking twice does no harm.

    Args:
        url: Where the server is, such as `http://127.0.0.1:8971`.
        corpus: The corpus whose documents will be looked up: a server of another is refused.
        batch_size: Most queries a request.
        timeout: Seconds without a byte after which an attempt has failed.
        attempts: How often a request is tried.
        pause: Seconds before the second attempt; they double each time.

    Raises:
        LratError: There is no such server, or it searches another corpus.
    """

    def __init__(
        self,
        url: str,
        *,
        corpus: Source | None = None,
        batch_size: int = 128,
        timeout: float = 60.0,
        attempts: int = 4,
        pause: float = 0.5,
    ) -> None:
        try:
            host = urllib.parse.urlsplit(url).hostname
        except ValueError:
            host = None
        if not host:
            raise LratError(f"{url}: expected the URL of a served retriever, as http://HOST:PORT.")
        self.url = url.rstrip("/")
        self._batch_size, self._timeout, self._attempts, self._pause = batch_size, timeout, attempts, pause
        about = self._ask("/")
        try:
            self.name: str = about["name"]
            self.revision: str | None = about["revision"]
            self.corpus: str | None = about["corpus"]
            self.query_style: QueryStyle = about.get("query_style", "plain")
        except (KeyError, TypeError) as error:
            raise self._misunderstood(about) from error
        if self.query_style not in STYLES:
            raise self._misunderstood(about)
        if corpus is not None:
            self._check(corpus)

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """See `Retriever.search`. Ties are decided by the server.

        Raises:
            LratError: The server can't be reached, refuses, or answers something else.
        """
        results = []
        for start in range(0, len(queries), self._batch_size):
            batch = list(queries[start : start + self._batch_size])
            answer = self._ask("/search", {"queries": batch, "k": k})
            try:
                results += [
                    [Hit(str(hit["docid"]), float(hit["score"]), rank) for rank, hit in enumerate(hits, start=1)]
                    for _, hits in zip(batch, answer["results"], strict=True)
                ]
            except (KeyError, TypeError, ValueError) as error:
                raise self._misunderstood(answer) from error
        return results

    def _check(self, corpus: Source) -> None:
        from lrat_hub.retrieval.indexes import CORPUS_CONFIG, same_source

        if self.corpus is None or not same_source(self.corpus, corpus, config=CORPUS_CONFIG):
            raise LratError(
                f"{self.url}: expected a retriever of {corpus}, found {self.corpus or 'none named'}. "
                "Serve an index of that corpus: lrat serve"
            )

    def _ask(self, path: str, question: Any = None) -> Any:
        request = urllib.request.Request(
            self.url + path,
            data=None if question is None else json.dumps(question).encode(),
            headers={"Content-Type": "application/json"},
        )
        retrying = Retrying(**backoff(_may_pass, attempts=self._attempts, pause=self._pause))
        try:
            return json.loads(retrying(self._send, request))
        except json.JSONDecodeError as error:
            raise LratError(f"{self.url}: expected JSON of a retriever, found something else. {error}") from error
        except (OSError, http.client.HTTPException) as error:
            status = error.code if isinstance(error, urllib.error.HTTPError) else None
            if isinstance(error, urllib.error.HTTPError) and not _may_pass(error):
                raise LratError(f"{self.url}: refused with status {status}. {_reason(error)}") from error
            reason = f"status {status}" if status else str(error) or type(error).__name__
            raise LratError(
                f"{self.url}: expected a retriever to answer within {self._timeout:g} s, found none in "
                f"{self._attempts} attempts ({reason}). Is lrat serve running there?"
            ) from error

    def _send(self, request: urllib.request.Request) -> bytes:
        with urllib.request.urlopen(request, timeout=self._timeout) as response:
            return response.read()

    def _misunderstood(self, answer: Any) -> LratError:
        return LratError(
            f"{self.url}: expected the answer of a retriever, found {json.dumps(answer)[:100]}. "
            "See lrat_hub.retrieval.serving for the protocol."
        )


def _may_pass(error: BaseException) -> bool:
    """Whether a request may succeed at the next attempt: it was refused, reset, timed out, or cut in the middle."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code in TEMPORARY
    return isinstance(error, (OSError, http.client.HTTPException))


def _reason(error: urllib.error.HTTPError) -> str:
    """What the server says is wrong."""
    try:
        return str(json.loads(error.read())["error"])
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return str(error.reason)


def create_app(retriever: Retriever, *, corpus: str | None = None, hosts: Sequence[str] = ("*",)) -> Starlette:
    """The service as an ASGI application.

    Args:
        corpus: Pin of the corpus that the retriever searches, for clients that check it.
        hosts: Names by which clients may call the server; `*` for any.
    """
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    # One batch at a time: models and indexes use all cores for one anyway, and need not be safe for more.
    searching = asyncio.Lock()

    async def about(request: Request) -> JSONResponse:
        named = {"name": retriever.name, "revision": retriever.revision, "query_style": style_read_by(retriever)}
        return JSONResponse({**named, "corpus": corpus})

    async def search(request: Request) -> JSONResponse:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > BODY_MAX_BYTES:
                error = f"Search: expected a body of at most {BODY_MAX_BYTES} bytes, found more. Send fewer queries."
                return JSONResponse({"error": error}, status_code=413, headers={"Connection": "close"})
        try:
            queries, k = await run_in_threadpool(_read_search, bytes(body))
        except LratError as error:
            return JSONResponse({"error": str(error)}, status_code=422)
        async with searching:
            results = await run_in_threadpool(retriever.search, queries, k)
        return JSONResponse(
            {"results": [[{"docid": hit.docid, "score": hit.score} for hit in hits] for hits in results]}
        )

    return Starlette(
        routes=[Route("/", about), Route("/search", search, methods=["POST"])],
        # A page from elsewhere, whose name its owner lets point to this machine, must not read the corpus.
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False)],
    )


def _read_search(body: bytes) -> tuple[list[str], int]:
    try:
        question: Any = json.loads(body)
        queries, k = question["queries"], question["k"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise LratError('Search: expected {"queries": [...], "k": ...}, found something else.') from error
    if not isinstance(queries, list) or not all(isinstance(query, str) for query in queries):
        raise LratError("Search: expected queries as a list of strings, found something else.")
    if not isinstance(k, int) or isinstance(k, bool) or k < 1:
        raise LratError(f"Search: expected k of 1 or more, found {k!r}.")
    return queries, k
