"""What BrowseComp-Plus's own evaluation says of run files, and the files that its leaderboards take.

The figures of agents follow `scripts_evaluation/evaluate_run.py` of https://github.com/texttron/BrowseComp-Plus
(commit 97c637c) to the digit. Its rules are not the paper's: an answer that a limit made the agent give counts as
wrong, and every judged answer has a confidence. Tables of this library keep the paper's success rate.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from lrat_hub.evaluation.agents import Qrels, plain_id, stated_confidence
from lrat_hub.evaluation.verdicts import VerdictRow

if TYPE_CHECKING:
    from lrat_hub.evaluation.retrieval import TaskComparison

FILL_IN = "change me when submitting"

OWN_CONFIDENCE = 1.0
"""Confidence of an answer that states none: the benchmark tells its judge to put 100 %."""

BIN = 100
"""Answers in a bin of the benchmark's calibration error, which needs as many answers to be measured at all."""

RETRIEVER_METRICS = ("ndcg@10", "recall@5", "recall@100", "recall@1000")

_BRACKETS = (re.compile(r"\[([^\[\]]*)\]"), re.compile("【([^【】]*)】"))


@dataclass(frozen=True)
class RunFigures:
    """What the benchmark measures of one run file.

    Args:
        judged: Whether there is a verdict on its answer; only completed answers are judged.
        correct: Whether that verdict says that the answer is right.
        recall: The share of the evidence that was retrieved; None for a question without annotated evidence.
        confidence: From 0 to 1; None where the judge, asked for it, gave none.
        cited: Documents that a completed answer cites.
        citation_precision: The share of the cited documents that are evidence.
        citation_recall: The share of the evidence that is cited.
    """

    query_id: str
    judged: bool
    correct: bool
    recall: float | None
    confidence: float | None
    cited: frozenset[str]
    citation_precision: float
    citation_recall: float
    calls: Mapping[str, int]


