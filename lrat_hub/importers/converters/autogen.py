"""AutoGen: results of a team or an agent, lists of its messages and events, and contexts of its models.

Source: what `autogen-agentchat` and `autogen-core` 0.7.5 (PyPI) write with `model_dump`
(`autogen_agentchat/messages.py`, `autogen_core/models/_types.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lrat_hub.importers.converters.contents import flat, label_of
from lrat_hub.importers.converters.turns import Turns, calls_in, chat_record, conversation_in
from lrat_hub.importers.values import UnreadableRecord, listed, object_of, text_of
from lrat_hub.ledger import Ledger

_CALLS = ("ToolCallRequestEvent", "ToolCallMessage")
_RESULTS = ("ToolCallExecutionEvent", "ToolCallResultMessage", "FunctionExecutionResultMessage")
_TEXTS = ("TextMessage", "MultiModalMessage", "StructuredMessage", "StopMessage", "HandoffMessage")
# The summary of a tool's results repeats them.
_ASIDE = (
    "ToolCallSummaryMessage", "ModelClientStreamingChunkEvent", "SelectSpeakerEvent", "SelectorEvent",
    "UserInputRequestedEvent", "CodeGenerationEvent", "CodeExecutionEvent",
)  # fmt: skip
_DISTINCT = {*_CALLS, *_RESULTS, *_TEXTS, "ThoughtEvent", "MemoryQueryEvent", *_ASIDE}
_TYPES = {*_DISTINCT, "SystemMessage", "UserMessage", "AssistantMessage"}
_LISTS = ("messages", "llm_messages", "chat_history", "events")


def recognise_autogen(value: Any) -> str | None:
    """Why a record was written by AutoGen, or None."""
    if _messages_in(value) is None:
        return None
    return "a list of messages and events with `source` and a `type` like TextMessage (AutoGen)"


def is_autogen_message(value: Any) -> bool:
    """Whether a value is a message or an event of AutoGen."""
    message = object_of(value)
    kind = message.get("type")
    if not isinstance(kind, str) or kind not in _TYPES or "role" in message:
        return False
    return "content" in message and ("source" in message or kind not in _TEXTS)


def convert_autogen(value: Any, parts: Ledger) -> Iterator[dict[str, Any]]:
    """A run as a chat record.

    Raises:
        UnreadableRecord: There are no messages of AutoGen in it.
    """
    located = _messages_in(value)
    if located is None:
        raise UnreadableRecord("not a run of AutoGen: no messages with `source` and a `type` like TextMessage")
    messages, beside = located
    turns = Turns()
    for message in messages:
        _message(object_of(message), turns, parts)
    yield chat_record(turns, beside)


def _messages_in(value: Any) -> tuple[list[Any], dict[str, Any]] | None:
    """The messages of a run, of a response, or of the state of an agent."""
    if (located := conversation_in(value, is_autogen_message, _LISTS)) is not None:
        return located
    record = object_of(value)
    response, inner = record.get("chat_message"), record.get("inner_messages")
    if is_autogen_message(response):
        beside = {key: part for key, part in record.items() if key not in ("chat_message", "inner_messages")}
        return [*listed(inner), response], beside
    for key in ("llm_context", "model_context", "agent_state"):
        if (located := conversation_in(record.get(key), is_autogen_message, _LISTS)) is not None:
            return located
        state = object_of(record.get(key))
        if (located := conversation_in(state.get("llm_context"), is_autogen_message, _LISTS)) is not None:
            return located
    return None


def _message(message: Mapping[str, Any], turns: Turns, parts: Ledger) -> None:
    kind, content = message.get("type"), message.get("content")
    if not isinstance(kind, str) or kind not in _TYPES:
        parts.drop(f"message of unknown type {label_of(message)!r}", example=text_of(message))
        return
    parts.keep()
    if kind in ("UserMessage", "SystemMessage") or (kind in _TEXTS and message.get("source") == "user"):
        turns.says("system" if kind == "SystemMessage" else "user", flat(content))
    elif kind == "ThoughtEvent":
        turns.reason(text_of(content))
    elif kind in _CALLS:
        _calls(content, turns)
    elif kind == "AssistantMessage":
        turns.close()
        if thought := text_of(message.get("thought")):
            turns.reason(thought)
        if isinstance(content, list):
            _calls(content, turns)
        elif content:
            turns.text(text_of(content))
    elif kind in _RESULTS:
        for raw in listed(content):
            result = object_of(raw)
            turns.result(text_of(result.get("content")), result.get("call_id"), failed=result.get("is_error") is True)
    elif kind == "StopMessage":
        turns.close()  # why the team stopped, which is no answer
    elif kind in _TEXTS:
        turns.close()
        turns.text(flat(content))


def _calls(content: Any, turns: Turns) -> None:
    for name, arguments, call_id in calls_in(content):
        turns.call(name, arguments, call_id)
