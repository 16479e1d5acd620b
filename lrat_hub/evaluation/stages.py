"""Retrievers of several stages, each compared with what it adds a stage to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lrat_hub.evaluation.retrieval import Rows, TaskComparison, difference_columns
from lrat_hub.retrieval.opening import RetrieverName
from lrat_hub.significance import compare, ends


def stages_of(names: Mapping[str, str], retrievers: Mapping[str, str]) -> dict[str, str]:
    """System to the system that it adds a reranker to, where both are compared.

    Args:
        names: What the user gave for a system, to the system's name in tables.
        retrievers: The same for those that are given in the grammar of retrievers.
    """
    stages = {}
    for text, system in retrievers.items():
        name = RetrieverName.parse(text)
        if name.kind == "reranked" and name.parts[0].text in names:
            stages[system] = names[name.parts[0].text]
    return stages


def stage_rows(comparison: TaskComparison, stages: Mapping[str, str]) -> Rows:
    """Config `stages`: a row for each metric and system of several stages, with its difference from the stage before.

    One family of tests is one metric: Holm's correction goes over the systems.

    Args:
        stages: System to the system that it adds a stage to.
    """
    rows = []
    for metric in comparison.metrics:
        values = comparison.of_metric(metric)
        sides = [(values[system], values[first]) for system, first in stages.items()]
        for (system, first), one in zip(stages.items(), compare(sides, comparison.task.clusters), strict=True):
            if one is not None:
                named = {"system": system, "first_stage": first, "metric": metric}
                rows.append({**named, **difference_columns(one), "questions": one.difference.clusters})
    return rows


def stage_table(rows: Iterable[Mapping[str, Any]], metrics: Sequence[str]) -> Rows:
    """Rows of `stage_rows` for people, of a few metrics."""
    return [
        {
            "metric": row["metric"],
            "system": row["system"],
            "stage before": row["first_stage"],
            "difference": f"{row['difference']:+.3f} {ends(row['difference_low'], row['difference_high'], '+.3f')}",
            "p, corrected": f"{row['corrected']:.4f}",
            "detectable": "" if row["detectable"] is None else f"{row['detectable']:.3f}",
        }
        for row in rows
        if row["metric"] in metrics
    ]
