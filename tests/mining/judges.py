"""A judge for tests: reads its verdict as the reasoning's first word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lrat_hub.schema import Pair, Verdict


class OneWordJudge:
    """Says what the reasoning begins with; or, with `words`, what stands there for its first word, else "relevant"."""

    name, prompt = "one-word", "words"

    def __init__(self, words: Mapping[str, Verdict] | None = None) -> None:
        self._words = words

    def judge(self, pairs: Sequence[Pair]) -> list[Verdict]:
        firsts = [(pair.reasoning.split() or [""])[0] for pair in pairs]
        if self._words is not None:
            return [self._words.get(first, "relevant") for first in firsts]
        return [first if first in ("relevant", "irrelevant") else "unjudged" for first in firsts]
