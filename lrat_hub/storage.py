"""Rows written to Arrow files as they come, tables out of records, and files that survive a power cut."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, chain
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from lrat_hub.schema import Trajectory, trajectory_features

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset, Features

BATCH_ROWS = 1_000
BATCH_CHARACTERS = 1_000_000
"""Limits of a batch that waits in memory: rows can be a few numbers, or a trajectory of megabytes."""


ROW_GROUP_BYTES = 16_000_000
"""Uncompressed size from which a row group of a Parquet file that is written as rows come is full."""


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


def trajectory_batch(trajectories: Iterable[Trajectory], schema: pa.Schema) -> pa.RecordBatch:
    """Trajectories as a batch of rows.

    Args:
        schema: That of `trajectory_features`.
    """
    import pyarrow as pa

    records = list(trajectories)
    if any(record.canary is not None for record in records):
        return pa.RecordBatch.from_pylist([record.to_dict() for record in records], schema=schema)
    return pa.RecordBatch.from_arrays([_column(records, column) for column in schema], schema=schema)


def _column(records: Sequence[Any], column: pa.Field) -> pa.Array:
    """A column of records that have it as an attribute. Built column by column, without a dict for each record."""
    return _array(list(map(attrgetter(column.name), records)), column.type)


def _array(values: Sequence[Any], type: pa.DataType) -> pa.Array:
    import pyarrow as pa

    if pa.types.is_list(type):
        offsets = pa.array([0, *accumulate(map(len, values))], pa.int32())
        return pa.ListArray.from_arrays(offsets, _array(list(chain.from_iterable(values)), type.value_type), type=type)
    if pa.types.is_struct(type):
        return pa.StructArray.from_arrays([_column(values, column) for column in type], fields=list(type))
    return pa.array(values, type)


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
            self._characters += num_characters(row)
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


class ParquetWriter:
    """Writes batches of rows to Parquet files as they come, as `Dataset.to_parquet` writes them. A context manager.

    What memory holds is one row group, whatever is written altogether.

    Args:
        folder: Where the files go.
        features: Columns and their types.
        rows_per_file: A file that has as many rows gets no further batch.
    """

    def __init__(self, folder: Path, features: Features, *, rows_per_file: int = 500_000) -> None:
        self.paths: list[Path] = []
        self.num_rows = 0
        self._folder = folder
        self._schema: pa.Schema = features.arrow_schema
        self._rows_per_file = rows_per_file
        self._writer: Any = None
        self._rows_in_file = 0
        self._waiting: list[pa.RecordBatch] = []
        self._bytes_waiting = 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Writes a batch, which has the columns of the features."""
        self._waiting.append(batch)
        self._bytes_waiting += batch.nbytes
        self.num_rows += batch.num_rows
        self._rows_in_file += batch.num_rows
        if self._bytes_waiting >= ROW_GROUP_BYTES:
            self._flush()
        if self._rows_in_file >= self._rows_per_file:
            self._close_file()

    def close(self) -> None:
        """Writes what waits, and ends the last file; there is one even when there are no rows."""
        if self._waiting or not self.paths:
            self._flush()
        self._close_file()

    def _flush(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq
        from datasets import config

        if self._writer is None:
            self.paths.append(self._folder / f"{len(self.paths):05d}.parquet")
            chunking: Any = config.DEFAULT_CDC_OPTIONS  # typed as bool, documented to take a dict
            self._writer = pq.ParquetWriter(
                self.paths[-1], self._schema, use_content_defined_chunking=chunking, write_page_index=True
            )
        table = pa.Table.from_batches(self._waiting, self._schema)
        self._waiting, self._bytes_waiting = [], 0
        self._writer.write_table(table, row_group_size=max(1, len(table)))

    def _close_file(self) -> None:
        if self._waiting:
            self._flush()
        if self._writer is not None:
            self._writer.close()
        self._writer, self._rows_in_file = None, 0

    def __enter__(self) -> ParquetWriter:
        return self

    def __exit__(self, exception: type[BaseException] | None = None, *_: object) -> None:
        if exception is not None:
            self._waiting = []
            self._close_file()
        else:
            self.close()


def num_characters(value: Any) -> int:
    """Characters of all texts in a value."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        return sum(map(num_characters, value.values()))
    return sum(map(num_characters, value)) if isinstance(value, (list, tuple)) else 0
