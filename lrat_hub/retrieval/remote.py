"""A retriever on another machine, by HTTP: the client of the protocol that `lrat_hub.retrieval.server` answers.

    GET  /        -> {"name": str, "revision": str or null, "corpus": str or null, "query_style": str}
    POST /search  {"queries": [str, ...], "k": int} -> {"results": [[{"docid": str, "score": float}, ...], ...]}

`results` has a list for each query, best first. `corpus` is the pin of the corpus that is searched. What goes wrong
is a status of 400 or more with {"error": str}.
"""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any

from lrat_hub.errors import LratError
from lrat_hub.hub.inputs import Source
from lrat_hub.queries import STYLES, QueryStyle
from lrat_hub.retrieval import Hit

TEMPORARY = frozenset({429, 502, 503, 504})
"""Statuses that may be gone at the next attempt: too many requests, and servers that are down or overloaded."""


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
        reason = ""
        for attempt in range(self._attempts):
            if attempt:
                time.sleep(self._pause * 2 ** (attempt - 1))
            try:
                with urllib.request.urlopen(request, timeout=self._timeout) as response:
                    return json.loads(response.read())
            except urllib.error.HTTPError as error:
                if error.code not in TEMPORARY:
                    raise LratError(f"{self.url}: refused with status {error.code}. {_said(error)}") from error
                reason = f"status {error.code}"
            except json.JSONDecodeError as error:
                raise LratError(f"{self.url}: expected JSON of a retriever, found something else. {error}") from error
            except (OSError, http.client.HTTPException) as error:
                # Refused, reset, timed out, or cut in the middle of the answer.
                reason = str(error) or type(error).__name__
        raise LratError(
            f"{self.url}: expected a retriever to answer within {self._timeout:g} s, found none in {self._attempts} "
            f"attempts ({reason}). Is lrat serve running there?"
        )

    def _misunderstood(self, answer: Any) -> LratError:
        return LratError(
            f"{self.url}: expected the answer of a retriever, found {json.dumps(answer)[:100]}. "
            "See lrat_hub.retrieval.remote for the protocol."
        )


def _said(error: urllib.error.HTTPError) -> str:
    """What the server says is wrong."""
    try:
        return str(json.loads(error.read())["error"])
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return str(error.reason)
