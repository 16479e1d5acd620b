"""`lrat index --executor local`: the index of one process, for any number of workers, and when some are killed."""

import pytest

from lrat_hub import cli
from tests.retrieval.test_index_stage import NUM_SHARDS, SHARDS, files_of, index_words
from tests.scaling.kills import kill_half_way

pytest.importorskip("datatrove")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def whole(published):
    return cli.run(index_words(published, "lrat/scaled-whole", *SHARDS))


def scaled_words(published, workers, work_dir):
    words = ["--executor", "local", "--workers", str(workers), "--work_dir", str(work_dir), "--keep_work"]
    return index_words(published, "lrat/scaled-index", *SHARDS, *words)


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_any_number_of_workers_makes_the_index_of_one_process(published, whole, tmp_path, workers):
    pin = cli.run(scaled_words(published, workers, tmp_path))
    assert files_of(pin) == files_of(whole)
    (marks,) = tmp_path.glob("*/encoding-*/completions")
    assert len(list(marks.iterdir())) == 4 * workers


@pytest.mark.parametrize("victim", ["worker", "command"])
def test_a_run_in_which_a_process_was_killed_goes_on_with_any_number_of_workers(published, whole, tmp_path, victim):
    words = scaled_words(published, 2, tmp_path)
    code, said, times = kill_half_way(words, tmp_path, "*/shard-*.npy", count=10, whole=NUM_SHARDS, victim=victim)
    if victim == "worker":
        assert code == 1
        (error,) = (line for line in said.splitlines() if line.startswith("error: "))
        assert "one of its workers was killed" in error
        assert "Traceback" not in said
    assert files_of(cli.run(scaled_words(published, 1, tmp_path))) == files_of(whole)
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_shards_that_the_engine_has_marked_and_whose_files_are_gone_are_made_again(published, whole, tmp_path):
    words = scaled_words(published, 1, tmp_path)
    cli.run(words)
    (lost,) = tmp_path.glob("*/shard-000007.npy")
    lost.unlink()
    assert files_of(cli.run(words)) == files_of(whole)
