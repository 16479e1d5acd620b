"""An index that several servers search, each a part of its documents; their lists are merged into that of the whole.

A shard's own list has the best of its documents, scored as in the whole index, so that merging by score, and equal
scores by shard and rank, gives the list of the whole index to the last bit. Queries are encoded once, by whoever asks.

    GET  /       -> {"index": str, "shard": int, "shards": int, "documents": int}
    POST /shard  {"k": int, "queries": [str, ...]} or {"k": int, "vectors": str}
                 -> the same as GET, and {"docids": [[str, ...], ...], "scores": [[float, ...], ...]}

`vectors` are float32 in little-endian order, row by row, as base64.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from lrat_hub.encoders import load_encoder
from lrat_hub.errors import LratError, Unavailable
from lrat_hub.hub.inputs import LocalSource
from lrat_hub.retrieval import Hit, query_list
from lrat_hub.retrieval.bm25 import BM25Retriever
from lrat_hub.retrieval.indexes import DOCIDS_FILE, INDEX_FILE, DocidFile, IndexManifest, identity_of, index_folder
from lrat_hub.retrieval.remote import ServerClient, batches_of

if TYPE_CHECKING:
    from lrat_hub.hub.inputs import Source
    from lrat_hub.retrieval.vectors import VectorIndex

SHARDED_KINDS = ("bm25", "flat")
"""Kinds of indexes whose shards give what the whole gives. Graphs and clusters find others when they are cut."""

BATCH = 128
"""Most queries of one question to a shard."""

WATCH_SECONDS = 5.0
"""Seconds within which a shard has to say which it is, and between two times that it is asked."""


@dataclass(frozen=True)
class Shard:
    """Which part of which index a server searches: consecutive documents, as many in every shard.

    Args:
        index: The pin of the index, or the hash of a folder.
        shard: The number of the part, from 1.
        shards: How many there are.
        documents: Those of the whole index.
    """

    index: str
    shard: int
    shards: int
    documents: int

    def __str__(self) -> str:
        return f"shard {self.shard} of {self.shards} of {self.index} with {self.documents} documents"

    @property
    def rows(self) -> range:
        """Positions of its documents in the corpus."""
        start, end = (self.documents * number // self.shards for number in (self.shard - 1, self.shard))
        return range(start, end)


def load_shard(
    index: Source, corpus: Source, number: int, count: int, *, model: Source | None = None
) -> tuple[Shard, BM25Retriever | VectorIndex]:
    """One of the shards of an index, in memory; BM25 is searched with texts, and vectors with vectors.

    Args:
        number, count: Which, from 1, of how many.
        model: See `load_index`; it is compared, and not loaded.

    Raises:
        LratError: There is no such shard, the index can't be sharded, or is of another corpus or model.
    """
    stamp = shardable(index, corpus, count, model=model)
    shard = Shard(_named(index), number, count, stamp.documents)
    folder = index_folder(index)
    docids = DocidFile(folder / DOCIDS_FILE)
    if stamp.kind == "bm25":
        return shard, BM25Retriever.load(folder, docids).part(shard.rows)

    from lrat_hub.retrieval.vectors import VectorIndex

    assert stamp.kind != "late"  # shardable refuses it
    return shard, VectorIndex.load(folder / INDEX_FILE, docids, stamp.kind).part(shard.rows)


class ShardedRetriever:
    """Searches an index whose shards are served: all of it, or not at all.

    Args:
        index, corpus, model: As for `load_index`; of the index, only the stamp is read.
        urls: Where the servers of its shards are, in any order.
        token: The token that they ask for; by default that in LRAT_SERVE_TOKEN.
        timeout, attempts, pause: See `ServerClient`.
        on_answer: Called with the number of a shard, the seconds that it took, and whether it has answered.

    Raises:
        LratError: The servers don't have all shards of this index, each once; or the index can't be sharded.
    """

    def __init__(
        self,
        index: Source,
        corpus: Source,
        urls: Sequence[str],
        *,
        model: Source | None = None,
        token: str | None = None,
        timeout: float = 60.0,
        attempts: int = 3,
        pause: float = 0.2,
        on_answer: Callable[[int, float, bool], object] = lambda shard, seconds, answered: None,
    ) -> None:
        stamp = shardable(index, corpus, len(urls), model=model)
        self.corpus: str | None = stamp.corpus
        self.name, self.revision, self.query_style = identity_of(stamp, index, corpus, model)
        self.problems: dict[int, str] = {}
        """What is wrong with shards, by their numbers."""
        self._on_answer, self._pool = on_answer, ThreadPoolExecutor(len(urls), thread_name_prefix="shard")
        self._shards: list[tuple[Shard, ServerClient]] = []
        expected = [Shard(_named(index), number, len(urls), stamp.documents) for number in range(1, len(urls) + 1)]
        for url in urls:
            server = ServerClient(url, timeout=timeout, attempts=attempts, pause=pause, token=token)
            shard = _shard_in(server, server.ask("/"))
            if shard not in expected:
                raise LratError(
                    f"{url}: expected one of the {len(urls)} shards of {_named(index)}, each once; found {shard}."
                )
            expected.remove(shard)
            self._shards.append((shard, server))
        self._shards.sort(key=lambda known: known[0].shard)
        self._watched = [(shard, ServerClient(server.url, timeout=WATCH_SECONDS, attempts=1, token=token))
                         for shard, server in self._shards]  # fmt: skip
        self._model = None
        if stamp.kind != "bm25":
            precision = stamp.settings.get("precision", "stored")
            self._model = load_encoder(model or stamp.encoder(str(index)), precision=precision)
            self._batch_size: int = stamp.settings["batch_size"]

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """See `Retriever.search`.

        Raises:
            LratError: A shard does not answer, or is of another index by now (`Unavailable`).
        """
        texts = query_list(queries, k)
        lists: list[list[Hit]] = []
        for question in self._questions(texts) if texts else ():
            asked = [self._pool.submit(self._ask, *known, {"k": k, **question}) for known in self._shards]
            # None is still at it when the next question comes.
            wait(asked)
            lists += [merged(parts, k) for parts in zip(*(answer.result() for answer in asked), strict=True)]
        return lists

    def check(self) -> None:
        """Asks each shard which it is, and keeps in `problems` what is wrong."""

        def ask(known: tuple[Shard, ServerClient]) -> None:
            with suppress(LratError):
                self._answer(*known)

        list(self._pool.map(ask, self._watched))

    def close(self) -> None:
        """Ends its threads."""
        self._pool.shutdown()

    def _questions(self, texts: list[str]) -> Iterator[dict[str, Any]]:
        """What the shards are asked about the queries."""
        if self._model is None:
            yield from ({"queries": batch} for batch in batches_of(texts, BATCH))
            return

        from lrat_hub.retrieval.dense import encode_queries

        # All at once, as for the whole index: which texts share a batch touches the last bits of their vectors.
        vectors = encode_queries(self._model, texts, batch_size=self._batch_size)
        yield from ({"vectors": packed(vectors[start : start + BATCH])} for start in range(0, len(texts), BATCH))

    def _ask(self, shard: Shard, server: ServerClient, question: Any) -> list[list[tuple[str, float]]]:
        """The lists of a shard."""
        started, answered, answer = time.monotonic(), False, None
        try:
            answer = self._answer(shard, server, question)
            lists = [list(zip(*pair, strict=True)) for pair in zip(answer["docids"], answer["scores"], strict=True)]
            answered = True
            return lists
        except (KeyError, TypeError, ValueError) as error:
            raise server.misunderstood(answer) from error
        finally:
            self._on_answer(shard.shard, time.monotonic() - started, answered)

    def _answer(self, shard: Shard, server: ServerClient, question: Any = None) -> Any:
        """What a server answers, when it is still that of its shard."""
        try:
            try:
                answer = server.ask("/", None) if question is None else server.ask("/shard", question)
            except Unavailable:
                raise
            except LratError:
                # The question may be at fault, or it was put to somebody else.
                _require(shard, server)
                raise
            _require(shard, server, answer)
        except Unavailable as error:
            self.problems[shard.shard] = str(error)
            raise
        self.problems.pop(shard.shard, None)
        return answer


def merged(lists: Iterable[Sequence[tuple[str, float]]], k: int) -> list[Hit]:
    """The `k` best of the lists of all shards, which are in the order of the corpus: equal scores stay in it."""
    best = sorted((hit for hits in lists for hit in hits), key=lambda hit: -hit[1])[:k]
    return [Hit(docid, score, rank) for rank, (docid, score) in enumerate(best, start=1)]


def packed(vectors: np.ndarray) -> str:
    """Vectors as text."""
    return base64.b64encode(vectors.astype("<f4").tobytes()).decode()


def unpacked(text: str, dimension: int) -> np.ndarray:
    """Vectors out of a text.

    Raises:
        LratError: They are none of this dimension, or not finite.
    """
    try:
        vectors = np.frombuffer(base64.b64decode(text, validate=True), dtype="<f4").reshape(-1, dimension)
    except ValueError as error:
        raise LratError(f"Shard: expected vectors of {dimension} float32 numbers as base64, found others.") from error
    if not np.isfinite(vectors).all():
        raise LratError("Shard: expected finite vectors, found others.")
    return vectors.astype(np.float32)


def shardable(index: Source, corpus: Source, count: int, *, model: Source | None = None) -> IndexManifest:
    """The stamp of an index that can be searched in so many shards.

    Raises:
        LratError: It can't be, or is of another corpus or model.
    """
    stamp = IndexManifest.of(index)
    stamp.check(str(index), corpus=corpus, model=model)
    if stamp.kind not in SHARDED_KINDS:
        raise LratError(
            f"{index}: expected an index of kind {' or '.join(SHARDED_KINDS)} for shards, found {stamp.kind}, whose "
            "parts would find other documents than the whole."
        )
    if not 1 <= count <= stamp.documents:
        raise LratError(f"{index}: expected from 1 to {stamp.documents} shards, as it has documents, found {count}.")
    return stamp


def _named(index: Source) -> str:
    """An index by what is the same on every machine."""
    return f"sha256:{index.digest}" if isinstance(index, LocalSource) else str(index)


def _require(shard: Shard, server: ServerClient, answer: Any = None) -> None:
    """Raises `Unavailable` when a server is not, or no longer, that of a shard, by what it answers or is asked for."""
    try:
        found = _shard_in(server, server.ask("/") if answer is None else answer)
    except LratError as error:
        raise Unavailable(f"{server.url}: expected {shard} as before, found another server. {error}") from error
    if found != shard:
        raise Unavailable(f"{server.url}: expected {shard} as before, found {found}. Start all servers again.")


def _shard_in(server: ServerClient, answer: Any) -> Shard:
    try:
        return Shard(**{field.name: answer[field.name] for field in fields(Shard)})
    except (KeyError, TypeError) as error:
        raise server.misunderstood(answer) from error
