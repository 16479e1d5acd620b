"""Chat histories of Microsoft's Semantic Kernel (Python and C#) and messages of its Agent Framework.

Source: what `semantic-kernel` 1.45.0 (PyPI) writes with `ChatHistory.serialize` and `agent-framework-core` 1.23.0 with
`Message.to_dict`; C# writes the same with keys in PascalCase and the type of an item under `$type`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lrat_hub.importers.converters.contents import tool_text
from lrat_hub.importers.converters.turns import Turns, chat_record, conversation_in
from lrat_hub.importers.values import UnreadableRecord, object_of, text_of
from lrat_hub.ledger import Ledger

_ITEMS = ("items", "contents")
_TYPES = ("content_type", "$type", "type")
_ROLES = ("system", "developer", "user", "assistant", "tool")
_ASIDE = ("image", "audio", "data", "uri", "usage", "annotation", "file_reference", "hosted_file", "streaming")


def recognise_microsoft(value: Any) -> str | None:
    """Why a record is a history of Semantic Kernel or Agent Framework, or None."""
    if conversation_in(value, is_microsoft_message, ("messages", "Messages")) is None:
        return None
    return "a list of messages with `items` or `contents` (Semantic Kernel, Agent Framework)"


def is_microsoft_message(value: Any) -> bool:
    """Whether a value is a message with items that name their type."""
    message = _lower(value)
    items = _items(message)
    if _role(message) not in _ROLES or not items:
        return False
    return all(_kind(_lower(item)) for item in items) and message.keys().isdisjoint({"parts", "blocks"})


def convert_microsoft(value: Any, parts: Ledger) -> Iterator[dict[str, Any]]:
    """A history as a chat record.

    Raises:
        UnreadableRecord: There are no messages with items in it.
    """
    located = conversation_in(value, is_microsoft_message, ("messages", "Messages"))
    if located is None:
        raise UnreadableRecord("not a history of Semantic Kernel: no messages with `items` or `contents`")
    messages, beside = located
    turns = Turns()
    for raw in messages:
        message = _lower(raw)
        role = _role(message)
        if role not in _ROLES:
            parts.drop("message of an unknown role", example=text_of(raw))
            continue
        parts.keep()
        if role == "assistant":
            turns.close()
        items = _items(message) or [{"type": "text", "text": message.get("content")}]
        for item in map(_lower, items):
            _item(role, item, turns, parts)
    yield chat_record(turns, beside)


def _item(role: str, item: Mapping[str, Any], turns: Turns, parts: Ledger) -> None:
    kind = _kind(item)
    call_id = next((item[key] for key in ("call_id", "callid", "id") if item.get(key)), None)
    if kind in ("text", "streaming_text"):
        text = text_of(item.get("text"))
        if role == "assistant":
            turns.text(text)
        elif role != "tool":
            turns.says("user" if role == "user" else "system", text)
    elif kind in ("text_reasoning", "reasoning"):
        turns.reason(text_of(item.get("text")))
    elif kind == "function_call":
        name = next((item[key] for key in ("function_name", "functionname", "name") if item.get(key)), None)
        turns.call(name, item.get("arguments"), call_id)
    elif kind == "function_result":
        text, failed = tool_text(item.get("result"))
        if failure := text_of(item.get("exception") or item.get("error")):
            text, failed = text or failure, True
        turns.result(text, call_id, failed=failed)
    elif not kind.startswith(_ASIDE):
        parts.drop(f"item of unknown type {kind[:40]!r}", example=text_of(dict(item)))
        return
    parts.keep()


def _items(message: Mapping[str, Any]) -> list[Any]:
    return next((message[key] for key in _ITEMS if isinstance(message.get(key), list)), [])


def _role(message: Mapping[str, Any]) -> str:
    """The role, which C# and older versions write as an object."""
    role = message.get("role")
    fields = _lower(role)
    return text_of(fields.get("label", fields.get("value"))).lower() if fields else text_of(role).lower()


def _kind(item: Mapping[str, Any]) -> str:
    """The type of an item in snake case: `FunctionCallContent` is function_call."""
    kind = next((item[key] for key in _TYPES if isinstance(item.get(key), str)), "")
    words = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in kind.removesuffix("Content"))
    return words.strip("_")


def _lower(value: Any) -> dict[str, Any]:
    return {key.lower(): part for key, part in object_of(value).items() if isinstance(key, str)}
