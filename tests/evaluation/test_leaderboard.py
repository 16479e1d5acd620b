"""The figures of a submission to BrowseComp-Plus are those that its own script gives."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from lrat_hub.evaluation.browsecomp import submission
from lrat_hub.evaluation.leaderboard import cited_documents
from lrat_hub.evaluation.verdicts import VerdictRow, recorded_verdicts
from tests.evaluation.official import (
    CHECKOUT,
    QUESTIONS,
    RECORDED,
    figures,
    replies_as_verdicts,
    run_official,
    synthetic,
)
from tests.evaluation.runs import run


@pytest.fixture(scope="module")
def recorded():
    return json.loads(RECORDED.read_text())


def test_the_figures_are_those_that_the_official_script_gave(recorded, tmp_path):
    trajectories, replies, qrels = synthetic()
    verdicts = replies_as_verdicts(trajectories, replies, tmp_path)
    files = submission(trajectories, verdicts, QUESTIONS, qrels, agent="an agent", retriever="r")
    assert sum(name.startswith("run_") for name in files) == len(QUESTIONS) >= 800
    assert figures(json.loads(files["evaluation_summary.json"]), json.loads(files["citations.json"])) == recorded


@pytest.mark.skipif(CHECKOUT not in os.environ, reason=f"{CHECKOUT} names no checkout of BrowseComp-Plus")
def test_the_official_script_gives_the_same_figures_now(recorded, tmp_path):
    official, ours = run_official(Path(os.environ[CHECKOUT]), tmp_path)
    assert official == ours == recorded


@pytest.mark.skipif(CHECKOUT not in os.environ, reason=f"{CHECKOUT} names no checkout of BrowseComp-Plus")
def test_the_official_script_gives_the_same_figures_where_confidences_are_equal(recorded, tmp_path):
    official, ours = run_official(Path(os.environ[CHECKOUT]), tmp_path, ties=True)
    assert official == ours
    assert official["Calibration Error (%)"] not in (0, recorded["Calibration Error (%)"])


def test_equal_confidences_are_in_the_bins_that_numpy_sorts_them_into(tmp_path):
    """The script's default sort is unstable: a stable one would give another figure for the same answers."""
    trajectories, replies, qrels = synthetic(ties=True)
    verdicts = replies_as_verdicts(trajectories, replies, tmp_path)
    files = submission(trajectories, verdicts, QUESTIONS, qrels, agent="an agent", retriever="r")
    by_question = {verdict.query_id: verdict for verdict in verdicts if not verdict.recovered}
    judged = [(by_question[name].confidence, by_question[name].correct) for name in QUESTIONS
              if name in by_question and by_question[name].confidence is not None]  # fmt: skip
    confidence, correct = (np.array(side, dtype=float) for side in zip(*judged, strict=True))
    assert len(set(confidence)) < len(confidence) / 10

    def error(order):
        bins = [order[start : start + 100] for start in range(0, len(order), 100) if start + 200 <= len(order)]
        return round(100 * sum(100 / len(order) * (confidence[one].mean() - correct[one].mean()) ** 2
                               for one in bins) ** 0.5, 2)  # fmt: skip

    summary = json.loads(files["evaluation_summary.json"])
    assert summary["Calibration Error (%)"] == error(np.argsort(confidence))


@pytest.mark.parametrize(
    ("answer", "cited"),
    [
        ("So it is [7]. Also [8, 9].", "789"),
        ("【7】 and 【8†L1-L2】", "7812"),
        ("[see 【7】 and [8]]", "78"),
        ("(7) [seven] {8}", ""),
    ],
)
def test_citations_are_numbers_in_brackets(answer, cited):
    assert cited_documents(answer) == set(cited)


def summary_of(trajectories, verdicts, queries=("1", "2", "3")):
    files = submission(
        trajectories, verdicts, queries, {"1": {"a": 1, "c": 1}, "2": {"b": 1}}, agent="m", retriever="r"
    )
    return json.loads(files["evaluation_summary.json"])


def test_answers_that_a_limit_forced_and_questions_without_a_run_count_as_wrong():
    trajectories = [
        run("1", ("a", "b"), "a", correct=True),
        run("1", ("c",), number=1, correct=False),
        run("2", ("b",), status="limited", correct=True),
    ]
    summary = summary_of(trajectories, recorded_verdicts(trajectories))
    assert (summary["Accuracy (%)"], summary["Recall (%)"]) == (33.33, 75.0)
    assert summary["avg_tool_stats"] == {"search": 2 / 3, "get_document": 1 / 3}
    assert summary["per_query_metrics"] == [
        {"query_id": "1", "correct": True, "recall": 50.0},
        {"query_id": "2", "correct": False, "recall": 100.0},
        {"query_id": "3", "correct": False, "recall": None},
    ]


def test_nothing_is_said_of_accuracy_where_nobody_has_judged():
    summary = summary_of([run("1", ("a",))], [])
    assert (
        summary["Accuracy (%)"]
        is summary["Calibration Error (%)"]
        is summary["per_query_metrics"][0]["correct"]
        is None
    )


def test_confidences_are_the_judges_or_the_answers_or_full():
    queries = [str(number) for number in range(200)]

    def calibration(answer, confidence=None):
        runs = [run(query_id, ("a",), answer=answer) for query_id in queries]
        verdicts = [VerdictRow(query_id, "judge", True, confidence=confidence) for query_id in queries]
        return summary_of(runs, verdicts, queries)["Calibration Error (%)"]

    # The last of the two bins is left out, so the distance counts by half.
    assert calibration("x\nConfidence: 60%") == round(100 * (0.4**2 / 2) ** 0.5, 2)
    assert calibration("x\nConfidence: 60%", confidence=0.8) == round(100 * (0.2**2 / 2) ** 0.5, 2)
    assert calibration("x") == 0.0
