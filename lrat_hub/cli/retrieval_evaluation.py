"""What `lrat eval retrieval` needs besides its script: its tables and run files, and what models have seen of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrat_hub.cli.stage import Stage, say
from lrat_hub.errors import LratError

if TYPE_CHECKING:
    from lrat_hub.evaluation.benchmark import Benchmark
    from lrat_hub.evaluation.costs import SearchCost
    from lrat_hub.evaluation.metrics import Run
    from lrat_hub.evaluation.own_documents import OwnDocuments
    from lrat_hub.evaluation.retrieval import RetrievalEvaluation, TaskComparison
    from lrat_hub.evaluation.seen import Seen
    from lrat_hub.hub.inputs import Source
    from lrat_hub.ledger.joins import Join
    from lrat_hub.schema import Pair, Trajectory


def read_evaluation(
    stage: Stage, args: Any, inputs: Mapping[str, Source], models: Mapping[str, Source]
) -> tuple[RetrievalEvaluation, list[Seen]]:
    """Everything that systems are asked, and what those with a model have seen of the queries.

    Args:
        args: The stage's options.
        inputs: Corpus, queries and judgements; or the corpus, and pairs or trajectories alone.
        models: System to its model, or to the index whose model it is.

    Raises:
        LratError: A table can't be read, tables don't belong together, or nothing is held out although nothing else is
            wanted.
    """
    from lrat_hub.corpora.loading import load_qrels
    from lrat_hub.evaluation.benchmark import Benchmark
    from lrat_hub.evaluation.retrieval import EVIDENCE, OPENED, RetrievalEvaluation
    from lrat_hub.evaluation.seen import was_seen

    judged = "qrels" in inputs
    if judged:
        evidence = Benchmark.load(*(inputs[name] for name in ("corpus", "queries", "qrels")))
    else:
        evidence = read_opened(inputs)
        say(
            f"  no judgements are given: relevant is what agents opened out of the lists of {len(evidence.qrels)} "
            f"queries, for {evidence.num_questions} questions"
        )
    asked = next(inputs[name] for name in ("queries", "pairs", "trajectories") if name in inputs)
    gold = None
    if args.qrels_gold:
        gold = evidence.judged_by(stage.input("qrels_gold", args.qrels_gold), config="qrels_gold")
    seen = seen_of(models, evidence, asked, inputs["corpus"], by_question=not judged)
    advise(seen, args, inputs)
    left_out = frozenset[str]()
    if args.held_out_only:
        left_out = left_out.union(*(one.left_out for one in seen))
        evidence, gold = evidence.without(left_out), gold.without(left_out) if gold else None
        say(f"  {len(left_out)} queries are left out for all systems, {len(evidence.qrels)} are held out")
        if not evidence.qrels or (gold and not gold.qrels):
            raise LratError(
                "Queries: expected some that no model was trained on (`held_out_only`), found none. Give the queries "
                "of another split, or leave the option out."
            )
    excluded = [one.pairs for one in seen] if args.held_out_only else []
    evaluation = RetrievalEvaluation.of(evidence, gold, depth=args.depth, main=EVIDENCE if judged else OPENED)
    if args.check_passages:
        for reason in evaluation.add_controls(passages=args.check_passages):
            say(f"  left out: {reason}")
    if "trajectories" in inputs:
        # What was opened is judged for searches, and says nothing of the evidence of questions.
        qrels = evidence.qrels if judged else {}
        if args.evidence:
            qrels = load_qrels(stage.input("evidence", args.evidence))
        runs = read_runs(inputs["trajectories"])
        evaluation.add_trajectories((run for run in runs if not was_seen(run, excluded)), qrels)
    if "pairs" in inputs:
        evaluation.add_pairs(pair for pair in read_pairs(inputs["pairs"]) if not was_seen(pair, excluded))
    for join in evaluation.joins:
        say(f"  {join}")
    return evaluation, seen


def read_opened(inputs: Mapping[str, Source]) -> Benchmark:
    """The benchmark of logs alone, out of the pairs or, where there are none, of the trajectories."""
    from lrat_hub.corpora.loading import load_corpus
    from lrat_hub.evaluation.opened import opened_benchmark, openings_of_pairs, openings_of_runs

    documents = load_corpus(inputs["corpus"])
    if "pairs" in inputs:
        return opened_benchmark(documents, openings_of_pairs(read_pairs(inputs["pairs"])), what="Pairs")
    return opened_benchmark(documents, openings_of_runs(read_runs(inputs["trajectories"])), what="Trajectories")


def read_pairs(source: Source) -> Iterator[Pair]:
    from lrat_hub.hub.inputs import load_table
    from lrat_hub.schema import Pair
    from lrat_hub.storage import rows_of

    return map(Pair.from_dict, rows_of(load_table(source, "pairs", config="pairs")))


def read_runs(source: Source) -> Iterator[Trajectory]:
    from lrat_hub.hub.inputs import load_table
    from lrat_hub.schema import Trajectory
    from lrat_hub.storage import rows_of

    return map(Trajectory.from_dict, rows_of(load_table(source, "trajectories")))


def seen_of(
    models: Mapping[str, Source], benchmark: Benchmark, asked: Source, corpus: Source, *, by_question: bool = False
) -> list[Seen]:
    """What each system has seen of a benchmark's judged queries and relevant documents, which is told.

    Args:
        models: System to its model.
        asked, corpus: Where the queries and the documents are from.
        by_question: Whether the queries are what agents searched with for a question, which may be seen itself.
    """
    from lrat_hub.evaluation.seen import Seen, TrainingPairs, text_key

    queries = {query_id: benchmark.queries[query_id] for query_id in benchmark.qrels}
    judged = {
        query_id: [docid for docid, grade in grades.items() if grade > 0]
        for query_id, grades in benchmark.qrels.items()
    }
    wanted = dict.fromkeys(docid for docids in judged.values() for docid in docids) if models else {}
    keys = {docid: text_key(document.text) for docid in wanted if (document := benchmark.documents.get(docid))}
    relevant = {query_id: [docid for docid in docids if docid in keys] for query_id, docids in judged.items()}
    asked_for = {key: (benchmark.clusters[key], benchmark.states[key].question) for key in queries if by_question}
    seen = []
    for name, model in models.items():
        pairs = TrainingPairs.of(model, queries=asked, corpus=corpus, relevant=keys)
        seen.append(Seen.of(name, pairs, queries, relevant, asked_for))
        say(f"  {seen[-1]}")
    return seen


def advise(seen: Sequence[Seen], args: Any, inputs: Mapping[str, Source]) -> None:
    """Warns of what was seen that makes figures too good, or too bad, with what can be done about it."""
    from lrat_hub.hub.refs import HubRef

    if "qrels" in inputs:
        if any(one.negatives for one in seen):
            qrels = inputs["qrels"]
            config = "#qrels_evidence" if isinstance(qrels, HubRef) and not qrels.config else ""
            say(
                "  warning: relevant documents are negatives of training pairs, so training ranked them lower. "
                f"Keep them out of the pairs: lrat mine --held_out {args.qrels}{config}"
            )
        return
    if args.held_out_only or not any(one.left_out for one in seen):
        return
    cure = "leave out what was seen (--held_out_only)"
    if not any(one.query_ids for one in seen):
        # Questions that are held out can still have the texts of others' queries.
        say(f"  warning: some searches have the text of training queries for other questions. You can {cure}")
    elif "pairs" in inputs and inputs["pairs"].split not in (None, "train"):
        say(f"  warning: systems were trained on some of these searches. You can {cure}")
    else:
        say(
            "  warning: systems were trained on some of these searches. Give pairs that lrat mine has held out "
            f"(--pairs me/pairs#pairs:test), or {cure}"
        )


def models_of_indexes(texts: Sequence[str]) -> dict[str, Source]:
    """The repositories of indexes, by the text of the option; a served one says nothing of its lineage."""
    from lrat_hub.hub.inputs import resolve
    from lrat_hub.retrieval.opening import INDEX_PREFIX
    from lrat_hub.retrieval.remote import is_url

    return {text: resolve(text.removeprefix(INDEX_PREFIX), repo_type="model") for text in texts if not is_url(text)}


def models_of_retrievers(texts: Sequence[str]) -> dict[str, Source]:
    """The repositories that retrievers are made of, by the text of each."""
    from lrat_hub.hub.inputs import resolve
    from lrat_hub.retrieval.opening import RetrieverName

    leaves = [leaf for text in texts for leaf in RetrieverName.parse(text).leaves()]
    return {leaf.text: resolve(leaf.text, repo_type="model") for leaf in leaves if leaf.is_repository}


def system_of(text: str, models: Mapping[str, Source]) -> str:
    """A retriever's name in tables, with its repositories as those of models: the same however they were named.

    Args:
        models: From `models_of_retrievers`.
    """
    from lrat_hub.evaluation.tables import system_name
    from lrat_hub.retrieval.opening import RetrieverName

    return RetrieverName.parse(text).renamed(
        lambda leaf: system_name(models[leaf.text]) if leaf.is_repository else leaf.text
    )


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


LEADING = ("recall@10", "ndcg@10")
"""Metrics whose differences are printed; all are on the card."""

FORGETTING = "forgetting check, recall@10"


def show_differences(scores: Sequence[Mapping[str, Any]], task: str) -> None:
    """Prints what means don't say: differences, what is forgotten, and whether there are enough questions."""
    from lrat_hub.cli.tables import show_table
    from lrat_hub.evaluation.controls import CHECK_METRIC
    from lrat_hub.evaluation.retrieval import CONTENT
    from lrat_hub.evaluation.tables import difference_table, too_few_questions

    rows = {metric: (task, metric) for metric in LEADING} | {FORGETTING: (CONTENT, CHECK_METRIC)}
    if table := difference_table(scores, rows):
        say("")
        show_table(table)
        say("  Brackets are paired 95 % intervals. Bold is more than chance at the 5 % level, corrected by Holm.")
    if few := too_few_questions(scores, task, LEADING[-1]):
        say(f"  warning: {few}")


def show_costs(costs: Mapping[str, SearchCost], comparison: TaskComparison) -> list[dict[str, Any]]:
    """Prints what searches cost beside their quality, if any was measured, and gives the table."""
    from lrat_hub.cli.tables import show_table
    from lrat_hub.evaluation.costs import cost_table, measured_how

    table = cost_table(costs, comparison)
    if table:
        show_table(table)
        say(f"  {measured_how(costs)}")
    return table


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
