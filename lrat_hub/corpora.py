"""Corpora, questions and relevance judgements out of files, with an account of what could not be used."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lrat_hub.errors import LratError
from lrat_hub.ledger import Ledger


def read_documents(path: Path, ledger: Ledger) -> Iterator[dict[str, str]]:
    """Rows `docid, title, text` of a JSONL file; ids may be called `docid`, `id` or `_id`, texts `text` or `contents`.

    Rows without an id or text, with an id that came before, or that are not JSON objects in UTF-8 are dropped.
    """
    seen: set[str] = set()
    for line in _lines(path):
        try:
            row = json.loads(line)
        except ValueError:
            ledger.drop("not JSON in UTF-8")
            continue
        if not isinstance(row, dict):
            ledger.drop("not a JSON object")
            continue
        docid, text = _first(row, "docid", "id", "_id"), _first(row, "text", "contents")
        if docid is None or not str(text or "").strip():
            ledger.drop("no id" if docid is None else "empty text")
        elif str(docid) in seen:
            ledger.drop("duplicate id")
        else:
            seen.add(str(docid))
            ledger.keep()
            yield {"docid": str(docid), "title": str(row.get("title") or ""), "text": str(text)}


def read_queries(path: Path, ledger: Ledger) -> Iterator[dict[str, str | None]]:
    """Rows `query_id, query, answer, question_id` of a TSV file with two or three columns and no header.

    Quotes are text like any other: what the released code reads with two rules is read with one.
    """
    seen: set[str] = set()
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        for row in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            if len(row) < 2 or not row[0].strip() or not row[1].strip():
                ledger.drop("no id or no text")
            elif row[0] in seen:
                ledger.drop("duplicate id")
            else:
                seen.add(row[0])
                ledger.keep()
                answer = row[2] if len(row) > 2 else None
                yield {"query_id": row[0], "query": row[1], "answer": answer, "question_id": row[0]}


def read_qrels(path: Path, ledger: Ledger) -> Iterator[dict[str, Any]]:
    """Rows `query_id, docid, relevance` of a TREC qrels file: `query_id iteration docid relevance` in a line."""
    for line in _lines(path):
        fields = line.decode(errors="replace").split()
        if len(fields) != 4 or not fields[3].lstrip("-").isdigit():
            ledger.drop("not four fields ending in a number")
            continue
        ledger.keep()
        yield {"query_id": fields[0], "docid": fields[2], "relevance": int(fields[3])}


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            yield from (line for line in file if line.strip())
    except OSError as error:
        raise LratError(f"{path}: expected a file that can be read; {error.strerror}.") from error


def _first(row: dict[str, Any], *names: str) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), None)
