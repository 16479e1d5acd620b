"""A retriever on another machine, by HTTP: the client of `lrat serve`, and of any server that speaks as it does.

    GET  /        -> {"name": str, "revision": str or null, "corpus": str or null, "query_style": str}
    POST /search  {"queries": [str, ...], "k": int} -> {"results": [[{"docid": str, "score": float}, ...], ...]}

`results` has a list for each query, best first. `corpus` is the pin of the corpus that is searched. What goes wrong
is a status of 400 or more with {"error": str}.
"""

from __future__ import annotations

import json
import os
import re
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tenacity import Retrying

from lrat_hub.errors import LratError, Unavailable
from lrat_hub.hub.inputs import Source
from lrat_hub.hub.retries import backoff
from lrat_hub.queries import STYLES, QueryStyle
from lrat_hub.retrieval import Hit

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

TEMPORARY = frozenset({429, 502, 503, 504})
"""Statuses that may be gone at the next attempt: too many requests, and servers that are down or overloaded."""

TOKEN_VARIABLE = "LRAT_SERVE_TOKEN"

KEPT_SECONDS = 3.0
"""How long a connection is kept for the next request: uvicorn closes one after five seconds unless told otherwise, and
what is sent to it at that moment is lost."""

CONNECTIONS = 64
"""Most connections that are kept at a time."""

BODY = 8 * 1024 * 1024
"""Bytes of queries in a request at most, unless one alone has more: servers refuse a body of twice as many."""


def is_url(text: str) -> bool:
    """Whether an option names a remote retriever, rather than a repository or a path."""
    return text.startswith(("http://", "https://"))


def batches_of(queries: Sequence[str], most: int) -> Iterator[list[str]]:
    """Queries as they are sent: so many in a request at most, and fewer where they are long."""
    batch: list[str] = []
    size = 0
    for query in queries:
        length = len(json.dumps(query)) + 2
        if batch and (len(batch) == most or size + length > BODY):
            yield batch
            batch, size = [], 0
        batch.append(query)
        size += length
    if batch:
        yield batch


class ServerClient:
    """Asks a server by HTTP, again when the connection fails, and nothing that would change anything there.

    Connections are kept for the next request. Threads may share a client.

    Args:
        url: Where the server is, such as `http://127.0.0.1:8971`.
        timeout: Seconds without a byte after which a request has failed, all of its attempts together.
        attempts: How often a request is tried at most.
        pause: Seconds before the second attempt; they double each time.
        token: The token that the server asks for; by default that in `variable`, where there is one.
        variable: The environment variable of the token; "" for none.

    Raises:
        LratError: It is no URL, or no header can have the token.
    """

    served, hint = "a retriever", "Is lrat serve running there?"
    """What is there, and what to look at where nothing is, for errors."""

    def __init__(
        self,
        url: str,
        *,
        timeout: float = 60.0,
        attempts: int = 4,
        pause: float = 0.5,
        token: str | None = None,
        variable: str = TOKEN_VARIABLE,
    ) -> None:
        import urllib3

        try:
            parts = urllib.parse.urlsplit(url)
            # A name and a port that can't be, such as an empty label, are errors here.
            known = bool(parts.hostname and parts.hostname.encode("idna")) and (parts.port is None or parts.port > 0)
            known = known and parts.path.isascii() and not re.search(r"[\s\x00-\x1f\x7f]", url)
        except ValueError:
            known = False
        if not known:
            raise LratError(f"{url}: expected the URL of a served retriever, as http://HOST:PORT.")
        self.url = url.rstrip("/")
        self._timeout, self._attempts, self._pause = timeout, attempts, pause
        # A file that it was read from may end with a line break.
        token = (token or os.environ.get(variable, "")).strip()
        if not (token.isascii() and token.isprintable()):
            raise LratError(
                f"{self.url}: expected a token of printable ASCII characters ({variable or 'token'}), found others."
            )
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        # Redirections are followed; what else may pass is asked again here.
        options: dict[str, Any] = {
            "headers": headers,
            "maxsize": CONNECTIONS,
            "retries": urllib3.Retry(None, connect=False, read=False, other=False, redirect=5),
        }
        scheme, _, rest = self.url.partition("://")
        bypassed = urllib.request.proxy_bypass(rest.partition("/")[0])
        proxy = None if bypassed else urllib.request.getproxies().get(scheme)
        self._pool = urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)
        self._answered = time.monotonic()

    def ask(self, path: str, question: Any = None) -> Any:
        """The answer to a question, which is posted, or of a path.

        Raises:
            LratError: The server refuses, gives no JSON, or no answer at all (`Unavailable`).
        """
        from urllib3.exceptions import HTTPError

        body = None if question is None else json.dumps(question).encode()
        retrying = Retrying(**backoff(_may_pass, attempts=self._attempts, patience=self._timeout, pause=self._pause))
        try:
            return json.loads(retrying(self._send, path, body, time.monotonic() + self._timeout))
        except (ValueError, RecursionError) as error:
            raise LratError(f"{self.url}: expected JSON of {self.served}, found something else. {error}") from error
        except (_Refused, OSError, HTTPError) as error:
            if isinstance(error, _Refused) and not _may_pass(error):
                raise LratError(f"{self.url}: refused with {error}. {error.reason}") from error
            tried = retrying.statistics["attempt_number"]
            raise Unavailable(
                f"{self.url}: expected {self.served} to answer within {self._timeout:g} s, found none in "
                f"{tried} attempts ({str(error) or type(error).__name__}). {self.hint}"
            ) from error

    def _send(self, path: str, body: bytes | None, until: float) -> bytes:
        """One attempt, with what is left of the time."""
        from urllib3 import Timeout

        now = time.monotonic()
        if now - self._answered > KEPT_SECONDS:
            self._pool.clear()
        method = "GET" if body is None else "POST"
        timeout = Timeout(total=max(until - now, 0.001))
        response = self._pool.request(method, self.url + path, body=body, timeout=timeout)
        self._answered = time.monotonic()
        if response.status >= 400:
            raise _Refused(response)
        return response.data

    def misunderstood(self, answer: Any) -> LratError:
        """The error about an answer that is something else."""
        return LratError(
            f"{self.url}: expected the answer of {self.served}, found {json.dumps(answer)[:100]}. "
            "See docs/retrieval.md for the protocol."
        )


