"""What the trainer is given: rows joined by id, ids for the loss, and what is refused."""

import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from lrat_hub.errors import LratError
from lrat_hub.fitting import PairCollator, document_number, fit_retriever, training_view
from lrat_hub.schema import Document, Pair
from lrat_hub.settings import FitSettings
from lrat_hub.tables import document_table, pair_table, triplet_table

DOCUMENTS = {name: Document(name, name.upper(), f"text of {name}") for name in "abcdef"}


def pair(query, positive, negatives, weight=1.0):
    return Pair(
        pair_id=f"{query}-{positive}", trajectory_id="t", query_id="t", search_turn=0, browse_turn=1, question="Q?",
        query=query, positive_id=positive, negative_ids=tuple(negatives), negative_kinds=("list",) * len(negatives),
        reasoning="", reasoning_length=0, weight=weight,
    )  # fmt: skip


@pytest.fixture
def model():
    words = {word: index for index, word in enumerate(["[UNK]", "text", "of", *"abcdef", *"ABCDEF", "one", "two"])}
    tokenizer = Tokenizer(WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    torch.manual_seed(0)
    return SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=8)], device="cpu")


def test_rows_have_texts_the_weight_and_the_ids_in_column_order():
    pairs = pair_table([pair("one", "a", "bcd", 0.5), pair("two", "b", "", None), pair("three", "c", "d", 1.5)])
    view = training_view(pairs, DOCUMENTS, num_negatives=2)
    assert len(view) == 2  # without a weight a pair is not trained on
    row = view[0]
    assert list(row) == ["anchor", "positive", "negative_1", "negative_2", "label", "document_ids"]
    assert (row["anchor"], row["positive"], row["label"]) == ("one", "A\ntext of a", 0.5)
    texts = [row["positive"], row["negative_1"], row["negative_2"]]
    assert row["document_ids"] == [document_number(text[-1]) for text in texts]
    assert view[0] == view[0] == training_view(pairs, DOCUMENTS, num_negatives=2)[0]


def test_small_pools_are_filled_with_the_positive_which_the_loss_then_masks(model):
    view = training_view(pair_table([pair("one", "a", "b"), pair("two", "c", "")]), DOCUMENTS, num_negatives=2)
    assert view[0]["document_ids"][2] == document_number("a")
    assert view[1]["document_ids"] == [document_number("c")] * 3
    batch = PairCollator(preprocess_fn=model.preprocess)([view[0], view[1]])
    assert batch["negative_2_document_ids"].tolist() == [document_number("a"), document_number("c")]
    assert batch["label"].tolist() == [1.0, 1.0]


def test_training_pulls_queries_to_their_positives(model):
    pairs = pair_table([pair("one", "a", "bc"), pair("two", "d", "ef")])
    view = training_view(pairs, DOCUMENTS, num_negatives=2)

    def margin():
        texts = [DOCUMENTS[name].content for name in "ab"]
        scores = model.similarity(model.encode(["one"]), model.encode(texts))[0]
        return float(scores[0] - scores[1])

    before = margin()
    log = fit_retriever(model, view, FitSettings(max_steps=20, batch_size=2, num_negatives=2, learning_rate=0.05))
    assert margin() > before + 0.2
    assert log[-1]["loss"] < log[0]["loss"]


@pytest.mark.parametrize(
    ("weights", "message"),
    [([None, None], "expected some with a weight"), ([0.0, 0.0], "not all 0"), ([-1.0, 1.0], "0 or more"),
     ([float("nan"), 1.0], "finite")],
)  # fmt: skip
def test_weights_that_mean_nothing_are_refused(weights, message):
    pairs = pair_table([pair("one", "a", "b", weights[0]), pair("two", "c", "d", weights[1])])
    with pytest.raises(LratError, match=message):
        training_view(pairs, DOCUMENTS, num_negatives=1)


def test_a_corpus_without_the_pairs_documents_is_refused():
    with pytest.raises(LratError, match=r"expected the 3 documents of the pairs, found 1; missing are x, y"):
        training_view(pair_table([pair("one", "a", ["x", "y"])]), DOCUMENTS, num_negatives=1)


def test_triplets_are_rows_for_the_plain_trainer_and_documents_stand_once():
    pairs = [pair("one", "a", "bcd", 0.5), pair("two", "b", "", 1.5), pair("three", "c", "d", 1.0)]
    triplets = triplet_table(pairs, DOCUMENTS, num_negatives=2)
    assert triplets.column_names == ["anchor", "positive", "negative_1", "negative_2", "label"]
    assert triplets["anchor"] == ["one", "three"]  # a pair without a negative would need one invented
    assert triplets[1]["negative_1"] == triplets[1]["negative_2"] == "D\ntext of d"
    assert triplets["label"] == [0.5, 1.0]
    assert document_table(pairs, DOCUMENTS)["docid"] == ["a", "b", "c", "d"]
