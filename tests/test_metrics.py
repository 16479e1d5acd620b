"""Metrics over the full query set."""

import numpy as np
import pytest

from lrat_hub import evaluate_retrieval
from lrat_hub.errors import LratError
from lrat_hub.metrics import score_run, trec_run
from lrat_hub.retrieval import Hit
from lrat_hub.retrieval.bm25 import BM25Retriever
from lrat_hub.schema import Document


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
