"""Fitting a reranker: what a batch holds, what comes out, and what is refused."""

import pytest
import torch
from sentence_transformers import CrossEncoder, SentenceTransformer

from lrat_hub.encoders import load_reranker, set_prompts
from lrat_hub.errors import LratError
from lrat_hub.fitting import add_negatives, choose_settings, count_cut_texts, fit_retriever, summarise
from lrat_hub.fitting.reranking import list_collator, make_reranking_loss
from lrat_hub.fitting.settings import FitSettings
from lrat_hub.hub.inputs import LocalSource
from lrat_hub.mining.tables import pair_table
from lrat_hub.retrieval.bm25 import BM25Retriever
from lrat_hub.schema import Document

from .small import DOCUMENTS, pair, rows_of, tiny_language_reranker, tiny_reranker

PAIRS = (pair("one a", "a", "bc"), pair("two b", "b", "", 2.0), pair("one d", "d", "e", 0.5))


@pytest.fixture
def reranker(tmp_path):
    return CrossEncoder(str(tiny_reranker(tmp_path)), device="cpu")


def test_a_batch_is_texts_weights_and_what_negatives_weigh(reranker):
    reranker.prompts["search"], reranker.default_prompt_name = "query : ", "search"
    rows = rows_of(*PAIRS)
    batch = list_collator(reranker, rows, rows.settings)([rows.view()[row] for row in range(3)])
    assert list(batch) == ["label", "prompt", "anchor", "positive", "negative_1", "negative_2", "negative_weights"]
    assert batch["label"].tolist() == [1.0, 2.0, 0.5]
    assert batch["prompt"] == "query : "
    assert batch["positive"] == [DOCUMENTS[docid].content for docid in "abd"]
    assert batch["negative_weights"].tolist() == [[1.0, 1.0], [0.0, 0.0], [1.0, 0.0]]


def test_copies_of_a_text_are_compared_once_and_never_with_the_positive(reranker):
    same = Document("b", DOCUMENTS["a"].title, DOCUMENTS["a"].text)
    rows = rows_of(pair("one", "a", "bc"), num_negatives=2)
    rows.documents = DOCUMENTS | {"b": same}
    batch = list_collator(reranker, rows, rows.settings)([rows.view()[0]])
    texts = [batch[f"negative_{number}"][0] for number in (1, 2)]
    assert batch["negative_weights"].tolist() == [[0.0 if text == same.content else 1.0 for text in texts]]


@pytest.mark.parametrize("loss", ["listwise", "pointwise"])
def test_training_ranks_positives_first_and_says_how_far_scores_moved(reranker, loss):
    rows = rows_of(
        *(pair(f"one {docid}", docid, "def") for docid in "abc"),
        num_negatives=3, batch_size=3, max_steps=20, learning_rate=1e-2, loss=loss,
    )  # fmt: skip
    assert "3.0 of its own, 3.0 of them scored; 0 pairs have none" in str(summarise(rows, rows.settings, reranks=True))
    fitted = fit_retriever(reranker, rows, rows.settings)
    assert fitted.model is reranker
    ranked = reranker.rank("one", [DOCUMENTS[docid].content for docid in "dafbec"])
    assert {"dafbec"[one["corpus_id"]] for one in ranked[:3]} == set("abc")
    moved = fitted.movement
    assert moved.scores
    assert not moved.unchanged
    assert "scores of pairs moved by" in str(moved)
    assert moved.last_loss < moved.first_loss


def test_adapters_are_merged_and_lower_layers_frozen(reranker):
    before = {name: values.clone() for name, values in reranker.named_parameters()}
    rows = rows_of(*PAIRS, max_steps=3, learning_rate=1e-2, lora_rank=2)
    after = dict(fit_retriever(reranker, rows, rows.settings).model.named_parameters())
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert not any("embeddings" in name or "bias" in name for name in changed)
    rows = rows_of(*PAIRS, max_steps=3, learning_rate=1e-2, frozen_layers=1)
    fit_retriever(reranker, rows, rows.settings)
    frozen = [name for name, values in reranker.named_parameters() if not values.requires_grad]
    assert any("embeddings" in name for name in frozen)
    assert not any("layer.1" in name or "classifier" in name for name in frozen)


def test_settings_fit_the_kind_of_the_model(reranker):
    rows = rows_of(*PAIRS, query_length=3, document_length=4)
    settings, choices = choose_settings(reranker, rows.settings)
    assert settings.temperature == 1.0
    assert "a reranker's scores" in str(choices[1])
    assert make_reranking_loss(reranker, settings).max_length == 7
    settings, _ = choose_settings(reranker, rows_of(*PAIRS).settings)
    assert make_reranking_loss(reranker, settings).max_length == 0  # the model's own 512
    (cut,) = count_cut_texts(reranker, rows_of(*PAIRS, query_length=2, document_length=3))
    assert str(cut).startswith("3 of 3 queries with their positives are longer than 5 tokens")


