"""Two real processes with half of a batch of lists each, against one with the whole."""

from itertools import product

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from sentence_transformers import CrossEncoder
from torch.nn.parallel import DistributedDataParallel

from lrat_hub.losses import WeightedBinaryCrossEntropyLoss, WeightedListNetLoss
from tests.fitting.small import tiny_reranker

from .test_reranking import value_and_gradient

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


def work(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    results = []
    for case in CASES:
        rows = slice(2 * rank, 2 * rank + 2)
        value, gradient = measured(folder / "reranker", rows, case, DistributedDataParallel)
        dist.all_reduce(value)
        results.append((value / 2, gradient))
    if rank == 0:
        torch.save(results, folder / "results.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gloo")
    tiny_reranker(folder)
    mp.spawn(work, args=(folder,), nprocs=2)
    return folder


@pytest.mark.parametrize("index", range(len(CASES)))
def test_two_processes_are_one_with_the_whole_batch(folder, index):
    """Their lists are of different lengths, and their weights of different sums."""
    both = torch.load(folder / "results.pt")[index]
    torch.testing.assert_close(both, measured(folder / "reranker", slice(None), CASES[index]), atol=1e-6, rtol=1e-5)
