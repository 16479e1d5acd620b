"""Controls: content without titles, titles without content."""

import pytest
from datasets import Dataset

from lrat_hub.documents import Documents
from lrat_hub.errors import LratError
from lrat_hub.evaluation.controls import (
    CHECK_METRIC,
    bounded_check,
    content_check,
    sentence_query,
    title_check,
)
from lrat_hub.retrieval.bm25 import BM25Retriever
from lrat_hub.schema import Document


def corpus(*rows):
    return Documents(Dataset.from_list([{"docid": d, "title": t, "text": x} for d, t, x in rows]))


def texts(count):
    """Passages that share a title and a first sentence; only the last tells them apart."""
    return [
        (f"d{n}", "The Same", f"All begin alike. The same tower number{n} was built by mason{n} of stone.")
        for n in range(count)
    ]


def test_a_sentence_loses_its_title_whatever_case_and_accents():
    document = Document(
        "d", "Amélie (2001 film)", "It is a film. The AMELIE of 2001 was shot by Jeunet in Paris, with Tautou's help."
    )
    assert sentence_query(document) == "The of was shot by Jeunet in Paris with Tautou help"
    assert sentence_query(Document("d", "Paris", "One sentence is the whole of this passage here.")) is None
    assert sentence_query(Document("d", "Tall Tower", "It stands. The tall tower is tall.")) is None


def test_content_is_found_by_who_reads_texts_and_not_by_who_reads_titles():
    documents = corpus(*texts(40))
    check = content_check(documents, passages=30)
    assert len(check.queries) == 30
    assert content_check(documents, passages=30).queries == check.queries
    assert content_check(documents, passages=30, seed=1).queries != check.queries
    assert len(content_check(documents).queries) == 40
    reads_texts = check.score(BM25Retriever(documents.in_order()))
    reads_titles = check.score(BM25Retriever(Document(row.docid, "", row.title) for row in documents.in_order()))
    assert reads_texts.mean(CHECK_METRIC) == 1
    assert reads_titles.mean(CHECK_METRIC) == 0
    forgotten = check.difference(reads_titles, reads_texts, CHECK_METRIC)
    assert forgotten.high < 0
    assert forgotten.p_value < 0.01
    with pytest.raises(LratError, match="none among 1"):
        content_check(corpus(("d", "Title", "One sentence.")))


def test_a_bounded_check_looks_in_a_part_of_the_corpus_that_has_all_it_looks_for():
    documents = corpus(*texts(40))
    check = bounded_check(documents, passages=5, corpus=12)
    assert (len(check.queries), len(check.documents)) == (5, 12)
    assert set(check.qrels) <= set(check.documents)
    assert check.queries == content_check(documents, passages=5).queries
    assert list(bounded_check(documents, passages=5, corpus=12).documents) == list(check.documents)
    assert len(bounded_check(documents, passages=20, corpus=12).documents) == 20
    assert len(bounded_check(documents).documents) == 40
    assert check.score(BM25Retriever(check.documents.in_order())).mean(CHECK_METRIC) == 1


def test_titles_become_queries_of_each_relevant_document():
    documents = corpus(("a", "Ada", "x"), ("b", "Bob", "y"), ("c", "", "z"))
    check = content_check(corpus(*texts(3)))
    questions = type(check)(documents, {"q": "who"}, {"q": {"a": 1, "b": 0, "c": 1, "gone": 1}}, {"q": "question"})
    titles = title_check(questions)
    assert titles.queries == {"q/a": "Ada"}
    assert titles.qrels == {"q/a": {"a": 1}}
    assert titles.clusters == {"q/a": "question"}
