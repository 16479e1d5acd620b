"""Reciprocal rank fusion, worked by hand."""

import pytest

from lrat_hub.errors import LratError
from lrat_hub.retrieval import Hit
from lrat_hub.retrieval.fusion import FusionRetriever

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
