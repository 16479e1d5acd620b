"""Evaluates agents with retrievers on a benchmark (section 6 of the paper): success, evidence recall, steps.

Cells are existing trajectories (--trajectories), which are scored as they are, and rollouts that are run now with an
offline agent (--agents, --retrievers, --k). Every question of the set counts: a run that is missing, crashed or came
to no answer is a failure. Publishes a row for each cell and question, and tables with intervals and paired tests.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lrat_hub import cli
from lrat_hub.errors import LratError
from lrat_hub.hub.refs import HubRef
from lrat_hub.stage import Stage, StageArguments, assignments, parse, say

if TYPE_CHECKING:
    from datasets import Dataset

    from lrat_hub.agent_evaluation.cells import Cell
    from lrat_hub.schema import Trajectory

READERS = ("reader", "clue-reader")
"""Agents without a language model: of natural questions, and of clue questions."""


@dataclass(kw_only=True)
class Arguments(StageArguments):
    queries: str = field(metadata={"help": "All questions of the benchmark, as ref#config:split."})
    qrels: str = field(default="", metadata={"help": "Their evidence; without it there is no evidence recall."})
    benchmark: str = field(
        default="", metadata={"help": "What tables call the benchmark; the queries' name if not given."}
    )
    trajectories: list[str] = field(
        default_factory=list, metadata={"help": "Runs to evaluate: a config each of one agent with one retriever."}
    )
    names: list[str] = field(
        default_factory=list,
        metadata={"help": "What tables call the retrievers of --trajectories and then --retrievers, in their order."},
    )
    baselines: list[str] = field(
        default_factory=list,
        metadata={"help": "What a retriever is compared with, RETRIEVER=BASELINE; the first one if not given."},
    )
    judge: Literal["recorded", "exact"] = field(
        default="recorded",
        metadata={"help": "Verdicts on answers: those that came with the runs, or equality with the gold answer."},
    )
    second_judge: Literal["", "recorded", "exact"] = field(
        default="", metadata={"help": "Another judge of the same answers; how far the two agree is reported."}
    )
    verdicts: list[str] = field(
        default_factory=list,
        metadata={"help": "Folders with *_eval.json of BrowseComp-Plus in place of the judge, as RETRIEVER=FOLDER."},
    )
    corpus: str = field(default="", metadata={"help": "What the rollouts search and browse."})
    agents: list[str] = field(
        default_factory=list, metadata={"help": f"Offline agents to run: {' or '.join(READERS)}."}
    )
    retrievers: list[str] = field(
        default_factory=list,
        metadata={"help": "What they search with: bm25, a SentenceTransformer, index:REF, a URL; A+B fuses two."},
    )
    k: list[int] = field(default_factory=lambda: [10], metadata={"help": "Results of a search; several are a sweep."})
    snippet_tokens: int = field(default=64, metadata={"help": "Tokens of a document in a result list (paper: 64)."})
    max_turns: int = field(default=50, metadata={"help": "Actions after which an answer is asked for (paper: 50)."})
    browsecomp: bool = field(
        default=False, metadata={"help": "Also write runs and the leaderboard's summary as BrowseComp-Plus has them."}
    )


def main(argv: list[str] | None = None) -> HubRef:
    (args,) = parse(argv, "eval agents", __doc__, Arguments)
    if not args.trajectories and not (args.agents and args.retrievers and args.corpus):
        raise LratError(
            "lrat eval agents: expected --trajectories, or --agents, --retrievers and --corpus to run; found neither."
        )
    if unknown := [name for name in args.agents if name not in READERS]:
        raise LratError(f"--agents {unknown[0]}: expected {' or '.join(READERS)}.")
    if args.names and len(args.names) != len(args.trajectories) + len(args.retrievers):
        raise LratError(
            f"--names: expected one for each of {len(args.trajectories)} trajectories and {len(args.retrievers)} "
            f"retrievers, found {len(args.names)}."
        )

    from datasets import Dataset

    from lrat_hub.agent_evaluation.browsecomp import leaderboard_summary, read_verdicts, run_files
    from lrat_hub.agent_evaluation.cells import Cell, identity_of, require_distinct
    from lrat_hub.agent_evaluation.metrics import evaluate_agents, plain_id
    from lrat_hub.agent_evaluation.verdicts import agreement, judge_answers, with_verdicts
    from lrat_hub.hub.inputs import load_table
    from lrat_hub.importers import load_trajectories
    from lrat_hub.reports.evaluations import Evaluations
    from lrat_hub.reports.page import agent_tables
    from lrat_hub.tables import trajectory_table

    stage = Stage("eval agents", args)
    source = stage.input("queries", args.queries)
    queries = load_table(source, "queries", config="queries")
    gold = {plain_id(row["query_id"]): row["answer"] for row in queries}
    qrels: dict[str, dict[str, int]] | None = None
    if args.qrels:
        qrels = {}
        for row in load_table(stage.input("qrels", args.qrels), "qrels", config="qrels_evidence"):
            qrels.setdefault(row["query_id"], {})[row["docid"]] = row["relevance"]
    benchmark = args.benchmark or getattr(source, "repo_id", str(source)).rpartition("/")[2]

    names = iter(args.names or [""] * (len(args.trajectories) + len(args.retrievers)))
    found: list[tuple[str, Sequence[Trajectory]]] = []
    for place, text in enumerate(args.trajectories, start=1):
        table = load_table(stage.input(f"trajectories_{place}", text, option="trajectories"), "trajectories")
        found.append((next(names), list(load_trajectories(table))))
    made = _run_cells(args, stage, queries, dict(zip(args.retrievers, names, strict=False))) if args.agents else []

    evaluations = Evaluations(baselines=assignments("baselines", args.baselines))
    folders = assignments("verdicts", args.verdicts)
    verdicts: list[dict[str, Any]] = []
    tables: dict[str, Dataset] = {}
    files: dict[str, str] = {}
    for place, (name, runs) in enumerate([*found, *made]):
        agent, recorded, k = identity_of(runs)
        retriever = name or recorded
        # Nothing came with runs that were made just now.
        judge = "exact" if place >= len(found) and args.judge == "recorded" else args.judge
        by_folder = retriever in folders
        judged = list(read_verdicts(Path(folders[retriever]))) if by_folder else judge_answers(judge, runs, gold)
        runs = with_verdicts(runs, judged)
        cell = Cell(benchmark, agent, retriever, k, evaluate_agents(runs, list(gold), qrels))
        if place >= len(found):
            tables[f"runs_{_slug(cell)}"] = trajectory_table(runs)
        evaluations.cells.append(cell)
        verdicts += [{**cell.names, **verdict.to_dict()} for verdict in judged]
        if args.second_judge:
            others = judge_answers(args.second_judge, runs, gold)
            verdicts += [{**cell.names, **verdict.to_dict()} for verdict in others]
            evaluations.agreements.append({**cell.names, **agreement(judged, others)})
        if args.browsecomp:
            folder, summary = f"runs/{_slug(cell)}", leaderboard_summary(cell.scores, agent=agent, retriever=retriever)
            files[f"{folder}/evaluation_summary.json"] = json.dumps(summary, indent=2, ensure_ascii=False) + "\n"
            files |= {f"{folder}/{file}": content for file, content in run_files(runs).items()}
    require_distinct(evaluations.cells)
    if unused := set(folders) - {cell.retriever for cell in evaluations.cells}:
        raise LratError(
            f"--verdicts {unused.pop()}: expected a retriever of this evaluation, found none of that name."
        )

    page = agent_tables(evaluations)
    say(page.partition("\n\n")[0])
    if verdicts:
        tables = {"verdicts": Dataset.from_list(verdicts)} | tables
    tables = evaluations.tables() | tables
    return stage.publish_dataset(
        {config: {"test": table} for config, table in tables.items()},
        template="evaluation_agents",
        counts={"cells": [{**cell.names, **cell.scores.counts} for cell in evaluations.cells]},
        files=files,
        page=page,
        configs=list(tables),
    )


def _run_cells(
    args: Arguments, stage: Stage, queries: Dataset, names: Mapping[str, str]
) -> list[tuple[str, list[Trajectory]]]:
    """Runs every agent with every retriever and k: the retriever's name in tables, and the runs."""
    from tqdm import tqdm

    from lrat_hub.agents import ClueReader, NaturalReader, Question, SearchEnvironment, run_agents
    from lrat_hub.documents import Documents
    from lrat_hub.hub.inputs import load_table
    from lrat_hub.retrieval.opening import RetrieverShelf

    corpus = stage.input("corpus", args.corpus)
    documents = Documents(load_table(corpus, "corpus", config="corpus"))
    agents = {name: NaturalReader() if name == "reader" else ClueReader(documents.in_order()) for name in args.agents}
    questions = [Question(row["query_id"], row["query"], row["answer"]) for row in queries]
    shelf = RetrieverShelf(stage, corpus, documents)
    made = []
    for text in args.retrievers:
        retriever = shelf.open(text)
        for name, agent in agents.items():
            for k in args.k:
                environment = SearchEnvironment(retriever, documents, k=k, snippet_tokens=args.snippet_tokens)
                with tqdm(total=len(questions), desc=f"{name} with {retriever.name}, k = {k}", unit="question") as bar:
                    runs = run_agents(
                        agent, questions, environment, max_turns=args.max_turns,
                        # All at once, so that their searches reach the retriever together.
                        concurrency=len(questions), progress=lambda _, bar=bar: bar.update(),
                    )  # fmt: skip
                made.append((names[text], runs))
    return made


def _slug(cell: Cell) -> str:
    """A name for the cell's config and folder."""
    parts = (cell.agent, cell.retriever, *(() if cell.k is None else (f"k{cell.k}",)))
    return "_".join(re.sub(r"[^\w.-]+", "-", part) for part in parts)


if __name__ == "__main__":
    sys.exit(cli.main(["eval", "agents", *sys.argv[1:]]))
