"""What agents open and what it is worth to them: Figures 4 (b), 4 (c), 4 (d) and 6 of the paper."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lrat_hub.analysis.runs import Run
from lrat_hub.errors import LratError
from lrat_hub.schema import OUTCOMES
from lrat_hub.significance.pooled import Estimate, median, rate, ratio

Row = dict[str, Any]

MAX_POSITION = 20
"""Highest position with a row of its own; browses further down only count in the denominator."""

MODELLED_POSITIONS = 1_000
"""Longest list for which the shares of people's clicks and of uniform choice are computed; longer ones are cut."""

SHUFFLED_SHARE = 0.5
"""Lists count as shuffled on purpose when more than this share of them is not in the order of the scores."""

AS_SHOWN, BY_SCORE = "as shown", "by the retriever's score"

MAX_EVIDENCE = 8
"""Runs that opened this many evidence documents or more are in one group."""

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
LENGTH_BINS = 40


def were_shuffled(runs: Sequence[Run]) -> bool | None:
    """Whether most lists were shown in another order than the retriever's; None where no scores tell."""
    lists = sum(run.lists for run in runs)
    return sum(run.shuffled for run in runs) / lists > SHUFFLED_SHARE if lists else None


def position_rows(runs: Sequence[Run], human: Sequence[float]) -> list[Row]:
    """Figure 4 (c): the share of browses at each position of the list that the document was opened from.

    Where lists were shuffled, positions as shown say nothing about the documents and so show position bias alone;
    positions by the retriever's score are then the control.

    Args:
        human: Shares of people's clicks by position; see `human_curve`.

    Returns:
        Rows for positions from 1 to the longest list's length, at most 20. `uniform` is the share of browses if all
        positions of a list were opened equally often, `human` if they were clicked as people do: both for lists of
        the same lengths.
    """
    opened = [
        (
            run.query_id,
            browse.length,
            {AS_SHOWN: browse.position, BY_SCORE: browse.position_by_score or browse.position},
        )
        for run in runs
        for browse in run.browses
        if browse.position is not None and browse.length is not None and not browse.is_repeat
    ]
    if not opened:
        return []
    lengths = [min(length, MODELLED_POSITIONS) for _, length, _ in opened]
    uniform, people = expected_shares(lengths, [1.0] * max(lengths)), expected_shares(lengths, human)
    return [
        {
            "order": order,
            "position": position,
            **estimate.to_dict(),
            "uniform": float(uniform[position - 1]),
            "human": float(people[position - 1]),
        }
        for order in ((AS_SHOWN, BY_SCORE) if were_shuffled(runs) else (AS_SHOWN,))
        for position in range(1, min(MAX_POSITION, max(lengths)) + 1)
        if (estimate := rate((query_id, positions[order] == position, 1) for query_id, _, positions in opened))
    ]


def expected_shares(lengths: Sequence[int], weights: Sequence[float]) -> np.ndarray:
    """Share of browses at each position if one document of each list were opened, in proportion to the weights.

    Args:
        lengths: Number of documents in each list.
        weights: Weight of each position, from the top; positions beyond these have a weight of 0.

    Returns:
        Shares of shape (longest list,), which sum to 1.
    """
    longest = max(lengths)
    padded = np.zeros(longest)
    padded[: len(weights)] = weights[:longest]
    shares = np.zeros(longest)
    for length, lists in Counter(lengths).items():
        shares[:length] += lists * padded[:length] / padded[:length].sum()
    return shares / len(lengths)


def distance_to(rows: Sequence[Row], reference: str) -> float:
    """Total variation distance of the shares to a reference ("human" or "uniform"): 0 if equal, 1 if disjoint.

    Args:
        rows: The rows of one order from `position_rows`.
    """
    return 0.5 * sum(abs(row["value"] - row[reference]) for row in rows)


def human_curve(exponent: float = 1.0, clicks: Path | None = None) -> list[float]:
    """Weights of people's clicks by position, from the top.

    Without measured clicks it is the usual model of position bias, (1 / position) ** exponent: the probability that
    people look at a position, who then click with a probability that is the same everywhere. The paper compares with
    Craswell et al. (2008) and does not give that curve in numbers.

    Args:
        exponent: How fast clicks decline with the position; 0 for not at all.
        clicks: A text file of measured clicks in place of the model: one number per line, from the top position on.

    Raises:
        LratError: The exponent is negative, or the file can't be read or has other content.
    """
    if exponent < 0:
        raise LratError(f"Human clicks: expected an exponent of 0 or more, found {exponent:g}.")
    if clicks is None:
        return [position**-exponent for position in range(1, MODELLED_POSITIONS + 1)]
    try:
        shares = [float(line) for line in clicks.read_text(encoding="utf-8").split()]
    except (OSError, ValueError) as error:
        raise LratError(f"Human clicks: expected a file with a number a line; {error}.") from error
    if not shares or not np.isfinite(shares).all() or min(shares) < 0 or shares[0] == 0:
        raise LratError(
            f"{clicks}: expected numbers of clicks from the top position on, none negative, the first above 0."
        )
    return shares


