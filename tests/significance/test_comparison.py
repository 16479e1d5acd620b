"""Statistics: cases worked by hand or in print, rates of error over 1,000 seeds, and power as predicted."""

import re
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

from lrat_hub.significance import (
    clear_winner,
    clear_winners,
    compare,
    compare_with_baseline,
    detectable_difference,
    holm,
    mcnemar,
    mean_interval,
    paired_difference,
    power_of,
    questions_needed,
    randomisation_test,
    wilson_interval,
)

SEEDS = 1_000
CERTAIN = 1e-4
"""Chance that a test on rates fails although all is well."""


def by_query(values):
    return {str(place): float(value) for place, value in enumerate(values)}


def test_wilson_intervals_are_those_in_print():
    """Newcombe (Statistics in Medicine 17, 1998), table I, method 3."""
    for successes, trials, low, high in [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611),
                                         (1, 29, 0.0061, 0.1718)]:  # fmt: skip
        interval = wilson_interval(successes, trials)
        assert (interval.low, interval.high) == pytest.approx((low, high), abs=5e-5)
    with pytest.raises(ValueError, match="3 of 2"):
        wilson_interval(3, 2)


def test_mcnemar_on_discordant_questions_worked_by_hand():
    """One against five: exact 2 (1 + 6) / 64, mid-p half of the observed term less on each side."""
    outcomes = {"only system": (1, 0, 1), "only baseline": (0, 1, 5), "both": (1, 1, 7), "neither": (0, 0, 3)}
    rows = [(name, place, won, lost) for name, (won, lost, n) in outcomes.items() for place in range(n)]
    system = {f"{name} {place}": bool(won) for name, place, won, _ in rows}
    baseline = {f"{name} {place}": bool(lost) for name, place, _, lost in rows}
    result = mcnemar(system, baseline)
    assert (result.only_system, result.only_baseline) == (1, 5)
    assert result.exact == pytest.approx(14 / 64)
    assert result.mid_p == pytest.approx(14 / 64 - 6 / 64)
    assert mcnemar(system, system).exact == mcnemar(system, system).mid_p == 1
    with pytest.raises(ValueError, match="same questions"):
        mcnemar(system, {"both 0": True})


def test_holm_steps_down_and_keeps_the_order():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.9]) == [1, 1]
    assert holm([]) == []


def test_few_differences_are_tested_exactly():
    """Of the 32 choices of signs for 1, 2, 3, 4, 5 only two give a sum as far from 0 as all of one sign."""
    assert randomisation_test(np.array([1.0, 2, 3, 4, 5, 0, 0])) == pytest.approx(2 / 32)


@pytest.mark.slow
def test_a_system_against_itself_is_found_to_differ_at_the_nominal_rate_only():
    """Two runs of one system whose answers vary by chance, as agents' do, in 1,000 seeds."""
    found = {"metric": 0, "success": 0, "success, exact": 0}
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        hardness = rng.random(100)
        scores = rng.beta(1 + 3 * hardness, 1 + 3 * (1 - hardness), size=(2, 100)).round(1)
        found["metric"] += randomisation_test(scores[0] - scores[1], seed=seed, resamples=999) < 0.05
        runs = [
            {str(query): bool(value) for query, value in enumerate(run)} for run in rng.random((2, 100)) < hardness
        ]
        result = mcnemar(*runs)
        found["success"] += result.mid_p < 0.05
        found["success, exact"] += result.exact < 0.05
    assert all(count <= binom.isf(CERTAIN, SEEDS, 0.05) for count in found.values()), found
    # A test that never finds anything would pass the line above.
    assert found["metric"] >= binom.ppf(CERTAIN, SEEDS, 0.04)
    same = by_query(scores[0])
    difference = paired_difference(same, same)
    assert (difference.low, difference.high, difference.p_value, difference.detectable) == (0, 0, 1, None)


@pytest.mark.slow
@pytest.mark.parametrize("power", [0.5, 0.8])
def test_a_planted_difference_is_found_at_the_power_it_predicts(power):
    questions, deviation = 120, 0.3
    error = deviation / np.sqrt(questions)
    planted = detectable_difference(error, power=power)
    assert power_of(planted, error) == pytest.approx(power, abs=1e-3)
    assert questions_needed(planted, deviation, power=power) == questions
    found = 0
    for seed in range(SEEDS):
        differences = np.random.default_rng(seed).normal(planted, deviation, questions)
        found += randomisation_test(differences, seed=seed, resamples=999) < 0.05
    # The normal approximation is a little bolder than the test.
    assert binom.ppf(CERTAIN, SEEDS, power - 0.02) <= found <= binom.isf(CERTAIN, SEEDS, power)


