"""Pydantic AI: the messages of a run, which are requests and responses with parts.

Source: what `pydantic-ai-slim` 2.68.0 (PyPI) writes with `all_messages_json` (`pydantic_ai/messages.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lrat_hub.importers.converters.contents import flat, tool_text
from lrat_hub.importers.converters.turns import Turns, chat_record, conversation_in
from lrat_hub.importers.values import UnreadableRecord, listed, object_of, text_of
from lrat_hub.ledger import Ledger

_LISTS = ("messages", "message_history", "all_messages", "history", "new_messages")
_ASIDE = {"file", "compaction", "instruction", "speech"}


def recognise_pydantic_ai(value: Any) -> str | None:
    """Why a record was written by Pydantic AI, or None."""
    if conversation_in(value, is_pydantic_ai_message, _LISTS) is None:
        return None
    return "a list of messages with `kind` request or response and parts with `part_kind` (Pydantic AI)"


def is_pydantic_ai_message(value: Any) -> bool:
    """Whether a value is a message of Pydantic AI."""
    message = object_of(value)
    parts = message.get("parts")
    if message.get("kind") not in ("request", "response") or not isinstance(parts, list):
        return False
    return all("part_kind" in object_of(part) for part in parts)


def convert_pydantic_ai(value: Any, parts: Ledger) -> Iterator[dict[str, Any]]:
    """A run as a chat record.

    Raises:
        UnreadableRecord: There are no messages of Pydantic AI in it.
    """
    located = conversation_in(value, is_pydantic_ai_message, _LISTS)
    if located is None:
        raise UnreadableRecord("not a run of Pydantic AI: no messages with `kind` and parts with `part_kind`")
    messages, beside = located
    turns = Turns()
    model = ""
    for raw in messages:
        message = object_of(raw)
        if message.get("kind") == "response":
            turns.close()
            model = model or text_of(message.get("model_name"))
        for part in listed(message.get("parts")):
            _part(object_of(part), turns, parts)
    yield chat_record(turns, beside, agent=model)


def _part(part: Mapping[str, Any], turns: Turns, parts: Ledger) -> None:
    kind, content = part.get("part_kind"), part.get("content")
    if kind == "system-prompt":
        turns.says("system", text_of(content))
    elif kind == "user-prompt":
        texts = [piece for piece in listed(content) if isinstance(piece, str) or "text" in object_of(piece)]
        turns.says("user", flat(texts))
    elif kind == "text":
        turns.text(text_of(content))
    elif kind == "thinking":
        turns.reason(text_of(content))
    elif kind in ("tool-call", "builtin-tool-call", "native-tool-call"):
        turns.call(part.get("tool_name"), part.get("args"), part.get("tool_call_id"))
    elif kind in ("tool-return", "builtin-tool-return", "native-tool-return"):
        text, failed = tool_text(content)
        failed = failed or part.get("outcome") in ("failed", "error", "denied")
        turns.result(text, part.get("tool_call_id"), failed=failed)
    elif kind == "retry-prompt":
        if part.get("tool_name"):
            turns.result(text_of(content), part.get("tool_call_id"), failed=True)
        else:
            turns.close()  # the agent is asked for an answer in another form
    elif not isinstance(kind, str) or kind.partition("-")[0] not in _ASIDE:
        parts.drop(f"part of unknown kind {text_of(kind)[:40]!r}", example=text_of(part))
        return
    parts.keep()
