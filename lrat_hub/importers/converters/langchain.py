"""LangChain's messages, and the states that hold them.

Source: what `langchain-core` 1.8.3 (PyPI) writes with `messages_to_dict`, `model_dump` and `dumpd`;
`langchain-ai/open_deep_research@408da44`, `src/open_deep_research/state.py`. A retriever's documents stand in a tool
message's `artifact`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lrat_hub.importers.converters.contents import flat, label_of, tool_text
from lrat_hub.importers.converters.turns import Turns, calls_in, constructed, conversation_in, document_rows
from lrat_hub.importers.values import listed, object_of, text_of
from lrat_hub.ledger import Ledger

# LangGraph's states, and those of open_deep_research's researchers, whose searches are nowhere else.
STATES = ("messages", "researcher_messages", "supervisor_messages", "chat_history", "output", "input")

_TYPES = {
    "human": "user", "HumanMessageChunk": "user", "system": "system", "ai": "assistant", "AIMessageChunk": "assistant",
    "tool": "tool", "ToolMessageChunk": "tool", "function": "tool",
}  # fmt: skip
_ASIDE = (
    "image", "image_url", "audio", "video", "file", "input_image", "tool_use", "tool_call", "tool_call_chunk",
    "function_call", "input_json_delta", "redacted_thinking", "code_interpreter_call", "text-plain",
    "invalid_tool_call",
)  # fmt: skip


def is_langchain_message(value: Any) -> bool:
    """Whether a value is a message of LangChain."""
    fields = object_of(value)
    if "lc" in fields:
        kind = constructed(fields).get("type")
        return isinstance(kind, str) and kind in _TYPES
    kind = fields.get("type")
    if "role" in fields or not isinstance(kind, str) or kind not in _TYPES:
        return False
    return isinstance(fields.get("data"), dict) or "content" in fields


def state_in(value: Any) -> tuple[list[Any], dict[str, Any]] | None:
    """The messages of a state, or of a snapshot or checkpoint of one."""
    if (located := conversation_in(value, is_langchain_message, STATES)) is not None:
        return located
    outer = constructed(value)
    if "run_type" in outer:
        return None  # a run of LangSmith, which holds much more
    for key in ("values", "channel_values", "output", "state", "checkpoint"):
        inner = object_of(constructed(outer.get(key)))
        inner = object_of(inner.get("channel_values")) or inner
        if (located := conversation_in(inner, is_langchain_message, STATES)) is not None:
            return located
    return None


def add_message(value: Any, turns: Turns, parts: Ledger) -> None:
    outer = object_of(value)
    fields = constructed(outer)
    if isinstance(outer.get("data"), dict) and "role" not in outer:
        fields = {"type": outer.get("type"), **outer["data"]}
    name = fields.get("type") if isinstance(fields.get("type"), str) else fields.get("role")
    role = _TYPES.get(name, name) if isinstance(name, str) else None
    if role == "remove":
        parts.keep()
        return
    if role not in ("user", "system", "assistant", "tool"):
        parts.drop(f"message of unknown type {label_of(value)!r}", example=text_of(value))
        return
    parts.keep()
    if role in ("user", "system"):
        turns.says(role, flat(fields.get("content")))
    elif role == "tool":
        _tool_message(fields, turns)
    else:
        _agent_message(fields, turns, parts)


def _tool_message(fields: Mapping[str, Any], turns: Turns) -> None:
    text, failed = tool_text(fields.get("content"))
    artifact = fields.get("artifact")
    rows = document_rows(artifact, text) or document_rows(object_of(artifact).get("documents"), text)
    turns.result(
        text,
        fields.get("tool_call_id"),
        failed=failed or fields.get("status") == "error",
        results=None if rows is None else [rows],
    )


def _agent_message(fields: Mapping[str, Any], turns: Turns, parts: Ledger) -> None:
    turns.close()
    extra = object_of(fields.get("additional_kwargs"))
    if reasoning := _reasoning(extra.get("reasoning_content")) or _reasoning(extra.get("reasoning")):
        turns.reason(reasoning)
    content = fields.get("content")
    for block in content if isinstance(content, list) else [content]:
        if isinstance(block, str):
            turns.text(block) if block else None
        elif block is not None:
            _block(object_of(block), turns, parts)
    calls = calls_in(fields.get("tool_calls") or extra.get("tool_calls"))
    if not calls:
        blocks = map(object_of, listed(content))
        calls = calls_in([block for block in blocks if block.get("type") in ("tool_use", "tool_call")])
    if not calls and isinstance(extra.get("function_call"), dict):
        calls = calls_in(extra["function_call"])
    for name, arguments, call_id in [*calls, *calls_in(fields.get("invalid_tool_calls"))]:
        turns.call(name, arguments, call_id)


def _block(block: Mapping[str, Any], turns: Turns, parts: Ledger) -> None:
    kind = block.get("type")
    if kind in ("text", "output_text", "refusal"):
        turns.text(text_of(block.get("text", block.get("refusal"))))
    elif kind in ("reasoning", "thinking", "reasoning_content"):
        turns.reason(_reasoning(block))
    elif kind in ("server_tool_call", "server_tool_use"):
        turns.call(block.get("name"), _first(block, "args", "input"), block.get("id"))
    elif isinstance(kind, str) and kind.endswith(("server_tool_result", "_tool_result")):
        output = _first(block, "output", "content")
        text, failed = tool_text(output)
        failed = failed or block.get("status") == "error" or "error_code" in object_of(output)
        turns.result(text, _first(block, "tool_call_id", "tool_use_id"), failed=failed)
    elif kind == "web_search_call":
        turns.call("web_search", _action(block.get("action")), block.get("id"))
    elif kind == "non_standard" and isinstance(block.get("value"), dict):
        if block["value"].get("type") != "non_standard":
            _block(block["value"], turns, parts)
    elif kind is None and isinstance(block.get("text"), str):
        turns.text(block["text"])
    elif kind not in _ASIDE:
        parts.drop(f"block of unknown type {label_of(block)!r}", example=text_of(block))


def _action(action: Any) -> dict[str, Any]:
    return {key: part for key, part in object_of(action).items() if key != "type"}


def _reasoning(value: Any) -> str:
    """The text of reasoning: a text, a block, or a summary in parts."""
    block = object_of(value)
    if not block:
        return flat(value)
    inner = _first(block, "reasoning", "thinking", "text", "reasoning_content", "summary", "content")
    return _reasoning(inner) if isinstance(inner, dict) and inner is not value else flat(inner)


def _first(values: Mapping[str, Any], *keys: str) -> Any:
    return next((values[key] for key in keys if values.get(key) not in (None, "")), None)
