"""A run's folder: its checkpoints, from which a run that was killed goes on, and the stamp of what run it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lrat_hub.errors import LratError

STAMP_FILE = "run.json"
STATE_FILE = "trainer_state.json"
TRAINING_STATE = ("optimizer.pt", "scheduler.pt", "scaler.pt", "training_args.bin", STATE_FILE, "rng_state*.pth")
"""Files of a checkpoint that serve to go on, and have no place in a published model."""


def claim_work_dir(folder: Path, run: Mapping[str, Any]) -> None:
    """Stamps a folder with the run it is for, or checks that it is this one's.

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
    there = path.read_text(encoding="utf-8")
    if there != stamp:
        changed = _changed(there, run)
        raise LratError(
            f"{folder}: expected checkpoints of this run, found those of one that differs in {', '.join(changed)}. "
            "Take another --work_dir, or remove this one."
        )


def _changed(there: str, run: Mapping[str, Any]) -> list[str]:
    try:
        other, own = json.loads(there), json.loads(json.dumps(run, default=str))
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
