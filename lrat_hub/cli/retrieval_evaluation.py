"""What `lrat eval retrieval` needs besides its script: its tables and run files, and what models have seen of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrat_hub.cli.stage import Stage, say
from lrat_hub.errors import LratError

if TYPE_CHECKING:
    from lrat_hub.evaluation.metrics import Run
    from lrat_hub.evaluation.own_documents import OwnDocuments
    from lrat_hub.evaluation.retrieval import RetrievalEvaluation
    from lrat_hub.evaluation.seen import Seen, TrainingPairs
    from lrat_hub.hub.inputs import Source
    from lrat_hub.ledger.joins import Join


def read_evaluation(
    stage: Stage, args: Any, inputs: Mapping[str, Source], models: Mapping[str, Source]
) -> tuple[RetrievalEvaluation, list[Seen]]:
    """Everything that systems are asked, and what those with a model have seen of the queries.

    Args:
        args: The stage's options.
        inputs: Corpus, queries and judgements.
        models: System to its model, or to the index whose model it is.

    Raises:
        LratError: A table can't be read, tables don't belong together, or nothing is held out although nothing else is
            wanted.
    """
    from lrat_hub.corpora.loading import load_qrels
    from lrat_hub.evaluation.benchmark import Benchmark
    from lrat_hub.evaluation.retrieval import RetrievalEvaluation
    from lrat_hub.evaluation.seen import TrainingPairs, was_seen
    from lrat_hub.hub.inputs import load_table
    from lrat_hub.schema import Pair, Trajectory
    from lrat_hub.storage import rows_of

    evidence = Benchmark.load(*(inputs[name] for name in ("corpus", "queries", "qrels")))
    gold = None
    if args.qrels_gold:
        gold = evidence.judged_by(stage.input("qrels_gold", args.qrels_gold), config="qrels_gold")
    trained = {
        name: TrainingPairs.of(model, queries=inputs["queries"], corpus=inputs["corpus"])
        for name, model in models.items()
    }
    seen = seen_of(trained, evidence)
    left_out = frozenset[str]()
    if args.held_out_only:
        left_out = left_out.union(*(one.query_ids for one in seen))
        evidence, gold = evidence.without(left_out), gold.without(left_out) if gold else None
        say(f"  {len(left_out)} queries are left out for all systems, {len(evidence.qrels)} are held out")
        if not evidence.qrels or (gold and not gold.qrels):
            raise LratError(
                "Queries: expected some that no model was trained on (`held_out_only`), found none. Give the queries "
                "of another split, or leave the option out."
            )
    excluded = list(trained.values()) if args.held_out_only else []
    evaluation = RetrievalEvaluation.of(evidence, gold, depth=args.depth)
    if args.check_passages:
        for reason in evaluation.add_controls(passages=args.check_passages):
            say(f"  left out: {reason}")
    if args.trajectories:
        table = load_table(stage.input("trajectories", args.trajectories), "trajectories")
        qrels = load_qrels(stage.input("evidence", args.evidence)) if args.evidence else evidence.qrels
        runs = (run for run in map(Trajectory.from_dict, rows_of(table)) if not was_seen(run, excluded))
        evaluation.add_trajectories(runs, qrels)
    if args.pairs:
        table = load_table(stage.input("pairs", args.pairs), "pairs", config="pairs")
        pairs = (pair for pair in map(Pair.from_dict, rows_of(table)) if not was_seen(pair, excluded))
        evaluation.add_pairs(pairs)
    for join in evaluation.joins:
        say(f"  {join}")
    return evaluation, seen


def seen_of(trained: Mapping[str, TrainingPairs], benchmark: Any) -> list[Seen]:
    """What each system has seen of a benchmark's judged queries and relevant documents, which is told."""
    from lrat_hub.evaluation.seen import Seen

    queries = {query_id: benchmark.queries[query_id] for query_id in benchmark.qrels}
    relevant = [docid for grades in benchmark.qrels.values() for docid, grade in grades.items() if grade > 0]
    seen = [Seen.of(name, pairs, queries, relevant, benchmark.documents) for name, pairs in trained.items()]
    for one in seen:
        say(f"  {one}")
    return seen


def models_of_indexes(texts: Sequence[str]) -> dict[str, Source]:
    """The repositories of indexes, by the text of the option; a served one says nothing of its lineage."""
    from lrat_hub.hub.inputs import resolve
    from lrat_hub.retrieval.opening import INDEX_PREFIX
    from lrat_hub.retrieval.serving import is_url

    return {text: resolve(text.removeprefix(INDEX_PREFIX), repo_type="model") for text in texts if not is_url(text)}


def read_given_run(stage: Stage, text: str, name: str, evaluation: RetrievalEvaluation) -> tuple[str, Run, list[Join]]:
    """A run file, by the name of its system, and how it met what is asked; queries that are not asked are left out."""
    from lrat_hub.evaluation.run_files import read_run
    from lrat_hub.hub.inputs import resolve

    if stage.inputs.require_pinned:
        raise LratError(f"`runs` {text}: `require_pinned` allows only references at a full commit sha, not files.")
    path = Path(text).expanduser().resolve()
    stage.inputs.record(name, str(resolve(str(path), repo_type="dataset")))
    contradictions: list[int] = []
    system, run = read_run(path, on_contradiction=contradictions.append)
    for count in contradictions:
        say(
            f"  warning: {text}: ranks and scores contradict each other for {count} of {len(run)} queries. Scores "
            "decide, the highest first, as in trec_eval: negate them if they are distances"
        )
    try:
        kept, joins = evaluation.given_run(run)
    except LratError as error:
        raise LratError(f"`runs` {text}: {error}") from error
    for join in joins:
        say(f"  {system}: {join}")
    return system, kept, joins


def note_own_documents(own: OwnDocuments, runs: Mapping[str, Run], num_queries: int) -> dict[str, int]:
    """For how many queries each system ranks a document first that is the query itself; told where it is often."""
    from lrat_hub.evaluation.own_documents import NOTED_SHARE

    first = {name: own.ranked_first(run) for name, run in runs.items()}
    for name, count in first.items():
        if count >= max(1, NOTED_SHARE * num_queries):
            say(
                f"  note: {name} ranks a query's own document first for {count} of {num_queries} queries. "
                "--ignore_identical leaves these documents out, as BEIR does for ArguAna and Quora"
            )
    return first
