"""Settings of agents that are language models, and of runs; no heavy import, so that options are shown quickly."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from lrat_hub.errors import LratError, did_you_mean
from lrat_hub.llm.settings import ServerSettings
from lrat_hub.option import option
from lrat_hub.schema import Sampling

if TYPE_CHECKING:
    from datasets import Dataset

    from lrat_hub.agents import Question, SearchEnvironment
    from lrat_hub.agents.showing import ShownDocuments
    from lrat_hub.documents import Documents
    from lrat_hub.retrieval import Retriever
    from lrat_hub.schema import Document


@dataclass(frozen=True, kw_only=True)
class AgentSettings:
    """Which model an agent is, how it is asked, and what serves it. The defaults are the paper's (section 6.1.4)."""

    server: ServerSettings = field(default_factory=ServerSettings)
    protocol: Literal["tongyi", "webexplorer", "agentcpm", "tools", "json"] = option(
        "tools", "How the model calls tools: a protocol of docs/rollouts.md.", group="essentials"
    )
    prompt: str = option(
        "",
        "Prompt of the agent: a name or a YAML file; the prompt of the protocol if empty. The authors' "
        "are released_tongyi and released_webexplorer, the benchmark's is browsecomp_plus; NAME@PATH reads them "
        "from a checkout.",
    )
    temperature: float | None = option(0.85, "Sampling temperature (paper: 0.85).")
    top_p: float | None = option(0.95, "Probability mass of nucleus sampling (paper: 0.95).")
    presence_penalty: float | None = option(1.1, "Presence penalty (paper: 1.1).")
    seed: int | None = option(2025, "Sampling seed (paper: 2025); the n-th run of a question, from 0, uses seed + n.")
    max_tokens: int = option(8_192, "Maximum number of tokens per reply, thinking included.")
    context_tokens: int = option(
        0,
        "Maximum number of tokens of a conversation; the agent is asked for its answer before that. 0 "
        "uses the limit that the server reports.",
    )
    max_repeats: int = option(5, "Stop a run after this many identical or unparsable calls in a row.")
    extra: str = option("", 'Additional fields of each request, as a JSON object, such as {"top_k": 20}.')

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise LratError(f"Agent: expected max_tokens of 1 or more, found {self.max_tokens}.")
        self.extra_fields()

    @property
    def sampling(self) -> Sampling:
        return Sampling(self.temperature, self.top_p, self.presence_penalty, self.seed)

    def extra_fields(self) -> dict[str, Any]:
        """`extra`, read. Raises LratError when it is no JSON object."""
        try:
            value = json.loads(self.extra or "{}")
        except ValueError as error:
            raise LratError(f"Agent: expected extra to be a JSON object; {error}.") from error
        if not isinstance(value, dict):
            raise LratError(f"Agent: expected extra to be a JSON object, found {self.extra!r}.")
        return value


@dataclass(frozen=True)
class EnvironmentDefaults:
    """What a named environment shows of a search and of a document; 0 stands for everything."""

    queries_per_search: int = 0
    browse_tokens: int = 0


ENVIRONMENTS: dict[str, EnvironmentDefaults] = {"ours": EnvironmentDefaults(), "paper": EnvironmentDefaults(1, 512)}
"""Both list ten results of 64 tokens. The authors' tools carry out the first query of a search, and cut documents."""


