"""One run in several processes and over several starts: the processes, its folder, its checkpoints."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list

from lrat_hub.errors import LratError

Result = TypeVar("Result")

STAMP_FILE = "run.json"
STATE_FILE = "trainer_state.json"
TRAINING_STATE = ("optimizer.pt", "scheduler.pt", "scaler.pt", "training_args.bin", STATE_FILE, "rng_state*.pth")
"""Files of a checkpoint that only resuming needs; a published model goes without them."""

LONGEST_WAIT = timedelta(days=1)
"""How long processes wait for one another: the first one alone evaluates and publishes."""


def processes() -> PartialState:
    """This process among all; the first call joins them."""
    return PartialState(cpu=not torch.accelerator.is_available(), timeout=LONGEST_WAIT)


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


def stamp_run_folder(folder: Path, run: Mapping[str, Any]) -> None:
    """Marks a folder as that of a run, or checks that it is the run's own.

    Args:
        run: Everything that shapes the result: pins, recipe, number of processes.

    Raises:
        LratError: Another run has its checkpoints there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, stamp = folder / STAMP_FILE, json.dumps(run, indent=2, sort_keys=True, default=str)
    if not path.exists():
        if any(folder.glob("checkpoint-*")):
            raise LratError(
                f"{folder}: expected an empty folder or this run's, found checkpoints without {STAMP_FILE}."
            )
        path.write_text(stamp, encoding="utf-8")
    existing = path.read_text(encoding="utf-8")
    if existing != stamp:
        changed = _changed(existing, run)
        raise LratError(
            f"{folder}: expected checkpoints of this run, found those of one that differs in {', '.join(changed)}. "
            "Take another folder as `work_dir`, or remove this one."
        )


def _changed(existing: str, run: Mapping[str, Any]) -> list[str]:
    try:
        other, own = json.loads(existing), json.loads(json.dumps(run, default=str))
    except ValueError:
        return [STAMP_FILE]
    names = {**_flat(other), **_flat(own)}
    return sorted(name for name in names if _flat(other).get(name) != _flat(own).get(name)) or [STAMP_FILE]


def _flat(tree: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for key, part in tree.items()
        for name, value in (part.items() if isinstance(part, dict) else [(key, part)])
    }


def last_checkpoint(folder: Path) -> Path | None:
    """The latest checkpoint in a folder that was written to its end, or None."""
    complete = [path for path in folder.glob("checkpoint-*") if _is_complete(path)]
    return max(complete, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def _is_complete(checkpoint: Path) -> bool:
    try:
        # The trainer writes its state last.
        return bool(json.loads((checkpoint / STATE_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return False
