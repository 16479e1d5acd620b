"""Systems compared on the same items: differences, tests, corrections, the winner, and what could have been shown.

`compare` is the one implementation behind every comparison of retrievers, agents and trainings. It knows systems only
as mappings from the id of an item (a query, a question, a trajectory) to a score.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lrat_hub.significance.intervals import (
    BATCH,
    RESAMPLES,
    Interval,
    bootstrap_interval,
    cluster_totals,
    standard_error,
)

ALPHA = 0.05
POWER = 0.8

Scores = Mapping[str, float]
"""Item id to score."""


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
    system: Scores,
    baseline: Scores,
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
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected


@dataclass(frozen=True)
class Comparison:
    """One system against another, on the items that both have a score for.

    Args:
        value, reference: Means of the system and of its baseline over those items.
        difference: `value` - `reference`, with its paired 95 % interval.
        p_value: Of McNemar's exact test for successes, of the paired randomisation test otherwise.
        corrected: The p-value after Holm's correction over all comparisons that were made together.
    """

    value: float
    reference: float
    difference: Difference
    p_value: float
    corrected: float

    @property
    def gain(self) -> float | None:
        """The difference as a share of the baseline's value, as in Table 2 of the paper."""
        return (self.value - self.reference) / self.reference if self.reference else None

    @property
    def detectable(self) -> float | None:
        """The smallest true difference that this number of items would show in 80 of 100 experiments."""
        return self.difference.detectable


def compare(
    pairs: Sequence[tuple[Scores, Scores]],
    clusters: Mapping[str, str] | None = None,
    *,
    successes: bool = False,
    seed: int = 0,
) -> list[Comparison | None]:
    """Compares systems with their baselines, as one family of tests.

    Args:
        pairs: Scores of a system and of its baseline. Only items that both have a score for count.
        clusters: Item id to what it is a part of; see `cluster_totals`.
        successes: Scores are successes (above 0) and failures, which McNemar's exact test compares.

    Returns:
        A comparison for each pair, in the same order; None where the two have no item in common.
    """
    made: list[Comparison | None] = []
    for system, baseline in pairs:
        ours = {item: score for item, score in system.items() if item in baseline}
        if not ours:
            made.append(None)
            continue
        theirs = {item: baseline[item] for item in ours}
        difference = paired_difference(ours, theirs, clusters, seed=seed)
        p_value = difference.p_value
        if successes:
            p_value = mcnemar(*({item: score > 0 for item, score in side.items()} for side in (ours, theirs))).exact
        made.append(Comparison(_mean(ours), _mean(theirs), difference, p_value, p_value))
    corrected = iter(holm([one.p_value for one in made if one is not None]))
    return [None if one is None else replace(one, corrected=next(corrected)) for one in made]


def compare_with_baseline(
    systems: Mapping[str, Scores], baseline: str, clusters: Mapping[str, str] | None = None, *, seed: int = 0
) -> dict[str, Comparison]:
    """Every other system against the baseline, as one family of tests, by name.

    Args:
        systems: Name to item id to score. A system without an item in common with the baseline is left out.
        baseline: Name of the system that the others are compared with.
    """
    others = [name for name in systems if name != baseline]
    made = compare([(systems[name], systems[baseline]) for name in others], clusters, seed=seed)
    return {name: one for name, one in zip(others, made, strict=True) if one is not None}


def clear_winners(
    groups: Sequence[Mapping[str, Scores]],
    clusters: Mapping[str, str] | None = None,
    *,
    higher_is_better: bool = True,
    successes: bool = False,
    alpha: float = ALPHA,
    seed: int = 0,
) -> list[str | None]:
    """In each group the system with the best mean when it beats every other one significantly, else None.

    The p-values of the best against each other system are corrected by Holm, over all groups. This is what a report
    may print in bold.

    Args:
        groups: Each of name to item id to score; systems without any score don't take part.
        successes: See `compare`.
    """
    sign = 1.0 if higher_is_better else -1.0
    groups = [{name: scores for name, scores in group.items() if scores} for group in groups]
    best = [max(group, key=lambda name: sign * _mean(group[name])) if len(group) > 1 else None for group in groups]
    rivals = [
        (number, group[leader], scores)
        for number, (group, leader) in enumerate(zip(groups, best, strict=True))
        if leader is not None
        for name, scores in group.items()
        if name != leader
    ]
    made = compare([(ours, theirs) for _, ours, theirs in rivals], clusters, successes=successes, seed=seed)
    unclear = {
        number
        for (number, *_), one in zip(rivals, made, strict=True)
        if one is None or one.corrected >= alpha or sign * one.difference.mean <= 0
    }
    return [None if number in unclear else leader for number, leader in enumerate(best)]


def clear_winner(
    systems: Mapping[str, Scores],
    clusters: Mapping[str, str] | None = None,
    *,
    alpha: float = ALPHA,
    higher_is_better: bool = True,
    seed: int = 0,
) -> str | None:
    """`clear_winners` of a single group.

    Args:
        systems: Name to query id to score, all over the same queries.
    """
    return clear_winners([systems], clusters, alpha=alpha, higher_is_better=higher_is_better, seed=seed)[0]


def _mean(scores: Scores) -> float:
    return sum(scores.values()) / len(scores)


def detectable_difference(standard_error: float, *, alpha: float = ALPHA, power: float = POWER) -> float:
    """The smallest true difference that a two-sided test finds with the given power: (z_alpha/2 + z_power) x error.

    By the normal approximation, which is good from some 30 questions on.

    Args:
        standard_error: Of the mean difference.
    """
    from scipy.stats import norm

    return float((norm.isf(alpha / 2) + norm.isf(1 - power)) * standard_error)


def power_of(difference: float, standard_error: float, *, alpha: float = ALPHA) -> float:
    """The probability that a two-sided test finds a true difference, by the same approximation."""
    from scipy.stats import norm

    shift, bound = abs(difference) / standard_error, norm.isf(alpha / 2)
    return float(norm.sf(bound - shift) + norm.cdf(-bound - shift))


def questions_needed(difference: float, deviation: float, *, alpha: float = ALPHA, power: float = POWER) -> int:
    """Independent questions for a true difference to be found with the given power.

    Args:
        deviation: Standard deviation of the difference per question. For successes it is at most the root of the share
            of questions that only one of the systems answers.
    """
    return math.ceil((detectable_difference(deviation, alpha=alpha, power=power) / difference) ** 2)
