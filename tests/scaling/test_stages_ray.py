"""Stages by `--executor ray` on three nodes in this machine, one of which is killed: the artifacts of one process.

Run by tests/ray_stage.sh, as tests/retrieval/test_index_ray.py.
"""

import pytest

from lrat_hub import cli
from tests.corpora import test_corpus_executors as corpus
from tests.corpora.test_corpus_executors import words  # noqa: F401  (a fixture)
from tests.importers import test_import_executors as importing
from tests.importers.test_import_executors import source  # noqa: F401
from tests.mining import test_mining_executors as mining
from tests.mining.test_mining_executors import inputs  # noqa: F401
from tests.retrieval import test_evaluation_executors as evaluation
from tests.retrieval.conftest import documents, model_folder, published  # noqa: F401
from tests.retrieval.test_evaluation_executors import evaluated  # noqa: F401
from tests.scaling.nodes import lose_a_node, published_by, start, three_nodes

pytest.importorskip("ray")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster():
    with three_nodes() as cluster:
        yield cluster


def on_nodes(command, cluster, folder, pattern, whole):
    process = start(command, cluster, folder, shards=6)
    lose_a_node(process, cluster, folder, pattern, count=2, whole=whole)
    return published_by(process, "dataset")


def test_a_corpus_is_cut(words, cluster, tmp_path):  # noqa: F811
    assert on_nodes(words, cluster, tmp_path, "*/*/chunks-*.arrow", corpus.PARTS) == cli.run(words)


def test_logs_are_imported(source, cluster, tmp_path):  # noqa: F811
    given = importing.words(source)
    assert on_nodes(given, cluster, tmp_path, "import/*/*/part-*", importing.PARTS) == cli.run(given)


def test_trajectories_are_mined(inputs, cluster, tmp_path):  # noqa: F811
    given = mining.words(inputs)
    assert on_nodes(given, cluster, tmp_path, "mine/*/naive-*.arrow", mining.PARTS) == cli.run(given)


def test_a_model_is_evaluated(evaluated, cluster, tmp_path):  # noqa: F811
    found = on_nodes(evaluated, cluster, tmp_path, "*/shard-*.npy", evaluation.NUM_SHARDS)
    assert evaluation.runs_of(found) == evaluation.runs_of(cli.run(evaluated)[0])
