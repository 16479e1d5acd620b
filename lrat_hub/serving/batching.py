"""Searches of concurrent callers, made in batches: models and indexes are far faster with many queries at once."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from lrat_hub.errors import LratError, Unavailable
from lrat_hub.serving.memory import FreedMemory

T = TypeVar("T")
"""What one request gets: its result lists, with what gave them."""

BatchSearch = Callable[[list[str], int], tuple[T, list[list]]]


class Overloaded(Unavailable):
    """More queries wait than may."""


class SearchFailed(LratError):
    """The retriever raised something else than an error that its user can fix."""


@dataclass(frozen=True)
class BatchSettings:
    """How concurrent searches share a batch.

    Args:
        max_batch: Most queries that a batch is filled to. A request is never split: a larger one is a batch by itself.
        max_wait: Seconds that a batch which isn't full waits for further queries.
        max_queue: Most queries that wait; further requests are refused.

    Raises:
        LratError: A number is out of its range.
    """

    max_batch: int = 64
    max_wait: float = 0.005
    max_queue: int = 4_096

    def __post_init__(self) -> None:
        if self.max_batch < 1 or self.max_queue < 1:
            raise LratError(
                f"Batches: expected `max_batch` and `max_queue` of 1 or more, found {self.max_batch} and "
                f"{self.max_queue}."
            )
        if not 0 <= self.max_wait <= 60:
            raise LratError(f"Batches: expected `max_wait` from 0 to 60 seconds, found {self.max_wait}.")


class BatchObserver(Protocol):
    """Is told what the batcher does, such as for metrics."""

    def queued(self, queries: int) -> None:
        """The number of queries that wait has changed."""

    def refused(self) -> None:
        """A request found the queue full."""

    def searched(self, queries: int, requests: int, seconds: float) -> None:
        """A batch has been searched."""


@dataclass
class _Waiting(Generic[T]):
    queries: list[str]
    k: int
    since: float = field(default_factory=time.monotonic)
    answer: asyncio.Future[tuple[T, list[list]]] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Batcher(Generic[T]):
    """Collects the searches of concurrent callers and makes them in batches, one batch at a time.

    One at a time, because models and indexes use all cores for one anyway, and need not be safe for more. Only
    requests of the same `k` share a batch: some retrievers give other first results to a larger `k`.

    Args:
        search: Searches one batch in a thread: gives what answered, and a list for each query.
        settings: How requests share a batch.
        observer: Is told of each batch.
    """

    def __init__(
        self, search: BatchSearch[T], settings: BatchSettings | None = None, observer: BatchObserver | None = None
    ) -> None:
        self._search, self._settings, self._observer = search, settings or BatchSettings(), observer
        self._waiting: deque[_Waiting[T]] = deque()
        self._queries = 0
        self._full = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None
        # Always the same thread: some libraries keep pools of threads for each that calls them.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="search")
        self._freed = FreedMemory()

    @property
    def waiting(self) -> int:
        """Number of queries that wait."""
        return self._queries

    async def search(self, queries: Sequence[str], k: int) -> tuple[T, list[list]]:
        """What answered, and the result list of each query: all of one batch.

        Raises:
            LratError: The queue is full (`Overloaded`), the retriever failed on this request, or another event loop
                searches.
        """
        worker = self._worker if self._worker and not self._worker.done() else None
        # Its answer would wake nobody here.
        if worker and worker.get_loop() is not asyncio.get_running_loop():
            raise LratError("Search: expected one event loop, found a search of another one. Make a service for each.")
        # A request that is larger than the queue is let in when nobody waits: it could never be answered otherwise.
        if self._queries and self._queries + len(queries) > self._settings.max_queue:
            if self._observer:
                self._observer.refused()
            raise Overloaded(
                f"Search: expected at most {self._settings.max_queue} queries to wait, found {self._queries} waiting "
                f"and {len(queries)} more. Ask again later."
            )
        request = _Waiting[T](list(queries), k)
        self._waiting.append(request)
        self._count(len(request.queries))
        if self._queries >= self._settings.max_batch:
            self._full.set()
        if not worker:
            self._full = asyncio.Event()
            self._worker = asyncio.create_task(self._work())
        return await request.answer

    async def _work(self) -> None:
        """Makes batches until nobody waits."""
        batch: list[_Waiting[T]] = []
        try:
            while self._waiting:
                batch = await self._gathered()
                if batch:
                    await self._answer(batch)
        except BaseException as error:
            # A defect, or the end of the server: nobody may wait for ever.
            for request in [*batch, *self._waiting]:
                if not request.answer.done():
                    request.answer.set_exception(SearchFailed(f"Search: no batch was made; {error!r}."))
            self._waiting.clear()
            self._count(-self._queries)
            raise

    async def _gathered(self) -> list[_Waiting[T]]:
        """The requests of the next batch: those of the oldest one's `k`, in the order in which they came."""
        left = self._waiting[0].since + self._settings.max_wait - time.monotonic()
        if self._queries < self._settings.max_batch and left > 0:
            self._full.clear()
            with suppress(TimeoutError):
                # Not woken by each that comes, which would cost as much as a short search.
                await asyncio.wait_for(self._full.wait(), left)
        k, size = self._waiting[0].k, 0
        batch: list[_Waiting[T]] = []
        others: deque[_Waiting[T]] = deque()
        while self._waiting:
            request = self._waiting.popleft()
            if request.answer.done():
                # Whoever asked has gone.
                self._count(-len(request.queries))
            elif request.k == k and (not batch or size + len(request.queries) <= self._settings.max_batch):
                batch.append(request)
                size += len(request.queries)
            else:
                others.append(request)
                if request.k == k:
                    # Later ones don't overtake it.
                    break
        self._waiting.extendleft(reversed(others))
        self._count(-size)
        return batch

    async def _answer(self, batch: list[_Waiting[T]]) -> None:
        try:
            source, lists = await self._searched(batch)
        except LratError as error:
            if len(batch) == 1 or isinstance(error, Unavailable):
                for request in batch:
                    if not request.answer.done():
                        request.answer.set_exception(error)
                return
            # One bad request costs only itself.
            for request in batch:
                await self._answer([request])
            return
        rest = iter(lists)
        for request in batch:
            own = [next(rest) for _ in request.queries]
            if not request.answer.done():
                request.answer.set_result((source, own))

    async def _searched(self, batch: list[_Waiting[T]]) -> tuple[T, list[list]]:
        queries = [query for request in batch for query in request.queries]
        started = time.monotonic()
        loop = asyncio.get_running_loop()
        try:
            source, lists = await loop.run_in_executor(self._thread, self._search_in_thread, queries, batch[0].k)
        except LratError:
            raise
        except Exception as error:
            raise SearchFailed(f"Search: the retriever failed; {type(error).__name__}: {error}") from error
        if len(lists) != len(queries):
            raise SearchFailed(f"Search: expected {len(queries)} lists of the retriever, found {len(lists)}.")
        if self._observer:
            self._observer.searched(len(queries), len(batch), time.monotonic() - started)
        return source, lists

    def _search_in_thread(self, queries: list[str], k: int) -> tuple[T, list[list]]:
        try:
            return self._search(queries, k)
        finally:
            self._freed.give_back()

    def _count(self, change: int) -> None:
        self._queries += change
        if self._observer:
            self._observer.queued(self._queries)

    def close(self) -> None:
        """Ends the thread; what is being searched ends first."""
        self._thread.shutdown()
