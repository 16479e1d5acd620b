"""Dense retrieval: prompts, similarity, and what is refused."""

import numpy as np
import pytest

from lrat_hub.errors import LratError
from lrat_hub.retrieval.dense import DenseRetriever, encode_documents
from lrat_hub.schema import Document


@pytest.fixture
def own_model(model_folder):
    """A model that the test may change."""
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(model_folder), device="cpu")


def test_a_document_is_found_by_its_text_and_equal_ones_in_the_order_of_the_corpus(model, documents):
    found = DenseRetriever(model, iter(documents)).search([documents[18].text, documents[0].text], k=5)
    assert [hit.docid for hit in found[0][:2]] == ["d18", "d19"]  # d19 has the same text
    assert found[1][0].docid == "d0"
    assert found[0][0].score == pytest.approx(1.0, abs=1e-5)
    assert DenseRetriever(model, documents[:3]).search([], k=5) == []


def test_prompts_are_put_before_queries_and_documents(own_model, documents):
    own_model.prompts = {"query": "kabe ", "document": "lodo "}
    vectors = encode_documents(own_model, documents[:1])
    assert np.allclose(vectors, own_model.encode([f"lodo {documents[0].text}"], normalize_embeddings=True), atol=1e-6)
    score = DenseRetriever(own_model, documents[:1]).search(["mifi"], 1)[0][0].score
    assert score == pytest.approx(
        float(vectors[0] @ own_model.encode("kabe mifi", normalize_embeddings=True)), abs=1e-6
    )


def test_a_model_of_dot_products_keeps_the_lengths_of_its_vectors(own_model, documents):
    own_model.similarity_fn_name = "dot"
    query, vector = own_model.encode("kabe"), own_model.encode(documents[0].text)
    [[hit]] = DenseRetriever(own_model, documents[:1]).search(["kabe"], 1)
    assert hit.score == pytest.approx(float(query @ vector), rel=1e-5)
    own_model.similarity_fn_name = "euclidean"
    with pytest.raises(LratError, match="cosine or dot product, found euclidean"):
        DenseRetriever(own_model, documents[:1])


@pytest.mark.parametrize(("half", "error"), [("bfloat16", 2e-2), ("half", 2e-3)])
def test_a_model_in_16_bits_gives_nearly_the_same_vectors_of_length_one(model, own_model, documents, half, error):
    """bfloat16 has three digits: lengths that were computed in it would be off by as much, and so would scores."""
    getattr(own_model, half)()
    vectors, exact = encode_documents(own_model, documents), encode_documents(model, documents)
    assert vectors.dtype == np.float32
    assert np.abs(np.linalg.norm(vectors, axis=1) - 1).max() < 1e-6
    assert 0 < np.abs(vectors - exact).max() < error
    own_model.similarity_fn_name = "dot"
    assert np.linalg.norm(encode_documents(own_model, documents[:1])) != pytest.approx(1, abs=1e-3)


def test_vectors_that_are_not_finite_are_refused_with_a_document_that_has_one(own_model):
    import torch

    with torch.no_grad():
        own_model[0].auto_model.embeddings.word_embeddings.weight[5] = float("nan")
    with pytest.raises(LratError, match=r"others for 1 documents \(second"):
        DenseRetriever(own_model, [Document("first", "", "lodo"), Document("second", "", "kabe")])


@pytest.mark.parametrize(("value", "name"), [(float("nan"), "NaN"), (float("inf"), "")])
def test_queries_are_checked_as_documents_are(own_model, value, name):
    import torch

    retriever = DenseRetriever(own_model, [Document("first", "", "lodo")])
    with torch.no_grad():
        own_model[0].auto_model.embeddings.word_embeddings.weight[5] = value
    assert retriever.search(["lodo"], 1)[0][0].docid == "first"
    with pytest.raises(LratError, match=rf"others for 1 queries \('kabe': {name}"):
        retriever.search(["lodo", "kabe"], 1)


def test_what_is_no_text_is_refused_before_it_is_encoded(own_model):
    retriever = DenseRetriever(own_model, [Document("first", "", "lodo")])
    for wrong in (None, 7, ["lodo"]):
        with pytest.raises(LratError, match=r"expected queries that are texts, found .* as number 2"):
            retriever.search(["lodo", wrong], 1)  # type: ignore[list-item]


def test_an_empty_corpus_is_refused(model):
    with pytest.raises(LratError, match="at least one document"):
        DenseRetriever(model, [])
