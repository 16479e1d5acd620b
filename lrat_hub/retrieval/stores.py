"""Vectors in a LanceDB table, in a folder, or in a bucket that many machines read, instead of files of the index."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lrat_hub.errors import LratError
from lrat_hub.hub.inputs import first_line
from lrat_hub.retrieval.settings import IndexSettings
from lrat_hub.retrieval.vectors import ivf_lists, ivf_probes

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIX = ".lance"
MIN_PARTITION = 256


class LanceVectors:
    """A version of a LanceDB table of vectors, with those methods of a FAISS index that `VectorIndex` calls.

    LanceDB finds candidates by its own index of clusters and codes (IVF-PQ), and `VectorIndex` scores their vectors.

    Args:
        uri: The table, as FOLDER/NAME.lance or s3://BUCKET/FOLDER/NAME.lance.
        version: The table's version, which later changes leave as it is.
        probes: Clusters searched per query.
        candidates: Documents that are found for a query, whatever is asked for.

    Raises:
        LratError: LanceDB is not installed, or there is no such table or version.
    """

    def __init__(self, uri: str, version: int, *, probes: int, candidates: int) -> None:
        folder, name = table_of(uri)
        try:
            self._table = _connect(folder).open_table(name)
            self._table.checkout(version)
        except (OSError, RuntimeError, ValueError) as error:
            raise LratError(
                f"{uri}: expected version {version} of a LanceDB table, found none: {first_line(error)[:200]}. Is it "
                "reached from this machine? Else build the index again."
            ) from error
        self._probes, self.candidates = probes, candidates
        self.ntotal: int = self._table.count_rows()
        self.d: int = self._table.schema.field("vector").type.list_size

    @property
    def num_bytes(self) -> int:
        """Bytes of the table and its index."""
        indexes = sum(one.size_bytes or 0 for one in self._table.list_indices())
        return int(self._table.stats()["total_bytes"]) + indexes

    def search(self, vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """LanceDB's estimated scores, and positions, of the `k` best for each query; -1 where there are fewer."""
        scores = np.full((len(vectors), k), -np.inf, dtype=np.float32)
        positions = np.full((len(vectors), k), -1, dtype=np.int64)
        for row, vector in enumerate(vectors):
            search = self._table.search(vector, vector_column_name="vector").distance_type("dot")
            found = search.nprobes(self._probes).limit(k).select(["position", "_distance"]).to_arrow()
            scores[row, : len(found)] = 1 - found["_distance"].to_numpy()
            positions[row, : len(found)] = found["position"].to_numpy()
        return scores, positions

    def reconstruct_batch(self, positions: np.ndarray) -> np.ndarray:
        """The vectors at these positions in the corpus, shape (positions, dimension), float32."""
        # Rows come in the order of the table, whatever is asked for.
        ordered, where = np.unique(positions, return_inverse=True)
        rows = self._table.take_offsets(ordered.tolist()).select(["vector"]).to_arrow()["vector"]
        return rows.combine_chunks().flatten().to_numpy().reshape(-1, self.d).astype(np.float32)[where]


def require_new_table(uri: str) -> None:
    """Raises LratError when LanceDB is not installed, or there is a table by that name already."""
    folder, name = table_of(uri)
    try:
        _connect(folder).open_table(name)
    except ValueError:
        return
    raise LratError(f"`store` {uri}: expected no table there yet, found one. Name another, or remove it.")


def write_table(uri: str, shards: Sequence[np.ndarray], settings: IndexSettings, docids: Iterable[str]) -> int:
    """Writes vectors as a table with the columns `docid`, `position` and `vector`, and its index; gives its version.

    Args:
        shards: Vectors in the order of the corpus, each of shape (documents, dimension), float32 or float16.
        docids: Ids of the documents, in that order.

    Raises:
        LratError: There is such a table, or LanceDB is not installed.
    """
    import pyarrow as pa
    from lancedb.index import IvfPq

    require_new_table(uri)
    folder, name = table_of(uri)
    count, dimension = sum(len(shard) for shard in shards), shards[0].shape[1]
    number = pa.float16() if shards[0].dtype == np.float16 else pa.float32()
    schema = pa.schema({"docid": pa.large_string(), "position": pa.int64(), "vector": pa.list_(number, dimension)})
    rows = pa.RecordBatchReader.from_batches(schema, _batches(shards, iter(docids), schema))
    table = _connect(folder).create_table(name, data=rows, schema=schema)
    table.create_index(
        "vector",
        config=IvfPq(
            distance_type="dot",
            num_partitions=lists_of(count, settings),
            num_sub_vectors=settings.code_bytes(dimension),
        ),
    )
    return int(table.version)


def lists_of(count: int, settings: IndexSettings) -> int:
    """Number of clusters of a table of so many documents; LanceDB makes no more than one for 256 of them."""
    return min(ivf_lists(count, settings), count // MIN_PARTITION)


def probes_of(count: int, settings: IndexSettings) -> int:
    """Clusters that are searched per query in a table of so many documents."""
    return ivf_probes(lists_of(count, settings), settings)


def table_of(uri: str) -> tuple[str, str]:
    """Folder and name of a table.

    Raises:
        LratError: It is named in another way.
    """
    folder, _, name = uri.rpartition("/")
    if not folder or not name.endswith(SUFFIX) or name == SUFFIX:
        raise LratError(f"`store` {uri!r}: expected a LanceDB table as /FOLDER/NAME.lance or s3://BUCKET/NAME.lance.")
    return (folder if "://" in folder else str(Path(folder).expanduser().absolute())), name.removesuffix(SUFFIX)


def _connect(folder: str) -> Any:
    try:
        import lancedb
    except ImportError as error:
        raise LratError(
            'LanceDB: expected to be installed, found no package lancedb. pip install "lrat-hub[lancedb]"'
        ) from error
    return lancedb.connect(folder)


def _batches(shards: Sequence[np.ndarray], docids: Iterator[str], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    start = 0
    for shard in shards:
        names = [docid for _, docid in zip(range(len(shard)), docids, strict=False)]
        numbers = pa.array(np.ascontiguousarray(shard).ravel())
        vectors = pa.FixedSizeListArray.from_arrays(numbers, shard.shape[1])
        positions = np.arange(start, start + len(shard))
        yield pa.record_batch([pa.array(names, pa.large_string()), pa.array(positions), vectors], schema=schema)
        start += len(shard)
