"""The profile "released" gives the samples of the authors' code: pairs, order of negatives, lengths and weights."""

import json
import os
from pathlib import Path

import pytest

from lrat_hub import load_trajectories, mine_pairs
from tests.mining.authors import CHECKOUT, REAL, RECORDED, VERDICTS, authors_samples, real_logs, sample, synthetic_logs


class Verdicts:
    """Gives the verdicts that the authors' code was given in the place of its judge's."""

    name, prompt = "fixed", "verdicts"

    def __init__(self, relevant):
        self._relevant = relevant

    def judge(self, pairs):
        return ["relevant" if self._relevant(pair.reasoning) else "irrelevant" for pair in pairs]


def logs_of(name):
    if name == "synthetic":
        return synthetic_logs()
    if not REAL.is_dir():
        pytest.skip("the real trajectories are not beside this checkout")
    return real_logs()


def our_samples(logs, relevant, folder):
    for number, log in enumerate(logs):
        (folder / f"{number}.json").write_text(json.dumps(log))
    runs = [run for number in range(len(logs)) for run in load_trajectories(folder / f"{number}.json")]
    places = {run.trajectory_id: place for place, run in enumerate(runs)}
    assert len(places) == len(logs)
    pairs = mine_pairs(runs, profile="released", judge=Verdicts(relevant), outcomes=["correct", "unjudged"]).pairs
    return [
        sample(
            places[pair.trajectory_id], pair.query, pair.positive_id, pair.negative_ids, pair.reasoning_length,
            pair.verdict == "relevant", pair.weight,
        )
        for pair in pairs
    ]  # fmt: skip


@pytest.mark.parametrize("verdicts", VERDICTS)
@pytest.mark.parametrize("name", ["real", "synthetic"])
def test_the_samples_are_those_that_the_authors_code_gave(name, verdicts, tmp_path):
    recorded = json.loads(RECORDED.read_text())[f"{name}, {verdicts}"]
    assert recorded
    assert our_samples(logs_of(name), VERDICTS[verdicts], tmp_path) == recorded


@pytest.mark.skipif(CHECKOUT not in os.environ, reason=f"{CHECKOUT} names no checkout of the authors' release")
@pytest.mark.parametrize("verdicts", VERDICTS)
def test_the_authors_code_gives_the_same_samples_now(verdicts, tmp_path):
    logs = synthetic_logs(count=300, seed=5)
    theirs = authors_samples(Path(os.environ[CHECKOUT]), logs, VERDICTS[verdicts])
    assert our_samples(logs, VERDICTS[verdicts], tmp_path) == theirs
