"""Intervals of one system's figures: Wilson's for rates, the bootstrap for means."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.95
RESAMPLES = 9_999
BATCH = 500
"""Resamples held in memory at once."""


@dataclass(frozen=True)
class Interval:
    """A mean or rate with its 95 % interval.

    Printed as `0.430 [0.402, 0.458]`; a format such as `f"{interval:.1f}"` is that of each number.

    Args:
        low, high: Infinite when a mean is of a single unit, which says nothing of the spread.
        clusters: How many independent units it is of.
    """

    mean: float
    low: float
    high: float
    clusters: int

    def __format__(self, spec: str) -> str:
        spec = spec or ".3f"
        return f"{self.mean:{spec}} {ends(self.low, self.high, spec)}"

    def __str__(self) -> str:
        return format(self)


def ends(low: float, high: float, spec: str) -> str:
    """The two ends of an interval in brackets; of a single unit there are none, and that is said."""
    return f"[{low:{spec}}, {high:{spec}}]" if math.isfinite(low) and math.isfinite(high) else "(no interval)"


def wilson_interval(successes: int, trials: int) -> Interval:
    """A rate with Wilson's score interval, which is sound also near 0 and 1 and for few trials.

    Raises:
        ValueError: There are no trials, or more successes than trials.
    """
    from scipy.stats import binomtest

    if trials < 1 or not 0 <= successes <= trials:
        raise ValueError(f"Expected 0 to n successes of n trials, found {successes} of {trials}.")
    low, high = binomtest(successes, trials).proportion_ci(CONFIDENCE, method="wilson")
    return Interval(successes / trials, float(low), float(high), trials)


def mean_interval(
    scores: Mapping[str, float], clusters: Mapping[str, str] | None = None, *, seed: int = 0
) -> Interval:
    """A mean over queries with its percentile bootstrap interval, or a rate with Wilson's.

    It is a rate where every cluster is one query with a score of 0 or 1: there the bootstrap would call a rate of 1
    certain, from however few queries.

    Args:
        scores: Query id to score.
        clusters: Query id to what it is a part of; see `cluster_totals`.

    Raises:
        ValueError: There are no scores.
    """
    totals, counts = cluster_totals(scores, clusters)
    if (counts == 1).all() and np.isin(totals, (0.0, 1.0)).all():
        return wilson_interval(int(totals.sum()), len(totals))
    return bootstrap_interval(totals, counts, seed=seed)


def cluster_totals(
    values: Mapping[str, float], clusters: Mapping[str, str] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Sum and number of the values in each cluster, two float64 arrays of shape (clusters,).

    Args:
        values: Query id to value.
        clusters: Query id to what it is a part of. Queries of one question stand or fall together, so whole clusters
            are the units of every interval and test; every query is its own cluster when None.

    Raises:
        ValueError: There are no values, or one is not finite.
    """
    if not values:
        raise ValueError("Expected at least one query, found none.")
    sums: dict[str, list[float]] = {}
    for query_id, value in values.items():
        sums.setdefault(clusters[query_id] if clusters else query_id, []).append(value)
    totals = np.array([sum(parts) for parts in sums.values()], dtype=np.float64)
    if not np.isfinite(totals).all():
        raise ValueError("Expected finite scores, found others. Score what is missing as 0, or leave it out of both.")
    return totals, np.array([len(parts) for parts in sums.values()], dtype=np.float64)


def bootstrap_interval(totals: np.ndarray, counts: np.ndarray, *, seed: int = 0) -> Interval:
    """The mean over queries with its percentile bootstrap interval, whole clusters resampled.

    Args:
        totals, counts: From `cluster_totals`.
    """
    from scipy.stats import bootstrap

    mean = float(totals.sum() / counts.sum())
    if len(totals) == 1:
        return Interval(mean, -math.inf, math.inf, 1)
    if np.ptp(totals / counts) == 0:
        # All alike: every resample has the same mean, which SciPy warns of.
        return Interval(mean, mean, mean, len(totals))

    def ratio(totals: np.ndarray, counts: np.ndarray, axis: int) -> np.ndarray:
        return totals.sum(axis=axis) / counts.sum(axis=axis)

    result = bootstrap(
        (totals, counts), ratio, paired=True, vectorized=True, n_resamples=RESAMPLES, batch=BATCH,
        confidence_level=CONFIDENCE, method="percentile", rng=np.random.default_rng(seed),
    )  # fmt: skip
    low, high = result.confidence_interval
    return Interval(mean, float(low), float(high), len(totals))


def paired_bounds(
    differences: np.ndarray, confidence: float = CONFIDENCE, *, successes: bool = False
) -> tuple[float, float]:
    """Bounds of a mean paired difference at any confidence, without resampling: Student's t interval.

    For successes it is Tango's score interval (1998): its error is that of the bound, and not one estimated from the
    few that differ, which is too small when chance left some of them out. Successes that are all alike leave some
    doubt.

    Args:
        differences: A number an independent question, shape (questions,).
        successes: They are differences of 0 and 1.
    """
    from scipy.special import ndtri, stdtrit

    count = len(differences)
    if count < 2:
        return -math.inf, math.inf
    if successes:
        won, lost, quantile = int((differences > 0).sum()), int((differences < 0).sum()), ndtri((1 + confidence) / 2)
        return _score_bound(won, lost, count, quantile), -_score_bound(lost, won, count, quantile)
    reach = float(stdtrit(count - 1, (1 + confidence) / 2) * differences.std(ddof=1)) / math.sqrt(count)
    mean = float(differences.mean())
    return mean - reach, mean + reach


def _score_bound(won: int, lost: int, count: int, quantile: float) -> float:
    """The lower bound of Tango's interval: the change at which the score of what was found is the quantile."""
    from scipy.optimize import brentq

    def excess(change: float) -> float:
        # The likeliest share of lost ones, if the change were this.
        linear, product = (2 * count - won + lost) * change - won - lost, lost * change * (1 - change)
        share = (math.sqrt(linear**2 + 8 * count * product) - linear) / (4 * count)
        return won - lost - count * change - quantile * math.sqrt(count * max(0.0, 2 * share + change * (1 - change)))

    # At what was found the score is 0, and where all are alike so is its error: the bound lies below.
    found = (won - lost) / count - 1e-9
    return float(brentq(excess, -1.0, found)) if found > -1 else -1.0  # pyright: ignore[reportArgumentType]


def standard_error(totals: np.ndarray, counts: np.ndarray) -> float:
    """Standard error of a mean over queries in clusters (linearised, for a ratio of sums); 0 for one cluster.

    Args:
        totals, counts: Sum and number of the values in each cluster, shape (clusters,).
    """
    if len(totals) < 2:
        return 0.0
    residuals = totals - totals.sum() / counts.sum() * counts
    return float(np.sqrt(len(totals) / (len(totals) - 1) * (residuals**2).sum()) / counts.sum())


def clusters_of(query_ids: Sequence[str], question_ids: Sequence[str | None]) -> dict[str, str]:
    """Query id to the question it came from, or to itself where there is none."""
    return {query: question or query for query, question in zip(query_ids, question_ids, strict=True)}