class RemoteRetriever:
    """Searches by HTTP, in batches, each tried again when the connection fails.

    Args:
        url: Where the server is, such as `http://127.0.0.1:8971`.
        corpus: The corpus whose documents will be looked up: a server of another is refused.
        batch_size: Maximum number of queries per request.
        timeout: Seconds without a byte after which a request has failed, all of its attempts together.
        attempts: How often a request is tried at most.
        pause: Seconds before the second attempt; they double each time.
        token: The token that the server asks for; by default that in LRAT_SERVE_TOKEN, where there is one.

    Raises:
        LratError: There is no such server, or it searches another corpus.
    """

    served_elsewhere = True

    def __init__(
        self,
        url: str,
        *,
        corpus: Source | None = None,
        batch_size: int = 128,
        timeout: float = 60.0,
        attempts: int = 4,
        pause: float = 0.5,
        token: str | None = None,
    ) -> None:
        self._server = ServerClient(url, timeout=timeout, attempts=attempts, pause=pause, token=token)
        self.url, self._batch_size = self._server.url, batch_size
        about = self._server.ask("/")
        try:
            self.name: str = about["name"]
            self.revision: str | None = about["revision"]
            self.corpus: str | None = about["corpus"]
            self.query_style: QueryStyle = about.get("query_style", "plain")
        except (KeyError, TypeError) as error:
            raise self._server.misunderstood(about) from error
        if self.query_style not in STYLES:
            raise self._server.misunderstood(about)
        if corpus is not None:
            self._check(corpus)

    def __repr__(self) -> str:
        return f"RemoteRetriever({self.url!r}, {self.name!r})"

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """See `Retriever.search`. Ties are decided by the server.

        Raises:
            LratError: The server can't be reached, refuses, or answers something else.
        """
        results = []
        for batch in batches_of(queries, self._batch_size):
            answer = self._server.ask("/search", {"queries": batch, "k": k})
            try:
                results += [
                    [Hit(str(hit["docid"]), float(hit["score"]), rank) for rank, hit in enumerate(hits, start=1)]
                    for _, hits in zip(batch, answer["results"], strict=True)
                ]
            except (KeyError, TypeError, ValueError, OverflowError) as error:
                raise self._server.misunderstood(answer) from error
        return results

    def _check(self, corpus: Source) -> None:
        from lrat_hub.retrieval.indexes import CORPUS_CONFIG, same_source

        if self.corpus is None or not same_source(self.corpus, corpus, config=CORPUS_CONFIG):
            raise LratError(
                f"{self.url}: expected a retriever of {corpus}, found {self.corpus or 'none named'}. "
                "Serve an index of that corpus: lrat serve"
            )


class _Refused(Exception):
    """An answer that is an error, with the headers that say when to come back."""

    def __init__(self, response: BaseHTTPResponse) -> None:
        super().__init__(f"status {response.status}")
        self.status, self.headers = response.status, response.headers
        self.reason = _reason_in(response.data) or str(response.reason)


def _reason_in(body: bytes) -> str:
    """What an answer says of itself, as OpenAI does, and vLLM in its versions, and FastAPI; empty for nothing."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    for name in ("error", "message", "detail"):
        if isinstance(told, dict) and told.get(name):
            told = told[name]
            return str(told["message"] if isinstance(told, dict) and "message" in told else told)
    return ""


def _may_pass(error: BaseException) -> bool:
    """Whether a request may succeed at the next attempt: it was refused, reset, timed out, or cut in the middle."""
    from urllib3.exceptions import HTTPError

    return error.status in TEMPORARY if isinstance(error, _Refused) else isinstance(error, (OSError, HTTPError))
