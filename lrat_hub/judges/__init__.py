"""Judges: verdicts on documents an agent opened, read from the reasoning that follows, and on final answers.

`documents` has judges of documents (set phrases, a language model, a plug-in) and `answers` those of answers. Both ask
language models through `llm` (with a cache of replies, so that none is paid for twice) and `prompting` (the prompts,
which lie in `prompts/`, and the reading of verdicts).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from lrat_hub.judges.answers import answer_matches, normalize_answer
from lrat_hub.judges.documents import LLMJudge, RuleJudge
from lrat_hub.schema import Pair, Verdict

__all__ = ["Judge", "LLMJudge", "RuleJudge", "answer_matches", "normalize_answer"]


class Judge(Protocol):
    """Says of naive pairs whether the opened document helped the agent (paper, section 5.1.2).

    `name` and `prompt` identify the judge on every pair it has seen: a model at its revision, or a set of rules, and
    a hash of what it was asked or of its rules.
    """

    @property
    def name(self) -> str: ...

    @property
    def prompt(self) -> str: ...

    def judge(self, pairs: Sequence[Pair]) -> list[Verdict]:
        """One verdict a pair, in order; "unjudged" where there is none, never "irrelevant" by default."""
        ...
