"""`SearchEnv` by names, for trainers that make their environments in other processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from lrat_hub.agent_training.environment import SearchEnv
from lrat_hub.agents.settings import EnvironmentSettings


@dataclass(frozen=True)
class SearchEnvFactory:
    """Makes instances of a `SearchEnv` over what names name, with the tools and limits of a rollout's settings.

    It can be pickled, as `AsyncGRPOTrainer` needs it: what is named is opened once in each process, at the first call.

    Args:
        corpus: Reference or file of the corpus.
        retriever: As for `open_retriever`: a name, or the URL of `lrat serve`, which many processes can share.
        settings: As for `lrat rollout`.
        qrels: Reference or file of relevance judgements, for rewards by evidence.
        options: See `SearchEnv.over`.

    Example:
        >>> from trl import GRPOTrainer
        >>> from lrat_hub.agents.settings import EnvironmentSettings
        >>> factory = SearchEnvFactory("datasets/me/wiki", "http://127.0.0.1:8971", EnvironmentSettings(max_turns=8))
        >>> GRPOTrainer(..., environment_factory=factory)
    """

    corpus: str
    retriever: str = "bm25"
    settings: EnvironmentSettings = field(default_factory=EnvironmentSettings)
    qrels: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self) -> SearchEnv:
        return self.kind()()

    def __hash__(self) -> int:
        return hash(repr(self))

    def kind(self) -> type[SearchEnv]:
        """The class of the instances; the same each time.

        Raises:
            LratError: Something can't be opened.
        """
        return _opened(self)


@lru_cache(8)
def _opened(factory: SearchEnvFactory) -> type[SearchEnv]:
    from lrat_hub.corpora.loading import load_corpus, load_qrels
    from lrat_hub.hub.inputs import load_tokenizer, resolve
    from lrat_hub.retrieval.opening import open_retriever

    settings = factory.settings
    documents = load_corpus(factory.corpus)
    tokenizer = None
    if settings.tokenizer != "words":
        tokenizer = load_tokenizer(resolve(settings.tokenizer, repo_type="model"))
    # Indexes and servers are of a published corpus, which is compared; a file does for the others.
    published = None if Path(factory.corpus).expanduser().is_file() else factory.corpus
    retriever = open_retriever(factory.retriever, published, documents=documents)
    (environment,) = settings.environments([retriever], documents, tokenizer)
    evidence = load_qrels(factory.qrels) if factory.qrels else None
    return SearchEnv.over(environment, max_turns=settings.max_turns, evidence=evidence, **factory.options)
