"""A flat FAISS index that is written to its file as vectors are read: memory holds a block of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

BLOCK = 16_384
"""Vectors that are written at once."""


def write_flat_index(path: Path, shards: Sequence[np.ndarray]) -> None:
    """Writes what `faiss.write_index` writes of the flat index of `build_index`, to the byte.

    FAISS's file is a header with the number of vectors, the number of what it counts codes in, and the vectors as they
    are in memory: of float32 those are numbers, of float16 bytes.

    Args:
        path: Is written anew.
        shards: Vectors in the order of the corpus, each of shape (documents, dimension) and of one type: float16, or
            another, which is stored as float32.
    """
    import faiss

    (dimension,) = {shard.shape[1] for shard in shards}
    (dtype,) = {shard.dtype for shard in shards}
    half = dtype == np.float16
    # FAISS's file is one of machines whose numbers begin with their last byte.
    stored = np.dtype("<f2" if half else "<f4")
    empty = faiss.index_factory(dimension, "SQfp16" if half else "Flat", faiss.METRIC_INNER_PRODUCT)
    header = faiss.serialize_index(empty)
    count = sum(map(len, shards))
    # Behind the four letters of its kind and the dimension, and at the end.
    header[8:16] = np.frombuffer(np.int64(count).tobytes(), np.uint8)
    header[-8:] = np.frombuffer(np.int64(count * dimension * (2 if half else 1)).tobytes(), np.uint8)
    with path.open("wb") as file:
        header.tofile(file)
        for shard in shards:
            for start in range(0, len(shard), BLOCK):
                np.ascontiguousarray(shard[start : start + BLOCK], stored).tofile(file)
