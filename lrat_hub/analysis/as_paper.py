"""Figures 4 and 6 with the paper's definitions, where those of the other tables differ, beside its own numbers.

(a) leaves the end of a run out: its two probabilities after a search, or a browse, sum to 1. (b) puts numbers of
evidence documents into bins of two, from 0-1 to 8-9. (c) compares with the curve of people's clicks that the figure
shows. (d) has four bars, by outcome and by kind of document, and none for both at once. Figure 6 has the bins of its
drawing, forty of 44.9 tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from lrat_hub.analysis.runs import Run
from lrat_hub.paper import PaperValue, paper_values
from lrat_hub.significance.pooled import Estimate, rate, ratio

Row = dict[str, Any]

POSITIONS = 10

LAST_BIN = 8
"""The last bin of Figure 4 (b) is 8-9; runs that opened more stand in none."""

FIRST_LENGTH, LENGTH_BIN, LENGTH_BINS = 3.0, 44.9, 40
"""The bins of Figure 6: the shortest length, the width of a bin, and their number, as the drawing shows them."""


def paper_rows(runs: Sequence[Run]) -> list[Row]:
    """A row for each bar and point of Figures 4 and 6, as the paper counts them.

    Returns:
        Rows with `figure`, `group` (an outcome, or a kind of document), `measure`, the value with its interval, the
        paper's own value as `paper` with the interval it draws, if any, and how it was `read`; for positions the
        `reference` of people's clicks.
    """
    judged = [run for run in runs if run.outcome != "unjudged"]
    return [*_transitions(judged), *_accuracy(judged), *_positions(runs), *_lengths(judged), *_distribution(runs)]


def people(position: int) -> float:
    """The share of people's clicks at a rank from 1 to 10 in Figure 4 (c)."""
    return _numbers("4 (c)")["people", f"rank {position}"].value / 100


def _numbers(figure: str) -> dict[tuple[str, str], PaperValue]:
    """The paper's numbers of a figure by group and measure; those of Figure 6 are numbers of browses."""
    return {(value.row, value.column): value for value in paper_values(f"Figure {figure}")}


def _row(
    figure: str, group: str, measure: str, estimate: Estimate | None, reference: float | None = None
) -> list[Row]:
    if estimate is None:
        return []
    numbers = _numbers(figure)
    of_agent = "agent" if figure == "4 (c)" else group
    printed = numbers.get((of_agent, measure))
    theirs: dict[str, float | None] = dict.fromkeys(("paper", "paper_low", "paper_high"))
    if printed:
        scale = sum(number.value for number in numbers.values()) if figure == "6" else printed.scale
        ends = (printed.value, printed.low, printed.high)
        theirs = {name: None if end is None else round(end / scale, 6) for name, end in zip(theirs, ends, strict=True)}
    return [
        {
            "figure": figure,
            "group": group,
            "measure": measure,
            **estimate.to_dict(),
            "reference": reference,
            **theirs,
            "read": printed.read if printed else None,
        }
    ]


def _transitions(judged: Sequence[Run]) -> list[Row]:
    rows = []
    for outcome in ("correct", "incorrect"):
        group = [run for run in judged if run.outcome == outcome]
        for first in "SB":
            for following in "SB":
                parts = []
                for run in group:
                    pairs = list(pairwise(run.actions))
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


def _distribution(runs: Sequence[Run]) -> list[Row]:
    """Shares of browses by length; what is shorter or longer than the paper's bins is in the first or the last."""
    lengths = [
        (run.query_id, browse.reasoning) for run in runs for browse in run.browses if browse.reasoning is not None
    ]
    places = [
        (query_id, min(max(int((length - FIRST_LENGTH) / LENGTH_BIN), 0), LENGTH_BINS - 1))
        for query_id, length in lengths
    ]
    rows = []
    for place, (_, measure) in enumerate(_numbers("6")) if places else ():
        rows += _row("6", "all", measure, rate([(query_id, at == place, 1) for query_id, at in places]))
    return rows
