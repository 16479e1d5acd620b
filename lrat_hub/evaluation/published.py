"""Published evaluations, read back: everything that a report says is made from these rows alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lrat_hub.errors import LratError
from lrat_hub.evaluation.costs import SearchCost
from lrat_hub.evaluation.seen import seen_text
from lrat_hub.evaluation.systems import (
    AgentSystem,
    RetrieverComparison,
    compare_retrievers,
    per_query_features,
    per_query_rows,
    require_distinct,
    summary_rows,
    systems_of,
)
from lrat_hub.hub.inputs import LocalSource, Source, load_split
from lrat_hub.hub.lineage import read_lineage
from lrat_hub.hub.refs import HubRef
from lrat_hub.significance import Comparison, Interval, compare_with_baseline, mean_interval
from lrat_hub.storage import rows_of

if TYPE_CHECKING:
    from datasets import Dataset

LONG_HASH = re.compile(r"([0-9a-f]{7})[0-9a-f]{33,}")
"""A commit sha or digest, of which tables show the first digits."""

RETRIEVAL_METRICS = ("recall@1", "recall@5", "recall@10", "recall@100", "ndcg@10", "mrr@10")
"""Metrics of retrievers that reports show; the others stay in the rows."""

NAMES = ("benchmark", "task", "system", "query_id", "question_id")
"""Columns of per-query rows about retrievers that are no metrics."""

EVIDENCE, OPENED = "evidence", "opened"
"""The task of finding what judgements call relevant, and its stand-in without any: finding what agents opened. Other
tasks are controls and more: see `lrat eval retrieval`."""

MAIN_TASKS = (EVIDENCE, OPENED)


@dataclass(frozen=True)
class RetrievalResults:
    """Retrievers alone on one benchmark, measured by one task.

    Args:
        scores: System to metric to query id to score; a metric is over the same queries for all systems.
        clusters: Query id (or what else is measured) to the question it came from.
        baseline: The system that others are compared with.
        costs: System to what a search with the queries cost, where that was measured.
        seen: System to what its training has seen of the benchmark, in words.
    """

    name: str
    task: str
    scores: Mapping[str, Mapping[str, Mapping[str, float]]]
    clusters: Mapping[str, str]
    baseline: str
    costs: Mapping[str, SearchCost] = field(default_factory=dict)
    seen: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def shown(self) -> list[str]:
        """The metrics that tables and figures show, of those that were measured."""
        measured = self.scores[self.baseline]
        return [metric for metric in RETRIEVAL_METRICS if metric in measured] or list(measured)

    @cached_property
    def intervals(self) -> dict[str, dict[str, Interval]]:
        """System to shown metric to its mean with its 95 % interval."""
        return {
            system: {metric: mean_interval(scores[metric], self.clusters) for metric in self.shown}
            for system, scores in self.scores.items()
        }

    @cached_property
    def comparisons(self) -> dict[str, dict[str, Comparison]]:
        """Shown metric to system to its comparison with the baseline; Holm's correction is metric by metric."""
        return {
            metric: compare_with_baseline(
                {system: scores[metric] for system, scores in self.scores.items()}, self.baseline, self.clusters
            )
            for metric in self.shown
        }

    @cached_property
    def differences(self) -> dict[str, dict[str, Interval]]:
        """System to shown metric to its difference from the baseline."""
        return {
            system: {metric: compared[system].difference for metric, compared in self.comparisons.items()}
            for system in self.scores
            if system != self.baseline
        }

    def rows(self) -> list[dict[str, Any]]:
        """A row for each system and query."""
        return [
            {
                "benchmark": self.name,
                "task": self.task,
                "system": system,
                "query_id": query_id,
                "question_id": question_id,
                **{metric: values.get(query_id) for metric, values in metrics.items()},
            }
            for system, metrics in self.scores.items()
            for query_id, question_id in self.clusters.items()
        ]


