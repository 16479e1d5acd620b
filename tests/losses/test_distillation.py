"""Losses of distillation: sentence-transformers' own at weight 1, weighted beyond; padding counts for none."""

import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import DistillKLDivLoss, MarginMSELoss
from sentence_transformers.util import pairwise_cos_sim

from lrat_hub.losses import BatchLabels, WeightedDistillKLDivLoss, WeightedMarginMSELoss
from tests.fitting.small import tiny_bert

BATCH, NEGATIVES, DIM = 4, 3, 6
KINDS = [WeightedDistillKLDivLoss, WeightedMarginMSELoss]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return SentenceTransformer(str(tiny_bert(tmp_path_factory.mktemp("bert"))), device="cpu")


def drawn(seed=0, batch=BATCH):
    rng = torch.Generator().manual_seed(seed)
    columns = [torch.randn(batch, DIM, generator=rng).requires_grad_() for _ in range(2 + NEGATIVES)]
    return columns, 3 * torch.randn(1 + NEGATIVES, batch, generator=rng)


def value_and_gradients(loss, columns, labels):
    value = loss.compute_loss_from_embeddings(columns, labels)
    return value, torch.autograd.grad(value, columns)


def labels(teacher, weights=None, present=None):
    weights = torch.ones(teacher.shape[1]) if weights is None else torch.tensor(weights)
    return BatchLabels(weights, negative_weights=present, teacher_scores=teacher)


@pytest.mark.parametrize("reduction", ["mean", "weighted_mean"])
@pytest.mark.parametrize("scale", [1.0, 20.0])
def test_with_weights_of_1_the_kl_loss_is_that_of_sentence_transformers(model, reduction, scale):
    columns, teacher = drawn()
    theirs = DistillKLDivLoss(
        model, similarity_fct=pairwise_cos_sim, temperature=1.0, student_temperature=1 / scale, teacher_temperature=1.0
    )
    value = theirs.compute_loss_from_embeddings(columns, teacher.T) * scale**2
    expected = value, torch.autograd.grad(value, columns)
    ours = WeightedDistillKLDivLoss(model, scale=scale, reduction=reduction)
    torch.testing.assert_close(value_and_gradients(ours, columns, labels(teacher)), expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("reduction", ["mean", "weighted_mean"])
def test_with_weights_of_1_the_margin_loss_is_that_of_sentence_transformers(model, reduction):
    columns, teacher = drawn()
    theirs = MarginMSELoss(model, similarity_fct=pairwise_cos_sim)
    value = theirs.compute_loss_from_embeddings(columns, teacher.T[:, :1] - teacher.T[:, 1:])
    expected = value, torch.autograd.grad(value, columns)
    ours = WeightedMarginMSELoss(model, scale=1.0, reduction=reduction)
    torch.testing.assert_close(value_and_gradients(ours, columns, labels(teacher)), expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_weight_is_how_often_a_query_counts(model, kind):
    columns, teacher = drawn()
    twice = [torch.cat([column, column[:1]]) for column in columns]
    repeated = torch.cat([teacher, teacher[:, :1]], dim=1)
    ours = kind(model, reduction="weighted_mean")
    weighted = value_and_gradients(ours, columns, labels(teacher, [2.0, 1, 1, 1]))
    value = ours.compute_loss_from_embeddings(twice, labels(repeated))
    torch.testing.assert_close(weighted, (value, torch.autograd.grad(value, columns)), atol=1e-6, rtol=1e-5)
    # "mean" does not divide by the weights.
    doubled = kind(model).compute_loss_from_embeddings(columns, labels(teacher, [2.0] * BATCH))
    torch.testing.assert_close(doubled, 2 * kind(model).compute_loss_from_embeddings(columns, labels(teacher)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reduction", ["mean", "weighted_mean"])
def test_padding_counts_for_nothing_whatever_its_text_and_score(model, kind, reduction):
    columns, teacher = drawn()
    present = torch.tensor([[3.0] * BATCH, [0.3] * BATCH, [0.0] * BATCH])
    ours = kind(model, reduction=reduction)
    shorter = ours.compute_loss_from_embeddings(columns[:-1], labels(teacher[:-1]))
    padded = value_and_gradients(ours, columns, labels(teacher, present=present))
    torch.testing.assert_close(padded[0], shorter)
    assert not padded[1][-1].any()
    # One query has no negative at all.
    present[:, 0] = 0
    value, gradients = value_and_gradients(ours, columns, labels(teacher, present=present))
    assert torch.isfinite(value)
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    assert not any(gradient[0].any() for gradient in gradients)


@pytest.mark.parametrize("kind", KINDS)
def test_a_student_that_agrees_with_its_teacher_has_nothing_to_learn(model, kind):
    columns, _ = drawn()
    ours = kind(model, scale=5.0)
    agreed = torch.stack([5 * pairwise_cos_sim(columns[0], column) for column in columns[1:]]).detach() + 7
    value, gradients = value_and_gradients(ours, columns, labels(agreed))
    torch.testing.assert_close(value, torch.tensor(0.0), atol=1e-6, rtol=0)
    assert all(gradient.abs().max() < 1e-5 for gradient in gradients)


@pytest.mark.parametrize("kind", KINDS)
def test_the_anchor_is_added(model, kind):
    columns, teacher = drawn()
    base = torch.randn(1 + NEGATIVES, BATCH, DIM, generator=torch.Generator().manual_seed(5))
    known = BatchLabels(torch.ones(BATCH), base_embeddings=base, teacher_scores=teacher)
    plain = kind(model).compute_loss_from_embeddings(columns, known)
    anchored = kind(model, document_anchor=2.0).compute_loss_from_embeddings(columns, known)
    distance = (1 - torch.cosine_similarity(torch.stack(columns[1:]), base, dim=-1)).mean()
    torch.testing.assert_close(anchored, plain + 2 * distance)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_missing_is_said(model, kind):
    columns, teacher = drawn()
    ours = kind(model)
    for given, message in (
        (BatchLabels(torch.ones(BATCH)), "teacher_scores: expected shape .4, 4., .* found none"),
        (labels(teacher[:-1]), "found shape .3, 4."),
        (BatchLabels(torch.ones(3), teacher_scores=teacher), "expected 4, one per query, found 3"),
    ):
        with pytest.raises(ValueError, match=message):
            ours.compute_loss_from_embeddings(columns, given)
    with pytest.raises(ValueError, match="found 2 columns"):
        ours.compute_loss_from_embeddings(columns[:2], labels(teacher[:1]))
    with pytest.raises(ValueError, match="reduction"):
        kind(model, reduction="sum")
    with pytest.raises(ValueError, match="document_anchor"):
        kind(model, document_anchor=-1)
