"""Judges: verdicts on documents an agent opened, read from the reasoning that follows, and on final answers."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from lrat_hub.schema import Pair, Verdict


class Judge(Protocol):
    """Says of naive pairs whether the opened document helped the agent (paper, section 5.1.2).

    `name` identifies the judge on every pair it has seen.
    """

    name: str

    def judge(self, pairs: Sequence[Pair]) -> list[Verdict]:
        """One verdict a pair, in order; "unjudged" where there is none, never "irrelevant" by default."""
        ...


@dataclass(frozen=True)
class RuleJudge:
    """An offline judge: two patterns, searched in the reasoning right after the browse, whatever the case.

    What stands in “quotation marks” is the document's word and not the agent's, and is passed over. The pattern for
    "irrelevant" is tried first, since a refusal often names what it misses ("does not help with what supports ...").
    A reasoning that matches neither is "unjudged".

    It reads set phrases and is meant for agents whose phrases are known, such as the offline reader; it understands
    nothing. For free text, use an LLM.
    """

    irrelevant: str = (
        r"\b(does not|doesn't|did not|didn't) (help|support|mention|answer)|\bnot (relevant|helpful|about|useful)\b"
        r"|\b(unrelated|irrelevant|no useful|nothing (useful|relevant))\b"
    )
    relevant: str = r"\b(supports?|confirms?|helps?|reveals?|answers?|states?)\b"
    name: str = "rule"

    def judge(self, pairs: Sequence[Pair]) -> list[Verdict]:
        return [self._verdict(pair.reasoning) for pair in pairs]

    def _verdict(self, reasoning: str) -> Verdict:
        reasoning = re.sub("“[^”]*”", "", reasoning)
        if re.search(self.irrelevant, reasoning, re.IGNORECASE):
            return "irrelevant"
        return "relevant" if re.search(self.relevant, reasoning, re.IGNORECASE) else "unjudged"


def normalize_answer(text: str) -> str:
    """Lower case, no accents, punctuation, articles or extra blanks: SQuAD's normalisation, and accents besides."""
    plain = "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))
    words = re.sub(r"[^\w\s]|_", " ", plain.lower()).split()
    return " ".join(word for word in words if word not in ("a", "an", "the"))


def answer_matches(answer: str | None, gold: str) -> bool:
    """Whether an answer equals the gold answer once both are normalised."""
    return bool(answer) and normalize_answer(answer) == normalize_answer(gold)
