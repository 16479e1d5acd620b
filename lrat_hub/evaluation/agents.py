"""How well an agent did with a retriever: a row for each question of a benchmark, whatever became of its run."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, get_args

from lrat_hub.errors import LratError
from lrat_hub.importers.mapping import LogMapping
from lrat_hub.ledger.joins import require_once
from lrat_hub.schema import Action, Trajectory
from lrat_hub.walk import Walk

Qrels = Mapping[str, Mapping[str, int]]

Outcome = Literal["completed", "limited", "unanswered", "failed", "missing"]
"""What became of a question: an answer of the agent's own, or one that a limit made it give; a run that ended without
an answer, one that crashed, and no run at all. Only the first two can be a success."""

OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

CALIBRATION_BIN = 100
"""Answers in a bin of the calibration error, as in BrowseComp and BrowseComp-Plus."""

TOOLS = LogMapping()
_INTEGRAL = re.compile(r"(\d+)\.0+")
_CONFIDENCE = re.compile(r"confidence[\s*_:=`\"]{1,8}(\d{1,3}(?:\.\d+)?)\s*(%?)", re.IGNORECASE)


@dataclass(frozen=True)
class QuestionScores:
    """What became of one question.

    Args:
        trajectory_id: The run that counts: the first of its question. None where there is none.
        runs: How many runs of the question there were.
        correct: The verdict on the answer; None when nobody has judged it.
        evidence: Documents that are annotated as evidence of the question; 0 where nobody has annotated any.
        evidence_steps: For each evidence document that a search listed, the step that first did, from 1 on, ordered.
        evidence_opened: Evidence documents that the agent opened.
        steps: Searches and browses together (section 6.1.3). This and what follows is None where it is unknown.
        tokens: Tokens that the agent's model read and wrote, over all requests.
        confidence: What the agent says of its answer, from 0 to 1.
    """

    query_id: str
    outcome: Outcome
    trajectory_id: str | None = None
    runs: int = 0
    correct: bool | None = None
    evidence: int = 0
    evidence_steps: tuple[int, ...] = ()
    evidence_opened: int = 0
    steps: int | None = None
    searches: int | None = None
    browses: int | None = None
    invalid: int | None = None
    tokens: int | None = None
    seconds: float | None = None
    confidence: float | None = None

    @property
    def answered(self) -> bool:
        return self.outcome in ("completed", "limited")

    @property
    def success(self) -> float:
        """1 for a right answer; an answer that nobody has judged counts as wrong, and is counted as unjudged."""
        return float(self.answered and self.correct is True)

    @property
    def evidence_any(self) -> float | None:
        """Whether any evidence was listed: the paper's reading of evidence recall. None without annotations."""
        return float(bool(self.evidence_steps)) if self.evidence else None

    @property
    def evidence_share(self) -> float | None:
        """The share of the evidence that was listed: the reading of BrowseComp-Plus and of the release."""
        return len(self.evidence_steps) / self.evidence if self.evidence else None

    @property
    def opened_share(self) -> float | None:
        """The share of the evidence that was opened."""
        return self.evidence_opened / self.evidence if self.evidence else None

    def share_by(self, step: int) -> float | None:
        """The share of the evidence that was listed by a step; a run that has ended keeps what it found."""
        return sum(number <= step for number in self.evidence_steps) / self.evidence if self.evidence else None

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> QuestionScores:
        """Takes back a row of `to_dict`, with columns of others beside it."""
        values = {field.name: row[field.name] for field in dataclasses.fields(cls)}
        return cls(**{**values, "evidence_steps": tuple(values["evidence_steps"])})


METRICS: dict[str, bool] = {
    "success": True,
    "evidence_any": True,
    "evidence_share": True,
    "opened_share": True,
    "steps": False,
    "searches": False,
    "browses": False,
    "invalid": False,
    "tokens": False,
    "seconds": False,
}
"""Metrics of a question, attributes of `QuestionScores`, and whether more of them is better."""


