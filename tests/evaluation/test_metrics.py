"""Metrics over the full query set, and run files."""

from pathlib import Path

import numpy as np
import pytest
import pytrec_eval

from lrat_hub import evaluate_retrieval
from lrat_hub.errors import LratError
from lrat_hub.evaluation.metrics import ALL_METRICS, metrics_to, score_run
from lrat_hub.evaluation.run_files import read_run, trec_run
from lrat_hub.retrieval import Hit
from lrat_hub.retrieval.bm25 import BM25Retriever
from lrat_hub.schema import Document
from tests.synthetic import run_of_known_recall

JUDGEMENTS = Path(__file__).parents[3] / "shared" / "data" / "lrat_release" / "qrel_evidence.txt"


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


def by_definition(ranked, relevant, metric):
    """The metrics as textbooks have them."""
    name, _, k = metric.partition("@")
    top = ranked[: int(k)] if k else ranked
    gains = [docid in relevant for docid in top]
    first = gains.index(True) + 1 if any(gains) else np.inf
    if name == "ndcg":
        best = sum(1 / np.log2(rank + 1) for rank in range(1, min(len(relevant), int(k)) + 1))
        return sum(gain / np.log2(rank + 1) for rank, gain in enumerate(gains, start=1)) / best
    precisions = [sum(gains[:rank]) / rank for rank, gain in enumerate(gains, start=1) if gain]
    return {"recall": sum(gains) / len(relevant), "success": float(any(gains)), "mrr": 1 / first,
            "map": sum(precisions) / len(relevant)}[name]  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_metrics_agree_with_trec_eval_and_with_their_definitions(seed, tmp_path):
    """On random runs with ties, missing and unknown queries, and unjudged documents."""
    rng = np.random.default_rng(seed)
    docids = [f"d{number}" for number in range(1_500)]
    qrels, scores = {}, {}
    for query in map(str, range(30)):
        judged = rng.choice(docids, 40, replace=False)
        qrels[query] = {docid: int(rng.integers(0, 2)) for docid in judged} | {str(judged[0]): 1}
        if rng.random() < 0.8:
            found = rng.choice(docids, int(rng.integers(1, 1_200)), replace=False)
            scores[query] = {str(docid): float(np.round(rng.normal(), 1)) for docid in found}
    scores["unknown"] = {"d1": 1.0}
    path = tmp_path / "run.trec"
    path.write_text("".join(
        f"{query} Q0 {docid} 0 {score} random\n" for query, found in scores.items() for docid, score in found.items()
    ))  # fmt: skip
    system, run = read_run(path)
    assert system == "random"
    ours = score_run(run, qrels, metrics=ALL_METRICS)
    measures = {"recall.1,5,10,100,1000", "ndcg_cut.10", "success.1,5,10", "recip_rank", "map"}
    theirs = pytrec_eval.RelevanceEvaluator(qrels, measures).evaluate(scores)
    names = {"ndcg@10": "ndcg_cut_10", "mrr": "recip_rank", "map": "map"}
    assert set(ours.per_query) == set(qrels) > set(theirs)
    for query, values in ours.per_query.items():
        relevant = {docid for docid, grade in qrels[query].items() if grade}
        ranked = [hit.docid for hit in run.get(query, [])]
        for metric, value in values.items():
            assert value == pytest.approx(by_definition(ranked, relevant, metric))
            if metric != "mrr@10":
                # trec_eval itself on the scores with their ties; it leaves missing queries out.
                assert value == theirs.get(query, {}).get(names.get(metric, metric.replace("@", "_")), 0.0)


def test_shallow_runs_are_not_asked_for_deep_metrics():
    assert metrics_to(1_000) == ALL_METRICS
    assert {"recall@1000", "recall@100"}.isdisjoint(metrics_to(50))


def test_both_readings_of_evidence_recall_on_runs_of_known_recall():
    """Any evidence found, and the share of it: exactly."""
    rng = np.random.default_rng(0)
    require_known_recall(
        {str(query): {f"e{n}": 1 for n in range(rng.integers(1, 12))} | {"no": 0} for query in range(200)}
    )


