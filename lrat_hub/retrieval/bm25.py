"""BM25 with bm25s, in memory or from the files that bm25s itself reads."""

from __future__ import annotations

import re
import sys
import unicodedata
from array import array
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from functools import cache
from pathlib import Path
from typing import cast, overload

import numpy as np

from lrat_hub.documents import SomeDocuments, documents_of
from lrat_hub.errors import LratError
from lrat_hub.retrieval import Hit, IndexSize, query_list, shown_as
from lrat_hub.retrieval.settings import K1, B

STOPWORDS = "en"

_ASCII_WORD = re.compile(r"\w\w+")


class BM25Retriever:
    """Lexical retrieval over title and text: bm25s' Lucene variant, English stop words, no stemmer.

    Building streams the corpus: texts are not kept, and a token takes 4 bytes.

    Args:
        documents: The corpus, read once.
        revision: Commit sha of the corpus, kept for records.
        k1, b: BM25's parameters, by default those of bm25s.

    Raises:
        LratError: No document has a word.
    """

    name = "bm25"
    corpus: str | None = None
    """Pin of the corpus that an index is of, with its config and split; `load_index` sets it."""

    def __init__(self, documents: SomeDocuments, *, revision: str | None = None, k1: float = K1, b: float = B) -> None:
        import bm25s
        from bm25s.tokenization import Tokenized, Tokenizer

        self.revision = revision
        self._docids: Sequence[str]
        self._docids = docids = []
        tokens = _TokenIds()
        tokenizer = Tokenizer(splitter=words, stopwords=STOPWORDS)

        def texts() -> Iterator[str]:
            for document in documents_of(documents):
                docids.append(document.docid)
                yield document.content

        # bm25s says lists where any iterable will do.
        for ids in tokenizer.streaming_tokenize(cast("list[str]", texts()), allow_empty=False):
            tokens.append(ids)
        vocabulary = tokenizer.get_vocab_dict()
        if not vocabulary:
            raise LratError(f"BM25: expected documents with words, found none among {len(docids)}. Check the corpus.")
        # SciPy sorts the postings in half the memory that bm25s' own way takes, and to the same result.
        self._index = bm25s.BM25(k1=k1, b=b, csc_backend="scipy")
        self._index.index(Tokenized(cast("list[list[int]]", tokens), vocabulary), show_progress=False)

    @classmethod
    def load(
        cls, folder: Path, docids: Sequence[str], *, revision: str | None = None, mmap: bool = True
    ) -> BM25Retriever:
        """A retriever from the files of `save`, memory-mapped unless told otherwise.

        Args:
            docids: Ids of the documents, in the order of the corpus.

        Raises:
            LratError: The files are not there, damaged, or of another number of documents.
        """
        from bm25s.hf import BM25HF

        retriever = cls.__new__(cls)
        retriever.revision, retriever._docids = revision, docids
        try:
            retriever._index = BM25HF.load(folder, mmap=mmap, show_progress=False)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise LratError(f"BM25 index: expected the files of bm25s, found {error}. Build it again.") from error
        # Views of the same memory: each piece of a memory-map that NumPy takes is one again, which costs more than it.
        scores = retriever._index.scores
        scores.update({name: np.asarray(scores[name]) for name in ("data", "indices", "indptr")})
        if scores["num_docs"] != len(docids):
            raise LratError(
                f"BM25 index: expected {len(docids)} documents, found {scores['num_docs']}. Build it again."
            )
        return retriever

    def part(self, rows: range) -> BM25Retriever:
        """The same over some consecutive documents, in memory, with the scores that they have among all."""
        part = copy(self)
        part._docids, part._index = self._docids[rows.start : rows.stop], copy(self._index)
        scores = self._index.scores
        inside = np.flatnonzero((scores["indices"] >= rows.start) & (scores["indices"] < rows.stop))
        part._index.scores = {
            "data": scores["data"][inside],
            "indices": scores["indices"][inside] - rows.start,
            "indptr": np.searchsorted(inside, scores["indptr"]).astype(scores["indptr"].dtype),
            "num_docs": len(rows),
        }
        return part

    def __repr__(self) -> str:
        return shown_as(self)

    @property
    def index_size(self) -> IndexSize:
        """No vectors, and the bytes of the postings: scores, documents' positions, and where each word begins."""
        scores = self._index.scores
        return IndexSize(0, sum(np.asarray(scores[name]).nbytes for name in ("data", "indices", "indptr")))

    def save(self, folder: Path) -> None:
        """Writes the files that `BM25HF.load_from_hub` reads; their "corpus" holds the docids."""
        self._index.save(folder, corpus=({"docid": docid} for docid in self._docids), show_progress=False)

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """See `Retriever.search`. A query with no word of the corpus finds nothing."""
        from bm25s.tokenization import Tokenizer

        results = []
        tokenizer = Tokenizer(splitter=words, stopwords=STOPWORDS)
        texts = query_list(queries, k)
        tokenized = list(tokenizer.streaming_tokenize(texts, allow_empty=False))
        by_id = {number: word for word, number in tokenizer.get_vocab_dict().items()}
        for tokens in ([by_id[number] for number in ids] for ids in tokenized):
            known = [token for token in tokens if token in self._index.vocab_dict]
            # get_scores answers exactly; bm25s' own top-k leaves the order of ties open.
            scores = self._index.get_scores(known) if known else np.zeros(0, dtype=np.float32)
            results.append(ranked(self._docids, scores, k, above=0.0))
        return results


