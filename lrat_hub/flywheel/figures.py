"""The figures that a flywheel looks at: what one retriever was measured at on the frozen held-out set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from lrat_hub.errors import LratError

if TYPE_CHECKING:
    from lrat_hub.evaluation import AgentScores, RetrievalScores

CHECK_METRIC = "recall@10"
"""What the checks for forgetting are measured by."""


@dataclass(frozen=True)
class Figure:
    """What the gate knows of a figure.

    Args:
        title: What messages and reports call it.
        higher_is_better: Whether more of it is better.
        successes: It is 0 or 1 for each question, and McNemar's test compares it.
        is_share: It lies between 0 and 1, and its limit is absolute; otherwise its limit is a share of the reference.
    """

    title: str
    higher_is_better: bool = True
    successes: bool = False
    is_share: bool = True

    @property
    def harm(self) -> str:
        """What a change for the worse is called."""
        return "loss" if self.higher_is_better else "growth"


FIGURES: dict[str, Figure] = {
    "success": Figure("success rate of the agents", successes=True),
    "evidence_any": Figure("questions with any evidence found", successes=True),
    "evidence_share": Figure("share of the evidence found by the agents"),
    "steps": Figure("searches and browses a question", higher_is_better=False, is_share=False),
    "recall@10": Figure("recall@10 of the retriever alone"),
    "ndcg@10": Figure("nDCG@10 of the retriever alone"),
    "content": Figure("content check"),
    "titles": Figure("title control"),
    "out_of_domain": Figure("out-of-domain recall@10"),
}
"""Figures by the names that settings, measurements and decisions call them."""

Values = Mapping[str, float | None]
"""What was asked (a question, a query of a check) to its value; None where nothing is known of it."""


@dataclass(frozen=True)
class Measured:
    """What one retriever was measured at on the frozen held-out set.

    Args:
        figures: Name of a figure, of `FIGURES`, to its values. All that was asked is a key; see `Values`.
    """

    figures: Mapping[str, Values]

    def __post_init__(self) -> None:
        if unknown := [name for name in self.figures if name not in FIGURES]:
            raise LratError(f"Gate: expected figures of {', '.join(FIGURES)}; found {unknown[0]!r}.")

    @classmethod
    def of(
        cls,
        agents: AgentScores | None = None,
        alone: RetrievalScores | None = None,
        *,
        content: RetrievalScores | None = None,
        titles: RetrievalScores | None = None,
        out_of_domain: RetrievalScores | None = None,
        clusters: Mapping[str, str] | None = None,
    ) -> Measured:
        """Takes the figures out of evaluations, any of which may be missing.

        A run that crashed or ended without an answer is a failure. A question without a run, or with an answer that
        nobody has judged, is missing.

        Args:
            clusters: Query id of a check to its question, where several queries are of one question: each question
                then counts once, by the mean of its queries.
        """
        figures: dict[str, Values] = {}
        if agents is not None:
            for name in ("success", "evidence_any", "evidence_share", "steps"):
                figures[name] = {
                    question.query_id: None
                    if question.outcome == "missing"
                    or (name == "success" and question.answered and question.correct is None)
                    else getattr(question, name)
                    for question in agents.questions
                    # Without annotations there was nothing to find.
                    if question.evidence or not name.startswith("evidence")
                }
        if alone is not None:
            figures |= {name: alone.values(name) for name in ("recall@10", "ndcg@10") if name in alone.metrics}
        for name, scores in (("content", content), ("titles", titles), ("out_of_domain", out_of_domain)):
            if scores is not None:
                figures[name] = _by_cluster(scores.values(CHECK_METRIC), clusters or {})
        return cls({name: values for name, values in figures.items() if values})


def count_known(values: Values) -> int:
    """How many of the values are known."""
    return len(values) - list(values.values()).count(None)


def _by_cluster(values: Mapping[str, float], clusters: Mapping[str, str]) -> dict[str, float]:
    grouped: dict[str, list[float]] = {}
    for item, value in values.items():
        grouped.setdefault(clusters.get(item, item), []).append(value)
    return {cluster: fmean(parts) for cluster, parts in grouped.items()}
