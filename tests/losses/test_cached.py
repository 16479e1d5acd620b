"""Gradient caching changes neither value nor gradients, whatever is known of the documents."""

import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import CachedMultipleNegativesRankingLoss
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from lrat_hub import CachedWeightedMultipleNegativesRankingLoss, WeightedMultipleNegativesRankingLoss
from lrat_hub.losses import BASE_EMBEDDINGS, DOCUMENT_IDS, NEGATIVE_WEIGHTS

WORDS = ["[PAD]", "[UNK]", "red", "green", "blue", "cat", "dog", "bird", "sea", "sky"]
COLUMNS = [
    ["red cat", "green dog", "blue", "sea", "sky bird"],
    ["cat", "dog", "sky", "blue sea", "bird"],
    ["bird", "sea", "green sea", "red", "cat"],
]
WEIGHTS = torch.tensor([0.2, 1.0, 1.8, 0.5, 1.5])


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("tiny")
    config = BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    tokenizer = Tokenizer(WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(folder)
    transformer = Transformer(str(folder))
    # In double precision, rounding is far below what is compared.
    return SentenceTransformer(modules=[transformer, Pooling(16, pooling_mode="mean")], device="cpu").double()


def value_and_gradients(model, loss, extra=None, labels=WEIGHTS):
    model.train()
    model.zero_grad()
    features = [model.preprocess(column) | known for column, known in zip(COLUMNS, extra or [{}, {}, {}], strict=True)]
    value = loss(features, labels)
    value.backward()
    # BERT's pooler has no part in mean pooling.
    gradients = [parameter.grad.flatten() for parameter in model.parameters() if parameter.grad is not None]
    return value.detach(), torch.cat(gradients)


def known_of_documents():
    torch.manual_seed(1)
    positives = {DOCUMENT_IDS: torch.tensor([1, 2, 3, 4, 5]), BASE_EMBEDDINGS: torch.randn(5, 16)}
    negatives = {
        DOCUMENT_IDS: torch.tensor([5, 4, 6, 7, 1]),
        BASE_EMBEDDINGS: torch.randn(5, 16),
        NEGATIVE_WEIGHTS: torch.tensor([3.0, 0.3, 0.0, 1.0, 1.0]),
    }
    return [{}, positives, negatives]


@pytest.mark.parametrize("reduction", ["mean", "weighted_mean"])
@pytest.mark.parametrize("mini_batch_size", [1, 2, 5, 64])
def test_cached_equals_uncached_for_any_mini_batch(model, reduction, mini_batch_size):
    options = {"reduction": reduction, "document_anchor": 2.0}
    plain = WeightedMultipleNegativesRankingLoss(model, **options)
    cached = CachedWeightedMultipleNegativesRankingLoss(model, mini_batch_size=mini_batch_size, **options)
    expected = value_and_gradients(model, plain, known_of_documents())
    found = value_and_gradients(model, cached, known_of_documents())
    assert expected[1].abs().max() > 1e-3
    torch.testing.assert_close(found[0], expected[0], atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(found[1], expected[1], atol=1e-9, rtol=1e-9)


def test_weights_of_one_give_cached_multiple_negatives_ranking_loss(model):
    theirs = CachedMultipleNegativesRankingLoss(model, scale=50.0, mini_batch_size=2)
    ours = CachedWeightedMultipleNegativesRankingLoss(model, mini_batch_size=2)
    expected = value_and_gradients(model, theirs)
    found = value_and_gradients(model, ours, labels=torch.ones(5))
    torch.testing.assert_close(found[0], expected[0], atol=1e-6, rtol=0)
    torch.testing.assert_close(found[1], expected[1], atol=1e-6, rtol=0)


def test_without_gradients_the_value_is_the_same(model):
    cached = CachedWeightedMultipleNegativesRankingLoss(model, mini_batch_size=2)
    value, _ = value_and_gradients(model, cached, known_of_documents())
    features = [model.preprocess(column) | known for column, known in zip(COLUMNS, known_of_documents(), strict=True)]
    with torch.no_grad():
        torch.testing.assert_close(cached(features, WEIGHTS), value)


def test_it_names_its_settings_and_both_papers(model):
    loss = CachedWeightedMultipleNegativesRankingLoss(model, reduction="weighted_mean", mini_batch_size=8)
    assert loss.get_config_dict()["reduction"] == "weighted_mean"
    assert loss.get_config_dict()["mini_batch_size"] == 8
    assert "2604.04949" in loss.citation
    assert "2101.06983" in loss.citation