@pytest.mark.slow
def test_intervals_cover_the_truth_at_their_rate():
    """Clustered means, with the bootstrap's known optimism for 60 clusters."""
    covered = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        questions = np.repeat(rng.normal(0.4, 0.2, 60), 3)
        scores = by_query(questions + rng.normal(0, 0.1, 180))
        clusters = {query: str(int(query) // 3) for query in scores}
        interval = mean_interval(scores, clusters, seed=seed)
        covered += interval.low <= 0.4 <= interval.high
    assert binom.ppf(CERTAIN, 300, 0.93) <= covered < 300


def test_a_mean_of_successes_is_a_rate():
    assert mean_interval(by_query([1.0] * 20)) == wilson_interval(20, 20)
    both = {"a1": 1.0, "a2": 1.0, "b1": 1.0, "b2": 0.0, "c1": 0.0, "c2": 0.0}
    clustered = mean_interval(both, {query: query[0] for query in both})
    assert (clustered.mean, clustered.clusters) == (0.5, 3)
    assert clustered != wilson_interval(3, 6)


def test_queries_of_one_question_are_one_unit():
    """Copies of a query add no information: interval, p-value and detectable difference stay as without them."""
    rng = np.random.default_rng(1)
    base = by_query([0.0] * 60)
    system = by_query(rng.random(60) < 0.1)
    copies = {f"{query}-{copy}": query for query in base for copy in range(5)}
    alone = paired_difference(system, base)
    copied = paired_difference(
        {copy: system[query] for copy, query in copies.items()},
        {copy: base[query] for copy, query in copies.items()},
        copies,
    )
    assert copied.clusters == alone.clusters == 60
    assert copied.high - copied.low == pytest.approx(alone.high - alone.low, rel=0.1)
    assert copied.p_value == alone.p_value
    assert copied.detectable == pytest.approx(alone.detectable)


def test_only_a_system_that_beats_all_others_wins():
    rng = np.random.default_rng(2)
    base = rng.random(200)
    systems = {"base": by_query(base), "good": by_query(base + rng.normal(0.1, 0.3, 200))}
    assert clear_winner(systems) == "good"
    assert clear_winner(systems, higher_is_better=False) == "base"
    systems["also good"] = by_query(base + rng.normal(0.1, 0.3, 200))
    assert clear_winner(systems) is None
    assert clear_winner({"alone": systems["base"]}) is None


def test_the_documentation_says_what_they_give():
    text = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")
    snippet = next(part.partition("```")[0] for part in text.split("```python")[1:] if "import clear_winner" in part)
    printed = []
    exec(snippet, {"print": lambda value: printed.append(str(value))})
    assert printed == re.findall(r"^print.*  # ([^:\n]+)", snippet, re.MULTILINE)


def test_figures_print_as_reports_show_them():
    assert str(wilson_interval(50, 100)) == "0.500 [0.404, 0.596]"
    base = by_query([0.0, 0.0, 1.0, 0.0])
    difference = paired_difference(by_query([1.0, 1.0, 1.0, 1.0]), base)
    assert str(difference).startswith("+0.750 [+")
    assert f"{difference:.1f}".startswith("0.8 [")
    with pytest.raises(ValueError, match="same queries"):
        paired_difference(base, {"other": 1.0})
    assert paired_difference({"q": 1.0}, {"q": 0.0}).high == float("inf")


def test_a_family_of_comparisons_is_corrected_together_over_common_items():
    base = by_query([0.0] * 20)
    better = by_query([1.0] * 10 + [0.0] * 10)
    same, gained, none = compare([(base, base), ({**better, "only": 1.0}, base), ({"other": 1.0}, base)])
    assert none is None
    assert (same.p_value, same.corrected, same.gain) == (1, 1, None)
    alone = paired_difference(better, base)
    assert (gained.difference, gained.value, gained.reference) == (alone, 0.5, 0.0)
    assert (gained.p_value, gained.corrected) == (alone.p_value, 2 * alone.p_value)
    (exact,) = compare([(better, base)], successes=True)
    assert exact.p_value == mcnemar(*({q: v > 0 for q, v in side.items()} for side in (better, base))).exact
    assert compare([]) == []


def test_systems_are_compared_with_the_named_baseline():
    systems = {"a": by_query([0.0] * 8), "b": by_query([1.0] * 8), "c": {"elsewhere": 1.0}}
    found = compare_with_baseline(systems, "b")
    assert list(found) == ["a"]
    assert found["a"].difference.mean == -1


def test_winners_of_several_groups_share_one_correction():
    base, good = by_query([0.0] * 6), by_query([1.0] * 6)
    # Six of six differences with one sign: p = 2 / 64, which one further test makes too large.
    assert clear_winners([{"base": base, "good": good}]) == ["good"]
    assert clear_winners([{"base": base, "good": good}, {"x": good, "y": base}]) == [None, None]
    assert clear_winners([{"base": base, "good": good}, {"alone": good}, {"empty": {}, "one": base}]) == [
        "good", None, None,
    ]  # fmt: skip
