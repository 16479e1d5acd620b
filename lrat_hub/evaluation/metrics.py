"""Retrieval metrics by trec_eval's binding, per query and over the full query set."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lrat_hub.errors import LratError
from lrat_hub.ledger.joins import match_ids
from lrat_hub.retrieval import Hit, Retriever

METRICS = ("recall@1", "recall@5", "recall@10", "ndcg@10", "mrr@10")
"""What a first look takes, at ten results a query."""

ALL_METRICS = (*METRICS, "recall@100", "recall@1000", "success@1", "success@5", "success@10", "mrr", "map")
"""What a full evaluation takes. Success@k asks whether any relevant document is among the first k."""

DEPTH = 1_000
"""Results a query of a full evaluation; `mrr` and `map` are over all of them."""

_MEASURES = {"recall": "recall", "success": "success", "ndcg": "ndcg_cut", "mrr": "recip_rank", "map": "map"}
"""Our names to trec_eval's."""

Qrels = Mapping[str, Mapping[str, int]]
Run = Mapping[str, Sequence[Hit]]

Values = Mapping[str, Mapping[str, float]]
"""Metric to what it was measured on (a query, a search, a trajectory, a pair) to its value."""


@dataclass(frozen=True, repr=False)
class RetrievalScores:
    """Scores of one system.

    Args:
        per_query: Query id to metric to value, for every judged query; one without results scores 0.
        run: What was scored: query id to its hits.
    """

    per_query: dict[str, dict[str, float]]
    run: Run

    @property
    def metrics(self) -> tuple[str, ...]:
        return tuple(next(iter(self.per_query.values())))

    def mean(self, metric: str) -> float:
        return sum(scores[metric] for scores in self.per_query.values()) / len(self.per_query)

    @property
    def means(self) -> dict[str, float]:
        return {metric: self.mean(metric) for metric in self.metrics}

    def __repr__(self) -> str:
        """The means as a table: what is looked at first, whatever the number of queries."""
        if not self.per_query:
            return "RetrievalScores of no queries"
        width = max(map(len, self.metrics))
        lines = [f"{metric:<{width}}  {mean:.3f}" for metric, mean in self.means.items()]
        return "\n".join([f"RetrievalScores of {len(self.per_query)} queries", *lines])

    def values(self, metric: str) -> dict[str, float]:
        """Query id to the metric's value: what intervals and tests take."""
        return {query_id: scores[metric] for query_id, scores in self.per_query.items()}


def metrics_to(depth: int) -> tuple[str, ...]:
    """Those of `ALL_METRICS` that `depth` results a query are enough for."""
    return tuple(metric for metric in ALL_METRICS if (cutoff(metric) or 0) <= depth)


def cutoff(metric: str) -> int | None:
    """How many results a metric looks at; None for all there are."""
    _, at, number = metric.partition("@")
    return int(number) if at else None


def evaluate_retrieval(
    retriever: Retriever, queries: Mapping[str, str], qrels: Qrels, *, metrics: Sequence[str] = METRICS
) -> RetrievalScores:
    """Searches every judged query as deep as the metrics ask, and scores the results.

    Args:
        queries: Query id to text.
        qrels: Query id to docid to relevance; above 0 is relevant.
        metrics: Of `ALL_METRICS`, or such with another cutoff. `mrr` and `map` without one ask for 1,000 results.

    Raises:
        LratError: There are no judgements, or a judged query has no text.
    """
    depth = max(cutoff(metric) or DEPTH for metric in metrics)
    return score_run(search_all(retriever, queries, qrels, depth), qrels, metrics=metrics)


def search_all(retriever: Retriever, queries: Mapping[str, str], judged: Sequence[str] | Qrels, depth: int) -> Run:
    """The results of all judged queries.

    Raises:
        LratError: One of them has no text.
    """
    ids = list(judged)
    join = match_ids(ids, queries, wanted_name="judged queries", given_name="queries", what="Qrels")
    if not join.is_complete:
        raise LratError(f"Queries: expected a text for each judged query; {join}.")
    hits = retriever.search([queries[query_id] for query_id in ids], depth)
    return dict(zip(ids, hits, strict=True))


def has_relevant(relevance: Mapping[str, int]) -> bool:
    """Whether a document is relevant; queries without one have no recall and count for nobody."""
    return any(grade > 0 for grade in relevance.values())


def score_run(run: Run, qrels: Qrels, *, metrics: Sequence[str] = METRICS) -> RetrievalScores:
    """Scores a run over all judged queries, those it lacks included. Order within a query is by rank.

    What nobody has judged counts as not relevant, and queries of the run that nobody has judged count for nothing.

    Raises:
        LratError: There are no relevant documents at all, or the run is none: a document or a rank comes twice for a
            query, or a score is not a number.
    """
    import pytrec_eval

    for query_id, hits in run.items():
        _check_hits(query_id, hits)

    judged = {query_id: dict(relevance) for query_id, relevance in qrels.items() if has_relevant(relevance)}
    if not judged:
        raise LratError("Qrels: expected at least one query with a relevant document, found none.")
    evaluator = pytrec_eval.RelevanceEvaluator(judged, {_measure(metric) for metric in metrics})
    # trec_eval orders by score and breaks ties by docid; scores made of ranks keep our order.
    measured = evaluator.evaluate(
        {query_id: {hit.docid: -float(hit.rank) for hit in hits} for query_id, hits in run.items() if hits}
    )
    return RetrievalScores(
        {query_id: {name: _value(name, measured.get(query_id, {})) for name in metrics} for query_id in judged}, run
    )


def _check_hits(query_id: str, hits: Sequence[Hit]) -> None:
    """trec_eval's binding takes a mapping, where the last of two hits of a document would win."""
    for what, values in (("document", [hit.docid for hit in hits]), ("rank", [hit.rank for hit in hits])):
        if len(set(values)) < len(values):
            repeated = next(value for index, value in enumerate(values) if value in values[:index])
            raise LratError(
                f"Run: expected each {what} once for query {query_id!r}, found {repeated!r} again. Does the retriever "
                "index a document several times?"
            )
    if any(math.isnan(hit.score) for hit in hits):
        raise LratError(f"Run: expected scores that are numbers for query {query_id!r}, found NaN. Fix the retriever.")


def _measure(metric: str) -> str:
    name, _, number = metric.partition("@")
    # trec_eval has no reciprocal rank with a cutoff: see `_value`.
    return f"{_MEASURES[name]}.{number}" if number and name != "mrr" else _MEASURES[name]


def _value(metric: str, measured: Mapping[str, float]) -> float:
    value = measured.get(_measure(metric).replace(".", "_"), 0.0)
    if metric.startswith("mrr@"):
        # The first relevant document is within the cutoff, or it does not count.
        return value if value * (cutoff(metric) or 1) > 1 - 1e-9 else 0.0
    return value
