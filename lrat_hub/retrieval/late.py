"""Late interaction over a whole corpus: the vectors of all tokens, on disk or in memory, and exact MaxSim."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lrat_hub.documents import SomeDocuments, documents_of
from lrat_hub.encoders import is_late, retriever_options
from lrat_hub.errors import LratError
from lrat_hub.queries import QueryStyle
from lrat_hub.retrieval import Hit, IndexSize, query_list, shown_as
from lrat_hub.retrieval.settings import BATCH_SIZE, SHARD_SIZE
from lrat_hub.retrieval.shards import BLOCK_BYTES, EncodedCorpus
from lrat_hub.scaling.work import write_whole
from lrat_hub.schema import Document

if TYPE_CHECKING:
    from sentence_transformers import MultiVectorEncoder

    from lrat_hub.hub.inputs import Source

VECTORS_FILE = "token_vectors.npy"
STARTS_FILE = "token_starts.npy"


@dataclass(frozen=True)
class TokenVectors:
    """The vectors of documents' tokens, one document after the other.

    Args:
        vectors: Shape (tokens, dimension), float32 or float16; may be mapped from a file.
        starts: Where each document begins, and where the last one ends, int64, shape (documents + 1,).
        docids: Ids of the documents, in the order of the corpus.

    Raises:
        LratError: They have other shapes or types, or their numbers don't fit together.
    """

    vectors: np.ndarray
    starts: np.ndarray
    docids: Sequence[str]

    def __post_init__(self) -> None:
        types = (self.vectors.ndim, self.vectors.dtype.kind, self.starts.ndim, self.starts.dtype.kind)
        if types != (2, "f", 1, "i") or not len(self.starts) or (np.diff(self.starts) < 1).any():
            raise LratError(
                "Token vectors: expected rows of floating-point numbers, and places that rise from document to "
                f"document, found {self.vectors.dtype} of shape {self.vectors.shape} and {self.starts.dtype} of shape "
                f"{self.starts.shape}. Build the index again."
            )
        if len(self.starts) != len(self.docids) + 1 or self.starts[0] != 0 or self.starts[-1] != len(self.vectors):
            raise LratError(
                f"Token vectors: expected {len(self.docids)} documents of {len(self.vectors)} tokens, found "
                f"{len(self.starts) - 1} documents of {int(self.starts[-1])}. Build the index again."
            )

    @classmethod
    def load(cls, folder: Path, docids: Sequence[str]) -> TokenVectors:
        """Those of an index, mapped from its files.

        Raises:
            LratError: A file is not there, or damaged.
        """
        try:
            vectors = np.load(folder / VECTORS_FILE, mmap_mode="r", allow_pickle=False)
            starts = np.load(folder / STARTS_FILE, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise LratError(
                f"{folder.name}: expected {VECTORS_FILE} and {STARTS_FILE}, found {error}. Build the index again."
            ) from error
        return cls(vectors, starts, docids)

    def blocks(self, size: int = BLOCK_BYTES) -> Iterator[tuple[int, list[np.ndarray]]]:
        """Blocks of documents with the position of the first: of each its vectors, shape (tokens, dimension), float32.

        Args:
            size: Bytes of a block; a document that is larger makes one by itself.
        """
        tokens = max(1, size // (4 * self.vectors.shape[1]))
        first, count = 0, len(self.docids)
        while first < count:
            end = int(np.searchsorted(self.starts, self.starts[first] + tokens, side="right")) - 1
            end = min(max(end, first + 1), count)
            begin = int(self.starts[first])
            # A copy: pages of mapped files would stay in this process's memory.
            block = np.array(self.vectors[begin : int(self.starts[end])], dtype=np.float32)
            yield first, np.split(block, self.starts[first + 1 : end] - begin)
            first = end


class LateRetriever:
    """Late interaction over title and text of all documents: MaxSim with every one of them, exactly.

    A search reads the vectors of all tokens once for all its queries, in blocks of 96 MB, and takes time that grows
    with the corpus: 2 x (tokens of the query) x (tokens of the corpus) x dimension operations a query. Behind another
    retriever ("bm25>20:me/late") it costs the same whatever the corpus.

    Args:
        model: Any MultiVectorEncoder; its own similarity, prompts and lengths hold.
        documents: The corpus, encoded here into memory, 4 bytes a number of every token; or its token vectors by this
            model.
        name, revision: The model's repository and commit sha, kept for records.
        query_style: How queries are rendered before they come here: as the model was trained.
        batch_size: Texts an encoding step.
        show_progress: Show a progress bar while the corpus is encoded.

    Raises:
        LratError: The corpus is empty, the model makes vectors that are not finite, or others than were given.
    """

    corpus: str | None = None
    """Pin of the corpus that an index is of, with its config and split; `load_index` sets it."""

    def __init__(
        self,
        model: MultiVectorEncoder,
        documents: SomeDocuments | TokenVectors,
        *,
        name: str = "late",
        revision: str | None = None,
        query_style: QueryStyle = "plain",
        batch_size: int = BATCH_SIZE,
        show_progress: bool = False,
    ) -> None:
        if not is_late(model):
            raise LratError(f"Late interaction: expected a MultiVectorEncoder, found a {type(model).__name__}.")
        self.name, self.revision, self.query_style = name, revision, query_style
        self._model, self._batch_size = model, batch_size
        if isinstance(documents, TokenVectors):
            found, expected = documents.vectors.shape[1], model.get_embedding_dimension()
            if expected not in (None, found):
                raise LratError(f"Token vectors: expected {expected} numbers, as {name} makes, found {found}.")
            self._tokens = documents
        else:
            self._tokens = _encoded(model, documents, batch_size=batch_size, show_progress=show_progress)

    @classmethod
    def of(
        cls, source: Source, model: MultiVectorEncoder, documents: SomeDocuments | TokenVectors, **options: Any
    ) -> LateRetriever:
        """A model that a pin names, as `DenseRetriever.of`."""
        return cls(model, documents, **retriever_options(source), **options)

    def __repr__(self) -> str:
        return shown_as(self)

    @property
    def index_size(self) -> IndexSize:
        """A vector for each token of each document, and their bytes."""
        return IndexSize(len(self._tokens.vectors), self._tokens.vectors.nbytes + self._tokens.starts.nbytes)

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """See `Retriever.search`.

        Raises:
            LratError: A query's vector is not finite.
        """
        texts = query_list(queries, k)
        if not texts:
            return []
        model = self._model
        encoded = model.encode_query(texts, batch_size=self._batch_size, show_progress_bar=False)
        for query, vectors in zip(texts, encoded, strict=True):
            if not vectors.isfinite().all():
                raise LratError(
                    f"Model: expected finite vectors, found others for the query {query[:40]!r}. Is it damaged?"
                )
        best = [(np.empty(0, np.float32), np.empty(0, np.int64)) for _ in texts]
        for first, block in self._tokens.blocks():
            positions = np.arange(first, first + len(block))
            for number, query in enumerate(encoded):
                # One query at a time, so that its scores don't depend on how long the others are.
                scores = model.similarity([query], block, device=model.device)[0].float().cpu().numpy()
                if not np.isfinite(scores).all():
                    docid = self._tokens.docids[int(positions[~np.isfinite(scores)][0])]
                    raise LratError(f"Token vectors: expected finite ones, found others for {docid}. Is it damaged?")
                best[number] = _first(k, *map(np.concatenate, zip(best[number], (scores, positions), strict=True)))
        return [
            [
                Hit(self._tokens.docids[int(at)], float(score), rank)
                for rank, (score, at) in enumerate(zip(scores, positions, strict=True), start=1)
            ]
            for scores, positions in best
        ]


class EncodedTokens(EncodedCorpus):
    """Vectors of the tokens of a corpus's documents, in shards of consecutive documents: see `EncodedCorpus`."""

    def tokens(self) -> int:
        """Tokens of all shards."""
        return sum(len(shard) for shard in self.shards())

    def write(self, folder: Path) -> None:
        """Writes the files that `TokenVectors.load` reads, shard by shard.

        Raises:
            LratError: A shard is missing.
        """
        shards = self.shards()
        into = np.lib.format.open_memmap(
            folder / VECTORS_FILE, mode="w+", dtype=self._dtype, shape=(self.tokens(), self.dimension)
        )
        at = 0
        for shard in shards:
            into[at : at + len(shard)] = shard
            at += len(shard)
        into.flush()
        lengths = np.concatenate([self._lengths(number) for number in range(len(self))])
        np.save(folder / STARTS_FILE, _starts_of(lengths), allow_pickle=False)

    def _encode_shard(
        self, number: int, model: Any, documents: Sequence[Document], on_documents: Callable[[int], object]
    ) -> None:
        vectors, lengths = encode_tokens(model, documents, batch_size=self.settings.batch_size)
        write_whole(self._lengths_path(number), lambda file: np.save(file, lengths, allow_pickle=False))
        # The vectors come last: a shard is there when they are.
        self._save(number, vectors)
        on_documents(len(documents))

    def _load(self, number: int) -> np.memmap:
        vectors = np.load(self._path(number), mmap_mode="r", allow_pickle=False)
        lengths = self._lengths(number)
        start, end = self._rows(number)
        if (len(lengths), vectors.shape, vectors.dtype) != (
            end - start, (int(lengths.sum()), self.dimension), self._dtype,
        ):  # fmt: skip
            raise ValueError(f"{self._path(number)}: {vectors.dtype} of shape {vectors.shape}")
        return vectors

    def _lengths_path(self, number: int) -> Path:
        return self.folder / f"lengths-{number:06d}.npy"

    def _lengths(self, number: int) -> np.ndarray:
        return np.load(self._lengths_path(number), allow_pickle=False)


