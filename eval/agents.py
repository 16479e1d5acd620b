"""Evaluates agents with retrievers on a benchmark (section 6 of the paper): success, evidence recall, steps.

A cell is one agent with one retriever. Existing trajectories (--trajectories) are scored as they are; other cells are
run now, every agent with every retriever and K: the offline reader or plug-ins (--agents), and language models by
their recipes of `lrat rollout` (--rollouts). Every question of the set counts: a run that is missing, crashed or ended
without an answer is a failure. Publishes one row per cell and question, and tables with intervals and paired tests.
"""

from __future__ import annotations

import re
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrat_hub import cli
from lrat_hub.cli.agent_evaluation import (
    JudgeOptions,
    RunOptions,
    SecondJudgeOptions,
    judges,
    run_agents,
    run_recipes,
    seen_by,
)
from lrat_hub.cli.planning import check_judges, plan_evaluation, show
from lrat_hub.cli.stage import Stage, assignments, parse, say
from lrat_hub.cli.tables import show_table
from lrat_hub.errors import LratError
from lrat_hub.evaluation.verdicts import RECORDED
from lrat_hub.hub.refs import HubRef
from lrat_hub.option import option

if TYPE_CHECKING:
    from lrat_hub.evaluation.systems import AgentSystem
    from lrat_hub.ledger.joins import Join


@dataclass(kw_only=True)
class Arguments(RunOptions):
    queries: str = option(
        help="All questions of the benchmark, as ref#config:split; each counts once.", group="inputs"
    )
    qrels: str = option(
        "", "Annotated evidence of the questions; evidence recall is left out if empty.", group="inputs"
    )
    benchmark: str = option(
        "", "Name of the benchmark in tables; the name of the queries' repository if empty.", group="essentials"
    )
    trajectories: list[str] = option(
        help="Existing runs to evaluate; each config holds the runs of one agent with one retriever.",
        factory=list,
        group="inputs",
        recipe=False,
    )
    names: list[str] = option(
        help="Names of the retrievers in tables: those of --trajectories, then of --retrievers, in order.",
        factory=list,
        group="essentials",
    )
    baselines: list[str] = option(
        help="Baseline that a retriever is compared with, as RETRIEVER=BASELINE; the first retriever by default.",
        factory=list,
        group="essentials",
    )
    results_into: list[str] = option(
        help="Retrieval models (namespace/name) whose cards get the results of the agents that used them.",
        factory=list,
        group="essentials",
    )
    browsecomp: bool = option(
        False, "Also write the runs and the summary in the formats of the BrowseComp-Plus leaderboard."
    )
    held_out_only: bool = option(
        False,
        "Leave out, for all systems, the questions that pairs of a retrieval model's training were mined "
        "from, by the lineages of the models.",
        group="essentials",
    )
    verdicts: list[str] = option(
        help="Folders with *_eval.json files of BrowseComp-Plus that replace the judge, as RETRIEVER=FOLDER.",
        factory=list,
    )

    def check(self) -> None:
        """Raises LratError for options that don't go together."""
        super().check()
        if not (self.trajectories or self.agents or self.rollouts):
            raise LratError("Evaluation: expected `trajectories`, or `agents` or `rollouts` to run; found none.")
        if self.names and len(self.names) != len(self.trajectories) + len(self.retrievers):
            raise LratError(
                f"`names`: expected one for each of {len(self.trajectories)} trajectories and "
                f"{len(self.retrievers)} retrievers, found {len(self.names)}."
            )


OPTIONS = (Arguments, JudgeOptions, SecondJudgeOptions)


