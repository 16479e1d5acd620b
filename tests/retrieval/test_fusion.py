"""Reciprocal rank fusion, worked by hand, and what is ranked again."""

import numpy as np
import pytest

from lrat_hub.errors import LratError
from lrat_hub.retrieval import Hit
from lrat_hub.retrieval.fusion import FusionRetriever, RerankedRetriever
from lrat_hub.schema import Document

ORDER = "abcdefgh"


class Listed:
    """Finds the same documents for every query."""

    def __init__(self, name, docids, revision="1" * 40):
        self.name, self.revision, self._docids = name, revision, docids
        self.asked = []

    def search(self, queries, k):
        self.asked.append((list(queries), k))
        return [[Hit(docid, 1.0, rank) for rank, docid in enumerate(self._docids[:k], start=1)] for _ in queries]


def fused(*lists, k=10, **options):
    retriever = FusionRetriever([Listed(docids, docids) for docids in lists], ORDER.index, **options)
    return retriever.search(["query"], k)[0]


def test_scores_are_sums_of_reciprocal_ranks():
    hits = fused("abc", "bd")
    assert [(hit.docid, hit.rank) for hit in hits] == [("b", 1), ("a", 2), ("d", 3), ("c", 4)]
    assert [hit.score for hit in hits] == pytest.approx([1 / 62 + 1 / 61, 1 / 61, 1 / 62, 1 / 63])


def test_equal_scores_are_ordered_by_place_in_the_corpus_whatever_the_order_of_retrievers():
    assert [hit.docid for hit in fused("ba", "ab", "c")] == ["a", "b", "c"]
    assert [hit.docid for hit in fused("hg", "fe", k=3)] == ["f", "h", "e"]
    assert fused("abc", "cab", "bca") == fused("bca", "abc", "cab")


def test_deeper_lists_take_part_than_are_asked_for_and_all_queries_go_at_once():
    parts = [Listed("first", "abcdefgh"), Listed("second", "hgfedcba", revision=None)]
    retriever = FusionRetriever(parts, ORDER.index, depth=5)
    assert [len(hits) for hits in retriever.search(["one", "two"], k=2)] == [2, 2]
    retriever.search(["three"], k=7)
    assert parts[0].asked == parts[1].asked == [(["one", "two"], 5), (["three"], 7)]
    assert (retriever.name, retriever.revision) == ("first+second", None)


def test_one_retriever_is_no_fusion():
    with pytest.raises(LratError, match="found 1"):
        FusionRetriever([Listed("a", "a")], ORDER.index)


def test_retrievers_that_read_queries_differently_are_not_fused():
    reader = Listed("history", ["a"])
    reader.query_style = "history"
    with pytest.raises(LratError, match="in one style, found plain: plain, history: history"):
        FusionRetriever([Listed("plain", ["a"]), reader], ORDER.index)


class Scores:
    """A reranker of somebody's own."""

    def __init__(self, score):
        self.score = lambda query, documents: score(len(documents))


DOCUMENTS = {docid: Document(docid, "", f"text {docid}") for docid in ORDER}


def reranked(score, docids="abcd", **options):
    return RerankedRetriever(Listed("first", docids), Scores(score), DOCUMENTS, **options).search(["query"], 10)[0]


@pytest.mark.parametrize("kind", [list, np.float16, np.uint8, np.int64])
def test_scores_of_any_numbers_rank_highest_first(kind):
    given = [3, 0, 7, 3]
    hits = reranked(lambda count: given if kind is list else np.array(given, dtype=kind))
    assert [(hit.docid, hit.score) for hit in hits] == [("c", 7.0), ("a", 3.0), ("d", 3.0), ("b", 0.0)]


@pytest.mark.parametrize(
    ("score", "message"),
    [
        (lambda count: np.ones(count - 1), r"expected a score for each of 4 documents, found shape \(3,\)"),
        (lambda count: np.ones((count, 1)), r"found shape \(4, 1\)"),
        (lambda count: ["high"] * count, "expected numbers as scores, found"),
        (lambda count: np.array([1, 2, np.nan, 3]), "expected finite scores"),
    ],
)
def test_scores_that_are_not_one_a_document_are_refused(score, message):
    """One too few, and a document would be gone from every result."""
    with pytest.raises(LratError, match=message):
        reranked(score)


def test_what_can_not_be_ranked_again_is_refused():
    with pytest.raises(LratError, match="expected documents of the corpus, found 'z'"):
        reranked(np.ones, "abz")
    for model in ("me/reranker", None, object()):
        with pytest.raises(LratError, match="expected a CrossEncoder, a MultiVectorEncoder, or an object with score"):
            RerankedRetriever(Listed("first", "ab"), model, DOCUMENTS)


def test_no_more_than_its_depth_is_ranked_again_whatever_the_first_retriever_gives():
    first = Listed("first", "abcd")
    first.search = lambda queries, k: [[Hit(docid, 1.0, rank) for rank, docid in enumerate("abcd", start=1)]]
    hits = RerankedRetriever(first, Scores(np.arange), DOCUMENTS, depth=2).search(["query"], 10)[0]
    assert [hit.docid for hit in hits] == ["b", "a"]
