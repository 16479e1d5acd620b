"""Trajectories into a table on disk, as they come."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from lrat_hub.schema import Trajectory, trajectory_features

if TYPE_CHECKING:
    from datasets import Dataset

ROWS_AT_A_TIME = 16
"""Rows that are in memory together: a trajectory can be megabytes."""


def write_table(trajectories: Iterable[Trajectory], folder: Path) -> Dataset:
    """A table of trajectories, memory-mapped from an Arrow file in a folder.

    The file is written once and belongs to this call: unlike a `Dataset.from_generator`, nothing is looked up in a
    cache by a fingerprint that knows nothing of the files behind the generator.
    """
    from datasets import Dataset
    from datasets.arrow_writer import ArrowWriter

    path = folder / "trajectories.arrow"
    with ArrowWriter(path=str(path), features=trajectory_features(), writer_batch_size=ROWS_AT_A_TIME) as writer:
        for trajectory in trajectories:
            writer.write(trajectory.to_dict())
        writer.finalize()
    return Dataset.from_file(str(path))
