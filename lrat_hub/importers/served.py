"""Journals of a served retriever (`lrat serve`, told to collect): a record for each call, as runs by session.

A session is a run. Its searches have the lists that were given out, its fetches are browses, its answer is the final
answer, and what was sent as the reasoning of a call is what led to it. Calls that nobody attributed to a session are
counted, and make no run.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from lrat_hub.importers.accounts import Accounts
from lrat_hub.importers.actions import Recorder
from lrat_hub.importers.mapping import LogMapping
from lrat_hub.importers.sources.grouping import by_key, parts_of
from lrat_hub.importers.times import seconds_of
from lrat_hub.importers.values import UnreadableRecord, metadata_of, number_of, object_of, text_of
from lrat_hub.schema import Candidate, Step, Trajectory
from lrat_hub.walk import Walk

FORMAT = "lrat-served-1"
"""The value of `format` in every record."""

KINDS = ("search", "fetch", "feedback", "answer")

IDLE = timedelta(minutes=30)
"""Where a session is told by nothing but the token of its caller, another one begins after such a pause."""

NO_SESSION = "call that is attributed to no session"
NO_REASONING = "sessions without any reasoning, whose pairs are weighted 1"
BROKEN = "record of a journal that can't be read"
SHADOWS = "searches of a shadow, which nobody saw"


def recognise_served(value: Any) -> str | None:
    """Why a value is a record of such a journal, or None."""
    first = value[0] if isinstance(value, list) and value else value
    known = isinstance(first, dict) and first.get("format") == FORMAT and first.get("kind") in KINDS
    return "a call that lrat serve collected" if known else None


def session_key(value: Any) -> str | None:
    """What names the session of a record; None for one that belongs to none. Callers never share a session."""
    record = object_of(value)
    if record.get("format") != FORMAT or not isinstance(record.get("session"), str):
        return None
    return json.dumps([record["session"], text_of(record.get("attributed_by")), text_of(record.get("subject"))])


group_served = by_key(session_key, across_files=True)


def parse_served(name: str, value: Any, accounts: Accounts, mapping: LogMapping | None = None) -> Iterator[Trajectory]:
    """The trajectories of a session: one, or one for each stretch of one that only a token tells.

    Args:
        name: The record's name. The run is named by its session, which files that are replaced don't change.
        value: The records of the session.
        accounts: What was read, kept and lost is counted here.

    Raises:
        UnreadableRecord: It is a call of no session.
    """
    records = [record for record in parts_of(value) if recognise_served(record)]
    if not records:
        raise UnreadableRecord("not a call that was collected")
    key = session_key(records[0])
    if key is None:
        raise UnreadableRecord(NO_SESSION)
    run_id = f"session-{hashlib.sha256(key.encode('utf-8', 'replace')).hexdigest()[:16]}"
    ordered = sorted(records, key=lambda record: text_of(record.get("at")))
    for number, part in enumerate(_stretches(ordered), start=1):
        yield _Session(mapping or LogMapping(), accounts).trajectory(
            run_id if number == 1 else f"{run_id}-{number}", part
        )


def _stretches(records: Sequence[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    part: list[Mapping[str, Any]] = []
    is_answered = False
    for record in records:
        if part and record.get("attributed_by") == "token":
            # What is searched for after an answer is for the next one.
            is_next = is_answered and record["kind"] == "search" and record.get("role", "champion") == "champion"
            begins, ended = (seconds_of(call.get("at")) or 0.0 for call in (record, part[-1]))
            if is_next or begins - ended > IDLE.total_seconds():
                yield part
                part, is_answered = [], False
        part.append(record)
        is_answered = is_answered or record["kind"] == "answer"
    yield part


class _Session:
    """The calls of a session, as they become steps."""

    def __init__(self, mapping: LogMapping, accounts: Accounts) -> None:
        self._accounts = accounts
        self._recorder = Recorder(mapping, accounts)
        self._searches: set[str] = set()
        self._naming: set[int] = set()
        self._feedback: list[dict[str, Any]] = []
        self._question = ""
        self._retrievers: dict[tuple[str, str | None], None] = {}

    def trajectory(self, run_id: str, records: Sequence[Mapping[str, Any]]) -> Trajectory:
        for record in records:
            self._read(record)
        steps = self._recorder.finish()
        self._account(steps)
        first = records[0]
        by_token = first.get("attributed_by") == "token"
        retrievers = list(self._retrievers)
        extra: dict[str, Any] = {"attributed_by": first.get("attributed_by"), "began": first.get("at")}
        if not by_token:
            # The subject of a token is a person's, or a team's, and stays where it was collected.
            extra["session"] = first.get("session")
        if self._feedback:
            extra["feedback"] = self._feedback
        if len(retrievers) > 1:
            extra["retrievers"] = retrievers
        retriever, revision = retrievers[0] if retrievers else ("", None)
        return Trajectory(
            run_id, run_id if by_token else text_of(first.get("session")), self._question, steps,
            final_answer=self._recorder.final_answer, retriever=retriever, retriever_revision=revision,
            metadata=metadata_of(FORMAT, extra),
        )  # fmt: skip

    def _read(self, record: Mapping[str, Any]) -> None:
        parts, reasoning = self._accounts.parts, text_of(record.get("reasoning"))
        if record["kind"] == "search" and record.get("role", "champion") != "champion":
            parts.keep()
            parts.note(SHADOWS)
            return
        read = {"search": self._search, "fetch": self._fetch, "feedback": self._rate, "answer": self._answer}[
            record["kind"]
        ]
        if reasoning:
            self._recorder.reason(reasoning)
        if read(record):
            parts.keep()
        else:
            parts.drop(BROKEN, example=text_of(dict(record)))
            self._recorder.invalid(BROKEN)

    def _search(self, record: Mapping[str, Any]) -> bool:
        queries, lists = record.get("queries"), record.get("lists")
        if not _texts(queries) or not isinstance(lists, list) or not queries or len(lists) != len(queries):
            return False
        hits = [
            Candidate(index, rank, hit["docid"], score=number_of(hit.get("score")))
            for index, rows in enumerate(lists)
            for rank, hit in enumerate(rows if isinstance(rows, list) else [], start=1)
            if isinstance(object_of(hit).get("docid"), str)
        ]
        search_id = text_of(record.get("search_id"))
        self._searches.add(search_id)
        self._retrievers[text_of(record.get("retriever")), text_of(record.get("revision")) or None] = None
        self._recorder.search(queries, hits, "", num_lists=len(lists), search_id=search_id)
        return True

    def _fetch(self, record: Mapping[str, Any]) -> bool:
        docids, found = record.get("docids"), record.get("found")
        if not _texts(docids) or not isinstance(found, list) or not docids or len(found) != len(docids):
            return False
        search_id = text_of(record.get("search_id")) or None
        for position, (docid, is_found) in enumerate(zip(docids, found, strict=True)):
            if search_id is not None:
                self._naming.add(len(self._recorder.steps))
            error = None if is_found is True else "no such document in the corpus"
            self._recorder.browse(
                docid, "", joined=position > 0, error=error, is_call=position == 0, search_id=search_id
            )
        return True

    def _rate(self, record: Mapping[str, Any]) -> bool:
        said = {name: record.get(name) for name in ("search_id", "docid", "used", "comment")}
        if not isinstance(said["docid"], str) or not isinstance(said["used"], bool):
            return False
        known = isinstance(said["search_id"], str) and said["search_id"] in self._searches
        note = "feedback on a search of its session" if known else "feedback on a search that its session lacks"
        self._accounts.parts.note(note)
        self._feedback.append({name: value for name, value in said.items() if value is not None})
        if text_of(record.get("reasoning")):
            # It is what followed the document that was opened last.
            self._recorder.aside("feedback", "")
        return True

    def _answer(self, record: Mapping[str, Any]) -> bool:
        if not isinstance(record.get("answer"), str):
            return False
        self._question = text_of(record.get("question")) or self._question
        self._accounts.calls.keep()
        self._recorder.answer(record["answer"])
        return True

    def _account(self, steps: Sequence[Step]) -> None:
        """Counts how fetches were attributed to searches, and sessions without reasoning."""
        notes = Counter[str]()
        for browse in Walk.over(steps).browses:
            found = browse.listing.search.turn if browse.listing else None
            said = browse.step.search_turn
            if browse.failed:
                continue
            if browse.turn in self._naming and said is None:
                notes["fetches that name a search which their session lacks"] += 1
            elif said is not None and said != found:
                notes["fetches that name a search which did not list their document"] += 1
            if found is None:
                notes["fetches of documents that no search of their session listed"] += 1
            else:
                notes["fetches attributed to a search of their session"] += 1
        for what, count in notes.items():
            self._accounts.browses.note(what, count)
        if not any(step.reasoning for step in steps):
            self._accounts.records.note(NO_REASONING)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(part, str) for part in value)
