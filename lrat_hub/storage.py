"""Rows written as Arrow as they come, tables out of records, and what is on the disk even after a power cut."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrat_hub.schema import Trajectory, trajectory_features

if TYPE_CHECKING:
    from datasets import Dataset, Features

ROWS_AT_A_TIME = 1_000


def fsync_path(path: Path) -> None:
    """Make the content of a file, or what was made, renamed or removed in a folder, survive a power cut."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def trajectory_table(trajectories: Iterable[Trajectory]) -> Dataset:
    """A config of trajectories."""
    return table_of((trajectory.to_dict() for trajectory in trajectories), trajectory_features())


def table_of(rows: Iterable[dict[str, Any]], features: Features) -> Dataset:
    from datasets import Dataset

    rows = list(rows)
    # from_list takes the columns from the first row, which an empty table lacks.
    return (
        Dataset.from_list(rows, features=features)
        if rows
        else Dataset.from_dict({name: [] for name in features}, features=features)
    )


class TableWriter:
    """Writes rows into an Arrow file, some at a time, and opens it as a memory-mapped table. A context manager.

    Args:
        path: A file that does not exist yet.
    """

    def __init__(self, path: Path, features: Features) -> None:
        import pyarrow as pa

        self.path, self._schema = path, features.arrow_schema
        self.num_rows = 0
        self._waiting: list[Mapping[str, Any]] = []
        self._stream = pa.OSFile(str(path), "wb")
        self._writer = pa.ipc.new_stream(self._stream, self._schema)

    def write(self, rows: Iterable[Mapping[str, Any]]) -> None:
        for row in rows:
            self._waiting.append(row)
            if len(self._waiting) >= ROWS_AT_A_TIME:
                self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._waiting:
            self._writer.write_table(pa.Table.from_pylist(self._waiting, schema=self._schema))
            self.num_rows += len(self._waiting)
            self._waiting = []

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._flush()
        self._writer.close()
        self._stream.close()

    def open(self) -> Dataset:
        """The table, once it is complete."""
        from datasets import Dataset

        return Dataset.from_file(str(self.path))
