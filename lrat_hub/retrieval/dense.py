"""Dense retrieval: a SentenceTransformer and exact inner-product search with FAISS."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from lrat_hub.retrieval import Hit
from lrat_hub.schema import Document

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

TIE_MARGIN = 32
"""Documents fetched beyond k, so that ties at the k-th place are decided by this module and not by FAISS."""


class DenseRetriever:
    """Bi-encoder retrieval over title and text with a flat FAISS index of normalised vectors.

    Queries are encoded with the model's `query` prompt and documents with its `document` prompt, where it has them.

    Args:
        model: Any SentenceTransformer.
        documents: The corpus, read once.
        name, revision: The model's repository and commit sha, kept for records.
        batch_size: Texts an encoding step.
        show_progress: Show a progress bar while the corpus is encoded.
    """

    def __init__(
        self,
        model: SentenceTransformer,
        documents: Iterable[Document],
        *,
        name: str = "dense",
        revision: str | None = None,
        batch_size: int = 64,
        show_progress: bool = False,
    ) -> None:
        import faiss

        self.name, self.revision = name, revision
        self._model, self._batch_size = model, batch_size
        self._docids: list[str] = []
        texts: list[str] = []
        for document in documents:
            self._docids.append(document.docid)
            texts.append(document.content)
        vectors = model.encode_document(
            texts, batch_size=batch_size, normalize_embeddings=True, show_progress_bar=show_progress
        )
        vectors = np.asarray(vectors, dtype=np.float32)
        self._index = faiss.IndexFlatIP(vectors.shape[1])
        self._index.add(vectors)

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """See `Retriever.search`. Scores are cosine similarities."""
        if not len(queries):
            return []
        vectors = self._model.encode_query(
            list(queries), batch_size=self._batch_size, normalize_embeddings=True, show_progress_bar=False
        )
        depth = min(k + TIE_MARGIN, len(self._docids))
        scores, places = self._index.search(np.asarray(vectors, dtype=np.float32), depth)
        results = []
        for row_scores, row_places in zip(scores, places, strict=True):
            order = np.lexsort((row_places, -row_scores))[:k]
            results.append(
                [Hit(self._docids[row_places[i]], float(row_scores[i]), rank) for rank, i in enumerate(order, start=1)]
            )
        return results
