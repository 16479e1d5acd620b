"""What `lrat eval agents` needs besides its script: options of its judges, and the runs of agents that it makes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrat_hub import cli
from lrat_hub.cli.expected import PlannedArguments
from lrat_hub.cli.options import AGENTS, options_of, settings_of
from lrat_hub.cli.stage import say
from lrat_hub.errors import LratError
from lrat_hub.evaluation.verdicts import RECORDED
from lrat_hub.judges.settings import ANSWER_JUDGES, AnswerJudgeSettings
from lrat_hub.option import option
from lrat_hub.plugins import plugin_identity

if TYPE_CHECKING:
    from lrat_hub.evaluation.seen import Seen
    from lrat_hub.hub.inputs import Inputs, Source
    from lrat_hub.hub.refs import HubRef
    from lrat_hub.schema import Trajectory

CONCURRENCY = 64
"""Questions that a plug-in works on at once; the offline reader works on all."""


@dataclass(kw_only=True)
class RunOptions(PlannedArguments):
    """Options of the runs that an evaluation makes now."""

    corpus: str = option("", "Corpus that agents of --agents and --rollouts search and browse.", group="inputs")
    agents: list[str] = option(
        help=f"Agents to run now: {', '.join(AGENTS)} (works offline, by rules), or plug-ins as module:object.",
        factory=list,
        group="inputs",
        known=tuple(AGENTS),
    )
    rollouts: list[str] = option(
        help="Agents to run now by recipes of lrat rollout; one recipe for each agent.", factory=list, group="inputs"
    )
    retrievers: list[str] = option(
        help="Retrievers that agents of --agents and --rollouts search with; see lrat rollout --help.",
        factory=list,
        group="inputs",
    )
    k: list[int] = option(
        help="Number of results per query; each agent is run with each of several values.",
        factory=lambda: [10],
        group="essentials",
    )
    snippet_tokens: int = option(64, "Tokens shown of each document in a result list (paper: 64).")
    max_turns: int = option(
        50, "Number of actions after which an agent is asked for its answer (paper: 50).", group="essentials"
    )
    journal: str = option(
        "",
        "Folder that keeps the runs of --agents, so that they resume; a folder in HF_HOME if empty.",
        group="essentials",
        recipe=False,
    )

    def check(self) -> None:
        """Raises LratError for options that don't go together."""
        if (self.agents or self.rollouts) and not (self.retrievers and self.corpus):
            raise LratError("Evaluation: agents that are run need `retrievers` and `corpus`. Give both.")


RECORDED_JUDGE: Any = option(
    RECORDED,
    "Judge of answers: recorded (the verdicts that came with the runs; for agents that are run now, "
    "match), match, containment, llm (the language model of `model`), none, or a plug-in as module:object. "
    "lrat rollout --help describes each of them.",
    group="essentials",
    known=(RECORDED, *ANSWER_JUDGES),
)
SECOND_JUDGE: Any = option(
    "",
    "Second judge of the same answers, to report its agreement with the first; none if empty.",
    group="essentials",
    known=(RECORDED, *ANSWER_JUDGES),
)
JudgeOptions = options_of(AnswerJudgeSettings, "answer_judge", formerly="judge", answer_judge=RECORDED_JUDGE)
SecondJudgeOptions = options_of(AnswerJudgeSettings, "second_judge", second_judge=SECOND_JUDGE)


def judges(options: Any, second_options: Any) -> tuple[AnswerJudgeSettings, AnswerJudgeSettings | None]:
    """The judge and the second one, whose vLLM is started as the first one's is where nothing else is said."""
    judge = settings_of(options, AnswerJudgeSettings, "answer_judge")
    second = settings_of(second_options, AnswerJudgeSettings, "second_judge")
    server = second.server.started_like(judge.server)
    server = replace(server, vllm_args=server.vllm_args or judge.server.vllm_args)
    if not second.judge:
        return judge, None
    return judge, replace(second, server=server)


