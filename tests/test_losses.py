"""The weighted loss against sentence-transformers' own and against section 5.2.2 worked by hand."""

import math

import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from lrat_hub import WeightedMultipleNegativesRankingLoss
from lrat_hub.losses import duplicate_mask


@pytest.fixture(scope="module")
def model():
    vocabulary = {
        word: index for index, word in enumerate(["[UNK]", "red", "green", "blue", "cat", "dog", "bird", "sea", "sky"])
    }
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    torch.manual_seed(0)
    return SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=16)], device="cpu")


def features(model):
    columns = [["red cat", "green dog", "blue"], ["cat", "dog", "sky"], ["bird", "sea", "green sea"]]
    return [model.preprocess(column) for column in columns]


def value_and_gradient(model, loss, labels):
    model.zero_grad()
    value = loss(features(model), labels)
    value.backward()
    return value.detach(), model[0].embedding.weight.grad.clone()


def test_weights_of_one_give_multiple_negatives_ranking_loss(model):
    theirs = value_and_gradient(model, MultipleNegativesRankingLoss(model, scale=50.0), torch.zeros(3))
    for reduction in ("mean", "weighted_mean"):
        loss = WeightedMultipleNegativesRankingLoss(model, reduction=reduction)
        ours = value_and_gradient(model, loss, torch.ones(3))
        torch.testing.assert_close(ours[0], theirs[0], atol=1e-6, rtol=0)
        torch.testing.assert_close(ours[1], theirs[1], atol=1e-6, rtol=0)


@pytest.mark.parametrize(("reduction", "divisor"), [("mean", 2.0), ("weighted_mean", 0.5 + 1.75)])
def test_value_is_the_papers_sum_worked_by_hand(model, reduction, divisor):
    def unit(angle):
        return [math.cos(angle), math.sin(angle)]

    angles = {"queries": [0.1, 1.0], "positives": [0.3, 1.4], "negatives": [0.9, 0.2]}
    weights, tau = [0.5, 1.75], 0.02
    total = 0.0
    for i, query in enumerate(angles["queries"]):
        scores = [math.cos(query - angle) / tau for angle in angles["positives"] + angles["negatives"]]
        total -= weights[i] * (scores[i] - math.log(sum(math.exp(score) for score in scores)))
    embeddings = [torch.tensor([unit(a) for a in column], dtype=torch.float64) for column in angles.values()]
    loss = WeightedMultipleNegativesRankingLoss(model, scale=1 / tau, reduction=reduction)
    value = loss.compute_loss_from_embeddings(embeddings, torch.tensor(weights, dtype=torch.float64))
    assert value.item() == pytest.approx(total / divisor, abs=1e-9)


def test_copies_of_the_positive_are_not_negatives_and_every_document_counts_once():
    #                    positives, then two columns of negatives
    ids = torch.tensor([[7, 7, 8], [9, 8, 9], [7, 5, 5]])
    mask = duplicate_mask(ids)
    kept = [[ids.flatten()[c].item() for c in range(9) if not row[c]] for row in mask.tolist()]
    assert kept == [[7, 8, 9, 5], [7, 8, 9, 5], [7, 8, 9, 5]]
    assert not mask[1, 1]  # the second row keeps its own copy of 7,
    assert mask[1, 0]  # and not the first row's


def test_masked_documents_have_no_part_in_value_or_gradient(model):
    torch.manual_seed(1)
    queries, positives = torch.randn(2, 4), torch.randn(2, 4)
    padding = positives.clone().requires_grad_()
    loss = WeightedMultipleNegativesRankingLoss(model)
    ids = torch.tensor([[1, 2], [1, 2]])
    padded = loss.compute_loss_from_embeddings([queries, positives, padding], torch.ones(2), ids)
    plain = loss.compute_loss_from_embeddings([queries, positives], torch.ones(2))
    padded.backward()
    torch.testing.assert_close(padded, plain)
    assert padding.grad.abs().max() == 0


def test_a_batch_of_empty_reasonings_has_no_gradient(model):
    for reduction in ("mean", "weighted_mean"):
        loss = WeightedMultipleNegativesRankingLoss(model, reduction=reduction)
        value, gradient = value_and_gradient(model, loss, torch.zeros(3))
        assert value == 0
        assert gradient.abs().max() == 0


def test_missing_weights_say_what_to_do(model):
    loss = WeightedMultipleNegativesRankingLoss(model)
    with pytest.raises(ValueError, match="`label` column"):
        loss(features(model), None)


def test_loss_describes_itself_for_the_model_card(model):
    loss = WeightedMultipleNegativesRankingLoss(model, reduction="weighted_mean")
    assert loss.get_config_dict() == {"scale": 50.0, "similarity_fct": "cos_sim", "reduction": "weighted_mean"}
    assert "2604.04949" in loss.citation
