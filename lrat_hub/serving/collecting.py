"""Collecting: what is served, as records of a journal, by session. Off unless a folder is named.

A record has a `kind` and what is said in `lrat_hub.serving.service` of a search, a fetch, a feedback or an answer. It
also says when it was, the session, how that was told, the subject of the token, and the reasoning, where the client
sent one.
`lrat_hub.importers.served` makes trajectories of them.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from lrat_hub.errors import LratError
from lrat_hub.importers.served import FORMAT
from lrat_hub.serving.journal import Journal
from lrat_hub.serving.service import Caller, ServedAnswer, ServedFeedback, ServedFetch, ServedSearch

NOT_ATTRIBUTED = "not attributed"


class Collector:
    """Writes what is served into a journal; an `Observer` of a `SearchService`.

    Args:
        journal: Where to.
        share: Share of the sessions that are kept, by a hash of the session's name: of each, all or nothing. A call
            that belongs to no session is kept or left out by the search that it is about.
        on_call: Called for each call with how its session was told, also where sampling leaves it out.

    Raises:
        LratError: The share isn't above 0 and at most 1.
    """

    def __init__(
        self, journal: Journal, *, share: float = 1.0, on_call: Callable[[str], object] | None = None
    ) -> None:
        if not 0 < share <= 1:
            raise LratError(f"Collecting: expected a share above 0 and up to 1, found {share}.")
        self.journal, self.share, self._on_call = journal, share, on_call
        self.counts: Counter[str] = Counter()
        """Calls by how their session was told, `NOT_ATTRIBUTED` among them; also those that sampling leaves out."""

    def describe(self) -> dict[str, Any]:
        """What is collected, for whoever watches over a server."""
        journal = {"records": self.journal.num_written, "unfinished lines cut off": self.journal.num_cut}
        return {"share": self.share, **journal, "calls": dict(self.counts)}

    async def searched(self, caller: Caller, search: ServedSearch) -> None:
        lists = [[{"docid": hit.docid, "score": hit.score} for hit in hits] for hits in search.lists]
        about = {"k": search.k, "retriever": search.retriever, "revision": search.revision, "role": search.role}
        said = {"search_id": search.search_id, "queries": list(search.queries), "lists": lists, **about}
        await self._write("search", caller, said, search.search_id)

    async def fetched(self, caller: Caller, fetch: ServedFetch) -> None:
        said = {"docids": list(fetch.docids), "found": list(fetch.found), "search_id": fetch.search_id}
        await self._write("fetch", caller, said, fetch.search_id)

    async def feedback(self, caller: Caller, note: ServedFeedback) -> None:
        said = {"search_id": note.search_id, "docid": note.docid, "used": note.used, "comment": note.comment}
        await self._write("feedback", caller, said, note.search_id)

    async def answered(self, caller: Caller, note: ServedAnswer) -> None:
        await self._write("answer", caller, {"answer": note.answer, "question": note.question}, None)

    async def _write(self, kind: str, caller: Caller, said: Mapping[str, Any], search_id: str | None) -> None:
        told_by = caller.attributed_by or NOT_ATTRIBUTED
        self.counts[told_by] += 1
        if self._on_call:
            self._on_call(told_by)
        if not is_sampled(caller.session or search_id or "", self.share):
            return
        who = {"session": caller.session, "attributed_by": caller.attributed_by, "subject": caller.subject}
        at = datetime.now(UTC).isoformat(timespec="microseconds")
        record = {"format": FORMAT, "kind": kind, "at": at, **who, "reasoning": caller.reasoning, **said}
        await self.journal.append(record)


def is_sampled(name: str, share: float) -> bool:
    """Whether a share of all names has this one: the same answer at every server, whenever it is asked."""
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "replace")).digest()[:8]) < share * 2**64
