"""Corpora, queries and relevance judgements as the library takes them, by a reference or from a file."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from lrat_hub.corpora.collection import build_table
from lrat_hub.corpora.documents import read_documents
from lrat_hub.corpora.questions import read_qrels, read_queries
from lrat_hub.corpora.rows import as_path
from lrat_hub.documents import Documents
from lrat_hub.errors import LratError
from lrat_hub.hub.inputs import LocalSource, Source, load_table, resolve
from lrat_hub.hub.kinds import TableKind
from lrat_hub.ledger import Ledger
from lrat_hub.ledger.joins import require_once
from lrat_hub.obfuscation import plain_question


def load_corpus(source: Source | str | Path) -> Documents:
    """The documents of a corpus.

    Args:
        source: A Hub reference such as "datasets/me/wiki@revision#corpus:train", or its pin; a folder with a dataset;
            or a file of rows `docid, title, text` (JSONL, Parquet), also compressed.

    Raises:
        LratError: It can't be read or is empty, a document of a file can't be used, or an id occurs twice.
    """
    pin = _resolved(source)
    if not _is_file(pin):
        return Documents(load_table(pin, "corpus", config="corpus"))
    folder = tempfile.TemporaryDirectory(prefix="lrat-corpus-")
    ledger = Ledger("documents")
    try:
        table = build_table("documents", read_documents(pin, ledger), ledger, Path(folder.name) / "documents.arrow")
        _require_all(pin, ledger, table.num_rows)
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
        LratError: It can't be read or is empty, a query of a file can't be used, or an id occurs twice.
    """
    return {query_id: text for query_id, (text, _) in load_questions(source).items()}


def load_questions(source: Source | str | Path) -> dict[str, tuple[str, str | None]]:
    """Query id to text and answer, which is None where the source has none; see `load_queries`."""
    return {row["query_id"]: (row["query"], row["answer"]) for row in load_question_rows(source)}


def load_question_rows(source: Source | str | Path) -> list[dict[str, Any]]:
    """Rows `query_id, query, answer, canary` of questions, whose texts are plain; see `load_queries`.

    `canary` is that of questions that are published obfuscated, and None for others.
    """
    pin = _resolved(source)
    ledger = Ledger("queries")
    from_file = _is_file(pin)
    given = map(plain_question, read_queries(pin, ledger)) if from_file else _table_rows(pin, "queries", "queries")
    rows = [
        {
            "query_id": str(row["query_id"]),
            "query": str(row["query"]),
            "answer": None if row.get("answer") is None else str(row["answer"]),
            "canary": row.get("canary"),
        }
        for row in given
    ]
    _require_all(pin, ledger, len(rows))
    require_once([row["query_id"] for row in rows], what=str(pin), name="query id")
    return rows


def load_qrels(source: Source | str | Path, *, config: str = "qrels_evidence") -> dict[str, dict[str, int]]:
    """Query id to docid to relevance grade; 0 and less is not relevant.

    Args:
        source: A Hub reference such as "datasets/me/wiki@revision#qrels_gold:test", or its pin; a folder with a
            dataset; or a file: JSONL or Parquet with `query_id, docid, relevance`, TREC's four fields a line, or
            BEIR's TSV with a header.
        config: The config of a dataset, where the source names none.

    Raises:
        LratError: It can't be read or is empty, a judgement of a file can't be used, or a document has two grades for
            a query.
    """
    pin = _resolved(source)
    ledger = Ledger("judgements")
    qrels: dict[str, dict[str, int]] = {}
    for row in read_qrels(pin, ledger) if _is_file(pin) else _table_rows(pin, "qrels", config):
        query_id, docid, grade = row["query_id"], row["docid"], row["relevance"]
        if (before := qrels.setdefault(query_id, {}).setdefault(docid, grade)) != grade:
            raise LratError(
                f"{pin}: expected one grade for each document of a query, found {before} and {grade} for document "
                f"{docid} of query {query_id}. Leave one of them out."
            )
    _require_all(pin, ledger, len(qrels))
    return qrels


def _table_rows(source: Source, kind: TableKind, config: str) -> Iterable[Mapping[str, Any]]:
    # The type of a dataset's rows is open; those of a checked table are by column.
    return cast("Iterable[Mapping[str, Any]]", load_table(source, kind, config=config))


def _resolved(source: Source | str | Path) -> Source:
    if isinstance(source, Path):
        source = str(source.expanduser().resolve())
    return resolve(as_path(source), repo_type="dataset") if isinstance(source, str) else source


def _is_file(source: Source) -> bool:
    return isinstance(source, LocalSource) and source.path.is_file()


def _require_all(source: Source, ledger: Ledger, num_used: int) -> None:
    """Refuses a source of which something can't be used, and one that holds nothing."""
    if ledger.num_dropped:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in sorted(ledger.dropped.items()))
        raise LratError(
            f"{source}: expected {ledger.item} that can all be used, found others ({reasons}). "
            "Correct the file, or publish what can be used: lrat corpus"
        )
    if not num_used:
        raise LratError(f"{source}: expected {ledger.item}, found none.")
