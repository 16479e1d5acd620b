"""How far judges agree with each other, and with annotated evidence (section 5.1.2 of the paper)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from lrat_hub.schema import Verdict

Label = TypeVar("Label")

JUDGED: tuple[Verdict, ...] = ("relevant", "irrelevant")


@dataclass(frozen=True)
class Agreement:
    """Two judges on the same pairs. Pairs that either left unjudged are counted, and have no part in the figures.

    Args:
        counts: Pairs by the two verdicts, all that occur.
        raw: Share of the pairs both judged on which they agree; nan when there are none.
        kappa: Cohen's kappa, which takes out what chance would give; nan when both always say the same one verdict.
    """

    counts: dict[tuple[Verdict, Verdict], int]
    raw: float
    kappa: float

    @property
    def judged(self) -> int:
        return sum(count for verdicts, count in self.counts.items() if "unjudged" not in verdicts)

    @property
    def unjudged(self) -> int:
        return sum(self.counts.values()) - self.judged

    def to_dict(self) -> dict[str, Any]:
        """For lineage and cards; nan becomes None."""
        return {
            "counts": {f"{first}, {second}": count for (first, second), count in sorted(self.counts.items())},
            "judged_by_both": self.judged,
            "raw": _number(self.raw),
            "kappa": _number(self.kappa),
        }

    def __str__(self) -> str:
        if not self.judged:
            return f"no pairs that both judged, {self.unjudged} not compared"
        kappa = "undefined, as both always say the same" if math.isnan(self.kappa) else f"{self.kappa:.3f}"
        return f"{_percent(self.raw)} of {self.judged} pairs, kappa {kappa}, {self.unjudged} not compared"


def cohens_kappa(counts: Mapping[tuple[Label, Label], int]) -> float:
    """Cohen's kappa of two raters: 1 for full agreement, 0 for no more than chance gives.

    Args:
        counts: Cases by the first and the second rater's label.

    Returns:
        The kappa; nan when there are no cases, or when both raters always give the same one label.
    """
    total = sum(counts.values())
    if not total:
        return math.nan
    first, second = Counter[Label](), Counter[Label]()
    for (one, other), count in counts.items():
        first[one] += count
        second[other] += count
    observed = sum(count for (one, other), count in counts.items() if one == other) / total
    expected = sum(first[label] * second[label] for label in first) / total**2
    return (observed - expected) / (1 - expected) if expected < 1 else math.nan


def agreement(verdicts: Iterable[tuple[Verdict, Verdict]]) -> Agreement:
    """The agreement of two judges, from their verdicts on each pair."""
    counts = Counter(verdicts)
    both = {key: count for key, count in counts.items() if "unjudged" not in key}
    total = sum(both.values())
    if not total:
        return Agreement(dict(counts), math.nan, math.nan)
    raw = sum(count for (first, second), count in both.items() if first == second) / total
    return Agreement(dict(counts), raw, cohens_kappa(both))


@dataclass(frozen=True)
class Retention:
    """Of some browsed documents, those that the judge calls relevant.

    Args:
        low, high: Wilson's 95 % interval of the share.
    """

    relevant: int
    judged: int
    low: float
    high: float

    @classmethod
    def of(cls, relevant: int, judged: int) -> Retention:
        if not judged:
            return cls(0, 0, math.nan, math.nan)
        from scipy.stats import binomtest

        interval = binomtest(relevant, judged).proportion_ci(method="wilson")
        return cls(relevant, judged, float(interval.low), float(interval.high))

    @property
    def share(self) -> float:
        return self.relevant / self.judged if self.judged else math.nan

    def __str__(self) -> str:
        if not self.judged:
            return "none that was judged"
        return f"{_percent(self.share)} of {self.judged} [{_percent(self.low)}, {_percent(self.high)}]"


@dataclass(frozen=True)
class QrelAgreement:
    """A judge against annotated evidence: the paper's judge keeps 97.2 % of the first kind and 74.8 % of the second.

    Args:
        evidence, other: Pairs whose positive is evidence for their question, and pairs whose positive is not.
        between: The verdicts against what the annotations would say.
        unannotated: Pairs of questions without any annotation.
    """

    evidence: Retention
    other: Retention
    between: Agreement
    unannotated: int

    def to_dict(self) -> dict[str, Any]:
        kinds = {"evidence": self.evidence, "other": self.other}
        return {
            **{
                kind: {"relevant": kept.relevant, "judged": kept.judged, "share": _number(kept.share),
                       "low": _number(kept.low), "high": _number(kept.high)}
                for kind, kept in kinds.items()
            },
            "agreement": self.between.to_dict(),
            "unannotated": self.unannotated,
        }  # fmt: skip

    def __str__(self) -> str:
        return (
            f"keeps evidence {self.evidence}, other documents {self.other}; "
            f"agrees on {self.between}; {self.unannotated} pairs of questions without annotations"
        )


def qrel_agreement(
    judged: Iterable[tuple[str, str, Verdict]], evidence: Mapping[str, Collection[str]]
) -> QrelAgreement:
    """A judge against qrels.

    Args:
        judged: Query id, positive id and verdict of each pair.
        evidence: The relevant documents of each question, by its query id.
    """
    unannotated = 0
    verdicts: list[tuple[Verdict, Verdict]] = []
    for query_id, docid, verdict in judged:
        if query_id in evidence:
            verdicts.append((verdict, "relevant" if docid in evidence[query_id] else "irrelevant"))
        else:
            unannotated += 1
    between = agreement(verdicts)

    def kept(annotated: Verdict) -> Retention:
        counts = {verdict: between.counts.get((verdict, annotated), 0) for verdict in JUDGED}
        return Retention.of(counts["relevant"], sum(counts.values()))

    return QrelAgreement(kept("relevant"), kept("irrelevant"), between, unannotated)


def evidence_of(rows: Iterable[tuple[str, str, int]]) -> dict[str, set[str]]:
    """The relevant documents of each question, from the rows of a qrels table (query id, docid, relevance)."""
    evidence: dict[str, set[str]] = {}
    for query_id, docid, relevance in rows:
        documents = evidence.setdefault(query_id, set())
        if relevance > 0:
            documents.add(docid)
    return evidence


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"
