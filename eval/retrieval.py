"""Compares retrievers on queries with relevance judgements: any number of models by exact search, indexes, and BM25.

Publishes per-query scores, run files in TREC format and comparisons with paired intervals; the results can also go
into the cards of the models that were compared.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lrat_hub import cli
from lrat_hub.errors import LratError
from lrat_hub.hub.refs import HubRef
from lrat_hub.stage import Stage, StageArguments, parse, say

if TYPE_CHECKING:
    from lrat_hub.retrieval import Retriever

# A commit sha or digest, of which tables show the first digits.
LONG_HASH = re.compile(r"([0-9a-f]{7})[0-9a-f]{33,}")


@dataclass(kw_only=True)
class Arguments(StageArguments):
    corpus: str = field(metadata={"help": "The corpus to search."})
    queries: str = field(metadata={"help": "The queries, as ref#config:split."})
    qrels: str = field(metadata={"help": "Their relevance judgements."})
    models: list[str] = field(
        default_factory=list, metadata={"help": "SentenceTransformers; the first is the baseline."}
    )
    index: list[str] = field(
        default_factory=list, metadata={"help": "Indexes of the corpus, or URLs of such that are served."}
    )
    bm25: bool = field(default=True, metadata={"help": "Also run BM25 (--no_bm25 to leave it out)."})
    fusion: bool = field(
        default=False, metadata={"help": "Also run the reciprocal rank fusion of BM25 and the first system."}
    )
    results_into: list[str] = field(
        default_factory=list, metadata={"help": "Those of the models (namespace/name) whose cards get the results."}
    )


def main(argv: list[str] | None = None) -> tuple[HubRef, list[HubRef]]:
    """Returns the pin of the evaluation and of each model whose card was written."""
    (args,) = parse(argv, "eval retrieval", __doc__, Arguments)
    if not args.models and not args.index and not args.bm25:
        raise LratError(
            "lrat eval retrieval: expected at least one system, found none. Give --models, --index or leave BM25 on."
        )
    if args.fusion and not (args.bm25 and (args.models or args.index)):
        raise LratError("lrat eval retrieval: --fusion is of BM25 and a model or index. Give one, and leave BM25 on.")

    from datasets import Dataset

    from lrat_hub.benchmark import Benchmark
    from lrat_hub.evaluation import (
        comparison_table,
        per_query_rows,
        put_results_into_card,
        summary_table,
        system_name,
    )
    from lrat_hub.hub.inputs import load_model
    from lrat_hub.retrieval.bm25 import BM25Retriever
    from lrat_hub.retrieval.dense import DenseRetriever
    from lrat_hub.retrieval.fusion import FusionRetriever
    from lrat_hub.retrieval.opening import open_index
    from lrat_hub.runs import trec_run

    stage = Stage("eval retrieval", args)
    corpus, queries, qrels = (stage.input(name, getattr(args, name)) for name in ("corpus", "queries", "qrels"))
    sources = [
        stage.input(f"model_{place}", text, repo_type="model", option="models")
        for place, text in enumerate(args.models, start=1)
    ]
    names = {system_name(source): source for source in sources}
    if len(names) < len(sources):
        raise LratError("lrat eval retrieval: expected models of different names, found one name twice.")
    if unknown := [name for name in args.results_into if name not in {getattr(s, "repo_id", None) for s in sources}]:
        raise LratError(f"--results_into {unknown[0]}: expected one of the models that are compared.")
    benchmark = Benchmark.load(corpus, queries, qrels)

    systems = {}
    # The first retriever, for the fusion; others are let go before the next model needs the memory.
    kept: list[Retriever] = []

    def run(name: str, retriever: Retriever) -> None:
        systems[name] = benchmark.score(retriever)
        if args.fusion and not kept:
            kept.append(retriever)

    for name, source in names.items():
        say(f"encoding {len(benchmark.documents)} documents with {name}")
        run(name, DenseRetriever(load_model(source), benchmark.documents.in_order(), show_progress=True))
    for place, text in enumerate(args.index, start=1):
        retriever = open_index(stage, text, corpus=corpus, name=f"index_{place}")
        run(LONG_HASH.sub(r"\1", stage.inputs[f"index_{place}"]), retriever)
    if args.bm25:
        bm25 = BM25Retriever(benchmark.documents.in_order())
        systems["bm25"] = benchmark.score(bm25)
        if args.fusion:
            first = next(iter(systems))
            fusion = FusionRetriever([bm25, *kept], benchmark.documents.row)
            systems[f"bm25+{first}"] = benchmark.score(fusion)
    comparisons = comparison_table(benchmark, systems)
    summary = summary_table(systems)
    for row in summary:
        say(
            "  " + ", ".join(f"{key} {value:.3f}" if isinstance(value, float) else value for key, value in row.items())
        )

    tables = {"summary": summary, "comparisons": comparisons, "per_query": per_query_rows(benchmark, systems)}
    pin = stage.publish_dataset(
        {config: {"test": Dataset.from_list(rows)} for config, rows in tables.items() if rows},
        template="evaluation",
        counts={"judged_queries": len(benchmark.qrels), "documents": len(benchmark.documents)},
        files={f"runs/{name.replace('/', '__')}.trec": trec_run(scores.run, name) for name, scores in systems.items()},
        summary=summary,
        comparisons=comparisons,
    )
    cards = [
        put_results_into_card(source, systems[name], benchmark=queries, evaluation=pin, summary=summary)
        for name, source in names.items()
        if getattr(source, "repo_id", None) in args.results_into
    ]
    for card in cards:
        say(f"  results are in the card: {card}")
    return pin, cards


if __name__ == "__main__":
    sys.exit(cli.main(["eval", "retrieval", *sys.argv[1:]]))
