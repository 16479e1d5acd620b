"""Inputs of a stage: resolved to a pin before anything is read, then loaded as tables, documents or models."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from lrat_hub.errors import LratError
from lrat_hub.hub.integrity import require_intact
from lrat_hub.hub.kinds import TableKind, check_kind
from lrat_hub.hub.refs import HubRef, RepoType
from lrat_hub.hub.retries import read
from lrat_hub.obfuscation import plain_question

if TYPE_CHECKING:
    from datasets import Dataset
    from sentence_transformers import CrossEncoder, MultiVectorEncoder, SentenceTransformer
    from transformers import PreTrainedTokenizerBase

FILE_SUFFIXES = frozenset({".csv", ".gz", ".json", ".jsonl", ".ndjson", ".parquet", ".tsv", ".txt", ".zip"})
"""How the names of data files end, and hardly any repository's."""

M = TypeVar("M", bound="SentenceTransformer | CrossEncoder | MultiVectorEncoder")


@dataclass(frozen=True)
class LocalSource:
    """A folder or file on this machine in place of a repository: allowed while developing, recorded as unpinned.

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


class Inputs:
    """The inputs of one piece of work, each resolved to its pin under the name that it has in the lineage.

    Args:
        require_pinned: Whether to refuse inputs that are not already at a full commit sha.
        on_record: Called with the name and the pin of each input, such as to print them.
        on_source: Called with each input that is resolved here, after it was recorded.

    `endpoints` has the number of servers of each input that several serve: a language model.
    """

    def __init__(
        self,
        *,
        require_pinned: bool = False,
        on_record: Callable[[str, str], object] | None = None,
        on_source: Callable[[Source], object] | None = None,
    ) -> None:
        self.require_pinned = require_pinned
        self.pins: dict[str, str] = {}
        self.endpoints: dict[str, int] = {}
        self._on_record, self._on_source = on_record, on_source

    def resolve(self, name: str, text: str, *, repo_type: RepoType = "dataset") -> Source:
        """The input at its pin, recorded; raises what `resolve` raises."""
        source = resolve(text, repo_type=repo_type, require_pinned=self.require_pinned)
        self.record(name, str(source))
        if self._on_source:
            self._on_source(source)
        return source

    def record(self, name: str, pin: str) -> None:
        """Records an input that was resolved elsewhere, such as a server or a file that comes with a package."""
        self.pins[name] = pin
        if self._on_record:
            self._on_record(name, pin)


def resolve(text: str, *, repo_type: RepoType, require_pinned: bool = False) -> Source:
    """The input that a text names, at its pin.

    A path starts with `/`, `./`, `../` or `~`, and may end with `#config:split`. The name of a file that is there is a
    path, too, and so is that of anything that is there and can't be a reference; all else is a Hub reference.

    Args:
        require_pinned: Whether to refuse references that are not already at a full commit sha.

    Raises:
        LratError: It does not exist or can't be reached, or is not pinned although it must be.
    """
    if _is_path(text):
        if require_pinned:
            raise LratError(f"{text}: `require_pinned` allows only references at a full commit sha, not local paths.")
        return _local(text)
    try:
        ref = HubRef.parse(text, repo_type=repo_type)
        if ref.repo_type != repo_type:
            raise LratError(f"{text}: expected a {repo_type}, found a reference to a {ref.repo_type}.")
        pin = ref.pin()
    except LratError as error:
        if Path(text.partition("#")[0]).suffix in FILE_SUFFIXES:
            # Most likely a file whose path was mistyped: that there is no such repository would mislead.
            raise LratError(f"{text}: expected a file there, found nothing. Check the path.") from error
        raise
    if require_pinned and not ref.is_pinned:
        raise LratError(f"{ref}: `require_pinned` allows only full commit shas. The revision now: {pin}")
    return pin


def _is_path(text: str) -> bool:
    if text.startswith(("/", "./", "../", "~")) or text in (".", ".."):
        return True
    path = Path(text.partition("#")[0])
    try:
        HubRef.parse(text)
    except LratError:
        return path.exists()
    return path.is_file()


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
        try:
            if file.is_file():
                if path.is_dir():
                    name = f"{file.relative_to(path).as_posix()}\0{file.stat().st_size}\0"
                    digest.update(name.encode(errors="surrogateescape"))
                with file.open("rb") as stream:
                    while chunk := stream.read(1 << 20):
                        digest.update(chunk)
        except OSError as error:  # whoever reads the folder says what becomes of such a file
            digest.update(f"can't be read: {error.errno}\0".encode())
    return digest.hexdigest()


class WrongTable(LratError):
    """A file or folder that is no table of its kind, perhaps because it is what such a table is made of.

    Args:
        kind: What was expected.
        path: What was given.
    """

    def __init__(self, message: str, kind: TableKind, path: Path) -> None:
        super().__init__(message)
        self.kind, self.path = kind, path


def load_table(source: Source, kind: TableKind, *, config: str | None = None, split: str | None = None) -> Dataset:
    """One split of one config of a dataset, memory-mapped, checked to be of its kind.

    Args:
        config, split: Used where the source names none; without either, the dataset's default config and its
            only split. Pairs that are split by question are those of `train` then.

    Raises:
        LratError: There is no such config or split, or its columns are not those of the kind.
    """
    named = replace(source, config=source.config or config, split=source.split or split)
    wanted = f"a {kind} dataset{f' with a config {named.config!r}' if named.config else ''}"
    default = "train" if kind == "pairs" else None
    try:
        table = check_kind(load_split(named, wanted, default=default), kind, str(source))
    except LratError as error:
        if isinstance(source, LocalSource):
            raise WrongTable(str(error), kind, source.path) from error
        raise
    return plain_questions(table, str(source)) if kind == "queries" and "canary" in table.column_names else table


def plain_questions(table: Dataset, name: str) -> Dataset:
    """Questions with the texts of rows with a `canary` in plain, in memory alone.

    Raises:
        LratError: The texts of a row are not obfuscated with its canary.
    """
    from datasets import Dataset

    rows = []
    for row in table.to_list():
        try:
            rows.append(plain_question(row))
        except ValueError as error:
            raise LratError(
                f"{name}: expected the texts of question {row['query_id']} to be obfuscated with the canary in its "
                "row, found others. Leave the column `canary` out where texts are plain."
            ) from error
    return Dataset.from_list(rows, features=table.features)


def load_split(source: Source, wanted: str = "data that load_dataset reads", *, default: str | None = None) -> Dataset:
    """One split of a dataset, whatever its columns, memory-mapped.

    Args:
        source: Names the config, where it is not the default one, and the split, where there are several.
        wanted: What is expected there, for error messages.
        default: The split to take when the source names none and there are several.

    Raises:
        LratError: It can't be loaded, or has several splits and the source names none of them.
    """
    loaded = load_splits(source, wanted)
    name = source.split or (next(iter(loaded)) if len(loaded) == 1 else default)
    if name not in loaded:
        expected = f"a split {name!r}" if name else "one split"
        raise LratError(f"{source}: expected {expected}, found {', '.join(loaded)}. Name one as ref#config:split.")
    return loaded[name]


def load_splits(source: Source, wanted: str = "data that load_dataset reads") -> dict[str, Dataset]:
    """All splits of one config of a dataset, memory-mapped; see `load_split`."""
    import datasets
    from datasets.exceptions import DatasetNotFoundError

    try:
        if isinstance(source, LocalSource):
            loaded = _load_local(source)
        else:
            repo, config, revision = source.repo_id, source.config, source.revision
            loaded = read(source, lambda: datasets.load_dataset(repo, config, revision=revision))
    except LratError:
        raise
    except DatasetNotFoundError as error:
        raise LratError(f"{source}: no such dataset, or it holds no data files.") from error
    except Exception as error:
        if isinstance(source, HubRef):
            require_intact(source)
        # Whatever is wrong with other people's files, datasets and its parsers raise it in many kinds.
        raise LratError(f"{source}: expected {wanted}; {first_line(error).rstrip('.')}.") from error
    files = [file["filename"] for table in loaded.values() for file in table.cache_files]
    if isinstance(source, HubRef) and not any(source.revision in file for file in files):
        # Without a connection datasets takes the newest revision it has, whichever was asked for.
        raise LratError(f"{source}: not in the local cache at this commit, and the Hub was not asked. Go online once.")
    if isinstance(source, HubRef):
        try:
            require_intact(source)
        except LratError:
            # What was made of the damaged file would be taken again.
            for folder in {Path(file).parent for file in files}:
                shutil.rmtree(folder, ignore_errors=True)
            raise
    return {str(name): table for name, table in loaded.items()}


def _load_local(source: LocalSource) -> Mapping[Any, Any]:
    import datasets
    from datasets.config import HF_DATASETS_CACHE

    # datasets takes files for unchanged that have the same name, size and time; the digest has their content.
    cache = str(Path(HF_DATASETS_CACHE) / "by_content" / source.digest[:16])
    if source.path.is_dir():
        return datasets.load_dataset(str(source.path), source.config, cache_dir=cache)
    return datasets.load_dataset(str(source.path.parent), source.config, data_files=source.path.name, cache_dir=cache)


def first_line(error: BaseException) -> str:
    """What an error says, in one line; what it was raised from says more where it only wraps."""
    cause = error.__cause__ if "occurred while generating" in str(error) and error.__cause__ else error
    return next(iter(str(cause).strip().splitlines()), type(cause).__name__)


def fetch_folder(source: Source) -> Path:
    """All files of a repository at its pin, in a folder on this machine.

    Raises:
        LratError: They can't be fetched, or the source is a file.
    """
    from huggingface_hub import snapshot_download

    if isinstance(source, LocalSource):
        if not source.path.is_dir():
            raise LratError(f"{source}: expected a folder, found a file.")
        return source.path
    repo, kind, revision = source.repo_id, source.repo_type, source.revision
    folder = Path(read(source, lambda: snapshot_download(repo, repo_type=kind, revision=revision)))
    require_intact(source)
    return folder


def fetch_file(ref: HubRef, name: str) -> Path | None:
    """One file of a repository at its pin, in the cache of this machine; None where there is no such file.

    Raises:
        LratError: It can't be fetched.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    def fetch() -> Path | None:
        try:
            return Path(hf_hub_download(ref.repo_id, name, repo_type=ref.repo_type, revision=ref.revision))
        except LocalEntryNotFoundError:
            raise
        except EntryNotFoundError:
            return None

    return read(ref, fetch)


