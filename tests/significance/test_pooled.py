"""Intervals: Wilson's where every run is a question of its own, and sound where runs of a question are alike."""

import numpy as np
import pytest

from lrat_hub.significance import wilson_interval
from lrat_hub.significance.pooled import Estimate, median, rate, ratio


@pytest.mark.parametrize(("successes", "trials"), [(0, 7), (3, 10), (10, 10), (70, 200)])
def test_with_one_trial_a_question_a_rate_has_wilsons_interval(successes, trials):
    made = rate((f"q{place}", place < successes, 1) for place in range(trials))
    wilson = wilson_interval(successes, trials)
    assert (made.value, made.low, made.high) == pytest.approx((wilson.mean, wilson.low, wilson.high))
    assert (made.n, made.questions) == (trials, trials)


def test_trials_that_are_alike_within_questions_count_as_one_each():
    made = rate((f"q{place % 20}", place % 20 < 8, 1) for place in range(200))
    once = rate((f"q{place}", place < 8, 1) for place in range(20))
    assert made.n == 200
    assert (made.low, made.high) == pytest.approx((once.low, once.high), abs=0.02)
    unanimous = rate((f"q{place % 20}", 1, 1) for place in range(200))
    assert unanimous.low == pytest.approx(rate((f"q{place}", 1, 1) for place in range(20)).low)


def test_nothing_to_count_is_no_figure_and_one_question_has_no_interval_of_a_mean():
    assert rate([]) is None
    assert rate([("q", 0, 0)]) is None
    assert ratio([]) is None
    assert median([]) is None
    assert ratio([("q", 3, 1), ("q", 5, 1)]) == Estimate(4.0, None, None, 2, 1)
    assert median([("q", 3), ("q", 5)]) == Estimate(4.0, None, None, 2, 1)
    assert ratio([("q", 1, 1), ("r", 9, 1)]).low is None
    assert ratio([("q", 0, 1), ("r", 0, 1)]) == Estimate(0.0, 0.0, 0.0, 2, 2)


def test_a_mean_stays_within_what_is_possible():
    made = ratio([("q", 0.1, 1), ("r", 0.9, 1), ("s", 1, 1)], most=1)
    assert 0 < made.low < made.value < made.high == 1


def test_a_median_that_many_values_share_may_still_be_another():
    made = median((f"q{place}", max(0, place - 50)) for place in range(100))
    assert (made.value, made.low) == (0, 0)
    assert made.high > 3


@pytest.mark.parametrize("kind", ["rate", "ratio", "median"])
def test_intervals_hold_in_about_95_of_100_samples_of_runs_in_bunches(kind):
    """Twenty browses of each of sixty questions that differ: intervals over browses would hold in half of them."""
    random = np.random.default_rng(0)
    hits = 0
    for _ in range(300):
        level = random.gamma(2, 1, 60)
        values = random.exponential(level[:, None], (60, 20))
        places = [(f"q{question}", float(value)) for question, row in enumerate(values) for value in row]
        match kind:
            case "rate":
                made, truth = rate((question, value > 2, 1) for question, value in places), RATE
            case "ratio":
                made, truth = ratio((question, value, 1) for question, value in places), 2.0
            case _:
                made, truth = median(places), MEDIAN
        hits += made.low <= truth <= made.high
    assert 0.91 <= hits / 300 <= 0.985


POPULATION = np.random.default_rng(1)
POPULATION = POPULATION.exponential(POPULATION.gamma(2, 1, 1_000_000))
RATE, MEDIAN = float((POPULATION > 2).mean()), float(np.median(POPULATION))
