"""Figure 4 with the paper's definitions, where those of the other tables differ.

(a) leaves the end of a run out: its two probabilities after a search, or a browse, sum to 1. (b) puts numbers of
evidence documents into bins of two, from 0-1 to 8-9. (c) compares with a curve of people's clicks whose values can be
read off the figure at both ends. (d) has four bars, by outcome and by kind of document, and none for both at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lrat_hub.analysis.runs import Run
from lrat_hub.significance.pooled import Estimate, rate, ratio

Row = dict[str, Any]

POSITIONS = 10
PEOPLE_FIRST, PEOPLE_LAST = 0.20, 0.04
"""Shares of people's clicks at ranks 1 and 10, as Figure 4 (c) shows them; between them a geometric curve."""

LAST_BIN = 8
"""The last bin of Figure 4 (b) is 8-9; runs that opened more stand in none."""


def paper_rows(runs: Sequence[Run]) -> list[Row]:
    """A row for each bar and point of Figure 4, as the paper counts them.

    Returns:
        Rows with `figure`, `group` (an outcome, or a kind of document), `measure`, the value with its interval, and
        for positions the `reference` of people's clicks.
    """
    judged = [run for run in runs if run.outcome != "unjudged"]
    return [*_transitions(judged), *_accuracy(judged), *_positions(runs), *_lengths(judged)]


def people(position: int) -> float:
    """The paper's curve of people's clicks at a rank from 1 to 10."""
    return PEOPLE_FIRST * (PEOPLE_LAST / PEOPLE_FIRST) ** ((position - 1) / (POSITIONS - 1))


def _row(
    figure: str, group: str, measure: str, estimate: Estimate | None, reference: float | None = None
) -> list[Row]:
    if estimate is None:
        return []
    return [{"figure": figure, "group": group, "measure": measure, **estimate.to_dict(), "reference": reference}]


def _transitions(judged: Sequence[Run]) -> list[Row]:
    rows = []
    for outcome in ("correct", "incorrect"):
        group = [run for run in judged if run.outcome == outcome]
        for first in "SB":
            for following in "SB":
                parts = []
                for run in group:
                    pairs = list(zip(run.actions, run.actions[1:], strict=False))
                    parts.append(
                        (run.query_id, pairs.count((first, following)), sum(pair[0] == first for pair in pairs))
                    )
                rows += _row("4 (a)", outcome, f"{first} to {following}", rate(parts))
    return rows


def _accuracy(judged: Sequence[Run]) -> list[Row]:
    rows = []
    for start in range(0, LAST_BIN + 1, 2):
        members = [run for run in judged if run.evidence_opened in (start, start + 1)]
        parts = [(run.query_id, run.outcome == "correct", 1) for run in members]
        rows += _row("4 (b)", "all", f"{start}-{start + 1}", rate(parts))
    return rows


def _positions(runs: Sequence[Run]) -> list[Row]:
    opened = [
        (run.query_id, browse.position)
        for run in runs
        for browse in run.browses
        if browse.position is not None and browse.position <= POSITIONS and not browse.is_repeat
    ]
    rows = []
    for position in range(1, POSITIONS + 1) if opened else ():
        parts = [(query_id, place == position, 1) for query_id, place in opened]
        rows += _row("4 (c)", "all", f"rank {position}", rate(parts), people(position))
    return rows


def _lengths(judged: Sequence[Run]) -> list[Row]:
    browses = [(run, browse) for run in judged for browse in run.browses if browse.reasoning is not None]
    groups = {
        "correct": [(run, browse) for run, browse in browses if run.outcome == "correct"],
        "incorrect": [(run, browse) for run, browse in browses if run.outcome == "incorrect"],
        "evidence": [(run, browse) for run, browse in browses if browse.is_evidence is True],
        "non-evidence": [(run, browse) for run, browse in browses if browse.is_evidence is False],
    }
    rows = []
    for group, members in groups.items():
        parts = [(run.query_id, float(browse.reasoning or 0), 1) for run, browse in members]
        rows += _row("4 (d)", group, "mean length", ratio(parts))
    return rows
