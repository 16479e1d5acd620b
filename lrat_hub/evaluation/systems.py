"""Agents with retrievers on benchmarks, the cells of an evaluation: as rows, and compared with each other.

Everything here is made of per-query rows alone, so that the tables of a published evaluation can be made again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lrat_hub import significance
from lrat_hub.errors import LratError
from lrat_hub.evaluation.agents import METRICS, AgentScores, QuestionScores
from lrat_hub.hub.refs import HubRef
from lrat_hub.schema import Trajectory
from lrat_hub.significance import Comparison, Interval, compare, mean_interval, wilson_interval

if TYPE_CHECKING:
    from datasets import Features

RATES = ("success", "evidence_any")
"""Metrics that are shares of questions, and get Wilson intervals; others are means, and get the bootstrap's."""

COMPARED = ("success", "evidence_any", "evidence_share", "steps")
"""Metrics that systems are compared by: those of section 6.1.3, evidence recall in both readings."""


@dataclass(frozen=True)
class AgentSystem:
    """One agent with one retriever on one benchmark: a cell of an evaluation.

    Args:
        k: Number of results per search, where it is known.
    """

    benchmark: str
    agent: str
    retriever: str
    k: int | None
    scores: AgentScores

    @property
    def group(self) -> tuple[str, str, int | None]:
        """What cells share whose retrievers are compared."""
        return self.benchmark, self.agent, self.k

    @property
    def names(self) -> dict[str, Any]:
        """The columns that tell the cell from others."""
        return {"benchmark": self.benchmark, "agent": self.agent, "retriever": self.retriever, "k": self.k}

    @cached_property
    def intervals(self) -> dict[str, Interval]:
        """Metric to its mean with its 95 % interval, where any question has a value."""
        measured = {metric: values for metric in METRICS if (values := self.scores.values(metric))}
        return {
            metric: wilson_interval(round(sum(values.values())), len(values))
            if metric in RATES
            else mean_interval(values)
            for metric, values in measured.items()
        }


@dataclass(frozen=True)
class RetrieverComparison(Comparison):
    """One retriever against another by one metric, inside the same agent on the same benchmark."""

    benchmark: str
    agent: str
    k: int | None
    retriever: str
    baseline: str
    metric: str

    def to_dict(self) -> dict[str, Any]:
        return {
            "benchmark": self.benchmark,
            "agent": self.agent,
            "k": self.k,
            "retriever": self.retriever,
            "baseline": self.baseline,
            "metric": self.metric,
            "value": self.value,
            "baseline_value": self.reference,
            "difference": self.difference.mean,
            "low": self.difference.low,
            "high": self.difference.high,
            "gain": self.gain,
            "p_value": self.p_value,
            "p_corrected": self.corrected,
            "detectable": self.detectable,
            "questions": self.difference.clusters,
        }


def groups_of(cells: Sequence[AgentSystem]) -> dict[tuple[str, str, int | None], list[AgentSystem]]:
    """Cells by benchmark, agent and k, in their order."""
    groups: dict[tuple[str, str, int | None], list[AgentSystem]] = {}
    for cell in cells:
        groups.setdefault(cell.group, []).append(cell)
    return groups


def in_table_order(cells: Sequence[AgentSystem]) -> list[AgentSystem]:
    """Cells that are compared with each other side by side; benchmarks, agents and retrievers as they came."""
    benchmarks, agents = (
        list(dict.fromkeys(getattr(cell, name) for cell in cells)) for name in ("benchmark", "agent")
    )
    return sorted(cells, key=lambda cell: (benchmarks.index(cell.benchmark), agents.index(cell.agent), cell.k or 0))


def require_distinct(cells: Sequence[AgentSystem]) -> None:
    """Raises LratError when two cells can't be told apart by their names."""
    seen = set()
    for cell in cells:
        key = tuple(cell.names.values())
        if key in seen:
            raise LratError(
                f"Cells: expected each agent with each retriever once a benchmark, found {cell.agent!r} with "
                f"{cell.retriever!r} on {cell.benchmark!r} twice. Give one of them another name: NAME=REF."
            )
        seen.add(key)


def compare_retrievers(
    cells: Sequence[AgentSystem], baselines: Mapping[str, str] | None = None, *, metrics: Iterable[str] = COMPARED
) -> list[RetrieverComparison]:
    """Compares retrievers inside each agent, benchmark and k.

    Args:
        baselines: Retriever to the one it is compared with; those that are missing are compared with the first
            retriever of their group, which itself is compared with none.
    """
    pairs = [
        (cell, reference)
        for group in groups_of(cells).values()
        for cell in group
        if (reference := _baseline(cell, group, baselines or {})) is not None
    ]
    comparisons = []
    for metric in metrics:
        sides = [(cell.scores.values(metric), reference.scores.values(metric)) for cell, reference in pairs]
        for (cell, reference), one in zip(pairs, compare(sides, successes=metric in RATES), strict=True):
            if one is not None:
                names = {**cell.names, "baseline": reference.retriever, "metric": metric}
                comparisons.append(RetrieverComparison(**vars(one), **names))
    return comparisons


def clear_winners(cells: Sequence[AgentSystem], metric: str) -> list[AgentSystem]:
    """The cells that may be called the best of their group: better than each other one, significantly.

    Holm's correction goes over all tests of the best against the others, in all groups.
    """
    groups = groups_of(cells)
    best = significance.clear_winners(
        [{cell.retriever: cell.scores.values(metric) for cell in group} for group in groups.values()],
        higher_is_better=METRICS[metric],
        successes=metric in RATES,
    )
    winners = dict(zip(groups, best, strict=True))
    return [cell for cell in cells if cell.retriever == winners[cell.group]]


