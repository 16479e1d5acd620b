"""Training pairs as rows of others: the released LRAT-Train, FlagEmbedding and Tevatron; read and written.

| format | columns |
| --- | --- |
| released | `query, pos[1], neg[], pos_id[1], neg_id[], reasoning_len, satisfied, reweight_rate` |
| flagembedding | `query, pos[], neg[]`, here also `pos_id, neg_id` |
| tevatron | `query_id, query, positive_passages[], negative_passages[]` of `docid, title, text` |

A document's text is its title, a line break and its text, in the first two.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import math
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from lrat_hub.errors import LratError
from lrat_hub.ledger import Ledger
from lrat_hub.mining.pipeline import new_ledgers
from lrat_hub.mining.tables import MinedTables, Splits, SplitWriter
from lrat_hub.mining.weights import WeightFit, Weighting, fit_weights
from lrat_hub.queries import QueryStyle, render_query
from lrat_hub.schema import Document, Pair, document_features
from lrat_hub.storage import TableWriter

if TYPE_CHECKING:
    from lrat_hub.documents import Documents
    from lrat_hub.hub.inputs import Source

RowFormat = Literal["released", "flagembedding", "tevatron"]
FORMATS: tuple[RowFormat, ...] = get_args(RowFormat)

SUFFIXES = (".jsonl", ".json", ".jsonl.gz")


def released_files(source: Source) -> list[Path]:
    """The JSONL files that a source names: one file, or those of a folder or a dataset's repository, by their names.

    Raises:
        LratError: There are none.
    """
    from lrat_hub.hub.inputs import LocalSource, fetch_folder
    from lrat_hub.hub.lineage import LINEAGE_FILE

    if isinstance(source, LocalSource) and source.path.is_file():
        return [source.path]
    files = sorted(path for path in fetch_folder(source).rglob("*") if path.name.endswith(SUFFIXES))
    files = [path for path in files if path.name != LINEAGE_FILE]
    if not files:
        raise LratError(f"{source}: expected files of pairs ({', '.join(SUFFIXES)}), found none.")
    return files


def import_pairs(
    files: Iterable[Path], folder: Path, *, splits: Splits, weighting: Weighting | None = None
) -> tuple[MinedTables, Documents]:
    """Pairs out of files of rows, one row in memory at a time.

    Verdicts are those of the file; where it has none, every row is relevant by being there. Weights are those of the
    file too, or 1 where it has none, unless they are computed again.

    Args:
        folder: An empty one for the tables that come out.
        weighting: Computes the weights again, from the lengths in the file.

    Raises:
        LratError: There is no pair in the files, or the format is another one.
    """
    from lrat_hub.documents import Documents

    ledger = {"rows": Ledger("rows"), **new_ledgers()}
    fit = None
    if weighting is not None:
        rows = (pair for pair, _ in _read(files, Ledger("rows")))
        fitted = (pair.reasoning_length for pair in rows if _trained(pair) and splits.of(pair) == "train")
        fit = fit_weights(np.array(array("d", fitted)), weighting)
    seen: dict[str, int] = {}
    path = folder / "documents.arrow"
    with SplitWriter(folder, splits) as pairs, TableWriter(path, document_features()) as documents:
        for pair, texts in _read(files, ledger["rows"]):
            new = []
            for document in texts:
                digest = hash(document.content)
                if document.docid not in seen:
                    seen[document.docid] = digest
                    new.append({"docid": document.docid, "title": document.title, "text": document.text})
                elif seen[document.docid] != digest:
                    ledger["rows"].note("documents with another text under a known id, the first is kept")
            documents.write(new)
            if not _trained(pair):
                ledger["pairs"].drop(f"verdict {pair.verdict}")
                pair = replace(pair, weight=None)
            else:
                ledger["pairs"].keep()
                if fit is not None:
                    pair = replace(pair, weight=float(fit.weigh([pair.reasoning_length])[0]))
            pairs.write([pair])
    if not ledger["rows"].kept:
        reasons = ", ".join(f"{count} {reason}" for reason, count in ledger["rows"].dropped.items()) or "no rows"
        raise LratError(f"Pairs: expected rows in one of the formats {', '.join(FORMATS)}, found {reasons}.")
    fits: dict[str, WeightFit] = {"all": fit} if fit is not None else {}
    return MinedTables(pairs.tables(), ledger, fits), Documents(documents.open())


def _trained(pair: Pair) -> bool:
    return pair.verdict == "relevant"


def _read(files: Iterable[Path], rows: Ledger) -> Iterator[tuple[Pair, list[Document]]]:
    for path in files:
        for number, line in enumerate(_lines(path), start=1):
            if line.strip():
                try:
                    pairs = list(read_row(json.loads(line), f"{path.name}:{number}"))
                except (json.JSONDecodeError, RecursionError):
                    rows.drop("not JSON")
                except _UnreadableRow as error:
                    rows.drop(str(error))
                else:
                    rows.keep()
                    yield from pairs


def _lines(path: Path) -> Iterator[str]:
    try:
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding="utf-8", errors="replace") as lines:
            yield from lines
    except (OSError, EOFError) as error:
        raise LratError(f"Pairs: {path.name} can't be read to its end; {error}.") from error


class _UnreadableRow(ValueError):
    """A row from which no pair can be made; its text says why, in words that can be counted."""


def read_row(row: Any, name: str) -> Iterator[tuple[Pair, list[Document]]]:
    """A pair for each positive of a row, in any of the formats, with the documents it names.

    Args:
        name: What tells the row from all others; ids of pairs are made from it.
    """
    if not isinstance(row, Mapping):
        raise _UnreadableRow("not an object")
    query = row.get("query")
    if not isinstance(query, str) or not query.strip():
        raise _UnreadableRow("no query")
    if "positive_passages" in row:
        positives, negatives = (_passages(row.get(f"{kind}_passages")) for kind in ("positive", "negative"))
    elif "pos" in row:
        positives, negatives = (_texts(row.get(kind), row.get(f"{kind}_id")) for kind in ("pos", "neg"))
    else:
        raise _UnreadableRow("neither `pos` nor `positive_passages`")
    if not positives:
        raise _UnreadableRow("no positive")
    satisfied = row.get("satisfied")
    for index, positive in enumerate(positives):
        left = {document.docid: document for document in negatives if document.docid != positive.docid}
        yield (
            Pair(
                pair_id=hashlib.sha256(f"{name}\0{index}".encode()).hexdigest()[:16],
                trajectory_id="",
                query_id=str(row.get("query_id") or ""),
                search_turn=-1,
                browse_turn=-1,
                question="",
                query=query,
                positive_id=positive.docid,
                negative_ids=tuple(left),
                negative_kinds=("list",) * len(left),
                reasoning="",
                reasoning_length=int(_number(row, "reasoning_len", 0)),
                weight=_number(row, "reweight_rate", 1.0),
                verdict="irrelevant" if satisfied is False else "relevant",
                judge="released" if satisfied is not None else None,
            ),
            [positive, *left.values()],
        )


def _number(row: Mapping[str, Any], name: str, default: float) -> float:
    value = row.get(name)
    if value is None:
        return default
    if not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        raise _UnreadableRow(f"`{name}` is no number of 0 or more")
    return float(value)


def _texts(texts: Any, ids: Any) -> list[Document]:
    texts = [text for text in texts or () if isinstance(text, str)]
    ids = [str(docid) for docid in ids or ()]
    if len(ids) != len(texts):
        # Without ids, a document is its text.
        ids = [f"sha256-{hashlib.sha256(text.encode()).hexdigest()[:24]}" for text in texts]
    split = [(docid, *text.partition("\n")) for docid, text in zip(ids, texts, strict=True)]
    return [Document(docid, head if mark else "", rest if mark else head) for docid, head, mark, rest in split]


def _passages(passages: Any) -> list[Document]:
    return [
        Document(str(passage["docid"]), str(passage.get("title") or ""), str(passage.get("text") or ""))
        for passage in passages or ()
        if isinstance(passage, Mapping) and passage.get("docid") is not None
    ]


def write_row(
    pair: Pair, documents: Mapping[str, Document], format: RowFormat, *, style: QueryStyle = "plain"
) -> dict[str, Any]:
    """A pair as a row of a format.

    Args:
        style: How the query is rendered; the trainers of other projects see nothing but its text.
    """
    query = render_query(pair, style)
    positive, negatives = documents[pair.positive_id], [documents[docid] for docid in pair.negative_ids]
    if format == "tevatron":
        return {
            "query_id": pair.pair_id,
            "query": query,
            "positive_passages": [_passage(positive)],
            "negative_passages": [_passage(document) for document in negatives],
        }
    row = {
        "query": query,
        "pos": [positive.content],
        "neg": [document.content for document in negatives],
        "pos_id": [pair.positive_id],
        "neg_id": list(pair.negative_ids),
    }
    if format == "flagembedding":
        return row
    return row | {
        "reasoning_len": pair.reasoning_length,
        "satisfied": pair.verdict != "irrelevant",
        "reweight_rate": pair.weight,
    }


def _passage(document: Document) -> dict[str, str]:
    return {"docid": document.docid, "title": document.title, "text": document.text}


def export_pairs(
    pairs: Iterable[Pair],
    documents: Mapping[str, Document],
    path: Path,
    format: RowFormat,
    *,
    style: QueryStyle = "plain",
) -> Ledger:
    """Writes the pairs to train on as JSONL, and accounts for the others.

    Raises:
        LratError: The format is another one, or a document is missing.
    """
    if format not in FORMATS:
        raise LratError(f"Export: expected a format out of {', '.join(FORMATS)}, found {format!r}.")
    ledger = Ledger("pairs")
    with path.open("w", encoding="utf-8") as file:
        for pair in pairs:
            if pair.weight is None:
                ledger.drop("without a weight: not trained on")
                continue
            try:
                row = write_row(pair, documents, format, style=style)
            except KeyError as error:
                raise LratError(f"Export: expected the documents of all pairs, found none with id {error}.") from error
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            ledger.keep()
    return ledger
