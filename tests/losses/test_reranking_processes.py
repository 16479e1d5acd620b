"""Two real processes with half of a batch of lists each, against one with the whole."""

from itertools import product

import pytest
import torch
from sentence_transformers import CrossEncoder
from torch.nn.parallel import DistributedDataParallel

from lrat_hub.losses import WeightedBinaryCrossEntropyLoss, WeightedListNetLoss
from tests.fitting.small import tiny_reranker

from .test_reranking import value_and_gradient
from .two_processes import in_two_processes, mean_of_both

pytestmark = pytest.mark.slow

QUERIES = ["one a", "two b", "query c", "d e"]
COLUMNS = [["text a", "b", "c", "d"], ["b", "c", ".", "a"], ["one two f", ".", ".", "c"]]
TIERS = torch.tensor([[3.0, 0.3], [1.0, 0.0], [0.0, 0.0], [0.3, 1.0]])
WEIGHTS = torch.tensor([0.5, 1.75, 1.0, 2.0])
CASES = list(
    product((WeightedListNetLoss, WeightedBinaryCrossEntropyLoss), ("mean", "weighted_mean"), (0, 2))
)  # fmt: skip


def measured(folder, rows, case, wrap=lambda model: model):
    kind, reduction, size = case
    model = CrossEncoder(str(folder), device="cpu")
    loss = kind(model, reduction=reduction, mini_batch_size=size)
    loss.model = wrap(model)
    # As sentence-transformers' trainer does for a wrapped model.
    loss.model.preprocess = model.preprocess
    inputs = [QUERIES[rows], *(column[rows] for column in COLUMNS), TIERS[rows]]
    return value_and_gradient(model, loss, inputs, WEIGHTS[rows])


def half(folder, rank, case):
    rows = slice(2 * rank, 2 * rank + 2)
    value, gradient = measured(folder / "reranker", rows, case, DistributedDataParallel)
    return mean_of_both(value), gradient


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gloo")
    tiny_reranker(folder)
    return folder, in_two_processes(folder, half, CASES)


@pytest.mark.parametrize("index", range(len(CASES)))
def test_two_processes_are_one_with_the_whole_batch(both, index):
    """Their lists are of different lengths, and their weights of different sums."""
    folder, results = both
    torch.testing.assert_close(
        results[index], measured(folder / "reranker", slice(None), CASES[index]), atol=1e-6, rtol=1e-5
    )
