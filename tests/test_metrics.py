"""Metrics over the full query set, and intervals of paired differences."""

import numpy as np
import pytest

from lrat_hub import evaluate_retrieval
from lrat_hub.errors import LratError
from lrat_hub.metrics import score_run, trec_run
from lrat_hub.retrieval import Hit
from lrat_hub.retrieval.bm25 import BM25Retriever
from lrat_hub.schema import Document
from lrat_hub.significance import paired_interval


def hits(*docids):
    return [Hit(docid, 1.0, rank) for rank, docid in enumerate(docids, start=1)]


def test_scores_worked_by_hand_with_ties_in_the_order_of_ranks():
    run = {"q1": hits("z", "a", "y"), "q2": hits("a")}
    scores = score_run(run, {"q1": {"a": 1, "b": 1}, "q2": {"a": 1}})
    assert scores.per_query["q1"] == pytest.approx(
        {"recall@1": 0, "recall@5": 0.5, "recall@10": 0.5, "mrr@10": 0.5,
         "ndcg@10": (1 / np.log2(3)) / (1 + 1 / np.log2(3))}
    )  # fmt: skip
    assert scores.mean("recall@1") == 0.5


def test_queries_without_results_count_as_zero_and_depth_is_ten():
    run = {"q1": [], "q3": hits(*"bcdefghijk", "a")}
    scores = score_run(run, {"q1": {"a": 1}, "q2": {"a": 1}, "q3": {"a": 1}, "unjudged": {"a": 0}})
    assert set(scores.per_query) == {"q1", "q2", "q3"}
    assert all(value == 0 for metrics in scores.per_query.values() for value in metrics.values())


def test_queries_and_judgements_that_do_not_belong_together_are_refused():
    retriever = BM25Retriever([Document("a", "", "word")])
    with pytest.raises(LratError, match="don't belong together"):
        evaluate_retrieval(retriever, {"q1": "word"}, {"q2": {"a": 1}})
    with pytest.raises(LratError, match="at least one query with a relevant document"):
        score_run({}, {"q1": {"a": 0}})


def test_run_files_are_trec_lines():
    assert trec_run({"q": hits("a")}, "bm25") == "q Q0 a 1 1.000000 bm25\n"


def test_a_system_does_not_differ_from_itself_and_a_planted_difference_is_found():
    rng = np.random.default_rng(0)
    base = {str(query): float(rng.random() < 0.5) for query in range(400)}
    assert (paired_interval(base, base).low, paired_interval(base, base).high) == (0.0, 0.0)
    better = {query: max(score, float(rng.random() < 0.2)) for query, score in base.items()}
    interval = paired_interval(better, base)
    assert 0 < interval.low < interval.mean < interval.high
    assert interval.mean == pytest.approx(np.mean([better[query] - base[query] for query in base]))


def test_queries_of_one_question_are_resampled_together():
    """Copies of a query add no information: with whole clusters the interval stays as wide as without them."""
    rng = np.random.default_rng(1)
    base = {f"{query}": 0.0 for query in range(60)}
    system = {query: float(rng.random() < 0.3) for query in base}
    copies = [(query, f"{query}-{copy}") for query in base for copy in range(5)]
    clusters = {copy: query for query, copy in copies}
    alone = paired_interval(system, base)
    copied = paired_interval(
        {copy: system[query] for query, copy in copies}, {copy: base[query] for query, copy in copies}, clusters
    )
    assert copied.clusters == alone.clusters == 60
    assert copied.high - copied.low == pytest.approx(alone.high - alone.low, rel=0.1)
