"""Compares retrievers on queries with relevance judgements: models, indexes, BM25, fusion, and runs of others.

Every system answers the same queries, rendered in the style its model was trained with. Published are per-query
scores, intervals, paired tests against the first system and run files in TREC format; the results can also go into
the cards of the models that were compared.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from lrat_hub import cli
from lrat_hub.cli.stage import Stage, StageArguments, parse, say
from lrat_hub.errors import LratError
from lrat_hub.hub.refs import HubRef

if TYPE_CHECKING:
    from lrat_hub.evaluation.metrics import Run
    from lrat_hub.evaluation.retrieval import RetrievalEvaluation
    from lrat_hub.hub.inputs import Source
    from lrat_hub.queries import QueryStyle
    from lrat_hub.retrieval import Retriever

# A commit sha or digest, of which tables show the first digits.
LONG_HASH = re.compile(r"([0-9a-f]{7})[0-9a-f]{33,}")

HEADLINE = ("recall@5", "recall@10", "recall@100", "ndcg@10", "novelty@10", "evidence_share@10", "own_first")
"""Metrics whose intervals and differences the card shows; all are in the tables."""


@dataclass(kw_only=True)
class Arguments(StageArguments):
    corpus: str = field(metadata={"group": "inputs", "help": "Corpus to search."})
    queries: str = field(metadata={"group": "inputs", "help": "Queries to search with, as ref#config:split."})
    qrels: str = field(
        metadata={
            "group": "inputs",
            "help": "Relevance judgements of the queries; the evidence judgements where there are two kinds.",
        }
    )
    qrels_gold: str = field(
        default="",
        metadata={"group": "inputs", "help": "Relevance judgements of the documents that hold the answer itself."},
    )
    models: list[str] = field(
        default_factory=list,
        metadata={
            "group": "inputs",
            "help": "SentenceTransformers to compare; the first system is the baseline.",
            "recipe": False,
        },
    )
    index: list[str] = field(
        default_factory=list,
        metadata={"group": "inputs", "help": "Indexes of the corpus to compare, or the URLs of servers of indexes."},
    )
    runs: list[str] = field(
        default_factory=list,
        metadata={"group": "inputs", "help": "Run files of other systems to compare, in TREC format."},
    )
    bm25: bool = field(
        default=True,
        metadata={
            "group": "essentials",
            "help": "Whether to compare BM25.",
            "off": "Leave BM25 out of the comparison.",
        },
    )
    fusion: bool = field(
        default=False,
        metadata={
            "group": "essentials",
            "help": "Also compare the reciprocal rank fusion of BM25 with each model and index.",
        },
    )
    depth: int = field(default=1000, metadata={"group": "essentials", "help": "Number of results per query."})
    check_passages: int = field(
        default=500,
        metadata={
            "group": "essentials",
            "help": "Number of passages of the controls, whose queries are sentences and titles; 0 skips them.",
        },
    )
    trajectories: str = field(
        default="", metadata={"group": "inputs", "help": "Trajectories whose searches are replayed with every system."}
    )
    evidence: str = field(
        default="",
        metadata={
            "group": "inputs",
            "help": "Relevance judgements of the questions of `trajectories`; `qrels` if empty.",
        },
    )
    pairs: str = field(
        default="",
        metadata={"group": "inputs", "help": "Mined pairs, whose positives are ranked among their own candidates."},
    )
    max_length: int = field(
        default=0,
        metadata={"help": "Maximum number of tokens per document for the models; 0 uses each model's own limit."},
    )
    results_into: list[str] = field(
        default_factory=list,
        metadata={
            "group": "essentials",
            "help": "Names (namespace/name) of the compared models whose cards get the results.",
        },
    )


@dataclass(kw_only=True)
class WorkArguments:
    """How the work is done on this machine."""

    work_dir: str = field(
        default="",
        metadata={
            "help": "Folder of a model's vectors while it is evaluated; a folder in HF_HOME if empty.",
            "recipe": False,
        },
    )
    keep_work: bool = field(
        default=False,
        metadata={
            "help": "Keep the vectors in `work_dir`, for further evaluations and for `lrat index`.",
            "recipe": False,
        },
    )


def main(argv: list[str] | None = None) -> tuple[HubRef, list[HubRef]]:
    """Returns the pin of the evaluation and of each model whose card was written."""
    args, work = parse(argv, "eval retrieval", __doc__, Arguments, WorkArguments)
    if not args.models and not args.index and not args.runs and not args.bm25:
        raise LratError(
            "Evaluation: expected at least one system, found none. Give `models`, `index` or `runs`, or leave BM25 on."
        )
    if args.fusion and not (args.bm25 and (args.models or args.index or args.runs)):
        raise LratError("Evaluation: `fusion` needs BM25 and another system. Give one, and leave BM25 on.")

    from datasets import Dataset

    from lrat_hub.evaluation.browsecomp import leaderboard_files
    from lrat_hub.evaluation.cards import put_results_into_card
    from lrat_hub.evaluation.metrics import trec_run
    from lrat_hub.evaluation.retrieval import EVIDENCE, QUERIES, comparison_rows
    from lrat_hub.evaluation.tables import interval_table, score_table, system_name
    from lrat_hub.retrieval import style_read_by
    from lrat_hub.retrieval.fusion import fuse_runs
    from lrat_hub.retrieval.opening import index_name, open_retriever, streamed_retriever
    from lrat_hub.retrieval.settings import IndexSettings

    stage = Stage("eval retrieval", args, work)
    inputs = {name: stage.input(name, getattr(args, name)) for name in ("corpus", "queries", "qrels")}
    corpus = inputs["corpus"]
    sources = [
        stage.input(f"model_{number}", text, repo_type="model") for number, text in enumerate(args.models, start=1)
    ]
    models = {system_name(source): source for source in sources}
    if unknown := [name for name in args.results_into if name not in {getattr(s, "repo_id", None) for s in sources}]:
        raise LratError(f"`results_into` {unknown[0]}: expected one of the models that are compared.")
    evaluation = read_evaluation(stage, args, inputs)
    documents = evaluation.queries.documents

    systems: dict[str, Mapping[str, Run]] = {}
    styles: dict[str, QueryStyle] = {}

    def ask(name: str, retriever: Retriever) -> None:
        styles[name] = style_read_by(retriever)
        systems[name] = evaluation.search(retriever, style=styles[name])

    for name, source in models.items():
        say(f"encoding {len(documents)} documents with {name}")
        with streamed_retriever(
            source,
            corpus,
            work_dir=Path(work.work_dir).expanduser() if work.work_dir else None,
            keep=work.keep_work,
            settings=IndexSettings(max_length=args.max_length),
            show_progress=True,
        ) as retriever:
            ask(name, retriever)
    for number, text in enumerate(args.index, start=1):
        label = f"index_{number}"
        retriever = open_retriever(
            index_name(text), corpus, documents=documents, inputs=stage.inputs, input_name=label
        )
        name = LONG_HASH.sub(r"\1", stage.inputs.pins[label])
        ask(name, retriever)
    for number, text in enumerate(args.runs, start=1):
        name, run = read_given_run(stage, text, f"run_{number}", evaluation)
        systems[name] = {QUERIES: run}
    if args.bm25:
        ask("bm25", open_retriever("bm25", corpus, documents=documents))
    given = len(sources) + len(args.index) + len(args.runs) + args.bm25
    if len(systems) < given:
        raise LratError(f"Evaluation: expected {given} systems of different names, found {len(systems)}.")
    if args.fusion:
        place_of = cache(documents.row)
        # Models come first, then indexes; a run file is fused where there is neither.
        for name in list(systems)[: len(sources) + len(args.index) or 1]:
            systems[f"bm25+{name}"] = {
                asked: fuse_runs([systems["bm25"][asked], run], evaluation.asked[asked][1], place_of)
                for asked, run in systems[name].items()
            }

    comparisons = evaluation.compare(systems)
    scores = [row for comparison in comparisons.values() for row in comparison.scores()]
    for row in comparisons[EVIDENCE].summary():
        say("  " + ", ".join(f"{key} {value:.3f}" if key != "system" else value for key, value in row.items()))
    tables = {
        "summary": comparisons[EVIDENCE].summary(),
        "comparisons": comparison_rows(row for row in scores if row["task"] == EVIDENCE),
        "per_query": comparisons[EVIDENCE].per_query(),
        "scores": scores,
        "values": [row for task, one in comparisons.items() if task != EVIDENCE for row in one.all_values()],
        "by_search": evaluation.curves(systems),
    }
    runs = {f"runs/{name.replace('/', '__')}.trec": trec_run(run[QUERIES], name) for name, run in systems.items()}
    tables = {config: rows for config, rows in tables.items() if rows}
    pin = stage.publish_dataset(
        {config: {"test": Dataset.from_list(rows)} for config, rows in tables.items()},
        template="evaluation",
        counts={"judged_queries": len(evaluation.queries.qrels), "documents": len(documents), "query_styles": styles}
        | evaluation.random_baselines,
        files=runs | leaderboard_files(comparisons),
        tasks={task: (score_table(scores, task), interval_table(scores, task, HEADLINE)) for task in comparisons},
        configs=list(tables),
    )
    cards = [
        put_results_into_card(source, scores, system=name, benchmark=inputs, evaluation=pin)
        for name, source in models.items()
        if isinstance(source, HubRef) and source.repo_id in args.results_into
    ]
    for card in cards:
        say(f"  results are in the card: {card}")
    return pin, cards


def read_evaluation(stage: Stage, args: Arguments, inputs: Mapping[str, Source]) -> RetrievalEvaluation:
    """Everything that systems are asked."""
    from lrat_hub.corpora.loading import load_qrels
    from lrat_hub.evaluation.benchmark import Benchmark
    from lrat_hub.evaluation.retrieval import RetrievalEvaluation
    from lrat_hub.hub.inputs import load_table
    from lrat_hub.schema import Pair, Trajectory
    from lrat_hub.storage import rows_of

    evidence = Benchmark.load(*(inputs[name] for name in ("corpus", "queries", "qrels")))
    gold = None
    if args.qrels_gold:
        gold = evidence.judged_by(stage.input("qrels_gold", args.qrels_gold), config="qrels_gold")
    evaluation = RetrievalEvaluation.of(evidence, gold, depth=args.depth)
    if args.check_passages:
        for reason in evaluation.add_controls(passages=args.check_passages):
            say(f"  left out: {reason}")
    if args.trajectories:
        table = load_table(stage.input("trajectories", args.trajectories), "trajectories")
        qrels = load_qrels(stage.input("evidence", args.evidence)) if args.evidence else evidence.qrels
        evaluation.add_trajectories(map(Trajectory.from_dict, rows_of(table)), qrels)
    if args.pairs:
        table = load_table(stage.input("pairs", args.pairs), "pairs", config="pairs")
        evaluation.add_pairs(map(Pair.from_dict, rows_of(table)))
    return evaluation


def read_given_run(stage: Stage, text: str, name: str, evaluation: RetrievalEvaluation) -> tuple[str, Run]:
    """A run file, by the name of its system; what it has of queries that are not asked is told and left out."""
    from lrat_hub.evaluation.metrics import read_run
    from lrat_hub.evaluation.retrieval import QUERIES
    from lrat_hub.hub.inputs import resolve

    if stage.inputs.require_pinned:
        raise LratError(f"`runs` {text}: `require_pinned` allows only references at a full commit sha, not files.")
    path = Path(text).expanduser().resolve()
    stage.inputs.record(name, str(resolve(str(path), repo_type="dataset")))
    system, run = read_run(path)
    judged, depth = evaluation.queries.qrels, evaluation.asked[QUERIES][1]
    kept = {query_id: hits[:depth] for query_id, hits in run.items() if query_id in judged}
    known = cache(evaluation.queries.documents.__contains__)
    if foreign := next((hit.docid for hits in kept.values() for hit in hits if not known(hit.docid)), None):
        raise LratError(f"`runs` {text}: expected documents of the corpus, found {foreign}. Is it of another corpus?")
    say(
        f"  {system}: {len(kept)} of {len(judged)} judged queries, the others count 0; {len(run) - len(kept)} unjudged"
    )
    return system, kept


if __name__ == "__main__":
    sys.exit(cli.main(["eval", "retrieval", *sys.argv[1:]]))
