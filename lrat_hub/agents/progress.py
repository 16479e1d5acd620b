"""What a rollout has done so far, in one line."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from lrat_hub.agents.language import Usage
from lrat_hub.judges.answers import AnswerJudge
from lrat_hub.schema import Step, Trajectory


class RolloutProgress:
    """Counts steps and runs as they come.

    Args:
        usage: What the agent's model was asked for, where it has one.
        judge: Says which answers are right as far as that can be told without a model.
    """

    def __init__(
        self,
        usage: Usage | None = None,
        judge: AnswerJudge | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._usage = usage or Usage()
        self._judge = judge or AnswerJudge()
        self._clock = clock
        self._started = clock()
        self.runs = self.correct = self.steps = self.searches = 0
        self.errors: Counter[str] = Counter()

    def step(self, step: Step) -> None:
        self.steps += step.action in ("search", "browse")
        self.searches += len(step.queries)
        if step.error is not None:
            self.errors["invalid calls"] += 1

    def run(self, trajectory: Trajectory) -> None:
        self.runs += 1
        if trajectory.gold_answer:
            verdict = self._judge.match(trajectory.final_answer, trajectory.gold_answer)
            self.correct += verdict is not None and verdict.verdict == "correct"
        if trajectory.status != "completed":
            self.errors[trajectory.status] += 1

    def __str__(self) -> str:
        seconds = max(self._clock() - self._started, 1e-9)
        parts = [
            f"{self.correct} correct",
            f"{self.steps} steps",
            f"{self._usage.completion_tokens / seconds:.0f} tokens/s",
            f"{self.searches / seconds:.1f} searches/s",
        ]
        parts += [f"{count} {what}" for what, count in sorted((self.errors + self._usage.errors).items())]
        return ", ".join(parts)
