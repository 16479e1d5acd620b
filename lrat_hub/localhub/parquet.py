"""Rows of Parquet files, for the pages: read by a process of its own, `python -m lrat_hub.localhub.parquet`.

What others push is not read by the server itself: a file that is made to take all memory, or to crash its reader,
ends this process. It takes a question as a line of JSON and answers with another one:

    {"files": [path, ...], "start": row, "count": rows, "search": text or null}
    {"total": rows, "columns": [{"name", "type"}], "width": number of all columns, "rows": [[row, {column: value}]],
     "next": row or null, "read": [numbers of the files whose rows it has looked at]}

The files are the shards of one split, in order; one is open at a time, as there may be thousands. A search looks at
as many rows as it can in some time: `next` says where to go on; null that there are no more.
"""

from __future__ import annotations

import contextlib
import json
import math
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrat_hub.localhub.protocol import HubError

if TYPE_CHECKING:
    import pyarrow as pa

MEMORY_BYTES = 6 * 1024**3
READ_SECONDS = 20
SEARCH_SECONDS = 4.0
BATCH_ROWS = 64
COLUMNS_MAX = 200
# What a page can show of a value. Longer ones are in the file.
TEXT_MAX_CHARS = 20_000
ITEMS_MAX = 200
ANSWER_MAX_BYTES = 32 * 1024 * 1024
# Of these processes at once, and of requests that may wait for one: each holds a thread of the server.
_turns = threading.BoundedSemaphore(2)
PLACES = 12
_places = threading.BoundedSemaphore(PLACES)


def read_rows(files: Sequence[Path], start: int, count: int, search: str | None = None) -> dict[str, Any]:
    """Ask a process for rows of a split.

    Raises:
        HubError: 422 if the files are no Parquet that can be read within the limits, 503 if too many ask at once.
    """
    question = {"files": [str(path) for path in files], "start": start, "count": count, "search": search}
    command = [sys.executable, "-m", "lrat_hub.localhub.parquet"]
    with _turn():
        try:
            done = subprocess.run(
                command, input=json.dumps(question).encode(), capture_output=True, timeout=READ_SECONDS
            )
        except subprocess.TimeoutExpired:
            raise HubError(422, f"These rows can't be read within {READ_SECONDS} seconds: download the file") from None
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        answer = {"error": f"its reader ended with status {done.returncode}"}
    if "error" in answer:
        raise HubError(422, f"These rows can't be read: {answer['error']}")
    return answer


@contextlib.contextmanager
def _turn() -> Iterator[None]:
    if not _places.acquire(blocking=False):
        raise HubError(503, "Too many look at rows at once: try again in a minute", headers={"Retry-After": "60"})
    try:
        with _turns:
            yield
    finally:
        _places.release()


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (READ_SECONDS, READ_SECONDS))
    question = json.loads(sys.stdin.readline())
    try:
        answer = _answer(**question)
    except Exception as error:
        # Whatever a file made its reader raise: the page shows it in place of rows.
        answer = {"error": " ".join(str(error).split())[:300]}
    text = json.dumps(answer)
    if len(text) > ANSWER_MAX_BYTES:
        text = json.dumps({"error": "they are too long for a page: download the file"})
    sys.stdout.write(text)


def _answer(files: list[str], start: int, count: int, search: str | None) -> dict[str, Any]:
    import pyarrow.parquet as pq

    schema = pq.read_schema(files[0])
    names = schema.names[:COLUMNS_MAX]
    if twice := next((name for name in names if schema.names.count(name) > 1), None):
        raise ValueError(f"expected columns with different names, found {twice[:100]!r} twice")
    columns = [{"name": name, "type": str(schema.field(name).type)[:300]} for name in names]
    lengths = [pq.read_metadata(path).num_rows for path in files]
    total, read = sum(lengths), set[int]()
    end = time.monotonic() + SEARCH_SECONDS
    rows: list[tuple[int, dict[str, Any]]] = []
    reached = start
    for number, first, batch in _batches(files, lengths, names, start):
        read.add(number)
        chosen = range(batch.num_rows) if search is None else _matches(batch, search)
        for place in chosen:
            if first + place < start:
                continue
            if len(rows) == count:
                reached = first + place
                break
            rows.append((first + place, {name: _value(batch.column(name), place) for name in names}))
        else:
            reached = first + batch.num_rows
            if len(rows) < count and time.monotonic() < end:
                continue
        break
    more = reached if reached < total else None
    return {
        "total": total,
        "columns": columns,
        "width": len(schema.names),
        "rows": rows,
        "next": more,
        "read": sorted(read),
    }