@dataclass(frozen=True)
class AgentScores:
    """Scores of one agent with one retriever over a whole query set.

    Args:
        questions: A row for each question of the set, in its order.
        foreign_runs: Runs of questions that are not in the set; they count for nothing.
    """

    questions: tuple[QuestionScores, ...]
    foreign_runs: int = 0

    @property
    def duplicates(self) -> int:
        """Runs beyond the first of their question; they count for nothing."""
        return sum(max(0, question.runs - 1) for question in self.questions)

    @property
    def counts(self) -> dict[str, int]:
        """Questions by outcome, those with an answer that nobody has judged, and runs that don't count."""
        outcomes = Counter(question.outcome for question in self.questions)
        unjudged = sum(question.answered and question.correct is None for question in self.questions)
        return {
            "questions": len(self.questions),
            **{outcome: outcomes[outcome] for outcome in OUTCOMES},
            "unjudged": unjudged,
            "duplicates": self.duplicates,
            "strangers": self.foreign_runs,
        }

    def values(self, metric: str) -> dict[str, float]:
        """Query id to the metric's value, where it has one.

        Success has one for every question, unless no answer of all has been judged: then nothing is known of it.
        Evidence has one where it is annotated, and what a run took where there is a run.
        """
        if metric == "success" and self._nobody_judged:
            return {}
        values = ((question.query_id, getattr(question, metric)) for question in self.questions)
        return {query_id: float(value) for query_id, value in values if value is not None}

    def mean(self, metric: str) -> float | None:
        values = self.values(metric).values()
        return sum(values) / len(values) if values else None

    @property
    def means(self) -> dict[str, float | None]:
        return {metric: self.mean(metric) for metric in METRICS}

    @property
    def calibration_error(self) -> float | None:
        """Calibration error of the confidence that the agent states with its answers; None where it states none.

        The root mean square of the distance between mean confidence and share of right answers, over bins of about
        100 answers that are neighbours in confidence: the measure of BrowseComp, whose code leaves out the last bin.
        """
        stated = sorted(
            (question.confidence, question.success)
            for question in self.questions
            if question.answered and question.confidence is not None and question.correct is not None
        )
        if not stated:
            return None
        bins = max(1, round(len(stated) / CALIBRATION_BIN))
        edges = [round(index * len(stated) / bins) for index in range(bins + 1)]
        error = 0.0
        for start, end in pairwise(edges):
            confidences, successes = zip(*stated[start:end], strict=True)
            error += (end - start) * (math.fsum(confidences) - math.fsum(successes)) ** 2 / (end - start) ** 2
        return math.sqrt(error / len(stated))

    def recall_by_step(self, last: int) -> list[float]:
        """Mean share of the evidence that was listed by step 1 ... `last`, over all questions that have any."""
        annotated = [question for question in self.questions if question.evidence]
        if not annotated:
            return []
        return [
            sum(question.share_by(step) or 0.0 for question in annotated) / len(annotated)
            for step in range(1, last + 1)
        ]

    @property
    def _nobody_judged(self) -> bool:
        answered = [question for question in self.questions if question.answered]
        return bool(answered) and all(question.correct is None for question in answered)


def only_recorded(trajectory: Trajectory) -> bool:
    """Whether a run lists no call and is scored by what it says it retrieved."""
    return recorded_calls(trajectory) is not None


def evaluate_agents(
    trajectories: Iterable[Trajectory], queries: Iterable[str], qrels: Qrels | None = None
) -> AgentScores:
    """Scores the runs of one agent with one retriever over a whole query set (section 6.1.3 of the paper).

    Every query counts, also one whose run is missing, has crashed or ended without an answer: these are failures,
    with whatever they had found by then. Where a query has several runs the first one counts, so that none
    is chosen by its result.

    Args:
        trajectories: The runs. Their `correct` is the verdict on the answer; see `lrat_hub.evaluation.verdicts`.
        queries: The ids of all queries.
        qrels: Query id to docid to relevance; documents above 0 are the evidence. None where none is annotated, and
            then there is no evidence recall.

    Ids are compared as `plain_id` has them: "769.0" is "769". A run that lists no call, and says what it retrieved and
    how often it called, as run files of BrowseComp-Plus do, is scored by that; see `only_recorded`.

    Raises:
        LratError: There are no queries, or a query comes twice.
    """
    ids = [plain_id(query_id) for query_id in queries]
    if not ids:
        raise LratError("Queries: expected the ids of all questions of the benchmark, found none.")
    require_once(ids, what="Queries", name="query id")
    evidence = {
        plain_id(query_id): frozenset(plain_id(docid) for docid, grade in grades.items() if grade > 0)
        for query_id, grades in (qrels or {}).items()
    }
    known, first, runs = set(ids), {}, Counter()
    for trajectory in trajectories:
        query_id = plain_id(trajectory.query_id)
        runs[query_id] += 1
        if query_id in known:
            first.setdefault(query_id, _score_run(trajectory, query_id, evidence.get(query_id, frozenset())))
    questions = tuple(
        dataclasses.replace(first[query_id], runs=runs[query_id])
        if query_id in first
        else QuestionScores(query_id, "missing", evidence=len(evidence.get(query_id, ())))
        for query_id in ids
    )
    foreign_runs = sum(count for query_id, count in runs.items() if query_id not in known)
    return AgentScores(questions, foreign_runs)


