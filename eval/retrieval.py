"""Compares retrievers on queries with relevance judgements: models, indexes, BM25, fusion, and runs of others.

Without judgements, what agents opened in held-out pairs or trajectories counts as relevant, which the result says.

Every system answers the same queries, rendered in the style its model was trained with. Published are per-query
scores, intervals, paired tests against the first system and run files in TREC format; the results can also go into
the cards of the models that were compared.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from lrat_hub import cli
from lrat_hub.cli.retrieval_evaluation import (
    models_of_indexes,
    models_of_retrievers,
    note_own_documents,
    read_evaluation,
    read_given_run,
    show_costs,
    show_differences,
    system_of,
)
from lrat_hub.cli.stage import Stage, StageArguments, parse, say
from lrat_hub.errors import LratError
from lrat_hub.hub.refs import HubRef
from lrat_hub.option import option
from lrat_hub.scaling.settings import ExecutionSettings

if TYPE_CHECKING:
    from lrat_hub.evaluation.metrics import Run
    from lrat_hub.queries import QueryStyle
    from lrat_hub.retrieval import Retriever

# A commit sha or digest, of which tables show the first digits.
LONG_HASH = re.compile(r"([0-9a-f]{7})[0-9a-f]{33,}")

ASKED = ("corpus", "queries", "qrels", "pairs", "trajectories")
"""Options of what systems are asked."""

CONFIGS = ("summary", "comparisons", "stages", "per_query", "scores", "values", "by_search", "seen")

HEADLINE = ("recall@5", "recall@10", "recall@100", "ndcg@10", "novelty@10", "evidence_share@10", "own_first")
"""Metrics whose intervals and differences the card shows; all are in the tables."""


@dataclass(kw_only=True)
class Arguments(StageArguments):
    corpus: str = option(help="Corpus to search.", group="inputs")
    queries: str = option(
        "",
        "Queries to search with, as ref#config:split. With `qrels`, or neither: what agents opened in `pairs` or "
        "`trajectories` then counts as relevant.",
        group="inputs",
    )
    qrels: str = option(
        "",
        "Relevance judgements of the queries; the evidence judgements where there are two kinds.",
        group="inputs",
    )
    qrels_gold: str = option("", "Relevance judgements of the documents that hold the answer itself.", group="inputs")
    models: list[str] = option(
        help="SentenceTransformers to compare; the first system is the baseline.",
        factory=list,
        group="inputs",
        recipe=False,
    )
    index: list[str] = option(
        help="Indexes of the corpus to compare, or the URLs of servers of indexes.", factory=list, group="inputs"
    )
    retrievers: list[str] = option(
        help="Retrievers to compare by their names, such as 'bm25>me/reranker', 'bm25>20:me/reranker' (the "
        "first 20 results) or bm25+me/model.",
        factory=list,
        group="inputs",
    )
    runs: list[str] = option(
        help="Run files of other systems to compare, in TREC format.", factory=list, group="inputs"
    )
    bm25: bool = option(True, "Whether to compare BM25.", group="essentials", off="Leave BM25 out of the comparison.")
    fusion: bool = option(
        False, "Also compare the reciprocal rank fusion of BM25 with each model and index.", group="essentials"
    )
    depth: int = option(1000, "Number of results per query.", group="essentials")
    held_out_only: bool = option(
        False,
        "Leave out, for all systems, the queries that pairs of a model's training were mined from, by the "
        "lineages of the models.",
        group="essentials",
    )
    ignore_identical: bool = option(
        False,
        "Leave a query's own document out of its results, where queries are documents of the corpus (same "
        "id or text, not judged relevant), as BEIR does for ArguAna and Quora.",
        group="essentials",
    )
    check_passages: int = option(
        500,
        "Number of passages of the controls, whose queries are sentences and titles; 0 skips them.",
        group="essentials",
    )
    trajectories: str = option("", "Trajectories whose searches are replayed with every system.", group="inputs")
    evidence: str = option(
        "", "Relevance judgements of the questions of `trajectories`; `qrels` if empty.", group="inputs"
    )
    pairs: str = option(
        "",
        "Mined pairs that no system was trained on (me/pairs#pairs:test), whose positives are ranked among their own "
        "candidates.",
        group="inputs",
    )
    max_length: int = option(0, "Maximum number of tokens per document for the models; 0 uses each model's own limit.")
    results_into: list[str] = option(
        help="Names (namespace/name) of the compared models whose cards get the results.",
        factory=list,
        group="essentials",
    )


@dataclass(kw_only=True)
class WorkArguments:
    """How the work is done on this machine."""

    work_dir: str = option(
        "", "Folder of a model's vectors while it is evaluated; a folder in HF_HOME if empty.", recipe=False
    )
    keep_work: bool = option(
        False, "Keep the vectors in `work_dir`, for further evaluations and for `lrat index`.", recipe=False
    )


OPTIONS = (Arguments, WorkArguments, ExecutionSettings)


def require_relevance(args: Arguments) -> None:
    """Raises LratError when nothing says what is relevant to what."""
    if bool(args.queries) != bool(args.qrels) or (args.qrels_gold and not args.qrels):
        raise LratError("Evaluation: `queries` and `qrels` are given together, and `qrels_gold` with them. Give both.")
    if not (args.qrels or args.pairs or args.trajectories):
        raise LratError(
            "Evaluation: expected `queries` with `qrels`, found neither. Who has no judgements gives `pairs` that no "
            "system was trained on (`test` of lrat mine makes a split of them) or `trajectories`: what agents opened "
            "then counts as relevant."
        )


def main(argv: list[str] | None = None) -> tuple[HubRef, list[HubRef]]:
    """Returns the pin of the evaluation and of each model whose card was written."""
    args, work, execution = parse(argv, "eval retrieval", __doc__, *OPTIONS)
    if not (args.models or args.index or args.retrievers or args.runs or args.bm25):
        raise LratError(
            "Evaluation: expected at least one system, found none. Give `models`, `index`, `retrievers` or "
            "`runs`, or leave BM25 on."
        )
    require_relevance(args)
    if args.fusion and not (args.bm25 and (args.models or args.index or args.retrievers or args.runs)):
        raise LratError("Evaluation: `fusion` needs BM25 and another system. Give one, and leave BM25 on.")

    from datasets import Dataset

    from lrat_hub.cli.tables import show_table, transposed
    from lrat_hub.encoders import require_inner_product, require_modules
    from lrat_hub.evaluation.browsecomp import leaderboard_files
    from lrat_hub.evaluation.cards import page_of, put_results_into_card
    from lrat_hub.evaluation.costs import SearchCost, measured_how
    from lrat_hub.evaluation.own_documents import OwnDocuments
    from lrat_hub.evaluation.retrieval import EVIDENCE, QUERIES, comparison_rows
    from lrat_hub.evaluation.run_files import NAMES_FILE, escaped_names, trec_run
    from lrat_hub.evaluation.stages import stage_rows, stage_table, stages_of
    from lrat_hub.evaluation.tables import interval_table, score_table, system_name
    from lrat_hub.retrieval import style_read_by
    from lrat_hub.retrieval.fusion import fuse_runs
    from lrat_hub.retrieval.opening import RetrieverOpener, index_name, open_retriever
    from lrat_hub.retrieval.settings import IndexSettings

    stage = Stage("eval retrieval", args, work, configs=CONFIGS)
    stage.expect_cards(args.results_into)
    from lrat_hub.retrieval.encoding import streamed_retriever  # torch, which the first look doesn't wait for

    inputs = {name: stage.input(name, text) for name in ASKED if (text := getattr(args, name))}
    corpus = inputs["corpus"]
    sources = [
        stage.input(f"model_{number}", text, repo_type="model") for number, text in enumerate(args.models, start=1)
    ]
    models = {system_name(source): source for source in sources}
    if unknown := [name for name in args.results_into if name not in {getattr(s, "repo_id", None) for s in sources}]:
        raise LratError(f"`results_into` {unknown[0]}: expected one of the models that are compared.")
    indexes = models_of_indexes(args.index) | models_of_retrievers(args.retrievers)
    named = models | {system_name(source): source for source in indexes.values()}
    evaluation, seen = read_evaluation(stage, args, inputs, named)
    documents = evaluation.queries.documents
    own = OwnDocuments.of(evaluation.queries)
    if args.ignore_identical:
        evaluation.leave_out_own(own)
        say(f"  {len(own.docids)} queries are documents of the corpus themselves, which are left out of their results")

    systems: dict[str, Mapping[str, Run]] = {}
    styles: dict[str, QueryStyle] = {}
    costs: dict[str, SearchCost] = {}
    # Run files are read before a model encodes the corpus: what is wrong with them is told at once.
    given_runs = [
        read_given_run(stage, text, f"run_{number}", evaluation) for number, text in enumerate(args.runs, start=1)
    ]
    given_joins = {name: joins for name, _, joins in given_runs}
    retrievers = {text: system_of(text, indexes) for text in args.retrievers}
    # Who names it among the retrievers says where it stands.
    bm25 = args.bm25 and "bm25" not in retrievers

    def ask(name: str, retriever: Retriever) -> None:
        styles[name] = style_read_by(retriever)
        systems[name] = evaluation.search(
            retriever, style=styles[name], on_cost=lambda cost: costs.update({name: cost})
        )

    # What can't be compared is refused before a model encodes the corpus, which may take hours.
    for source in sources:
        require_modules(source)
        require_inner_product(source)
    opened: list[tuple[str, Retriever]] = []
    for number, text in enumerate(args.index, start=1):
        label = f"index_{number}"
        retriever = open_retriever(
            index_name(text), corpus, documents=documents, inputs=stage.inputs, input_name=label
        )
        opened.append((LONG_HASH.sub(r"\1", stage.inputs.pins[label]), retriever))
    names = [*map(system_name, sources), *(name for name, _, _ in given_runs), *(name for name, _ in opened)]
    names += [*retrievers.values(), *(["bm25"] if bm25 else [])]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise LratError(
            f"Evaluation: expected systems of different names, found {', '.join(twice)} more than once. Give each "
            "once, and run files with names of their own in the last column."
        )
    opener = RetrieverOpener(corpus, documents, inputs=stage.inputs, show_progress=True)
    for number, (text, name) in enumerate(retrievers.items(), start=1):
        opened.append((name, opener.open(text, input_name=f"retriever_{number}")))
    given_names = dict(zip(args.models, models, strict=True)) | retrievers | {"bm25": "bm25"}
    given_names |= {text: name for text, (name, _) in zip(args.index, opened, strict=False)}
    stages = stages_of(given_names, retrievers)
    for name, source in models.items():
        say(f"encoding {len(documents)} documents with {name}")
        with streamed_retriever(
            source,
            corpus,
            work_dir=Path(work.work_dir).expanduser() if work.work_dir else None,
            keep=work.keep_work,
            settings=IndexSettings(max_length=args.max_length),
            execution=execution,
            show_progress=True,
            on_cut=lambda cut: say(f"  {cut}"),
        ) as retriever:
            ask(name, retriever)
    for name, retriever in opened:
        ask(name, retriever)
    for name, run, _ in given_runs:
        systems[name] = {QUERIES: run}
    if bm25:
        ask("bm25", open_retriever("bm25", corpus, documents=documents))
    if args.fusion:
        place_of = cache(documents.row)
        # Models come first, then indexes; a run file is fused where there is neither.
        for name in list(systems)[: len(sources) + len(opened) or 1]:
            # Without brackets it would be the fusion that is ranked again, which may be compared as well.
            fused = f"bm25+({name})" if ">" in name else f"bm25+{name}"
            if name == "bm25" or fused in systems:
                continue
            systems[fused] = {
                asked: fuse_runs([systems["bm25"][asked], run], evaluation.asked[asked][1], place_of)
                for asked, run in systems[name].items()
            }
            stages[fused] = name
            if name in costs:
                costs[fused] = costs["bm25"] + costs[name]
    stages = {name: first for name, first in stages.items() if name in systems and first in systems}

    answers = {name: run[QUERIES] for name, run in systems.items()}
    first = note_own_documents(own, answers, len(evaluation.queries.qrels))
    joins = [join.to_dict() for join in evaluation.joins]
    joins += [{"system": name} | join.to_dict() for name, those in given_joins.items() for join in those]
    comparisons, main_task = evaluation.compare(systems), evaluation.main
    scores = [row for comparison in comparisons.values() for row in comparison.scores()]
    show_table(transposed(comparisons[main_task].summary(), name="system"))
    show_differences(scores, main_task)
    by_cost = show_costs(costs, comparisons[main_task])
    tables = {
        "summary": comparisons[main_task].summary(),
        "comparisons": comparison_rows(row for row in scores if row["task"] == main_task),
        "stages": stage_rows(comparisons[main_task], stages),
        "per_query": comparisons[main_task].per_query(),
        "scores": scores,
        "values": [row for task, one in comparisons.items() if task != main_task for row in one.all_values()],
        "by_search": evaluation.curves(systems),
        "seen": [one.to_dict() | one.ids() for one in seen],
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
            "judged_queries" if main_task == EVIDENCE else "searches": len(evaluation.queries.qrels),
            "documents": len(documents),
            "query_styles": styles,
            "joins": joins,
            "seen": [one.to_dict() for one in seen],
            "costs": {name: cost.to_dict() for name, cost in costs.items()},
            "own_documents": {"queries": len(own.docids), "left_out": args.ignore_identical, "ranked_first": first},
        }
        | ({} if main_task == EVIDENCE else {"questions": evaluation.queries.num_questions})
        | evaluation.random_baselines,
        files=runs | leaderboard_files(comparisons),
        tasks={task: (score_table(scores, task), interval_table(scores, task, HEADLINE)) for task in comparisons},
        configs=list(tables),
        costs=by_cost,
        measured_how=measured_how(costs),
        stages=stage_table(tables.get("stages", ()), HEADLINE),
        seen=[str(one) for one in seen],
        joins=[str(join) for join in evaluation.joins]
        + [f"{name}: {join}" for name, those in given_joins.items() for join in those],
    )
    say(f"  every task, metric and test: the card, {page_of(pin)}")
    cards = [
        put_results_into_card(source, scores, system=name, task=main_task, benchmark=inputs, evaluation=pin)
        for name, source in models.items()
        if isinstance(source, HubRef) and source.repo_id in args.results_into
    ]
    for card in cards:
        say(f"  results are in the card: {card}")
    return pin, cards


if __name__ == "__main__":
    sys.exit(cli.main(["eval", "retrieval", *sys.argv[1:]]))
