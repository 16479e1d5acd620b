"""Rows written to Arrow files as they come, tables out of records, and files that survive a power cut."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from lrat_hub.schema import Trajectory, trajectory_features

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset, Features

BATCH_ROWS = 1_000
BATCH_CHARACTERS = 1_000_000
"""Limits of a batch that waits in memory: rows can be a few numbers, or a trajectory of megabytes."""


def fsync_path(path: Path) -> None:
    """Make the content of a file, or what was made, renamed or removed in a folder, survive a power cut."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def trajectory_table(trajectories: Iterable[Trajectory]) -> Dataset:
    """A table of trajectories, in memory."""
    return table_of((trajectory.to_dict() for trajectory in trajectories), trajectory_features())


def table_of(rows: Iterable[dict[str, Any]], features: Features) -> Dataset:
    """A table of rows, in memory."""
    from datasets import Dataset

    rows = list(rows)
    # from_list takes the columns from the first row, which an empty table lacks.
    return (
        Dataset.from_list(rows, features=features)
        if rows
        else Dataset.from_dict({name: [] for name in features}, features=features)
    )


def rows_of(table: Dataset) -> Iterator[dict[str, Any]]:
    """The rows of a table as dicts by column.

    A `Dataset` leaves the type of its rows open, since it depends on the format that is set; a table without one has
    dicts.
    """
    return cast("Iterator[dict[str, Any]]", iter(table))


def write_trajectories(trajectories: Iterable[Trajectory], path: Path) -> Dataset:
    """Writes trajectories to an Arrow file as they come; see `write_table`."""
    return write_table((trajectory.to_dict() for trajectory in trajectories), trajectory_features(), path)


def write_table(rows: Iterable[Mapping[str, Any]], features: Features, path: Path) -> Dataset:
    """Writes rows to an Arrow file as they come, and opens it as a memory-mapped table.

    The file is written once and belongs to this call: unlike a `Dataset.from_generator`, nothing is looked up in a
    cache by a fingerprint that knows nothing of the files behind the generator.

    Args:
        path: The file to write; it must stay as long as the table is used.
    """
    with TableWriter(path, features) as writer:
        writer.write(rows)
    return writer.open()


class TableWriter:
    """Writes rows to an Arrow file in batches that are limited in rows and in characters. A context manager.

    Args:
        path: The file to write.
        schema: Columns and their types.
        random_access: Whether to write Arrow's file format, whose batches are found through a footer, in place of
            the stream format that `datasets` opens.
        batch_rows: Most rows of a batch; None for `BATCH_ROWS`. A batch also ends with the row that makes it longer
            than `BATCH_CHARACTERS`.
    """

    def __init__(
        self,
        path: Path,
        schema: Features | pa.Schema,
        *,
        random_access: bool = False,
        batch_rows: int | None = None,
    ) -> None:
        import pyarrow as pa

        self.path = path
        self.num_rows = 0
        self._schema: pa.Schema = schema if isinstance(schema, pa.Schema) else schema.arrow_schema
        self._batch_rows = BATCH_ROWS if batch_rows is None else batch_rows
        self._batch: list[Mapping[str, Any]] = []
        self._characters = 0
        self._stream = pa.OSFile(str(path), "wb")
        self._writer = (pa.ipc.new_file if random_access else pa.ipc.new_stream)(self._stream, self._schema)

    def write(self, rows: Iterable[Mapping[str, Any]]) -> None:
        for row in rows:
            self._batch.append(row)
            self._characters += _num_characters(row)
            if len(self._batch) >= self._batch_rows or self._characters > BATCH_CHARACTERS:
                self._flush()

    def close(self) -> None:
        """Writes what waits, and ends the file."""
        try:
            self._flush()
        finally:
            self._writer.close()
            self._stream.close()

    def open(self) -> Dataset:
        """The table, memory-mapped, once it is complete."""
        from datasets import Dataset

        return Dataset.from_file(str(self.path))

    def _flush(self) -> None:
        import pyarrow as pa

        if self._batch:
            self._writer.write_batch(pa.RecordBatch.from_pylist(self._batch, schema=self._schema))
            self.num_rows += len(self._batch)
            self._batch, self._characters = [], 0

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(self, exception: type[BaseException] | None = None, *_: object) -> None:
        if exception is not None:
            self._batch = []  # a file that was not completed needs no last rows, which may be what failed
        self.close()


def _num_characters(value: Any) -> int:
    """Characters of all texts in a value."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        return sum(map(_num_characters, value.values()))
    return sum(map(_num_characters, value)) if isinstance(value, (list, tuple)) else 0
