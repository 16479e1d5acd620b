"""Ids of a corpus's documents in its order, in an Arrow file: what leads from an index's places back to documents."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import overload

from lrat_hub.errors import LratError
from lrat_hub.storage import TableWriter

BATCH_ROWS = 65_536


class DocidFile(Sequence[str]):
    """The ids that `write_docids` wrote, memory-mapped: a million of them cost no memory.

    Raises:
        LratError: The file is not such a file.
    """

    def __init__(self, path: Path) -> None:
        import pyarrow as pa

        try:
            table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
            self._column = table["docid"]
        except (OSError, pa.ArrowInvalid, KeyError) as error:
            raise LratError(
                f"{path.name}: expected an Arrow file of docids, found {error}. Build the index again."
            ) from error

    def __len__(self) -> int:
        return len(self._column)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, slice):
            return [self[at] for at in range(*place.indices(len(self)))]
        return self._column[int(place)].as_py()


def write_docids(path: Path, docids: Iterable[str]) -> int:
    """Writes ids to an Arrow file, batch by batch, and gives their number."""
    import pyarrow as pa

    schema = pa.schema({"docid": pa.large_string()})
    with TableWriter(path, schema, random_access=True, batch_rows=BATCH_ROWS) as writer:
        writer.write({"docid": docid} for docid in docids)
    return writer.num_rows
