"""Tool calls of messages, wherever clients write them: in a list, in parts of the content, or in the text."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from lrat_hub.importers.mapping import first_at
from lrat_hub.importers.values import identifier_of, json_or_none, listed, object_of, storable, text_of

_NAMES = ("name", "tool_name", "function")
_ARGUMENTS = ("arguments", "args", "input", "tool_kwargs", "parameters")
_IDS = ("id", "call_id", "tool_call_id", "tool_id")

CALLS = frozenset({"tool_use", "tool_call", "toolCall"})


class Call(NamedTuple):
    """A tool call. `error` says why it can't be read, if so; `id` is None where calls and results go by order."""

    name: Any
    arguments: Any
    id: str | None = None
    error: str | None = None


def calls_of(raw: Mapping[str, Any], parts: Sequence[Mapping[str, Any]], text: str) -> Iterator[Call]:
    """The calls of a message of the agent.

    Args:
        parts: The parts of its content.
        text: The text of it.
    """
    if recipient := harmony_tool(raw):
        yield Call(recipient, text)
        return
    if raw.get("from") == "function_call" or raw.get("role") == "function_call":
        # LLaMA-Factory's: one call or a list of them, as JSON.
        yield from map(call_of, listed(json_or_none(text))) if text.strip() else ()
        return
    if raw.get("role") == "tool-call":
        yield from map(call_of, _repr_list(text.partition("Calling tools:\n")[2]))
        return
    calls = raw.get("tool_calls") or raw.get("toolCalls") or object_of(raw.get("additional_kwargs")).get("tool_calls")
    yield from map(call_of, calls_in_list(calls))
    for call in listed(raw.get("invalid_tool_calls")):
        broken = object_of(call)
        yield Call(
            broken.get("name"), broken.get("args"), identifier_of(broken.get("id")), error="arguments are not JSON"
        )
    if isinstance(raw.get("function_call"), dict):
        yield call_of(raw["function_call"])
    if not calls:
        yield from (call_of(part) for part in parts if isinstance(kind := part.get("type"), str) and kind in CALLS)


def calls_in_list(value: Any) -> list[Any]:
    """The calls in a message's list of them, which tables keep as JSON."""
    return listed((json_or_none(value) or value) if isinstance(value, str) else value)


def harmony_tool(raw: Mapping[str, Any]) -> str | None:
    """The tool that a harmony message is addressed to."""
    recipient = raw.get("recipient")
    return recipient if isinstance(recipient, str) and recipient not in ("", "all", "user", "assistant") else None


def _repr_list(text: str) -> list[Any]:
    """The calls that smolagents writes into a text as the repr of a list."""
    try:
        return listed(storable(ast.literal_eval(text)))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return [None]


def call_of(raw: Any) -> Call:
    """A call as the APIs write it."""
    if not isinstance(raw, dict):
        return Call(None, None, error="tool call is not an object")
    if isinstance(raw.get("unreadable"), str):
        return Call(None, None, error=raw["unreadable"])  # of a text in which no call could be read
    if raw.keys() == {"type", "value"}:
        raw = object_of(json_or_none(text_of(raw["value"])))  # LLaMA-Factory's part of a content
        if not raw:
            return Call(None, None, error="arguments are not JSON")
    body = raw["function"] if isinstance(raw.get("function"), dict) else raw
    arguments = first_at(body, _ARGUMENTS)
    call_id = next((known for key in _IDS if key in raw and (known := identifier_of(raw[key]))), None)
    return Call(first_at(body, _NAMES), {} if arguments is None else arguments, call_id)
