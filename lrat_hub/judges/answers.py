"""Final answers against gold answers: as text first, then by a language model (section 4.1.4 of the paper)."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from lrat_hub.judges.llm import ReplyCache, Ruling, VerdictModel
from lrat_hub.judges.prompting import VerdictPrompt, checked_verdicts
from lrat_hub.llm.chat import ChatBackend
from lrat_hub.plugins import attribute_of
from lrat_hub.schema import Trajectory

AnswerVerdict = Literal["correct", "incorrect", "unjudged"]

MORE_WORDS = 12
"""Words that an answer may have beside the gold answer to be taken for it."""

REASON_WORDS = 5
"""Words of a second line from which on it is the reason for the answer in the first, and no other answer."""

_HEDGES = frozenset(
    (
        "not",
        "no",
        "nor",
        "neither",
        "or",
        "either",
        "unless",
        "versus",
        "vs",
        "instead",
        "cannot",
        "unknown",
        "unclear",
    )
)


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
        prompt: Name or path of the prompt; "released_answer" is the authors'.
        containment: Whether a short answer that has the gold answer in it is right.
        mismatch: What an answer is that does not match, when there is no model.
        cache: Where replies are kept; see `lrat_hub.judges.llm.default_cache`.
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
        if ruling.verdict == "correct":
            return Judged("correct", self.name)
        return Judged("incorrect", self.name) if ruling.verdict == "incorrect" else Judged("unjudged", ruling.problem)

    def _with(self, run: Trajectory, judged: Judged) -> Trajectory:
        metadata = {**json.loads(run.metadata), "judge": {"verdict": judged.verdict, "by": judged.by}}
        if self._model and judged.by == self.name:
            metadata["judge"]["prompt"] = self._model.prompt.digest
        return replace(run, correct=judged.correct, metadata=json.dumps(metadata, sort_keys=True))


class PluginAnswerJudge(AnswerJudge):
    """Anyone's judge of answers: it is asked about every answer that is not empty, also about those that match.

    Args:
        judge: Has `judge(cases)`, which gives "correct", "incorrect" or "unjudged" for each (question, gold answer,
            answer), and maybe a `name`.
        name: What it is called where it has no name.
    """

    def __init__(self, judge: Any, name: str) -> None:
        super().__init__()
        self._judge, self._name = judge, attribute_of(judge, "name", str, name)

    @property
    def name(self) -> str:
        return self._name

    def judge(self, cases: Sequence[tuple[str, str, str | None]]) -> list[Judged]:
        asked = [case for case in cases if case[2] and case[2].strip()]
        given = iter(
            checked_verdicts(
                self.name,
                lambda: self._judge.judge(asked) if asked else [],
                get_args(AnswerVerdict),
                len(asked),
            )
        )
        return [
            Judged(next(given), self.name) if case[2] and case[2].strip() else Judged("incorrect", "no answer")
            for case in cases
        ]


def normalize_answer(text: str) -> str:
    """Lower case, no accents, punctuation, articles or extra blanks: SQuAD's normalisation, and accents besides."""
    plain = "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))
    words = re.sub(r"[^\w\s]|_", " ", plain.lower()).split()
    return " ".join(word for word in words if word not in ("a", "an", "the"))


def stated_answer(answer: str) -> str:
    """The answer itself: the first line where the second has the reason, as our agents are asked to write, or all."""
    first, _, rest = answer.strip().partition("\n")
    second = rest.strip().partition("\n")[0]
    return first if len(second.split()) >= REASON_WORDS else answer


def answer_matches(answer: str | None, gold: str) -> bool:
    """Whether an answer, or the first line of one with its reason, equals the gold answer once both are normalised."""
    return bool(answer) and normalize_answer(gold) in {
        normalize_answer(answer),
        normalize_answer(stated_answer(answer)),
    }


def answer_contains(answer: str | None, gold: str) -> bool:
    """Whether a short answer has all of the gold answer in it, word for word, once both are normalised.

    Only the answer's first paragraph counts, or its first line before a reason (`stated_answer`). One that denies
    something or names alternatives is not taken for the gold answer, nor is one by a single digit or letter: these
    stand in too many texts.
    """
    wanted = normalize_answer(gold).split()
    first = next(
        (part for part in re.split(r"\n\s*\n|\n(?=\w+:)", stated_answer(answer or "").strip()) if part.strip()), ""
    )
    words = normalize_answer(first).split()
    if not wanted or len("".join(wanted)) < 2 or len(words) > len(wanted) + MORE_WORDS:
        return False
    starts = (start for start in range(len(words) - len(wanted) + 1) if words[start : start + len(wanted)] == wanted)
    start = next(starts, None)
    if start is None:
        return False
    return not _HEDGES.intersection(words[:start] + words[start + len(wanted) :])
