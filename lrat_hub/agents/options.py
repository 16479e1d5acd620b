"""What can be chosen about the runs of an agent besides the agent, as options of a stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lrat_hub.agents.settings import AgentSettings
from lrat_hub.errors import LratError
from lrat_hub.llm.serving import split_arguments

if TYPE_CHECKING:
    from datasets import Dataset

    from lrat_hub.agents import Question, SearchEnvironment
    from lrat_hub.documents import Documents
    from lrat_hub.llm.serving import Serving
    from lrat_hub.retrieval import Retriever


@dataclass(kw_only=True)
class RolloutOptions:
    k: int = field(default=10, metadata={"help": "Results a query (paper: 10)."})
    snippet_tokens: int = field(default=64, metadata={"help": "Tokens of a document in a result list (paper: 64)."})
    browse_tokens: int = field(
        default=0,
        metadata={"help": "Tokens of a document that is opened, from its start; 0 for the complete document."},
    )
    hide_seen: bool = field(
        default=False,
        metadata={"help": "Fill result lists up to k new documents; those shown before are listed by title only."},
    )
    shuffle: bool = field(
        default=False,
        metadata={"help": "Show every result list in random order, which makes position bias visible (lrat analyze)."},
    )
    tokenizer: str = field(
        default="words",
        metadata={
            "help": "Model whose tokens measure snippets, or 'words' for blank-separated words (paper: Qwen3's)."
        },
    )
    max_turns: int = field(default=100, metadata={"help": "Actions after which an answer is asked for (paper: 100)."})
    samples: int = field(default=1, metadata={"help": "Runs of each question."})
    limit: int = field(default=0, metadata={"help": "Only so many questions, from the first; 0 for all."})
    concurrency: int = field(
        default=64, metadata={"help": "Questions of a language model that are worked on at once.", "recipe": False}
    )
    judge: Literal["match", "containment", "llm", "none"] = field(
        default="match",
        metadata={
            "help": "What is a right answer: one that matches the gold answer; also a short one that contains it; "
            "also one that --judge-model holds for right. Nobody is asked for 'none'."
        },
    )
    judge_model: str = field(
        default="", metadata={"help": "The judge's model (paper: Qwen3-30B-A3B-Thinking-2507).", "recipe": False}
    )
    judge_url: str = field(
        default="",
        metadata={"help": "A running server of it; without one vLLM is started after the runs.", "recipe": False},
    )
    judge_vllm_args: str = field(default="", metadata={"help": "Further options of its vLLM server, as one text."})
    journal: str = field(
        default="", metadata={"help": "Folder of the runs; one in HF_HOME, named as --to, if empty.", "recipe": False}
    )
    restart: bool = field(default=False, metadata={"help": "Throw the journal away and begin again.", "recipe": False})
    shard: str = field(
        default="1/1",
        metadata={"help": "This machine's share, as i/n; publishes once all are there.", "recipe": False},
    )
    publish_every: int = field(
        default=0,
        metadata={
            "help": "Publish what is there each time so many more runs are done, too; 0 for never.",
            "recipe": False,
        },
    )
    publish_only: bool = field(
        default=False, metadata={"help": "Publish what the journal has, and run nothing.", "recipe": False}
    )

    def check(self) -> None:
        """Raises LratError for numbers that make no sense."""
        split_arguments(self.judge_vllm_args)
        if self.samples < 1 or self.limit < 0 or self.publish_every < 0:
            raise LratError("lrat rollout: expected --samples of 1 or more, --limit and --publish_every of 0 or more.")

    def questions(self, queries: Dataset) -> list[Question]:
        """Each sample of each question that is asked, those of one question together."""
        from lrat_hub.agents import Question

        rows = queries.select(range(min(self.limit or len(queries), len(queries))))
        return [
            Question(row["query_id"], row["query"], row["answer"], sample)
            for row in rows
            for sample in range(self.samples)
        ]

    def environments(
        self, retrievers: Sequence[Retriever], documents: Documents, tokenizer: Any
    ) -> list[SearchEnvironment]:
        """The tools over each retriever.

        Args:
            tokenizer: Measures snippets; None for words.
        """
        from lrat_hub.agents import SearchEnvironment

        return [
            SearchEnvironment(
                retriever,
                documents,
                k=self.k,
                snippet_tokens=self.snippet_tokens,
                browse_tokens=self.browse_tokens or None,
                hide_seen=self.hide_seen,
                shuffle=self.shuffle,
                tokenizer=tokenizer,
            )
            for retriever in retrievers
        ]

    def judge_serving(self, agent: AgentSettings, log: Path) -> Serving:
        """Where the judge is asked: a server of its own is started as the agent's is."""
        from lrat_hub.llm.serving import Serving

        return Serving(
            log, self.judge_url, agent.vllm_python, agent.tensor_parallel,
            agent.data_parallel, split_arguments(self.judge_vllm_args), agent.server_timeout,
        )  # fmt: skip
