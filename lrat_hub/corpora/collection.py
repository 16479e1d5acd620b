"""A corpus with its questions and judgements: the tables of one published dataset, built from their sources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lrat_hub.corpora.chunking import chunk_documents
from lrat_hub.corpora.documents import read_documents
from lrat_hub.corpora.judgements import read_qrels
from lrat_hub.corpora.questions import read_queries
from lrat_hub.corpora.rows import ColumnMap
from lrat_hub.corpora.settings import ReadSettings
from lrat_hub.corpora.tables import build_table
from lrat_hub.documents import RowIndex
from lrat_hub.errors import LratError
from lrat_hub.hub.inputs import Source
from lrat_hub.ledger import Ledger

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

Part = Literal["documents", "queries", "qrels", "qrels_gold"]

CONFIGS: Mapping[Part, str] = {
    "documents": "corpus",
    "queries": "queries",
    "qrels": "qrels_evidence",
    "qrels_gold": "qrels_gold",
}
"""Parts of a collection and the configs they are published as."""


@dataclass(frozen=True)
class Collection:
    """Tables by part, memory-mapped from the folder they were built in, and what became of their sources' rows."""

    tables: dict[Part, Dataset] = field(default_factory=dict)
    ledgers: dict[str, Ledger] = field(default_factory=dict)

    @property
    def num_dropped(self) -> int:
        return sum(ledger.num_dropped for ledger in self.ledgers.values())

    def configs(self, split: str) -> dict[str, dict[str, Dataset]]:
        """Config to split to table, the corpus first; documents are always in the split "train"."""
        return {
            config: {"train" if part == "documents" else split: self.tables[part]}
            for part, config in CONFIGS.items()
            if part in self.tables
        }


def build_collection(
    sources: Mapping[Part, Source],
    settings: ReadSettings,
    folder: Path,
    *,
    tokenizer: PreTrainedTokenizerBase | None = None,
    judged_only: bool = False,
) -> Collection:
    """Reads every source into a table.

    Args:
        folder: For the tables' files; it must stay as long as the collection is used.
        tokenizer: Counts the tokens of chunks; None counts words.
        judged_only: Leave out questions without a judgement: BEIR keeps those of all splits in one table.

    Raises:
        LratError: A source can't be read, lacks a column, or gives no rows at all.
    """
    made = Collection(ledgers={part: Ledger(part) for part in CONFIGS if part in sources})
    # Judgements first, as they may decide which questions belong to the split.
    for part in sorted(sources, key=lambda part: not part.startswith("qrels")):
        ledger = made.ledgers[part]
        rows = _read(part, sources[part], settings, ledger)
        if part == "queries" and judged_only and "qrels" in made.tables:
            rows = _judged(rows, made.tables["qrels"], ledger)
        kind = "qrels" if part == "qrels_gold" else part
        made.tables[part] = build_table(kind, rows, ledger, folder / f"{part}.arrow")
        if not len(made.tables[part]):
            lost = ", ".join(f"{reason}: {count}" for reason, count in sorted(ledger.dropped.items()))
            raise LratError(f"{sources[part]}: expected {part}, found none that can be used ({lost or 'no rows'}).")
    if settings.chunk_tokens and "documents" in made.tables:
        ledger = made.ledgers["chunks"] = Ledger("chunks")
        whole = made.tables["documents"]
        rows = chunk_documents(whole, made.ledgers["documents"], tokenizer=tokenizer, size=settings.chunk_tokens)
        made.tables["documents"] = build_table("documents", rows, ledger, folder / "chunks.arrow")
    _note_unknown(made)
    return made


def _read(part: Part, source: Source, settings: ReadSettings, ledger: Ledger) -> Iterator[dict[str, Any]]:
    if part == "documents":
        columns = ColumnMap.of("documents", settings.document_columns)
        return read_documents(source, ledger, columns=columns, titles=settings.titles, max_length=settings.max_length)
    if part == "queries":
        return read_queries(
            source,
            ledger,
            columns=ColumnMap.of("queries", settings.query_columns) if settings.query_columns else None,
            quotes=settings.quotes,
            topic_field=settings.topic_field,
            canary=settings.canary if settings.deobfuscate else None,
            max_length=settings.max_length,
        )
    columns = ColumnMap.of("qrels", settings.qrel_columns)
    return read_qrels(source, ledger, columns=columns, max_length=settings.max_length)


def _judged(rows: Iterator[dict[str, Any]], qrels: Dataset, ledger: Ledger) -> Iterator[dict[str, Any]]:
    judged = RowIndex(qrels, "query_id")
    for row in rows:
        if judged.find(row["query_id"]) is None:
            ledger.note("without a judgement in this split and left out")
        else:
            yield row


def _note_unknown(made: Collection) -> None:
    """Notes how many judgements name a document or question that is not published with them. They are kept."""
    for part, column in (("documents", "docid"), ("queries", "query_id")):
        judged = [name for name in ("qrels", "qrels_gold") if name in made.tables]
        if not judged or part not in made.tables:
            continue
        index = RowIndex(made.tables[part], column)
        for name in judged:
            batches = made.tables[name].select_columns(column).with_format(None).iter(1_000)
            unknown = sum(index.find_all([(value,) for value in batch[column]]).count(None) for batch in batches)
            made.ledgers[name].note(f"{column} is not among the {part} published with it", unknown)