def accuracy_rows(runs: Sequence[Run]) -> list[Row]:
    """Figure 4 (b): the share of right answers by the number of distinct evidence documents that were opened.

    Runs count whose answer was judged and whose question has judgements of evidence. The row with `and_more` is of
    that number and all higher ones.
    """
    groups: dict[int, list[Run]] = {}
    for run in runs:
        if run.outcome != "unjudged" and run.evidence_opened is not None:
            groups.setdefault(min(run.evidence_opened, MAX_EVIDENCE), []).append(run)
    return [
        {
            "evidence_opened": opened,
            "and_more": opened == MAX_EVIDENCE,
            **estimate.to_dict(),
        }
        for opened, group in sorted(groups.items())
        if (estimate := rate((run.query_id, run.outcome == "correct", 1) for run in group))
    ]


def length_rows(runs: Sequence[Run]) -> list[Row]:
    """Figure 4 (d): length of the reasoning right after a browse, by outcome of the run and kind of document.

    A row has the mean and the median with their intervals, and the quantiles that a box plot shows.
    """
    rows = []
    for outcome in OUTCOMES:
        for document, wanted in (("evidence", True), ("other", False), ("unknown", None)):
            lengths = [
                (run.query_id, float(browse.reasoning))
                for run in runs
                if run.outcome == outcome
                for browse in run.browses
                if browse.reasoning is not None and browse.is_evidence is wanted
            ]
            mean, middle = ratio((query_id, length, 1) for query_id, length in lengths), median(lengths)
            if mean is None or middle is None:
                continue
            quantiles = np.quantile([length for _, length in lengths], QUANTILES)
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
                    "n": len(lengths),
                    "questions": mean.questions,
                }
            )
    return rows


def half_life_rows(runs: Sequence[Run]) -> list[Row]:
    """The half-life of reasoning lengths, in tokens, by three estimates that agree where lengths decay exponentially.

    "median" is beta of Eq. 3. "exponential" is the maximum-likelihood fit of Eq. 1, ln 2 times the mean. Lengths near
    0 are rare, though, so "decay" is the fit to the lengths beyond their mode (`start`); an exponential distribution
    is memoryless, so its half-life does not depend on where it starts. `distance` is the Kolmogorov-Smirnov distance
    between the fitted distribution and the lengths it is fitted to: 0 for a perfect fit, at most 1.
    """
    lengths = _lengths(runs)
    if not lengths:
        return []
    mode = mode_of([length for _, length in lengths])
    tail = [(query_id, length - mode) for query_id, length in lengths if length >= mode]
    fits = [("median", 0.0, lengths, median(lengths))]
    for name, start, fitted in (("exponential", 0.0, lengths), ("decay", mode, tail)):
        half_life = ratio(((query_id, length, 1) for query_id, length in fitted), scale=math.log(2))
        fits.append((name, start, fitted, half_life))
    return [
        {
            "estimate": name,
            "start": start,
            **half_life.to_dict(),
            "distance": _misfit([length for _, length in fitted], half_life),
        }
        for name, start, fitted, half_life in fits
        if half_life
    ]


def histogram_rows(runs: Sequence[Run]) -> list[Row]:
    """Figure 6: the number of browses by the length of the reasoning after them.

    A row has lengths of `from` or more and less than `to`; the last row also has all longer ones.
    """
    counts, edges = histogram([length for _, length in _lengths(runs)])
    return [
        {"from": float(low), "to": float(high), "browses": int(count)}
        for low, high, count in zip(edges, edges[1:], counts, strict=False)
    ]


def histogram(lengths: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Counts of shape (bins,) and edges of shape (bins + 1,), in bins of the same whole number of tokens.

    The last bin also counts the lengths beyond the 99th percentile.
    """
    if not len(lengths):
        return np.zeros(0, dtype=int), np.zeros(0)
    longest = max(1.0, float(np.quantile(lengths, 0.99)))
    width = max(1, math.ceil((longest + 1) / LENGTH_BINS))
    edges = np.arange(0, longest + width + 1, width, dtype=np.float64)
    counts, _ = np.histogram(np.minimum(lengths, edges[-1]), edges)
    return counts, edges


def mode_of(lengths: Sequence[float]) -> float:
    """The lower edge of the fullest bin but the last: where the decay begins."""
    counts, edges = histogram(lengths)
    # The last bin also holds everything beyond it.
    return float(edges[int(counts[:-1].argmax())]) if len(counts) > 1 else 0.0


def _lengths(runs: Iterable[Run]) -> list[tuple[str, float]]:
    """Query id and length of each reasoning that follows a browse."""
    return [(run.query_id, browse.reasoning) for run in runs for browse in run.browses if browse.reasoning is not None]


def _misfit(lengths: Sequence[float], half_life: Estimate) -> float | None:
    """Kolmogorov-Smirnov distance to the exponential distribution of this half-life; None for a half-life of 0."""
    if half_life.value <= 0:
        return None
    from scipy.stats import kstest

    return float(kstest(lengths, "expon", args=(0, half_life.value / math.log(2))).statistic)