@pytest.mark.parametrize("mini_batch_size", [0, 2])
def test_a_language_model_that_answers_yes_or_no_is_trained_with_its_template(tmp_path, mini_batch_size):
    source = LocalSource(tiny_language_reranker(tmp_path), "")
    texts = [("one", DOCUMENTS[docid].content) for docid in "dafbec"]
    model = load_reranker(source, device="cpu")
    read = model.preprocess(texts[:1])["input_ids"]
    assert model.tokenizer.decode(read[0]) == "[BOS] judge Query : one Document : D text of d [EOS]"
    rows = rows_of(
        *(pair(f"one {docid}", docid, "def") for docid in "abc"),
        num_negatives=3, batch_size=3, max_steps=20, learning_rate=1e-2, mini_batch_size=mini_batch_size,
    )  # fmt: skip
    with pytest.raises(LratError, match="whose chat template leaves it out"):
        set_prompts(model, query="text of ")
    fitted = fit_retriever(model, rows, rows.settings)
    assert fitted.movement.base_dtype == "bf16"
    ranked = model.rank("one", [text for _, text in texts])
    assert {"dafbec"[one["corpus_id"]] for one in ranked[:3]} == set("abc")
    # Template, query and document are the 13 tokens that are read of each.
    for length, cut in ((6, 3), (7, 0)):
        (found,) = count_cut_texts(model, rows_of(*PAIRS, query_length=6, document_length=length))
        assert (found.num_cut, found.max_length) == (cut, 6 + length)
    with pytest.raises(LratError, match=r"found a bare language model without modules\.json, which doesn't say what"):
        load_reranker(LocalSource(tmp_path / "lm", ""))


def test_embeddings_that_answer_are_frozen_and_have_no_adapters(tmp_path):
    model = load_reranker(LocalSource(tiny_language_reranker(tmp_path), ""), device="cpu")
    before = model.transformers_model.get_input_embeddings().weight.detach().clone()
    for settings in ({"lora_rank": 2}, {"frozen_layers": 1}):
        rows = rows_of(*PAIRS, max_steps=2, learning_rate=1e-2, **settings)
        moved = fit_retriever(model, rows, rows.settings).movement
        # The head that answers is tied to the embeddings, which stay as they are.
        assert torch.equal(model.transformers_model.get_input_embeddings().weight, before)
        assert moved.changed > 0.4
    with pytest.raises(LratError, match="expected a transformer with more than 9 layers, found 2"):
        fit_retriever(model, rows_of(*PAIRS, frozen_layers=9), rows_of(*PAIRS, frozen_layers=9).settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"document_anchor": 1.0}, "document_anchor is for retrievers, found a reranker"),
        ({"gather_across_devices": True}, "gather_across_devices is for retrievers"),
        ({"num_negatives": 0}, "found lists of one document in all 3 pairs"),
    ],
)
def test_what_does_nothing_for_a_reranker_is_refused(reranker, settings, message):
    rows = rows_of(*PAIRS, **settings)
    with pytest.raises(LratError, match=message):
        fit_retriever(reranker, rows, rows.settings)


def test_lists_of_one_document_and_losses_of_others_are_refused(reranker, model):
    rows = rows_of(pair("one", "a", ""))
    with pytest.raises(LratError, match="lists of one document in all 1 pairs"):
        fit_retriever(reranker, rows, rows.settings)
    assert isinstance(model, SentenceTransformer)
    with pytest.raises(LratError, match="found others for num_negatives, seed"):
        fit_retriever(model, rows_of(*PAIRS), FitSettings(num_negatives=5, seed=1))
    with pytest.raises(LratError, match="a MultiVectorEncoder or a CrossEncoder, found str"):
        fit_retriever("me/model", rows_of(*PAIRS), rows_of(*PAIRS).settings)
    rows = rows_of(*PAIRS, loss="pointwise")
    with pytest.raises(LratError, match="loss pointwise is for rerankers, found a retriever"):
        fit_retriever(model, rows, rows.settings)


def test_a_first_stage_finds_negatives_but_no_positive_of_the_question():
    pairs = pair_table([pair("text", "a", "b"), pair("of", "c", "")])  # of one question
    more = add_negatives(pairs, BM25Retriever(list(DOCUMENTS.values())), 6)
    assert [set(ids) for ids in more["negative_ids"]] == [set("bdef"), set()]  # "of" is a stop word
    assert more["negative_kinds"][0] == ["list", *["first_stage"] * 3]
    (query,) = BM25Retriever(list(DOCUMENTS.values())).search(["text"], 6)
    assert more["negative_ids"][0] == ["b", *(hit.docid for hit in query if hit.docid not in "abc")]


def test_what_a_judge_found_irrelevant_is_a_negative_of_its_question():
    pairs = pair_table([pair("text", "a", "b"), pair("text", "c", "")])
    verdicts = pairs.remove_columns("verdict").add_column("verdict", ["relevant", "irrelevant"])
    more = add_negatives(verdicts, BM25Retriever(DOCUMENTS), 6)
    assert "c" in more["negative_ids"][0], "an agent took it for relevant, and it is not"
    assert "c" not in more["negative_ids"][1], "nothing is a negative of itself"
    assert "a" not in more["negative_ids"][1], "it is relevant to the question"
