"""What messages say: their contents, whatever key they stand under, and the texts of parts and of thoughts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lrat_hub.importers.values import PART_TEXTS, is_row, join_texts, object_of, text_of
from lrat_hub.ledger import Ledger

_CONTENT_KEYS = ("text",)
_OUTPUT_KEYS = ("output", "result", "response")
"""Keys of what a tool showed, in messages without a content."""

NO_TEXT = "parts of a message whose text is under no key that is known"


def content_elsewhere(role: str, raw: Mapping[str, Any], account: Ledger) -> Any:
    """What a message without a content says under another key, or None."""
    keys = _CONTENT_KEYS + (_OUTPUT_KEYS if role == "tool" and raw.get("results") is None else ())
    found = next((raw[key] for key in keys if raw.get(key) not in (None, "", [], {})), None)
    if found is None and role in ("user", "tool") and not raw.keys() & {"content", "value", "results", "docids"}:
        account.drop(NO_TEXT, example=text_of(dict(raw)))
    return found


def usual_part(part: Mapping[str, Any]) -> Mapping[str, Any]:
    """A part as Anthropic's API has it, where it is a call or a result of goose."""
    kind = part.get("type")
    if kind == "toolRequest":
        body = object_of(part.get("toolCall"))
        called = object_of(body.get("value")) or body
        return {"type": "tool_use", "id": part.get("id"), **called}
    if kind == "toolResponse":
        body = object_of(part.get("toolResult"))
        shown = body.get("value", body.get("error"))
        failed = body.get("status") == "error"
        return {"type": "tool_result", "tool_use_id": part.get("id"), "content": shown, "is_error": failed}
    return part


def thoughts_of(value: Any) -> str:
    """The text of reasoning: a text, or parts that have one."""
    if isinstance(value, list):
        return join_texts(*map(thoughts_of, value))
    if isinstance(value, dict):
        keys = ("thinking", "reasoning", "text", "content", "summary", "value")
        return thoughts_of(next((value[key] for key in keys if value.get(key)), None))
    return value if isinstance(value, str) else ""


def part_text(part: Mapping[str, Any]) -> str:
    """The text of a part, whatever key it stands under."""
    return text_of(next((part[key] for key in PART_TEXTS if part.get(key) is not None), None))


def text_or_json(content: Any) -> str:
    """The text of a content, a string or parts with texts, or JSON where it is something else."""
    if isinstance(content, list) and all(
        isinstance(part, dict) and "text" in part and not is_row(part) for part in content
    ):
        return join_texts(*(text_of(part["text"]) for part in content))
    return text_of(content)
