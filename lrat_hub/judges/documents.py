"""Judges of documents that an agent opened (section 5.1.2 of the paper): set phrases, a language model, a plug-in."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from lrat_hub.errors import LratError
from lrat_hub.judges.llm import ReplyCache, VerdictModel
from lrat_hub.judges.prompting import VerdictPrompt, checked_verdicts
from lrat_hub.judges.replies import unquoted
from lrat_hub.llm.chat import ChatBackend
from lrat_hub.plugins import attribute_of
from lrat_hub.schema import Pair, Verdict

NO_REASONING = "no reasoning after the browse"


@dataclass(frozen=True)
class RuleJudge:
    """An offline judge: two patterns, searched in the reasoning right after the browse, whatever the case.

    Text in quotation marks, of any language, is a quote from the document and not the agent's own words, so it is
    ignored. The pattern for "irrelevant" is tried first, since a refusal often names what it misses ("does not help
    with what supports ...").
    A reasoning that matches neither is "unjudged".

    It recognises fixed phrases and is meant for agents whose phrases are known, such as the offline reader. It does
    not understand free text; use `LLMJudge` for that.
    """

    irrelevant: str = (
        r"\b(does not|doesn't|did not|didn't) (help|support|mention|answer)|\bnot (relevant|helpful|about|useful)\b"
        r"|\b(unrelated|irrelevant|no useful|nothing (useful|relevant))\b"
    )
    relevant: str = r"\b(supports?|confirms?|helps?|reveals?|answers?|states?)\b"
    name: str = "rule"

    @property
    def prompt(self) -> str:
        """A hash of the patterns, and of how they are searched: what this judge goes by."""
        return hashlib.sha256(f"{self.irrelevant}\0{self.relevant}\0unquoted".encode()).hexdigest()[:16]

    def judge(self, pairs: Sequence[Pair]) -> list[Verdict]:
        return [self._verdict(pair.reasoning) for pair in pairs]

    def _verdict(self, reasoning: str) -> Verdict:
        reasoning = unquoted(reasoning)
        if re.search(self.irrelevant, reasoning, re.IGNORECASE):
            return "irrelevant"
        return "relevant" if re.search(self.relevant, reasoning, re.IGNORECASE) else "unjudged"


class LLMJudge:
    """Asks a language model whether the reasoning right after a browse uses what the document said.

    A pair without any such reasoning is "unjudged", and no request is sent.

    Args:
        backend: The model. The paper's is Qwen3-30B-A3B-Thinking-2507.
        prompt: Name or path of the prompt; "released_document" is the authors'.
        cache: Where replies are kept; see `lrat_hub.judges.llm.default_cache`.
        on_ruling: Called after each pair that the model was asked about.
    """

    def __init__(
        self,
        backend: ChatBackend,
        *,
        prompt: str | Path = "document",
        cache: ReplyCache | None = None,
        concurrency: int = 32,
        max_tokens: int = 8192,
        on_ruling: Callable[[], object] | None = None,
    ) -> None:
        self._model = VerdictModel(
            backend,
            VerdictPrompt.load(prompt),
            cache=cache,
            concurrency=concurrency,
            max_tokens=max_tokens,
            on_ruling=on_ruling,
        )
        self.name = self._model.name
        self.prompt = self._model.prompt.digest

    def __repr__(self) -> str:
        return f"LLMJudge({self.name!r})"

    @property
    def problems(self) -> Counter[str]:
        """Why pairs stayed unjudged, over all calls."""
        return self._model.problems

    @property
    def requests(self) -> int:
        """Requests that were sent to the model; replies out of the cache cost none."""
        return self._model.requests

    def fetch(self, pairs: Callable[[], Iterable[Pair]]) -> None:
        """Asks a model that is asked in bulk about all pairs, which `judge` then only reads; no other model.

        Args:
            pairs: Gives the pairs, each time that it is called.
        """
        self._model.fetch(lambda: (_case(pair) for pair in pairs() if pair.reasoning.strip()))

    def judge(self, pairs: Sequence[Pair]) -> list[Verdict]:
        asked = [pair for pair in pairs if pair.reasoning.strip()]
        if len(asked) < len(pairs):
            self.problems[NO_REASONING] += len(pairs) - len(asked)
        rulings = iter(self._model.rule([_case(pair) for pair in asked]))
        return [as_verdict(next(rulings).verdict if pair.reasoning.strip() else None) for pair in pairs]


def _case(pair: Pair) -> dict[str, str]:
    return {"question": pair.question, "query": pair.query, "reasoning": pair.reasoning}


class PluginJudge:
    """Anyone's judge of documents, with what it lacks: a name, a prompt's hash, and verdicts that are checked.

    Args:
        judge: Has `judge(pairs)`, and maybe `name` and `prompt`; see `lrat_hub.judges.Judge`.
        name: What it is called where it has no name.
    """

    def __init__(self, judge: Any, name: str) -> None:
        self._judge = judge
        self.name: str = attribute_of(judge, "name", str, name)
        self.prompt: str = attribute_of(judge, "prompt", str, "")

    def judge(self, pairs: Sequence[Pair]) -> list[Verdict]:
        return checked_verdicts(self.name, lambda: self._judge.judge(pairs), get_args(Verdict), len(pairs))


def checked_judge(judge: Any) -> RuleJudge | LLMJudge | PluginJudge:
    """A judge whose verdicts are checked: one of this module as it is, and anyone's as a `PluginJudge`.

    Raises:
        LratError: It has no `judge(pairs)`, or is a class and not yet a judge.
    """
    if isinstance(judge, RuleJudge | LLMJudge | PluginJudge):
        return judge
    if isinstance(judge, type) or not callable(getattr(judge, "judge", None)):
        found = f"the class {judge.__name__}" if isinstance(judge, type) else f"{type(judge).__name__} without it"
        raise LratError(f"Judge: expected an object with judge(pairs), such as RuleJudge(), found {found}.")
    return PluginJudge(judge, type(judge).__name__)


def as_verdict(label: str | None) -> Verdict:
    """A prompt's label as a verdict: "unjudged" where there is none, never "irrelevant" by default."""
    return "relevant" if label == "relevant" else "irrelevant" if label == "irrelevant" else "unjudged"
