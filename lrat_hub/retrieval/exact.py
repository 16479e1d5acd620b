"""A model that searches a whole corpus exactly, with its vectors on disk and not in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lrat_hub.errors import LratError
from lrat_hub.retrieval.dense import DenseRetriever
from lrat_hub.retrieval.docids import BATCH_ROWS, DocidFile, write_docids
from lrat_hub.retrieval.encoding import EncodedCorpus
from lrat_hub.retrieval.indexes import CORPUS_CONFIG, corpus_pin
from lrat_hub.retrieval.settings import IndexSettings
from lrat_hub.retrieval.streaming import StreamedVectors
from lrat_hub.retrieval.vectors import VectorIndex

if TYPE_CHECKING:
    from lrat_hub.hub.inputs import Source

DOCIDS_FILE = "docids.feather"


def open_streamed(encoded: EncodedCorpus, docids: Iterable[str]) -> VectorIndex:
    """The search through a corpus that has been encoded. Its docids go into a file beside the shards, too.

    Args:
        docids: Of the documents, in the order of the corpus.
    """
    path = encoded.folder / DOCIDS_FILE
    write_docids(path, docids)
    return VectorIndex(StreamedVectors(encoded.shards()), DocidFile(path))


@contextmanager
def streamed_retriever(
    source: Source,
    corpus: Source,
    *,
    work_dir: Path | None = None,
    keep: bool = False,
    settings: IndexSettings | None = None,
    show_progress: bool = False,
) -> Iterator[DenseRetriever]:
    """A model searching a corpus exactly, whose vectors are on disk: nothing grows with the corpus but that folder.

    The shards are those of `lrat index`: a run that was killed goes on, and either finds what the other has kept.

    Args:
        source, corpus: Pins of the model and the corpus.
        work_dir: Where the vectors are meanwhile; by default that of `lrat index`, in HF_HOME.
        keep: Whether they stay there afterwards.
        settings: How documents are encoded; those of `lrat index` by default.

    Raises:
        LratError: The corpus is empty, or either can't be loaded.
    """
    from huggingface_hub.constants import HF_HOME
    from tqdm import tqdm

    from lrat_hub.hub.inputs import load_model, load_table

    settings = settings or IndexSettings()
    table = load_table(corpus, "corpus", config=CORPUS_CONFIG)
    if not len(table):
        raise LratError(f"{corpus}: expected at least one document, found none.")
    model = load_model(source)
    if settings.max_length:
        model.max_seq_length = settings.max_length
    encoded = EncodedCorpus.open(
        work_dir or Path(HF_HOME) / "lrat" / "index",
        model,
        len(table),
        settings,
        corpus_pin=corpus_pin(corpus, str(table.split)),
        model_pin=str(source),
    )
    with tqdm(desc=f"Encoding with {source}", total=len(table), unit=" documents", disable=not show_progress) as bar:
        encoded.encode(model, table, on_shard=bar.update)
    # Not Documents, which would hash every id once more.
    batches = table.select_columns("docid").with_format("arrow").iter(BATCH_ROWS)
    docids = (docid for batch in batches for docid in batch["docid"].to_pylist())
    try:
        yield DenseRetriever.of(
            source,
            model,
            open_streamed(encoded, docids),
            batch_size=settings.batch_size,
        )
    finally:
        if not keep:
            encoded.remove()
