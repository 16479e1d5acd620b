"""`lrat mine --executor local`: the pairs of one process, for any number of workers, and when some are killed."""

from dataclasses import replace

import pytest
from datasets import Dataset

from lrat_hub import cli
from lrat_hub.errors import LratError
from lrat_hub.hub.refs import HubRef
from lrat_hub.scaling.work import WorkFolder
from lrat_hub.storage import trajectory_table
from tests.mining.test_bulk import publish, random_runs
from tests.scaling.kills import kill_half_way

pytestmark = pytest.mark.slow

PARTS = 12


@pytest.fixture(scope="module")
def inputs(hub):
    drawn = random_runs(500)
    runs = [
        replace(drawn[n % 500], trajectory_id=f"t{n}", question=f"question {n % 700}") for n in range(1000 * PARTS)
    ]
    documents = [{"docid": f"d{number}", "title": "", "text": f"text {number}"} for number in range(12)]
    corpus = publish(Dataset.from_list(documents), "lrat/executors-corpus", "corpus")
    return publish(trajectory_table(runs), "lrat/executors-runs"), corpus


def words(inputs, *more):
    options = ["--judge", "rule", "--negatives", "tiers", "--validation", "0.2", "--to", "lrat/executors-pairs"]
    return [str(word) for word in ["mine", "--trajectories", inputs[0], "--corpus", inputs[1], *options, *more]]


@pytest.fixture(scope="module")
def whole(inputs):
    return cli.run(words(inputs))


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_any_number_of_workers_mines_what_one_process_does(inputs, whole, tmp_path, workers):
    pytest.importorskip("datatrove")
    assert cli.run(words(inputs, "--executor", "local", "--workers", workers, "--work_dir", tmp_path)) == whole
    assert not list(tmp_path.glob("mine/*"))


@pytest.mark.parametrize(
    ("victim", "files"), [("worker", "mine/*/naive-*.arrow"), ("command", "mine/*/*/pairs-*.arrow")]
)
def test_mining_in_which_a_process_was_killed_goes_on(inputs, whole, tmp_path, monkeypatch, victim, files):
    pytest.importorskip("datatrove")
    scaled = words(inputs, "--executor", "local", "--workers", 2, "--work_dir", tmp_path)
    code, said, times = kill_half_way(scaled, tmp_path, files, count=2, whole=PARTS, victim=victim)
    assert code == (1 if victim == "worker" else -9)
    assert "Traceback" not in said
    # The folder goes when the pairs are published.
    monkeypatch.setattr(WorkFolder, "remove", lambda self: None)
    assert cli.run(scaled) == whole
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_an_executor_is_refused_for_what_it_does_not_do(inputs, tmp_path):
    pairs = HubRef.parse("lrat/executors-pairs", repo_type="dataset")
    with pytest.raises(LratError, match="--executor expects --trajectories"):
        cli.run(["mine", "--rejudge", str(pairs), "--judge", "rule", "--executor", "local", "--to", "lrat/again"])
