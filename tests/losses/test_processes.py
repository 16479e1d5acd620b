"""Two real processes with half of a batch each, against one with the whole."""

import pytest
import torch
from sentence_transformers import SentenceTransformer
from torch.nn.parallel import DistributedDataParallel

from lrat_hub.losses import (
    BatchLabels,
    CachedWeightedMultipleNegativesRankingLoss,
    WeightedMultipleNegativesRankingLoss,
)

from .two_processes import WORLD, in_two_processes, mean_of_both

pytestmark = pytest.mark.slow

BATCH, COLUMNS, WIDTH = 6, 4, 8
CASES = [
    *[
        {"reduction": r, "cached": c, "gather_across_devices": True, "document_anchor": 2.0 * c}
        for r in ("mean", "weighted_mean")
        for c in (0, 1)
    ],
    *[{"reduction": r, "cached": 0, "document_anchor": 2.0} for r in ("mean", "weighted_mean")],
]
MODEL = SentenceTransformer(modules=[torch.nn.Identity()], device="cpu")  # never asked: losses get embeddings


def whole_batch():
    """Inputs of shape (columns, batch, width), and targets with repeated documents, tiers and gaps."""
    generator = torch.Generator().manual_seed(3)
    inputs = torch.randn(COLUMNS, BATCH, WIDTH, generator=generator)
    tiers = torch.tensor([3.0, 1.0, 0.3, 0.0])[torch.randint(4, (COLUMNS - 2, BATCH), generator=generator)]
    ids = torch.randint(12, (COLUMNS - 1, BATCH), generator=generator)
    base = torch.randn(COLUMNS - 1, BATCH, WIDTH, generator=generator)
    return inputs, BatchLabels(torch.rand(BATCH, generator=generator), ids, tiers, base)


def part_of(targets, rows):
    return BatchLabels(
        targets.weights[rows],
        targets.document_ids[:, rows],
        targets.negative_weights[:, rows],
        targets.base_embeddings[:, rows],
    )


def encoder():
    torch.manual_seed(4)
    return torch.nn.Linear(WIDTH, WIDTH, bias=False)


def value_and_gradient(encode, parameter, inputs, targets, *, cached, **options):
    if cached:
        loss = CachedWeightedMultipleNegativesRankingLoss(MODEL, mini_batch_size=2, **options)
        columns = list(encode(inputs))
        leaves = [column.detach().requires_grad_() for column in columns]
        value = loss.calculate_loss([list(leaf.split(2)) for leaf in leaves], targets, with_backward=True)
        torch.autograd.backward(columns, [leaf.grad for leaf in leaves])
    else:
        loss = WeightedMultipleNegativesRankingLoss(MODEL, **options)
        value = loss.compute_loss_from_embeddings(list(encode(inputs)), targets)
        value.backward()
    return value.detach(), parameter.grad.clone()


def half(folder, rank, options):
    inputs, targets = whole_batch()
    rows = slice(rank * BATCH // WORLD, (rank + 1) * BATCH // WORLD)
    model = encoder()
    value, gradient = value_and_gradient(
        DistributedDataParallel(model), model.weight, inputs[:, rows], part_of(targets, rows), **options
    )
    return mean_of_both(value), gradient


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    return in_two_processes(tmp_path_factory.mktemp("gloo"), half, CASES)


def in_one_process(rows, options):
    inputs, targets = whole_batch()
    model = encoder()
    options = options | {"cached": False, "gather_across_devices": False}
    return value_and_gradient(model, model.weight, inputs[:, rows], part_of(targets, rows), **options)


@pytest.mark.parametrize("case", range(4))
def test_with_gathering_two_processes_are_one_with_the_whole_batch(both, case):
    torch.testing.assert_close(both[case], in_one_process(slice(None), CASES[case]))


@pytest.mark.parametrize("case", [4, 5])
def test_without_gathering_they_are_the_mean_over_the_halves(both, case):
    values, gradients = zip(*(in_one_process(slice(at, at + 3), CASES[case]) for at in (0, 3)), strict=True)
    torch.testing.assert_close(both[case], (torch.stack(values).mean(), torch.stack(gradients).mean(dim=0)))
