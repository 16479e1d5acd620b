"""What two real processes measure with half of a batch each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

WORLD = 2


def in_two_processes(folder: Path, half: Callable[..., Any], cases: Sequence[Any]) -> list[Any]:
    """What `half(folder, rank, case)` gives for each case in the first of two processes, where both call it."""
    mp.spawn(_work, args=(folder, half, cases), nprocs=WORLD)
    return torch.load(folder / "results.pt")


def mean_of_both(value: torch.Tensor) -> torch.Tensor:
    dist.all_reduce(value)
    return value / WORLD


def _work(rank: int, folder: Path, half: Callable[..., Any], cases: Sequence[Any]) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=WORLD)
    results = [half(folder, rank, case) for case in cases]
    if rank == 0:
        torch.save(results, folder / "results.pt")
    dist.destroy_process_group()
