"""Options of `lrat eval agents`: which cells are run, and who judges answers. No heavy import."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from lrat_hub.errors import LratError
from lrat_hub.llm.serving import split_arguments

READERS = ("reader", "clue-reader")
"""Agents without a language model: of natural questions, and of clue questions."""


@dataclass(kw_only=True)
class CellSettings:
    """Cells that are run now: every agent with every retriever and K."""

    agents: list[str] = field(
        default_factory=list, metadata={"help": f"Offline agents to run: {' or '.join(READERS)}."}
    )
    rollouts: list[str] = field(
        default_factory=list, metadata={"help": "Agents to run by their recipes of lrat rollout, one recipe an agent."}
    )
    retrievers: list[str] = field(
        default_factory=list,
        metadata={"help": "What they search with: bm25, a SentenceTransformer, index:REF, a URL; A+B fuses two."},
    )
    k: list[int] = field(default_factory=lambda: [10], metadata={"help": "Results of a search; several are a sweep."})
    snippet_tokens: int = field(default=64, metadata={"help": "Tokens of a document in a result list (paper: 64)."})
    max_turns: int = field(default=50, metadata={"help": "Actions after which an answer is asked for (paper: 50)."})
    journal: str = field(
        default="", metadata={"help": "Folder of the readers' runs; one in HF_HOME if empty.", "recipe": False}
    )

    def check(self, corpus: str) -> None:
        """Raises LratError for options that don't go together."""
        if unknown := [name for name in self.agents if name not in READERS]:
            raise LratError(f"--agents {unknown[0]}: expected {' or '.join(READERS)}.")
        if (self.agents or self.rollouts) and not (self.retrievers and corpus):
            raise LratError("lrat eval agents: agents that are run need --retrievers and --corpus. Give both.")
        if fused := [text for text in self.retrievers if self.rollouts and "+" in text]:
            raise LratError(
                f"--retrievers {fused[0]}: --rollouts takes bm25, a model, index:REF or a URL. Serve a fusion by URL."
            )


@dataclass(kw_only=True)
class VerdictSettings:
    """Who judges the answers, and who judges them once more."""

    judge: Literal["recorded", "match", "containment", "llm"] = field(
        default="recorded",
        metadata={
            "help": "What is a right answer: what came with the runs says so ('match' for readers that are run now); "
            "it matches the gold answer; or also a short one that contains it; or also --judge_model holds it for "
            "right."
        },
    )
    judge_model: str = field(
        default="", metadata={"help": "The judge's model (paper: Qwen3-30B-A3B-Thinking-2507).", "recipe": False}
    )
    judge_url: str = field(
        default="", metadata={"help": "A running server of it; without one vLLM is started.", "recipe": False}
    )
    judge_vllm_python: str = field(
        default="", metadata={"help": "The Python that vLLM is installed for, if it is another.", "recipe": False}
    )
    judge_vllm_args: str = field(default="", metadata={"help": "Further options of its vLLM server, as one text."})
    second_judge: Literal["", "recorded", "match", "containment", "llm"] = field(
        default="", metadata={"help": "Another judge of the same answers; how far the two agree is reported."}
    )
    second_judge_model: str = field(default="", metadata={"help": "Its model.", "recipe": False})
    second_judge_url: str = field(default="", metadata={"help": "A running server of that.", "recipe": False})
    verdicts: list[str] = field(
        default_factory=list,
        metadata={"help": "Folders with *_eval.json of BrowseComp-Plus in place of the judge, as RETRIEVER=FOLDER."},
    )


@dataclass(kw_only=True)
class EvaluationSettings(VerdictSettings, CellSettings):
    """Both together."""

    def check(self, corpus: str) -> None:
        """Raises LratError for options that don't go together, or can't be read."""
        super().check(corpus)
        split_arguments(self.judge_vllm_args)
