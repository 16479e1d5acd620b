"""Documents by id, and rows by key, out of memory-mapped tables: 16 bytes of memory a row, whatever its text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from lrat_hub.errors import LratError
from lrat_hub.ledger.joins import EXAMPLES, Join, near_miss, require_match
from lrat_hub.schema import Document

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

BATCH_ROWS = 1_000

COMPARED_IDS = 200_000
"""How many ids of a corpus are looked at for the reason why those of others don't match."""


class RowIndex:
    """Finds rows of a table by the values of some columns, without keeping these values.

    A sorted array of 64-bit hashes leads to the rows that may have a key, and the table itself says whether they do:
    hashes that collide cost a look, never a wrong answer. Reading is safe from several threads.

    Args:
        table: Any table; it stays memory-mapped.
        columns: The columns that make the key.
    """

    def __init__(self, table: Dataset, *columns: str) -> None:
        self._table, self._columns = table, columns
        self._keys = table.select_columns(list(columns)).with_format("arrow")
        hashes = np.empty(len(table), dtype=np.int64)
        for start, batch in zip(range(0, len(table), BATCH_ROWS), _batches(self._keys), strict=True):
            hashes[start : start + len(batch)] = [_hash(key) for key in _key_rows(batch)]
        # Stable, so that rows with one key stay in the table's order.
        self._rows = np.argsort(hashes, kind="stable")
        self._hashes = hashes[self._rows]

    def __reduce__(self) -> tuple[object, ...]:
        # Python salts its hashes differently in every process: an index is made again where it is unpickled.
        return (type(self), (self._table, *self._columns))

    def candidates(self, *key: object) -> Iterator[int]:
        """Rows that may have this key, ascending: those with its hash."""
        hashed = _hash(key)
        index = int(np.searchsorted(self._hashes, hashed))
        while index < len(self._hashes) and self._hashes[index] == hashed:
            yield int(self._rows[index])
            index += 1

    def find(self, *key: object) -> int | None:
        """The first row with this key, or None."""
        return next((row for row in self.candidates(*key) if next(_key_rows(_rows(self._keys, row))) == key), None)

    def find_all(self, keys: Sequence[tuple[object, ...]]) -> list[int | None]:
        """As `find` for each key: one look into the table for all of them, as hashes hardly ever collide."""
        results: list[int | None] = [None] * len(keys)
        likely, rows = self.likely(keys)
        read = _key_rows(_rows(self._keys, rows)) if len(rows) else ()
        for number, row, actual in zip(likely, rows, read, strict=True):
            results[number] = int(row) if actual == keys[number] else self.find(*keys[number])
        return results

    def likely(self, keys: Sequence[tuple[object, ...]]) -> tuple[list[int], np.ndarray]:
        """Positions of the keys whose hash a row has, and the first such row of each, which may have another key."""
        if not keys or not len(self._hashes):
            return [], self._rows[:0]
        hashed = np.array([_hash(key) for key in keys], dtype=np.int64)
        indices = np.minimum(np.searchsorted(self._hashes, hashed), len(self._hashes) - 1)
        likely = np.flatnonzero(self._hashes[indices] == hashed).tolist()
        return likely, self._rows[indices[likely]]

    def repeated(self) -> np.ndarray:
        """Rows whose key an earlier row has, ascending, int64."""
        same = self._hashes[1:] == self._hashes[:-1]
        suspects = (
            np.sort(self._rows[np.append(same, False) | np.append(False, same)]) if len(same) else self._rows[:0]
        )
        seen: set[tuple[object, ...]] = set()
        repeated = []
        for start in range(0, len(suspects), BATCH_ROWS):
            rows = suspects[start : start + BATCH_ROWS]
            for row, key in zip(rows, _key_rows(_rows(self._keys, rows)), strict=True):
                if key in seen:
                    repeated.append(row)
                seen.add(key)
        return np.array(repeated, dtype=np.int64)


SomeDocuments = Iterable[Document] | Mapping[str, Document]
"""A corpus as `load_corpus` gives it, or any documents."""


def documents_of(documents: SomeDocuments) -> Iterator[Document]:
    """Documents one by one, of a corpus as `load_corpus` gives it or of any documents.

    Raises:
        LratError: One of them is something else, such as a text.
    """
    values: Iterable[object] = documents
    if isinstance(documents, Documents):
        values = documents.in_order()
    elif isinstance(documents, Mapping):
        values = documents.values()
    for document in values:
        if not isinstance(document, Document):
            raise LratError(
                f"Retriever: expected documents, found {document!r:.80}. Give what `load_corpus` gives, or a list of "
                "`Document`."
            )
        yield document


def _hash(key: tuple[object, ...]) -> int:
    return hash(key)


def _batches(table: Dataset) -> Iterator[pa.Table]:
    """A table with the format "arrow" in batches, which its types say nothing of."""
    return cast("Iterator[pa.Table]", table.iter(BATCH_ROWS))


