"""A champion that is followed and swapped between two batches, and a challenger in its shadow."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

from lrat_hub.errors import LratError
from lrat_hub.serving.answering import repeating
from lrat_hub.serving.batching import Batcher, BatchSettings
from lrat_hub.serving.memory import settle
from lrat_hub.serving.metrics import ServiceMetrics
from lrat_hub.serving.service import Backend, Caller, SearchService, ServedSearch

SHADOW_QUEUE = 1_024
"""Queries that wait for a shadow at most; those beyond are left out and counted."""

IDLE_SECONDS = 0.005


class ChampionFollower:
    """Loads what a tag names beside what is served, whenever it has moved, and swaps the two.

    What can't be loaded changes nothing: the old one is served on, `problem` says why, and it is tried again.

    Args:
        service: What is served.
        pin: Asks where the tag is now: the pin of what should be served. Called in a thread.
        load: Loads what a pin names. Called in a thread.
        pinned: The pin of what is served now.
        seconds: Pause between two looks.
        metrics: Counts swaps.
    """

    def __init__(
        self,
        service: SearchService,
        pin: Callable[[], str],
        load: Callable[[str], Backend],
        *,
        pinned: str,
        seconds: float,
        metrics: ServiceMetrics,
    ) -> None:
        if not seconds > 0:
            raise LratError(f"Champion: expected a pause of more than 0 seconds, found {seconds}.")
        self._service, self._pin, self._load, self._seconds = service, pin, load, seconds
        self._metrics = metrics
        self.pinned = pinned
        self.problem: str | None = None
        self._replaced = False

    async def look(self) -> bool:
        """Looks once; gives whether another one is served from the next batch on."""
        wanted = self.pinned
        try:
            wanted = await asyncio.to_thread(self._pin)
            if wanted == self.pinned:
                self.problem = None
                if self._replaced:
                    # No batch is likely to search the old one any more; else it goes with the next swap.
                    self._replaced = False
                    settle()
                return False
            backend = await asyncio.to_thread(self._load, wanted)
        # Whatever is wrong with the new one, the old one answers.
        except Exception as error:
            self._metrics.swaps.labels("failed").inc()
            about = f"{wanted} could not be loaded" if wanted != self.pinned else "its tag could not be asked for"
            self.problem = f"Champion: {self.pinned} is still served, since {about}; {error}"
            return False
        self._service.replace(backend)
        self._replaced = True
        self.pinned, self.problem = wanted, None
        self._metrics.swaps.labels("swapped").inc()
        return True

    def following(self) -> AbstractAsyncContextManager[None]:
        """Looks again and again while inside."""
        return repeating(self.look, self._seconds)


class Shadow:
    """A challenger that is given the champion's queries once these are answered, and compared with it.

    It searches in a thread of its own while nobody waits for the champion; what it can't keep up with is left out and
    counted, so that it neither slows an answer nor fails one.

    Args:
        backend: The challenger, over the same corpus.
        service: The champion; its observers are told of the shadow's lists, too.
        metrics: Gets the overlap of the two lists of each query.
        batches: How its queries share a batch.
    """

    def __init__(
        self, backend: Backend, service: SearchService, metrics: ServiceMetrics, batches: BatchSettings | None = None
    ) -> None:
        self._backend, self._service, self._metrics = backend, service, metrics
        settings = replace(batches or BatchSettings(), max_queue=SHADOW_QUEUE)
        self._batcher: Batcher[Backend] = Batcher(
            lambda queries, k: (backend, backend.retriever.search(queries, k)), settings
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting = 0
        self.problem: str | None = None
        """Why the last search could not be compared; None since one could."""

    def offer(self, caller: Caller, search: ServedSearch) -> None:
        """Takes a search that has been answered, or leaves it out."""
        size = len(search.queries)
        if not size or self._waiting + size > SHADOW_QUEUE:
            self._metrics.shadows.labels("left out").inc(size)
            return
        self._waiting += size
        task = asyncio.create_task(self._compare(caller, search))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _compare(self, caller: Caller, search: ServedSearch) -> None:
        size = len(search.queries)
        try:
            while self._service.waiting:
                await asyncio.sleep(IDLE_SECONDS)
            _, lists = await self._batcher.search(search.queries, search.k)
            about = self._backend.description
            shadow = replace(
                search, lists=tuple(map(tuple, lists)), retriever=about.name, revision=about.revision,
                pin=self._backend.pin, role="shadow",
            )  # fmt: skip
            for ours, theirs in zip(search.lists, shadow.lists, strict=True):
                if ours:
                    both = {hit.docid for hit in ours} & {hit.docid for hit in theirs}
                    self._metrics.overlap.observe(len(both) / len(ours))
            for observer in self._service.observers:
                await observer.searched(caller, shadow)
            self._metrics.shadows.labels("compared").inc(size)
            self.problem = None
        # Whatever is wrong with it, the champion has answered.
        except Exception as error:
            self._metrics.shadows.labels("failed").inc(size)
            self.problem = f"Shadow: {self._backend.retriever.name} could not be compared; {error}"
        finally:
            self._waiting -= size

    async def settle(self) -> None:
        """Waits until all that was offered has been compared."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    def close(self) -> None:
        """Ends its thread; what is being searched ends first."""
        self._batcher.close()