@pytest.mark.skipif(not JUDGEMENTS.exists(), reason="the released judgements are not beside the checkout")
def test_both_readings_of_evidence_recall_on_the_real_judgements():
    real: dict[str, dict[str, int]] = {}
    for line in JUDGEMENTS.read_text().splitlines():
        query, _, docid, grade = line.split()
        real.setdefault(query, {})[docid] = int(grade)
    assert (len(real), sum(map(len, real.values()))) == (830, 5_064)
    require_known_recall(real)


def require_known_recall(qrels):
    """Runs that are made to have a known recall are scored with exactly that."""
    for seed in range(3):
        made = run_of_known_recall(qrels, seed=seed)
        scores = score_run({query: hits(*found) for query, found in made.found.items()}, qrels, metrics=ALL_METRICS)
        values = scores.values("recall@1000")
        assert len(values) == len(qrels)
        assert scores.mean("recall@1000") == pytest.approx(float(made.share), rel=1e-12)
        assert sum(value > 0 for value in values.values()) / len(values) == float(made.any)


def test_run_files_come_back_as_they_were_and_trec_eval_orders_them_alike(tmp_path):
    """Scores that tie, also in single precision, are written so that docids don't decide."""
    run = {"q": [Hit("a", 0.5, 1), Hit("z", 0.5, 2), Hit("b", 0.5 - 1e-12, 3), Hit("m", 0.25, 4)]}
    path = tmp_path / "run.trec"
    path.write_text(trec_run(run, "my system"))
    assert path.read_text().splitlines()[0] == "q Q0 a 1 0.5 my_system"
    _, back = read_run(path)
    assert [hit.docid for hit in back["q"]] == ["a", "z", "b", "m"]
    assert [hit.score for hit in back["q"]] == pytest.approx([0.5, 0.5, 0.5, 0.25])
    scores = {hit.docid: hit.score for hit in back["q"]}
    assert (
        pytrec_eval.RelevanceEvaluator({"q": {"a": 1}}, {"recip_rank"}).evaluate({"q": scores})["q"]["recip_rank"] == 1
    )


@pytest.mark.parametrize(
    ("text", "found"),
    [("", "no line"), ("q a 1.0", ":1: expected"), ("q Q0 a 1 x s", ":1: exp"), ("q Q0 a 1 nan s", ":1: exp"),
     ("q Q0 a 1 2 s\n\nq Q0 a 2 1 s", ":3: expected a document once")],
)  # fmt: skip
def test_damaged_run_files_are_refused_by_line(text, found, tmp_path):
    path = tmp_path / "run.trec"
    path.write_text(text)
    with pytest.raises(LratError, match=found):
        read_run(path)
    with pytest.raises(LratError, match="Check the path"):
        read_run(tmp_path / "none.trec")


def test_scores_are_shown_as_a_table_of_means_whatever_the_number_of_queries():
    run = {f"q{number}": hits("a") for number in range(500)}
    scores = score_run(run, {query_id: {"a": 1, "b": 1} for query_id in run})
    assert repr(scores).splitlines()[:2] == ["RetrievalScores of 500 queries", "recall@1   0.500"]
    assert len(repr(scores).splitlines()) == 1 + len(scores.metrics)


# embeddings-benchmark/mteb#3030 (NaN, nDCG above 1), cvangysel/pytrec_eval#50 and castorini/anserini#476 (twice).
@pytest.mark.parametrize(
    ("hits", "message"),
    [
        ([Hit("a", 2.0, 1), Hit("b", 1.0, 2), Hit("a", 0.5, 3)], "each document once for query 'q', found 'a' again"),
        ([Hit("b", 1.0, 1), Hit("a", 1.0, 1)], "each rank once for query 'q', found 1 again"),
        ([Hit("a", float("nan"), 1)], "found NaN"),
    ],
)
def test_runs_that_list_a_document_twice_or_score_it_with_nan_are_refused(hits, message):
    with pytest.raises(LratError, match=message):
        score_run({"q": hits}, {"q": {"a": 1}})


# embeddings-benchmark/mteb#5376: the order of a mapping decided between documents whose scores tie.
def test_equal_scores_are_scored_in_the_order_of_their_ranks():
    first = [Hit("a", 1.0, 1), Hit("b", 1.0, 2)]
    for hits in (first, first[::-1]):
        assert score_run({"q": hits}, {"q": {"a": 1}}).mean("mrr@10") == 1.0
        assert score_run({"q": hits}, {"q": {"b": 1}}).mean("mrr@10") == 0.5