def _batches(
    files: Sequence[str], lengths: Sequence[int], names: list[str], start: int
) -> Iterator[tuple[int, int, pa.RecordBatch]]:
    """The batches from that which has a row, each with the number of its file and that of its first row."""
    import pyarrow.parquet as pq

    first = 0
    for number, path in enumerate(files):
        if first + lengths[number] <= start:
            first += lengths[number]
            continue
        with pq.ParquetFile(path, pre_buffer=False) as file:
            if missing := [name for name in names if name not in file.schema_arrow.names]:
                raise ValueError(
                    f"shard {number + 1} of {len(files)} lacks the column {missing[0][:100]!r} of the first"
                )
            for group in range(file.metadata.num_row_groups):
                length = file.metadata.row_group(group).num_rows
                if first + length > start:
                    place = first
                    for batch in file.iter_batches(BATCH_ROWS, row_groups=[group], columns=names, use_threads=False):
                        if place + batch.num_rows > start:
                            yield number, place, batch
                        place += batch.num_rows
                first += length


def _matches(batch: pa.RecordBatch, search: str) -> list[int]:
    """The rows in which some text, however deep, has what is looked for."""
    pc = _compute()
    found: set[int] = set()
    for column in batch.columns:
        found.update(pc.indices_nonzero(pc.fill_null(_contains(column, search), False)).to_pylist())
    return sorted(found)


def _compute() -> Any:
    """The functions of pyarrow, which are made when it is imported, so that no type checker knows them."""
    import pyarrow.compute

    return pyarrow.compute


def _contains(column: pa.Array, search: str) -> pa.Array:
    import numpy as np
    import pyarrow as pa

    pc = _compute()
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return pc.match_substring(column, search, ignore_case=True)
    if pa.types.is_dictionary(kind):
        return _contains(column.dictionary_decode(), search)
    if pa.types.is_struct(kind):
        found = np.zeros(len(column), bool)
        for child in column.flatten():
            found |= pc.fill_null(_contains(child, search), False).to_numpy(zero_copy_only=False)
        return pa.array(found)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        inside = pc.fill_null(_contains(column.flatten(), search), False).to_numpy(zero_copy_only=False)
        found = np.zeros(len(column), bool)
        found[pc.list_parent_indices(column).to_numpy()[inside]] = True
        return pa.array(found)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return pc.match_substring(pc.cast(column, pa.string()), search)
    # Whatever else there is, as the page shows it. The bytes of binaries are not shown.
    shown = (json.dumps(_value(column, place), ensure_ascii=False).lower() for place in range(len(column)))
    return pa.array([search.lower() in text for text in shown] if not _is_binary(kind) else [False] * len(column))


def _is_binary(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)


def _value(column: pa.Array, place: int) -> Any:
    """A value as a page can show it; one that Python has nothing for hides no others."""
    try:
        return _shown(column[place].as_py())
    except Exception as error:
        return f"(can't be shown: {' '.join(str(error).split())[:200]})"


def _shown(value: Any, depth: int = 0) -> Any:
    """A value as a page can show it."""
    if isinstance(value, dict) and depth < 8:
        return {str(key): _shown(item, depth + 1) for key, item in list(value.items())[:ITEMS_MAX]}
    if isinstance(value, list | tuple) and depth < 8:
        return [_shown(item, depth + 1) for item in value[:ITEMS_MAX]]
    if isinstance(value, bytes):
        return f"({len(value)} bytes)"
    if isinstance(value, int | float | bool | None):
        return str(value) if isinstance(value, float) and not math.isfinite(value) else value
    text = str(value)
    return text if len(text) <= TEXT_MAX_CHARS else f"{text[:TEXT_MAX_CHARS]} (and {len(text) - TEXT_MAX_CHARS} more)"


if __name__ == "__main__":
    main()
