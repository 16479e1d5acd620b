"""The values that tracing tools keep: JSON in texts, and texts in wrappers."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Sequence
from typing import Any

from lrat_hub.importers.chat_messages import Chat
from lrat_hub.importers.values import identifier_of, join_texts, json_or_none, listed, object_of, storable, text_of
from lrat_hub.ledger import Ledger

MAX_DEPTH = 6
"""Wrappers within wrappers that are looked into."""

MAX_LITERAL = 1 << 18

_PRINTED = ("{'", '{"', "[{", "['", '["')
_CONTENT = re.compile(r"content=('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\") ", re.DOTALL)
_CALL_ID = "tool_call_id='"


class Unknown:
    """Counts what is not understood in messages, each thing once: a history repeats them call after call."""

    def __init__(self, parts: Ledger) -> None:
        self._parts = parts
        self._seen: set[tuple[str, str]] = set()

    def drop(self, reason: str, example: str) -> None:
        if (reason, example[:200]) not in self._seen:
            self._seen.add((reason, example[:200]))
            self._parts.drop(reason, example=example)


def parsed(value: Any) -> Any:
    """A value out of JSON text, of JSON text in JSON text, or of what Python prints of an object or a list."""
    if not isinstance(value, str):
        return value
    start = value.lstrip()[:2]
    if start[:1] in ("{", "["):
        inner = json_or_none(value)
        if inner is None and start in _PRINTED:
            inner = _printed(value)
        return inner if isinstance(inner, (dict, list)) else value
    if start[:1] == '"' and value.rstrip()[-1:] == '"' and isinstance(inner := json_or_none(value), str):
        return parsed(inner)
    return value


def _printed(text: str) -> Any:
    """The value that a text is the Python literal of, or None."""
    if len(text) > MAX_LITERAL:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes that Python does not know
            return storable(ast.literal_eval(text.strip()))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def told(chats: Sequence[Chat]) -> tuple[int, int]:
    """How much messages say: those with calls and results more than texts."""
    return sum("tool_calls" in chat or chat["role"] == "tool" for chat in chats), sum(
        bool(chat["content"]) for chat in chats
    )


def question_in(value: Any) -> str:
    """The question or the answer in the input or the output of a whole run, "" where it is something else."""
    value = parsed(value)
    keys = (
        "question", "query", "input", "prompt", "user_input", "task", "output", "answer", "text", "content", "result"
    )  # fmt: skip
    for _ in range(MAX_DEPTH):
        if not isinstance(value, dict):
            break
        value = parsed(next((value[key] for key in keys if value.get(key)), None))
    return value.strip() if isinstance(value, str) else ""


def shown_text(value: Any) -> str:
    """What a tool showed, as text: out of the blocks and the tool message that frameworks wrap it into."""
    inner = parsed(value)
    if isinstance(inner, str) and (message := _printed_message(inner)) is not None:
        return message[0]
    if isinstance(inner, dict):
        body = inner["kwargs"] if "lc" in inner and "kwargs" in inner else inner.get("data", inner)
        is_message = "tool" in (inner.get("type"), object_of(body).get("type")) or "tool_call_id" in object_of(body)
        if isinstance(body, dict) and is_message:
            return shown_text(body.get("content"))
        if inner.get("type") == "function_result" and "result" in inner:
            return shown_text(inner["result"])
        if len(inner) == 1 and (only := next(iter(inner))) in ("output", "result", "content"):
            return shown_text(inner[only])
    blocks = listed(inner)
    if blocks and all(isinstance(block, dict) and block.get("type") == "text" and "text" in block for block in blocks):
        return join_texts(*(text_of(block["text"]) for block in blocks))
    # MLflow keeps texts as JSON.
    return inner if isinstance(inner, str) else text_of(value)


def call_id_in(value: Any) -> str | None:
    """The id of the call that a tool's output answers, where the output is a tool message."""
    inner = parsed(value)
    if isinstance(inner, str):
        message = _printed_message(inner)
        return message[1] or None if message else None
    body = object_of(inner)
    if set(body) == {"output"}:
        return call_id_in(body["output"])
    body = object_of(body.get("kwargs")) or object_of(body.get("data")) or body
    return identifier_of(body.get("tool_call_id"))


def _printed_message(text: str) -> tuple[str, str] | None:
    """The text and the call's id of what Python prints of a tool message of LangChain: older tracers keep that."""
    content = _CONTENT.match(text)
    if content is None or (start := text.find(_CALL_ID, content.end())) < 0:
        return None
    start += len(_CALL_ID)
    return text_of(_printed(content[1])), text[start : max(start, text.find("'", start))]
