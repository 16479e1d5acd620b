"""Encoding a corpus as work that processes and machines share, and a model that searches with its vectors on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

from datasets import Dataset
from sentence_transformers import MultiVectorEncoder, SentenceTransformer
from tqdm import tqdm

from lrat_hub.encoders import (
    LATE_INTERACTION,
    Cut,
    count_cut_documents,
    is_late,
    load_encoder,
    load_late_interaction,
    model_kind,
    set_token_limit,
)
from lrat_hub.errors import LratError
from lrat_hub.hub.inputs import Source, load_table
from lrat_hub.hub.refs import HubRef
from lrat_hub.retrieval.dense import DenseRetriever
from lrat_hub.retrieval.indexes import CORPUS_CONFIG, DOCID_BATCH, corpus_pin
from lrat_hub.retrieval.late import EncodedTokens
from lrat_hub.retrieval.settings import IndexSettings
from lrat_hub.retrieval.shards import EncodedCorpus
from lrat_hub.scaling.execution import execute
from lrat_hub.scaling.settings import ExecutionSettings

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Encoding:
    """What is open while a corpus is encoded."""

    table: Dataset
    model: SentenceTransformer | MultiVectorEncoder
    encoded: EncodedCorpus


@dataclass(frozen=True)
class EncodingWork:
    """The encoding of a corpus by a model: see `lrat_hub.scaling.work.Work`.

    Args:
        corpus, model: Pins.
        work_dir: Holds a folder for the shards.
        threads: CPU threads of each process; 0 for PyTorch's choice.
        device: Device that encodes, such as "cpu" or "cuda".
        trust_remote_code: Commit of the model's own code that may run.
    """

    corpus: Source
    model: Source
    settings: IndexSettings
    work_dir: Path
    device: str
    threads: int = 0
    trust_remote_code: str = ""

    name = "encoding"

    @property
    def reads_the_hub_alone(self) -> bool:
        """Whether a machine that shares no files with this one can do it."""
        return isinstance(self.corpus, HubRef) and isinstance(self.model, HubRef)

    def open(self) -> Encoding:
        """Loads corpus and model, and opens the shards that there are.

        Where there is no GPU, the model is loaded to the CPU, and only `run` refuses that it encodes for one.

        Raises:
            LratError: The corpus is empty, the model's kind is not of the kind of index, or either can't be loaded.
        """
        import torch

        if self.threads:
            torch.set_num_threads(self.threads)
        table = load_table(self.corpus, "corpus", config=CORPUS_CONFIG)
        load = load_late_interaction if model_kind(self.model) == LATE_INTERACTION else load_encoder
        device = self.device if self.device == "cpu" or torch.accelerator.is_available() else "cpu"
        model = load(
            self.model, trust_remote_code=self.trust_remote_code, precision=self.settings.precision, device=device
        )
        settings = self.settings
        if is_late(model):
            if settings.kind != "flat":
                raise LratError(
                    f"Index of `kind` {settings.kind}: expected flat, found a late-interaction model, whose token "
                    "vectors are searched exactly. Leave `kind` out, or search behind another retriever: bm25>model."
                )
            if settings.max_length:
                setattr(model[0], "document_length", settings.max_length)  # noqa: B010 (a module has no such type)
        elif settings.max_length:
            set_token_limit(model, settings.max_length)
        if not len(table):
            raise LratError(f"{self.corpus}: expected at least one document, found none.")
        opened = EncodedTokens if is_late(model) else EncodedCorpus
        encoded = opened.open(
            self.work_dir, model, len(table), settings, corpus_pin=corpus_pin(self.corpus, str(table.split)),
            model_pin=str(self.model), device=self.device.partition(":")[0],
        )  # fmt: skip
        return Encoding(table, model, encoded)

    def run(self, shard: int, shards: int) -> int:
        """Encodes those documents of a shard that are not encoded, and gives the number of the shard's documents.

        Raises:
            LratError: As `open`, or there is no such device.
        """
        opened = _opened(self)
        if opened.model.device.type != (kind := self.device.partition(":")[0]):
            raise LratError(f"Encoding: expected a device of kind {kind}, found {opened.model.device.type}.")
        opened.encoded.encode(opened.model, opened.table, rank=shard, ranks=shards)
        return opened.encoded.share(shard, shards)


def encode_elsewhere(
    work: EncodingWork, encoded: EncodedCorpus, execution: ExecutionSettings, *, show_progress: bool = True
) -> None:
    """Has an executor encode what is not encoded.

    Args:
        encoded: The shards that the work comes to.
        show_progress: Show a progress bar of the executor's shards.

    Raises:
        LratError: As `lrat_hub.scaling.execution.execute`.
    """
    with tqdm(desc=f"Encoding by {execution.executor}", unit=" shards", disable=not show_progress) as bar:
        execute(work, execution, encoded.work, parts=len(encoded), has=encoded.has, on_shard=bar.update)


@lru_cache(maxsize=1)
def _opened(work: EncodingWork) -> Encoding:
    # A process of an executor gets several shards of the same work.
    return work.open()


@contextmanager
def streamed_retriever(
    source: Source,
    corpus: Source,
    *,
    work_dir: Path | None = None,
    keep: bool = False,
    settings: IndexSettings | None = None,
    execution: ExecutionSettings | None = None,
    show_progress: bool = False,
    on_cut: Callable[[Cut], object] | None = None,
) -> Iterator[DenseRetriever]:
    """A model that searches a corpus exactly with its vectors on disk: only that folder grows with the corpus.

    The shards are those of `lrat index`: a run that was killed continues, and each uses what the other has kept.

    Args:
        source, corpus: Pins of the model and the corpus.
        work_dir: Where the vectors are meanwhile; by default that of `lrat index`, in HF_HOME.
        keep: Whether they stay there afterwards.
        settings: How documents are encoded; those of `lrat index` by default.
        execution: Who encodes them; this process by default.
        show_progress: Show a progress bar while documents are encoded.
        on_cut: Is told, before, how many documents are longer than the model reads.

    Raises:
        LratError: The corpus is empty, or either can't be loaded.
    """
    import torch
    from huggingface_hub.constants import HF_HOME

    settings, execution = settings or IndexSettings(), execution or ExecutionSettings()
    work_dir = (work_dir or Path(HF_HOME) / "lrat" / "index").resolve()
    table = load_table(corpus, "corpus", config=CORPUS_CONFIG)
    if not len(table):
        raise LratError(f"{corpus}: expected at least one document, found none.")
    model = load_encoder(source, precision=settings.precision)
    if settings.max_length:
        set_token_limit(model, settings.max_length)
    if on_cut is not None and (cut := count_cut_documents(model, table)) is not None:
        on_cut(cut)
    encoded = EncodedCorpus.open(
        work_dir,
        model,
        len(table),
        settings,
        corpus_pin=corpus_pin(corpus, str(table.split)),
        model_pin=str(source),
        device=execution.device,
    )
    encoded.lock()
    try:
        if execution.executor == "none":
            with tqdm(
                desc=f"Encoding with {source}", total=len(table), unit=" documents", disable=not show_progress
            ) as bar:
                encoded.encode(model, table, on_documents=bar.update)
        else:
            device, threads = execution.device or str(model.device), torch.get_num_threads()
            work = EncodingWork(corpus, source, settings, work_dir, device, threads)
            encode_elsewhere(work, encoded, execution, show_progress=show_progress)
        # Not Documents, which would hash every id once more.
        batches = cast("Iterator[pa.Table]", table.select_columns("docid").with_format("arrow").iter(DOCID_BATCH))
        docids = (docid for batch in batches for docid in batch["docid"].to_pylist())
        try:
            yield DenseRetriever.of(source, model, encoded.vector_index(docids), batch_size=settings.batch_size)
        finally:
            if not keep:
                encoded.remove()
    finally:
        encoded.unlock()
