"""Evaluates agents with retrievers on a benchmark (section 6 of the paper): success, evidence recall, steps.

Cells are existing trajectories (--trajectories), which are scored as they are, and cells that are run now, every agent
with every retriever and K: offline readers (--agents), and language models by their recipes of `lrat rollout`
(--rollouts). Every question of the set counts: a run that is missing, crashed or came to no answer is a failure.
Publishes a row for each cell and question, and tables with intervals and paired tests.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrat_hub import cli
from lrat_hub.cli.options import AGENTS, options_of, settings_of
from lrat_hub.cli.stage import Stage, StageArguments, assignments, parse, read_recipe, say
from lrat_hub.errors import LratError
from lrat_hub.evaluation.verdicts import RECORDED
from lrat_hub.hub.refs import HubRef
from lrat_hub.judges.settings import ANSWER_JUDGES, AnswerJudgeSettings, require_judge
from lrat_hub.plugins import is_plugin, plugin_identity

if TYPE_CHECKING:
    from datasets import Dataset

    from lrat_hub.evaluation.systems import AgentSystem
    from lrat_hub.evaluation.verdicts import AgentRuns
    from lrat_hub.hub.inputs import Source


CONCURRENCY = 64
"""Questions that a plug-in works on at once; the offline readers work on all."""


@dataclass(kw_only=True)
class Arguments(StageArguments):
    queries: str = field(metadata={"help": "All questions of the benchmark, as ref#config:split."})
    qrels: str = field(
        default="", metadata={"help": "Evidence judgements of the queries; without them there is no evidence recall."}
    )
    benchmark: str = field(default="", metadata={"help": "What tables call the benchmark; else the queries' name."})
    trajectories: list[str] = field(
        default_factory=list,
        metadata={"help": "Runs to evaluate: a config each of one agent with one retriever.", "recipe": False},
    )
    names: list[str] = field(
        default_factory=list,
        metadata={"help": "What tables call the retrievers of --trajectories and then --retrievers, in their order."},
    )
    baselines: list[str] = field(
        default_factory=list,
        metadata={"help": "What a retriever is compared with, RETRIEVER=BASELINE; the first one if not given."},
    )
    corpus: str = field(default="", metadata={"help": "What agents that are run now search and browse."})
    results_into: list[str] = field(
        default_factory=list,
        metadata={"help": "Models (namespace/name) that agents searched with, whose cards get the results."},
    )
    browsecomp: bool = field(
        default=False, metadata={"help": "Also write runs and the leaderboard's summary as BrowseComp-Plus has them."}
    )
    agents: list[str] = field(
        default_factory=list,
        metadata={"help": f"Agents to run: {', '.join(AGENTS)} (offline), or plug-ins as module:object."},
    )
    rollouts: list[str] = field(
        default_factory=list, metadata={"help": "Agents to run by their recipes of lrat rollout, one recipe an agent."}
    )
    retrievers: list[str] = field(
        default_factory=list,
        metadata={"help": "Retrievers that they search with; see `lrat rollout`."},
    )
    k: list[int] = field(default_factory=lambda: [10], metadata={"help": "Results of a search; several are a sweep."})
    snippet_tokens: int = field(default=64, metadata={"help": "Tokens of a document in a result list (paper: 64)."})
    max_turns: int = field(default=50, metadata={"help": "Actions after which an answer is asked for (paper: 50)."})
    journal: str = field(
        default="", metadata={"help": "Folder of the runs of --agents; one in HF_HOME if empty.", "recipe": False}
    )

    verdicts: list[str] = field(
        default_factory=list,
        metadata={"help": "Folders with *_eval.json of BrowseComp-Plus in place of the judge, as RETRIEVER=FOLDER."},
    )

    def check(self) -> None:
        """Raises LratError for options that don't go together."""
        if unknown := [name for name in self.agents if name not in AGENTS and not is_plugin(name)]:
            raise LratError(f"`agents` {unknown[0]}: expected {', '.join(AGENTS)} or module:object.")
        if not (self.trajectories or self.agents or self.rollouts):
            raise LratError("Evaluation: expected `trajectories`, or `agents` or `rollouts` to run; found none.")
        if (self.agents or self.rollouts) and not (self.retrievers and self.corpus):
            raise LratError("Evaluation: agents that are run need `retrievers` and `corpus`. Give both.")
        if self.names and len(self.names) != len(self.trajectories) + len(self.retrievers):
            raise LratError(
                f"`names`: expected one for each of {len(self.trajectories)} trajectories and "
                f"{len(self.retrievers)} retrievers, found {len(self.names)}."
            )


