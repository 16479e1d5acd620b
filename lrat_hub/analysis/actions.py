"""What agents do: Table 1 and Figure 4 (a) of the paper, and how searching goes on step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from lrat_hub.analysis.runs import Run, Search
from lrat_hub.schema import OUTCOMES
from lrat_hub.significance.pooled import Part, median, rate, ratio

Row = dict[str, Any]

ACTIONS = {"S": "search", "B": "browse", "E": "end"}
"""The letters of `Run.actions`, and "E" for the end of a run."""

STEP_BINS = ((1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 7), (8, 10), (11, 15), (16, 25), (26, 50), (51, 100))
"""First and last step of each bin. Fewer runs get to later steps, so their bins are wider."""

LAST_STEP = 10**6
"""The last step of the bin of all steps beyond `STEP_BINS`."""

DISTANCE_BINS = 10


def by_outcome(runs: Sequence[Run]) -> list[tuple[str, list[Run]]]:
    """The runs of each outcome that occurs, and "all" runs where several outcomes occur."""
    groups: dict[str, list[Run]] = {outcome: [] for outcome in OUTCOMES}
    for run in runs:
        groups[run.outcome].append(run)
    present = [(outcome, group) for outcome, group in groups.items() if group]
    return present if len(present) < 2 else [*present, ("all", list(runs))]


def outcome_rows(runs: Sequence[Run]) -> list[Row]:
    """Table 1: runs and their mean searches, browses and steps, by outcome and for all.

    B/S is the ratio of all browses to all searches, as in the paper, and not the mean of the runs' ratios.
    """
    rows = []
    for outcome, group in by_outcome(runs):
        estimates = {
            "searches": ratio((run.query_id, len(run.searches), 1) for run in group),
            "browses": ratio((run.query_id, len(run.browses), 1) for run in group),
            "B/S": ratio((run.query_id, len(run.browses), len(run.searches)) for run in group),
            "steps": ratio((run.query_id, len(run.actions), 1) for run in group),
            "completed": rate((run.query_id, run.status == "completed", 1) for run in group),
        }
        rows += [
            {"outcome": outcome, "measure": measure, **estimate.to_dict()}
            for measure, estimate in estimates.items()
            if estimate
        ]
    return rows


def transition_rows(runs: Sequence[Run]) -> list[Row]:
    """Figure 4 (a): how often a search, and a browse, is followed by a search, by a browse, or by no other step.

    Invalid calls are skipped over. `n` is the number of steps of the first kind.
    """
    return [
        {"outcome": outcome, "after": ACTIONS[first], "next": ACTIONS[following], **estimate.to_dict()}
        for outcome, group in by_outcome(runs)
        for first in "SB"
        for following in "SBE"
        if (estimate := rate((run.query_id, *_transitions(run.actions, first, following)) for run in group))
    ]


def step_rows(runs: Sequence[Run]) -> list[Row]:
    """How searching goes on, by step: new results, documents opened again, queries asked again, and their distance.

    `first` and `last` are the steps that a row is of, counted from 1 among the searches and browses of a run.
    """
    measures: dict[str, Callable[[Run], Iterable[tuple[int, float, float]]]] = {
        "new results": lambda run: ((search.step, search.new, search.listed) for search in run.searches),
        "repeated browses": lambda run: ((browse.step, browse.is_repeat, 1) for browse in run.browses),
        "repeated queries": lambda run: ((search.step, search.is_repeat, 1) for search, _ in _later_searches(run)),
        "query distance": lambda run: ((search.step, distance, 1) for search, distance in _later_searches(run)),
    }
    rows = []
    for outcome, group in by_outcome(runs):
        for measure, parts_of in measures.items():
            estimate_of = partial(ratio, most=1) if measure == "query distance" else rate
            bins: dict[tuple[int, int], list[Part]] = {}
            for run in group:
                for step, numerator, denominator in parts_of(run):
                    bins.setdefault(_bin_of(step), []).append((run.query_id, numerator, denominator))
            rows += [
                {"outcome": outcome, "measure": measure, "first": first, "last": last, **estimate.to_dict()}
                for (first, last), parts in sorted(bins.items())
                if (estimate := estimate_of(parts))
            ]
    return rows


def distance_rows(runs: Sequence[Run]) -> list[Row]:
    """Distances of queries to those of the previous search: the share of searches in each tenth from 0 to 1.

    The last tenth includes 1: no word in common.
    """
    return [
        {"outcome": outcome, "from": tenth / DISTANCE_BINS, "to": (tenth + 1) / DISTANCE_BINS, **estimate.to_dict()}
        for outcome, group in by_outcome(runs)
        for tenth in range(DISTANCE_BINS)
        if (
            estimate := rate(
                (run.query_id, min(int(distance * DISTANCE_BINS), DISTANCE_BINS - 1) == tenth, 1)
                for run in group
                for _, distance in _later_searches(run)
            )
        )
    ]


def summary_rows(runs: Sequence[Run]) -> list[Row]:
    """The measures that agents are compared by, each with its interval."""
    listed = [(run.query_id, run.share_listed, 1) for run in runs if run.share_listed is not None]
    opened = [(run.query_id, run.share_opened, 1) for run in runs if run.share_opened is not None]
    searches = [(run.query_id, search) for run in runs for search in run.searches]
    later = [(run.query_id, search, distance) for run in runs for search, distance in _later_searches(run)]
    browses = [(run.query_id, browse) for run in runs for browse in run.browses]
    estimates = {
        "accuracy": rate((run.query_id, run.outcome == "correct", 1) for run in runs if run.outcome != "unjudged"),
        "evidence listed": ratio(listed, most=1),
        "evidence opened": ratio(opened, most=1),
        "searches": ratio((run.query_id, len(run.searches), 1) for run in runs),
        "browses": ratio((run.query_id, len(run.browses), 1) for run in runs),
        "B/S": ratio((run.query_id, len(run.browses), len(run.searches)) for run in runs),
        "browse after search": rate((run.query_id, *_transitions(run.actions, "S", "B")) for run in runs),
        "new results": rate((query_id, search.new, search.listed) for query_id, search in searches),
        "repeated browses": rate((query_id, browse.is_repeat, 1) for query_id, browse in browses),
        "repeated queries": rate((query_id, search.is_repeat, 1) for query_id, search, _ in later),
        "query distance": ratio(((query_id, distance, 1) for query_id, _, distance in later), most=1),
        "opened at position 1": rate(
            (query_id, browse.position == 1, 1) for query_id, browse in browses if browse.position is not None
        ),
        "reasoning after a browse": median(
            (query_id, browse.reasoning) for query_id, browse in browses if browse.reasoning is not None
        ),
    }
    return [{"measure": measure, **estimate.to_dict()} for measure, estimate in estimates.items() if estimate]


def _transitions(actions: str, first: str, following: str) -> tuple[int, int]:
    """How many actions of a kind are followed by one of another kind, and how many there are."""
    pairs = zip(actions, f"{actions[1:]}E", strict=False)
    return sum(pair == (first, following) for pair in pairs), actions.count(first)


def _later_searches(run: Run) -> list[tuple[Search, float]]:
    """The searches that have one before them, each with its distance to it."""
    return [(search, search.distance) for search in run.searches if search.distance is not None]


def _bin_of(step: int) -> tuple[int, int]:
    return next(((first, last) for first, last in STEP_BINS if step <= last), (STEP_BINS[-1][1] + 1, LAST_STEP))