def main(argv: list[str] | None = None) -> tuple[HubRef, list[HubRef]] | None:
    """Returns the pin of the evaluation and of each model whose card was written."""
    args, options, second_options = parse(argv, "eval agents", __doc__, *OPTIONS)
    if args.dry_run:
        values = asdict(args) | asdict(options) | asdict(second_options)
        name = args.benchmark or "questions"
        retrievers = {name: dict(zip(args.names or args.retrievers, args.retrievers, strict=False))}
        agents = [*args.agents, *args.rollouts]
        return show(*plan_evaluation("eval agents", args.expect, agents, {name: values}, retrievers))
    args.check()
    judge, second_judge = judges(options, second_options)
    check_judges("eval agents", *([judge, second_judge] if second_judge else [judge]))

    from datasets import Dataset

    from lrat_hub.agents.journal import journals_folder
    from lrat_hub.corpora.loading import load_qrels, load_question_rows
    from lrat_hub.evaluation.agents import (
        evaluate_agents,
        only_recorded,
        plain_id,
        without_texts,
    )
    from lrat_hub.evaluation.browsecomp import read_verdicts, submission
    from lrat_hub.evaluation.cards import put_agent_results_into_card
    from lrat_hub.evaluation.matches import match_evidence, match_runs, match_verdicts
    from lrat_hub.evaluation.published import Evaluations
    from lrat_hub.evaluation.report import agent_tables
    from lrat_hub.evaluation.systems import AgentSystem, identity_of, model_of, models_of, require_distinct
    from lrat_hub.evaluation.tables import agent_rows
    from lrat_hub.evaluation.verdicts import AgentRuns, agreement, judged_runs, with_verdicts
    from lrat_hub.hub.inputs import load_table
    from lrat_hub.importers import load_trajectories
    from lrat_hub.ledger.joins import require_once
    from lrat_hub.storage import trajectory_table

    stage = Stage("eval agents", args, options, second_options, splits=["test"])
    stage.expect_cards(args.results_into)
    source = stage.input("queries", args.queries)
    logs = journals_folder() / stage.target.repo_id.replace("/", "--")
    # By their settings, so that an evaluation that goes elsewhere takes the runs that are there.
    journal = Path(args.journal).expanduser() if args.journal else journals_folder() / "evaluated"
    queries = load_question_rows(source)
    obfuscated = any(row["canary"] for row in queries)
    if obfuscated and args.browsecomp and not args.private:
        raise LratError(
            "Evaluation: `browsecomp` writes run files in plain text, and these questions are published obfuscated. "
            "Publish with `private`, or without `browsecomp`."
        )
    require_once((plain_id(row["query_id"]) for row in queries), what=str(source), name="query id")
    gold = {plain_id(row["query_id"]): (row["query"], row["answer"] or "") for row in queries}
    qrels = load_qrels(stage.input("qrels", args.qrels)) if args.qrels else None
    corpus = stage.input("corpus", args.corpus) if args.corpus else None
    names = dict(zip([*args.trajectories, *args.retrievers], args.names, strict=False))
    runs_of: list[AgentRuns] = []
    joins: list[tuple[str, Join]] = []

    def read_runs(text: str, name: str) -> None:
        pin = stage.input(f"trajectories_{len(runs_of) + 1}", text)
        runs = load_trajectories(load_table(pin, "trajectories"))
        # Texts are only written out again; the runs of a whole table with them would not fit into memory.
        cell = AgentRuns(name, list(runs if args.browsecomp else map(without_texts, runs)))
        what = f"`trajectories` {text}"
        of_evidence = match_evidence(cell.trajectories, gold, qrels, what=what) if qrels is not None else []
        for join in [match_runs(cell.trajectories, gold, what=what), *of_evidence]:
            say(f"  {text}: {join}")
            joins.append((text, join))
        runs_of.append(cell)

    # What is there is read, and known to be of these questions, before hours of runs or a judge begin.
    for text in args.trajectories:
        read_runs(text, names.get(text, ""))
    # Their own judge is asked only when its verdicts are those that count.
    own_judge = {} if judge.judge == RECORDED else {"answer_judge": "none"}
    recipes = run_recipes(args, own_judge, target=stage.target.repo_id, corpus=str(corpus), queries=str(source))
    for text, pin in recipes:
        read_runs(str(pin), names.get(text, ""))
    if args.agents and corpus is not None:
        for text, runs in run_agents(stage.inputs, args, corpus, queries, journal):
            runs_of.append(AgentRuns(names.get(text, ""), runs, made_now=True))

    name_of_queries = source.repo_id.rpartition("/")[2] if isinstance(source, HubRef) else source.path.stem
    labels: list[tuple[str, str, str, int | None]] = []
    models: list[HubRef | None] = []
    for runs in runs_of:
        models.append(model_of(runs.trajectories))
        agent, recorded, k = identity_of(runs.trajectories)
        labels.append((args.benchmark or name_of_queries, agent, runs.name or recorded, k))
    if unknown := [name for name in args.results_into if name not in {model.repo_id for model in models if model}]:
        raise LratError(
            f"`results_into` {unknown[0]}: expected a model that agents searched with, found it in no cell."
        )
    seen = seen_by([model for runs in runs_of for model in models_of(runs.trajectories)], gold, source)
    if args.held_out_only:
        left_out = frozenset[str]().union(*(one.left_out for one in seen))
        gold = {query_id: row for query_id, row in gold.items() if query_id not in left_out}
        say(f"  {len(left_out)} questions are left out for all systems, {len(gold)} are held out")
        if not gold:
            raise LratError("Queries: expected some that no model was trained on (`held_out_only`), found none.")
        runs_of = [
            replace(runs, trajectories=[run for run in runs.trajectories if plain_id(run.query_id) not in left_out])
            for runs in runs_of
        ]
    first = judged_runs(stage.inputs, judge, runs_of, gold, log=logs / "vllm-judge.log")
    for name, folder in assignments("verdicts", args.verdicts).items():
        if name not in {label[2] for label in labels}:
            raise LratError(f"`verdicts` {name}: expected a retriever that is evaluated, found none of that name.")
        official = list(read_verdicts(Path(folder)))
        require_once((verdict.query_id for verdict in official), what=f"`verdicts` {name}", name="query id")
        asked = [run.query_id for label, runs in zip(labels, runs_of, strict=True) if label[2] == name
                 for run in runs.trajectories]  # fmt: skip
        join = match_verdicts(asked, official, what=f"`verdicts` {name}")
        say(f"  {name}: {join}")
        joins.append((name, join))
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
        if recorded := sum(map(only_recorded, trajectories)):
            say(
                f"  {label[2] or label[1]}: {recorded} of {len(trajectories)} runs list no call; their evidence and "
                "steps are taken from their files"
            )
        if second:
            evaluations.agreements.append({**cell.names, **agreement(first[number], second[number])})
        for judged in (first[number], second[number] if second else []):
            # What a judge says quotes the question.
            untold = {"extracted": None, "reason": ""} if obfuscated else {}
            verdicts += [{**cell.names, **verdict.to_dict(), **untold} for verdict in judged]
        if runs.made_now:
            tables[f"runs_{slug(cell)}"] = trajectory_table(trajectories)
        if args.browsecomp:
            written = submission(
                runs.trajectories, first[number], list(gold), qrels, agent=cell.agent, retriever=cell.retriever
            )
            files |= {f"runs/{slug(cell)}/{name}": text for name, text in written.items()}
    require_distinct(evaluations.cells)

    page = agent_tables(evaluations)
    show_table(agent_rows(evaluations.cells, evaluations.comparisons()))
    if verdicts:
        tables = {"verdicts": Dataset.from_list(verdicts)} | tables
    tables = evaluations.tables() | tables
    pin = stage.publish_dataset(
        {config: {"test": table} for config, table in tables.items()},
        template="evaluation_agents",
        counts={
            "cells": [{**cell.names, **cell.scores.counts} for cell in evaluations.cells],
            "joins": [{"of_runs": name} | join.to_dict() for name, join in joins],
            "seen": [one.to_dict() for one in seen],
        },
        joins=[f"{name}: {join}" for name, join in joins],
        seen=[str(one) for one in seen],
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


def slug(cell: AgentSystem) -> str:
    """A name for the cell's config and folder."""
    parts = (cell.agent, cell.retriever, *(() if cell.k is None else (f"k{cell.k}",)))
    return "_".join(re.sub(r"[^\w.-]+", "-", part, flags=re.ASCII) for part in parts)


if __name__ == "__main__":
    sys.exit(cli.main(["eval", "agents", *sys.argv[1:]]))
