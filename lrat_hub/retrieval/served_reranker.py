"""A reranker behind an HTTP server that speaks as vLLM does, such as a language model that answers yes or no.

    GET  /v1/models -> {"data": [{"id": str, "max_model_len": int}, ...]}
    POST /v1/rerank {"model": str, "query": str, "documents": [str, ...]}
                    -> {"results": [{"index": int, "relevance_score": float}, ...], "usage": {"prompt_tokens": int}},
                    the results in any order

The server puts the model's own template around a query and a document. Where a document is too long for the model with
them, vLLM refuses the request; it is sent again with `max_tokens_per_doc`, which cuts the ends of documents alone.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from lrat_hub.errors import LratError
from lrat_hub.retrieval.remote import ServerClient, batches_of

DOCUMENTS = 128
"""Documents of a request at most: vLLM puts them in batches itself."""

SPARE_TOKENS = 8
"""Tokens that the cut text of a document may have more of beside the template than by itself."""


class _RerankClient(ServerClient):
    served, hint = "a reranker", "Is vLLM serving a reranker there?"


class ServedReranker:
    """Scores of a reranker that a server has, such as Qwen3-Reranker by vLLM: the probability of "yes".

    Args:
        url: The server's, up to and including /v1, as everywhere in this project.
        model: The model's name there; empty where the server has one model, which is then asked for.
        timeout: Seconds without a byte after which an attempt has failed.
        attempts: How often a request is tried.
        pause: Seconds before the second attempt; they double each time.
        token: The key that the server asks for; by default that in OPENAI_API_KEY, where there is one.

    Raises:
        LratError: There is no such server, or it has another number of models, or not this one.
    """

    served_elsewhere = True

    def __init__(
        self,
        url: str,
        model: str = "",
        *,
        timeout: float = 120.0,
        attempts: int = 4,
        pause: float = 0.5,
        token: str | None = None,
    ) -> None:
        key = os.environ.get("OPENAI_API_KEY", "") if token is None else token
        self._server = _RerankClient(url, timeout=timeout, attempts=attempts, pause=pause, token=key, variable="")
        self.url = self._server.url
        listed = self._server.ask("/models")
        try:
            models = {str(entry["id"]): entry.get("max_model_len") for entry in listed["data"]}
        except (AttributeError, KeyError, TypeError) as error:
            raise self._server.misunderstood(listed) from error
        if model not in models and (model or len(models) != 1):
            wanted = model or "one model"
            raise LratError(f"{self.url}: expected a server of {wanted}, found one of {', '.join(models) or 'none'}.")
        self.name = model or next(iter(models))
        self._context = models[self.name]

    def score(self, query: str, documents: Sequence[str]) -> np.ndarray:
        """See `Reranker.score`.

        Raises:
            LratError: The server can't be reached, refuses, or answers something else than a score for each document.
        """
        scores: list[float] = []
        for batch in batches_of(documents, DOCUMENTS):
            answer = self._asked(query, batch)
            try:
                results = [(int(one["index"]), float(one["relevance_score"])) for one in answer["results"]]
            except (KeyError, TypeError, ValueError, OverflowError) as error:
                raise self._server.misunderstood(answer) from error
            given = {number: score for number, score in results if math.isfinite(score)}
            if sorted(number for number, _ in results) != list(range(len(batch))) or len(given) < len(batch):
                raise LratError(
                    f"{self.url}: expected one finite score for each of {len(batch)} documents, found {len(results)} "
                    f"scores, finite ones of {len(given.keys() & range(len(batch)))} documents."
                )
            scores += [given[number] for number in range(len(batch))]
        return np.array(scores)

    def _asked(self, query: str, documents: Sequence[str]) -> Any:
        """The server's answer; documents that are too long for the model are cut where the server can say how long."""
        question = {"model": self.name, "query": query, "documents": documents}
        try:
            return self._server.ask("/rerank", question)
        except LratError as error:
            if getattr(error.__cause__, "status", None) != 400 or not isinstance(self._context, int):
                raise
            without = self._server.ask("/rerank", question | {"documents": [""]})
            try:
                room = self._context - int(without["usage"]["prompt_tokens"]) - SPARE_TOKENS
            except (KeyError, TypeError, ValueError):
                raise error from error.__cause__
            return self._server.ask("/rerank", question | {"max_tokens_per_doc": max(1, room)})
