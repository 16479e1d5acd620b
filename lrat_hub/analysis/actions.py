"""What agents do: Table 1 and Figure 4 (a) of the paper, and how searching goes on step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from lrat_hub.analysis.runs import Run, Search
from lrat_hub.schema import OUTCOMES
from lrat_hub.significance.pooled import Part, median, rate, ratio

Row = dict[str, Any]

STEP_BINS = ((1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 7), (8, 10), (11, 15), (16, 25), (26, 50), (51, 100))
"""Steps that are looked at together: as runs get rarer, more of them."""


def outcome_rows(runs: Sequence[Run]) -> list[Row]:
    """Table 1: runs and their mean searches, browses and steps, by outcome and for all.

    B/S is the ratio of all browses to all searches, as in the paper, and not the mean of the runs' ratios.
    """
    rows = []
    for outcome, group in by_outcome(runs):
        rows += [
            {"outcome": outcome, "measure": name, **estimate.to_dict()}
            for name, estimate in (
                ("searches", ratio((run.question, run.actions.count("S"), 1) for run in group)),
                ("browses", ratio((run.question, run.actions.count("B"), 1) for run in group)),
                ("B/S", ratio((run.question, run.actions.count("B"), run.actions.count("S")) for run in group)),
                ("steps", ratio((run.question, len(run.actions), 1) for run in group)),
                ("completed", rate((run.question, run.status == "completed", 1) for run in group)),
            )
            if estimate
        ]
    return rows


def transition_rows(runs: Sequence[Run]) -> list[Row]:
    """Figure 4 (a): how often a search, and a browse, is followed by a search, by a browse, or by no other step.

    Invalid calls are skipped over. `n` is how many steps of the first kind there are.
    """
    return [
        {"outcome": outcome, "after": NAMES[first], "next": NAMES[following], **estimate.to_dict()}
        for outcome, group in by_outcome(runs)
        for first in "SB"
        for following in "SBE"
        if (estimate := rate((run.question, *_followed(run.actions, first, following)) for run in group))
    ]


NAMES = {"S": "search", "B": "browse", "E": "end"}


def _followed(actions: str, first: str, following: str) -> tuple[int, int]:
    ended = actions + "E"
    return sum(ended[place : place + 2] == first + following for place in range(len(actions))), actions.count(first)


def step_rows(runs: Sequence[Run]) -> list[Row]:
    """How searching goes on, by step: new results, browses of what was open before, and how queries change.

    `first` and `last` are the steps of a row, 1 for a run's first search or browse.
    """
    measures: dict[str, Callable[[Run], Iterable[tuple[int, float, float]]]] = {
        "new results": lambda run: ((search.step, search.new, search.listed) for search in run.searches),
        "repeated browses": lambda run: ((browse.step, browse.is_repeat, 1) for browse in run.browses),
        "repeated queries": lambda run: ((search.step, search.is_repeat, 1) for search in _later(run)),
        "query distance": lambda run: ((search.step, search.distance, 1) for search in _later(run)),
    }
    rows = []
    for outcome, group in by_outcome(runs):
        for name, parts_of in measures.items():
            estimate = partial(ratio, most=1) if name == "query distance" else rate
            bins: dict[tuple[int, int], list[Part]] = {}
            for run in group:
                for step, above, below in parts_of(run):
                    bins.setdefault(_bin_of(step), []).append((run.question, above, below))
            rows += [
                {"outcome": outcome, "measure": name, "first": first, "last": last, **made.to_dict()}
                for (first, last), parts in sorted(bins.items())
                if (made := estimate(parts))
            ]
    return rows


def _later(run: Run) -> Iterator[Search]:
    """The searches that have one before them."""
    return (search for search in run.searches if search.distance is not None)


def _bin_of(step: int) -> tuple[int, int]:
    return next(((first, last) for first, last in STEP_BINS if step <= last), (STEP_BINS[-1][1] + 1, 10**6))


DISTANCE_BINS = 10


def distance_rows(runs: Sequence[Run]) -> list[Row]:
    """How far a query is from the one before it: the share of searches in each tenth of the distance from 0 to 1.

    The last tenth has its upper end, 1: no word in common.
    """
    return [
        {"outcome": outcome, "from": tenth / DISTANCE_BINS, "to": (tenth + 1) / DISTANCE_BINS, **estimate.to_dict()}
        for outcome, group in by_outcome(runs)
        for tenth in range(DISTANCE_BINS)
        if (
            estimate := rate(
                (run.question, min(int(search.distance * DISTANCE_BINS), DISTANCE_BINS - 1) == tenth, 1)
                for run in group
                for search in _later(run)
            )
        )
    ]


def by_outcome(runs: Sequence[Run]) -> list[tuple[str, list[Run]]]:
    """The runs of each outcome that occurs, and "all" of them where it is not the only one."""
    groups = [(outcome, [run for run in runs if run.outcome == outcome]) for outcome in OUTCOMES]
    groups = [(outcome, group) for outcome, group in groups if group]
    return groups if len(groups) < 2 else [*groups, ("all", list(runs))]


def summary_rows(runs: Sequence[Run]) -> list[Row]:
    """One agent in a few figures, each with its interval: what agents are compared by."""
    judged = [run for run in runs if run.outcome != "unjudged"]
    known = [run for run in runs if run.evidence]
    figures = {
        "accuracy": rate((run.question, run.outcome == "correct", 1) for run in judged),
        "evidence listed": ratio(((run.question, run.evidence_listed / run.evidence, 1) for run in known), most=1),
        "evidence opened": ratio(((run.question, run.evidence_opened / run.evidence, 1) for run in known), most=1),
        "searches": ratio((run.question, len(run.searches), 1) for run in runs),
        "browses": ratio((run.question, len(run.browses), 1) for run in runs),
        "B/S": ratio((run.question, len(run.browses), len(run.searches)) for run in runs),
        "browse after search": rate((run.question, *_followed(run.actions, "S", "B")) for run in runs),
        "new results": rate((run.question, hit.new, hit.listed) for run in runs for hit in run.searches),
        "repeated browses": rate((run.question, hit.is_repeat, 1) for run in runs for hit in run.browses),
        "repeated queries": rate((run.question, hit.is_repeat, 1) for run in runs for hit in _later(run)),
        "query distance": ratio(((run.question, hit.distance, 1) for run in runs for hit in _later(run)), most=1),
        "opened at position 1": rate(
            (run.question, hit.position == 1, 1) for run in runs for hit in run.browses if hit.position is not None
        ),
        "reasoning after a browse": median(
            (run.question, hit.reasoning) for run in runs for hit in run.browses if hit.reasoning is not None
        ),
    }
    return [{"measure": name, **estimate.to_dict()} for name, estimate in figures.items() if estimate]