RECORDED_JUDGE: Any = field(
    default=RECORDED,
    metadata={
        "help": "Judge of answers: recorded (what came with the runs; match for agents that are run now), "
        "match, containment, llm (the language model of `model`), none, or a plug-in as module:object: see "
        "`lrat rollout`."
    },
)
SECOND_JUDGE: Any = field(
    default="", metadata={"help": "Second judge of the same answers; how far the two agree is reported."}
)
JudgeOptions = options_of(AnswerJudgeSettings, "judge", judge=RECORDED_JUDGE)
SecondJudgeOptions = options_of(AnswerJudgeSettings, "second_judge", second_judge=SECOND_JUDGE)


def main(argv: list[str] | None = None) -> tuple[HubRef, list[HubRef]]:
    """Returns the pin of the evaluation and of each model whose card was written."""
    args, options, second_options = parse(argv, "eval agents", __doc__, Arguments, JudgeOptions, SecondJudgeOptions)
    args.check()
    judge, second_judge = judges(options, second_options)

    from datasets import Dataset

    from lrat_hub.agents.journal import default_folder
    from lrat_hub.corpora.loading import load_qrels
    from lrat_hub.evaluation.agents import evaluate_agents, plain_id, without_texts
    from lrat_hub.evaluation.browsecomp import leaderboard_summary, read_verdicts, run_files
    from lrat_hub.evaluation.cards import put_agent_results_into_card
    from lrat_hub.evaluation.published import Evaluations
    from lrat_hub.evaluation.report import agent_tables
    from lrat_hub.evaluation.systems import AgentSystem, identity_of, model_of, require_distinct
    from lrat_hub.evaluation.verdicts import AgentRuns, agreement, judged_runs, with_verdicts
    from lrat_hub.hub.inputs import load_table
    from lrat_hub.importers import load_trajectories
    from lrat_hub.storage import trajectory_table

    stage = Stage("eval agents", args, options, second_options)
    source = stage.input("queries", args.queries)
    logs = default_folder(stage.target)
    journal = Path(args.journal) if args.journal else logs
    queries: Any = load_table(source, "queries", config="queries")
    gold = {plain_id(row["query_id"]): (row["query"], row["answer"]) for row in queries}
    qrels = load_qrels(stage.input("qrels", args.qrels)) if args.qrels else None
    corpus = stage.input("corpus", args.corpus) if args.corpus else None
    names = dict(zip([*args.trajectories, *args.retrievers], args.names, strict=False))
    given = [(text, names.get(text, "")) for text in args.trajectories]
    given += run_recipes(stage, args, judge, corpus, source, names)
    runs_of: list[AgentRuns] = []
    for number, (text, name) in enumerate(given, start=1):
        pin = stage.input(f"trajectories_{number}", str(text))
        runs = load_trajectories(load_table(pin, "trajectories"))
        # Texts are only written out again; the runs of a whole table with them would not fit into memory.
        runs_of.append(AgentRuns(name, list(runs if args.browsecomp else map(without_texts, runs))))
    if args.agents and corpus is not None:
        runs_of += run_now(stage, args, corpus, queries, names, journal)

    name_of_queries = source.repo_id.rpartition("/")[2] if isinstance(source, HubRef) else source.path.stem
    labels: list[tuple[str, str, str, int | None]] = []
    models: list[HubRef | None] = []
    for runs in runs_of:
        models.append(model_of(runs.trajectories))
        agent, recorded, k = identity_of(runs.trajectories)
        labels.append((args.benchmark or name_of_queries, agent, runs.name or recorded, k))
    if unknown := [name for name in args.results_into if name not in {model.repo_id for model in models if model}]:
        raise LratError(f"`results_into` {unknown[0]}: expected a model that agents searched with, found it nowhere.")
    first = judged_runs(stage.inputs, judge, runs_of, gold, log=logs / "vllm-judge.log")
    for name, folder in assignments("verdicts", args.verdicts).items():
        if name not in {label[2] for label in labels}:
            raise LratError(f"`verdicts` {name}: expected a retriever that is evaluated, found none of that name.")
        official = list(read_verdicts(Path(folder)))
        first = [official if label[2] == name else rows for label, rows in zip(labels, first, strict=True)]
    second = []
    if second_judge is not None:
        log = logs / "vllm-second_judge.log"
        second = judged_runs(stage.inputs, second_judge, runs_of, gold, log=log, name="second_judge")

    evaluations = Evaluations(baselines=assignments("baselines", args.baselines))
    verdicts: list[dict[str, Any]] = []
    tables: dict[str, Dataset] = {}
    files: dict[str, str] = {}
    for number, (label, runs) in enumerate(zip(labels, runs_of, strict=True)):
        trajectories = with_verdicts(runs.trajectories, first[number])
        cell = AgentSystem(*label, evaluate_agents(trajectories, list(gold), qrels))
        evaluations.cells.append(cell)
        if second:
            evaluations.agreements.append({**cell.names, **agreement(first[number], second[number])})
        for judged in (first[number], second[number] if second else []):
            verdicts += [{**cell.names, **verdict.to_dict()} for verdict in judged]
        if runs.made_now:
            tables[f"runs_{slug(cell)}"] = trajectory_table(trajectories)
        if args.browsecomp:
            summary = leaderboard_summary(cell.scores, agent=cell.agent, retriever=cell.retriever)
            files[f"runs/{slug(cell)}/evaluation_summary.json"] = json.dumps(summary, indent=2) + "\n"
            files |= {f"runs/{slug(cell)}/{name}": text for name, text in run_files(trajectories).items()}
    require_distinct(evaluations.cells)

    page = agent_tables(evaluations)
    say(page.partition("\n\n")[0])
    if verdicts:
        tables = {"verdicts": Dataset.from_list(verdicts)} | tables
    tables = evaluations.tables() | tables
    pin = stage.publish_dataset(
        {config: {"test": table} for config, table in tables.items()},
        template="evaluation_agents",
        counts={"cells": [{**cell.names, **cell.scores.counts} for cell in evaluations.cells]},
        files=files,
        page=page,
        configs=list(tables),
    )
    cards = []
    for model in dict.fromkeys(model for model in models if model and model.repo_id in args.results_into):
        own = [cell for cell, other in zip(evaluations.cells, models, strict=True) if other == model]
        cards.append(put_agent_results_into_card(model, own, shown=evaluations.cells, queries=source, evaluation=pin))
        say(f"  results are in the card: {cards[-1]}")
    return pin, cards


