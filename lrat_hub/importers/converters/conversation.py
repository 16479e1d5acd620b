"""A log's events in their order, put together as chat records: what the user asked, and the turns of the agent.

A turn is what the agent wrote and called before it saw anything new. Vendors' logs don't have turns: some write an
item for each thought and call, some put calls and results of their own tools into one message, some stream the parts
of a message between results. `Conversation` takes the events and finds the turns.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeGuard

from lrat_hub.importers.values import join_texts, json_or_none, listed, object_of, text_of

ORPHANS = "tool results without a call"
UNKNOWN_LIST = "searches whose results the log does not keep"

_CONTINUATION = re.compile(r"\s*(please\s+)?(continue|go on|carry on|proceed)\W*$", re.IGNORECASE)
_TEXT_KEYS = ("text", "refusal", "output_text", "input_text")


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
        message: dict[str, Any] = {"role": "assistant", "content": "".join(self.texts)}
        if thoughts := join_texts(*self.thoughts):
            message["reasoning_content"] = thoughts
        if self.calls:
            message["tool_calls"] = [
                {"id": f"call-{call.number}", "function": {"name": call.name, "arguments": call.arguments}}
                for call in self.calls
            ]
        yield message
        for call in self.calls:
            if (result := call.result) is not None:
                shown: dict[str, Any] = {
                    "role": "tool", "tool_call_id": f"call-{call.number}", "content": result.content,
                    "is_error": result.failed,
                }  # fmt: skip
                if result.results is not None:
                    shown["results"] = result.results
                if result.docids is not None:
                    shown["docids"] = result.docids
                yield shown


@dataclass
class _Run:
    """A question and what the agent did about it."""

    questions: list[str] = field(default_factory=list)
    turns: list[_Turn] = field(default_factory=list)
    columns: dict[str, Any] = field(default_factory=dict)
    finished: bool = False

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
            if self.whole or _CONTINUATION.match(text):
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
                messages.append({"role": "assistant", "content": columns["final_answer"]})
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


def kind_of(value: Any) -> str | None:
    """The type of an item, block or line, as a text; None where it names none."""
    kind = object_of(value).get("type")
    return kind if kind is None or isinstance(kind, str) else text_of(kind)


def parts_text(content: Any) -> str:
    """The text of a content: a string, an object with a text, or parts of which some have texts."""
    if isinstance(content, str):
        return content
    if isinstance(content, dict):
        return next((content[key] for key in _TEXT_KEYS if isinstance(content.get(key), str)), "")
    return join_texts(*(parts_text(part) for part in listed(content) if isinstance(part, (str, dict))))


def tool_text(output: Any) -> tuple[str, bool]:
    """What a tool showed, as text, and whether it is marked as a failure.

    Understood are texts, lists of parts, and MCP's results, also as JSON. A tool that returns a list sends a part for
    each element through MCP, or the list under `result`: both become the JSON list that it was.
    """
    value = output
    if isinstance(output, str):
        value = json_or_none(output) if output.lstrip()[:1] in ("[", "{") else None
        if not (_is_envelope(value) or _is_wrapped(value) or _is_parts(value)):
            return output, False
    failed = False
    if _is_envelope(value):
        failed = value.get("isError") is True or value.get("is_error") is True or value.get("success") is False
        value = value["content"]
    if _is_wrapped(value):
        return text_of(value["result"]), failed
    if isinstance(value, str):
        return (value, failed) if value is output else (tool_text(value)[0], failed)
    if isinstance(value, dict) and "type" in value and isinstance(value.get("text"), str):
        return value["text"], failed
    if not _is_parts(value):
        return "" if value is None else text_of(value), failed
    texts = [text for part in value if (text := parts_text(part) or _resource(part))]
    if len(texts) > 1 and all(isinstance(json_or_none(text), dict) for text in texts):
        return f"[{', '.join(texts)}]", failed
    return (tool_text(texts[0])[0] if len(texts) == 1 else join_texts(*texts)), failed


def _is_parts(value: Any) -> TypeGuard[list[Any]]:
    """Whether a value is a list of parts of a content."""
    return isinstance(value, list) and bool(value) and all(isinstance(part, str) or _is_part(part) for part in value)


def _is_wrapped(value: Any) -> TypeGuard[dict[str, Any]]:
    """Whether a value is what a tool of MCP returned, in the object that its structured content must be."""
    return isinstance(value, dict) and value.keys() == {"result"} and isinstance(value["result"], (str, list))


def _is_envelope(value: Any) -> TypeGuard[dict[str, Any]]:
    """Whether an object is around a tool's result, as MCP and older versions of Codex have it."""
    known = {"content", "isError", "is_error", "success", "structuredContent", "structured_content", "_meta", "meta"}
    if not isinstance(value, dict) or "content" not in value or not value.keys() <= known:
        return False
    content = value["content"]
    return isinstance(content, str) or (isinstance(content, list) and all(map(_is_part, content)))


def _is_part(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("type"), str) and not value.keys() & {"docid", "url"}


def _resource(part: Any) -> str:
    """The text of a resource that MCP embeds, or of a document."""
    values = object_of(part)
    inner = values.get("resource") if "resource" in values else values.get("source")
    return next((text for key in ("text", "data") if isinstance(text := object_of(inner).get(key), str)), "")


def rows(entries: Sequence[Any], docid: Sequence[str], snippet: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Entries of a result list as candidates; those without an id keep their place.

    Args:
        docid: Keys of the id, in order of preference.
        snippet: Keys of the text.
    """
    candidates = []
    for entry in entries:
        values = object_of(entry)
        candidate = {"docid": next((values[key] for key in docid if values.get(key)), None)}
        candidate["title"] = text_of(next((values[key] for key in ("title", "filename") if values.get(key)), ""))
        candidate["snippet"] = text_of(next((values[key] for key in snippet if values.get(key)), ""))
        if values.get("score") is not None:
            candidate["score"] = values["score"]
        candidates.append(candidate)
    return candidates


def arguments_of(value: Any) -> Any:
    """Arguments as the log has them: an object, its JSON, or a text that is the one argument."""
    if isinstance(value, str) and not isinstance(json_or_none(value), dict) and not value.lstrip().startswith("{"):
        return {"input": value}
    return {} if value is None else value


def canonical(value: Any) -> str:
    """A value as a text that equal values share."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
