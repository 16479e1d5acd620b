"""The memory of a server: what is freed goes back to the system, and what stays is not searched for garbage."""

from __future__ import annotations

import ctypes
import gc
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

TRIM_SECONDS = 1.0
"""Least seconds between two trims; one takes some ten milliseconds."""


class FreedMemory:
    """What was freed and is still the process's.

    A batch's tensors are freed when its lists are there, but glibc keeps much of them in the pools of its threads, and
    the next batch, of another size, seldom fits in their gaps: a server of a transformer grows by half in ten minutes.
    Trimming the pools keeps it where it was. Other C libraries have no `malloc_trim`; there, nothing is done.
    """

    def __init__(self) -> None:
        self._trim = _malloc_trim() if sys.platform == "linux" else None
        self._next = 0.0

    def give_back(self) -> bool:
        """Gives freed memory back, unless that was done a moment ago or can't be done; says whether it was."""
        now = time.monotonic()
        if not self._trim or now < self._next:
            return False
        self._next = now + TRIM_SECONDS
        self._trim(0)
        return True


def _malloc_trim() -> Callable[[int], int] | None:
    return getattr(ctypes.CDLL(None), "malloc_trim", None)


def settle() -> None:
    """Takes everything that is in memory now for what stays, which the garbage collector leaves alone from now on.

    A retriever is hundreds of thousands of objects, in which each full collection looks for garbage and finds none;
    for a sixth of a second, nobody is answered. Called again, it lets go of what has gone since.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


@asynccontextmanager
async def settled() -> AsyncIterator[None]:
    """Settles what a server has loaded, for as long as it serves."""
    settle()
    try:
        yield
    finally:
        gc.unfreeze()
