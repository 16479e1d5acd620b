"""A benchmark as a task of MTEB: its own evaluation comes to the figures that ours comes to."""

from dataclasses import replace

import pytest

from lrat_hub.evaluation.benchmark import Benchmark, mteb_task
from lrat_hub.hub.inputs import resolve
from lrat_hub.hub.refs import HubRef
from lrat_hub.retrieval.dense import DenseRetriever

mteb = pytest.importorskip("mteb", reason="needs the extra `mteb`")
pytestmark = pytest.mark.slow


def test_mteb_finds_what_we_find(published, model):
    corpus = resolve(published.corpus, repo_type="dataset")
    whole = Benchmark.load(corpus, corpus, corpus)
    # By a third of its words, a document is found at times.
    parts = {query: " ".join(text.split()[: len(text.split()) // 3 + 1]) for query, text in whole.queries.items()}
    benchmark = replace(whole, queries=parts)
    task = mteb_task(benchmark, name="OurTask", source=HubRef.parse(published.corpus))
    result = mteb.evaluate(model, [task], cache=None, show_progress_bar=False, co2_tracker=False)
    [scores] = result.task_results[0].scores["test"]
    ours = benchmark.score(DenseRetriever(model, benchmark.documents.in_order()))
    assert 0 < ours.mean("ndcg@10") < 1
    for theirs, name in (("ndcg_at_10", "ndcg@10"), ("recall_at_5", "recall@5"), ("mrr_at_10", "mrr@10")):
        assert scores[theirs] == pytest.approx(ours.mean(name), abs=1e-4), name
    assert task.metadata.dataset["revision"] == HubRef.parse(published.corpus).revision
