"""Verdicts on answers, kept apart from the runs they are about: runs can be judged again, and judges be compared."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrat_hub.evaluation.agents import plain_id
from lrat_hub.judges.agreement import cohens_kappa
from lrat_hub.judges.answers import AnswerJudge
from lrat_hub.schema import Trajectory

if TYPE_CHECKING:
    from lrat_hub.hub.inputs import Inputs
    from lrat_hub.judges.settings import JudgeSettings

RECORDED = "recorded"
"""The judge's name for verdicts that came with the runs."""


@dataclass(frozen=True)
class VerdictRow:
    """What a judge says of one answer: a row of config `verdicts`.

    Args:
        judge: Who says so.
        correct: None where the judge was asked and gave nothing that could be read.
        trajectory_id: The run; None for a verdict that names the question alone.
        extracted: What the judge took to be the answer, where it says so.
        reason: What the judge says for it, or what decided: "match", "no answer", a model.
        confidence: The confidence that the judge finds in the answer, from 0 to 1; None where it was not asked for it.
        recovered: Whether the judge's own program could not read its reply and this library could. The benchmark's
            summary counts such an answer as wrong.
    """

    query_id: str
    judge: str
    correct: bool | None
    trajectory_id: str | None = None
    extracted: str | None = None
    reason: str = ""
    confidence: float | None = None
    recovered: bool = False

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class AgentRuns:
    """The runs of an agent with a retriever.

    Args:
        name: What tables call the retriever; "" for what was recorded.
        made_now: Whether they were made by this evaluation, and nobody has judged them.
    """

    name: str
    trajectories: Sequence[Trajectory]
    made_now: bool = False


def judged_runs(
    inputs: Inputs,
    settings: JudgeSettings,
    runs: Sequence[AgentRuns],
    gold: Mapping[str, tuple[str, str | None]],
    *,
    log: Path,
    name: str = "judge",
) -> list[list[VerdictRow]]:
    """Verdicts on the answers of each agent with each retriever. The judge's server runs while it is asked.

    Args:
        settings: The judge; `RECORDED` takes what came with the runs, and "match" for those that were made now.
        gold: Query id to question and gold answer.
        log: File for the output of a server that is started.
        name: The name of the judge's model among the inputs.

    Raises:
        LratError: The judge's model can't be pinned, or its server not be reached or started.
    """
    from lrat_hub.judges.settings import open_answer_judge, pin_judge

    recorded = settings.judge == RECORDED
    settings = dataclasses.replace(settings, judge="match") if recorded else settings
    with open_answer_judge(settings, pin_judge(inputs, settings, name=name), log=log) as judge:
        return [
            recorded_verdicts(each.trajectories)
            if recorded and not each.made_now
            else answer_verdicts(judge, each.trajectories, gold)
            if judge is not None
            else []
            for each in runs
        ]


def recorded_verdicts(trajectories: Iterable[Trajectory]) -> list[VerdictRow]:
    """The verdicts that came with the runs."""
    return [
        VerdictRow(plain_id(run.query_id), RECORDED, run.correct, run.trajectory_id)
        for run in trajectories
        if run.correct is not None
    ]


def answer_verdicts(
    judge: AnswerJudge, trajectories: Sequence[Trajectory], gold: Mapping[str, tuple[str, str | None]]
) -> list[VerdictRow]:
    """Verdicts of a judge on the runs of questions that have a gold answer.

    Args:
        gold: Query id to question and gold answer.
    """
    asked, cases = [], []
    for run in trajectories:
        question, answer = gold.get(plain_id(run.query_id), ("", None))
        if answer:
            asked.append(run)
            cases.append((question, answer, run.final_answer))
    return [
        VerdictRow(plain_id(run.query_id), judge.name, judged.correct, run.trajectory_id, reason=judged.by)
        for run, judged in zip(asked, judge.judge(cases), strict=True)
    ]


def with_verdicts(trajectories: Iterable[Trajectory], verdicts: Iterable[VerdictRow]) -> list[Trajectory]:
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


def agreement(first: Sequence[VerdictRow], second: Sequence[VerdictRow]) -> dict[str, Any]:
    """How far two judges agree, over the answers that both have judged.

    Returns:
        The two judges, the four counts, the share of answers they agree on and Cohen's kappa, which is 0 where they
        agree no more than chance would have it; None where one of them says the same of every answer.
    """
    ours, theirs = (
        {(verdict.query_id, verdict.trajectory_id): verdict.correct for verdict in side if verdict.correct is not None}
        for side in (first, second)
    )
    both = [(ours[key], theirs[key]) for key in ours if key in theirs]
    counts: dict[tuple[Hashable, Hashable], int] = {
        (a, b): both.count((a, b)) for a in (True, False) for b in (True, False)
    }
    total = len(both)
    both_vary = all(len({pair[side] for pair in both}) == 2 for side in (0, 1))
    return {
        "judge": first[0].judge if first else "",
        "other": second[0].judge if second else "",
        "judged by both": total,
        "both right": counts[True, True],
        "both wrong": counts[False, False],
        "only judge right": counts[True, False],
        "only other right": counts[False, True],
        "agreement": (counts[True, True] + counts[False, False]) / total if total else None,
        "kappa": cohens_kappa(counts) if both_vary else None,
    }
