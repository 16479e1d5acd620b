"""What agents act in: a retriever to search and a corpus to browse, shared by many agents that run at once."""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lrat_hub.agents.showing import ShownDocuments, render_results, require_at_least_one
from lrat_hub.queries import QueryState, render_query
from lrat_hub.retrieval import Hit, Retriever, style_read_by
from lrat_hub.schema import Candidate, Document

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

OVERFETCH = 100
"""Results asked of the retriever when documents that were shown before are hidden."""


@dataclass(frozen=True)
class Observation:
    """What an agent is shown after an action.

    Args:
        text: The observation as a language model reads it, and as the trajectory records it.
        results: The same as records, after a search. Those that were shown before have no snippet if the environment
            hides them.
        document: The same as a record, after a browse: with as much of its text as was shown.
        error: Why the action could not be done, or None.
        is_last: Whether the agent has to answer now.
    """

    text: str
    results: tuple[Candidate, ...] = ()
    document: Document | None = None
    error: str | None = None
    is_last: bool = False


@dataclass(frozen=True)
class _Batch:
    """Queries that go to the retriever together, and the task that gives their results."""

    queries: list[str]
    task: asyncio.Task[list[list[Hit]]]


class SearchEnvironment:
    """Searches with a retriever and opens documents.

    Searches of many agents reach the retriever as one batch. It stays open as long as agents that need not wait for
    anything else add to it, and while the batch before it is searched. Retrievers work in a thread, one batch at a
    time, so that the event loop stays free for what the agents themselves wait for.

    Args:
        retriever: Ranks the documents.
        documents: Looks a document up by its docid; a KeyError means that there is none.
        k: Results of each query.
        snippet_tokens: Tokens at the start of a document's text that are shown in a result list.
        browse_tokens: Tokens at the start of a document's text that are shown when it is opened; None for all of it.
        queries_per_search: Queries of a search that are carried out, from the first; None for all of them.
        hide_seen: Whether a search shows `k` documents that are new to the agent. Those it was shown by earlier
            searches, and that rank among these, are then listed by title as seen.
        shuffle: Whether each list is shown in random order, the same for the same query, as for Figure 4 (c) of the
            paper: positions then carry no information about the documents. Ranks are those shown; scores keep the
            retriever's order.
        tokenizer: A fast tokenizer whose tokens are meant; None for words between blanks.

    Raises:
        LratError: A number of results or tokens is less than 1.
    """

    def __init__(
        self,
        retriever: Retriever,
        documents: Mapping[str, Document],
        *,
        k: int = 10,
        snippet_tokens: int = 64,
        browse_tokens: int | None = None,
        queries_per_search: int | None = None,
        hide_seen: bool = False,
        shuffle: bool = False,
        tokenizer: PreTrainedTokenizerBase | None = None,
    ) -> None:
        require_at_least_one(k=k, queries_per_search=queries_per_search)
        self.retriever = retriever
        self.shown = ShownDocuments(
            documents, snippet_tokens=snippet_tokens, browse_tokens=browse_tokens, tokenizer=tokenizer
        )
        self._k = k
        self._queries_per_search = queries_per_search
        self._hide_seen = hide_seen
        self._shuffle = shuffle
        self._open: _Batch | None = None
        self._searching: asyncio.Task[list[list[Hit]]] | None = None

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in self.settings.items())
        return f"SearchEnvironment({self.retriever!r}, {settings})"

    @property
    def settings(self) -> dict[str, Any]:
        """What agents are shown, for records: as values of JSON."""
        tokenizer = None if self.shown.tokenizer is None else self.shown.tokenizer.name_or_path
        return {
            "k": self._k,
            "snippet_tokens": self.shown.snippet_tokens,
            "browse_tokens": self.shown.browse_tokens,
            "hide_seen": self._hide_seen,
            "shuffle": self._shuffle,
            "tokenizer": tokenizer,
            # Left out where it is plain, so that journals of before go on.
            **({"queries_per_search": self._queries_per_search} if self._queries_per_search else {}),
            **({"query_style": style} if (style := style_read_by(self.retriever)) != "plain" else {}),
        }

    def carried_out(self, queries: Sequence[str]) -> tuple[str, ...]:
        """The queries of a search that get results."""
        return tuple(queries[: self._queries_per_search])

    async def search(
        self, queries: Sequence[str], seen: Set[str] = frozenset(), known: QueryState | None = None
    ) -> Observation:
        """Lists the `k` best documents for each query; what the retriever raises is raised.

        Args:
            queries: One or several; each gets a list of its own, whatever is in the others'.
            seen: Documents that the agent's earlier searches have shown, for an environment that hides them.
            known: What is known besides the queries, for retrievers that were trained to read it; its own query does
                not count.
        """
        queries = self.carried_out(queries)
        style = style_read_by(self.retriever)
        state = known or QueryState("")
        asked = [render_query(dataclasses.replace(state, query=query), style) for query in queries]
        # An open batch that is done was left behind by an event loop that was stopped.
        if self._open is None or self._open.task.done():
            pending: list[str] = []
            self._open = _Batch(pending, asyncio.create_task(self._search_batch(pending, self._searching)))
        batch, start = self._open, len(self._open.queries)
        batch.queries.extend(asked)
        # Other agents wait for the same task: one that is cancelled must not take it along.
        hits = (await asyncio.shield(batch.task))[start : start + len(queries)]
        hidden = seen if self._hide_seen else frozenset()
        results = tuple(
            self.shown.candidate(index, hit.rank, hit.docid, hit.score, is_seen=hit.docid in hidden)
            for index, (query, ranking) in enumerate(zip(queries, hits, strict=True))
            for hit in self._in_order(query, _up_to_new(ranking, self._k, hidden))
        )
        return Observation(render_results(queries, results, hidden), results=results)

    async def browse(self, docid: str) -> Observation:
        """Opens a document; for an unknown docid the observation has an error."""
        try:
            document, text = self.shown.opened(docid)
        except KeyError:
            error = f"no document has the DocID {docid!r}"
            return Observation(f"Error: {error}. Open a document of a result list.", error=error)
        return Observation(text, document=document)

    async def _search_batch(
        self, queries: list[str], previous: asyncio.Task[list[list[Hit]]] | None
    ) -> list[list[Hit]]:
        if previous is not None and not previous.done():
            await asyncio.wait([previous])
        # Each turn of the loop lets every agent that can go on do so; a turn without a new query closes the batch.
        counted = -1
        while len(queries) > counted:
            counted = len(queries)
            await asyncio.sleep(0)
        self._open, self._searching = None, asyncio.current_task()
        depth = max(self._k, OVERFETCH) if self._hide_seen else self._k
        return await asyncio.to_thread(self.retriever.search, queries, depth)

    def _in_order(self, query: str, hits: list[Hit]) -> list[Hit]:
        """Hits as they are shown: as they are, or shuffled and with new ranks."""
        if not self._shuffle:
            return hits
        # Seeded by a text, which gives the same everywhere.
        shown = random.Random(query).sample(hits, len(hits))
        return [Hit(hit.docid, hit.score, rank) for rank, hit in enumerate(shown, start=1)]


def _up_to_new(hits: Sequence[Hit], k: int, seen: Set[str]) -> list[Hit]:
    """The head of a list that has `k` documents which are not seen, or all of a shorter one."""
    new = [index for index, hit in enumerate(hits) if hit.docid not in seen]
    return list(hits[: new[k - 1] + 1] if len(new) >= k else hits)
