"""The gate: what it promotes, what it stops and why, that it never decides on missing data, and its level."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

from lrat_hub.errors import LratError
from lrat_hub.evaluation import evaluate_agents, evaluate_retrieval
from lrat_hub.flywheel import Decision, GateSettings, Measured, decide
from lrat_hub.retrieval import Hit
from lrat_hub.schema import Candidate, Step, Trajectory
from lrat_hub.significance import paired_bounds, wilson_interval

QUESTIONS = 100
SETTINGS = GateSettings(rounds=2)


def by_question(values):
    return {f"q{number}": value for number, value in enumerate(values)}


def measured(*, right=60, won=0, lost=0, steps=5.0, found=300, forgot=0, **others):
    """A retriever by its successes: `right` of 100, of which it loses `lost`, and `won` of the others it wins."""
    success = [1.0] * (right - lost) + [0.0] * lost + [1.0] * won + [0.0] * (QUESTIONS - right - won)
    content = [1.0] * (found - forgot) + [0.0] * (500 - found + forgot)
    # Steps differ from question to question, as they do; all of them by the same share.
    figures = {
        "success": by_question(success),
        "steps": by_question(steps * (0.5 + number / QUESTIONS) for number in range(QUESTIONS)),
        "content": by_question(content),
    }
    return Measured(figures | others)


CHAMPION = measured()


def row_of(decision, figure, against="champion"):
    return next(row for row in decision.figures if (row.figure, row.against) == (figure, against))


def test_a_better_challenger_that_costs_and_forgets_nothing_is_promoted():
    decision = decide(SETTINGS, CHAMPION, measured(won=12, lost=2))
    assert decision.promoted
    assert decision.complete
    assert decision.level == SETTINGS.level / 2
    row = row_of(decision, "success")
    assert (row.reference, row.value, row.difference) == pytest.approx((0.60, 0.70, 0.10))
    # McNemar's exact test, one-sided: 12 or more of 14 by chance.
    assert row.p_value == pytest.approx(binom.sf(11, 14, 0.5))
    assert (row.measured, row.asked) == (QUESTIONS, QUESTIONS)
    assert [row.role for row in decision.figures] == ["primary", "limit", "limit"]
    assert decision.reasons[0].startswith("The challenger is better (success rate of the agents: 0.600 to 0.700")


@pytest.mark.parametrize(
    ("challenger", "failed"),
    [
        (measured(), "success"),
        (measured(won=2, lost=12), "success"),
        # Better, but by chance as likely as the level allows or more.
        (measured(won=4), "success"),
        (measured(won=12, lost=2, forgot=40), "content"),
        (measured(won=12, lost=2, steps=5.6), "steps"),
    ],
    ids=["equal", "worse", "not shown", "forgetful", "costly"],
)
def test_a_challenger_is_stopped_by_the_one_test_that_it_fails(challenger, failed):
    decision = decide(SETTINGS, CHAMPION, challenger)
    assert decision.complete
    assert not decision.promoted
    assert [row.figure for row in decision.figures if row.passed is False] == [failed]
    assert len(decision.reasons) == 3
    words = {"success": "not shown to be better", "content": "is possible", "steps": "is possible"}
    assert sum(words[failed] in reason for reason in decision.reasons) == 1


def test_few_questions_do_not_rule_out_a_loss_although_none_was_seen():
    """A check of 60 queries on which nothing changed says less than the limit asks."""
    few = {f"c{number}": float(number % 2) for number in range(60)}
    sides = [Measured({**side.figures, "content": few}) for side in (CHAMPION, measured(won=12, lost=2))]
    decision = decide(SETTINGS, *sides)
    assert not decision.promoted
    row = row_of(decision, "content")
    assert row.difference == 0
    assert row.low < -row.limit


def test_small_losses_do_not_add_up():
    """Each round forgets less than the limit; the start is the reference that notices."""
    start, second, third = measured(), measured(right=70, forgot=6), measured(right=80, forgot=12)
    settings = replace(SETTINGS, limits={"content": 0.03})
    assert decide(settings, start, second, start=start).promoted
    assert decide(settings, second, third).promoted
    decision = decide(settings, second, third, start=start)
    assert not decision.promoted
    assert row_of(decision, "content").passed
    assert row_of(decision, "content", "start").passed is False
    assert "content check since the start" in decision.reasons[-1].lower()


@pytest.mark.parametrize("side", ["champion", "challenger"])
@pytest.mark.parametrize("figure", ["success", "steps", "content"])
def test_missing_data_are_never_decided_on(side, figure):
    sides = {"champion": CHAMPION, "challenger": measured(won=12, lost=2)}
    values = dict(sides[side].figures[figure])
    values["q0"] = None
    sides[side] = Measured({**sides[side].figures, figure: values})
    decision = decide(SETTINGS, **sides)
    assert not decision.promoted
    assert not decision.complete
    assert f"({figure}) of the {side} is known for {len(values) - 1} of {len(values)}" in decision.reasons[0]
    del sides[side].figures[figure]
    decision = decide(SETTINGS, **sides)
    assert (decision.promoted, decision.complete) == (False, False)
    assert "0 of 0" in decision.reasons[0]


def test_other_questions_are_refused():
    other = dict(CHAMPION.figures["success"])
    other["q100"] = other.pop("q0")
    with pytest.raises(LratError, match=r"success of the same held-out questions, found 100 .* 99 of them in both"):
        decide(SETTINGS, CHAMPION, Measured({**CHAMPION.figures, "success": other}))
    with pytest.raises(LratError, match="content of the same held-out questions"):
        decide(
            SETTINGS, CHAMPION, measured(won=12), start=Measured({**CHAMPION.figures, "content": {"a": 1.0, "b": 1.0}})
        )


def test_what_decides_nothing_is_reported():
    others = {"recall@10": by_question(number % 3 / 2 for number in range(QUESTIONS))}
    decision = decide(SETTINGS, measured(**others), measured(won=12, lost=2, **others))
    assert decision.promoted
    row = row_of(decision, "recall@10")
    assert (row.role, row.passed, row.difference) == ("reported", None, 0)


def test_steps_can_be_the_figure_that_has_to_be_better():
    settings = GateSettings(primary="steps", rounds=2, limits={"success": 0.05})
    better = decide(settings, CHAMPION, measured(won=3, steps=4.5))
    assert better.promoted
    assert not decide(settings, CHAMPION, measured(steps=5.5)).promoted


def test_a_promotion_hands_its_level_to_the_next_round_and_rounds_end():
    good, same = measured(won=12, lost=2), measured()
    settings = replace(SETTINGS, rounds=4)
    earlier = []
    for challenger, level in [(same, 1), (good, 1), (good, 2), (same, 3)]:
        earlier.append(decide(settings, CHAMPION, challenger, earlier=earlier))
        assert earlier[-1].level == pytest.approx(level * settings.level / 4)
    with pytest.raises(LratError, match="4 planned rounds"):
        decide(settings, CHAMPION, good, earlier=earlier)
    with pytest.raises(LratError, match="settings of the earlier rounds"):
        decide(replace(settings, level=0.5), CHAMPION, good, earlier=earlier[:1])


def test_a_round_that_lacked_data_has_used_no_level():
    lacking = Measured({name: values for name, values in CHAMPION.figures.items() if name != "steps"})
    earlier = [decide(SETTINGS, CHAMPION, lacking)]
    assert not earlier[0].complete
    for _ in range(2):
        earlier.append(decide(SETTINGS, CHAMPION, CHAMPION, earlier=earlier))
        assert earlier[-1].level == SETTINGS.level / 2


def test_a_decision_is_the_same_after_a_round_trip_through_json():
    decision = decide(SETTINGS, CHAMPION, measured(won=12, lost=2, forgot=40), start=measured(right=50))
    again = Decision.from_dict(json.loads(json.dumps(decision.to_dict(), allow_nan=False)))
    assert again == decision
    # And the next round takes it.
    assert decide(SETTINGS, CHAMPION, CHAMPION, earlier=[again]).complete


@pytest.mark.parametrize(
    "values",
    [{"primary": "luck"}, {"limits": {"luck": 0.1}}, {"limits": {"success": 0.1}}, {"level": 0}, {"rounds": 0},
     {"limits": {"steps": 0.0}}],
    ids=str,
)  # fmt: skip
def test_settings_that_mean_nothing_are_refused(values):
    with pytest.raises(LratError, match=r"Gate: expected .* found"):
        GateSettings(**values)


def test_the_documentation_says_what_the_gate_says():
    text = (Path(__file__).parents[2] / "docs" / "flywheel.md").read_text(encoding="utf-8")
    snippet, after = (part.strip("\n") for part in text.split("```python\n")[1].split("```", 2)[:2])
    printed = []
    exec(snippet, {"print": lambda value: printed.append(str(value))})
    assert printed[0] == "True"
    said = text.split("```text\n")[1].split("```")[0].split("\n")
    assert [line for line in said if line] == printed[1:]
    assert after == ""


def run(query_id, *, correct, answer="a", listed=(), status="completed"):
    search = Step(0, "", "search", ("q",), tuple(Candidate(0, rank + 1, docid) for rank, docid in enumerate(listed)))
    return Trajectory(f"run-{query_id}", query_id, "?", (search,), final_answer=answer, status=status, correct=correct)


def test_figures_are_taken_out_of_evaluations_and_what_is_unknown_stays_unknown():
    runs = [
        run("right", correct=True, listed=["d1"]),
        run("crashed", correct=None, answer=None, status="failed"),
        run("unjudged", correct=None, listed=["d2"]),
    ]
    qrels = {"right": {"d1": 1, "d2": 1}, "missing": {"d1": 1}}
    scores = evaluate_agents(runs, ["right", "crashed", "unjudged", "missing"], qrels)

    class OneHit:
        def search(self, queries, k):
            return [[Hit("d1", 1.0, 1)] for _ in queries]

    alone = evaluate_retrieval(OneHit(), {"right": "?", "missing": "?"}, qrels)
    figures = Measured.of(scores, alone, content=alone, clusters={"right": "both", "missing": "both"}).figures
    assert figures["success"] == {"right": 1.0, "crashed": 0.0, "unjudged": None, "missing": None}
    assert figures["steps"] == {"right": 1, "crashed": 1, "unjudged": 1, "missing": None}
    assert figures["evidence_share"] == {"right": 0.5, "missing": None}
    assert figures["recall@10"] == {"right": 0.5, "missing": 1.0}
    assert figures["content"] == {"both": 0.75}


@pytest.mark.parametrize("confidence", [0.95, 0.998])
@pytest.mark.parametrize(("won", "lost"), [(0, 0.03), (0.0025, 0.0325), (0.01, 0.02), (0.1, 0.13), (0.25, 0.25)])
def test_bounds_of_successes_hold_as_often_as_they_say(won, lost, confidence):
    """Few losses, as in a check for forgetting, are where Student's interval is too narrow."""
    rng = np.random.default_rng(18)
    misses, repetitions = 0, 4_000
    for drawn in rng.choice([1.0, -1.0, 0.0], (repetitions, 500), p=[won, lost, 1 - won - lost]):
        low, high = paired_bounds(drawn, confidence, successes=True)
        misses += low > won - lost
        assert low < high
    # One-sided, and beyond the level only by chance once in 10,000.
    assert misses <= binom.isf(1e-4, repetitions, (1 - confidence) / 2)


