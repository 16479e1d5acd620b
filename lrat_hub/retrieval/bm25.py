"""BM25 with bm25s."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from lrat_hub.retrieval import Hit
from lrat_hub.retrieval.ranking import ranked
from lrat_hub.schema import Document

STOPWORDS = "en"


class BM25Retriever:
    """Lexical retrieval over title and text: bm25s with its default parameters, English stop words, no stemmer.

    Args:
        documents: The corpus, read once.
        revision: Commit sha of the corpus, kept for records.
    """

    name = "bm25"

    def __init__(self, documents: Iterable[Document], *, revision: str | None = None) -> None:
        import bm25s

        self.revision = revision
        self._docids: list[str] = []
        texts: list[str] = []
        for document in documents:
            self._docids.append(document.docid)
            texts.append(document.content)
        self._index = bm25s.BM25()
        self._index.index(bm25s.tokenize(texts, stopwords=STOPWORDS, show_progress=False), show_progress=False)

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """See `Retriever.search`. A query with no word of the corpus finds nothing."""
        import bm25s

        results = []
        for tokens in bm25s.tokenize(list(queries), stopwords=STOPWORDS, return_ids=False, show_progress=False):
            known = [token for token in tokens if token in self._index.vocab_dict]
            # get_scores answers exactly; bm25s' own top-k leaves the order of ties open.
            scores = self._index.get_scores(known) if known else np.zeros(0, dtype=np.float32)
            results.append(ranked(self._docids, scores, k, above=0.0))
        return results
