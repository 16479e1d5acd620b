"""Retrieval metrics by trec_eval's binding, per query and over the full query set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lrat_hub.errors import LratError
from lrat_hub.retrieval import Hit, Retriever

DEPTH = 10
METRICS: dict[str, str] = {
    "recall@1": "recall_1",
    "recall@5": "recall_5",
    "recall@10": "recall_10",
    "ndcg@10": "ndcg_cut_10",
    "mrr@10": "recip_rank",
}
"""Our names to trec_eval's. Runs are cut at depth 10, which makes its reciprocal rank MRR@10."""

Qrels = Mapping[str, Mapping[str, int]]
Run = Mapping[str, Sequence[Hit]]


@dataclass(frozen=True)
class RetrievalScores:
    """Scores of one system.

    Args:
        per_query: Query id to metric to value, for every judged query; one without results scores 0.
        run: What was scored: query id to its hits.
    """

    per_query: dict[str, dict[str, float]]
    run: Run

    def mean(self, metric: str) -> float:
        return sum(scores[metric] for scores in self.per_query.values()) / len(self.per_query)

    @property
    def means(self) -> dict[str, float]:
        return {metric: self.mean(metric) for metric in METRICS}


def evaluate_retrieval(retriever: Retriever, queries: Mapping[str, str], qrels: Qrels) -> RetrievalScores:
    """Searches every judged query and scores the first ten results.

    Args:
        queries: Query id to text.
        qrels: Query id to docid to relevance; above 0 is relevant.

    Raises:
        LratError: There are no judgements, or a judged query has no text.
    """
    if missing := [query_id for query_id in qrels if query_id not in queries]:
        raise LratError(
            f"Queries: expected a text for each of the {len(qrels)} judged queries, found none for {len(missing)} "
            f"({missing[0]} ...). Queries and qrels don't belong together."
        )
    ids = list(qrels)
    hits = retriever.search([queries[query_id] for query_id in ids], DEPTH)
    return score_run(dict(zip(ids, hits, strict=True)), qrels)


def has_relevant(relevance: Mapping[str, int]) -> bool:
    """Whether a document is relevant; queries without one have no recall and count for nobody."""
    return any(grade > 0 for grade in relevance.values())


def score_run(run: Run, qrels: Qrels) -> RetrievalScores:
    """Scores a run over all judged queries, those it lacks included. Order within a query is by rank.

    Raises:
        LratError: There are no relevant documents at all.
    """
    import pytrec_eval

    judged = {query_id: dict(relevance) for query_id, relevance in qrels.items() if has_relevant(relevance)}
    if not judged:
        raise LratError("Qrels: expected at least one query with a relevant document, found none.")
    evaluator = pytrec_eval.RelevanceEvaluator(judged, {"recall.1,5,10", "ndcg_cut.10", "recip_rank"})
    # trec_eval orders by score and breaks ties by docid; scores made of ranks keep our order.
    measured = evaluator.evaluate(
        {query_id: {hit.docid: -float(hit.rank) for hit in hits[:DEPTH]} for query_id, hits in run.items() if hits}
    )
    return RetrievalScores(
        {
            query_id: {ours: measured.get(query_id, {}).get(theirs, 0.0) for ours, theirs in METRICS.items()}
            for query_id in judged
        },
        run,
    )


def trec_run(run: Run, system: str) -> str:
    """A run in TREC format: `query_id Q0 docid rank score system`, a line a hit."""
    return "".join(
        f"{query_id} Q0 {hit.docid} {hit.rank} {hit.score:.6f} {system}\n"
        for query_id, hits in run.items()
        for hit in hits
    )
