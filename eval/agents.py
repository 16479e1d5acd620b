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
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrat_hub import cli
from lrat_hub.cli.stage import Stage, StageArguments, assignments, parse, say
from lrat_hub.errors import LratError
from lrat_hub.evaluation.settings import EvaluationSettings
from lrat_hub.hub.refs import HubRef

if TYPE_CHECKING:
    from datasets import Dataset

    from lrat_hub.evaluation.cells import Cell
    from lrat_hub.hub.inputs import Source


@dataclass(kw_only=True)
class Arguments(StageArguments):
    queries: str = field(metadata={"help": "All questions of the benchmark, as ref#config:split."})
    qrels: str = field(default="", metadata={"help": "Their evidence; without it there is no evidence recall."})
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


def main(argv: list[str] | None = None) -> tuple[HubRef, list[HubRef]]:
    """Returns the pin of the evaluation and of each model whose card was written."""
    args, settings = parse(argv, "eval agents", __doc__, Arguments, EvaluationSettings)
    settings.check(args.corpus)
    if not (args.trajectories or settings.agents or settings.rollouts):
        raise LratError("lrat eval agents: expected --trajectories, or --agents or --rollouts to run; found none.")
    if args.names and len(args.names) != len(args.trajectories) + len(settings.retrievers):
        raise LratError(
            f"--names: expected one for each of {len(args.trajectories)} trajectories and {len(settings.retrievers)} "
            f"retrievers, found {len(args.names)}."
        )

    from datasets import Dataset

    from lrat_hub.agents.journal import default_folder
    from lrat_hub.evaluation.agents import evaluate_agents, plain_id, without_texts
    from lrat_hub.evaluation.benchmark import load_qrels
    from lrat_hub.evaluation.browsecomp import leaderboard_summary, read_verdicts, run_files
    from lrat_hub.evaluation.cards import put_agent_results_into_card
    from lrat_hub.evaluation.cells import Cell, identity_of, model_of, require_distinct
    from lrat_hub.evaluation.judging import CellRuns, judge_cells
    from lrat_hub.evaluation.page import agent_tables
    from lrat_hub.evaluation.published import Evaluations
    from lrat_hub.evaluation.running import run_readers
    from lrat_hub.evaluation.verdicts import agreement, with_verdicts
    from lrat_hub.hub.inputs import load_table
    from lrat_hub.importers import load_trajectories
    from lrat_hub.storage import trajectory_table

    stage = Stage("eval agents", args, settings)
    source = stage.input("queries", args.queries)
    logs = default_folder(stage.target)
    journal = Path(settings.journal) if settings.journal else logs
    queries = load_table(source, "queries", config="queries")
    gold = {plain_id(row["query_id"]): (row["query"], row["answer"]) for row in queries}
    qrels = load_qrels(stage.input("qrels", args.qrels)) if args.qrels else None
    corpus = stage.input("corpus", args.corpus) if args.corpus else None
    names = dict(zip([*args.trajectories, *settings.retrievers], args.names, strict=False))
    given = [(text, names.get(text, "")) for text in args.trajectories]
    given += run_recipes(stage, settings, corpus, source, names)
    found = []
    for place, (text, name) in enumerate(given, start=1):
        pin = stage.input(f"trajectories_{place}", str(text))
        runs = load_trajectories(load_table(pin, "trajectories"))
        # Texts are only written out again; the runs of a whole table with them would not fit into memory.
        found.append(CellRuns(name, list(runs if args.browsecomp else map(without_texts, runs))))
    if settings.agents:
        found += run_readers(stage.inputs, settings, corpus, queries, names, journal)

    name_of_queries = source.repo_id.rpartition("/")[2] if isinstance(source, HubRef) else source.path.stem
    labels, models = [], []
    for runs in found:
        models.append(model_of(runs.trajectories))
        agent, recorded, k = identity_of(runs.trajectories)
        labels.append((args.benchmark or name_of_queries, agent, runs.name or recorded, k))
    if unknown := [name for name in args.results_into if name not in {model.repo_id for model in models if model}]:
        raise LratError(f"--results_into {unknown[0]}: expected a model that agents searched with, found it nowhere.")
    first = judge_cells(stage.inputs, settings, found, gold, logs=logs)
    for name, folder in assignments("verdicts", settings.verdicts).items():
        if name not in {label[2] for label in labels}:
            raise LratError(f"--verdicts {name}: expected a retriever that is evaluated, found none of that name.")
        official = list(read_verdicts(Path(folder)))
        first = [official if label[2] == name else rows for label, rows in zip(labels, first, strict=True)]
    second = judge_cells(stage.inputs, settings, found, gold, logs=logs, second=True) if settings.second_judge else []

    evaluations = Evaluations(baselines=assignments("baselines", args.baselines))
    verdicts: list[dict[str, Any]] = []
    tables: dict[str, Dataset] = {}
    files: dict[str, str] = {}
    for place, (label, runs) in enumerate(zip(labels, found, strict=True)):
        trajectories = with_verdicts(runs.trajectories, first[place])
        cell = Cell(*label, evaluate_agents(trajectories, list(gold), qrels))
        evaluations.cells.append(cell)
        if second:
            evaluations.agreements.append({**cell.names, **agreement(first[place], second[place])})
        for judged in (first[place], second[place] if second else []):
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


def run_recipes(
    stage: Stage, settings: EvaluationSettings, corpus: Source, queries: Source, names: Mapping[str, str]
) -> list[tuple[HubRef, str]]:
    """Runs `lrat rollout` with every recipe, retriever and K: what it published, and what tables call the retriever.

    Each cell is published on its own, beside the evaluation; its journal lets the same command go on where it was
    stopped. Their own judge is asked only when its verdicts are those that count.
    """
    from lrat_hub.retrieval.opening import INDEX_PREFIX
    from lrat_hub.retrieval.serving import is_url

    rest = ["--corpus", str(corpus), "--queries", str(queries)]
    rest += ["--judge", "none"] if settings.judge != "recorded" else []
    rest += ["--private"] if stage.args.private else []
    rest += ["--require_pinned"] if stage.args.require_pinned else []
    made = []
    for recipe in settings.rollouts:
        for text in settings.retrievers:
            for k in settings.k:
                cell = f"{Path(recipe).stem}-{text.removeprefix(INDEX_PREFIX).partition('@')[0]}-k{k}"
                target = f"{stage.target.repo_id}-{re.sub(r'[^A-Za-z0-9.-]+', '-', cell)}"
                is_index = text.startswith(INDEX_PREFIX) or is_url(text)
                retriever = ["--index" if is_index else "--retriever", text.removeprefix(INDEX_PREFIX)]
                pin = cli.run(["rollout", "--config", recipe, *rest, *retriever, "--k", str(k), "--to", target])
                made.append((pin, names.get(text, "")))
    return made


def slug(cell: Cell) -> str:
    """A name for the cell's config and folder."""
    parts = (cell.agent, cell.retriever, *(() if cell.k is None else (f"k{cell.k}",)))
    return "_".join(re.sub(r"[^\w.-]+", "-", part, flags=re.ASCII) for part in parts)


if __name__ == "__main__":
    sys.exit(cli.main(["eval", "agents", *sys.argv[1:]]))
