"""LlamaIndex: chat messages, chat stores, events of agent workflows, and answers with their tool outputs.

Source: what `llama-index-core` 0.14.25 (PyPI) writes with `model_dump` and its serialisers
(`base/llms/types.py`, `agent/workflow/workflow_events.py`). A tool's `raw_output` holds a retriever's nodes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lrat_hub.importers.converters.contents import flat, label_of
from lrat_hub.importers.converters.turns import Turns, calls_in, chat_record, conversation_in, document_rows
from lrat_hub.importers.sources.grouping import by_key, parts_of
from lrat_hub.importers.values import UnreadableRecord, identifier_of, listed, object_of, text_of
from lrat_hub.ledger import Ledger

_MEDIA = {"image", "audio", "video", "document", "citation", "cache"}
_ROLES = {
    **dict.fromkeys(("system", "developer"), "system"),
    "user": "user",
    **dict.fromkeys(("assistant", "model", "chatbot"), "assistant"),
    **dict.fromkeys(("tool", "function"), "tool"),
}


def recognise_llamaindex(value: Any) -> str | None:
    """Why a record was written by LlamaIndex, or None."""
    if conversation_in(value, is_llamaindex_message) is not None:
        return "a list of messages with `blocks` and `additional_kwargs` (LlamaIndex)"
    if conversation_in(value, is_llamaindex_event) is not None:
        return "a list of events of an agent workflow (LlamaIndex)"
    if is_llamaindex_event(value):
        return "an event of an agent workflow (LlamaIndex)"
    if _store_in(value):
        return "a chat store (LlamaIndex)"
    if _outputs_in(value):
        return "an answer with `sources` of tools (LlamaIndex)"
    return None


def is_llamaindex_message(value: Any) -> bool:
    """Whether a value is a chat message of LlamaIndex."""
    message = object_of(value)
    if not isinstance(message.get("role"), str):
        return False
    blocks = message.get("blocks")
    if isinstance(blocks, list) and all("block_type" in object_of(block) for block in blocks):
        return bool(blocks) or "additional_kwargs" in message
    # LangChain's messages have additional_kwargs, too, and a type.
    return isinstance(message.get("additional_kwargs"), dict) and "type" not in message and "content" in message


def is_llamaindex_event(value: Any) -> bool:
    """Whether a value is an event of an agent workflow: an agent's input or output, a tool's call or result."""
    event = _event(value)
    if "tool_kwargs" in event and "tool_id" in event:
        return True
    return "current_agent_name" in event and ("response" in event or isinstance(event.get("input"), list))


def _group_of(value: Any) -> str | None:
    """Events belong to the workflow whose file they stand in."""
    return "events" if is_llamaindex_event(value) else None


group_llamaindex = by_key(_group_of)
"""Puts the events of a workflow together."""


def convert_llamaindex(value: Any, parts: Ledger) -> Iterator[dict[str, Any]]:
    """Conversations as chat records: one, or one for each key of a chat store.

    Raises:
        UnreadableRecord: There are no messages of LlamaIndex in it.
    """
    parts_of(value)  # raises for a workflow of too many events
    if located := conversation_in(value, is_llamaindex_message):
        messages, beside = located
        yield _conversation(messages, parts, beside)
    elif located := conversation_in(value, is_llamaindex_event):
        events, beside = located
        yield _workflow(events, parts, beside)
    elif stores := _store_in(value):
        for key, messages in stores.items():
            yield _conversation(messages, parts, {"metadata": {"conversation": text_of(key)[:200]}})
    elif outputs := _outputs_in(value):
        yield _answer(value, outputs, parts)
    else:
        raise UnreadableRecord("not a conversation of LlamaIndex: no messages with `blocks`")


def _store_in(value: Any) -> dict[str, list[Any]]:
    """The conversations of a chat store by their keys."""
    outer = object_of(value)
    store = object_of(object_of(outer.get("chat_store")).get("store")) or object_of(outer.get("store"))
    return {key: part for key, part in store.items() if conversation_in(part, is_llamaindex_message)}


def _outputs_in(value: Any) -> list[Mapping[str, Any]]:
    """The outputs of tools in an agent's answer."""
    sources = [object_of(source) for source in listed(object_of(value).get("sources"))]
    return sources if sources and all({"tool_name", "raw_input"} <= source.keys() for source in sources) else []


