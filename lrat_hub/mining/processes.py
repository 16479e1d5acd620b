"""Work on several processes whose results come in the order of the tasks, as if one process had done it."""

from __future__ import annotations

import gc
import multiprocessing
import pickle
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, islice
from typing import Any, TypeVar

from lrat_hub.errors import LratError

Task = TypeVar("Task")
Result = TypeVar("Result")
Work = TypeVar("Work")

AHEAD = 2
"""Tasks for each process that are taken before their turn, or done and waiting: all that memory holds of them."""


def _begin(begin: Callable[[Work], object], work: Work) -> None:
    begin(work)
    # A process with little in it looks for garbage in all of it time and again; what has been loaded by now stays.
    gc.freeze()


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
    # Spawned, as a fork of a process that has threads (tokenizers, Arrow) may hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, initializer=_begin, initargs=(begin, work)) as pool:
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
            # Nobody wants what was not asked for yet, when the reader of the results has stopped.
            pool.shutdown(wait=False, cancel_futures=True)
