"""All figures about trajectories, as the tables that are published."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lrat_hub.analysis.actions import distance_rows, outcome_rows, step_rows, summary_rows, transition_rows
from lrat_hub.analysis.comparison import comparison_rows
from lrat_hub.analysis.evidence import accuracy_rows, half_life_rows, histogram_rows, length_rows
from lrat_hub.analysis.positions import position_rows
from lrat_hub.analysis.runs import Run, system_labels
from lrat_hub.ledger import Ledger

if TYPE_CHECKING:
    from datasets import Dataset

Row = dict[str, Any]
Tables = dict[str, list[Row]]
"""Config name to rows, each with the `agent` it is about."""


def analyze_runs(runs: Sequence[Run], *, human: Sequence[float]) -> Tables:
    """Every figure of every agent; tables that nothing could be said in are empty.

    Args:
        human: Shares of people's clicks by position; see `human_curve`.
    """
    labels = system_labels(run.system for run in runs)
    made: dict[str, Callable[[Sequence[Run]], list[Row]]] = {
        "agents": summary_rows,
        "outcomes": outcome_rows,
        "transitions": transition_rows,
        "accuracy": accuracy_rows,
        "positions": lambda group: position_rows(group, human),
        "lengths": length_rows,
        "half_lives": half_life_rows,
        "histogram": histogram_rows,
        "steps": step_rows,
        "distances": distance_rows,
    }
    tables: Tables = {name: [] for name in made}
    groups = {label: [run for run in runs if run.system == system] for system, label in labels.items()}
    for label, group in groups.items():
        for name, rows_of in made.items():
            tables[name] += [{"agent": label, **row} for row in rows_of(group)]
    return tables | {"comparisons": comparison_rows(groups)}


def dataset_of(rows: Sequence[Row]) -> Dataset:
    """Rows as a dataset whose columns have the same types whatever is missing."""
    from datasets import Dataset, Value

    table = Dataset.from_list(list(rows))
    # Limits of intervals, and nothing else, can be missing in every row.
    for name in [name for name, feature in table.features.items() if feature.dtype == "null"]:
        table = table.cast_column(name, Value("float64"))
    return table


def account_of(runs: Sequence[Run]) -> dict[str, Ledger]:
    """What of the runs could be used: of all runs, of their browses, and of their result lists."""
    ledgers = {name: Ledger(name) for name in ("trajectories", "browses")}
    of_runs, of_browses = ledgers.values()
    of_runs.keep(len(runs))
    of_runs.note("answer not judged", sum(run.outcome == "unjudged" for run in runs))
    of_runs.note("no judgements of evidence for the question", sum(run.evidence is None for run in runs))
    of_runs.note("without a search or browse", sum(not run.actions for run in runs))
    for browse in (browse for run in runs for browse in run.browses):
        of_browses.keep()
        of_browses.note("failed: nothing was opened", int(browse.failed))
        of_browses.note(
            "of a document that no search before listed", int(browse.position is None and not browse.failed)
        )
        of_browses.note("of a document that was open before", int(browse.is_repeat))
        of_browses.note(
            "no message follows: no reasoning after it", int(browse.reasoning is None and not browse.failed)
        )
    return ledgers


def of_agent(tables: Mapping[str, Sequence[Row]], agent: str) -> Tables:
    """The rows of one agent."""
    return {name: [row for row in rows if row["agent"] == agent] for name, rows in tables.items()}