def _answer(value: Mapping[str, Any], outputs: list[Mapping[str, Any]], parts: Ledger) -> dict[str, Any]:
    turns = Turns()
    for number, output in enumerate(outputs):
        parts.keep()
        raw = object_of(output["raw_input"])
        _tool_result(
            {
                "tool_id": f"source-{number}",
                "tool_name": output["tool_name"],
                "tool_kwargs": object_of(raw.get("kwargs")) or raw,
                "tool_output": output,
            },
            turns,
        )
    if isinstance(answer := value.get("response"), str) and answer:
        turns.text(answer)
    used = ("sources", "source_nodes", "response", "metadata")
    return chat_record(turns, {key: part for key, part in value.items() if key not in used})


def _conversation(messages: list[Any], parts: Ledger, beside: Mapping[str, Any]) -> dict[str, Any]:
    turns = Turns()
    for message in messages:
        _message(object_of(message), turns, parts)
    return chat_record(turns, beside)


def _message(message: Mapping[str, Any], turns: Turns, parts: Ledger) -> None:
    name = message.get("role")
    role = _ROLES.get(name) if isinstance(name, str) else None
    if role is None:
        parts.drop("message of an unknown role", example=text_of(message))
        return
    parts.keep()
    extra = object_of(message.get("additional_kwargs"))
    blocks = listed(message.get("blocks"))
    if role in ("system", "user"):
        turns.says(role, _text(message, parts))
    elif role == "tool":
        turns.result(_text(message, parts), extra.get("tool_call_id"), failed=extra.get("is_error") is True)
    else:
        turns.close()
        for block in map(object_of, blocks):
            if block.get("block_type") == "thinking":
                turns.reason(text_of(block.get("content")))
        if reasoning := text_of(extra.get("thinking") or extra.get("reasoning_content")):
            turns.reason(reasoning)
        if text := _text(message, parts):
            turns.text(text)
        for block in map(object_of, blocks):
            if block.get("block_type") == "tool_call":
                turns.call(block.get("tool_name"), block.get("tool_kwargs"), block.get("tool_call_id"))
        # Older versions, and some clients beside the blocks, keep the calls as the API gave them.
        for call_name, arguments, call_id in calls_in(extra.get("tool_calls")):
            if not turns.has_call(call_id):
                turns.call(call_name, arguments, call_id)


def _text(message: Mapping[str, Any], parts: Ledger) -> str:
    blocks = message.get("blocks")
    if not isinstance(blocks, list):
        return flat(message.get("content"), parts)
    texts: list[Any] = []
    for block in map(object_of, blocks):
        kind = block.get("block_type")
        if kind == "text":
            texts.append({"text": text_of(block.get("text"))})
        elif kind not in ("thinking", "tool_call", *_MEDIA):
            parts.drop(f"block of unknown type {label_of(block)!r}", example=text_of(block))
    return flat(texts)


def _event(value: Any) -> Mapping[str, Any]:
    """An event out of the serialiser's envelope."""
    event = object_of(value)
    return object_of(event["value"]) if "qualified_name" in event and "value" in event else event


def _workflow(events: list[Any], parts: Ledger, beside: Mapping[str, Any]) -> dict[str, Any]:
    """The events of a run: the agent's outputs and the results of its tools; the others repeat these."""
    turns = Turns()
    asked: set[str] = set()
    for raw in events:
        event = _event(raw)
        parts.keep()
        if is_llamaindex_message(raw) or is_llamaindex_message(event):
            _message(event, turns, parts)
        elif isinstance(event.get("tool_output"), dict):
            _tool_result(event, turns)
        elif isinstance(event.get("response"), dict) and "delta" not in event:
            _message(event["response"], turns, parts)
            for name, arguments, call_id in calls_in(event.get("tool_calls")):
                if not turns.has_call(call_id):
                    turns.call(name, arguments, call_id)
        elif isinstance(event.get("input"), list):
            # The agent's input grows by what has happened already.
            for message in map(object_of, event["input"]):
                if message.get("role") in ("system", "user") and (text := _text(message, parts)) not in asked:
                    asked.add(text)
                    turns.says(text_of(message["role"]), text)
    return chat_record(turns, beside)


def _tool_result(event: Mapping[str, Any], turns: Turns) -> None:
    call_id, output = event.get("tool_id"), event["tool_output"]
    if identifier_of(call_id) is not None and not turns.has_call(call_id):
        turns.call(event.get("tool_name"), event.get("tool_kwargs"), call_id)
    text = flat(output.get("blocks")) if isinstance(output.get("blocks"), list) else text_of(output.get("content"))
    rows = rows_of_output(output.get("raw_output"), text)
    turns.result(text, call_id, failed=output.get("is_error") is True, results=None if rows is None else [rows])


def rows_of_output(output: Any, shown: str) -> list[dict[str, Any]] | None:
    """The rows that a retriever's or a query engine's output holds, or None."""
    nodes = output if isinstance(output, list) else object_of(output).get("source_nodes")
    return document_rows(nodes, shown)
