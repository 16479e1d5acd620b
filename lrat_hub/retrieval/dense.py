"""Dense retrieval: a SentenceTransformer over an index of its vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from lrat_hub.documents import SomeDocuments, documents_of
from lrat_hub.encoders import dtype_name, retriever_options, similarity_of, weights_dtype
from lrat_hub.errors import LratError
from lrat_hub.queries import QueryStyle
from lrat_hub.retrieval import Hit, IndexSize, query_list, shown_as
from lrat_hub.retrieval.settings import BATCH_SIZE, SHARD_SIZE, IndexSettings
from lrat_hub.retrieval.vectors import VectorIndex, build_index
from lrat_hub.schema import Document

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from lrat_hub.hub.inputs import Source


class DenseRetriever:
    """Bi-encoder retrieval over title and text.

    Queries are encoded with the model's `query` prompt and documents with its `document` prompt, where it has them.
    Vectors are normalised, and scores are cosine similarities; a model whose own similarity is the dot product
    keeps it.

    Args:
        model: Any SentenceTransformer.
        documents: The corpus, read once and searched exactly; or an index of its vectors by this model.
        name, revision: The model's repository and commit sha, kept for records.
        query_style: How queries are rendered before they come here: as the model was trained.
        batch_size: Texts an encoding step.
        show_progress: Show a progress bar while the corpus is encoded.

    Raises:
        LratError: The corpus is empty, the model compares by a distance, or it makes vectors that are not finite.
    """

    corpus: str | None = None
    """Pin of the corpus that an index is of, with its config and split; `load_index` sets it."""

    def __init__(
        self,
        model: SentenceTransformer,
        documents: SomeDocuments | VectorIndex,
        *,
        name: str = "dense",
        revision: str | None = None,
        query_style: QueryStyle = "plain",
        batch_size: int = BATCH_SIZE,
        show_progress: bool = False,
    ) -> None:
        self.name, self.revision, self.query_style = name, revision, query_style
        self._model, self._batch_size = model, batch_size
        similarity_of(model)  # refuses a distance before anything is encoded
        if isinstance(documents, VectorIndex):
            self._vectors = documents
        else:
            self._vectors = _encoded(model, documents, batch_size=batch_size, show_progress=show_progress)

    @classmethod
    def of(
        cls, source: Source, model: SentenceTransformer, documents: SomeDocuments | VectorIndex, **options: Any
    ) -> DenseRetriever:
        """A model that a pin names, with the name, commit and query style that it has there.

        Raises:
            LratError: As above, or the model's configuration can't be read.
        """
        return cls(model, documents, **retriever_options(source), **options)

    def __repr__(self) -> str:
        return shown_as(self)

    @property
    def index_size(self) -> IndexSize:
        """A vector a document, and the bytes of the index."""
        return IndexSize(len(self._vectors), self._vectors.num_bytes)

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """See `Retriever.search`."""
        texts = query_list(queries, k)
        if not texts:
            return []
        return self._vectors.search(encode_queries(self._model, texts, batch_size=self._batch_size), k)


def normalizes(model: SentenceTransformer) -> bool:
    """Whether a model's vectors are normalised for search: by cosine, but not by dot product.

    Raises:
        LratError: It compares by a distance, which an index of inner products can't.
    """
    return similarity_of(model) == "cosine"


def encode_queries(model: SentenceTransformer, queries: Sequence[str], *, batch_size: int = BATCH_SIZE) -> np.ndarray:
    """Vectors of queries, shape (queries, dimension), float32, on the model's device; checked as documents' are.

    Raises:
        LratError: A query is no text, or a vector is not finite.
    """
    vectors = model.encode_query(
        _texts(queries, "queries"),
        batch_size=batch_size,
        normalize_embeddings=normalizes(model) and not _is_half(model),
        show_progress_bar=False,
    )
    return _finished(model, vectors, "queries", [repr(query[:40]) for query in queries])


def encode_documents(
    model: SentenceTransformer,
    documents: Sequence[Document],
    *,
    batch_size: int = BATCH_SIZE,
    show_progress: bool = False,
    on_texts: Callable[[int], object] | None = None,
) -> np.ndarray:
    """Vectors of documents, shape (documents, dimension), float32, on the model's device.

    sentence-transformers sorts the texts by length, so that a batch holds little padding, and then gives the vectors
    in the order of the documents. Which texts share a batch touches their last bits: for the same vectors, give the
    same documents at once.

    Args:
        show_progress: Show a progress bar of sentence-transformers' own.
        on_texts: Called after each batch with the number of its documents.

    Raises:
        LratError: A vector is not finite.
    """
    with _told(model, on_texts):
        vectors = model.encode_document(
            _texts([document.content for document in documents], "documents"),
            batch_size=batch_size,
            normalize_embeddings=normalizes(model) and not _is_half(model),
            show_progress_bar=show_progress,
        )
    return _finished(model, vectors, "documents", [document.docid for document in documents])


@contextmanager
def _told(model: SentenceTransformer, on_texts: Callable[[int], object] | None) -> Iterator[None]:
    """Tells how many texts each batch has that the model encodes within the context."""
    if on_texts is None:
        yield
        return

    def tell(module: object, inputs: object, output: Mapping[str, Sized]) -> None:
        on_texts(len(output["sentence_embedding"]))

    # `encode` takes no callback; a batch of it is one call of the model.
    hook = model.register_forward_hook(tell)
    try:
        yield
    finally:
        hook.remove()


def _texts(texts: Sequence[str], kind: str) -> list[str]:
    """The texts, when all are; else raises LratError: some models encode None or a number without a word."""
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise LratError(f"Model: expected {kind} that are texts, found {text!r} as number {number + 1}.")
    return list(texts)


def _is_half(model: SentenceTransformer) -> bool:
    """Whether a model computes in 16 bits: lengths of its vectors have three digits, so they are normalised later."""
    return dtype_name(weights_dtype(model)) in ("bf16", "fp16")


def _finished(model: SentenceTransformer, vectors: Any, kind: str, names: Sequence[str]) -> np.ndarray:
    """Vectors as float32, when all are finite; else raises LratError with the first that is not."""
    rows = np.asarray(vectors, dtype=np.float32)
    if not (finite := np.isfinite(rows).all(axis=1)).all():
        first = int(np.argmin(finite))
        value = "NaN" if np.isnan(rows[first]).any() else "infinite"
        raise LratError(
            f"Model: expected finite vectors, found others for {(~finite).sum()} {kind} ({names[first]}: {value} "
            "...). Is the model damaged, did its training diverge, or are its numbers too large for fp16?"
        )
    if _is_half(model) and normalizes(model):
        rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return rows


def _encoded(
    model: SentenceTransformer, documents: SomeDocuments, *, batch_size: int, show_progress: bool
) -> VectorIndex:
    """A flat index, of the same vectors that `lrat index` stores: shard by shard."""
    docids: list[str] = []
    shards: list[np.ndarray] = []
    rest = documents_of(documents)
    while shard := list(islice(rest, SHARD_SIZE)):
        docids.extend(document.docid for document in shard)
        shards.append(encode_documents(model, shard, batch_size=batch_size, show_progress=show_progress))
    if not docids:
        raise LratError("Corpus: expected at least one document, found none.")
    return VectorIndex(build_index(shards, IndexSettings()), docids)
