"""Documents' vectors by the base model, to which an anchored loss holds the model in training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np
from sentence_transformers import SentenceTransformer

from lrat_hub.encoders import cut_to
from lrat_hub.errors import LratError
from lrat_hub.fitting.runs import processes
from lrat_hub.retrieval.dense import encode_documents
from lrat_hub.schema import Document

DOCUMENTS_AT_ONCE = 2_048
"""Documents whose texts are in memory together."""


class BaseVectors(Mapping[str, np.ndarray]):
    """Id to vector, shape (dim,), float32, out of memory-mapped files of 2 bytes per number.

    The id "" stands for no document and has zeros.

    Args:
        docids: In the order of the rows, process by process.
        parts: For each process, its rows.
    """

    def __init__(self, docids: Sequence[str], parts: Sequence[Path]) -> None:
        self._parts = parts
        self._positions = {docid: divmod(row, len(parts)) for row, docid in enumerate(docids)}
        self._open()

    def _open(self) -> None:
        self._rows = [np.load(part, mmap_mode="r", allow_pickle=False) for part in self._parts]

    def __getitem__(self, docid: str) -> np.ndarray:
        if not docid:
            return np.zeros(self._rows[0].shape[1], dtype=np.float32)
        row, part = self._positions[docid]
        return np.asarray(self._rows[part][row], dtype=np.float32)

    def __iter__(self) -> Iterator[str]:
        return iter(self._positions)

    def __len__(self) -> int:
        return len(self._positions)

    def __getstate__(self) -> dict[str, object]:
        # Workers of a data loader open the files themselves.
        return {name: value for name, value in self.__dict__.items() if name != "_rows"}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._open()


def encode_base(
    model: SentenceTransformer,
    documents: Mapping[str, Document],
    docids: Sequence[str],
    folder: Path,
    *,
    max_length: int = 0,
) -> BaseVectors:
    """Encodes documents with a model as it is now, each process its share.

    Args:
        folder: Where the vectors go; all processes have to see it.
        max_length: Tokens of a document, as they are cut in training; 0 for the model's limit.

    Raises:
        LratError: A vector is not finite, or too large for float16.
    """
    state = processes()
    folder.mkdir(parents=True, exist_ok=True)
    parts = [folder / f"base-{process}-of-{state.num_processes}.npy" for process in range(state.num_processes)]
    own = docids[state.process_index :: state.num_processes]
    shape = (len(own), cast(int, model.get_embedding_dimension()))
    vectors = np.lib.format.open_memmap(parts[state.process_index], "w+", dtype=np.float16, shape=shape)
    with cut_to(model, max_length):
        for start in range(0, len(own), DOCUMENTS_AT_ONCE):
            batch = [documents[docid] for docid in own[start : start + DOCUMENTS_AT_ONCE]]
            encoded = encode_documents(model, batch)
            if (largest := np.abs(encoded).max()) > np.finfo(np.float16).max:
                raise LratError(
                    f"Anchor: expected vectors whose numbers fit into float16, found {largest:.3g}. Train without the "
                    "anchor, or with a model that normalizes its vectors."
                )
            vectors[start : start + len(batch)] = encoded
    vectors.flush()
    state.wait_for_everyone()
    return BaseVectors(docids, parts)
