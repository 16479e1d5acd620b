"""What a run earns, part by part, and the runs that trainers have made, read from their messages."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lrat_hub.agent_training.conversations import steps_of
from lrat_hub.agent_training.rl_settings import Rewards, RewardSettings
from lrat_hub.agents.calls import Answer
from lrat_hub.agents.parsing import read_function
from lrat_hub.agents.protocols import AgentPrompt, Messages
from lrat_hub.judges.answers import AnswerJudge
from lrat_hub.schema import Step, Trajectory
from lrat_hub.walk import Walk

_NOT_CARRIED_OUT = ("Error: ", "{'error'")
"""How what a call shows begins when it was not carried out: the environment's words, and TRL's."""


def rewards_of(
    runs: Sequence[Trajectory],
    evidence: Sequence[Collection[str] | None],
    judge: AnswerJudge,
    *,
    max_turns: int,
) -> list[Rewards]:
    """The parts of each run's reward.

    Args:
        evidence: For each run the documents that hold its evidence; None or none where nobody knows.
        judge: Of the answers, all at once.
        max_turns: Of a run, for the share of turns that are left.
    """
    judged = [run for run in runs if run.gold_answer]
    verdicts = iter(judge.judge([(run.question, run.gold_answer or "", run.final_answer) for run in judged]))
    rewards = []
    for run, documents in zip(runs, evidence, strict=True):
        correct = next(verdicts).correct if run.gold_answer else None
        walk = Walk.over(run.steps)
        rewards.append(
            {
                "answer": None if correct is None else float(correct),
                "evidence_found": _share(documents, walk.first_listed),
                "evidence_opened": _share(documents, walk.first_opened),
                "steps": None if correct is None else correct * max(0.0, 1 - _calls(run) / max_turns),
                "format": _well_formed(run),
            }
        )
    return rewards


def _share(wanted: Collection[str] | None, found: Collection[str]) -> float | None:
    return sum(docid in found for docid in wanted) / len(wanted) if wanted else None


def _calls(run: Trajectory) -> int:
    return run.num_steps + run.num_invalid


def _well_formed(run: Trajectory) -> float:
    if not run.num_searches:
        return 0.0
    answered = bool((run.final_answer or "").strip())
    return (run.num_steps + answered) / (_calls(run) + 1)


@dataclass(frozen=True)
class RewardFunctions:
    """The reward functions of a trainer: one for each part, so that each is logged apart and has its weight.

    They read what they need from the messages and the row alone: trainers that score runs in another process can, too.

    Args:
        prompt: What the agent was told.
        settings: Parts without a weight are left out.
        judge: Of answers.
        max_turns: See `rewards_of`.
        end_tokens: Tokens that end a message; a last message without one was cut off, and is no answer.
    """

    prompt: AgentPrompt
    settings: RewardSettings
    judge: AnswerJudge
    max_turns: int
    end_tokens: frozenset[int]

    def functions(self, *, scaled: bool = False) -> list[PartReward]:
        """One for each part with a weight.

        Args:
            scaled: Whether each is multiplied with its weight, for trainers without weights.
        """
        weights = self.weights if scaled else [1.0] * len(self.names)
        return [PartReward(self, name, weight) for name, weight in zip(self.names, weights, strict=True)]

    @property
    def names(self) -> list[str]:
        return [name for name, weight in self.settings.weights.items() if weight]

    @property
    def weights(self) -> list[float]:
        """Of the functions, in their order."""
        return [self.settings.weights[name] for name in self.names]

    def runs(
        self,
        completions: Sequence[Messages],
        completion_ids: Sequence[Sequence[int]],
        row: Mapping[str, Sequence[Any]],
    ) -> list[Trajectory]:
        """The runs of a batch, in order."""
        return [
            read_run(
                messages,
                self.prompt,
                is_cut=not ids or ids[-1] not in self.end_tokens,
                query_id=row["query_id"][number],
                question=row["question"][number],
                gold_answer=row["gold_answer"][number],
            )
            for number, (messages, ids) in enumerate(zip(completions, completion_ids, strict=True))
        ]


@dataclass(frozen=True)
class PartReward:
    """One part of the reward, as trainers call it.

    Args:
        scale: What the part is multiplied with.
    """

    of: RewardFunctions
    name: str
    scale: float = 1.0

    @property
    def __name__(self) -> str:
        return self.name

    def __call__(
        self, completions: Sequence[Messages], completion_ids: Sequence[Sequence[int]], **row: Any
    ) -> list[float | None]:
        runs = self.of.runs(completions, completion_ids, row)
        # Only two parts need a verdict, which may cost a request.
        judge = self.of.judge if self.name in ("answer", "steps") else AnswerJudge()
        rewards = rewards_of(runs, row["evidence"], judge, max_turns=self.of.max_turns)
        values = [parts[self.name] for parts in rewards]
        return [None if value is None else self.scale * value for value in values]


def read_run(
    messages: Messages,
    prompt: AgentPrompt,
    *,
    is_cut: bool,
    query_id: str = "",
    question: str = "",
    gold_answer: str | None = None,
) -> Trajectory:
    """The run that a trainer's messages tell of, from the first reply on.

    Args:
        messages: As TRL has them: results of calls follow their message in the order of the calls.
        is_cut: Whether the last message was cut off.
    """
    messages = _to_answer(_with_ids(messages))
    if is_cut and messages and messages[-1]["role"] == "assistant" and not messages[-1].get("tool_calls"):
        # What was begun is no call and no answer.
        messages[-1] = {"role": "assistant", "content": ""}
    steps, answer = steps_of(messages, "tools", prompt)
    return Trajectory(
        trajectory_id=query_id,
        query_id=query_id,
        question=question,
        steps=tuple(map(_as_carried_out, steps)),
        gold_answer=gold_answer,
        final_answer=answer,
        status="completed" if answer else "limited",
    )


def _to_answer(messages: Messages) -> Messages:
    """The messages up to the first call that answers: a trainer's model may go on behind it, which is not its run."""
    for place, message in enumerate(messages):
        calls = message.get("tool_calls") or ()
        for number, call in enumerate(calls):
            read = read_function(call["function"]["name"], call["function"]["arguments"])
            if any(isinstance(made, Answer) for made in read):
                # Of the calls before it in the same message there are results.
                shown = [later for later in messages[place + 1 : place + 1 + number] if later["role"] == "tool"]
                return [*messages[:place], {**message, "tool_calls": calls[: number + 1]}, *shown]
    return messages


def _as_carried_out(step: Step) -> Step:
    if step.action in ("search", "browse") and not step.observation:
        # Its result did not fit, or was never made: nobody read what it would have earned.
        return replace(step, action="invalid", error="nothing of it was shown")
    if step.action in ("search", "browse") and step.observation.startswith(_NOT_CARRIED_OUT):
        return replace(step, action="invalid", error=step.observation, results=())
    return step


def _with_ids(messages: Messages) -> Messages:
    """Messages whose calls and results know of one another."""
    named: Messages = []
    waiting: list[str] = []
    for message in messages:
        message = dict(message)
        if calls := message.get("tool_calls"):
            waiting = [f"call-{len(named)}-{number}" for number in range(len(calls))]
            message["tool_calls"] = [{**call, "id": name} for call, name in zip(calls, waiting, strict=True)]
        elif message["role"] == "tool" and waiting:
            message["tool_call_id"] = waiting.pop(0)
        named.append(message)
    return named