def encode_tokens(
    model: MultiVectorEncoder, documents: Sequence[Document], *, batch_size: int = BATCH_SIZE
) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of all tokens of documents, shape (tokens, dimension), float32, and how many tokens each has, int64.

    Raises:
        LratError: A vector is not finite, or a document has no token that counts.
    """
    encoded = model.encode_document(
        [document.content for document in documents],
        batch_size=batch_size,
        convert_to_numpy=True,
        show_progress_bar=False,
    )
    for document, vectors in zip(documents, encoded, strict=True):
        if not len(vectors) or not np.isfinite(vectors).all():
            found = "others" if len(vectors) else "none: the model skips all its tokens"
            raise LratError(f"Model: expected finite vectors of the tokens of {document.docid}, found {found}.")
    return np.concatenate(encoded).astype(np.float32), np.array([len(one) for one in encoded], dtype=np.int64)


def estimated_tokens(
    model: MultiVectorEncoder, count: int, text_of: Callable[[int], str], *, sample: int = 256
) -> int:
    """Tokens of a corpus that have a vector, by the mean of evenly spaced documents, which are encoded for it."""
    rows = np.unique(np.linspace(0, count - 1, min(count, sample)).astype(int))
    encoded = model.encode_document([text_of(int(row)) for row in rows], show_progress_bar=False)
    return round(count * sum(len(one) for one in encoded) / len(rows))


def _encoded(
    model: MultiVectorEncoder, documents: SomeDocuments, *, batch_size: int, show_progress: bool
) -> TokenVectors:
    from tqdm import tqdm

    docids: list[str] = []
    shards: list[np.ndarray] = []
    lengths: list[np.ndarray] = []
    rest = documents_of(documents)
    with tqdm(desc="Encoding documents", unit=" documents", disable=not show_progress) as bar:
        while shard := list(islice(rest, SHARD_SIZE)):
            docids.extend(document.docid for document in shard)
            vectors, own = encode_tokens(model, shard, batch_size=batch_size)
            shards.append(vectors)
            lengths.append(own)
            bar.update(len(shard))
    if not docids:
        raise LratError("Corpus: expected at least one document, found none.")
    return TokenVectors(np.concatenate(shards), _starts_of(np.concatenate(lengths)), docids)


def _starts_of(lengths: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _first(k: int, scores: np.ndarray, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The `k` best, equal scores by position."""
    order = np.lexsort((positions, -scores))[:k]
    return scores[order], positions[order]
