"""The report: every round with its intervals and decision, what was measured of how many, and the pictures of both."""

import io
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.image import imread

from lrat_hub.flywheel import GateSettings, Measured, decide
from lrat_hub.flywheel.feedback import feedback_by_round
from lrat_hub.flywheel.report import (
    RoundResult,
    curve_rows,
    decision_rows,
    draw_rounds,
    feedback_rows,
    report_page,
)
from lrat_hub.significance import wilson_interval
from tests.flywheel.test_feedback import ROUNDS
from tests.flywheel.test_gate import CHAMPION, measured

SETTINGS = GateSettings(rounds=3)


@pytest.fixture(scope="module")
def rounds():
    """A promotion, a challenger that has forgotten, and a round without its steps."""
    good, forgetful = measured(won=12, lost=2), measured(won=14, lost=2, forgot=90)
    lacking = Measured({name: values for name, values in good.figures.items() if name != "steps"})
    results, champion = [RoundResult("start", CHAMPION)], CHAMPION
    for challenger, fed in zip((good, forgetful, lacking), feedback_by_round(ROUNDS, 10), strict=True):
        earlier = [one.decision for one in results if one.decision]
        decision = decide(SETTINGS, champion, challenger, start=CHAMPION, earlier=earlier)
        champion = challenger if decision.promoted else champion
        results.append(RoundResult(fed.round, challenger, decision, fed))
    return results


def test_a_row_for_each_round_with_intervals_and_what_was_decided(rounds):
    rows = curve_rows(rounds)
    assert [row["round"] for row in rows] == ["start", "round-1", "round-2", "round-3"]
    assert [row["decision"] for row in rows] == ["", "promoted", "stopped", "data missing"]
    interval = wilson_interval(70, 100)
    assert rows[1]["success"] == f"70.0 [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"
    assert rows[3]["steps"] == ""
    assert {row["questions"] for row in rows} == {100}
    # Nothing that nobody measured is a column.
    assert list(rows[0]) == ["round", "success", "steps", "content", "questions", "decision"]


def test_every_test_of_every_round_says_of_how_many_it_is(rounds):
    rows = [row for row in decision_rows(rounds) if row["round"] == "round-2"]
    assert [row["test"] for row in rows] == [
        "success", "steps", "content", "steps since the start", "content since the start"
    ]  # fmt: skip
    assert [row["passed"] for row in rows] == ["no", "yes", "no", "yes", "no"]
    assert {row["measured"] for row in rows} == {"100 of 100", "500 of 500"}
    assert rows[2]["needed"] == "loss < 0.030"


def test_feedback_is_told_as_n_of_m(rounds):
    first, second, _ = feedback_rows(rounds)
    assert first["documents listed"] == "4 of 10"
    assert first["listed the round before"] == ""
    assert second["listed the round before"].startswith("1 of 3: 0.33 [")
    assert second["for the first time"] == "2 of 4"


def test_the_page_has_both_pictures_and_every_reason(rounds):
    page = report_page(rounds)
    assert set(page.figures) == {"figures/rounds.png", "figures/feedback.png"}
    for name, content in page.figures.items():
        assert f"]({name})" in page.text
        assert imread(io.BytesIO(content)).shape[2] == 4
    for one in rounds[1:]:
        assert f"**{one.name}: {one.verdict}.**" in page.text
        assert all(reason in page.text for reason in one.decision.reasons)


def test_the_first_round_alone_and_no_feedback_make_a_page(rounds):
    page = report_page(rounds[:1])
    assert set(page.figures) == {"figures/rounds.png"}
    assert "## Decisions" not in page.text
    assert "fed back" not in page.text


def colored(picture, color):
    """Pixels of a colour."""
    wanted = np.array([int(color[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return int((np.abs(imread(io.BytesIO(picture))[..., :3] - wanted) < 0.02).all(axis=2).sum())


def test_what_was_not_promoted_is_marked_and_the_papers_curve_stands_beside_its_own_benchmark_alone(rounds):
    promoted = [replace(one, decision=None) for one in rounds[:2]]
    red, grey = "#d1495b", "#57606a"
    assert colored(draw_rounds(promoted), red) == 0
    assert colored(draw_rounds(rounds[:3]), red) > 50
    assert colored(draw_rounds(promoted, benchmark="other"), grey) < colored(
        draw_rounds(promoted, benchmark="BrowseComp-Plus"), grey
    )
