"""`lrat corpus --chunk_tokens 20 --executor local`: the chunks of one process, and when a worker is killed."""

import json
import random

import pytest

from lrat_hub import cli
from lrat_hub.corpora.documents import PART_DOCUMENTS
from lrat_hub.errors import LratError
from lrat_hub.hub.inputs import load_table
from tests.scaling.kills import kill_half_way

pytestmark = pytest.mark.slow

PARTS = 20


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    rng, folder = random.Random(0), tmp_path_factory.mktemp("documents")
    with (folder / "documents.jsonl").open("w") as file:
        for number in range(PARTS * PART_DOCUMENTS):
            # Some are copies of others, and one id comes twice with another text.
            docid, text = f"d{number % 20_000}", " ".join(rng.choices("abcdefgh", k=rng.randint(1, 90)))
            file.write(json.dumps({"docid": docid, "title": f"T{number}", "text": text}) + "\n")
    return ["corpus", "--documents", str(folder), "--chunk_tokens", "20", "--to", "lrat/executors-chunks"]


@pytest.fixture(scope="module")
def whole(words):
    pin = cli.run(words)
    assert len(load_table(pin, "corpus", config="corpus")) > 40_000
    return pin


def scaled(words, workers, work_dir):
    return [*words, "--executor", "local", "--workers", str(workers), "--work_dir", str(work_dir)]


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_any_number_of_workers_cuts_as_one_process_does(words, whole, tmp_path, workers):
    pytest.importorskip("datatrove")
    assert cli.run(scaled(words, workers, tmp_path)) == whole


def test_a_run_in_which_a_worker_was_killed_goes_on(words, whole, tmp_path):
    pytest.importorskip("datatrove")
    code, said, _ = kill_half_way(
        scaled(words, 2, tmp_path), tmp_path, "*/*/chunks-*.arrow", count=2, whole=PARTS, victim="worker"
    )
    assert code == 1
    assert "one of its workers was killed" in said
    assert cli.run(scaled(words, 2, tmp_path)) == whole


def test_an_executor_that_would_have_nothing_to_do_is_refused(words, tmp_path):
    with pytest.raises(LratError, match="found no --chunk_tokens"):
        cli.run([word for word in scaled(words, 2, tmp_path) if word not in ("--chunk_tokens", "20")])
