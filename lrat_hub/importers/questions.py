"""Questions and gold answers of runs whose logs have none, joined by their ids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from lrat_hub.importers.accounts import Accounts
from lrat_hub.schema import Trajectory

Questions = Mapping[str, tuple[str, str | None]]
"""Query id to question and gold answer."""

JOINED = "runs whose question was joined by their query id"
NOT_JOINED = "runs without a question whose query id is not among those to join"


def with_question(run: Trajectory, questions: Questions, accounts: Accounts) -> Trajectory:
    """The run with the question and the gold answer that belong to its id, where it has none."""
    if run.query_id not in questions:
        accounts.records.note(NOT_JOINED, int(not run.question), example=run.query_id)
        return run
    question, gold_answer = questions[run.query_id]
    accounts.records.note(JOINED, int(not run.question))
    return replace(
        run,
        question=run.question or question,
        gold_answer=gold_answer if run.gold_answer is None else run.gold_answer,
    )
