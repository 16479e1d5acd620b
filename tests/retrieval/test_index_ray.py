"""`lrat index --executor ray` on three nodes in this machine: the index of one process, and when a node is killed.

Ray is large, and no part of what other tests need: tests/ray_stage.sh runs these in an environment of its own.
"""

import signal

import pytest

from lrat_hub import cli
from lrat_hub.errors import LratError
from tests.retrieval.test_index_stage import NUM_SHARDS, SHARDS, files_of, index_words
from tests.scaling.nodes import lose_a_node, published_by, start, three_nodes, wait_for_files

pytest.importorskip("ray")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster():
    with three_nodes() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def whole(published):
    return cli.run(index_words(published, "lrat/ray-whole", *SHARDS))


def begin(published, cluster, work_dir):
    return start(index_words(published, "lrat/ray-index", *SHARDS, "--keep_work"), cluster, work_dir, shards=6)


@pytest.mark.parametrize("address", ["", "127.0.0.1:1"])
def test_without_a_cluster_the_command_says_how_to_start_one(published, monkeypatch, tmp_path, address):
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(LratError, match="ray start --head"):
        cli.run(index_words(published, "lrat/ray-none", "--executor", "ray", "--work_dir", str(tmp_path)))


def test_three_nodes_make_the_index_of_one_process(published, whole, cluster, tmp_path):
    assert files_of(published_by(begin(published, cluster, tmp_path), "model")) == files_of(whole)
    (logs,) = tmp_path.glob("*/encoding-6")
    assert len(list((logs / "completions").iterdir())) == 6
    assert (logs / "stats.json").exists()


def test_the_others_do_the_work_of_a_node_that_is_killed(published, whole, cluster, tmp_path):
    process = begin(published, cluster, tmp_path)
    lose_a_node(process, cluster, tmp_path, "*/shard-*.npy", count=5, whole=NUM_SHARDS)
    assert files_of(published_by(process, "model")) == files_of(whole)


def test_a_killed_command_goes_on_where_it_was(published, whole, cluster, tmp_path):
    process = begin(published, cluster, tmp_path)
    wait_for_files(process, tmp_path, "*/shard-*.npy", count=5, whole=NUM_SHARDS)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/shard-*.npy")}
    assert files_of(published_by(begin(published, cluster, tmp_path), "model")) == files_of(whole)
    assert {path: path.stat().st_mtime_ns for path in done} == done
