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
from lrat_hub.cli.retrieval_evaluation import (
    models_of_indexes,
    note_own_documents,
    read_evaluation,
    read_given_run,
)
from lrat_hub.cli.stage import Stage, StageArguments, parse, say
from lrat_hub.errors import LratError
from lrat_hub.hub.refs import HubRef

if TYPE_CHECKING:
    from lrat_hub.evaluation.metrics import Run
    from lrat_hub.queries import QueryStyle
    from lrat_hub.retrieval import Retriever

# A commit sha or digest, of which tables show the first digits.
LONG_HASH = re.compile(r"([0-9a-f]{7})[0-9a-f]{33,}")

CONFIGS = ("summary", "comparisons", "per_query", "scores", "values", "by_search", "seen")

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
    held_out_only: bool = field(
        default=False,
        metadata={
            "group": "essentials",
            "help": "Leave out, for all systems, the queries that pairs of a model's training were mined from, by the "
            "lineages of the models.",
        },
    )
    ignore_identical: bool = field(
        default=False,
        metadata={
            "group": "essentials",
            "help": "Leave a query's own document out of its results, where queries are documents of the corpus (same "
            "id or text, not judged relevant), as BEIR does for ArguAna and Quora.",
        },
    )
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

    from lrat_hub.cli.tables import show_table, transposed
    from lrat_hub.encoders import require_inner_product
    from lrat_hub.evaluation.browsecomp import leaderboard_files
    from lrat_hub.evaluation.cards import put_results_into_card
    from lrat_hub.evaluation.own_documents import OwnDocuments
    from lrat_hub.evaluation.retrieval import EVIDENCE, QUERIES, comparison_rows
    from lrat_hub.evaluation.run_files import NAMES_FILE, escaped_names, trec_run
    from lrat_hub.evaluation.tables import interval_table, score_table, system_name
    from lrat_hub.retrieval import style_read_by
    from lrat_hub.retrieval.fusion import fuse_runs
    from lrat_hub.retrieval.opening import index_name, open_retriever, streamed_retriever
    from lrat_hub.retrieval.settings import IndexSettings

    stage = Stage("eval retrieval", args, work, configs=CONFIGS)
    stage.expect_cards(args.results_into)
    inputs = {name: stage.input(name, getattr(args, name)) for name in ("corpus", "queries", "qrels")}
    corpus = inputs["corpus"]
    sources = [
        stage.input(f"model_{number}", text, repo_type="model") for number, text in enumerate(args.models, start=1)
    ]
    models = {system_name(source): source for source in sources}
    if unknown := [name for name in args.results_into if name not in {getattr(s, "repo_id", None) for s in sources}]:
        raise LratError(f"`results_into` {unknown[0]}: expected one of the models that are compared.")
    indexes = models_of_indexes(args.index)
    evaluation, seen = read_evaluation(stage, args, inputs, {**models, **indexes})
    documents = evaluation.queries.documents
    own = OwnDocuments.of(evaluation.queries)
    if args.ignore_identical:
        evaluation.leave_out_own(own)
        say(f"  {len(own.docids)} queries are documents of the corpus themselves, which are left out of their results")

    systems: dict[str, Mapping[str, Run]] = {}
    styles: dict[str, QueryStyle] = {}
    # Run files are read before a model encodes the corpus: what is wrong with them is told at once.
    given_runs = [
        read_given_run(stage, text, f"run_{number}", evaluation) for number, text in enumerate(args.runs, start=1)
    ]
    given_joins = {name: joins for name, _, joins in given_runs}
    names = [*models, *(name for name, _, _ in given_runs), *(["bm25"] if args.bm25 else [])]
    if len(set(names)) < len(names):
        raise LratError(f"Evaluation: expected {len(names)} systems of different names, found {len(set(names))}.")

    def ask(name: str, retriever: Retriever) -> None:
        styles[name] = style_read_by(retriever)
        systems[name] = evaluation.search(retriever, style=styles[name])

    # What can't be compared is refused before a model encodes the corpus, which may take hours.
    for source in sources:
        require_inner_product(source)
    opened: list[tuple[str, Retriever]] = []
    for number, text in enumerate(args.index, start=1):
        label = f"index_{number}"
        retriever = open_retriever(
            index_name(text), corpus, documents=documents, inputs=stage.inputs, input_name=label
        )
        opened.append((LONG_HASH.sub(r"\1", stage.inputs.pins[label]), retriever))
    for name, source in models.items():
        say(f"encoding {len(documents)} documents with {name}")
        with streamed_retriever(
            source,
            corpus,
            work_dir=Path(work.work_dir).expanduser() if work.work_dir else None,
            keep=work.keep_work,
            settings=IndexSettings(max_length=args.max_length),
            show_progress=True,
            on_cut=lambda cut: say(f"  {cut}"),
        ) as retriever:
            ask(name, retriever)
    for name, retriever in opened:
        ask(name, retriever)
    for name, run, _ in given_runs:
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

    answers = {name: run[QUERIES] for name, run in systems.items()}
    first = note_own_documents(own, answers, len(evaluation.queries.qrels))
    joins = [join.to_dict() for join in evaluation.joins]
    joins += [{"system": name} | join.to_dict() for name, those in given_joins.items() for join in those]
    comparisons = evaluation.compare(systems)
    scores = [row for comparison in comparisons.values() for row in comparison.scores()]
    show_table(transposed(comparisons[EVIDENCE].summary(), name="system"))
    tables = {
        "summary": comparisons[EVIDENCE].summary(),
        "comparisons": comparison_rows(row for row in scores if row["task"] == EVIDENCE),
        "per_query": comparisons[EVIDENCE].per_query(),
        "scores": scores,
        "values": [row for task, one in comparisons.items() if task != EVIDENCE for row in one.all_values()],
        "by_search": evaluation.curves(systems),
        "seen": [one.to_dict() | {"query_ids": sorted(one.query_ids), "docids": sorted(one.docids)} for one in seen],
    }
    runs = {f"runs/{name.replace('/', '__')}.trec": trec_run(run[QUERIES], name) for name, run in systems.items()}
    ids = (
        key
        for run in systems.values()
        for query, hits in run[QUERIES].items()
        for key in (query, *(hit.docid for hit in hits))
    )
    if escaped := escaped_names(ids):
        runs[f"runs/{NAMES_FILE}"] = escaped
    tables = {config: rows for config, rows in tables.items() if rows}
    pin = stage.publish_dataset(
        {config: {"test": Dataset.from_list(rows)} for config, rows in tables.items()},
        template="evaluation",
        counts={
            "judged_queries": len(evaluation.queries.qrels),
            "documents": len(documents),
            "query_styles": styles,
            "joins": joins,
            "seen": [one.to_dict() for one in seen],
            "own_documents": {"queries": len(own.docids), "left_out": args.ignore_identical, "ranked_first": first},
        }
        | evaluation.random_baselines,
        files=runs | leaderboard_files(comparisons),
        tasks={task: (score_table(scores, task), interval_table(scores, task, HEADLINE)) for task in comparisons},
        configs=list(tables),
        seen=[str(one) for one in seen],
        joins=[str(join) for join in evaluation.joins]
        + [f"{name}: {join}" for name, those in given_joins.items() for join in those],
    )
    cards = [
        put_results_into_card(source, scores, system=name, benchmark=inputs, evaluation=pin)
        for name, source in models.items()
        if isinstance(source, HubRef) and source.repo_id in args.results_into
    ]
    for card in cards:
        say(f"  results are in the card: {card}")
    return pin, cards


if __name__ == "__main__":
    sys.exit(cli.main(["eval", "retrieval", *sys.argv[1:]]))
