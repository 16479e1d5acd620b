"""datatrove's executor for Ray, which does not wait forever for a node that is lost while work is handed to it.

Importing this module imports datatrove.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any
from unittest.mock import patch

from datatrove.executor import RayPipelineExecutor
from datatrove.executor import ray as engine

ATTEMPTS = 4
"""How often work is handed to a node: so often as datatrove begins a task that a node took with it."""


class TaskManager(engine.RayTaskManager):
    """datatrove's, whose promise of tasks is always kept, or broken.

    There, a node that is lost between its reservation and the first answer of its actor ends the thread that would
    have kept the promise: the executor waits for it without end, and the reservation stays.
    """

    def submit_task(
        self, executor_ref: Any, ranks_to_submit: list[int], remote_options: dict[str, Any]
    ) -> Future[Sequence[Any]]:
        """Hands work to nodes, again where one is lost meanwhile; see datatrove."""
        promise: Future[Sequence[Any]] = Future()

        def submit() -> None:
            for left in reversed(range(ATTEMPTS)):
                try:
                    promise.set_result(self._begin(executor_ref, ranks_to_submit, remote_options))
                    return
                except Exception as error:
                    if not left:
                        promise.set_exception(error)

        self.pg_futures.append(self.executor.submit(submit))
        return promise

    def _begin(self, executor: Any, ranks: list[int], options: dict[str, Any]) -> Sequence[Any]:
        import ray  # pyright: ignore[reportMissingImports]  (in an environment of its own)

        bundle = engine.convert_remote_options_to_bundle(options)
        reserved = ray.util.placement_group([bundle] * self.nodes_per_task)
        try:
            ray.get(reserved.ready())
            workers = [
                ray.remote(engine.RankWorker)
                .options(placement_group=reserved, placement_group_bundle_index=node, **options)
                .remote()
                for node in range(self.nodes_per_task)
            ]
            addresses = ray.get([worker.get_node_ip.remote() for worker in workers])
        except Exception:
            ray.util.remove_placement_group(reserved)
            raise
        tasks = [worker.run_for_rank.remote(executor, ranks, addresses, node) for node, worker in enumerate(workers)]
        group = engine.TaskGroup(tasks=list(tasks), workers=workers, placement_group=reserved, ranks=ranks)
        for task in tasks:
            self.task_to_group[task] = group
            self.timeout_manager.add_task(task)
        return tasks


class RayExecutor(RayPipelineExecutor):
    """datatrove's, with these tasks."""

    def run(self) -> None:
        # It makes its manager by this name.
        with patch.object(engine, "RayTaskManager", TaskManager):
            super().run()
