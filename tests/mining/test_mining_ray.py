"""`lrat mine --executor ray` on three nodes in this machine, one of which is killed; see tests/ray_stage.sh."""

import time

import pytest

from lrat_hub import cli
from tests.mining.test_mining_executors import PARTS, inputs, words  # noqa: F401  (a fixture)
from tests.scaling.nodes import published_by, start, three_nodes

pytest.importorskip("ray")
pytestmark = pytest.mark.slow


def test_three_nodes_of_which_one_is_killed_mine_what_one_process_does(inputs, tmp_path):  # noqa: F811
    with three_nodes() as cluster:
        process = start(words(inputs), cluster, tmp_path, shards=6)
        while len(list(tmp_path.glob("mine/*/naive-*.arrow"))) < 2 and process.poll() is None:
            time.sleep(0.01)
        assert 2 <= len(list(tmp_path.glob("mine/*/naive-*.arrow"))) < PARTS
        cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
        pin = published_by(process, "dataset")
    assert cli.run(words(inputs)) == pin
