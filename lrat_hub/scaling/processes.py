"""Work on several processes whose results come in the order of the tasks, as if one process had done it."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import chain, islice
from typing import Any, TypeVar

from lrat_hub.errors import LratError

Task = TypeVar("Task")
Result = TypeVar("Result")
Work = TypeVar("Work")

AHEAD = 2
"""Tasks for each process that are taken before their turn, or done and waiting: all that memory holds of them."""


GRACE_SECONDS = 10.0
"""How long a process that has nothing left to do may take to end."""


@contextmanager
def worker_pool(processes: int, begin: Callable[[Work], object], work: Work) -> Iterator[ProcessPoolExecutor]:
    """A pool whose processes end with the block, and with this process, also where some of them were killed.

    A process that works at the end of the block is ended in it: what it has to say must be waited for, or be short.

    Args:
        begin: Called once in each process before its first task, with `work`.
    """
    initializer: Any = _begin_worker  # generic, which a pool's type can't follow
    # Spawned, as a fork of a process that has threads (tokenizers, Arrow) may hang.
    context = multiprocessing.get_context("spawn")
    grace = 0.0
    with ProcessPoolExecutor(processes, context, initializer=initializer, initargs=(begin, work)) as pool:
        try:
            yield pool
            grace = GRACE_SECONDS
        finally:
            # Those that have done their work end by themselves, and give back the semaphores that libraries made in
            # them. But one that is killed as it waits for a task keeps the lock that the others wait for.
            workers = list(pool._processes.values())
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in workers:
                worker.join(grace)
                worker.terminate()


def _begin_worker(begin: Callable[[Work], object], work: Work) -> None:
    """What a process of a pool does first: it ends when the one that has started it does, and keeps `work`."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    begin(work)
    # A process with little in it looks for garbage in all of it time and again; what has been loaded by now stays.
    gc.freeze()


def _end_with_parent() -> None:
    """Ends this process when the one that wants its results was killed, and so could not end it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def map_in_order(
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    *,
    begin: Callable[[Work], object],
    work: Work,
    processes: int,
) -> Iterator[Result]:
    """The results of tasks, in their order. Tasks are taken as results are.

    Args:
        function: A function of a module, for other processes find it by its name.
        begin: Called once in each process before its first task, with `work`: what all tasks share.
        processes: How many; with 1, or a single task, everything is done by this one.

    Raises:
        LratError: The work can't be sent to another process, or one was killed.
    """
    remaining = iter(tasks)
    first = list(islice(remaining, 2))
    remaining = chain(first, remaining)
    if processes == 1 or len(first) < 2:
        begin(work)
        yield from map(function, remaining)
        return
    try:
        pickle.dumps(work)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise LratError(
            f"Several processes: expected functions of modules, found something that can't be sent to another "
            f"process; {error}. Set `processes` to 1."
        ) from error
    with worker_pool(processes, begin, work) as pool:
        waiting: deque[Future[Any]] = deque()
        try:
            for task in remaining:
                waiting.append(pool.submit(function, task))
                if len(waiting) >= AHEAD * processes:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise LratError(
                "Several processes: one of them was killed, as a system without memory does. Nothing is published. "
                "Set a smaller number of `processes`."
            ) from error
        finally:
            # Nobody wants what was not begun yet, when the reader of the results has stopped. What was begun is waited
            # for: of a result that is cut off, the rest would be waited for without end.
            for future in waiting:
                future.cancel()
            wait(waiting)
