"""The weighted loss with a vector for every token, against sentence-transformers' own and the single-vector loss."""

import pytest
import torch
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.multi_vector_encoder.losses import MultiVectorMultipleNegativesRankingLoss

from lrat_hub.losses import DOCUMENT_IDS, NEGATIVE_WEIGHTS, MultiVectorWeightedMultipleNegativesRankingLoss
from tests.fitting.small import tiny_bert

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