def judges(options: Any, second_options: Any) -> tuple[AnswerJudgeSettings, AnswerJudgeSettings | None]:
    """The judge and the second one, whose vLLM is started as the first one's is where nothing else is said.

    Raises:
        LratError: One of them is none that there is.
    """
    judge = settings_of(options, AnswerJudgeSettings, "judge")
    second = settings_of(second_options, AnswerJudgeSettings, "second_judge")
    server = second.server.started_like(judge.server)
    server = replace(server, vllm_args=server.vllm_args or judge.server.vllm_args)
    require_judge(judge.judge, RECORDED, *ANSWER_JUDGES)
    if not second.judge:
        return judge, None
    require_judge(second.judge, RECORDED, *ANSWER_JUDGES)
    return judge, replace(second, server=server)


def run_now(
    stage: Stage, args: Arguments, corpus: Source, queries: Any, names: Mapping[str, str], journal: Path
) -> list[AgentRuns]:
    """Runs `agents` with every retriever and K; what the journal has of them is not run again."""
    from tqdm import tqdm

    from lrat_hub.agents import Question, SearchEnvironment
    from lrat_hub.agents.rollouts import journaled_runs, load_agent
    from lrat_hub.documents import Documents
    from lrat_hub.evaluation.verdicts import AgentRuns
    from lrat_hub.hub.inputs import load_table
    from lrat_hub.retrieval.opening import RetrieverOpener

    documents = Documents(load_table(corpus, "corpus", config="corpus"))
    agents = {name: load_agent(AGENTS.get(name, name), documents) for name in args.agents}
    pins = {f"agent {name}": plugin_identity(name) for name in args.agents if name not in AGENTS}
    for name, pin in pins.items():
        stage.inputs.record(name, pin)
    questions = [Question(row["query_id"], row["query"], row["answer"]) for row in queries]
    opener = RetrieverOpener(corpus, documents, inputs=stage.inputs, show_progress=True)
    made = []
    # All are opened before the first is run: what can't be is not found after hours.
    for text, retriever in [(text, opener.open(text)) for text in args.retrievers]:
        for name, agent in agents.items():
            for k in args.k:
                environment = SearchEnvironment(retriever, documents, k=k, snippet_tokens=args.snippet_tokens)
                title = f"{name} with {retriever.name}, k = {k}"
                with tqdm(total=len(questions), desc=title, unit="question") as bar:
                    runs = journaled_runs(
                        agent,
                        questions,
                        environment,
                        journal,
                        max_turns=args.max_turns,
                        inputs={"corpus": str(corpus)} | {key: pins[key] for key in [f"agent {name}"] if key in pins},
                        progress=bar.update,
                        concurrency=None if name in AGENTS else CONCURRENCY,
                    )
                made.append(AgentRuns(names.get(text, ""), runs, made_now=True))
    return made


