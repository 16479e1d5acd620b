"""Work that is handed to a node of Ray which is lost at that moment goes to another, or ends. Ray's part is played."""

import sys
from types import SimpleNamespace

import pytest

pytest.importorskip("datatrove")


class NodeLostError(Exception):
    pass


class PlayedRay:
    """Nodes of which the first ones are lost before they answer."""

    def __init__(self, lost):
        self.lost, self.reserved = lost, []
        self.util = SimpleNamespace(placement_group=self.reserve, remove_placement_group=self.reserved.remove)

    def reserve(self, bundles):
        self.reserved.append(SimpleNamespace(ready=lambda: "ready", bundles=bundles))
        return self.reserved[-1]

    def remote(self, actor):
        worker = SimpleNamespace(
            get_node_ip=SimpleNamespace(remote=lambda: "10.0.0.1"),
            run_for_rank=SimpleNamespace(remote=lambda executor, ranks, addresses, node: ("task", *ranks, *addresses)),
        )
        return SimpleNamespace(options=lambda **given: SimpleNamespace(remote=lambda: worker))

    def get(self, asked):
        if isinstance(asked, list) and self.lost:
            self.lost -= 1
            raise NodeLostError("the actor died")
        return asked


@pytest.mark.parametrize("lost", [0, 1, 4])
def test_a_node_that_is_lost_before_it_answers_is_not_waited_for(monkeypatch, lost):
    from datatrove.executor.ray import TimeoutManager

    from lrat_hub.scaling.ray_tasks import ATTEMPTS, TaskManager

    ray = PlayedRay(lost)
    monkeypatch.setitem(sys.modules, "ray", ray)
    manager = TaskManager(1, TimeoutManager())
    promise = manager.submit_task("executor", [3, 4], {"num_cpus": 1})
    if lost == ATTEMPTS:
        assert isinstance(promise.exception(timeout=60), NodeLostError)
        assert not ray.reserved
    else:
        (task,) = promise.result(timeout=60)
        assert task == ("task", 3, 4, "10.0.0.1")
        # Reservations of nodes that are lost are given back.
        assert [manager.task_to_group[task].placement_group] == ray.reserved
        assert task in manager.timeout_manager.task_start_times
    manager.executor.shutdown()
