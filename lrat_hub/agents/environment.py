"""What agents act in: a retriever to search and a corpus to browse, shared by many agents that run at once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from lrat_hub.retrieval import Hit, Retriever
from lrat_hub.schema import Candidate, Document

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SNIPPETS_KEPT = 65_536


@dataclass(frozen=True)
class Observation:
    """What an agent is shown after an action.

    Args:
        text: The observation as a language model reads it, and as the trajectory records it.
        results: The same as records, after a search.
        document: The same as a record, after a browse.
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
        tokenizer: A fast tokenizer whose tokens are meant; None for words between blanks.
    """

    def __init__(
        self,
        retriever: Retriever,
        documents: Mapping[str, Document],
        *,
        k: int = 10,
        snippet_tokens: int = 64,
        tokenizer: PreTrainedTokenizerBase | None = None,
    ) -> None:
        self.retriever = retriever
        self._k = k
        self._snippet_tokens = snippet_tokens
        self._documents = documents
        self._tokenizer = tokenizer
        # The same documents are listed again and again, and tokenising a long one takes milliseconds.
        self._snippet = lru_cache(SNIPPETS_KEPT)(self._cut_snippet)
        self._open: _Batch | None = None
        self._searching: asyncio.Task[list[list[Hit]]] | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """What agents are shown, for records: as values of JSON."""
        tokenizer = None if self._tokenizer is None else self._tokenizer.name_or_path
        return {"k": self._k, "snippet_tokens": self._snippet_tokens, "tokenizer": tokenizer}

    async def search(self, queries: Sequence[str]) -> Observation:
        """Lists the `k` best documents for each query; what the retriever raises is raised."""
        # An open batch that is done was left behind by an event loop that was stopped.
        if self._open is None or self._open.task.done():
            pending: list[str] = []
            self._open = _Batch(pending, asyncio.create_task(self._search_batch(pending, self._searching)))
        batch, start = self._open, len(self._open.queries)
        batch.queries.extend(queries)
        # Other agents wait for the same task: one that is cancelled must not take it along.
        hits = (await asyncio.shield(batch.task))[start : start + len(queries)]
        results = tuple(self._candidate(index, hit) for index, found in enumerate(hits) for hit in found)
        return Observation(_render_results(queries, results), results=results)

    async def browse(self, docid: str) -> Observation:
        """Opens a document; for an unknown docid the observation has an error."""
        try:
            document = self._documents[docid]
        except KeyError:
            error = f"no document has the DocID {docid!r}"
            return Observation(f"Error: {error}. Open a document of a result list.", error=error)
        return Observation(f"DocID: {docid}\nTitle: {document.title}\n\n{document.text}", document=document)

    async def _search_batch(
        self, queries: list[str], previous: asyncio.Task[list[list[Hit]]] | None
    ) -> list[list[Hit]]:
        if previous is not None and not previous.done():
            await asyncio.wait([previous])
        # Each turn of the loop lets every agent that can go on do so; a turn without a new query closes the batch.
        known = -1
        while len(queries) > known:
            known = len(queries)
            await asyncio.sleep(0)
        self._open, self._searching = None, asyncio.current_task()
        return await asyncio.to_thread(self.retriever.search, queries, self._k)

    def _candidate(self, query_index: int, hit: Hit) -> Candidate:
        title, snippet = self._documents[hit.docid].title, self._snippet(hit.docid)
        return Candidate(query_index, hit.rank, hit.docid, title, snippet, hit.score)

    def _cut_snippet(self, docid: str) -> str:
        text = self._documents[docid].text
        if self._tokenizer is None:
            return " ".join(text.split()[: self._snippet_tokens])
        # Cut by offsets: decoded tokens would not give the text as it is written.
        offsets = self._tokenizer(
            text,
            add_special_tokens=False,
            truncation=True,
            max_length=self._snippet_tokens,
            return_offsets_mapping=True,
        )["offset_mapping"]
        return text[: offsets[-1][1]] if offsets else ""


def _render_results(queries: Sequence[str], results: Sequence[Candidate]) -> str:
    """Result lists as text, one block a query."""
    blocks = []
    for index, query in enumerate(queries):
        entries = [
            f"[{candidate.rank}] DocID: {candidate.docid}\nTitle: {candidate.title}\n{candidate.snippet}"
            for candidate in results
            if candidate.query_index == index
        ]
        blocks.append("\n\n".join([f"Results for {query!r}:", *(entries or ["Nothing was found."])]))
    return "\n\n".join(blocks)