def test_bounds_of_successes_are_those_of_tango():
    """Eight of 500 lost, none won, and nothing changed: there they are Wilson's, of eight and of none."""
    for lost in (8, 0):
        differences = np.array([-1.0] * lost + [0.0] * (500 - lost))
        low, _ = paired_bounds(differences, successes=True)
        assert low == pytest.approx(-wilson_interval(lost, 500).high)
    assert paired_bounds(np.array([-1.0] * 5), successes=True) == pytest.approx(
        (-1, 1 - 2 * wilson_interval(5, 5).low)
    )


@pytest.mark.parametrize(("won", "lost"), [(12, 2), (2, 12), (5, 5), (1, 0)])
def test_at_a_bound_the_score_is_the_quantile(won, lost):
    """By its definition, with the constrained maximum of the likelihood looked for on a grid."""
    count = 75
    differences = np.array([1.0] * won + [-1.0] * lost + [0.0] * (count - won - lost))
    low, high = paired_bounds(differences, successes=True)
    for change in (low, high):
        losses = np.linspace(max(0.0, -change), (1 - change) / 2, 200_001)[1:-1]
        wins = losses + change
        likelihood = won * np.log(wins) + lost * np.log(losses) + (count - won - lost) * np.log1p(-wins - losses)
        best = losses[likelihood.argmax()]
        error = math.sqrt(count * (2 * best + change - change**2))
        assert abs(won - lost - count * change) / error == pytest.approx(1.95996, abs=2e-3)


def test_bounds_of_means_are_those_of_student():
    """Worked by hand: four differences with mean 1 and standard deviation sqrt(2 / 3)."""
    low, high = paired_bounds(np.array([0.0, 1.0, 1.0, 2.0]), 0.95)
    reach = 3.182446 * math.sqrt(2 / 3) / 2
    assert (low, high) == pytest.approx((1 - reach, 1 + reach), abs=1e-6)
    assert paired_bounds(np.array([1.0])) == (-math.inf, math.inf)
