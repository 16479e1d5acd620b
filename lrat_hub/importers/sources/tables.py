"""The rows of Parquet files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any

from lrat_hub.importers.sources.bounds import CHUNK, Budget, Damaged, in_bytes
from lrat_hub.importers.sources.containers import damage_named
from lrat_hub.ledger import Ledger

PARQUET_MAGIC = b"PAR1"
ROWS_AT_A_TIME = 8


def rows_of(file: IO[bytes], name: str, records: Ledger, budget: Budget) -> Iterator[tuple[int, Any]]:
    """The rows of a Parquet file with their numbers.

    Args:
        file: It is read out of order.
        name: Its name, for the examples in the account.
        records: Gets a drop for each row that can't be read.

    Raises:
        Damaged: The file can't be read from there on.
        BudgetExceeded: Its rows take too much more than the file.
    """
    import pyarrow
    import pyarrow.parquet

    limit, position = budget.limits.record, 0
    try:
        with damage_named():
            # A buffer lets pages be read one by one; without one, whole columns of a group of rows are.
            batches = pyarrow.parquet.ParquetFile(file, buffer_size=CHUNK).iter_batches(batch_size=ROWS_AT_A_TIME)
        while True:
            with damage_named():
                batch = next(batches, None)
            if batch is None:
                return
            # A dictionary holds a value once, which each of the rows then has.
            columns = [
                column.dictionary_decode() if pyarrow.types.is_dictionary(column.type) else column
                for column in batch.columns
            ]
            batch = pyarrow.RecordBatch.from_arrays(columns, names=batch.schema.names)
            budget.unpack(batch.nbytes)
            # Rows are made one by one only where one of them can't be.
            rows = _values(batch)
            for number in range(batch.num_rows):
                position += 1
                part = batch.slice(number, 1)
                row = rows[number] if rows is not None else (_values(part) or [None])[0]
                if row is None:
                    records.drop("row that can't be read", example=f"{name}/{position}")
                elif batch.nbytes > limit and part.nbytes > limit:
                    records.drop(f"record longer than {in_bytes(limit)}", example=f"{name}/{position}")
                else:
                    yield position, row
    except pyarrow.ArrowException as error:
        raise Damaged(str(error)) from error


def _values(batch: Any) -> list[Any] | None:
    """The rows of a batch, None when one of them can't be made, such as one with a date beyond those of Python."""
    try:
        return batch.to_pylist()
    except (ValueError, ArithmeticError):
        return None