@dataclass
class Evaluations:
    """Everything that one report is about.

    Args:
        retrieval: Retrievers alone, an entry a benchmark.
        cells: Retrievers inside agents.
        baselines: Retriever to the one it is compared with; the first of its group where it is missing.
        agreements: Rows about two judges of the same answers.
    """

    retrieval: list[RetrievalResults] = field(default_factory=list)
    cells: list[AgentSystem] = field(default_factory=list)
    baselines: dict[str, str] = field(default_factory=dict)
    agreements: list[dict[str, Any]] = field(default_factory=list)

    def add(self, source: Source) -> None:
        """Reads what `lrat eval retrieval`, `lrat eval agents` or `lrat eval report` has published.

        Raises:
            LratError: It is something else, or a cell is there already.
        """
        configs = _configs(source)
        if "per_query" not in configs and "retrieval" not in configs:
            raise LratError(
                f"{source}: expected an evaluation that lrat eval has published, found configs {', '.join(configs)}."
            )

        def rows(config: str) -> Iterable[dict[str, Any]]:
            return rows_of(_config(source, config)) if config in configs else []

        if "retrieval" in configs:
            baselines = {(row["benchmark"], row["task"]): row["baseline"] for row in rows("retrieval_baselines")}
            costs = _grouped(rows("retrieval_costs"), "benchmark")
            seen = _grouped(rows("retrieval_seen"), "benchmark")
            for (name, task), table in _grouped(rows("retrieval"), "benchmark", "task").items():
                of_main = [found.get((name,), ()) if task in MAIN_TASKS else () for found in (costs, seen)]
                self.retrieval.append(_retrieval(name, task, table, baselines[name, task], *of_main))
        if "per_query" not in configs:
            return
        per_query = _config(source, "per_query")
        if "outcome" in per_query.column_names:
            self.cells += systems_of(rows_of(per_query), rows("summary"))
            require_distinct(self.cells)
            self.baselines |= {row["retriever"]: row["baseline"] for row in rows("comparisons")}
            self.agreements += rows("agreement")
        else:
            name, first = _benchmark_of(source), per_query[0]["system"]
            # The first task is the one whose values are of queries.
            task = next((row["task"] for row in rows("scores")), EVIDENCE)
            counts = _counts_of(source)
            # Times differ from run to run, unlike an evaluation's rows, so that its lineage alone has them.
            costs = [{"system": system, **cost} for system, cost in counts.get("costs", {}).items()]
            seen = [{"system": row["system"], "text": seen_text(row)} for row in counts.get("seen", ())]
            self.retrieval.append(_retrieval(name, task, rows_of(per_query), first, costs, seen))
            for (task,), table in _grouped(rows("values"), "task").items():
                values = (
                    {column: row[column] for column in ("system", "question_id")}
                    | {"query_id": row["measured_on"], row["metric"]: row["value"]}
                    for row in table
                )
                self.retrieval.append(_retrieval(name, task, values, first))

    def rename(self, names: Mapping[str, str]) -> None:
        """Gives systems and retrievers the names that a report calls them by.

        Raises:
            LratError: A name is of nothing that is here, or two systems would have one.
        """
        known = {cell.retriever for cell in self.cells} | {name for one in self.retrieval for name in one.scores}
        if unknown := [name for name in names if name not in known]:
            raise LratError(f"Names: expected those of {', '.join(sorted(known))}; found {unknown[0]!r}.")
        self.cells = [replace(cell, retriever=names.get(cell.retriever, cell.retriever)) for cell in self.cells]
        require_distinct(self.cells)
        self.baselines = {names.get(a, a): names.get(b, b) for a, b in self.baselines.items()}
        for index, one in enumerate(self.retrieval):
            scores = {names.get(system, system): metrics for system, metrics in one.scores.items()}
            if len(scores) < len(one.scores):
                raise LratError("Names: expected one of its own for each system, found one name for two.")
            costs = {names.get(system, system): cost for system, cost in one.costs.items()}
            baseline = names.get(one.baseline, one.baseline)
            seen = {names.get(system, system): text for system, text in one.seen.items()}
            self.retrieval[index] = replace(one, scores=scores, baseline=baseline, costs=costs, seen=seen)

    def comparisons(self) -> list[RetrieverComparison]:
        """Each retriever inside an agent against its baseline."""
        return compare_retrievers(self.cells, self.baselines)

    def tables(self) -> dict[str, Dataset]:
        """All rows by config, from which `add` makes the same again."""
        from datasets import Dataset

        tables: dict[str, Dataset] = {}
        if self.cells:
            comparisons = self.comparisons()
            tables["summary"] = Dataset.from_list(summary_rows(self.cells))
            if comparisons:
                tables["comparisons"] = Dataset.from_list([one.to_dict() for one in comparisons])
            tables["per_query"] = Dataset.from_list(per_query_rows(self.cells), features=per_query_features())
        if self.retrieval:
            tables["retrieval"] = Dataset.from_list([row for one in self.retrieval for row in _aligned(one, self)])
            tables["retrieval_baselines"] = Dataset.from_list(
                [{"benchmark": one.name, "task": one.task, "baseline": one.baseline} for one in self.retrieval]
            )
            costs = [
                {"benchmark": one.name, "system": system, **cost.to_dict()}
                for one in self.retrieval
                for system, cost in one.costs.items()
            ]
            if costs:
                tables["retrieval_costs"] = Dataset.from_list(costs)
            seen = [
                {"benchmark": one.name, "system": system, "text": text}
                for one in self.retrieval
                for system, text in one.seen.items()
            ]
            if seen:
                tables["retrieval_seen"] = Dataset.from_list(seen)
        if self.agreements:
            tables["agreement"] = Dataset.from_list(self.agreements)
        return tables


