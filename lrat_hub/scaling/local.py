"""datatrove's step and executor for processes of this machine. Importing this module imports datatrove."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.base import PipelineStep
from datatrove.utils.stats import PipelineStats

from lrat_hub.errors import LratError
from lrat_hub.scaling.processes import worker_pool
from lrat_hub.scaling.work import Work


class RunShard(PipelineStep):
    """A pipeline's only step: one shard of a piece of work."""

    type = "LRAT-Hub"

    def __init__(self, work: Work) -> None:
        self.name = work.name  # part of what the base class calls its statistics
        super().__init__()
        self.work = work

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> Any:
        with self.track_time(unit="shard"):
            self.stat_update("items", value=self.work.run(rank, world_size), unit="shard")
        return data


class LocalExecutor(LocalPipelineExecutor):
    """datatrove's, on a pool that notices when a worker is killed: that of multiprocess waits for it forever.

    Args:
        on_shard: Called with a number of shards that are done.
    """

    def __init__(self, *args: Any, on_shard: Callable[[int], object], **options: Any) -> None:
        super().__init__(*args, **options)
        self._on_shard: Callable[[int], object] | None = on_shard

    def run(self) -> PipelineStats:
        """Runs the shards that are not done.

        Raises:
            LratError: A worker was killed, or what the work raises.
        """
        ranks = self.get_incomplete_ranks()
        tell, self._on_shard = self._on_shard, None  # it belongs to this process
        if tell is None:
            raise RuntimeError("an executor of a worker runs single shards")
        tell(self.world_size - len(ranks))
        self.save_executor_as_json()
        log: Any = self.logging_dir.resolve_paths("workers.log")
        stats = PipelineStats()
        with worker_pool(self.workers, _write_output_to, log) as pool:
            try:
                for future in as_completed([pool.submit(_run_rank, self, rank) for rank in ranks]):
                    stats += future.result()
                    tell(1)
            except BrokenProcessPool as error:
                done = self.world_size - len(self.get_incomplete_ranks())
                raise LratError(
                    f"Executor local: one of its workers was killed, as a system without memory does; {done} of "
                    f"{self.world_size} shards are done. The same command goes on with the others; fewer `workers` "
                    "need less memory."
                ) from error
        with self.logging_dir.open("stats.json", "wt") as file:
            stats.save_to_disk(file)
        return stats


def _write_output_to(log: str) -> None:
    """The process that wants the results tells errors in one line; tracebacks, and what libraries say, go here."""
    with open(log, "a") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())


def _run_rank(executor: LocalExecutor, rank: int) -> PipelineStats:
    # Of a local rank other than the first, datatrove tells the log and not the terminal.
    return executor._run_for_rank(rank, local_rank=1)
