"""What retrievers take for documents, and what fused ones store."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from lrat_hub import BM25Retriever, Document, RerankedRetriever, load_corpus
from lrat_hub.errors import LratError
from lrat_hub.retrieval.fusion import FusionRetriever

DOCUMENTS = {name: Document(name, name, f"{name} is a word of this text") for name in ("one", "two", "three")}


class Longest:
    name: str = "longest"
    revision: str | None = None

    def score(self, query: str, documents: Sequence[str]) -> np.ndarray:
        return np.array([len(document) for document in documents])


def test_a_corpus_is_taken_as_it_is_loaded(tmp_path):
    path = tmp_path / "corpus.jsonl"
    path.write_text(
        "".join(f'{{"docid": "{d.docid}", "title": "{d.title}", "text": "{d.text}"}}\n' for d in DOCUMENTS.values())
    )
    for given in (load_corpus(path), DOCUMENTS, list(DOCUMENTS.values()), iter(DOCUMENTS.values())):
        assert BM25Retriever(given).search(["two"], 1)[0][0].docid == "two"


def test_texts_in_the_place_of_documents_are_refused_with_what_to_give():
    with pytest.raises(LratError, match=r"expected documents, found 'a text'\. Give what `load_corpus` gives"):
        BM25Retriever(["a text"])  # pyright: ignore[reportArgumentType]


def test_an_index_that_is_in_two_parts_of_a_fusion_counts_once():
    bm25, other = BM25Retriever(DOCUMENTS), BM25Retriever(DOCUMENTS)
    rows = {docid: row for row, docid in enumerate(DOCUMENTS)}.__getitem__
    reranked = RerankedRetriever(bm25, Longest(), DOCUMENTS)
    both = FusionRetriever([bm25, reranked], rows)
    assert both.index_size == FusionRetriever([bm25, both], rows).index_size == bm25.index_size
    sizes = FusionRetriever([bm25, other], rows).index_size
    assert sizes is not None
    assert sizes.num_bytes == 2 * bm25.index_size.num_bytes
