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
from lrat_hub.losses.labels import BatchLabels, excluded_documents


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


def counted(targets):
    """For each query, the ids of the documents that count, own and foreign, in the order of their columns."""
    ids = targets.document_ids.flatten()
    mask = excluded_documents(targets, torch.arange(targets.document_ids.shape[1]))
    return [ids[~row].tolist() for row in mask]


def test_copies_of_the_positive_are_not_negatives_and_every_document_counts_once():
    #                                        positives, then two columns of negatives
    targets = BatchLabels(torch.ones(3), torch.tensor([[7, 7, 8], [9, 8, 9], [7, 5, 5]]))
    assert [sorted(ids) for ids in counted(targets)] == [[5, 7, 8, 9]] * 3
    mask = excluded_documents(targets, torch.arange(3))
    assert not mask[1, 1]  # the second row keeps its own copy of 7,
    assert mask[1, 0]  # and not the first row's


def test_places_without_a_negative_count_for_no_query_and_hide_no_other_copy():
    ids = torch.tensor([[1, 2], [3, 3]])  # the text that fills the first row's place is the second row's negative
    targets = BatchLabels(torch.ones(2), ids, negative_weights=torch.tensor([[0.0, 1.0]]))
    assert counted(targets) == [[1, 2, 3], [1, 2, 3]]
    assert excluded_documents(targets, torch.arange(2))[:, 2].all()


def test_masked_documents_have_no_part_in_value_or_gradient(model):
    torch.manual_seed(1)
    queries, positives = torch.randn(2, 4), torch.randn(2, 4)
    padding = positives.clone().requires_grad_()
    loss = WeightedMultipleNegativesRankingLoss(model)
    plain = loss.compute_loss_from_embeddings([queries, positives], torch.ones(2))
    for targets in (
        BatchLabels(torch.ones(2), document_ids=torch.tensor([[1, 2], [1, 2]])),
        BatchLabels(torch.ones(2), negative_weights=torch.zeros(1, 2)),
    ):
        padding.grad = None
        padded = loss.compute_loss_from_embeddings([queries, positives, padding], targets)
        padded.backward()
        torch.testing.assert_close(padded, plain)
        assert padding.grad.abs().max() == 0


def test_ragged_pools_and_tiers_give_the_sum_worked_by_hand(model):
    """Two queries; the first has one negative of weight 3, the second one of weight 1 and one of 0.3."""
    torch.manual_seed(2)
    embeddings = [torch.nn.functional.normalize(torch.randn(2, 4, dtype=torch.float64), dim=1) for _ in range(4)]
    weights, tiers = [0.5, 1.75], [[3.0, 0.0], [1.0, 0.3]]
    total = 0.0
    for i, query in enumerate(embeddings[0]):
        mass = {}
        for column, documents in enumerate(embeddings[1:]):
            for j, document in enumerate(documents):
                there = column == 0 or tiers[j][column - 1] > 0
                own = tiers[j][column - 1] if column and i == j else 1.0
                mass[column, j] = there * own * math.exp(float(query @ document) * 50)
        total -= weights[i] * math.log(mass[0, i] / sum(mass.values()))
    targets = BatchLabels(torch.tensor(weights, dtype=torch.float64), negative_weights=torch.tensor(tiers).T)
    loss = WeightedMultipleNegativesRankingLoss(model)
    assert loss.compute_loss_from_embeddings(embeddings, targets).item() == pytest.approx(total / 2, abs=1e-6)


def test_tiers_of_one_change_nothing(model):
    embeddings = [torch.randn(3, 4, dtype=torch.float64) for _ in range(4)]
    loss = WeightedMultipleNegativesRankingLoss(model)
    plain = loss.compute_loss_from_embeddings(embeddings, torch.ones(3))
    labels = BatchLabels(torch.ones(3), negative_weights=torch.ones(2, 3))
    tiered = loss.compute_loss_from_embeddings(embeddings, labels)
    assert tiered == plain


def test_a_document_among_a_querys_own_negatives_keeps_its_tier_there(model):
    """Also when another query's copy comes first: then that one is left out."""
    ids = torch.tensor([[1, 2], [2, 9]])  # the first query's negative is the second one's positive
    targets = BatchLabels(torch.ones(2), ids, negative_weights=torch.tensor([[3.0, 1.0]]))
    mask = excluded_documents(targets, torch.arange(2))
    assert mask[0].tolist() == [False, True, False, False]
    assert mask[1].tolist() == [False, False, True, False]


def test_the_anchor_holds_documents_to_the_base_model(model):
    documents = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    base = torch.stack([torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])])
    present = torch.tensor([[0.0, 1.0]])  # the first row has no negative: its place does not drift
    targets = BatchLabels(torch.zeros(2), negative_weights=present, base_embeddings=base)
    loss = WeightedMultipleNegativesRankingLoss(model, document_anchor=3.0)
    value = loss.compute_loss_from_embeddings([documents, documents, documents], targets)
    assert value.item() == pytest.approx(3.0 * (0 + 1 + 0) / 3)
    with pytest.raises(ValueError, match="base_embeddings"):
        loss.compute_loss_from_embeddings([documents, documents], torch.ones(2))


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
    assert loss.get_config_dict() == {
        "scale": 50.0, "similarity_fct": "cos_sim", "gather_across_devices": False, "reduction": "weighted_mean",
        "document_anchor": 0.0,
    }  # fmt: skip
    assert "2604.04949" in loss.citation
