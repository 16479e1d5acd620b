"""What a search costs: counted in what models read and what indexes store, not guessed."""

import numpy as np
import pytest

from lrat_hub.evaluation.costs import MeasuredRetriever, SearchCost, cost_table, measured_how
from lrat_hub.evaluation.retrieval import Task, TaskComparison
from lrat_hub.evaluation.stages import stage_rows, stage_table, stages_of
from lrat_hub.retrieval import IndexSize, size_of
from lrat_hub.retrieval.bm25 import BM25Retriever
from lrat_hub.retrieval.dense import DenseRetriever
from lrat_hub.retrieval.fusion import FusionRetriever, RerankedRetriever
from lrat_hub.retrieval.settings import IndexSettings
from lrat_hub.retrieval.vectors import VectorIndex, build_index
from tests.fitting.small import DOCUMENTS, tiny_bert, tiny_reranker

QUERIES = ["text of a", "text", "one two a"]


class Served:
    """A retriever that says nothing of what it stores."""

    name, revision = "served", None

    def search(self, queries, k):
        return [[] for _ in queries]


@pytest.fixture(scope="module")
def bm25():
    return BM25Retriever(DOCUMENTS.values())


def cost_of(retriever, k=3):
    measured = MeasuredRetriever(retriever, documents=len(DOCUMENTS))
    results = measured.search(QUERIES, k)
    assert results == retriever.search(QUERIES, k)
    return measured.cost


def test_bm25_reads_no_tokens_and_stores_no_vectors(bm25, tmp_path):
    cost = cost_of(bm25)
    assert (cost.queries, cost.results, cost.tokens, cost.vectors) == (3, 3, 0, 0)
    assert cost.milliseconds > 0
    bm25.save(tmp_path)
    stored = sum(np.load(path).nbytes for path in tmp_path.glob("*.npy"))
    assert cost.num_bytes == stored > 0


def test_tokens_are_those_of_queries_and_of_the_pairs_that_are_ranked_again(bm25, tmp_path):
    from sentence_transformers import CrossEncoder, SentenceTransformer

    model = SentenceTransformer(str(tiny_bert(tmp_path / "bi")), device="cpu")
    dense = DenseRetriever(model, DOCUMENTS.values())
    cost = cost_of(dense)
    words = sum(len(model.tokenizer(query)["input_ids"]) for query in QUERIES)
    assert cost.tokens == pytest.approx(words / 3)
    assert (cost.vectors, cost.num_bytes) == (1, 6 * 16 * 4)

    reranker = CrossEncoder(str(tiny_reranker(tmp_path / "cross")), device="cpu")
    again = RerankedRetriever(bm25, reranker, DOCUMENTS, depth=2)
    read = sum(
        len(reranker.tokenizer(query, DOCUMENTS[hit.docid].content)["input_ids"])
        for query, hits in zip(QUERIES, bm25.search(QUERIES, 2), strict=True)
        for hit in hits
    )
    cost = cost_of(again, k=2)
    assert cost.tokens == pytest.approx(read / 3)
    assert size_of(again) == size_of(bm25)

    fused = FusionRetriever([bm25, dense], list(DOCUMENTS).index)
    assert size_of(fused) == IndexSize(6, size_of(bm25).num_bytes + 6 * 16 * 4)
    assert size_of(FusionRetriever([bm25, Served()], list(DOCUMENTS).index)) is None


def test_the_size_of_an_index_is_that_of_its_file(tmp_path):
    import faiss

    vectors = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
    for kind, width in (("flat", 4), ("flat", 2), ("hnsw", None)):
        given = vectors.astype(np.float16) if width == 2 else vectors
        index = build_index([given], IndexSettings(kind=kind))
        measured = VectorIndex(index, [str(number) for number in range(60)]).num_bytes
        if width:
            assert measured == 60 * 8 * width
        else:
            faiss.write_index(index, str(tmp_path / "index"))
            assert measured == (tmp_path / "index").stat().st_size


def test_what_is_not_known_is_said_and_not_taken_for_nothing(bm25):
    cost = cost_of(Served())
    assert (cost.tokens, cost.vectors, cost.num_bytes) == (None, None, None)
    assert list(cost.cells().values())[1:] == ["-", "-", "-"]
    both = cost_of(bm25) + cost
    assert (both.tokens, both.num_bytes) == (None, None)
    assert SearchCost.from_dict(both.to_dict() | {"system": "x"}) == both
    assert "3 queries at once with 3 results each" in measured_how({"a": cost, "b": both})
    assert measured_how({}) == ""


def test_stages_are_compared_with_what_they_rank_again():
    given = {"bm25": "bm25", "ns/m@" + "a" * 40: "ns/m@aaaaaaa", "bm25>20:ns/r": "bm25>20:ns/r"}
    retrievers = {text: name for text, name in given.items() if text != "bm25"}
    retrievers["ns/other>ns/r"] = "ns/other>ns/r"
    retrievers["ns/m@" + "a" * 40 + ">ns/r"] = "ns/m@aaaaaaa>ns/r"
    stages = stages_of(given, retrievers)
    assert stages == {"bm25>20:ns/r": "bm25", "ns/m@aaaaaaa>ns/r": "ns/m@aaaaaaa"}
    questions = [f"q{number}" for number in range(8)]
    values = {
        "bm25": {"ndcg@10": dict.fromkeys(questions, 0.25)},
        "bm25>20:ns/r": {"ndcg@10": dict.fromkeys(questions, 0.75)},
    }
    task = Task("evidence", "queries", lambda run: {}, {name: name for name in questions})
    comparison = TaskComparison(task, values)
    (row,) = stage_rows(comparison, {"bm25>20:ns/r": "bm25"})
    assert (row["system"], row["first_stage"], row["difference"], row["questions"]) == ("bm25>20:ns/r", "bm25", 0.5, 8)
    assert row["p_value"] < 0.05
    (shown,) = stage_table([row], ("ndcg@10",))
    assert shown["difference"].startswith("+0.500 [")
    assert stage_table([row], ("recall@5",)) == []
    cost = SearchCost(2.0, 8, 100, 12.5, 1, 4_000_000, "a device")
    (shown,) = cost_table({"bm25": cost, "gone": cost}, comparison)
    assert shown == {"system": "bm25", "ndcg@10": "0.250", "ms a query": "2", "tokens a query": "12.5",
                     "vectors a document": "1", "index, MB": "4"}  # fmt: skip


def test_a_document_can_have_several_vectors():
    retriever = Served()
    retriever.index_size = IndexSize(18, 18 * 16 * 2)
    assert cost_of(retriever).vectors == 3
