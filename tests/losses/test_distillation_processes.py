"""Two real processes with half of a batch each, against one with the whole."""

from itertools import product

import pytest
import torch
from sentence_transformers import SentenceTransformer

from lrat_hub.losses import BatchLabels, WeightedDistillKLDivLoss, WeightedMarginMSELoss
from tests.fitting.small import tiny_bert

from .test_distillation import drawn
from .two_processes import in_two_processes, mean_of_both

pytestmark = pytest.mark.slow

WEIGHTS = torch.tensor([0.5, 1.75, 1.0, 2.0])
PRESENT = torch.tensor([[3.0, 0.3, 1.0, 1.0], [1.0, 0.0, 0.0, 0.3], [0.0, 0.0, 0.0, 1.0]])
CASES = list(product((WeightedDistillKLDivLoss, WeightedMarginMSELoss), ("mean", "weighted_mean")))


def measured(folder, rows, case):
    kind, reduction = case
    columns, teacher = drawn()
    loss = kind(SentenceTransformer(str(folder / "model"), device="cpu"), reduction=reduction)
    labels = BatchLabels(WEIGHTS[rows], negative_weights=PRESENT[:, rows], teacher_scores=teacher[:, rows])
    value = loss.compute_loss_from_embeddings([column[rows] for column in columns], labels)
    return value.detach(), torch.stack(torch.autograd.grad(value, columns))


def half(folder, rank, case):
    value, gradients = measured(folder, slice(2 * rank, 2 * rank + 2), case)
    return mean_of_both(value), mean_of_both(gradients)


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gloo")
    tiny_bert(folder)
    return folder, in_two_processes(folder, half, CASES)


@pytest.mark.parametrize("index", range(len(CASES)))
def test_two_processes_are_one_with_the_whole_batch(both, index):
    """Their lists are of different lengths, and their weights of different sums."""
    folder, results = both
    torch.testing.assert_close(results[index], measured(folder, slice(None), CASES[index]), atol=1e-6, rtol=1e-5)
