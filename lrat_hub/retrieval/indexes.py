"""Indexes as artifacts: their files, the manifest that says what they are of, and loading that checks it."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from lrat_hub.encoders import load_encoder, load_late_interaction, retriever_options
from lrat_hub.errors import LratError
from lrat_hub.hub.inputs import LocalSource, Source, fetch_file, fetch_folder, resolve
from lrat_hub.hub.integrity import snapshot_folder
from lrat_hub.hub.refs import HubRef
from lrat_hub.retrieval.bm25 import BM25Retriever
from lrat_hub.retrieval.settings import CODED
from lrat_hub.storage import TableWriter

if TYPE_CHECKING:
    import numpy as np

    from lrat_hub.queries import QueryStyle
    from lrat_hub.retrieval.dense import DenseRetriever
    from lrat_hub.retrieval.late import LateRetriever
    from lrat_hub.retrieval.settings import IndexSettings, Kind
    from lrat_hub.retrieval.vectors import VectorIndex

INDEX_FILE = "index.faiss"
DOCIDS_FILE = "docids.feather"
STAMP_FILE = "stamp.json"
CORPUS_CONFIG = "corpus"
DOCID_BATCH = 65_536

_LOCAL = re.compile(r"(#(?P<config>[\w.-]+))?(:(?P<split>[\w.-]+))? \(unpinned, sha256:(?P<digest>[0-9a-f]{64})\)$")


@dataclass(frozen=True)
class IndexManifest:
    """What an index is of, published with it as `stamp.json`.

    Args:
        kind: "bm25", "late" for the token vectors of late interaction, or that of the FAISS index.
        corpus: The corpus's pin, with its config and split.
        model: The pin of the model that made the vectors; None for BM25.
        documents: Documents of the corpus, which are all in the index.
        dimension: Numbers a vector; None for BM25.
        settings: What else shaped it.
    """

    kind: Literal["bm25", "flat", "hnsw", "ivf", "ivfpq", "lancedb", "late"]
    corpus: str
    model: str | None
    documents: int
    dimension: int | None
    settings: dict[str, Any]

    def write(self, folder: Path) -> None:
        (folder / STAMP_FILE).write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def of(cls, index: Source) -> IndexManifest:
        """The stamp of an index.

        Raises:
            LratError: It has none that can be read, or can't be reached.
        """
        try:
            # Not the whole index, which may be searched elsewhere.
            path = index.path / STAMP_FILE if isinstance(index, LocalSource) else fetch_file(index, STAMP_FILE)
            if path is None or not path.is_file():
                raise LratError(f"{index}: expected an index with its {STAMP_FILE}, found none. Build one: lrat index")
            fields = json.loads(path.read_text(encoding="utf-8"))
            return cls(**{field.name: fields[field.name] for field in dataclasses.fields(cls)})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise LratError(
                f"{index}: expected an index with its {STAMP_FILE}, found {error!r}. Build one: lrat index"
            ) from error

    def encoder(self, name: str) -> HubRef:
        """The pin of the model that made the vectors, which encodes queries, too. BM25 has none.

        Args:
            name: The index's, for errors.

        Raises:
            LratError: The model is not on the Hub.
        """
        try:
            return HubRef.parse(self.model or "")
        except LratError as error:
            raise LratError(
                f"{name}: expected its model {self.model} to be given, for it is not on the Hub."
            ) from error

    def check(self, name: str, *, corpus: Source, model: Source | None = None) -> None:
        """Refuses to serve another corpus, or with another model, than the stamp's.

        Raises:
            LratError: It is another; both pins are named.
        """
        if not same_source(self.corpus, corpus, config=CORPUS_CONFIG):
            raise LratError(f"{name}: expected its corpus {self.corpus}, found {corpus}. Build an index of that one.")
        if model is not None and not same_source(self.model or "", model):
            raise LratError(
                f"{name}: expected its model {self.model or 'none, for it is BM25'}, found {model}. "
                "Build an index with that one, or leave the model out."
            )


def corpus_pin(source: Source, split: str) -> str:
    """A corpus as stamps name it: with the config and the split that were read."""
    return str(dataclasses.replace(source, config=source.config or CORPUS_CONFIG, split=split))


def same_source(stamped: str, given: Source, *, config: str | None = None) -> bool:
    """Whether an input is the one that a stamp names: the same commit of a repository, or the same content.

    Args:
        config: The config that is meant where the input names none. Without a split, the stamp's is meant.
    """
    if isinstance(given, LocalSource):
        # A folder may have been moved: its content counts, not its name.
        local = _LOCAL.search(stamped)
        return (
            bool(local)
            and (given.digest, given.config or config) == (local["digest"], local["config"])
            and (given.split in (None, local["split"]))
        )
    try:
        ref = HubRef.parse(stamped)
    except LratError:
        return False
    return dataclasses.replace(given, config=given.config or config, split=given.split or ref.split) == ref


def write_vector_index(
    folder: Path, shards: Sequence[np.ndarray], settings: IndexSettings, docids: Collection[str], *, threads: int = 1
) -> tuple[VectorIndex, dict[str, Any]]:
    """Builds an index of vectors, and writes its files but for the stamp, or a table in a store.

    Args:
        shards, threads: See `build_index`.
        docids: Ids of the documents, in the order of the corpus.

    Returns:
        The index as it is opened, and what of its settings the stamp has to say for that.
    """
    import faiss

    from lrat_hub.retrieval.coded import write_vectors
    from lrat_hub.retrieval.flat import write_flat_index
    from lrat_hub.retrieval.stores import probes_of, write_table
    from lrat_hub.retrieval.vectors import build_index

    write_docids(folder / DOCIDS_FILE, docids)
    structure = settings.structure()
    if settings.kind in CODED:
        structure["pq_bytes"] = settings.code_bytes(shards[0].shape[1])
    if settings.kind == "lancedb":
        structure["ivf_probes"] = probes_of(len(docids), settings)
        structure["store_version"] = write_table(settings.store, shards, settings, docids)
    elif settings.kind == "flat":
        write_flat_index(folder / INDEX_FILE, shards)
    else:
        faiss.write_index(build_index(shards, settings, threads=threads), str(folder / INDEX_FILE))
    if settings.kind == "ivfpq":
        write_vectors(folder, shards)
    return open_vector_index(folder, settings.kind, structure), structure


def open_vector_index(folder: Path, kind: Kind, structure: Mapping[str, Any], *, mmap: bool = True) -> VectorIndex:
    """The vectors of an index from its folder, or from the store that it names.

    Args:
        kind, structure: The index's kind and settings, as its stamp has them.

    Raises:
        LratError: A file or table is missing or damaged.
    """
    from lrat_hub.retrieval.coded import CodedVectors
    from lrat_hub.retrieval.stores import LanceVectors
    from lrat_hub.retrieval.vectors import VectorIndex

    docids = DocidFile(folder / DOCIDS_FILE)
    if kind == "ivfpq":
        return VectorIndex(CodedVectors.load(folder, INDEX_FILE, structure["pq_candidates"]), docids)
    if kind == "lancedb":
        probes, candidates = structure["ivf_probes"], structure["pq_candidates"]
        uri, version = structure["store"], structure["store_version"]
        return VectorIndex(LanceVectors(uri, version, probes=probes, candidates=candidates), docids)
    return VectorIndex.load(folder / INDEX_FILE, docids, kind, mmap=mmap)


def write_bm25_index(folder: Path, retriever: BM25Retriever, docids: Iterable[str], stamp: IndexManifest) -> None:
    """Writes the files of a BM25 index, which `bm25s.hf.BM25HF` reads too."""
    write_docids(folder / DOCIDS_FILE, docids)
    retriever.save(folder)
    stamp.write(folder)


def load_index(
    index: Source | str, *, corpus: Source | str, model: Source | str | None = None, mmap: bool = True
) -> BM25Retriever | DenseRetriever | LateRetriever:
    """A retriever from a published index, or from a folder with one.

    Args:
        index: What `lrat index` published.
        corpus: The corpus that will be searched: that of the stamp, or it is refused.
        model: The model that will encode queries, by default that of the stamp; another is refused. It has to be
            given for an index that was made with a model outside the Hub.
        mmap: Leave the index on disk and read what a search needs.

    Raises:
        LratError: It is no index, is damaged, or is of another corpus or model.
    """
    index = resolve(index, repo_type="model") if isinstance(index, str) else index
    corpus = resolve(corpus, repo_type="dataset") if isinstance(corpus, str) else corpus
    model = resolve(model, repo_type="model") if isinstance(model, str) else model
    folder, stamp = index_folder(index), IndexManifest.of(index)
    stamp.check(str(index), corpus=corpus, model=model)
    docids = DocidFile(folder / DOCIDS_FILE)
    if stamp.kind == "bm25":
        retriever = BM25Retriever.load(folder, docids, revision=getattr(corpus, "revision", None), mmap=mmap)
        retriever.corpus = stamp.corpus
        return retriever

    source = model or stamp.encoder(str(index))
    # Queries are encoded as documents were; stamps of 0.1 have none.
    precision = stamp.settings.get("precision", "stored")
    if stamp.kind == "late":
        from lrat_hub.retrieval.late import LateRetriever, TokenVectors

        tokens, encoder = TokenVectors.load(folder, docids), load_late_interaction(source, precision=precision)
        late = LateRetriever.of(source, encoder, tokens, batch_size=stamp.settings["batch_size"])
        late.corpus = stamp.corpus
        return late

    from lrat_hub.retrieval.dense import DenseRetriever

    vectors = open_vector_index(folder, stamp.kind, stamp.settings, mmap=mmap)
    dense = DenseRetriever.of(
        source, load_encoder(source, precision=precision), vectors, batch_size=stamp.settings["batch_size"]
    )
    dense.corpus = stamp.corpus
    return dense


def is_index(source: Source) -> bool:
    """Whether a model repository or folder holds an index, and not a model.

    Without a connection, what is not in the cache counts as a model: loading that says what is missing.
    """
    from huggingface_hub.constants import HF_HUB_OFFLINE

    if isinstance(source, LocalSource):
        return (source.path / STAMP_FILE).is_file()
    if HF_HUB_OFFLINE:
        return (snapshot_folder(source) / STAMP_FILE).is_file()
    return fetch_file(source, STAMP_FILE) is not None


def identity_of(
    stamp: IndexManifest, index: Source, corpus: Source, model: Source | None = None
) -> tuple[str, str | None, QueryStyle]:
    """Name, revision and query style of the retriever that an index is, without loading it."""
    if stamp.kind == "bm25":
        return BM25Retriever.name, getattr(corpus, "revision", None), "plain"
    name, revision, style = retriever_options(model or stamp.encoder(str(index))).values()
    return name, revision, style


def index_folder(index: Source) -> Path:
    """The files of an index on this machine."""
    return index.path if isinstance(index, LocalSource) else fetch_folder(index)


class DocidFile(Sequence[str]):
    """Ids of a corpus's documents in its order, memory-mapped from a file of `write_docids`.

    Raises:
        LratError: The file is not such a file.
    """

    def __init__(self, path: Path) -> None:
        import pyarrow as pa

        try:
            table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
            self._column = table["docid"]
        except (OSError, pa.ArrowInvalid, KeyError) as error:
            raise LratError(
                f"{path.name}: expected an Arrow file of docids, found {error}. Build the index again."
            ) from error

    def __len__(self) -> int:
        return len(self._column)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            part = copy(self)
            part._column = self._column.slice(start, max(0, stop - start))
            return part if step == 1 else [self[position] for position in range(start, stop, step)]
        return self._column[int(index)].as_py()


def write_docids(path: Path, docids: Iterable[str]) -> int:
    """Writes ids to an Arrow file, batch by batch, and gives their number."""
    import pyarrow as pa

    schema = pa.schema({"docid": pa.large_string()})
    with TableWriter(path, schema, random_access=True, batch_rows=DOCID_BATCH) as writer:
        writer.write({"docid": docid} for docid in docids)
    return writer.num_rows
