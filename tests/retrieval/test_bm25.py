"""BM25: ties, streaming, and files that bm25s itself reads."""

import numpy as np
import pytest

from lrat_hub.errors import LratError
from lrat_hub.retrieval.bm25 import STOPWORDS, BM25Retriever, ranked, words
from lrat_hub.schema import Document


def test_equal_scores_are_ordered_by_place_in_the_corpus_and_unknown_words_find_nothing():
    retriever = BM25Retriever([Document(str(number), "", "same words") for number in range(30)])
    found = retriever.search(["same", "other", ""], k=12)
    assert [hit.docid for hit in found[0]] == [str(number) for number in range(12)]
    assert [hit.rank for hit in found[0]] == list(range(1, 13))
    assert found[1:] == [[], []]


def test_searches_that_mean_nothing_are_refused():
    retriever = BM25Retriever([Document("1", "", "same words")])
    for queries, k, message in (
        ("same", 1, "expected a list of queries, found one text"),
        (["same"], -1, "expected a number of results of 0 or more, found -1"),
        (["same", None], 1, "expected queries that are texts, found None as number 2"),
    ):
        with pytest.raises(LratError, match=message):
            retriever.search(queries, k=k)
    assert retriever.search(["same"], 0) == [[]]


def test_ranking_cuts_ties_at_the_kth_place_by_place():
    assert [hit.docid for hit in ranked("abcd", np.array([1.0, 2.0, 1.0, 1.0]), 2)] == ["b", "a"]


def test_streaming_the_corpus_gives_the_index_that_bm25s_gives_of_lists(documents):
    import bm25s

    reference = bm25s.BM25()
    contents = [document.content for document in documents]
    reference.index(bm25s.tokenize(contents, stopwords=STOPWORDS, show_progress=False), show_progress=False)
    queries = [" ".join(document.text.split()[:3]) for document in documents[:50]]
    for query, hits in zip(queries, BM25Retriever(iter(documents)).search(queries, k=20), strict=True):
        expected = ranked([doc.docid for doc in documents], reference.get_scores(query.split()), 20, above=0.0)
        assert hits == expected


def test_the_parameters_reach_bm25s(documents):
    default, flat = BM25Retriever(documents), BM25Retriever(documents, k1=0.9, b=0.0)
    assert default.search(["kabe"], 3) != flat.search(["kabe"], 3)


@pytest.mark.parametrize("texts", [[], ["", "of the"]])
def test_a_corpus_without_words_is_refused(texts):
    with pytest.raises(LratError, match=f"found none among {len(texts)}"):
        BM25Retriever([Document(str(place), "", text) for place, text in enumerate(texts)])


def test_saved_files_serve_the_same_memory_mapped_and_bm25s_reads_them_with_their_docids(documents, tmp_path):
    from bm25s.hf import BM25HF

    retriever = BM25Retriever(documents)
    retriever.save(tmp_path)
    docids = [document.docid for document in documents]
    queries = ["kabe lodo", "mifi", "rast rast"]
    for mmap in (True, False):
        assert BM25Retriever.load(tmp_path, docids, mmap=mmap).search(queries, 10) == retriever.search(queries, 10)
    assert not list(tmp_path.glob("*.pkl"))
    plain = BM25HF.load(tmp_path, mmap=True, load_corpus=True, show_progress=False)
    found, _ = plain.retrieve([["kabe", "lodo"]], k=1, show_progress=False)
    assert found[0][0] == {"docid": retriever.search(["kabe lodo"], 1)[0][0].docid}


def test_damaged_files_and_other_numbers_of_documents_are_refused(documents, tmp_path):
    BM25Retriever(documents).save(tmp_path)
    with pytest.raises(LratError, match="expected 1 documents, found 400"):
        BM25Retriever.load(tmp_path, ["d0"])
    scores = tmp_path / "data.csc.index.npy"
    scores.write_bytes(scores.read_bytes()[:1000])
    with pytest.raises(LratError, match="Build it again"):
        BM25Retriever.load(tmp_path, [document.docid for document in documents])


# castorini/pyserini#1251: "Top-k retrieval from bm25 maybe empty".
@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("un caf\u00e9 noir", "cafe\u0301"), ("un cafe\u0301 noir", "CAF\u00c9"), ("Zu\u0308rich", "Z\u00fcrich"),
        ("हिन्दी भाषा", "भाषा"), ("தமிழ் மொழி", "மொழி"), ("שָׁלוֹם עולם", "שָׁלוֹם"),
    ],
)  # fmt: skip
def test_words_with_accents_and_vowel_signs_are_found_however_unicode_writes_them(text, query):
    retriever = BM25Retriever([Document("0", "", "another text"), Document("1", "", text)])
    (hits,) = retriever.search([query], 2)
    assert [hit.docid for hit in hits] == ["1"]


# xhluca/bm25s#127: a shared word scored 0 for one of two documents, and an empty token stood in the vocabulary.
def test_documents_that_share_a_word_share_its_score():
    texts = ["foo", "dog", "baz", "quick god", "quick fox"]
    (hits,) = BM25Retriever([Document(str(row), "", text) for row, text in enumerate(texts)]).search(["quick"], 99)
    assert [hit.docid for hit in hits] == ["3", "4"]
    assert hits[0].score == hits[1].score > 0


def test_texts_without_such_signs_are_split_as_bm25s_splits_them(documents):
    import re

    texts = [
        *(document.content for document in documents),
        "naïve A1 b_c x-y don't 李白 的诗 ＡＢ Straße ﬁn 3.14 _ __",
    ]
    for text in texts:
        assert words(text) == re.findall(r"(?u)\b\w\w+\b", text)