def run_agents(
    inputs: Inputs, options: RunOptions, corpus: Source, queries: Any, folder: Path
) -> Iterator[tuple[str, Sequence[Trajectory]]]:
    """Runs `agents` with every retriever and K: the retriever's name in the options, and the runs.

    Args:
        queries: Rows of the questions.
        folder: Journal of the runs; what it has is not run again.
    """
    from lrat_hub.agents import Question, SearchEnvironment
    from lrat_hub.agents.rollouts import journaled_runs, load_agent
    from lrat_hub.documents import Documents
    from lrat_hub.hub.inputs import load_table
    from lrat_hub.retrieval.opening import RetrieverOpener

    documents = Documents(load_table(corpus, "corpus", config="corpus"))
    agents = {name: load_agent(AGENTS.get(name, name), documents) for name in options.agents}
    pins = {f"agent {name}": plugin_identity(name) for name in options.agents if name not in AGENTS}
    for name, pin in pins.items():
        inputs.record(name, pin)
    questions = [Question(row["query_id"], row["query"], row["answer"], canary=row["canary"]) for row in queries]
    opener = RetrieverOpener(corpus, documents, inputs=inputs, show_progress=True)
    # All are opened before the first is run: one that can't be is not noticed after hours.
    for text, retriever in [(text, opener.open(text)) for text in options.retrievers]:
        for name, agent in agents.items():
            for k in options.k:
                yield (
                    text,
                    journaled_runs(
                        agent,
                        questions,
                        SearchEnvironment(retriever, documents, k=k, snippet_tokens=options.snippet_tokens),
                        folder,
                        max_turns=options.max_turns,
                        inputs={"corpus": str(corpus)} | {key: pins[key] for key in [f"agent {name}"] if key in pins},
                        concurrency=None if name in AGENTS else CONCURRENCY,
                    ),
                )


def seen_by(models: Sequence[HubRef], gold: Mapping[str, tuple[str, str]], queries: Source) -> list[Seen]:
    """What the models that agents searched with have seen of the questions, which is told.

    Args:
        gold: Query id to question and answer.
        queries: Where the questions are from.
    """
    from lrat_hub.evaluation.seen import Seen, TrainingPairs
    from lrat_hub.evaluation.tables import system_name

    texts = {query_id: question for query_id, (question, _) in gold.items()}
    seen = [
        Seen.of(system_name(model), TrainingPairs.of(model, queries=queries), texts, {})
        for model in dict.fromkeys(models)
    ]
    for one in seen:
        say(f"  {one}")
    return seen


def run_recipes(
    options: RunOptions, given: Mapping[str, Any], *, target: str, corpus: str, queries: str
) -> Iterator[tuple[str, HubRef]]:
    """Runs `lrat rollout` with every recipe, retriever and K: the retriever's name in the options, and the pin.

    Each of them is published on its own, beside the evaluation; its journal lets the same command go on where it was
    stopped.

    Args:
        given: Values that win over the recipes'.
        target: Repository of the evaluation, whose name the others begin with.
    """
    from lrat_hub.retrieval.opening import RetrieverName

    for recipe in options.rollouts:
        for text in options.retrievers:
            retriever = RetrieverName.parse(text)
            # An index by itself is `index`, whose config is named after it; anything else names a retriever.
            is_index = retriever.kind in ("index", "url")
            for k in options.k:
                name = f"{Path(recipe).stem}-{retriever.text.partition('@')[0]}-k{k}"
                values = {
                    "corpus": corpus,
                    "queries": queries,
                    "k": k,
                    "to": f"{target}-{re.sub(r'[^A-Za-z0-9.-]+', '-', name)}",
                    **({"index": [retriever.text]} if is_index else {"retriever": text}),
                    **({"private": True} if options.private else {}),
                    **({"require_pinned": True} if options.require_pinned else {}),
                    **given,
                }
                yield text, cli.run_recipe("rollout", recipe, values)
