"""Inputs of a stage: resolved to a pin before anything is read, then loaded as tables, documents or models."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lrat_hub.errors import LratError
from lrat_hub.hub.refs import HubRef, RepoType, hub_errors
from lrat_hub.schema import Document

if TYPE_CHECKING:
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer
    from transformers import PreTrainedTokenizerBase

Kind = Literal[
    "corpus", "documents", "queries", "qrels", "trajectories", "pairs", "document_ids", "summary", "comparisons"
]

COLUMNS: dict[Kind, tuple[str, ...]] = {
    "corpus": ("docid", "title", "text"),
    "documents": ("docid", "title", "text"),
    "queries": ("query_id", "query", "answer"),
    "qrels": ("query_id", "docid", "relevance"),
    "trajectories": ("trajectory_id", "query_id", "question", "steps"),
    "pairs": ("pair_id", "query", "positive_id", "negative_ids", "weight", "verdict"),
    "document_ids": ("docid",),
    "summary": ("system",),
    "comparisons": ("system", "baseline", "metric", "difference", "low", "high"),
}
"""Columns without which a table is not of its kind."""


@dataclass(frozen=True)
class LocalSource:
    """A folder on this machine in the place of a repository: allowed while developing, recorded as unpinned.

    Args:
        digest: sha256 of the folder's files (names and contents), or of the file.
    """

    path: Path
    digest: str
    config: str | None = None
    split: str | None = None

    def __str__(self) -> str:
        config = f"#{self.config}" if self.config else ""
        split = f":{self.split}" if self.split else ""
        return f"{self.path.name}{config}{split} (unpinned, sha256:{self.digest})"


Source = HubRef | LocalSource


def resolve(text: str, *, repo_type: RepoType, require_pinned: bool = False) -> Source:
    """What an input option names, pinned.

    A path starts with `/`, `./`, `../` or `~`, and may end with `#config:split`; anything else is a Hub reference.

    Args:
        require_pinned: Refuse references that are not already a full commit sha.

    Raises:
        LratError: It does not exist or can't be reached, or is not pinned although it must be.
    """
    if text.startswith(("/", "./", "../", "~")) or text in (".", ".."):
        if require_pinned:
            raise LratError(f"{text}: --require-pinned allows only references at a full commit sha, not local paths.")
        return _local(text)
    ref = HubRef.parse(text, repo_type=repo_type)
    if ref.repo_type != repo_type:
        raise LratError(f"{text}: expected a {repo_type}, found a reference to a {ref.repo_type}.")
    if require_pinned and not ref.is_pinned:
        raise LratError(f"{ref}: --require-pinned allows only full commit shas. The revision now: {ref.pin()}")
    return ref.pin()


def _local(text: str) -> LocalSource:
    name, _, view = text.partition("#")
    config, _, split = view.partition(":")
    path = Path(name).expanduser().resolve()
    if not path.exists():
        raise LratError(f"{text}: expected a folder or file there, found nothing. Check the path.")
    return LocalSource(path, path_digest(path), config or None, split or None)


def path_digest(path: Path) -> str:
    """sha256 over the names and contents of a folder's files, or over a file's content, in hex."""
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            if path.is_dir():
                digest.update(f"{file.relative_to(path).as_posix()}\0{file.stat().st_size}\0".encode())
            with file.open("rb") as stream:
                while chunk := stream.read(1 << 20):
                    digest.update(chunk)
    return digest.hexdigest()


def load_table(source: Source, kind: Kind, *, config: str | None = None, split: str | None = None) -> Dataset:
    """One split of one config of a dataset, memory-mapped, checked to be of its kind.

    Args:
        config, split: Used where the source names none; without either, the dataset's default config and its
            only split.

    Raises:
        LratError: There is no such config or split, or its columns are not those of the kind.
    """
    import datasets
    from datasets.exceptions import DatasetNotFoundError

    config, split = source.config or config, source.split or split
    if isinstance(source, HubRef):
        where, revision = source.repo_id, source.revision
    else:
        where, revision = str(source.path), None
    try:
        if isinstance(source, HubRef):
            with hub_errors(source):
                loaded = datasets.load_dataset(where, config, revision=revision)
        else:
            loaded = datasets.load_dataset(where, config)
    except DatasetNotFoundError as error:
        raise LratError(f"{source}: no such dataset, or it holds no data files.") from error
    except (ValueError, FileNotFoundError, datasets.exceptions.DatasetGenerationError) as error:
        raise LratError(
            f"{source}: expected a {kind} dataset{f' with a config {config!r}' if config else ''}; "
            f"{str(error).strip().splitlines()[0]}"
        ) from error
    if split is None and len(loaded) != 1:
        raise LratError(f"{source}: expected one split, found {', '.join(loaded)}. Name one as ref#config:split.")
    name = split or next(iter(loaded))
    if name not in loaded:
        raise LratError(f"{source}: expected a split {name!r}, found {', '.join(loaded)}.")
    return check_kind(loaded[name], kind, str(source))


def check_kind(table: Dataset, kind: Kind, name: str) -> Dataset:
    """The table itself, when it has the columns of its kind; else raises LratError."""
    if missing := [column for column in COLUMNS[kind] if column not in table.column_names]:
        raise LratError(
            f"{name}: expected a {kind} dataset with columns {', '.join(COLUMNS[kind])}; "
            f"found {', '.join(table.column_names)}, without {', '.join(missing)}."
        )
    return table


def load_model(source: Source, **options: object) -> SentenceTransformer:
    """A SentenceTransformer at a pin, on the device sentence-transformers chooses.

    Raises:
        LratError: The repository is not a model that sentence-transformers can load.
    """
    from sentence_transformers import SentenceTransformer

    try:
        if isinstance(source, LocalSource):
            return SentenceTransformer(str(source.path), **options)
        with hub_errors(source):
            return SentenceTransformer(source.repo_id, revision=source.revision, **options)
    except (OSError, ValueError, KeyError) as error:
        raise LratError(
            f"{source}: expected a model that SentenceTransformer loads; {str(error).strip().splitlines()[0]}"
        ) from error


def load_tokenizer(source: Source) -> PreTrainedTokenizerBase:
    """The tokenizer of a model at a pin.

    Raises:
        LratError: The repository has none.
    """
    from transformers import AutoTokenizer

    try:
        if isinstance(source, LocalSource):
            return AutoTokenizer.from_pretrained(str(source.path))
        with hub_errors(source):
            return AutoTokenizer.from_pretrained(source.repo_id, revision=source.revision)
    except (OSError, ValueError, KeyError) as error:
        raise LratError(f"{source}: expected a tokenizer; {str(error).strip().splitlines()[0]}") from error


class Documents(Mapping[str, Document]):
    """A corpus table as documents: looked up by id, read from memory-mapped Arrow a row at a time.

    Args:
        table: A table of kind "corpus" or "documents".

    Raises:
        LratError: An id occurs twice.
    """

    def __init__(self, table: Dataset) -> None:
        self._table = table
        self._rows = {docid: row for row, docid in enumerate(table.with_format(None)["docid"])}
        if len(self._rows) != len(table):
            raise LratError(f"Corpus: expected every docid once, found {len(table) - len(self._rows)} repeated.")

    def __getitem__(self, docid: str) -> Document:
        row = self._table[self._rows[docid]]
        return Document(row["docid"], row["title"] or "", row["text"] or "")

    def __contains__(self, docid: object) -> bool:
        return docid in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def row(self, docid: str) -> int:
        """The document's row in the table."""
        return self._rows[docid]

    def in_order(self) -> Iterator[Document]:
        """All documents in the corpus's order, which decides ties."""
        for row in self._table:
            yield Document(row["docid"], row["title"] or "", row["text"] or "")
