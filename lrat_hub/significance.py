"""Intervals for differences between systems that answered the same queries."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 9999
BATCH = 500
"""Resamples held in memory at once."""


@dataclass(frozen=True)
class Interval:
    """A mean difference with its 95 % interval.

    Args:
        low, high: Infinite when there was a single unit, which says nothing of the spread.
        clusters: How many independent units were resampled.
    """

    mean: float
    low: float
    high: float
    clusters: int

    def __str__(self) -> str:
        return f"{self.mean:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


def paired_interval(
    system: Mapping[str, float],
    baseline: Mapping[str, float],
    clusters: Mapping[str, str] | None = None,
    *,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap of the mean difference per query, `system` - `baseline`.

    Args:
        system, baseline: Query id to score, over the same queries.
        clusters: Query id to what it is a part of. Queries of one question stand or fall together, so whole clusters
            are resampled; every query is its own cluster when None.

    Raises:
        ValueError: The two don't cover the same queries, or there are none.
    """
    from scipy.stats import bootstrap

    if not system or system.keys() != baseline.keys():
        raise ValueError(f"Expected scores of the same queries, found {len(system)} and {len(baseline)}.")
    sums: dict[str, list[float]] = {}
    for query_id, score in system.items():
        cluster = clusters[query_id] if clusters else query_id
        sums.setdefault(cluster, []).append(score - baseline[query_id])
    totals = np.array([sum(values) for values in sums.values()])
    counts = np.array([len(values) for values in sums.values()], dtype=np.float64)
    mean = float(totals.sum() / counts.sum())
    if len(totals) == 1:
        return Interval(mean, -math.inf, math.inf, 1)
    if not totals.any():
        return Interval(mean, mean, mean, len(totals))

    def ratio(differences: np.ndarray, sizes: np.ndarray, axis: int) -> np.ndarray:
        return differences.sum(axis=axis) / sizes.sum(axis=axis)

    result = bootstrap(
        (totals, counts), ratio, paired=True, vectorized=True, n_resamples=RESAMPLES, batch=BATCH, method="percentile",
        rng=np.random.default_rng(seed),
    )  # fmt: skip
    low, high = result.confidence_interval
    return Interval(mean, float(low), float(high), len(totals))


def clusters_of(query_ids: Sequence[str], question_ids: Sequence[str | None]) -> dict[str, str]:
    """Query id to the question it came from, or to itself where there is none."""
    return {query: question or query for query, question in zip(query_ids, question_ids, strict=True)}