def words(text: str) -> list[str]:
    """The words of a text: two or more letters, digits or underscores, as bm25s splits texts by default.

    Texts that Unicode can write in two ways are read as one: an "é" of one character, and an "e" with an accent of its
    own, as file systems and PDFs give it. Vowel signs and accents that have no letter of their own belong to their
    word, without which a word of Hindi, Tamil or pointed Hebrew would be letters that are dropped.
    """
    if text.isascii():
        return _ASCII_WORD.findall(text)
    return _unicode_word().findall(unicodedata.normalize("NFC", text))


@cache
def _unicode_word() -> re.Pattern[str]:
    marks: list[str] = []
    start = None
    for code in range(0x300, sys.maxunicode + 2):
        is_mark = code <= sys.maxunicode and unicodedata.category(chr(code))[0] == "M"
        if is_mark and start is None:
            start = code
        elif not is_mark and start is not None:
            marks.append(f"{chr(start)}-{chr(code - 1)}")
            start = None
    return re.compile(rf"\w[\w{''.join(marks)}]+")


def ranked(docids: Sequence[str], scores: np.ndarray, k: int, *, above: float = -np.inf) -> list[Hit]:
    """The `k` best of `docids` by `scores`; equal scores in the order of `docids`.

    Args:
        scores: Shape (number of documents,), or empty for nothing found.
        above: Only documents that score more than this.
    """
    candidates = np.flatnonzero(scores > above)
    values = scores[candidates]
    if len(candidates) > k:
        # Keep everything that ties with the k-th score, so that the stable sort below decides.
        kept = values >= np.partition(values, -k)[-k]
        candidates, values = candidates[kept], values[kept]
    best = candidates[np.argsort(-values, kind="stable")][:k]
    return [Hit(docids[index], float(scores[index]), rank) for rank, index in enumerate(map(int, best), start=1)]


class _TokenIds(Sequence[list[int]]):
    """Token ids of documents: one flat array instead of a list of lists, which would take ten times as much."""

    def __init__(self) -> None:
        self._flat, self._ends = array("i"), array("q", [0])

    def append(self, ids: Iterable[int]) -> None:
        self._flat.extend(ids)
        self._ends.append(len(self._flat))

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, index: int) -> list[int]: ...
    @overload
    def __getitem__(self, index: slice) -> list[list[int]]: ...
    def __getitem__(self, index: int | slice) -> list[int] | list[list[int]]:
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self._flat[self._ends[index] : self._ends[index + 1]].tolist()
