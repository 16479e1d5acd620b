"""A log's events in their order, put together as chat records: what the user asked, and the turns of the agent.

A turn is what the agent wrote and called before it saw anything new. Vendors' logs don't have turns: some write an
item for each thought and call, some put calls and results of their own tools into one message, some stream the parts
of a message between results. `Conversation` takes the events and finds the turns.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lrat_hub.importers.chat_messages import assistant, tool_call, tool_result
from lrat_hub.importers.other_tools import asks_back
from lrat_hub.importers.prompts import is_nudge
from lrat_hub.importers.values import join_texts

ORPHANS = "tool results without a call"
UNKNOWN_LIST = "searches whose results the log does not keep"


@dataclass
class _Result:
    content: str
    failed: bool
    results: list[list[dict[str, Any]]] | None
    docids: list[str] | None


@dataclass
class _Call:
    number: int
    name: Any
    arguments: Any
    result: _Result | None = None


@dataclass
class _Turn:
    """What the agent wrote and called before it saw anything new.

    Args:
        key: The message that it was sent in, where the log says so.
        tentative: Whether it begins while calls of the turn before it wait. It is part of that turn if results come.
    """

    key: Any
    thoughts: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    calls: list[_Call] = field(default_factory=list)
    closed: bool = False
    tentative: bool = False

    @property
    def is_answered(self) -> bool:
        """Whether a call of it has a result."""
        return any(call.result for call in self.calls)

    def extend(self, other: _Turn) -> None:
        """Adds what turned out to be of the same turn."""
        self.thoughts += other.thoughts
        self.texts += ["\n", *other.texts] if self.texts and other.texts else other.texts
        self.calls += other.calls

    def messages(self) -> Iterator[dict[str, Any]]:
        """The turn as a message of the agent and those of the tools."""
        calls = [tool_call(call.name, call.arguments, f"call-{call.number}") for call in self.calls]
        yield assistant("".join(self.texts), join_texts(*self.thoughts), calls)
        for call in self.calls:
            if (result := call.result) is not None:
                yield tool_result(
                    result.content, f"call-{call.number}",
                    failed=result.failed, results=result.results, docids=result.docids,
                )  # fmt: skip


@dataclass
class _Run:
    """A question and what the agent did about it.

    Args:
        num_heard: How many turns there were when the user last spoke.
    """

    questions: list[str] = field(default_factory=list)
    turns: list[_Turn] = field(default_factory=list)
    columns: dict[str, Any] = field(default_factory=dict)
    finished: bool = False
    num_heard: int = 0

    @property
    def is_asking(self) -> bool:
        """Whether the agent's last calls ask the user something, and the user has not spoken since."""
        since = [turn for turn in self.turns[self.num_heard :] if turn.calls]
        return bool(since) and any(asks_back(call.name) for call in since[-1].calls)

    def whole_turns(self) -> list[_Turn]:
        """The turns, now that it is known which calls have results."""
        turns: list[_Turn] = []
        for turn in self.turns:
            if turns and turn.tentative and turns[-1].is_answered:
                turns[-1].extend(turn)
            else:
                turns.append(replace(turn, thoughts=[*turn.thoughts], texts=[*turn.texts], calls=[*turn.calls]))
        return turns


