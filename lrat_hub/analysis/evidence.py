"""What browses are worth: Figures 4 (b), 4 (d) and 6 of the paper."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from lrat_hub.analysis.runs import Run
from lrat_hub.schema import OUTCOMES
from lrat_hub.significance.pooled import Estimate, median, rate, ratio

Row = dict[str, Any]

MOST_EVIDENCE = 8
"""Runs that opened this many evidence documents, or more, are looked at together."""

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
LENGTH_BINS = 40


def accuracy_rows(runs: Sequence[Run]) -> list[Row]:
    """Figure 4 (b): the share of right answers by the number of different evidence documents that were opened.

    Of runs whose answer was judged and whose question has judgements; the last row has `and_more`.
    """
    groups: dict[int, list[Run]] = {}
    for run in runs:
        if run.outcome != "unjudged" and run.evidence_opened is not None:
            groups.setdefault(min(run.evidence_opened, MOST_EVIDENCE), []).append(run)
    return [
        {
            "evidence_opened": opened,
            "and_more": opened == MOST_EVIDENCE,
            **rate((run.question, run.outcome == "correct", 1) for run in group).to_dict(),
        }
        for opened, group in sorted(groups.items())
    ]


def length_rows(runs: Sequence[Run]) -> list[Row]:
    """Figure 4 (d): tokens of the reasoning right after a browse, by outcome of the run and kind of document.

    Mean and median with intervals, and the quantiles of a box.
    """
    rows = []
    for outcome in OUTCOMES:
        for document, wanted in (("evidence", True), ("other", False), ("unknown", None)):
            found = [
                (run.question, browse.reasoning)
                for run in runs
                if run.outcome == outcome
                for browse in run.browses
                if browse.reasoning is not None and browse.is_evidence is wanted
            ]
            if not found:
                continue
            mean = ratio((question, length, 1) for question, length in found)
            middle = median(found)
            quantiles = np.quantile([length for _, length in found], QUANTILES)
            rows.append(
                {
                    "outcome": outcome,
                    "document": document,
                    "mean": mean.value,
                    "mean_low": mean.low,
                    "mean_high": mean.high,
                    "median": middle.value,
                    "median_low": middle.low,
                    "median_high": middle.high,
                    **{
                        f"q{round(100 * at):02d}": float(value) for at, value in zip(QUANTILES, quantiles, strict=True)
                    },
                    "n": len(found),
                    "questions": mean.questions,
                }
            )
    return rows


def half_life_rows(runs: Sequence[Run]) -> list[Row]:
    """The half-life of reasoning lengths, in tokens, by three estimates that agree where lengths decay exponentially.

    The median is beta of Eq. 3. "exponential" is the fit of Eq. 1 by maximum likelihood, ln 2 times the mean. Lengths
    are rarely near 0, though, so "decay" is the fit to what lies beyond their mode, `start`: an exponential forgets
    where it starts. `distance` is the greatest distance between the fitted distribution and the lengths it is fitted
    to (Kolmogorov-Smirnov): 0 fits, 1 does not.
    """
    lengths = _lengths(runs)
    if not lengths:
        return []
    start = mode_of([length for _, length in lengths])
    tail = [(question, length - start) for question, length in lengths if length >= start]
    found = [("median", 0.0, median(lengths), lengths), *(
        (name, begin, ratio(((question, length, 1) for question, length in of), scale=math.log(2)), of)
        for name, begin, of in (("exponential", 0.0, lengths), ("decay", start, tail))
    )]  # fmt: skip
    return [
        {
            "estimate": name,
            "start": begin,
            **estimate.to_dict(),
            "distance": _misfit([length for _, length in of], estimate),
        }
        for name, begin, estimate, of in found
    ]


def histogram_rows(runs: Sequence[Run]) -> list[Row]:
    """Figure 6: how many browses were followed by a reasoning of so many tokens; `to` is not in a row but the last."""
    counts, edges = histogram([length for _, length in _lengths(runs)])
    return [
        {"from": float(low), "to": float(high), "browses": int(count)}
        for low, high, count in zip(edges, edges[1:], counts, strict=False)
    ]


def histogram(lengths: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Counts and edges of equal bins of whole tokens; the last one also has what lies beyond the 99th percentile."""
    if not len(lengths):
        return np.zeros(0, dtype=int), np.zeros(0)
    most = max(1.0, float(np.quantile(lengths, 0.99)))
    width = max(1, math.ceil((most + 1) / LENGTH_BINS))
    edges = np.arange(0, most + width + 1, width, dtype=np.float64)
    counts, _ = np.histogram(np.minimum(lengths, edges[-1]), edges)
    return counts, edges


def mode_of(lengths: Sequence[float]) -> float:
    """The lower edge of the fullest bin: where the decay begins."""
    counts, edges = histogram(lengths)
    # The last bin also holds everything beyond it.
    return float(edges[int(counts[:-1].argmax())]) if len(counts) > 1 else 0.0


def _lengths(runs: Iterable[Run]) -> list[tuple[str, float]]:
    return [(run.question, browse.reasoning) for run in runs for browse in run.browses if browse.reasoning is not None]


def _misfit(lengths: Sequence[float], half_life: Estimate) -> float | None:
    if half_life.value <= 0:
        return None
    from scipy.stats import kstest

    return float(kstest(lengths, "expon", args=(0, half_life.value / math.log(2))).statistic)
