"""Contents of messages, and results of tools, as vendors and MCP write them: texts, parts, envelopes, lists."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, TypeGuard

from lrat_hub.importers.values import is_row, join_texts, json_or_none, listed, object_of, text_of
from lrat_hub.ledger import Ledger

# Parts of contents that show the agent something that is no text and no action.
_MEDIA = ("image", "image_url", "input_image", "audio", "video", "file", "media", "document", "image-data")

_TEXT_KEYS = ("text", "refusal", "output_text", "input_text")

PARTS_LOOKED_AT = 20
"""Parts of a record, from the first, by which its format is recognised."""

# Codex puts how long a tool took above what it showed.
_HEADER = re.compile(r"\A(?:Script completed\n)?Wall time:? [\d.]+ seconds\nOutput:\n?")


def kind_of(value: Any) -> str | None:
    """The type of an item, block or line, as a text; None where it names none."""
    kind = object_of(value).get("type")
    return kind if kind is None or isinstance(kind, str) else text_of(kind)


def parts_text(content: Any, depth: int = 3) -> str:
    """The text of a content: a string, an object with a text, or parts of which some have texts.

    Args:
        depth: How deep parts may stand in parts.
    """
    if isinstance(content, str):
        return content
    if isinstance(content, dict):
        return next((content[key] for key in _TEXT_KEYS if isinstance(content.get(key), str)), "")
    if not depth:
        return ""
    return join_texts(*(parts_text(part, depth - 1) for part in listed(content)))


def flat(content: Any, parts: Ledger | None = None) -> str:
    """The text of a content, or JSON where it is none at all, such as the rows of a search.

    Args:
        parts: Gets a drop for each part that is no text and shows nothing that could be one.
    """
    if not isinstance(content, list):
        text = object_of(content).get("text")
        return text if isinstance(text, str) and not is_row(content) else text_of(content)
    if any("text" in part for part in content if is_row(part)):
        return text_of(content)
    texts: list[str] = []
    unread: list[Any] = []
    for part in content:
        text = part if isinstance(part, str) else object_of(part).get("text")
        if isinstance(text, str):
            texts.append(text)
        elif part is not None and object_of(part).get("type") not in _MEDIA:
            unread.append(part)
    if unread and not texts:
        return text_of(content)
    account = parts if parts is not None else Ledger("parts")
    for part in unread:
        account.drop(f"part of content of unknown type {label_of(part)!r}", example=text_of(part))
    return join_texts(*texts)


def label_of(part: Any) -> str:
    """What a part calls itself, short enough for a reason in the account."""
    values = object_of(part)
    kind = next((values[key] for key in ("type", "kind", "block_type") if isinstance(values.get(key), str)), None)
    if kind is None:
        kind = " ".join(map(str, list(values)[:3])) if isinstance(part, dict) else type(part).__name__
    return kind[:40]


def tool_text(output: Any) -> tuple[str, bool]:
    """What a tool showed, as text, and whether it is marked as a failure.

    Understood are texts, lists of parts, and MCP's results, also as JSON. A tool that returns a list sends a part for
    each element through MCP, or the list under `result`: both become the JSON list that it was.
    """
    if isinstance(output, str):
        output = _HEADER.sub("", output)
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
    texts = [text for part in value if (text := _HEADER.sub("", parts_text(part) or _resource(part)))]
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
