"""Verdicts of language models, whatever they are about: asked side by side, read tolerantly, paid for once.

Replies are kept by the content of the request, in a file that survives being killed.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from lrat_hub.errors import LratError
from lrat_hub.judges.prompting import VerdictPrompt
from lrat_hub.judges.replies import Reading, after_thinking, read_verdict
from lrat_hub.llm.chat import ChatBackend, ChatError, Message, Reply, ToolCall, run_blocking
from lrat_hub.llm.isolation import isolated
from lrat_hub.llm.ray_data import RayDataClient
from lrat_hub.obfuscation import deobfuscate, obfuscate
from lrat_hub.schema import Sampling

NO_REPLY = "no reply"
NOT_ASKED = "not asked, as the model did not answer before"

GREEDY = Sampling(temperature=0.0)


@dataclass(frozen=True)
class Ruling:
    """What came of one case.

    Args:
        verdict: One of the prompt's labels; None where there is none.
        problem: Why there is none, in a few words that can be counted; "" where there is one.
        text: What the model said last.
    """

    verdict: str | None
    problem: str = ""
    text: str = ""


@dataclass
class VerdictModel:
    """A language model that is asked for verdicts with one prompt, at temperature 0 if the prompt says nothing else.

    The server is asked to hold the reply to the prompt's JSON schema; one that can't is asked without. A reply without
    a verdict gets one more request. Models that think may do so: their thinking is not read for verdicts.

    Args:
        cache: Where replies are kept and looked up; None keeps none.
        concurrency: Requests under way at a time.
        max_tokens: Of a reply, thinking included.
        on_ruling: Called after each ruling, to show how far it is.
        give_up_after: So many requests that fail one after the other, and no more are sent in this run: the server is
            down, and each failure takes minutes of retries.
    """

    backend: ChatBackend
    prompt: VerdictPrompt
    cache: ReplyCache | None = None
    concurrency: int = 32
    max_tokens: int = 8192
    on_ruling: Callable[[], object] | None = None
    give_up_after: int = 10
    requests: int = field(default=0, init=False)
    problems: Counter[str] = field(default_factory=Counter, init=False)

    def __post_init__(self) -> None:
        self._structured = bool(self.prompt.schema)
        self._failures = 0
        self._under_way: dict[str, asyncio.Task[Reply]] = {}
        self._unanswered: dict[str, ChatError] = {}

    @property
    def name(self) -> str:
        """The model at its revision, as it stands on rows."""
        return f"{self.backend.name}@{self.backend.revision}" if self.backend.revision else self.backend.name

    def rule(self, cases: Sequence[Mapping[str, str]]) -> list[Ruling]:
        """One ruling a case, in order. `requests` and `problems` count what it took and what went wrong."""
        self.fetch(lambda: cases)
        return run_blocking(self._rule_all(cases))

    def fetch(self, cases: Callable[[], Iterable[Mapping[str, str]]]) -> None:
        """Asks a model that is asked in bulk, so that the replies to all cases are in the cache; no other model.

        Args:
            cases: Gives the cases, each time that it is called.
        """
        if not isinstance(self.backend, RayDataClient):
            return
        if self.cache is None:
            self.cache = ReplyCache(":memory:")
            # Nobody else knows of it.
            weakref.finalize(self, self.cache.close)
        # The second time are those whose reply had no verdict.
        for _ in range(2):
            for key, reply in self.backend.replies(self._to_fetch(cases()), **self._options(self._structured)):
                if isinstance(reply, Reply):
                    self.cache.put(key, reply)
                else:
                    self._unanswered[key] = reply

    def _to_fetch(self, cases: Iterable[Mapping[str, str]]) -> Iterator[tuple[str, Sequence[Message]]]:
        """The next request about each case, with its key, where there is one."""
        assert self.cache is not None, "fetch has one"
        asked = set(self._unanswered)
        for case in cases:
            messages = self.prompt.messages(case)
            key = self._key(messages)
            if (reply := self.cache.get(key)) and (again := self._again(messages, reply)):
                messages, key = again, self._key(again)
                reply = self.cache.get(key)
            if reply is None and key not in asked:
                asked.add(key)
                self.requests += 1
                yield key, messages

    async def _rule_all(self, cases: Sequence[Mapping[str, str]]) -> list[Ruling]:
        self._under_way.clear()
        rulings: list[Ruling | None] = [None] * len(cases)
        waiting = iter(range(len(cases)))

        async def work() -> None:
            for index in waiting:
                rulings[index] = await self.rule_one(cases[index])

        workers = [asyncio.create_task(work()) for _ in range(min(self.concurrency, len(cases)))]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
        return [ruling for ruling in rulings if ruling is not None]

    async def rule_one(self, case: Mapping[str, str]) -> Ruling:
        """The ruling on one case, for callers with an event loop of their own."""
        ruling = await self._ask(case)
        if ruling.problem:
            self.problems[ruling.problem] += 1
        if self.on_ruling:
            self.on_ruling()
        return ruling

    async def _ask(self, case: Mapping[str, str]) -> Ruling:
        messages = self.prompt.messages(case)
        try:
            reply = await self._reply(messages)
            if again := self._again(messages, reply):
                reply = await self._reply(again)
            reading = self._read(reply)
        except ChatError as error:
            down = isinstance(error, _NotSentError)
            return Ruling(None, NOT_ASKED if down else NO_REPLY, str(error))
        cut = reading.problem and reply.finish_reason == "length"
        return Ruling(reading.verdict, "reply cut off" if cut else reading.problem, reply.content)

    def _again(self, messages: Sequence[Message], reply: Reply) -> list[Message] | None:
        """The request after a reply without a verdict; None where there is one, or the reply was cut off."""
        if reply.finish_reason == "length" or not self._read(reply).problem:
            return None
        # What it repeats of the texts is still theirs.
        first = {"role": "assistant", "content": isolated(after_thinking(reply.content) or "", ())}
        return [*messages, first, {"role": "user", "content": self.prompt.again.strip()}]

    def _read(self, reply: Reply) -> Reading:
        return read_verdict(reply.content, self.prompt.labels, self.prompt.field)

    def _key(self, messages: Sequence[Message]) -> str:
        return request_key(
            model=self.backend.name,
            revision=self.backend.revision,
            extra={**getattr(self.backend, "extra", {}), **self.prompt.request},
            prompt=self.prompt.digest,
            messages=list(messages),
            sampling=asdict(GREEDY),
            max_tokens=self.max_tokens,
        )

    def _options(self, structured: bool) -> dict[str, Any]:
        """What goes with each request."""
        options: dict[str, Any] = {"sampling": GREEDY, "max_tokens": self.max_tokens}
        if self.prompt.request:
            options["extra"] = self.prompt.request
        return options | ({"schema": self.prompt.schema} if structured else {})

    async def _reply(self, messages: Sequence[Message]) -> Reply:
        """The reply to a conversation: out of the cache, of a request under way, or of a new one."""
        key = self._key(messages)
        if self.cache is not None and (known := self.cache.get(key)):
            return known
        if key in self._unanswered:
            raise self._unanswered[key]
        if key not in self._under_way:
            self._under_way[key] = asyncio.create_task(self._request(messages))
        try:
            reply = await self._under_way[key]
        finally:
            self._under_way.pop(key, None)
        if self.cache is not None:
            self.cache.put(key, reply)
        return reply

    async def _request(self, messages: Sequence[Message]) -> Reply:
        if self._failures >= self.give_up_after:
            raise _NotSentError(f"{self.name}: {self._failures} requests failed one after the other.")
        try:
            reply = await self._send(messages)
        except ChatError as error:
            # A request that is refused, as one longer than the model's context is, says nothing of the next.
            if error.status is None or error.status >= 500:
                self._failures += 1
            raise
        self._failures = 0
        return reply

    async def _send(self, messages: Sequence[Message]) -> Reply:
        """Sends a request, with the schema unless the server is known to refuse it."""
        if self._structured:
            self.requests += 1
            try:
                return await self.backend.chat(messages, **self._options(True))
            except ChatError as error:
                if error.status not in _REFUSES_SCHEMA:
                    raise
        self.requests += 1
        reply = await self.backend.chat(messages, **self._options(False))
        # Only now is it known that it was the schema.
        self._structured = False
        return reply


def default_cache() -> Path:
    """Where replies to judges are kept when nobody says otherwise: in the cache of the Hugging Face libraries."""
    from huggingface_hub.constants import HF_HOME

    return Path(HF_HOME) / "lrat" / "replies.sqlite"


def request_key(**request: Any) -> str:
    """sha256 over everything that a reply depends on; whatever order it is named in."""
    return hashlib.sha256(json.dumps(request, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


class ReplyCache:
    """Replies by key, in an SQLite file with a write-ahead log: what `put` has returned from is kept.

    A reply quotes what was asked, which can be a question that must not stand in plain on a disk. It is obfuscated
    with its key, which only who asks the same again can make, and stands under the hash of the key.

    Several processes may share the file. Whoever opens the cache closes it, or uses it as a context manager.

    Args:
        path: The file; it and its folder are made when they are missing.

    Raises:
        LratError: There is something else at that path.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(self.path, timeout=60, isolation_level=None, check_same_thread=False)
        except (sqlite3.Error, OSError) as error:
            raise self._unusable(error) from error
        try:
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=FULL")
            self._connection.execute("CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, reply TEXT NOT NULL)")
        except sqlite3.Error as error:
            self.close()
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> LratError:
        return LratError(f"Judge's cache {self.path}: expected a cache file or none yet; {error}.")

    def __enter__(self) -> ReplyCache:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get(self, key: str) -> Reply | None:
        # Until 0.2 they stood in plain under the key itself.
        for stored, text in ((_hashed(key), lambda value: deobfuscate(value, key)), (key, str)):
            with closing(self._connection.execute("SELECT reply FROM replies WHERE key = ?", (stored,))) as rows:
                if row := rows.fetchone():
                    return _reply(json.loads(text(row[0])))
        return None

    def put(self, key: str, reply: Reply) -> None:
        text = obfuscate(json.dumps(asdict(reply), ensure_ascii=False), key)
        self._connection.execute("INSERT OR REPLACE INTO replies VALUES (?, ?)", (_hashed(key), text))

    def __len__(self) -> int:
        with closing(self._connection.execute("SELECT COUNT(*) FROM replies")) as rows:
            return rows.fetchone()[0]

    def close(self) -> None:
        self._connection.close()


def _hashed(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _reply(row: Mapping[str, Any]) -> Reply:
    # What another version wrote may have other fields.
    known = {item.name: row[item.name] for item in fields(Reply) if item.name in row}
    return Reply(**{**known, "tool_calls": tuple(ToolCall(**call) for call in row["tool_calls"])})


class _NotSentError(ChatError):
    """The request was not sent, as too many before it failed."""


_REFUSES_SCHEMA = (400, 404, 415, 422, 501)
