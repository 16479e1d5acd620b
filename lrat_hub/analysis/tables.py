"""The tables that are published: the figures of every agent, agents compared, outcomes, and what could be used."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from lrat_hub.analysis.actions import Row, distance_rows, outcome_rows, step_rows, summary_rows, transition_rows
from lrat_hub.analysis.as_paper import paper_rows
from lrat_hub.analysis.browses import accuracy_rows, half_life_rows, histogram_rows, length_rows, position_rows
from lrat_hub.analysis.runs import Run, system_labels
from lrat_hub.ledger import Ledger
from lrat_hub.significance import compare

if TYPE_CHECKING:
    from datasets import Dataset

Tables = dict[str, list[Row]]
"""Config name to rows, each with the `agent` it is about."""

COMPARED: dict[str, Callable[[Run], float | None]] = {
    "accuracy": lambda run: None if run.outcome == "unjudged" else float(run.outcome == "correct"),
    "evidence listed": lambda run: run.share_listed,
    "evidence opened": lambda run: run.share_opened,
    "searches": lambda run: float(len(run.searches)),
    "browses": lambda run: float(len(run.browses)),
    "steps": lambda run: float(len(run.actions)),
}
"""The measures that agents are compared in: the value of a run, or None where it is not known."""


TABLES = (
    "agents", "outcomes", "transitions", "accuracy", "positions", "lengths", "half_lives", "histogram", "steps",
    "distances", "as_paper", "comparisons",
)  # fmt: skip
"""The names of the tables that `analyze_runs` makes."""


def analyze_runs(runs: Sequence[Run], *, human: Sequence[float]) -> Tables:
    """Every figure of every agent, and the agents compared; a table without data is empty.

    Args:
        human: Shares of people's clicks by position; see `human_curve`.
    """
    labels = system_labels(run.system for run in runs)
    groups = {label: [run for run in runs if run.system == system] for system, label in labels.items()}
    makers: dict[str, Callable[[Sequence[Run]], list[Row]]] = {
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
        "as_paper": paper_rows,
    }
    tables = {
        name: [{"agent": label, **row} for label, group in groups.items() for row in make(group)]
        for name, make in makers.items()
    }
    return tables | {"comparisons": comparison_rows(groups)}


def comparison_rows(groups: Mapping[str, Sequence[Run]]) -> list[Row]:
    """Each agent minus the first: mean difference per question with its paired interval, and p-values.

    Only questions that both were asked count; several runs of a question count as their mean. `p_value` is that of the
    randomisation test, `p_corrected` Holm's for all rows together.

    Args:
        groups: Label to runs, of each agent.
    """
    (baseline, baseline_runs), *others = groups.items() or [("", ())]
    baseline_means = {measure: _question_means(baseline_runs, value) for measure, value in COMPARED.items()}
    names, pairs = [], []
    for agent, runs in others:
        for measure, value in COMPARED.items():
            means, first = _question_means(runs, value), baseline_means[measure]
            names.append((agent, measure))
            # In the baseline's order, which the resamples of the interval go by.
            pairs.append(({query_id: means[query_id] for query_id in first if query_id in means}, first))
    return [
        {
            "agent": agent,
            "baseline": baseline,
            "measure": measure,
            "value": comparison.difference.mean,
            "low": None if comparison.difference.clusters < 2 else comparison.difference.low,
            "high": None if comparison.difference.clusters < 2 else comparison.difference.high,
            "p_value": comparison.p_value,
            "n": comparison.difference.clusters,
            "questions": comparison.difference.clusters,
            "p_corrected": comparison.corrected,
        }
        for (agent, measure), comparison in zip(names, compare(pairs), strict=True)
        if comparison is not None
    ]


def _question_means(runs: Sequence[Run], value_of: Callable[[Run], float | None]) -> dict[str, float]:
    """Query id to the mean over its runs; questions without a known value are left out."""
    values: dict[str, list[float]] = {}
    for run in runs:
        if (value := value_of(run)) is not None:
            values.setdefault(run.query_id, []).append(value)
    return {query_id: sum(known) / len(known) for query_id, known in values.items()}


def rows_of_agent(tables: Mapping[str, Sequence[Row]], agent: str) -> Tables:
    """The rows of one agent in every table."""
    return {name: [row for row in rows if row["agent"] == agent] for name, rows in tables.items()}


def dataset_of(rows: Sequence[Row]) -> Dataset:
    """Rows as a dataset whose columns have the same types whatever is missing."""
    from datasets import Dataset, Value

    table = Dataset.from_list(list(rows))
    # Limits of intervals, and nothing else, can be missing in every row.
    for name in [name for name, feature in table.features.items() if feature.dtype == "null"]:
        table = table.cast_column(name, Value("float64"))
    return table


def account_of(runs: Sequence[Run]) -> dict[str, Ledger]:
    """How many runs and browses there are, and how many of them some figures can't use, by reason."""
    trajectories, browses = Ledger("trajectories"), Ledger("browses")
    trajectories.keep(len(runs))
    trajectories.note("answer not judged", sum(run.outcome == "unjudged" for run in runs))
    trajectories.note("no judgements of evidence for the question", sum(run.evidence is None for run in runs))
    trajectories.note("without a search or browse", sum(not run.actions for run in runs))
    for browse in (browse for run in runs for browse in run.browses):
        browses.keep()
        browses.note("failed: nothing was opened", int(browse.failed))
        browses.note("of a document that no search before listed", int(browse.position is None and not browse.failed))
        browses.note("of a document that was open before", int(browse.is_repeat))
        browses.note("no message follows: no reasoning after it", int(browse.reasoning is None and not browse.failed))
    return {ledger.item: ledger for ledger in (trajectories, browses)}