def without_texts(trajectory: Trajectory) -> Trajectory:
    """The run without what was reasoned and shown: all that scores and judges need, in a fraction of the memory."""
    steps = tuple(
        dataclasses.replace(
            step,
            reasoning=None,
            observation="",
            results=tuple(dataclasses.replace(hit, title="", snippet="") for hit in step.results),
        )
        for step in trajectory.steps
    )
    return dataclasses.replace(trajectory, steps=steps)


def plain_id(identifier: str) -> str:
    """The id without the ".0" that it gets where a column of numbers has been read as fractions."""
    plain = identifier.strip()
    integral = _INTEGRAL.fullmatch(plain)
    return integral[1] if integral else plain


def stated_confidence(answer: str | None) -> float | None:
    """The confidence an answer states, as in "Confidence: 85%", from 0 to 1; the last one if there are several."""
    confidences = _CONFIDENCE.findall(answer or "")
    if not confidences:
        return None
    number, percent = confidences[-1]
    # "Confidence: 0.85" is a share; "Confidence: 1" can only be meant as 1 %, since a scale to 100 is asked for.
    value = float(number) if "." in number and not percent and float(number) <= 1 else float(number) / 100
    return value if value <= 1 else None


def tokens_of(trajectory: Trajectory) -> int | None:
    """Tokens of a run, out of its notes or, in a run of BrowseComp-Plus, its `usage`; None where it has none."""
    metadata = _metadata(trajectory)
    usage = metadata["usage"] if isinstance(metadata.get("usage"), dict) else metadata
    total = _number(usage.get("total_tokens"))
    if total is None:
        names = ("prompt_tokens", "completion_tokens", "input_tokens", "output_tokens")
        parts = [number for name in names if (number := _number(usage.get(name))) is not None]
        total = sum(parts) if parts else None
    return None if total is None else int(total)


def _score_run(trajectory: Trajectory, query_id: str, evidence: frozenset[str]) -> QuestionScores:
    walk = Walk.over(trajectory.steps)
    listed: dict[str, int] = {}
    for docid, number in walk.first_listed.items():
        listed.setdefault(plain_id(docid), number)
    opened = set(map(plain_id, walk.first_opened))
    counts = {action: trajectory.count(action) for action in ("search", "browse")}
    if (recorded := recorded_calls(trajectory)) is not None:
        docids, counts = recorded
        # Nothing says which call listed what, so everything counts as found by the last.
        listed = dict.fromkeys(map(plain_id, docids), sum(counts.values()))
    return QuestionScores(
        query_id=query_id,
        outcome=_outcome(trajectory),
        trajectory_id=trajectory.trajectory_id,
        correct=trajectory.correct,
        evidence=len(evidence),
        evidence_steps=tuple(sorted(number for docid, number in listed.items() if docid in evidence)),
        evidence_opened=len(opened & evidence),
        steps=sum(counts.values()),
        searches=counts["search"],
        browses=counts["browse"],
        invalid=trajectory.count("invalid"),
        tokens=tokens_of(trajectory),
        seconds=_number(_metadata(trajectory).get("seconds")),
        confidence=stated_confidence(trajectory.final_answer),
    )


def recorded_calls(trajectory: Trajectory) -> tuple[list[str], dict[Action, int]] | None:
    """What a run without calls says it retrieved, and how many searches and browses it counts; None for other runs.

    Run files of BrowseComp-Plus have `retrieved_docids` and `tool_call_counts`, and its official script takes recall
    from the first. Some hold nothing else of what the agent did.
    """
    if trajectory.num_steps:
        return None
    metadata = _metadata(trajectory)
    docids, calls = metadata.get("retrieved_docids"), metadata.get("tool_call_counts")
    if not isinstance(docids, list):
        return None
    counts: dict[Action, int] = {"search": 0, "browse": 0}
    for name, count in calls.items() if isinstance(calls, dict) else ():
        tool = TOOLS.find(name)
        if tool is not None and tool.action in counts and isinstance(count, int) and not isinstance(count, bool):
            counts[tool.action] += count
    return [str(docid) for docid in docids if isinstance(docid, (str, int))], counts


def _outcome(trajectory: Trajectory) -> Outcome:
    if trajectory.status == "failed":
        return "failed"
    return trajectory.status if trajectory.final_answer and trajectory.final_answer.strip() else "unanswered"


def _metadata(trajectory: Trajectory) -> Mapping[str, Any]:
    try:
        metadata = json.loads(trajectory.metadata)
    except ValueError:
        return {}
    return metadata if isinstance(metadata, dict) else {}


def _number(value: Any) -> float | None:
    usable = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if usable else None