def _baseline(cell: AgentSystem, group: Sequence[AgentSystem], baselines: Mapping[str, str]) -> AgentSystem | None:
    name = baselines.get(cell.retriever, group[0].retriever)
    return next((other for other in group if other.retriever == name and other is not cell), None)


def per_query_rows(cells: Sequence[AgentSystem]) -> list[dict[str, Any]]:
    """Config `per_query`: a row for each cell and question."""
    return [{**cell.names, **question.to_dict()} for cell in cells for question in cell.scores.questions]


def summary_rows(cells: Sequence[AgentSystem]) -> list[dict[str, Any]]:
    """Config `summary`: a row a cell, with its counts and its metrics with their 95 % intervals."""
    rows = []
    for cell in cells:
        row: dict[str, Any] = {**cell.names, **cell.scores.counts}
        for metric in METRICS:
            interval = cell.intervals.get(metric)
            row |= {
                metric: interval.mean if interval else None,
                f"{metric}_low": interval.low if interval else None,
                f"{metric}_high": interval.high if interval else None,
            }
        rows.append(row | {"calibration_error": cell.scores.calibration_error})
    return rows


def systems_of(per_query: Iterable[Mapping[str, Any]], summary: Iterable[Mapping[str, Any]]) -> list[AgentSystem]:
    """The cells of a published evaluation, out of its configs `per_query` and `summary`, in the order of the latter.

    All that is taken from the summary is the order, and the runs of questions that are not in the set.

    Raises:
        LratError: The two are not of one evaluation.
    """

    def names(row: Mapping[str, Any]) -> tuple[str, str, str, int | None]:
        return row["benchmark"], row["agent"], row["retriever"], row["k"]

    questions: dict[tuple[str, str, str, int | None], list[QuestionScores]] = {}
    for row in per_query:
        questions.setdefault(names(row), []).append(QuestionScores.from_dict(row))
    foreign_runs = {names(row): row["strangers"] for row in summary}
    if foreign_runs.keys() != questions.keys():
        raise LratError(
            f"Evaluation: expected the same cells in its configs `summary` and `per_query`, found {len(foreign_runs)} "
            f"and {len(questions)}."
        )
    return [AgentSystem(*key, AgentScores(tuple(questions[key]), count)) for key, count in foreign_runs.items()]


def identity_of(trajectories: Sequence[Trajectory]) -> tuple[str, str, int | None]:
    """Agent, retriever and k that runs were recorded with; the retriever with the first digits of its revision.

    Raises:
        LratError: There are no runs, or they are of several agents, retrievers or values of k.
    """
    settings = {
        (run.agent, _versioned(run.retriever, run.retriever_revision), recorded_k(run)) for run in trajectories
    }
    if len(settings) != 1:
        several = "; ".join(
            f"{agent} with {retriever}, k = {k}" for agent, retriever, k in sorted(settings, key=str)[:3]
        )
        raise LratError(
            f"Trajectories: expected runs of one agent with one retriever, found {several or 'no runs'}. "
            "Give each agent and retriever as a config of its own."
        )
    return next(iter(settings))


def models_of(trajectories: Sequence[Trajectory]) -> list[HubRef]:
    """The pins of the models that runs of one cell were made with, of a fusion or of several stages all of them.

    There are none where the runs don't say, or no model searched.
    """
    run = trajectories[0]
    parts = _parts(run.retriever, run.retriever_revision)
    return [HubRef(name, revision=sha) for _, name, sha in parts if sha and "/" in name]


def model_of(trajectories: Sequence[Trajectory]) -> HubRef | None:
    """The pin of the model that alone searched in the runs of one cell; None where there is no such model."""
    models = models_of(trajectories)
    return models[0] if [model.repo_id for model in models] == [trajectories[0].retriever] else None


def recorded_k(trajectory: Trajectory) -> int | None:
    """Results of a search, out of what a run was recorded with."""
    try:
        metadata = json.loads(trajectory.metadata)
    except ValueError:
        return None
    for name in ("environment", "source_metadata"):
        settings = metadata.get(name) if isinstance(metadata, dict) else None
        k = settings.get("k") if isinstance(settings, dict) else None
        if isinstance(k, int):
            return k
    return None


def _versioned(name: str, revision: str | None) -> str:
    """A retriever's name with the first digits of its revision, and each part of it with those of its own.

    BM25 has no revision but that of the corpus, which all retrievers of a benchmark share.
    """
    parts = _parts(name, revision)
    return "".join(
        f"{before}{part}@{sha[:7]}" if sha and part != "bm25" else before + part for before, part, sha in parts
    )


def _parts(name: str, revision: str | None) -> list[tuple[str, str, str]]:
    """The parts of a recorded retriever: what stands before each ("+", or ">" with a depth), its name and its sha.

    The sha is empty where the revision does not say.
    """
    pieces = re.split(r"(\+|>(?:[0-9]+:)?)", name)
    names, separators = pieces[::2], ["", *pieces[1::2]]
    shas = re.split(r"[+>]", revision or "")
    if len(shas) != len(names):
        shas = [""] * len(names)
    return list(zip(separators, names, shas, strict=True))


def per_query_features() -> Features:
    """Features of config `per_query`."""
    from datasets import Features, List, Value

    string, integer = Value("string"), Value("int32")
    return Features(
        {
            **dict.fromkeys(("benchmark", "agent", "retriever"), string),
            "k": integer,
            "query_id": string,
            "outcome": string,
            "trajectory_id": string,
            "runs": integer,
            "correct": Value("bool"),
            "evidence": integer,
            "evidence_steps": List(integer),
            **dict.fromkeys(("evidence_opened", "steps", "searches", "browses", "invalid"), integer),
            "tokens": Value("int64"),
            "seconds": Value("float64"),
            "confidence": Value("float64"),
        }
    )
