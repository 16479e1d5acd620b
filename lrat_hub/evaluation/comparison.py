"""A comparison of retrievers: what they are asked, what is measured of the answers, and all of it as rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lrat_hub.evaluation.benchmark import Benchmark
from lrat_hub.evaluation.metrics import Run, score_run
from lrat_hub.significance import Comparison, clear_winner, compare_with_baseline, mean_interval

Values = Mapping[str, Mapping[str, float]]
"""Metric to what it was measured on (a query, a search, a trajectory, a pair) to its value."""

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Task:
    """Something that every system is measured by.

    Args:
        name: In tables. "evidence" and "gold" are the two kinds of judgements, "content" and "titles" the controls,
            "searches" and "pairs" what trajectories and mined pairs are asked for.
        asked: The queries it is about, as a key of the runs: tasks that differ in judgements alone share them.
        measure: What it makes of a run.
        clusters: What values are of, to the question they belong to; whole questions are resampled.
    """

    name: str
    asked: str
    measure: Callable[[Run], Values]
    clusters: Mapping[str, str]

    @classmethod
    def of(cls, name: str, asked: str, benchmark: Benchmark, metrics: Sequence[str]) -> Task:
        """The task of finding what a benchmark's judgements call relevant."""

        def measure(run: Run) -> Values:
            scores = score_run(run, benchmark.qrels, metrics=metrics)
            return {metric: scores.values(metric) for metric in metrics}

        return cls(name, asked, measure, benchmark.clusters)


@dataclass(frozen=True)
class TaskComparison:
    """Systems measured by one task, each against the first of them.

    Args:
        values: System to its values. A metric that has none for any system is left out.
    """

    task: Task
    values: Mapping[str, Values]

    @classmethod
    def of(cls, task: Task, runs: Mapping[str, Run]) -> TaskComparison:
        measured = {system: task.measure(run) for system, run in runs.items()}
        return cls(
            task,
            {
                system: {metric: found for metric, found in values.items() if found}
                for system, values in measured.items()
            },
        )

    @property
    def metrics(self) -> tuple[str, ...]:
        return tuple(next(iter(self.values.values()), ()))

    def of_metric(self, metric: str) -> dict[str, Mapping[str, float]]:
        return {system: values[metric] for system, values in self.values.items()}

    def mean(self, system: str, metric: str) -> float:
        found = self.values[system][metric]
        return sum(found.values()) / len(found)

    def summary(self) -> Rows:
        """A row a system: its mean of every metric."""
        return [
            {"system": system, **{metric: self.mean(system, metric) for metric in self.metrics}}
            for system in self.values
        ]

    def differences(self, metric: str) -> dict[str, Comparison]:
        """Every system but the first, compared with that one.

        One family of tests is one metric of one task: who looks at several metrics should name one beforehand.
        """
        systems = self.of_metric(metric)
        return compare_with_baseline(systems, next(iter(systems)), self.task.clusters)

    def scores(self) -> Rows:
        """A row for each metric and system: its mean with its interval, and its difference from the first system."""
        rows = []
        for metric in self.metrics:
            systems = self.of_metric(metric)
            winner = clear_winner(systems, self.task.clusters)
            differences = self.differences(metric)
            baseline = next(iter(systems))
            for system, scores in systems.items():
                interval = mean_interval(scores, self.task.clusters)
                row = {
                    "task": self.task.name,
                    "metric": metric,
                    "system": system,
                    "mean": interval.mean,
                    "low": interval.low,
                    "high": interval.high,
                    "values": len(scores),
                    "questions": interval.clusters,
                    "best": system == winner,
                    **dict.fromkeys(("baseline", *DIFFERENCE_COLUMNS)),
                }
                if system in differences:
                    row |= {"baseline": baseline, **_difference_columns(differences[system])}
                rows.append(row)
        return rows

    def per_query(self) -> Rows:
        """A row for each system and query, for a task whose values are all of queries."""
        first = self.metrics[0]
        return [
            {
                "system": system,
                "query_id": query_id,
                "question_id": self.task.clusters[query_id],
                **{metric: values[metric][query_id] for metric in self.metrics},
            }
            for system, values in self.values.items()
            for query_id in values[first]
        ]

    def all_values(self) -> Rows:
        """A row for each value of each system."""
        return [
            {"task": self.task.name, "system": system, "metric": metric, "measured_on": name,
             "question_id": self.task.clusters[name], "value": value}
            for system, values in self.values.items()
            for metric, found in values.items()
            for name, value in found.items()
        ]  # fmt: skip


DIFFERENCE_COLUMNS = ("difference", "difference_low", "difference_high", "p_value", "corrected", "detectable")


def _difference_columns(one: Comparison) -> dict[str, Any]:
    difference = one.difference
    values = (difference.mean, difference.low, difference.high, one.p_value, one.corrected, difference.detectable)
    return dict(zip(DIFFERENCE_COLUMNS, values, strict=True))


def comparison_rows(scores: Iterable[Mapping[str, Any]]) -> Rows:
    """Config `comparisons`: those of the rows of `TaskComparison.scores` that are about a difference."""
    return [
        {
            "system": row["system"],
            "baseline": row["baseline"],
            "metric": row["metric"],
            "difference": row["difference"],
            "low": row["difference_low"],
            "high": row["difference_high"],
            "questions": row["questions"],
            **{name: row[name] for name in ("p_value", "corrected", "detectable")},
        }
        for row in scores
        if row["baseline"] is not None
    ]
