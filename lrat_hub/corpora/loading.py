"""Corpora and queries as the library takes them, by a reference or from a file."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from lrat_hub.corpora.collection import build_table
from lrat_hub.corpora.documents import read_documents
from lrat_hub.corpora.questions import read_queries
from lrat_hub.corpora.rows import as_path
from lrat_hub.documents import Documents
from lrat_hub.errors import LratError
from lrat_hub.hub.inputs import LocalSource, Source, load_table, resolve
from lrat_hub.ledger import Ledger


def load_corpus(source: Source | str | Path) -> Documents:
    """The documents of a corpus.

    Args:
        source: A Hub reference such as "datasets/me/wiki@revision#corpus:train", or its pin; a folder with a dataset;
            or a file of rows `docid, title, text` (JSONL, Parquet), also compressed.

    Raises:
        LratError: It can't be read, a document of a file can't be used, or an id occurs twice.
    """
    pin = _resolved(source)
    if not _is_file(pin):
        return Documents(load_table(pin, "corpus", config="corpus"))
    folder = tempfile.TemporaryDirectory(prefix="lrat-corpus-")
    ledger = Ledger("documents")
    try:
        table = build_table("documents", read_documents(pin, ledger), ledger, Path(folder.name) / "documents.arrow")
        _require_all(pin, ledger)
        documents = Documents(table)
    except BaseException:
        folder.cleanup()
        raise
    # The table is read from this folder as long as the documents are used.
    weakref.finalize(documents, folder.cleanup)
    return documents


def load_queries(source: Source | str | Path) -> dict[str, str]:
    """Query id to text, in the order of the source.

    Args:
        source: A Hub reference such as "datasets/me/wiki@revision#queries:test", or its pin; a folder with a dataset;
            or a file: JSONL or Parquet with `query_id, query`, or TSV without a header: id, text[, answer].

    Raises:
        LratError: It can't be read, a query of a file can't be used, or an id occurs twice.
    """
    pin = _resolved(source)
    ledger = Ledger("queries")
    rows: Iterable[Mapping[str, Any]]
    if _is_file(pin):
        rows = read_queries(pin, ledger)
    else:
        # The type of a table's rows is open; a table of queries has rows by column.
        rows = cast("Iterable[Mapping[str, Any]]", load_table(pin, "queries", config="queries"))
    queries: dict[str, str] = {}
    for row in rows:
        query_id, text = str(row["query_id"]), str(row["query"])
        if query_id in queries:
            raise LratError(f"{pin}: expected every query id once, found {query_id} repeated.")
        queries[query_id] = text
    _require_all(pin, ledger)
    return queries


def _resolved(source: Source | str | Path) -> Source:
    if isinstance(source, Path):
        source = str(source.expanduser().resolve())
    return resolve(as_path(source), repo_type="dataset") if isinstance(source, str) else source


def _is_file(source: Source) -> bool:
    return isinstance(source, LocalSource) and source.path.is_file()


def _require_all(source: Source, ledger: Ledger) -> None:
    if ledger.num_dropped:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in sorted(ledger.dropped.items()))
        raise LratError(
            f"{source}: expected {ledger.item} that can all be used, found others ({reasons}). "
            "Mend the file, or publish what can be used: lrat corpus"
        )
