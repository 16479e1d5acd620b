"""The most that one request may ask for, by every protocol."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lrat_hub.errors import LratError


@dataclass(frozen=True)
class Limits:
    """The most that one request may ask for.

    Args:
        body: Bytes of a request's body.
        queries: Queries a search.
        query_length: Characters a query, or an id; reasoning, comments and answers have ten times as many.
        k: Documents a result list.
        documents: Documents that are opened at once.
        rate: Requests a second of one subject, or of one address where there are no tokens; 0 for any. Ten seconds'
            worth may come at once.

    Raises:
        LratError: One is out of its range.
    """

    body: int = 16 * 1024 * 1024
    queries: int = 1_024
    query_length: int = 32_768
    k: int = 1_000
    documents: int = 1_000
    rate: float = 0.0

    def __post_init__(self) -> None:
        for name in ("body", "queries", "query_length", "k", "documents"):
            if getattr(self, name) < 1:
                raise LratError(f"Limits: expected `{name}` of 1 or more, found {getattr(self, name)}.")
        if not 0 <= self.rate < math.inf:
            raise LratError(f"Limits: expected `rate` of 0 or more, found {self.rate}.")

    def check_search(self, queries: Sequence[str], k: int) -> None:
        """Refuses more queries, longer ones or longer lists than may be."""
        if len(queries) > self.queries:
            raise LratError(
                f"Search: expected at most {self.queries} queries, found {len(queries)}. Send them in several "
                "requests."
            )
        if k > self.k:
            raise LratError(f"Search: expected k of at most {self.k}, found {k}.")
        if (longest := max(map(len, queries), default=0)) > self.query_length:
            raise LratError(
                f"Search: expected queries of at most {self.query_length} characters, found one of {longest}."
            )

    def check_call(self, *, ids: Sequence[str | None] = (), **texts: str | None) -> None:
        """Refuses longer texts than may come with a call, by their names: they are collected."""
        checked = [("id", text, self.query_length) for text in ids]
        checked += [(name, text, 10 * self.query_length) for name, text in texts.items()]
        for name, text, most in checked:
            if text is not None and len(text) > most:
                raise LratError(f"Call: expected `{name}` of at most {most} characters, found {len(text)}.")