def run_recipes(
    stage: Stage,
    args: Arguments,
    judge: AnswerJudgeSettings,
    corpus: Source | None,
    queries: Source,
    names: Mapping[str, str],
) -> list[tuple[HubRef, str]]:
    """Runs `lrat rollout` with every recipe, retriever and K: what it published, and what tables call the retriever.

    Each of them is published on its own, beside the evaluation; its journal lets the same command go on where it was
    stopped. Their own judge is asked only when its verdicts are those that count.
    """
    from lrat_hub.dataset_builders import rollout  # pyright: ignore[reportMissingImports]  (by package-dir)

    from lrat_hub.retrieval.opening import RetrieverName

    kinds = (rollout.Arguments, rollout.AgentOptions, rollout.JudgeOptions)
    made = []
    for recipe in args.rollouts:
        for text in args.retrievers:
            retriever = RetrieverName.parse(text)
            # An index by itself is `index`, whose config is named after it; anything else names a retriever.
            is_index = retriever.kind in ("index", "url")
            for k in args.k:
                name = f"{Path(recipe).stem}-{retriever.text.partition('@')[0]}-k{k}"
                given: dict[str, Any] = {
                    "corpus": str(corpus),
                    "queries": str(queries),
                    "k": k,
                    "to": f"{stage.target.repo_id}-{re.sub(r'[^A-Za-z0-9.-]+', '-', name)}",
                    **({"index": [retriever.text]} if is_index else {"retriever": text}),
                    **({} if judge.judge == RECORDED else {"judge": "none"}),
                    **({"private": True} if args.private else {}),
                    **({"require_pinned": True} if args.require_pinned else {}),
                }
                pin = rollout.rollout(*read_recipe("rollout", recipe, given, *kinds))
                made.append((pin, names.get(text, "")))
    return made


def slug(cell: AgentSystem) -> str:
    """A name for the cell's config and folder."""
    parts = (cell.agent, cell.retriever, *(() if cell.k is None else (f"k{cell.k}",)))
    return "_".join(re.sub(r"[^\w.-]+", "-", part, flags=re.ASCII) for part in parts)


if __name__ == "__main__":
    sys.exit(cli.main(["eval", "agents", *sys.argv[1:]]))