class Conversation:
    """Collects the events of a conversation and yields a chat record for each question of the user.

    Methods about the agent take a `key`: which message of the API an event was part of, where the log says so. Events
    of one message are one turn, unless a tool's result came inside of the message.

    Args:
        columns: Columns of each record.
        metadata: Metadata of each record.
        whole: Whether everything is about one question, because the log names it.
    """

    def __init__(
        self,
        columns: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        *,
        whole: bool = False,
    ) -> None:
        self.whole = whole
        self.columns = dict(columns or {})
        self.metadata = dict(metadata or {})
        self._system: list[str] = []
        self._runs: list[_Run] = [_Run()]
        self._agent: str | None = None
        self._waiting: dict[str, deque[_Call]] = defaultdict(deque)
        self._unnamed: deque[_Call] = deque()
        self._count = 0

    @property
    def is_empty(self) -> bool:
        """Whether the agent has done nothing yet."""
        return not any(run.turns for run in self._runs)

    def system(self, text: str) -> None:
        """Instructions. Those that come later in a conversation are no part of a run."""
        if text and self.is_empty:
            self._system.append(text)

    def user(self, text: str) -> None:
        """A text of the user: a new question, once the agent has reacted to the one before."""
        if not text.strip():
            return
        if self._runs[-1].finished:
            self._runs.append(_Run())
        elif self._runs[-1].turns:
            if self.whole or is_nudge(text) or self._runs[-1].is_asking:
                self._runs[-1].num_heard = len(self._runs[-1].turns)
                return
            self._runs.append(_Run())
        self._runs[-1].questions.append(text)

    def agent(self, model: Any) -> None:
        """The model whose events follow."""
        if isinstance(model, str) and model:
            self._agent = model

    def think(self, text: str, key: Any = None) -> None:
        """A thought."""
        if text.strip():
            turn = self._turn(key, after_text=True)
            turn.thoughts.append(text)

    def say(self, text: str, key: Any = None, *, glued: bool = False) -> None:
        """A text of the agent.

        Args:
            glued: Whether it goes on in the middle of the text before it in the same message.
        """
        if text.strip() or (glued and text):
            turn = self._turn(key, after_text=True)
            if turn.texts and not glued:
                turn.texts.append("\n")
            turn.texts.append(text)

    def call(self, name: Any, arguments: Any, call_id: str | None = None, key: Any = None) -> None:
        """A call of a tool, whose result comes later if at all."""
        call = self._call(name, arguments, key)
        (self._unnamed if call_id is None else self._waiting[call_id]).append(call)

    def hosted(
        self, name: Any, arguments: Any, content: str = "", *, key: Any = None, failed: bool = False,
        results: list[list[dict[str, Any]]] | None = None, docids: list[str] | None = None,
    ) -> None:  # fmt: skip
        """A call of a tool that the vendor runs, with its result: what the agent does next is a turn of its own."""
        self._call(name, arguments, key).result = _Result(content, failed, results, docids)
        self._runs[-1].turns[-1].closed = True

    def result(
        self, call_id: str | None, content: str, *, failed: bool = False,
        results: list[list[dict[str, Any]]] | None = None, docids: list[str] | None = None, inline: bool = False,
    ) -> bool:  # fmt: skip
        """What a tool showed. Returns False where no call has been waiting for it.

        Args:
            inline: Whether it came inside of the agent's message, so that what follows there has seen it.
        """
        waiting = self._unnamed if call_id is None else self._waiting.get(call_id)
        if not waiting:
            return False
        waiting.popleft().result = _Result(content, failed, results, docids)
        if inline and self._runs[-1].turns:
            self._runs[-1].turns[-1].closed = True
        return True

    def end(self, **columns: Any) -> None:
        """Columns of the run that is open: its status, its answer."""
        self._runs[-1].columns.update({name: value for name, value in columns.items() if value is not None})

    def finish(self) -> None:
        """Ends the run that is open: what follows is another one, even without a question."""
        self._runs[-1].finished = True

    def records(self) -> Iterator[dict[str, Any]]:
        """A chat record for each question that the agent reacted to."""
        runs = [run for run in self._runs if run.turns or run.columns.get("final_answer")]
        for number, run in enumerate(runs, start=1):
            columns = {**self.columns, **run.columns}
            metadata = dict(self.metadata)
            if len(runs) > 1:
                metadata["question_of_conversation"] = number
                if (query_id := columns.get("query_id")) is not None:
                    columns["query_id"] = f"{query_id}-{number}"
            messages = [{"role": "system", "content": text} for text in self._system] if number == 1 else []
            messages += [{"role": "user", "content": text} for text in run.questions]
            messages += [message for turn in run.whole_turns() for message in turn.messages()]
            if not run.turns:
                messages.append(assistant(columns["final_answer"]))
            yield {"messages": messages, **columns, **({"metadata": metadata} if metadata else {})}

    def _call(self, name: Any, arguments: Any, key: Any) -> _Call:
        call = _Call(self._count, name, arguments)
        self._count += 1
        self._turn(key).calls.append(call)
        return call

    def _turn(self, key: Any, *, after_text: bool = False) -> _Turn:
        """The turn that an event of the agent belongs to."""
        if self._runs[-1].finished:
            self._runs.append(_Run())
        run = self._runs[-1]
        turn = run.turns[-1] if run.turns else None
        if turn is None or turn.closed or not self._goes_on(turn, key, after_text):
            waits = turn is not None and key is None and bool(turn.calls) and not turn.is_answered
            turn = _Turn(key, tentative=waits)
            run.turns.append(turn)
        if self._agent is not None:
            run.columns.setdefault("agent", self._agent)
        return turn

    def _goes_on(self, turn: _Turn, key: Any, after_text: bool) -> bool:
        if key is not None and turn.key is not None:
            return key == turn.key
        if turn.calls:
            # Calls in a row were made at once when none has been answered yet.
            return not after_text and not turn.is_answered
        return not (after_text and turn.texts)
