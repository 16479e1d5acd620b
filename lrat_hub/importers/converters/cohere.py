"""Messages of Cohere's chat API (version 2), whose tools give documents and whose reasoning is a plan.

Source: the types of the package `cohere` 7.3.1 (PyPI): `AssistantChatMessageV2` with `tool_plan`, `ToolChatMessageV2`
whose content has parts of type document.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lrat_hub.importers.converters.contents import flat, label_of
from lrat_hub.importers.converters.turns import Turns, calls_in, chat_record, conversation_in
from lrat_hub.importers.values import (
    UnreadableRecord,
    identifier_of,
    join_texts,
    json_or_none,
    listed,
    number_of,
    object_of,
    text_of,
)
from lrat_hub.ledger import Ledger

_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool"}
_TITLES = ("title", "name")
_TEXTS = ("snippet", "text", "content", "contents", "data")


def recognise_cohere(value: Any) -> str | None:
    """Why a record holds messages of Cohere's API, or None."""
    if conversation_in(value, is_cohere_message) is None:
        return None
    return "a list of messages with `tool_plan` or with documents of tools (Cohere)"


def is_cohere_message(value: Any) -> bool:
    """Whether a message has what only Cohere's have."""
    message = object_of(value)
    if message.get("role") == "assistant":
        return isinstance(message.get("tool_plan"), str)
    return message.get("role") == "tool" and any(map(_is_document, listed(message.get("content"))))


def convert_cohere(value: Any, parts: Ledger) -> Iterator[dict[str, Any]]:
    """A conversation as a chat record.

    Raises:
        UnreadableRecord: There are no messages of Cohere in it.
    """
    located = conversation_in(value, is_cohere_message)
    if located is None:
        raise UnreadableRecord("not a conversation of Cohere: no messages with `tool_plan` or documents")
    messages, beside = located
    turns = Turns()
    for raw in messages:
        message = object_of(raw)
        role = message.get("role")
        if not isinstance(role, str) or role not in _ROLES:
            parts.drop(f"message of unknown role {label_of(message)!r}", example=text_of(raw))
            continue
        parts.keep()
        _message(_ROLES[role], message, turns, parts)
    yield chat_record(turns, beside)


def _message(role: str, message: Mapping[str, Any], turns: Turns, parts: Ledger) -> None:
    content = message.get("content")
    if role in ("system", "user"):
        turns.says(role, flat(content, parts))
    elif role == "assistant":
        turns.close()
        thoughts = [part.get("thinking") for part in map(object_of, listed(content)) if part.get("type") == "thinking"]
        if plan := join_texts(text_of(message.get("tool_plan")), *map(text_of, thoughts)):
            turns.reason(plan)
        if text := flat([part for part in listed(content) if object_of(part).get("type") != "thinking"], parts):
            turns.text(text)
        for name, arguments, call_id in calls_in(message.get("tool_calls")):
            turns.call(name, arguments, call_id)
    else:
        documents = [part["document"] for part in listed(content) if _is_document(part)]
        rows = [row for document in documents if (row := _row(document)) is not None]
        texts = [flat([part for part in listed(content) if not _is_document(part)])] if content else []
        shown = join_texts(*texts, *(text_of(document.get("data")) for document in documents))
        complete = bool(rows) and len(rows) == len(documents)
        turns.result(shown, message.get("tool_call_id"), results=[rows] if complete else None)


def _is_document(part: Any) -> bool:
    return object_of(part).get("type") == "document" and isinstance(object_of(part).get("document"), dict)


def _row(document: Mapping[str, Any]) -> dict[str, Any] | None:
    """A document as a row: its data is an object, or the JSON of one."""
    data = document.get("data")
    fields = object_of(json_or_none(data)) if isinstance(data, str) else object_of(data)
    keys = ("docid", "doc_id", "id", "url", "link")
    docid = next((name for key in keys if (name := identifier_of(fields.get(key)))), identifier_of(document.get("id")))
    if docid is None:
        return None
    text = next((text_of(fields[key]) for key in _TEXTS if fields.get(key)), text_of(data) if not fields else "")
    title = next((text_of(fields[key]) for key in _TITLES if fields.get(key)), "")
    score = number_of(fields.get("score"))
    return {"docid": docid, "title": title, "snippet": text, **({} if score is None else {"score": score})}