@dataclass(kw_only=True)
class EnvironmentSettings:
    """What an agent's tools show, and how often it may call them."""

    environment: Literal["ours", "paper"] = option(
        "ours",
        "What the agent's tools do: 'ours' carries out all queries of a search and shows complete "
        "documents, 'paper' the first query alone and 512 tokens of a document.",
        group="essentials",
    )
    k: int = option(10, "Number of results per query (paper: 10).", group="essentials")
    snippet_tokens: int = option(64, "Tokens shown of each document in a result list (paper: 64).")
    queries_per_search: int | None = option(
        None,
        "Queries of a search that are carried out, from the first; 0 carries out all. By default the "
        "environment's number.",
    )
    browse_tokens: int | None = option(
        None,
        "Tokens shown of an opened document, from its start; 0 shows the complete document. By default "
        "the environment's number.",
    )
    hide_seen: bool = option(
        False,
        "Fill each result list with k documents that are new to the agent; those it has seen are listed by title.",
    )
    shuffle: bool = option(
        False, "Show each result list in random order, so that lrat analyze can measure position bias."
    )
    tokenizer: str = option(
        "words",
        "Model whose tokenizer counts tokens of snippets (paper: Qwen3), or 'words' to count words between blanks.",
    )
    max_turns: int = option(
        100, "Number of actions after which the agent is asked for its answer (paper: 100).", group="essentials"
    )

    def check(self) -> None:
        """Raises LratError for values that make no sense."""
        if self.environment not in ENVIRONMENTS:
            end = did_you_mean(self.environment, list(ENVIRONMENTS)) or "."
            raise LratError(
                f"Rollout: expected environment {' or '.join(ENVIRONMENTS)}, found {self.environment!r}{end}"
            )

    @property
    def environment_name(self) -> str:
        """The environment, with what differs from its own settings: "paper", or "paper with k=5"."""
        plain = EnvironmentSettings(environment=self.environment)
        names = ("k", "snippet_tokens", "queries_per_search", "browse_tokens", "hide_seen", "shuffle")
        changed = [f"{name}={self._shown(name)}" for name in names if self._shown(name) != plain._shown(name)]
        return " with ".join(filter(None, (self.environment, ", ".join(changed))))

    def _shown(self, name: str) -> Any:
        """A setting, or the environment's where nothing else is said."""
        value = getattr(self, name)
        return getattr(ENVIRONMENTS[self.environment], name) if value is None else value

    def shown(self, documents: Mapping[str, Document], tokenizer: Any) -> ShownDocuments:
        """What the tools show of documents. `tokenizer` measures snippets; None for words."""
        from lrat_hub.agents.showing import ShownDocuments

        return ShownDocuments(
            documents,
            snippet_tokens=self.snippet_tokens,
            browse_tokens=self._shown("browse_tokens") or None,
            tokenizer=tokenizer,
        )

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
                browse_tokens=self._shown("browse_tokens") or None,
                queries_per_search=self._shown("queries_per_search") or None,
                hide_seen=self.hide_seen,
                shuffle=self.shuffle,
                tokenizer=tokenizer,
            )
            for retriever in retrievers
        ]


@dataclass(kw_only=True)
class RolloutSettings(EnvironmentSettings):
    """What can be chosen about the runs of an agent besides the agent."""

    samples: int = option(1, "Number of runs per question.")
    limit: int = option(0, "Number of questions to run, from the first one; 0 runs all.", group="essentials")
    concurrency: int = option(
        64,
        "Number of questions that the agent works on at once; the offline reader always works on all.",
        group="essentials",
        recipe=False,
    )
    journal: str = option(
        "",
        "Folder that keeps the runs, so that they resume; a folder in HF_HOME, named after the agent and "
        "all that shapes its runs, if empty.",
        group="essentials",
        recipe=False,
    )
    restart: bool = option(False, "Discard the runs in the journal and start over.", recipe=False)
    shard: str = option(
        "1/1",
        "Share of the questions that this machine runs, as i/n (1/1 is all); nothing is published before "
        "the runs of all shares are in the journal.",
        recipe=False,
    )
    publish_every: int = option(
        0,
        "Number of runs after which the finished runs are published again; 0 publishes only at the end.",
        recipe=False,
    )
    publish_only: bool = option(False, "Publish the runs in the journal without running the agent.", recipe=False)

    def check(self) -> None:
        """Raises LratError for values that make no sense."""
        super().check()
        if self.samples < 1 or self.limit < 0 or self.publish_every < 0:
            raise LratError(
                "Rollout: expected `samples` of 1 or more, and `limit` and `publish_every` of 0 or more; "
                f"found {self.samples}, {self.limit} and {self.publish_every}."
            )

    def questions(self, queries: Dataset) -> list[Question]:
        """Each sample of each question that is asked, those of one question together."""
        from lrat_hub.agents import Question

        rows: Any = queries.select(range(min(self.limit or len(queries), len(queries))))
        return [
            Question(row["query_id"], row["query"], row["answer"], sample, row.get("canary"))
            for row in rows
            for sample in range(self.samples)
        ]