def load_model(source: Source, **options: Any) -> SentenceTransformer:
    """A SentenceTransformer at a pin, on the device that sentence-transformers chooses.

    Args:
        options: Further arguments of `SentenceTransformer`.

    Raises:
        LratError: The repository is not a model that sentence-transformers can load.
    """
    from sentence_transformers import SentenceTransformer

    return _load_with(SentenceTransformer, source, options)


def load_cross_encoder(source: Source, **options: Any) -> CrossEncoder:
    """A CrossEncoder at a pin; see `load_model`."""
    from sentence_transformers import CrossEncoder

    return _load_with(CrossEncoder, source, options)


def load_multi_vector_encoder(source: Source, **options: Any) -> MultiVectorEncoder:
    """A MultiVectorEncoder at a pin; see `load_model`."""
    from sentence_transformers import MultiVectorEncoder

    return _load_with(MultiVectorEncoder, source, options)


def _load_with(cls: type[M], source: Source, options: dict[str, Any]) -> M:
    try:
        if isinstance(source, LocalSource):
            return cls(str(source.path), **options)
        repo, revision = source.repo_id, source.revision
        model = read(source, lambda: cls(repo, revision=revision, **options))
        require_intact(source)
        return model
    except LratError:
        raise
    except Exception as error:
        # A repository can be broken in as many ways as there are libraries that read a part of it.
        wanted = f"a model that {cls.__name__} loads"
        raise LratError(f"{source}: expected {wanted}; {first_line(error)}") from error


def load_tokenizer(source: Source) -> PreTrainedTokenizerBase:
    """The tokenizer of a model at a pin.

    Raises:
        LratError: The repository has none.
    """
    from transformers import AutoTokenizer

    # Code that comes with a tokenizer never runs; left open, transformers would ask at the terminal.

    try:
        if isinstance(source, LocalSource):
            return AutoTokenizer.from_pretrained(str(source.path), trust_remote_code=False)
        repo, revision = source.repo_id, source.revision
        return read(source, lambda: AutoTokenizer.from_pretrained(repo, revision=revision, trust_remote_code=False))
    except LratError:
        raise
    except Exception as error:
        # There are as many kinds of errors as for models.
        raise LratError(f"{source}: expected a tokenizer; {first_line(error)}") from error
