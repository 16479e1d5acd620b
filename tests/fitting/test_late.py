"""Fitting a late-interaction model: what a batch holds, what comes out, and what is refused."""

import pytest
import torch
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.multi_vector_encoder.scoring import mean_colbert_scores

from lrat_hub.encoders import cut_to, late_encoding_of, text_limits
from lrat_hub.errors import LratError
from lrat_hub.fitting import choose_settings, count_cut_texts, fit_retriever, summarise
from lrat_hub.fitting.late import late_collator, make_late_loss
from lrat_hub.losses import (
    CachedMultiVectorWeightedMultipleNegativesRankingLoss,
    MultiVectorWeightedMultipleNegativesRankingLoss,
)

from .small import DOCUMENTS, pair, rows_of, tiny_late

PAIRS = (pair("one a", "a", "bc"), pair("two b", "b", "", 2.0), pair("one d", "d", "e", 0.5))


def load(folder, **lengths):
    return MultiVectorEncoder(str(tiny_late(folder, **lengths)), device="cpu")


@pytest.fixture
def late(tmp_path):
    return load(tmp_path)


def test_texts_have_the_prompts_of_encode_and_their_own_lengths(tmp_path):
    late = load(tmp_path, document_length=4)
    late.prompts.update(query="query : ", document="of ")
    rows = rows_of(*PAIRS, query_length=3, document_length=6)
    batch = late_collator(late, rows, rows.settings)([rows.view()[row] for row in range(3)])
    for column, texts, encode in (
        ("positive", [DOCUMENTS[docid].content for docid in "abd"], late.encode_document),
        ("anchor", ["one a", "two b", "one d"], late.encode_query),
    ):
        features = {name.removeprefix(f"{column}_"): value for name, value in batch.items() if name.startswith(column)}
        assert features["input_ids"].shape[1] == {"positive": 4, "anchor": 3}[column]  # the model's own is shorter
        assert features["task"] == {"positive": "document", "anchor": "query"}[column]
        if column == "anchor":
            late[0].query_length = 3
        expected = encode(texts)
        late.eval()
        with torch.no_grad():
            found = late(dict(features), task=features["task"])
        for vectors, mask, of in zip(found["token_embeddings"], found["attention_mask"], expected, strict=True):
            torch.testing.assert_close(vectors[mask.bool()], of, atol=1e-5, rtol=0)


@pytest.mark.parametrize("more", [{}, {"mini_batch_size": 2}], ids=["plain", "cached"])
def test_training_ranks_positives_first_and_says_how_far_scores_moved(late, more):
    rows = rows_of(
        *(pair(f"one {docid}", docid, "def") for docid in "abc"),
        num_negatives=3, batch_size=3, max_steps=20, learning_rate=1e-2, **more,
    )  # fmt: skip
    assert "negatives per query: 3.0 of its own, 5.0 with its batch" in str(summarise(rows, rows.settings))
    fitted = fit_retriever(late, rows, rows.settings)
    assert fitted.model is late
    scores = late.similarity(
        late.encode_query(["one"]), late.encode_document([DOCUMENTS[docid].content for docid in "dafbec"])
    )
    assert {"dafbec"[place] for place in scores[0].argsort(descending=True)[:3]} == set("abc")
    moved = fitted.movement
    assert moved.scores
    assert not moved.unchanged
    assert moved.last_loss < moved.first_loss


def test_adapters_are_merged_and_lower_layers_frozen(late):
    before = {name: values.clone() for name, values in late.named_parameters()}
    rows = rows_of(*PAIRS, max_steps=3, learning_rate=1e-2, lora_rank=2)
    pytest.importorskip("peft")
    after = dict(fit_retriever(late, rows, rows.settings).model.named_parameters())
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert not any("embeddings" in name or "bias" in name for name in changed)
    rows = rows_of(*PAIRS, max_steps=3, learning_rate=1e-2, frozen_layers=1)
    fit_retriever(late, rows, rows.settings)
    frozen = [name for name, values in late.named_parameters() if not values.requires_grad]
    assert any("embeddings" in name for name in frozen)
    assert not any("layer.1" in name for name in frozen)


def test_settings_fit_the_kind_of_the_model(late):
    rows = rows_of(*PAIRS)
    settings, choices = choose_settings(late, rows.settings)
    assert settings.temperature == 1.0
    assert "MaxSim, a sum over the query's tokens" in str(choices[1])
    assert isinstance(make_late_loss(late, settings), MultiVectorWeightedMultipleNegativesRankingLoss)
    late.similarity_fn_name = "meanmaxsim"
    settings, _ = choose_settings(late, rows_of(*PAIRS, mini_batch_size=2).settings)
    assert settings.temperature == 0.02
    loss = make_late_loss(late, settings)
    assert isinstance(loss, CachedMultiVectorWeightedMultipleNegativesRankingLoss)
    assert loss.similarity_fct is mean_colbert_scores


def test_lengths_are_those_of_the_kind_of_text(tmp_path):
    late = load(tmp_path, document_length=20, query_expansion={"strategy": "fixed", "length": 7, "token": "[UNK]"})
    assert text_limits(late) == (7, 20)
    encoding = late_encoding_of(late)
    assert (encoding.expanded, encoding.skipped, encoding.dimension, encoding.similarity) == (True, 1, 8, "maxsim")
    with cut_to(late, 3):
        assert text_limits(late) == (7, 3)
        assert len(late.encode_document("text of a b c")) == 3
    assert text_limits(late) == (7, 20)
    assert len(late.encode_document("text of a . b")) == 4
    cuts = count_cut_texts(late, rows_of(*PAIRS, document_length=2, query_length=512))
    assert [str(cut) for cut in cuts] == [
        "0 of 3 queries are longer than 7 tokens; what is beyond is not read",
        "3 of 3 positives are longer than 2 tokens; what is beyond is not read",
    ]
    rows = rows_of(*PAIRS)
    assert late_collator(late, rows, rows.settings).max_length == {"document": 20}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"document_anchor": 1.0}, "document_anchor holds documents' single vectors"),
        ({"loss": "kl"}, "loss kl teaches a SentenceTransformer, found late interaction"),
        ({"loss": "pointwise"}, "loss pointwise is for rerankers, found a retriever"),
        ({"num_negatives": 0, "batch_size": 1}, "found batches of one pair without mined negatives"),
    ],
)
def test_what_does_nothing_for_late_interaction_is_refused(late, settings, message):
    rows = rows_of(*PAIRS, **settings)
    with pytest.raises(LratError, match=message):
        fit_retriever(late, rows, rows.settings)