@dataclass(frozen=True)
class OfficialScores:
    """The benchmark's figures of one agent with one retriever, over all run files."""

    runs: tuple[RunFigures, ...]

    @classmethod
    def of(
        cls, runs: Iterable[Mapping[str, Any]], verdicts: Iterable[VerdictRow], qrels: Qrels | None
    ) -> OfficialScores:
        """Scores run files as `run_of` makes them, one a question.

        Args:
            verdicts: Verdicts on their answers. The confidence is the judge's where it gives any, as the benchmark's
                does; otherwise it is what each answer states, and 100 % where it states none, as that judge is told.
        """
        by_query = {plain_id(verdict.query_id): verdict for verdict in verdicts}
        judge_is_asked = any(verdict.confidence is not None for verdict in by_query.values())
        evidence = {
            plain_id(query_id): frozenset(plain_id(docid) for docid, grade in grades.items() if grade > 0)
            for query_id, grades in (qrels or {}).items()
        }
        return cls(
            tuple(
                _figures(
                    run,
                    by_query.get(run["query_id"]),
                    evidence.get(run["query_id"], frozenset()),
                    judge_is_asked=judge_is_asked,
                )
                for run in runs
            )
        )

    def summary(self, *, agent: str, retriever: str) -> dict[str, Any]:
        """The fields that the leaderboard asks for; accuracy and calibration are None where nobody has judged.

        The link and the date are for the submitter to fill in.
        """
        judged = any(run.judged for run in self.runs)
        recalls = [run.recall for run in self.runs if run.recall is not None]
        tools = dict.fromkeys(name for run in self.runs for name in run.calls)
        return {
            "LLM": agent,
            "Accuracy (%)": _percent(fmean(run.correct for run in self.runs)) if judged else None,
            "Recall (%)": _percent(fmean(recalls)) if recalls else None,
            "avg_tool_stats": {
                name: sum(run.calls.get(name, 0) for run in self.runs) / len(self.runs) for name in tools
            },
            "Calibration Error (%)": _percent(self.calibration_error) if judged else None,
            "Retriever": retriever,
            "Link": FILL_IN,
            "Evaluation Date": FILL_IN,
            "per_query_metrics": [
                {
                    "query_id": run.query_id,
                    "correct": run.correct if judged else None,
                    "recall": None if run.recall is None else _percent(run.recall),
                }
                for run in self.runs
            ],
        }

    @property
    def calibration_error(self) -> float:
        """The root mean square distance between confidence and accuracy in bins of 100 judged answers.

        As in the benchmark's code, the last bin is left out and fewer than 100 answers have no error. Which answers of
        one confidence share a bin is up to NumPy's unstable sort there, and so it is here: the same numbers in the
        same order of runs, on the same machine, give the same bins. That code takes runs as the file system lists
        their files; here they are in the order of the questions.
        """
        judged = [(run.confidence, run.correct) for run in self.runs if run.judged and run.confidence is not None]
        if len(judged) < BIN:
            return 0.0
        confidences, verdicts = np.array(judged, dtype=np.float64).T
        order = np.argsort(np.ascontiguousarray(confidences))
        squares = 0.0
        for start in range(0, (len(judged) // BIN - 1) * BIN, BIN):
            members = order[start : start + BIN]
            squares += BIN / len(judged) * (confidences[members].mean() - verdicts[members].mean()) ** 2
        return float(squares**0.5)

    @property
    def citations(self) -> dict[str, float | int]:
        """What the benchmark's script prints of citations; means are over the answers that cite anything."""
        citing = [run for run in self.runs if run.cited]

        def mean(values: Sequence[float]) -> float:
            return fmean(values) if values else 0.0

        return {
            "responses": len(self.runs),
            "responses_with_citations": len(citing),
            "coverage": _percent(len(citing) / len(self.runs)),
            "citations_per_response": round(mean([len(run.cited) for run in citing]), 2),
            "precision": _percent(mean([run.citation_precision for run in citing])),
            "recall": _percent(mean([run.citation_recall for run in citing])),
        }


def cited_documents(answer: str) -> frozenset[str]:
    """Documents that an answer cites as [7], [7, 8] or 【7】; every number in such brackets counts."""
    insides = (inside for pattern in _BRACKETS for inside in pattern.findall(answer))
    return frozenset(number for inside in insides for number in re.findall(r"\d+", inside))


def retriever_line(system: str, evidence: TaskComparison, gold: TaskComparison) -> dict[str, Any]:
    """A system's line in the benchmark's table of retrievers, with the figures as trec_eval prints them.

    The names of the fields are those that the benchmark's README asks for. The link and the date are the submitter's.
    """

    def figures(kind: str, comparison: TaskComparison) -> dict[str, float]:
        names = {metric: metric.replace("ndcg", "nDCG").replace("recall", "Recall") for metric in RETRIEVER_METRICS}
        return {
            f"{kind} {name}": round(comparison.mean(system, metric), 4)
            for metric, name in names.items()
            if metric in comparison.metrics
        }

    return {
        "Retriever": system,
        **figures("Evidence", evidence),
        **figures("Gold", gold),
        "Link": FILL_IN,
        "Evaluation Date": FILL_IN,
    }


def _figures(
    run: Mapping[str, Any], verdict: VerdictRow | None, evidence: frozenset[str], *, judge_is_asked: bool
) -> RunFigures:
    last = run["result"][-1] if run["result"] else None
    answer = last["output"] if last and last["type"] == "output_text" else ""
    completed = bool(answer) and run["status"] == "completed"
    if not completed or verdict is None or verdict.recovered or verdict.correct is None:
        judged, correct, confidence = False, False, None
    else:
        judged, correct, confidence = True, verdict.correct, verdict.confidence
        if not judge_is_asked:
            stated = stated_confidence(answer)
            confidence = OWN_CONFIDENCE if stated is None else stated
    cited = cited_documents(answer) if completed else frozenset()
    found = evidence.intersection(run["retrieved_docids"])
    return RunFigures(
        query_id=run["query_id"],
        judged=judged,
        correct=correct,
        recall=len(found) / len(evidence) if evidence else None,
        confidence=confidence,
        cited=cited,
        citation_precision=len(cited & evidence) / len(cited) if cited else 0.0,
        citation_recall=len(cited & evidence) / len(evidence) if evidence else 0.0,
        calls=run["tool_call_counts"],
    )


def _percent(share: float) -> float:
    return round(100 * share, 2)
