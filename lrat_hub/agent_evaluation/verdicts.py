"""Verdicts on answers, kept apart from the runs they are about: runs can be judged again, and judges be compared."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lrat_hub.agent_evaluation.metrics import plain_id
from lrat_hub.judges import answer_matches
from lrat_hub.schema import Trajectory

OfflineJudge = Literal["recorded", "exact"]
"""Verdicts that came with the runs; and word by word comparison with the gold answer, once both are normalised."""

RECORDED: OfflineJudge = "recorded"
EXACT: OfflineJudge = "exact"


@dataclass(frozen=True)
class AnswerVerdict:
    """What a judge says of one answer.

    Args:
        judge: Who says so.
        correct: None where the judge was asked and gave nothing that could be read.
        extracted: What the judge took to be the answer, where it says so.
        reason: What the judge says for it.
    """

    query_id: str
    judge: str
    correct: bool | None
    trajectory_id: str | None = None
    extracted: str | None = None
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def recorded_verdicts(trajectories: Iterable[Trajectory]) -> list[AnswerVerdict]:
    """The verdicts that came with the runs."""
    return [
        AnswerVerdict(plain_id(run.query_id), RECORDED, run.correct, run.trajectory_id)
        for run in trajectories
        if run.correct is not None
    ]


def exact_verdicts(trajectories: Iterable[Trajectory], gold: Mapping[str, str | None]) -> list[AnswerVerdict]:
    """Verdicts by comparison with the gold answers, of runs that have an answer to a question that has one.

    Strict: an answer in a sentence is wrong. It is meant for agents that answer with nothing but the answer.
    """
    verdicts = []
    for run in trajectories:
        answer = gold.get(plain_id(run.query_id))
        if run.final_answer and answer:
            correct = answer_matches(run.final_answer, answer)
            verdicts.append(AnswerVerdict(plain_id(run.query_id), EXACT, correct, run.trajectory_id))
    return verdicts


def judge_answers(
    judge: OfflineJudge, trajectories: Sequence[Trajectory], gold: Mapping[str, str | None]
) -> list[AnswerVerdict]:
    """Verdicts by one of the judges that need no model.

    Args:
        gold: Query id to gold answer.
    """
    return recorded_verdicts(trajectories) if judge == RECORDED else exact_verdicts(trajectories, gold)


def with_verdicts(trajectories: Iterable[Trajectory], verdicts: Iterable[AnswerVerdict]) -> list[Trajectory]:
    """The runs with these verdicts in the place of those they had.

    A verdict that names no run is about the runs of its question. Runs without a verdict become unjudged.
    """
    by_run, by_query = {}, {}
    for verdict in verdicts:
        if verdict.trajectory_id is None:
            by_query[verdict.query_id] = verdict.correct
        else:
            by_run[verdict.query_id, verdict.trajectory_id] = verdict.correct
    judged = []
    for run in trajectories:
        query_id = plain_id(run.query_id)
        correct = by_run.get((query_id, run.trajectory_id), by_query.get(query_id))
        judged.append(dataclasses.replace(run, correct=correct))
    return judged


def agreement(first: Sequence[AnswerVerdict], second: Sequence[AnswerVerdict]) -> dict[str, Any]:
    """How far two judges agree, over the answers that both have judged.

    Returns:
        The two judges, the four counts, the share of answers they agree on and Cohen's kappa, which is 0 where they
        agree no more than chance would have it; None where one of them says the same of every answer.
    """
    verdicts = [
        {(verdict.query_id, verdict.trajectory_id): verdict.correct for verdict in side if verdict.correct is not None}
        for side in (first, second)
    ]
    ours, theirs = verdicts
    both = [(ours[key], theirs[key]) for key in ours if key in theirs]
    table = {(a, b): both.count((a, b)) for a in (True, False) for b in (True, False)}
    total = len(both)
    observed = (table[True, True] + table[False, False]) / total if total else None
    kappa = None
    if total:
        yes = [sum(pair[side] for pair in both) / total for side in (0, 1)]
        expected = yes[0] * yes[1] + (1 - yes[0]) * (1 - yes[1])
        kappa = (observed - expected) / (1 - expected) if min(yes) > 0 and max(yes) < 1 else None
    return {
        "judge": first[0].judge if first else "",
        "other": second[0].judge if second else "",
        "judged by both": total,
        "both right": table[True, True],
        "both wrong": table[False, False],
        "only judge right": table[True, False],
        "only other right": table[False, True],
        "agreement": observed,
        "kappa": kappa,
    }
