"""Modules for `evaluate`: loaded from their folder and from a Space, and equal to what the library computes."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from lrat_hub import cli
from lrat_hub.errors import LratError
from lrat_hub.significance import wilson_interval
from tests.synthetic import run_of_known_recall

evaluate = pytest.importorskip("evaluate", reason="needs the extra `metrics`")

METRICS = Path(__file__).parents[2] / "eval" / "metrics"


@pytest.fixture(scope="module")
def spaces(hub):
    return cli.run(["eval", "publish-metrics", "--to", "lrat"])


def load(name):
    return evaluate.load(str(METRICS / name))


def test_evidence_recall_finds_what_runs_were_made_with():
    rng = random.Random(0)
    qrels = {str(query): {f"e{n}": 1 for n in range(rng.randint(1, 9))} for query in range(100)}
    made = run_of_known_recall(qrels)
    found = load("evidence_recall").compute(
        predictions=[made.found.get(query, []) for query in qrels] + [["x"]],
        references=[list(grades) for grades in qrels.values()] + [[]],
    )
    assert found == {
        "evidence_any": float(made.any), "evidence_share": pytest.approx(float(made.share)), "questions": 100
    }  # fmt: skip
    with pytest.raises(ValueError, match="at least one question"):
        load("evidence_recall").compute(predictions=[["a"]], references=[[]])


@pytest.mark.parametrize(("right", "questions"), [(0, 7), (3, 4), (41, 830), (5, 5)])
def test_success_rate_has_wilsons_interval(right, questions):
    found = load("success_rate").compute(predictions=[True] * right + [False] * (questions - right))
    expected = wilson_interval(right, questions)
    assert (found["success_rate"], found["low"], found["high"]) == pytest.approx(
        (expected.mean, expected.low, expected.high)
    )
    assert found["questions"] == questions


def test_weighted_pair_accuracy_worked_by_hand():
    """The first pair beats one of two and ties with the other; the second loses; the third has no negatives."""
    metric = load("weighted_pair_accuracy")
    scores, weights = [[0.9, 0.9, 0.1], [0.2, 0.7], [1.0]], [1.5, 0.5, 9.0]
    assert metric.compute(predictions=scores, references=weights) == {
        "weighted_pair_accuracy": pytest.approx((1.5 * 0.75 + 0.5 * 0) / 2),
        "pair_accuracy": pytest.approx(0.375),
        "pairs": 2,
    }
    for wrong in ([0.0, 0.0, 1.0], [-1.0, 3.0, 1.0]):
        with pytest.raises(ValueError, match="weights of 0 or more"):
            metric.compute(predictions=scores, references=wrong)


def test_examples_of_the_docstrings_are_true():
    assert load("evidence_recall").compute(predictions=[["a", "x"], []], references=[["a", "b"], ["c"]]) == {
        "evidence_any": 0.5, "evidence_share": 0.25, "questions": 2
    }  # fmt: skip
    metric = load("weighted_pair_accuracy")
    assert metric.compute(predictions=[[0.9, 0.3, 0.1], [0.2, 0.7]], references=[1.5, 0.5]) == {
        "weighted_pair_accuracy": 0.75, "pair_accuracy": 0.5, "pairs": 2
    }  # fmt: skip


@pytest.mark.slow
def test_they_are_loaded_from_spaces_by_who_knows_nothing_of_this_project(hub, spaces, tmp_path):
    assert {name.split("/")[1] for name in spaces} == {path.name for path in METRICS.iterdir() if path.is_dir()}
    program = """
import evaluate, sys
print(evaluate.load("lrat/success_rate").compute(predictions=[True, False])["success_rate"])
print(evaluate.load("lrat/evidence_recall").compute(predictions=[["a"]], references=[["a", "b"]])["evidence_share"])
print(evaluate.load("lrat/weighted_pair_accuracy").compute(predictions=[[2, 1]], references=[1])["pairs"])
assert not any(name.startswith("lrat_hub") for name in sys.modules)
"""
    environment = os.environ | hub.env | {"HF_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == ["0.5", "0.5", "1"]


def test_publishing_again_changes_nothing_and_other_spaces_are_left_alone(hub, spaces):
    from huggingface_hub import HfApi, SpaceCard

    assert cli.run(["eval", "publish-metrics", "--to", "lrat"]) == spaces
    card = SpaceCard.load("lrat/success_rate")
    assert card.data.sdk == "gradio"
    assert "metric" in card.data.tags
    HfApi().create_repo("other/success_rate", repo_type="space", space_sdk="gradio")
    HfApi().upload_file(path_or_fileobj=b"x", path_in_repo="mine.py", repo_id="other/success_rate", repo_type="space")
    for words, message in (
        (["--to", "other", "--metrics", "success_rate"], "found other files"),
        (["--to", "lrat/success_rate"], "a namespace alone"),
        (["--to", "lrat", "--metrics", "bleu"], "expected some of evidence_recall"),
    ):
        with pytest.raises(LratError, match=message):
            cli.run(["eval", "publish-metrics", *words])
