"""Two or more systems on the same queries: differences, tests, and who may be called the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lrat_hub.significance.intervals import BATCH, RESAMPLES, Interval, bootstrap_interval, cluster_totals
from lrat_hub.significance.power import ALPHA, detectable_difference


@dataclass(frozen=True)
class Difference(Interval):
    """A mean difference per query with its paired 95 % interval. Printed with signs.

    Args:
        p_value: Of the paired randomisation test, two-sided, not corrected: see `holm`.
        standard_error: Of the mean, over clusters.
        detectable: The smallest true difference that a test of these clusters finds in 80 of 100 such experiments,
            as far as their spread tells; None for a single cluster, or when nothing differs anywhere.
    """

    p_value: float
    standard_error: float
    detectable: float | None

    def __format__(self, spec: str) -> str:
        return super().__format__(spec or "+.3f")


def paired_difference(
    system: Mapping[str, float],
    baseline: Mapping[str, float],
    clusters: Mapping[str, str] | None = None,
    *,
    seed: int = 0,
) -> Difference:
    """Mean difference per query, `system` - `baseline`: bootstrap interval and randomisation test.

    Args:
        system, baseline: Query id to score, over the same queries.
        clusters: Query id to what it is a part of; see `cluster_totals`.

    Raises:
        ValueError: The two don't cover the same queries, or there are none.
    """
    if system.keys() != baseline.keys():
        raise ValueError(f"Expected scores of the same queries, found {len(system)} and {len(baseline)}.")
    totals, counts = cluster_totals(
        {query_id: score - baseline[query_id] for query_id, score in system.items()}, clusters
    )
    interval = bootstrap_interval(totals, counts, seed=seed)
    error = standard_error(totals, counts)
    return Difference(
        interval.mean,
        interval.low,
        interval.high,
        interval.clusters,
        p_value=randomisation_test(totals, seed=seed),
        standard_error=error,
        detectable=detectable_difference(error) if error > 0 else None,
    )


def standard_error(totals: np.ndarray, counts: np.ndarray) -> float:
    """Standard error of a mean over queries in clusters (linearised, for a ratio of sums); 0 for one cluster.

    Args:
        totals, counts: Sum and number of the values in each cluster, shape (clusters,).
    """
    if len(totals) < 2:
        return 0.0
    residuals = totals - totals.sum() / counts.sum() * counts
    return float(np.sqrt(len(totals) / (len(totals) - 1) * (residuals**2).sum()) / counts.sum())


def randomisation_test(differences: np.ndarray, *, seed: int = 0, resamples: int = RESAMPLES) -> float:
    """p-value of the paired randomisation test (Fisher), two-sided.

    If the systems were alike, each difference could as well have had the other sign. The test asks how often random
    signs give a sum as far from 0; with few differences it goes through all signs and is exact.

    Args:
        differences: A number a cluster of queries, shape (clusters,).
    """
    from scipy.stats import permutation_test

    # Differences of 0 are the same with either sign.
    differences = differences[differences != 0]
    if not len(differences):
        return 1.0
    if len(differences) == 1:
        # Either sign is as far from 0; SciPy wants two.
        return 1.0
    result = permutation_test(
        (differences,), lambda values, axis: values.sum(axis=axis), permutation_type="samples", vectorized=True,
        n_resamples=resamples, batch=BATCH, rng=np.random.default_rng(seed),
    )  # fmt: skip
    return float(result.pvalue)


@dataclass(frozen=True)
class McNemar:
    """McNemar's test on questions that one system answers and the other does not.

    Args:
        only_system, only_baseline: Questions that only this one answers.
        exact: p-value of the exact (binomial) test, two-sided: never too small.
        mid_p: Its mid-p version: hardly ever too small, and less timid where few questions are discordant (Fagerland,
            Lydersen and Laake, 2013).
    """

    only_system: int
    only_baseline: int
    exact: float
    mid_p: float


def mcnemar(system: Mapping[str, bool], baseline: Mapping[str, bool]) -> McNemar:
    """McNemar's test of two systems' successes on the same questions.

    Raises:
        ValueError: The two don't cover the same questions, or there are none.
    """
    from scipy.stats import binom, binomtest

    if not system or system.keys() != baseline.keys():
        raise ValueError(f"Expected results of the same questions, found {len(system)} and {len(baseline)}.")
    won = sum(bool(system[query_id]) and not baseline[query_id] for query_id in system)
    lost = sum(bool(baseline[query_id]) and not system[query_id] for query_id in system)
    if won + lost == 0:
        return McNemar(0, 0, 1.0, 1.0)
    fewer, discordant = min(won, lost), won + lost
    mid_p = 2 * binom.cdf(fewer, discordant, 0.5) - binom.pmf(fewer, discordant, 0.5)
    return McNemar(won, lost, float(binomtest(won, discordant).pvalue), min(1.0, float(mid_p)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction: p-values that may each be held against alpha, however many tests there were.

    The chance of any false finding among them stays below alpha, whatever ties the tests together (Holm, 1979).

    Args:
        p_values: Of one family of tests.

    Returns:
        The corrected p-values, in the same order.
    """
    if not all(0 <= value <= 1 for value in p_values):
        raise ValueError(f"Expected p-values from 0 to 1, found {list(p_values)}.")
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        corrected[index] = largest
    return corrected


def clear_winner(
    systems: Mapping[str, Mapping[str, float]],
    clusters: Mapping[str, str] | None = None,
    *,
    alpha: float = ALPHA,
    higher_is_better: bool = True,
    seed: int = 0,
) -> str | None:
    """The system with the best mean when it beats every other one significantly, else None.

    The p-values of the best against each other system are corrected by Holm. This is what a report may print in bold.

    Args:
        systems: Name to query id to score, all over the same queries.
    """
    if len(systems) < 2:
        return None
    sign = 1.0 if higher_is_better else -1.0
    best = max(systems, key=lambda name: sign * sum(systems[name].values()))
    differences = [
        paired_difference(systems[best], scores, clusters, seed=seed)
        for name, scores in systems.items()
        if name != best
    ]
    return best if max(holm([difference.p_value for difference in differences])) < alpha else None
