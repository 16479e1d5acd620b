"""The processes of a distributed run: one alone, or those that `accelerate launch` started."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list

Result = TypeVar("Result")

PATIENCE = timedelta(days=1)
"""How long processes wait for one another: the first one alone evaluates and publishes."""


def processes() -> PartialState:
    """This process among all; the first call joins them."""
    return PartialState(cpu=not torch.accelerator.is_available(), timeout=PATIENCE)


def is_first() -> bool:
    return processes().is_main_process


def from_first(make: Callable[[], Result]) -> Result:
    """What the first process makes, in all of them: pins, for one, must not differ when a branch moves on."""
    state = processes()
    made = [make() if state.is_main_process else None]
    if state.num_processes > 1:
        broadcast_object_list(made)
    return made[0]  # type: ignore[return-value]


@contextmanager
def shared_folder(folder: Path | None) -> Iterator[Path]:
    """A folder that all processes see: the given one, or one of the first process's that is removed at the end."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
        return
    state = processes()
    own = tempfile.TemporaryDirectory() if state.is_main_process else None
    try:
        yield Path(from_first(lambda: own.name if own else ""))
        state.wait_for_everyone()
    finally:
        if own:
            own.cleanup()
