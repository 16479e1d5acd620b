"""Agents against each other on the questions that both were asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lrat_hub.analysis.runs import Run
from lrat_hub.significance import holm, paired_difference

MEASURES: dict[str, Callable[[Run], float | None]] = {
    "accuracy": lambda run: None if run.outcome == "unjudged" else float(run.outcome == "correct"),
    "evidence listed": lambda run: run.evidence_listed / run.evidence if run.evidence else None,
    "evidence opened": lambda run: run.evidence_opened / run.evidence if run.evidence else None,
    "searches": lambda run: float(len(run.searches)),
    "browses": lambda run: float(len(run.browses)),
    "steps": lambda run: float(len(run.actions)),
}
"""What a run scores; None where nobody knows."""


def comparison_rows(groups: Mapping[str, Sequence[Run]]) -> list[dict[str, Any]]:
    """Each agent minus the first: mean difference a question with its paired interval, and p-values.

    Several runs of a question count as their mean. `p_value` is that of the randomisation test, `p_corrected` Holm's,
    for all rows together.

    Args:
        groups: Runs by agent.
    """
    (baseline, of_baseline), *others = groups.items() or [("", ())]
    rows = []
    for agent, of_agent in others:
        for measure, score in MEASURES.items():
            first, second = _by_question(of_baseline, score), _by_question(of_agent, score)
            common = [question for question in first if question in second]
            if not common:
                continue
            found = paired_difference(
                {question: second[question] for question in common}, {question: first[question] for question in common}
            )
            single = len(common) < 2
            rows.append(
                {
                    "agent": agent,
                    "baseline": baseline,
                    "measure": measure,
                    "value": found.mean,
                    "low": None if single else found.low,
                    "high": None if single else found.high,
                    "p_value": found.p_value,
                    "n": len(common),
                    "questions": len(common),
                }
            )
    corrected = holm([row["p_value"] for row in rows])
    return [{**row, "p_corrected": value} for row, value in zip(rows, corrected, strict=True)]


def _by_question(runs: Sequence[Run], score: Callable[[Run], float | None]) -> dict[str, float]:
    scores: dict[str, list[float]] = {}
    for run in runs:
        if (value := score(run)) is not None:
            scores.setdefault(run.question, []).append(value)
    return {question: sum(values) / len(values) for question, values in scores.items()}
