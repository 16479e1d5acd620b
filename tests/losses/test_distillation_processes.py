"""Two real processes with half of a batch each, against one with the whole."""

from itertools import product

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from sentence_transformers import SentenceTransformer

from lrat_hub.losses import BatchLabels, WeightedDistillKLDivLoss, WeightedMarginMSELoss
from tests.fitting.small import tiny_bert

from .test_distillation import drawn

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


def work(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    results = []
    for case in CASES:
        value, gradients = measured(folder, slice(2 * rank, 2 * rank + 2), case)
        dist.all_reduce(value)
        dist.all_reduce(gradients)
        results.append((value / 2, gradients / 2))
    if rank == 0:
        torch.save(results, folder / "results.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gloo")
    tiny_bert(folder)
    mp.spawn(work, args=(folder,), nprocs=2)
    return folder


@pytest.mark.parametrize("index", range(len(CASES)))
def test_two_processes_are_one_with_the_whole_batch(folder, index):
    """Their lists are of different lengths, and their weights of different sums."""
    both = torch.load(folder / "results.pt")[index]
    torch.testing.assert_close(both, measured(folder, slice(None), CASES[index]), atol=1e-6, rtol=1e-5)
