"""The weighted loss with a vector for every token, against sentence-transformers' own and the single-vector loss."""

import pytest
import torch
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.multi_vector_encoder.losses import (
    CachedMultiVectorMultipleNegativesRankingLoss,
    MultiVectorMultipleNegativesRankingLoss,
)
from sentence_transformers.multi_vector_encoder.scoring import mean_colbert_scores

from lrat_hub.losses import (
    DOCUMENT_IDS,
    NEGATIVE_WEIGHTS,
    CachedMultiVectorWeightedMultipleNegativesRankingLoss,
    MultiVectorWeightedMultipleNegativesRankingLoss,
)
from tests.fitting.small import tiny_bert, tiny_late

COLUMNS = [["one a", "two b", "two"], ["text of a", "text of b", "c"], ["d", "e f", "text"]]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    tiny_bert(folder)
    torch.manual_seed(0)
    return MultiVectorEncoder(str(folder / "bert"), device="cpu")


def value_and_gradients(model, loss, labels, known=({}, {}, {})):
    model.train()
    model.zero_grad()
    tasks = ("query", "document", "document")
    features = [
        {**model.preprocess(column, task=task), "task": task, **more}
        for column, task, more in zip(COLUMNS, tasks, known, strict=True)
    ]
    value = loss(features, labels)
    value.backward()
    gradients = [parameter.grad.flatten() for parameter in model.parameters() if parameter.grad is not None]
    return value.detach(), torch.cat(gradients)


@pytest.mark.parametrize("reduction", ["mean", "weighted_mean"])
@pytest.mark.parametrize("score_mini_batch_size", [None, 2])
def test_weights_of_one_give_their_loss(model, reduction, score_mini_batch_size):
    theirs = value_and_gradients(model, MultiVectorMultipleNegativesRankingLoss(model), None)
    loss = MultiVectorWeightedMultipleNegativesRankingLoss(
        model, reduction=reduction, score_mini_batch_size=score_mini_batch_size
    )
    ours = value_and_gradients(model, loss, torch.ones(3))
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    assert theirs[1].abs().max() > 1e-3


def test_each_sample_counts_by_its_weight(model):
    loss = MultiVectorWeightedMultipleNegativesRankingLoss(model)
    alone = [value_and_gradients(model, loss, torch.eye(3)[row])[0] for row in range(3)]
    weights = torch.tensor([0.2, 1.0, 1.8])
    together = value_and_gradients(model, loss, weights)[0]
    torch.testing.assert_close(together, (weights * torch.stack(alone)).sum())
    assert len({round(float(value), 4) for value in alone}) == 3


def test_copies_and_empty_places_count_for_nothing(model):
    """With every negative masked, what is left are the positives."""
    theirs = MultiVectorMultipleNegativesRankingLoss(model)
    model.train()
    tasks = ("query", "document")
    features = [{**model.preprocess(column, task=task), "task": task} for column, task in zip(COLUMNS, tasks)]  # noqa: B905
    expected = theirs(features)
    loss = MultiVectorWeightedMultipleNegativesRankingLoss(model)
    positives = {DOCUMENT_IDS: torch.tensor([1, 2, 3])}
    for negatives in (
        {DOCUMENT_IDS: torch.tensor([2, 3, 1]), NEGATIVE_WEIGHTS: torch.zeros(3)},
        {DOCUMENT_IDS: torch.tensor([1, 2, 3]), NEGATIVE_WEIGHTS: torch.ones(3)},
    ):
        found = value_and_gradients(model, loss, torch.ones(3), ({}, positives, negatives))[0]
        torch.testing.assert_close(found, expected.detach(), atol=1e-5, rtol=1e-5)


KNOWN = (
    {},
    {DOCUMENT_IDS: torch.tensor([1, 2, 3])},
    {DOCUMENT_IDS: torch.tensor([3, 5, 6]), NEGATIVE_WEIGHTS: torch.tensor([0.3, 0.0, 3.0])},
)


@pytest.mark.parametrize("reduction", ["mean", "weighted_mean"])
@pytest.mark.parametrize("size", [1, 2, 8])
def test_caching_changes_neither_value_nor_gradients(model, reduction, size):
    """With weights, tiers, a copy of a positive and an empty place."""
    weights = torch.tensor([0.2, 1.0, 1.8])
    plain = MultiVectorWeightedMultipleNegativesRankingLoss(model, reduction=reduction, scale=2.0)
    expected = value_and_gradients(model, plain, weights, KNOWN)
    cached = CachedMultiVectorWeightedMultipleNegativesRankingLoss(
        model, reduction=reduction, scale=2.0, mini_batch_size=size
    )
    torch.testing.assert_close(value_and_gradients(model, cached, weights, KNOWN), expected, atol=1e-5, rtol=1e-5)
    assert expected[1].abs().max() > 1e-3
    with torch.no_grad():
        tasks = ("query", "document", "document")
        features = [
            {**model.preprocess(column, task=task), "task": task, **more}
            for column, task, more in zip(COLUMNS, tasks, KNOWN, strict=True)
        ]
        torch.testing.assert_close(cached(features, weights), expected[0], atol=1e-5, rtol=1e-5)


def test_cached_weights_of_one_give_their_cached_loss(model):
    theirs = value_and_gradients(model, CachedMultiVectorMultipleNegativesRankingLoss(model, mini_batch_size=2), None)
    loss = CachedMultiVectorWeightedMultipleNegativesRankingLoss(model, mini_batch_size=2)
    torch.testing.assert_close(value_and_gradients(model, loss, torch.ones(3)), theirs, atol=1e-5, rtol=1e-5)
    assert loss.get_config_dict()["reduction"] == "mean"
    assert "LRAT" in loss.citation or "lrat" in loss.citation


def test_expanded_queries_and_mean_scores_are_compared_as_they_compare_them(tmp_path):
    """Queries are filled up with scored tokens, and punctuation has no vector in documents."""
    late = MultiVectorEncoder(
        str(tiny_late(tmp_path, query_expansion={"strategy": "fixed", "length": 7, "token": "[UNK]"})), device="cpu"
    )
    for ours, their in (
        (MultiVectorWeightedMultipleNegativesRankingLoss, MultiVectorMultipleNegativesRankingLoss),
        (CachedMultiVectorWeightedMultipleNegativesRankingLoss, CachedMultiVectorMultipleNegativesRankingLoss),
    ):
        expected = value_and_gradients(late, their(late, scale=5.0, similarity_fct=mean_colbert_scores), None)
        found = value_and_gradients(late, ours(late, scale=5.0, similarity_fct=mean_colbert_scores), torch.ones(3))
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
