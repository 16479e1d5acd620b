"""The memory of a server: freed memory goes back to the system, and what stays is not searched for garbage."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import subprocess
import sys
from weakref import ref

import pytest

from lrat_hub.serving import memory
from lrat_hub.serving.batching import Batcher
from lrat_hub.serving.champions import ChampionFollower
from lrat_hub.serving.memory import FreedMemory, settled
from lrat_hub.serving.metrics import ServiceMetrics
from lrat_hub.serving.service import Backend, SearchService

HOLDS_FREED = """
import gc
from pathlib import Path
from lrat_hub.serving.memory import FreedMemory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

# Small pieces with one kept after each thousand: what is free lies between what is not.
kept, pieces = [], []
for number in range(300_000):
    (pieces if number % 1000 else kept).append(bytes(800))
full = resident()
del pieces
gc.collect()
before = resident()
assert FreedMemory().give_back()
print(full, before, resident())
"""
PIECES = 300_000 * 800

glibc = pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="needs glibc"
)


@glibc
def test_what_was_freed_between_what_is_kept_goes_back_to_the_system():
    run = subprocess.run([sys.executable, "-c", HOLDS_FREED], capture_output=True, text=True, check=True)
    full, before, after = map(int, run.stdout.split())
    assert before > full - PIECES / 2, "the C library gave it back by itself: the test shows nothing"
    assert after < full - PIECES / 2


@glibc
def test_it_is_given_back_at_most_once_in_a_while(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(memory.time, "monotonic", lambda: now[0])
    freed = FreedMemory()
    assert freed.give_back()
    assert not freed.give_back()
    now[0] += memory.TRIM_SECONDS
    assert freed.give_back()


def test_another_c_library_gives_nothing_back(monkeypatch):
    monkeypatch.setattr(memory, "_malloc_trim", lambda: None)
    assert not FreedMemory().give_back()


def test_each_batch_gives_back_what_it_can(monkeypatch):
    given = []
    monkeypatch.setattr(FreedMemory, "give_back", lambda self: given.append(self))

    async def two_batches():
        batcher = Batcher(lambda queries, k: ("me", [[] for _ in queries]))
        await batcher.search(["a"], 1)
        await batcher.search(["b"], 1)
        batcher.close()

    asyncio.run(two_batches())
    assert len(given) == 2


class Node:
    """Refers to itself, as models do: only the collector frees it."""

    def __init__(self) -> None:
        self.itself = self


def test_what_a_server_has_loaded_is_left_alone_while_it_serves():
    async def serve() -> int:
        async with settled():
            kept = gc.get_freeze_count()
            garbage = ref(Node())
            gc.collect()
            assert garbage() is None
            return kept

    loaded = [Node() for _ in range(100)]
    assert asyncio.run(serve()) > len(loaded)
    assert gc.get_freeze_count() == 0


def test_a_champion_that_was_swapped_goes_though_it_had_been_taken_for_what_stays():
    async def follow() -> None:
        tag = ["one"]
        service = SearchService(Backend(Retriever("one")))
        follower = ChampionFollower(
            service, lambda: tag[0], lambda pin: Backend(Retriever(pin)), pinned="one", seconds=1,
            metrics=ServiceMetrics(),
        )  # fmt: skip
        async with settled():
            old = ref(service.backend.retriever)
            tag[0] = "two"
            assert await follower.look()
            assert not await follower.look()
            assert old() is None
        service.close()

    class Retriever(Node):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name
            self.revision: str | None = None

        def search(self, queries, k):
            return [[] for _ in queries]

    asyncio.run(follow())