def _rows(table: Dataset, rows: Any) -> pa.Table:
    """One row or several of a table with the format "arrow"; arrays of numbers are rows, too."""
    return cast("pa.Table", table[rows])


def _key_rows(batch: pa.Table) -> Iterator[tuple[object, ...]]:
    return zip(*(column.to_pylist() for column in batch.columns), strict=True)


class Documents(Mapping[str, Document]):
    """A corpus table as documents: looked up by id, read from memory-mapped Arrow when they are asked for.

    Safe to read from several threads, and cheap to send to another process: the table goes there by its path.

    Args:
        table: A table of kind "corpus" or "documents".

    Raises:
        LratError: An id occurs twice.
    """

    def __init__(self, table: Dataset) -> None:
        self._table = table.select_columns(["docid", "title", "text"]).with_format("arrow")
        self._index = RowIndex(self._table, "docid")
        if repeated := len(self._index.repeated()):
            rows = _rows(self._table.select_columns("docid"), self._index.repeated()[:EXAMPLES])
            examples = set(rows["docid"].to_pylist())
            raise LratError(
                f"Corpus: expected every docid once, found {repeated} repeated: "
                f"{', '.join(map(repr, sorted(examples)))}{' ...' if repeated > len(examples) else ''}."
            )

    def __repr__(self) -> str:
        first = ", ".join(map(repr, islice(self, EXAMPLES)))
        return f"Documents({len(self)} documents: {first}{', ...' if len(self) > EXAMPLES else ''})"

    def __getitem__(self, docid: str) -> Document:
        # The document is read once, and says itself whether it is the one.
        for row in self._index.candidates(docid):
            document = next(_documents(_rows(self._table, row)))
            if document.docid == docid:
                return document
        raise KeyError(docid)

    def find_all(self, docids: Sequence[str]) -> list[Document | None]:
        """The documents with these ids, None for each that there is not: one look into the table for all of them."""
        found: list[Document | None] = [None] * len(docids)
        likely, rows = self._index.likely([(docid,) for docid in docids])
        for number, document in zip(likely, self.at(rows), strict=True):
            found[number] = document if document.docid == docids[number] else self.get(docids[number])
        return found

    def __contains__(self, docid: object) -> bool:
        return self._index.find(docid) is not None

    def __iter__(self) -> Iterator[str]:
        for batch in _batches(self._table.select_columns("docid")):
            yield from batch["docid"].to_pylist()

    def __len__(self) -> int:
        return len(self._table)

    def row(self, docid: str) -> int:
        """The document's row in the table. Raises KeyError when there is none."""
        row = self._index.find(docid)
        if row is None:
            raise KeyError(docid)
        return row

    def table(self, docids: Sequence[str]) -> Dataset:
        """The rows of these documents as a table, in the order of the ids, without reading their texts.

        Raises:
            KeyError: The corpus lacks one of them.
        """
        rows: list[int | None] = []
        for start in range(0, len(docids), BATCH_ROWS):
            rows += self._index.find_all([(docid,) for docid in docids[start : start + BATCH_ROWS]])
        if None in rows:
            raise KeyError(docids[rows.index(None)])
        return self._table.with_format(None).select(rows)

    def match(self, docids: Iterable[str], *, name: str, what: str, require: bool = True) -> Join:
        """Matches ids of documents with this corpus.

        Args:
            name: What the ids are of, in the plural: "relevant documents".
            what: What is joined, the start of an error.
            require: Whether to raise when none of them is here.

        Raises:
            LratError: None of them is here.
        """
        wanted = list(dict.fromkeys(docids))
        strays: list[str] = []
        for start in range(0, len(wanted), BATCH_ROWS):
            batch = wanted[start : start + BATCH_ROWS]
            rows = self._index.find_all([(docid,) for docid in batch])
            strays += [docid for docid, row in zip(batch, rows, strict=True) if row is None]
        own = list(islice(self, COMPARED_IDS)) if strays else []
        join = Join(
            name,
            "documents of the corpus",
            len(wanted),
            len(self),
            len(wanted) - len(strays),
            tuple(strays[:EXAMPLES]),
            tuple(own[:EXAMPLES]) if len(strays) == len(wanted) else (),
            near_miss(strays, own),
            is_lookup=True,
        )
        return require_match(join, what=what) if require else join

    def part(self, rows: Sequence[int]) -> Documents:
        """The documents in these rows as documents of their own."""
        return Documents(self._table.with_format(None).select(rows))

    def at(self, rows: Sequence[int] | np.ndarray) -> list[Document]:
        """The documents in these rows of the table."""
        return list(_documents(_rows(self._table, rows))) if len(rows) else []

    def in_order(self) -> Iterator[Document]:
        """All documents in the corpus's order, which decides ties."""
        return (document for batch in _batches(self._table) for document in _documents(batch))


def _documents(batch: pa.Table) -> Iterator[Document]:
    columns = (batch[name].to_pylist() for name in ("docid", "title", "text"))
    return (Document(docid, title or "", text or "") for docid, title, text in zip(*columns, strict=True))
