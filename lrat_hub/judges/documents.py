"""A language model as the judge of documents that an agent opened (section 5.1.2 of the paper)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from lrat_hub.judges.cache import ReplyCache
from lrat_hub.judges.llm import VerdictModel
from lrat_hub.judges.prompting import VerdictPrompt
from lrat_hub.llm.chat import ChatBackend
from lrat_hub.schema import Pair, Verdict

NO_REASONING = "no reasoning after the browse"


class DocumentJudge:
    """Asks whether the reasoning right after a browse uses what the document said.

    A pair without any such reasoning is "unjudged", and nobody is asked.

    Args:
        backend: The model. The paper's is Qwen3-30B-A3B-Thinking-2507.
        prompt: Name or path of the prompt; ours is not the paper's, which is unpublished.
        cache: Where replies are kept; see `lrat_hub.judges.cache.default_cache`.
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

    @property
    def problems(self) -> Counter[str]:
        """Why pairs stayed unjudged, over all calls."""
        return self._model.problems

    @property
    def requests(self) -> int:
        """Requests that were sent to the model; replies out of the cache cost none."""
        return self._model.requests

    def judge(self, pairs: Sequence[Pair]) -> list[Verdict]:
        asked = [pair for pair in pairs if pair.reasoning.strip()]
        if len(asked) < len(pairs):
            self.problems[NO_REASONING] += len(pairs) - len(asked)
        rulings = iter(
            self._model.rule(
                [{"question": pair.question, "query": pair.query, "reasoning": pair.reasoning} for pair in asked]
            )
        )
        return [(next(rulings).verdict or "unjudged") if pair.reasoning.strip() else "unjudged" for pair in pairs]
