"""Verdicts apart from runs: judged again without running, and two judges against each other."""

import pytest

from lrat_hub import evaluate_agents
from lrat_hub.evaluation.verdicts import (
    VerdictRow,
    agreement,
    answer_verdicts,
    recorded_verdicts,
    with_verdicts,
)
from lrat_hub.judges.answers import AnswerJudge
from tests.evaluation.runs import run


def test_runs_are_judged_again_without_running_them():
    runs = [
        run("1", answer="The Black Marble", correct=False),
        run("2", answer="I think it is Paris.", correct=True),
        run("3", answer=None, status="failed"),
        run("4.0", answer="Piešťany"),
    ]
    gold = {"1": ("?", "black marble"), "2": ("?", "Paris"), "3": ("?", "x"), "4": ("?", "Piestany"), "5": ("?", None)}
    verdicts = answer_verdicts(AnswerJudge(containment=False), [*runs, run("5"), run("6")], gold)
    assert [(verdict.query_id, verdict.correct, verdict.reason) for verdict in verdicts] == [
        ("1", True, "match"), ("2", False, "mismatch"), ("3", False, "no answer"), ("4", True, "match")
    ]  # fmt: skip
    before, after = evaluate_agents(runs, "1234"), evaluate_agents(with_verdicts(runs, verdicts), "1234")
    assert (before.mean("success"), after.mean("success")) == (1 / 4, 2 / 4)
    # A judge that says nothing of an answer leaves it unjudged, whatever an earlier one said.
    none = with_verdicts(runs, [VerdictRow("1", "other", None)])
    assert [run.correct for run in none] == [None] * 4


def test_agreement_of_two_judges_worked_by_hand():
    def judge(name, verdicts):
        return [VerdictRow(str(place), name, correct, "run") for place, correct in enumerate(verdicts)]

    ours = judge("ours", [True] * 45 + [False] * 15 + [True] * 25 + [False] * 15 + [None, True])
    theirs = judge("theirs", [True] * 45 + [True] * 15 + [False] * 25 + [False] * 15 + [True, None])
    table = agreement(ours, theirs)
    assert [table[name] for name in ("both right", "only other right", "only judge right", "both wrong")] == [
        45, 15, 25, 15
    ]  # fmt: skip
    assert (table["judged by both"], table["agreement"]) == (100, 0.60)
    assert table["kappa"] == pytest.approx(0.1304, abs=5e-5)
    assert agreement(ours, judge("yes", [True] * 100))["kappa"] is None


def test_recorded_verdicts_are_those_of_the_runs():
    runs = [run("1", correct=True), run("2"), run("1.0", number=1, correct=False)]
    assert [(verdict.query_id, verdict.trajectory_id, verdict.correct) for verdict in recorded_verdicts(runs)] == [
        ("1", "1-0", True), ("1", "1.0-1", False)
    ]  # fmt: skip
