"""Final answers against gold answers: as text first, then by a language model (section 4.1.4 of the paper)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from lrat_hub.judges.cache import ReplyCache
from lrat_hub.judges.llm import Ruling, VerdictModel
from lrat_hub.judges.matching import answer_contains, answer_matches
from lrat_hub.judges.prompting import VerdictPrompt
from lrat_hub.llm.chat import ChatBackend
from lrat_hub.schema import Trajectory

AnswerVerdict = Literal["correct", "incorrect", "unjudged"]


@dataclass(frozen=True)
class Judged:
    """A verdict on an answer.

    Args:
        by: What gave it: "no answer", "match", "containment", "mismatch", or a model at its revision; for "unjudged"
            why there is none.
    """

    verdict: AnswerVerdict
    by: str

    @property
    def correct(self) -> bool | None:
        return None if self.verdict == "unjudged" else self.verdict == "correct"


@dataclass
class AnswerJudge:
    """Says whether answers are right: those that match the gold answer are, and a model is asked about the others.

    A run without an answer is incorrect.

    Args:
        backend: The model, or None. The paper's is Qwen3-30B-A3B-Thinking-2507.
        prompt: Name or path of the prompt; ours is not the paper's, which is unpublished.
        containment: Whether a short answer that has the gold answer in it is right.
        mismatch: What an answer is that does not match, when there is no model.
        cache: Where replies are kept; see `lrat_hub.judges.cache.default_cache`.
    """

    backend: ChatBackend | None = None
    prompt: str | Path = "answer"
    containment: bool = True
    mismatch: AnswerVerdict = "incorrect"
    cache: ReplyCache | None = None
    concurrency: int = 32
    max_tokens: int = 8_192
    _model: VerdictModel | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.backend is not None:
            self._model = VerdictModel(
                self.backend,
                VerdictPrompt.load(self.prompt),
                cache=self.cache,
                concurrency=self.concurrency,
                max_tokens=self.max_tokens,
            )

    @property
    def name(self) -> str:
        return self._model.name if self._model else "containment" if self.containment else "match"

    @property
    def problems(self) -> Counter[str]:
        """Why answers stayed unjudged, over all calls."""
        return self._model.problems if self._model else Counter()

    @property
    def requests(self) -> int:
        """Requests that were sent to the model; replies out of the cache cost none."""
        return self._model.requests if self._model else 0

    def match(self, answer: str | None, gold: str) -> Judged | None:
        """The verdict that needs no model, or None where one has to be asked."""
        if not answer or not answer.strip():
            return Judged("incorrect", "no answer")
        if answer_matches(answer, gold):
            return Judged("correct", "match")
        if self.containment and answer_contains(answer, gold):
            return Judged("correct", "containment")
        return Judged(self.mismatch, "mismatch") if self._model is None else None

    def judge(self, cases: Sequence[tuple[str, str, str | None]]) -> list[Judged]:
        """A verdict for each (question, gold answer, answer), in order."""
        known = [self.match(answer, gold) for _, gold, answer in cases]
        asked = [
            {"question": question, "gold": gold, "answer": answer or ""}
            for (question, gold, answer), verdict in zip(cases, known, strict=True)
            if verdict is None
        ]
        rulings = iter(self._model.rule(asked) if self._model and asked else ())
        return [verdict or self._judged(next(rulings)) for verdict in known]

    def judge_runs(self, runs: Sequence[Trajectory]) -> list[Trajectory]:
        """Runs with `correct`, and in their metadata what decided; those without a gold answer as they are."""
        cases = [(run.question, run.gold_answer, run.final_answer) for run in runs if run.gold_answer]
        verdicts = iter(self.judge(cases))
        return [self._with(run, next(verdicts)) if run.gold_answer else run for run in runs]

    def _judged(self, ruling: Ruling) -> Judged:
        if ruling.verdict is None:
            return Judged("unjudged", ruling.problem)
        return Judged(ruling.verdict, self.name)

    def _with(self, run: Trajectory, judged: Judged) -> Trajectory:
        metadata = {**json.loads(run.metadata), "judge": {"verdict": judged.verdict, "by": judged.by}}
        if self._model and judged.by == self.name:
            metadata["judge"]["prompt"] = self._model.prompt.digest
        return replace(run, correct=judged.correct, metadata=json.dumps(metadata, sort_keys=True))
