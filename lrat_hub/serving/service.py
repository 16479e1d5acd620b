"""What every protocol calls: searches in batches, documents by id, and observers that are told before the answer."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Literal, Protocol

from lrat_hub.documents import Documents
from lrat_hub.errors import LratError
from lrat_hub.queries import QueryStyle
from lrat_hub.retrieval import Hit, Retriever, style_read_by
from lrat_hub.schema import Document
from lrat_hub.serving.batching import Batcher, BatchObserver, BatchSettings, SearchFailed

if TYPE_CHECKING:
    from lrat_hub.serving.champions import Shadow

Role = Literal["champion", "shadow"]
"""What a retriever is here: the one whose lists are given out, or one that is only compared with it."""


@dataclass(frozen=True)
class Caller:
    """What is known of whoever asks.

    Args:
        session: The session that a call belongs to; None where nothing says so.
        attributed_by: How the session was told, such as "traceparent", "session header", "argument" or "token".
        subject: The subject of the token that the call came with.
        reasoning: What the agent thought before the call, where its client sends that.
    """

    session: str | None = None
    attributed_by: str | None = None
    subject: str | None = None
    reasoning: str | None = None


ANYBODY = Caller()
"""A caller of whom nothing is known."""


@dataclass(frozen=True)
class ServedSearch:
    """One search as it was answered.

    Args:
        search_id: Names the search in fetches and feedback that refer to it. A shadow's has that of the search it
            repeats.
        queries: The queries, as they came.
        lists: The result list of each query.
        k: Most results a list.
        retriever: The retriever's name.
        revision: The commit of what it was built from, where there is one.
        role: Whether these lists were given out, or only compared.
        pin: The pin of the index that was searched, where one is served.
    """

    search_id: str
    queries: tuple[str, ...]
    lists: tuple[tuple[Hit, ...], ...]
    k: int
    retriever: str
    revision: str | None
    role: Role = "champion"
    pin: str | None = None


@dataclass(frozen=True)
class ServedFetch:
    """Documents that were opened.

    Args:
        docids: What was asked for.
        found: Whether the corpus has it, for each.
        search_id: The search that listed them, where the client says so.
    """

    docids: tuple[str, ...]
    found: tuple[bool, ...]
    search_id: str | None = None


@dataclass(frozen=True)
class ServedFeedback:
    """What a client says of a document that a search listed.

    Args:
        used: Whether it was used for the answer.
        comment: Anything else that is said of it.
    """

    search_id: str
    docid: str
    used: bool
    comment: str | None = None


@dataclass(frozen=True)
class ServedAnswer:
    """What an agent answered at the end of its session.

    Args:
        question: What was asked of it, where the client says so.
    """

    answer: str
    question: str | None = None


class Observer(Protocol):
    """Is told of every call before its answer goes out: what it has written is safe when the caller reads the answer.

    What an observer raises is the caller's answer, an error.
    """

    async def searched(self, caller: Caller, search: ServedSearch) -> None: ...

    async def fetched(self, caller: Caller, fetch: ServedFetch) -> None: ...

    async def feedback(self, caller: Caller, note: ServedFeedback) -> None: ...

    async def answered(self, caller: Caller, note: ServedAnswer) -> None: ...


@dataclass(frozen=True)
class Description:
    """What a service searches, for clients that check it.

    Args:
        name, revision: Those of the retriever.
        corpus: The pin of the corpus.
        query_style: How queries have to be rendered.
    """

    name: str
    revision: str | None
    corpus: str | None
    query_style: QueryStyle


@dataclass(eq=False)
class Backend:
    """A retriever with the documents that it finds.

    Args:
        retriever: Whatever can be searched.
        corpus: The pin of its corpus.
        load_documents: Loads the corpus's documents when they are first asked for; without it they can't be looked up.
        pin: The pin of the index, where one is served, with which answers are stamped.
    """

    retriever: Retriever
    corpus: str | None = None
    load_documents: Callable[[], Mapping[str, Document]] | None = None
    pin: str | None = None
    _documents: Mapping[str, Document] | None = field(default=None, init=False, repr=False)
    _loading: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    @property
    def description(self) -> Description:
        retriever = self.retriever
        return Description(retriever.name, retriever.revision, self.corpus, style_read_by(retriever))

    def documents(self) -> Mapping[str, Document]:
        """The corpus's documents.

        Raises:
            LratError: There are none to look up.
        """
        with self._loading:
            if self._documents is None:
                if self.load_documents is None:
                    raise LratError("Documents: expected a service that has its corpus, found one that only searches.")
                self._documents = self.load_documents()
            return self._documents


class SearchService:
    """Searches for many callers at once, all of one event loop.

    Args:
        backend: What is searched; `replace` swaps it between two batches.
        batches: How concurrent searches share a batch.
        observers: Are told of every call before it is answered, one after the other.
        batch_observer: Is told of each batch, such as for metrics.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        batches: BatchSettings | None = None,
        observers: Sequence[Observer] = (),
        batch_observer: BatchObserver | None = None,
    ) -> None:
        self._backend = backend
        self.observers = tuple(observers)
        self.shadow: Shadow | None = None
        """A challenger that gets the queries after they are answered."""
        self._batcher: Batcher[Backend] = Batcher(self._search_batch, batches, batch_observer)

    @property
    def backend(self) -> Backend:
        """What the next batch will be searched with."""
        return self._backend

    @property
    def description(self) -> Description:
        """What the next batch will be searched with, in words."""
        return self._backend.description

    @property
    def waiting(self) -> int:
        """Number of queries that wait."""
        return self._batcher.waiting

    def replace(self, backend: Backend) -> None:
        """Searches with another backend from the next batch on. No request is lost, and none is answered by both."""
        self._backend = backend

    async def search(self, queries: Sequence[str], k: int, caller: Caller = ANYBODY) -> ServedSearch:
        """The `k` best documents for each query, all of one revision.

        Raises:
            LratError: Too many wait (`Overloaded`), or the retriever failed on this request.
        """
        if queries:
            backend, lists = await self._batcher.search(queries, k)
        else:
            backend, lists = self._backend, []
        if not all(isfinite(hit.score) for hits in lists for hit in hits):
            raise SearchFailed("Search: expected finite scores of the retriever, found others, which no JSON has.")
        about = backend.description
        search = ServedSearch(
            secrets.token_hex(16),
            tuple(queries),
            tuple(map(tuple, lists)),
            k,
            about.name,
            about.revision,
            pin=backend.pin,
        )
        # Where nothing was asked, there is nothing to learn from.
        if queries:
            for observer in self.observers:
                await observer.searched(caller, search)
            if self.shadow is not None:
                self.shadow.offer(caller, search)
        return search

    async def documents(
        self, docids: Sequence[str], caller: Caller = ANYBODY, *, search_id: str | None = None
    ) -> list[Document | None]:
        """Opens documents: those with these ids, None for each that the corpus lacks.

        Args:
            search_id: The search that listed them, where the client says so.

        Raises:
            LratError: The service has no documents.
        """
        found = await self.look_up(docids)
        fetch = ServedFetch(tuple(docids), tuple(document is not None for document in found), search_id)
        for observer in self.observers:
            await observer.fetched(caller, fetch)
        return found

    async def look_up(self, docids: Sequence[str]) -> list[Document | None]:
        """As `documents`, for the service's own use, such as titles of a list: nobody opens these."""
        backend = self._backend

        def look_up() -> list[Document | None]:
            documents = backend.documents()
            if isinstance(documents, Documents):
                return documents.find_all(docids)
            return list(map(documents.get, docids))

        return await asyncio.to_thread(look_up)

    async def feedback(self, note: ServedFeedback, caller: Caller = ANYBODY) -> None:
        """Takes what a client says of a document that was listed."""
        for observer in self.observers:
            await observer.feedback(caller, note)

    async def answer(self, note: ServedAnswer, caller: Caller = ANYBODY) -> None:
        """Takes what an agent answered at the end of its session."""
        for observer in self.observers:
            await observer.answered(caller, note)

    def _search_batch(self, queries: list[str], k: int) -> tuple[Backend, list[list[Hit]]]:
        backend = self._backend
        return backend, backend.retriever.search(queries, k)

    def close(self) -> None:
        """Ends the service; what is being searched ends first."""
        self._batcher.close()
        if self.shadow is not None:
            self.shadow.close()
