"""A corpus with its questions and judgements: the tables of one published dataset, built from their sources."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from lrat_hub import schema
from lrat_hub.corpora.documents import ChunkParts, Titles, read_documents
from lrat_hub.corpora.questions import Quotes, read_qrels, read_queries
from lrat_hub.corpora.rows import MAX_LENGTH, ColumnMap, TableKind
from lrat_hub.documents import Documents, RowIndex
from lrat_hub.errors import LratError
from lrat_hub.hub.inputs import LocalSource, Source
from lrat_hub.hub.refs import HubRef, hub_errors
from lrat_hub.ledger import Ledger
from lrat_hub.ledger.joins import Join, match_ids
from lrat_hub.option import option
from lrat_hub.scaling.execution import make_parts
from lrat_hub.scaling.settings import ExecutionSettings
from lrat_hub.scaling.work import WorkFolder, accounts_in
from lrat_hub.storage import write_table

if TYPE_CHECKING:
    from datasets import Dataset, Features
    from transformers import PreTrainedTokenizerBase

Part = Literal["documents", "queries", "qrels", "qrels_gold"]

CONFIGS: Mapping[Part, str] = {
    "documents": "corpus",
    "queries": "queries",
    "qrels": "qrels_evidence",
    "qrels_gold": "qrels_gold",
}
"""Parts of a collection and the configs they are published as."""

_QRELS: tuple[Part, ...] = ("qrels", "qrels_gold")

KEYS: Mapping[TableKind, tuple[str, ...]] = {
    "documents": ("docid",),
    "queries": ("query_id",),
    "qrels": ("query_id", "docid"),
}
"""Columns whose values must differ from row to row."""

_FEATURES: Mapping[TableKind, Callable[[], Features]] = {
    "documents": schema.document_features,
    "queries": partial(schema.query_features, canary=True),
    "qrels": schema.qrel_features,
}

_BEIR_CONFIGS: Mapping[Part, tuple[str, ...]] = {
    "documents": ("corpus",),
    "queries": ("queries",),
    # MTEB keeps the judgements in the default config; BEIR's own datasets in a repository of their own.
    "qrels": ("qrels", "default"),
}


@dataclass(frozen=True, kw_only=True)
class ReadSettings:
    """Settings of `build_collection`. Columns are written `OURS=THEIRS`; the known names need none."""

    split: str = option(
        "test",
        "Split to publish queries and judgements as; of BEIR and MTEB sources, the split to read.",
        group="essentials",
    )
    document_columns: list[str] = option(
        help="Columns of the documents: docid=THEIRS text=THEIRS title=THEIRS; title= means no title.",
        factory=list,
        group="essentials",
    )
    query_columns: list[str] = option(
        help="Query columns: query_id=THEIRS query=THEIRS answer=THEIRS; a TSV file then needs a header.",
        factory=list,
        group="essentials",
    )
    qrel_columns: list[str] = option(
        help="Columns of the judgements: query_id=THEIRS docid=THEIRS relevance=THEIRS.",
        factory=list,
        group="essentials",
    )
    titles: Titles = option(
        "column", "Where titles are: in a column, or in the first line or the front matter of the text."
    )
    chunk_tokens: int = option(
        0,
        "Maximum number of tokens per chunk of a document (paper: 512); 0 keeps documents whole.",
        group="essentials",
    )
    quotes: Quotes = option(
        "auto",
        "Meaning of quotes in a TSV file of queries: text (part of the text), csv (quotes around fields), "
        "or auto (whichever leaves all rows whole).",
    )
    topic_field: str = option("title", "Field of TREC topics to use as the query.")
    deobfuscate: bool = option(
        False,
        "Publish queries that are obfuscated, as those of BrowseComp-Plus are, in plain text; the output "
        "must be private. By default they stay obfuscated, and are decoded in memory when they are read.",
    )
    canary: str = option(
        "",
        "Key of the obfuscated queries, for sources without a column `canary`; 'published' is that of "
        "BrowseComp-Plus, read from its authors' script, and published@PATH reads it from a checkout.",
    )
    max_length: int = option(MAX_LENGTH, "Longest row that is kept, in characters of a text and bytes of a line.")


@dataclass(frozen=True)
class Collection:
    """Tables by part, memory-mapped from the folder they were built in, and what became of their sources' rows.

    Args:
        joins: How the judgements met the questions and the documents that are published with them.
    """

    tables: dict[Part, Dataset] = field(default_factory=dict)
    ledgers: dict[str, Ledger] = field(default_factory=dict)
    joins: list[Join] = field(default_factory=list)

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
    folder: Path | WorkFolder,
    *,
    tokenizer: PreTrainedTokenizerBase | None = None,
    judged_only: bool = False,
    execution: ExecutionSettings | None = None,
    documents: Callable[[Ledger], Iterable[Mapping[str, Any]]] | None = None,
) -> Collection:
    """Reads every source into a table.

    Args:
        folder: For the tables' files; it must stay as long as the collection is used. That of the same work before,
            where an executor does it.
        tokenizer: Counts the tokens of chunks; None counts words.
        judged_only: Leave out questions without a judgement: BEIR keeps those of all splits in one table.
        execution: Who cuts documents into chunks; this process by default.
        documents: Gives the rows of the documents where they have no source of their own, as `shown_documents` does.

    Raises:
        LratError: A source can't be read, lacks a column, or gives no rows at all; or no judgement is of a question,
            or of a document, that is published with it.
    """
    work = folder if isinstance(folder, WorkFolder) else WorkFolder(folder)
    parts: list[Part] = [part for part in CONFIGS if part in sources or (documents and part == "documents")]
    made = Collection(ledgers={part: Ledger(part) for part in parts})
    # Judgements first, as they may decide which questions belong to the split.
    for part in sorted(parts, key=lambda part: not part.startswith("qrels")):
        ledger = made.ledgers[part]
        shown = documents(ledger) if documents and part == "documents" else None
        rows = _read(part, sources[part], settings, ledger) if shown is None else iter(shown)
        if part == "queries" and judged_only and "qrels" in made.tables:
            rows = _judged(rows, made.tables["qrels"], ledger)
        kind = "qrels" if part == "qrels_gold" else part
        made.tables[part] = build_table(kind, rows, ledger, work.path / f"{part}.arrow")
        if not len(made.tables[part]):
            lost = ", ".join(f"{reason}: {count}" for reason, count in sorted(ledger.dropped.items()))
            what = sources.get(part, "Trajectories")
            raise LratError(f"{what}: expected {part}, found none that can be used ({lost or 'no rows'}).")
        if part == "documents":
            ledger.note("without a title", _empty_titles(made.tables[part]))
    if settings.chunk_tokens and "documents" in made.tables:
        ledger = made.ledgers["chunks"] = Ledger("chunks")
        whole = made.tables["documents"]
        chunks = ChunkParts(pickle.dumps(whole), len(whole), settings.chunk_tokens, tokenizer, work.path)
        for number in make_parts(chunks, execution=execution, folder=work):
            made.ledgers["documents"].add(accounts_in(chunks.path(number)))
        made.tables["documents"] = _first_of_each("documents", chunks.table(), ledger)
    made.joins.extend(_match_judgements(made))
    return made


def _empty_titles(documents: Dataset) -> int:
    import pyarrow.compute

    pc: Any = pyarrow.compute  # its functions are made at run time: no type checker knows them
    batches = documents.select_columns("title").with_format("arrow").iter(10_000)
    return sum(pc.sum(pc.equal(cast("Any", batch)["title"], "")).as_py() for batch in batches)


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
            canary=settings.canary,
            plain=settings.deobfuscate,
            max_length=settings.max_length,
        )
    columns = ColumnMap.of("qrels", settings.qrel_columns)
    # Beside its questions BrowseComp-Plus has both kinds of documents, in lists whose members need no grade.
    docid = (*columns.names["docid"], "gold_docs" if part == "qrels_gold" else "evidence_docs")
    columns = ColumnMap({**columns.names, "docid": docid}, columns.optional | {"relevance"})
    return read_qrels(source, ledger, columns=columns, canary=settings.canary, max_length=settings.max_length)


def _judged(rows: Iterable[Mapping[str, Any]], qrels: Dataset, ledger: Ledger) -> Iterator[Mapping[str, Any]]:
    judged = RowIndex(qrels, "query_id")
    for row in rows:
        if judged.find(row["query_id"]) is None:
            ledger.note("without a judgement in this split and left out")
        else:
            yield row


def _match_judgements(made: Collection) -> Iterator[Join]:
    """Matches judgements with the questions and documents that are published with them. Those without a match stay.

    Raises:
        LratError: None of them matched.
    """
    for name in _QRELS:
        if name not in made.tables:
            continue
        what = f"Judgements ({CONFIGS[name]})"
        if "queries" in made.tables:
            judged, asked = (_ids(made.tables[part], "query_id") for part in (name, "queries"))
            yield match_ids(judged, asked, wanted_name="judged queries", given_name="queries", what=what)
        if "documents" in made.tables:
            judged = _ids(made.tables[name], "docid")
            yield Documents(made.tables["documents"]).match(judged, name="judged documents", what=what)


def _ids(table: Dataset, column: str) -> Iterator[str]:
    batches = cast("Iterator[Any]", table.select_columns(column).with_format(None).iter(1_000))
    return (value for batch in batches for value in batch[column])


def build_table(kind: TableKind, rows: Iterable[Mapping[str, Any]], ledger: Ledger, path: Path) -> Dataset:
    """Writes rows to an Arrow file; of rows with one key the first is kept, and copies are counted apart from others.

    Memory is bounded by a batch of rows and 16 bytes a row: repeated keys are looked for when all rows are written.

    Args:
        rows: With the columns of the kind, in the order in which they are published.
        ledger: Counts what is kept, and what is dropped as a duplicate. The reader has counted the rest.
        path: The file to write; it must stay as long as the table is used.
    """
    table = write_table(rows, _FEATURES[kind](), path)
    if kind == "queries" and table.data.column("canary").null_count == len(table):
        table = table.remove_columns("canary")
    return _first_of_each(kind, table, ledger)


def _first_of_each(kind: TableKind, table: Dataset, ledger: Ledger) -> Dataset:
    """The rows of a table whose keys did not come before."""
    import numpy as np

    index = RowIndex(table, *KEYS[kind])
    repeated = index.repeated()
    if len(repeated):
        for row in repeated.tolist():
            again = table[row]
            first = index.find(*(again[column] for column in KEYS[kind]))
            same = first is not None and table[first] == again
            key = " ".join(str(again[column]) for column in KEYS[kind])
            ledger.drop("copy of a row" if same else "another row with an id that came before", example=key)
        table = table.select(np.setdiff1d(np.arange(len(table)), repeated, assume_unique=True))
    ledger.keep(len(table))
    return table


def beir_sources(source: Source, split: str) -> dict[Part, Source]:
    """Where each of the three tables lies; what is missing is left out, and can be given by its own option.

    Args:
        source: A Hub dataset with configs `corpus`, `queries` and `qrels` or `default`; or a folder with
            `corpus.jsonl`, `queries.jsonl` and `qrels/<split>.tsv`.
        split: Of the judgements.

    Raises:
        LratError: None of them is there.
    """
    sources = _hub_sources(source, split) if isinstance(source, HubRef) else _folder_sources(source, split)
    if not sources:
        raise LratError(
            f"{source}: expected a BEIR folder or an MTEB dataset with configs corpus, queries and default, "
            "found neither. Give its documents, queries and qrels one by one."
        )
    return sources


def _hub_sources(source: HubRef, split: str) -> dict[Part, Source]:
    import datasets

    with hub_errors(source):
        configs = datasets.get_dataset_config_names(source.repo_id, revision=source.revision)
    sources: dict[Part, Source] = {}
    for part, names in _BEIR_CONFIGS.items():
        if config := next((name for name in names if name in configs), None):
            sources[part] = replace(source, config=config, split=split if part == "qrels" else None)
    # A default config alone is just any dataset.
    return sources if "documents" in sources or "queries" in sources else {}


def _folder_sources(source: LocalSource, split: str) -> dict[Part, Source]:
    files: dict[Part, str] = {"documents": "corpus.jsonl", "queries": "queries.jsonl", "qrels": f"qrels/{split}.tsv"}
    sources: dict[Part, Source] = {}
    for part, name in files.items():
        if (path := source.path / name).is_file():
            sources[part] = replace(source, path=path)
    return sources
