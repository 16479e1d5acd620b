"""Figures pooled over many runs, with 95 % intervals whose units are questions.

Steps of one run, and runs of one question, stand or fall together. So the spread is that between questions: the
linearised standard error of a ratio of sums (Cochran, 1977, section 6.3), which needs no resampling and is the same
every time.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from lrat_hub.significance.intervals import CONFIDENCE, standard_error

WIDEST = 1_000.0
"""An interval that reaches to this many times its figure, as two questions can give, says nothing."""

Part = tuple[str, float, float]
"""A question, and what it adds to the sum above and to the sum below."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % interval.

    Args:
        low, high: None where a single question, or very few, say nothing of the spread.
        n: What the figure is of, such as browses.
        questions: How many independent questions these come from.
    """

    value: float
    low: float | None
    high: float | None
    n: int
    questions: int

    def to_dict(self) -> dict[str, float | int | None]:
        return {"value": self.value, "low": self.low, "high": self.high, "n": self.n, "questions": self.questions}

    def __format__(self, spec: str) -> str:
        spec = spec or ".3f"
        if self.low is None or self.high is None:
            return f"{self.value:{spec}}"
        return f"{self.value:{spec}} [{self.low:{spec}}, {self.high:{spec}}]"

    def __str__(self) -> str:
        return format(self)


def rate(parts: Iterable[Part]) -> Estimate | None:
    """A rate with Wilson's interval, as of fewer trials where those of one question are alike (the design effect).

    With one trial a question it is Wilson's interval itself.

    Args:
        parts: Of each run: its question, successes and trials.

    Returns:
        None when there are no trials.
    """
    totals, counts = _by_question(parts)
    trials = counts.sum()
    if trials == 0:
        return None
    value = float(totals.sum() / trials)
    effective = trials
    independent = value * (1 - value) / (trials - 1) if trials > 1 else 0.0
    if independent > 0 and len(totals) > 1:
        effective = trials / max(1.0, standard_error(totals, counts) ** 2 / independent)
    elif len(totals) < trials:
        # No spread to see the design effect by: count on questions alone.
        effective = len(totals)
    z = _normal_quantile()
    centre = (value + z**2 / (2 * effective)) / (1 + z**2 / effective)
    half = z / (1 + z**2 / effective) * math.sqrt(value * (1 - value) / effective + z**2 / (4 * effective**2))
    low, high = max(0.0, centre - half), min(1.0, centre + half)
    # At the ends the formula gives the value itself, except for rounding.
    return Estimate(value, min(low, value), max(high, value), int(trials), len(totals))


def ratio(parts: Iterable[Part], *, scale: float = 1.0, most: float = math.inf) -> Estimate | None:
    """A ratio of two sums, or a mean, of what is never negative, with Student's t interval over questions.

    The interval is that of the logarithm, so that it stays above 0 with few questions; with many it is the plain one.

    Args:
        parts: Of each run: its question, and what it adds above and below.
        scale: The figure is this many times the ratio.
        most: What it can't exceed.

    Returns:
        None when the sum below is 0.
    """
    totals, counts = _by_question(parts)
    if counts.sum() == 0:
        return None
    value = scale * float(totals.sum() / counts.sum())
    if len(totals) < 2:
        return Estimate(value, None, None, int(counts.sum()), len(totals))
    from scipy.stats import t

    error = scale * standard_error(totals, counts) / value if value else 0.0
    reach = float(t.ppf((1 + CONFIDENCE) / 2, len(totals) - 1)) * error
    if reach > math.log(WIDEST):
        return Estimate(value, None, None, int(counts.sum()), len(totals))
    factor = math.exp(reach)
    return Estimate(value, value / factor, min(value * factor, most), int(counts.sum()), len(totals))


def median(values: Iterable[tuple[str, float]]) -> Estimate | None:
    """A median with Woodruff's interval: the quantiles at the limits of the rate of values that are not above it.

    Args:
        values: A question and a value each.
    """
    pairs = list(values)
    if not pairs:
        return None
    numbers = np.array([value for _, value in pairs], dtype=np.float64)
    middle = float(np.median(numbers))
    # A value that ties with the median is half below it: or the rate would say how many ties there are.
    below = rate((question, 0.5 * (value == middle) + (value < middle), 1) for question, value in pairs)
    if below is None or below.low is None or below.high is None or below.questions < 2:
        return Estimate(middle, None, None, len(pairs), 1)
    # Of the rate only the width counts: its middle is half by definition.
    half = (below.high - below.low) / 2
    low, high = np.quantile(numbers, [max(0.0, 0.5 - half), min(1.0, 0.5 + half)])
    return Estimate(middle, float(low), float(high), len(pairs), below.questions)


def _by_question(parts: Iterable[Part]) -> tuple[np.ndarray, np.ndarray]:
    sums: dict[str, list[float]] = {}
    for question, above, below in parts:
        if below:
            total = sums.setdefault(question, [0.0, 0.0])
            total[0] += above
            total[1] += below
    array = np.array(list(sums.values()), dtype=np.float64).reshape(-1, 2)
    return array[:, 0], array[:, 1]


def _normal_quantile() -> float:
    from scipy.stats import norm

    return float(norm.ppf((1 + CONFIDENCE) / 2))
