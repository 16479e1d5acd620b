"""Agents against each other on the questions that both were asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lrat_hub.analysis.runs import Run
from lrat_hub.significance import compare


def _share(part: int | None, whole: int | None) -> float | None:
    return part / whole if whole and part is not None else None


MEASURES: dict[str, Callable[[Run], float | None]] = {
    "accuracy": lambda run: None if run.outcome == "unjudged" else float(run.outcome == "correct"),
    "evidence listed": lambda run: _share(run.evidence_listed, run.evidence),
    "evidence opened": lambda run: _share(run.evidence_opened, run.evidence),
    "searches": lambda run: float(len(run.searches)),
    "browses": lambda run: float(len(run.browses)),
    "steps": lambda run: float(len(run.actions)),
}
"""What a run scores; None where nobody knows."""


def comparison_rows(groups: Mapping[str, Sequence[Run]]) -> list[dict[str, Any]]:
    """Each agent minus the first: mean difference per question with its paired interval, and p-values.

    Several runs of a question count as their mean. `p_value` is that of the randomisation test, `p_corrected` Holm's,
    for all rows together.

    Args:
        groups: Runs by agent.
    """
    (baseline, of_baseline), *others = groups.items() or [("", ())]
    first = {measure: _by_question(of_baseline, score) for measure, score in MEASURES.items()}
    names, pairs = [], []
    for agent, runs in others:
        for measure, score in MEASURES.items():
            own = _by_question(runs, score)
            names.append((agent, measure))
            # In the baseline's order, which the resamples of the interval go by.
            pairs.append(({question: own[question] for question in first[measure] if question in own}, first[measure]))
    return [
        {
            "agent": agent,
            "baseline": baseline,
            "measure": measure,
            "value": one.difference.mean,
            "low": None if one.difference.clusters < 2 else one.difference.low,
            "high": None if one.difference.clusters < 2 else one.difference.high,
            "p_value": one.p_value,
            "n": one.difference.clusters,
            "questions": one.difference.clusters,
            "p_corrected": one.corrected,
        }
        for (agent, measure), one in zip(names, compare(pairs), strict=True)
        if one is not None
    ]


def _by_question(runs: Sequence[Run], score: Callable[[Run], float | None]) -> dict[str, float]:
    scores: dict[str, list[float]] = {}
    for run in runs:
        if (value := score(run)) is not None:
            scores.setdefault(run.question, []).append(value)
    return {question: sum(values) / len(values) for question, values in scores.items()}
