"""Three nodes of Ray in this machine, and commands that run on them."""

import os
import subprocess
import sys
import time
from contextlib import contextmanager

NODES = 3
NODE = {"num_cpus": 1, "memory": 2**30, "object_store_memory": 100 * 2**20}


@contextmanager
def three_nodes():
    from ray.cluster_utils import Cluster

    cluster = Cluster()
    try:
        for _ in range(NODES):
            cluster.add_node(**NODE)
        yield cluster
    finally:
        cluster.shutdown()


def start(words, cluster, work_dir, *, shards):
    """A command whose work three workers of Ray do."""
    scaled = ["--executor", "ray", "--workers", NODES, "--shards", shards, "--work_dir", work_dir]
    scaled += ["--executor_options", "mem_per_cpu_gb=0.5"]
    return subprocess.Popen(
        [sys.executable, "-m", "lrat_hub.cli", *map(str, [*words, *scaled])],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"RAY_ADDRESS": cluster.address},
    )  # fmt: skip


def published_by(process, repo_type):
    """The pin of what a command that ends well has published."""
    from lrat_hub.hub.refs import HubRef

    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    (line,) = (line for line in out.splitlines() if "published:" in line)
    return HubRef.parse(line.split()[-1], repo_type=repo_type)


def lose_a_node(process, cluster, folder, pattern, *, count, whole):
    """Kills a node once some files of a command are there; another takes its place for the tests that follow.

    Args:
        pattern: Of the files, below the folder.
        count, whole: How many files to wait for, and how many there would be at the end.
    """
    wait_for_files(process, folder, pattern, count=count, whole=whole)
    cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
    cluster.add_node(**NODE)


def wait_for_files(process, folder, pattern, *, count, whole):
    while len(list(folder.glob(pattern))) < count and process.poll() is None:
        time.sleep(0.01)
    assert count <= len(list(folder.glob(pattern))) < whole
