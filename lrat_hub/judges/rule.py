"""A judge that needs no model: set phrases in the reasoning after a browse."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from lrat_hub.schema import Pair, Verdict


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

    @property
    def prompt(self) -> str:
        """A hash of the patterns: what this judge goes by."""
        return hashlib.sha256(f"{self.irrelevant}\0{self.relevant}".encode()).hexdigest()[:16]

    def judge(self, pairs: Sequence[Pair]) -> list[Verdict]:
        return [self._verdict(pair.reasoning) for pair in pairs]

    def _verdict(self, reasoning: str) -> Verdict:
        reasoning = re.sub("“[^”]*”", "", reasoning)
        if re.search(self.irrelevant, reasoning, re.IGNORECASE):
            return "irrelevant"
        return "relevant" if re.search(self.relevant, reasoning, re.IGNORECASE) else "unjudged"