def _aligned(one: RetrievalResults, evaluations: Evaluations) -> list[dict[str, Any]]:
    """Rows with the metrics of all benchmarks as columns, None where a benchmark does not have one."""
    metrics = dict.fromkeys(metric for other in evaluations.retrieval for metric in other.scores[other.baseline])
    return [{**dict.fromkeys(NAMES), **dict.fromkeys(metrics), **row} for row in one.rows()]


def _grouped(rows: Iterable[Mapping[str, Any]], *columns: str) -> dict[tuple[Any, ...], list[Mapping[str, Any]]]:
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[column] for column in columns), []).append(row)
    return groups


def _retrieval(
    name: str,
    task: str,
    rows: Iterable[Mapping[str, Any]],
    baseline: str,
    costs: Iterable[Mapping[str, Any]] = (),
    seen: Iterable[Mapping[str, Any]] = (),
) -> RetrievalResults:
    scores: dict[str, dict[str, dict[str, float]]] = {}
    clusters: dict[str, str] = {}
    for row in rows:
        clusters[row["query_id"]] = row.get("question_id") or row["query_id"]
        metrics = scores.setdefault(row["system"], {})
        for metric, value in row.items():
            if metric not in NAMES and isinstance(value, float):
                metrics.setdefault(metric, {})[row["query_id"]] = value
    kept = [
        metric
        for metric in scores[baseline]
        if all(metrics.get(metric, {}).keys() == scores[baseline][metric].keys() for metrics in scores.values())
    ]
    scores = {system: {metric: metrics[metric] for metric in kept} for system, metrics in scores.items()}
    measured = {row["system"]: SearchCost.from_dict(row) for row in costs if row["system"] in scores}
    told = {row["system"]: row["text"] for row in seen}
    return RetrievalResults(name, task, scores, clusters, baseline, measured, told)


def _counts_of(source: Source) -> Mapping[str, Any]:
    lineage = read_lineage(source) if isinstance(source, HubRef) else None
    return lineage.counts if lineage else {}


def _benchmark_of(source: Source) -> str:
    """The queries that retrievers were compared on, as an evaluation's lineage names them; else the evaluation."""
    lineage = read_lineage(source) if isinstance(source, HubRef) else None
    inputs = lineage.inputs if lineage else {}
    asked = (inputs[name] for name in ("queries", "pairs", "trajectories") if name in inputs)
    return LONG_HASH.sub(r"\1", next(asked, str(source)))


def _configs(source: Source) -> Sequence[str]:
    from datasets import get_dataset_config_names

    is_local = isinstance(source, LocalSource)
    name, revision = (str(source.path), None) if is_local else (source.repo_id, source.revision)
    return get_dataset_config_names(name, revision=revision)


def _config(source: Source, config: str) -> Dataset:
    return load_split(replace(source, config=config, split=None), "an evaluation of lrat eval")
