"""Haystack: chat messages as `ChatMessage.to_dict` writes them, in all versions since 2.0.

Source: what `haystack-ai` 3.4.1 (PyPI) writes, and the forms that its `ChatMessage.from_dict` still reads
(`haystack/dataclasses/chat_message.py`): `_role` and `_content` before version 2.12, then `role` with a list of parts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from lrat_hub.importers.converters.contents import flat, label_of, tool_text
from lrat_hub.importers.converters.turns import Turns, chat_record, conversation_in, document_rows
from lrat_hub.importers.values import UnreadableRecord, identifier_of, json_or_none, listed, object_of, text_of
from lrat_hub.ledger import Ledger

_PARTS = {"text", "tool_call", "tool_call_result", "reasoning", "image", "file"}
_ROLES = ("system", "user", "assistant", "tool")
_DOCUMENT = re.compile(r"Document\(id=(?P<docid>[^,\n)]+)(?:, content: '(?P<snippet>.*?)'(?=[,)]))?", re.DOTALL)
_SCORE = re.compile(r", score: (?P<score>[-+.\deE]+)")
_TITLE = re.compile(r"'(?:title|name)': '(?P<title>[^']*)'")


def recognise_haystack(value: Any) -> str | None:
    """Why a record holds Haystack's chat messages, or None."""
    if conversation_in(value, is_haystack_message) is not None:
        return "a list of chat messages with `meta` and parts (Haystack)"
    return None


def is_haystack_message(value: Any) -> bool:
    """Whether a value is a chat message of Haystack."""
    message = object_of(value)
    if message.get("_role") in _ROLES:
        return isinstance(message.get("_content"), list)
    if message.get("role") not in _ROLES or not isinstance(message.get("meta"), dict) or "name" not in message:
        return False
    content = message.get("content")
    return isinstance(content, list) and all(_kinds(part) <= _PARTS and _kinds(part) for part in content)


def convert_haystack(value: Any, parts: Ledger) -> Iterator[dict[str, Any]]:
    """A conversation as a chat record.

    Raises:
        UnreadableRecord: There are no messages of Haystack in it.
    """
    located = conversation_in(value, is_haystack_message)
    if located is None:
        raise UnreadableRecord("not a conversation of Haystack: no messages with `_role`, or with `meta` and parts")
    messages, beside = located
    turns = Turns()
    for message in messages:
        _message(object_of(message), turns, parts)
    # An agent's result repeats its last message and the documents of its state.
    beside = {key: part for key, part in beside.items() if key not in ("last_message", "documents")}
    yield chat_record(turns, beside)


def _kinds(part: Any) -> set[str]:
    """Which parts an element of a content is; Parquet writes nulls for those that it is not."""
    return {key for key, content in object_of(part).items() if content is not None and key in _PARTS}


def _message(message: Mapping[str, Any], turns: Turns, parts: Ledger) -> None:
    role = message.get("_role", message.get("role"))
    content = message.get("_content", message.get("content"))
    if role not in _ROLES:
        parts.drop("message of an unknown role", example=text_of(message))
        return
    parts.keep()
    if role in ("system", "user"):
        turns.says(role, flat([part for part in listed(content) if not _kinds(part) & {"image", "file"}], parts))
        return
    if role == "assistant":
        turns.close()
    for part in listed(content):
        if isinstance(part, str):
            turns.text(part)
        else:
            _part(object_of(part), turns, parts)


def _part(part: Mapping[str, Any], turns: Turns, parts: Ledger) -> None:
    kinds = _kinds(part)
    if "reasoning" in kinds:
        reasoning = part["reasoning"]
        turns.reason(text_of(object_of(reasoning).get("reasoning_text", reasoning)))
    if "text" in kinds:
        turns.text(text_of(part["text"]))
    if "tool_call" in kinds:
        call = object_of(part["tool_call"])
        turns.call(call.get("tool_name", call.get("name")), call.get("arguments"), call.get("id"))
    if "tool_call_result" in kinds:
        result = object_of(part["tool_call_result"])
        raw = result.get("result")
        text = flat(raw, parts) if isinstance(raw, list) else tool_text(raw)[0]
        rows = _documents(text)
        turns.result(
            text,
            object_of(result.get("origin")).get("id"),
            failed=result.get("error") is True,
            results=None if rows is None else [rows],
        )
    if not kinds:
        parts.drop(f"part of content of unknown type {label_of(part)!r}", example=text_of(part))


def _documents(text: str) -> list[dict[str, Any]] | None:
    """The documents that a tool's result holds: as JSON of `Document.to_dict`, or as their representations."""
    if "Document(id=" in text:
        # Each is read in its own piece, so that one that is cut off costs no second look at the rest.
        pieces = re.split(r"(?=Document\(id=)", text)
        return [_row(match, piece) for piece in pieces if (match := _DOCUMENT.match(piece))] or None
    if not text.lstrip().startswith(("[", "{")):
        return None
    value = json_or_none(text)
    return document_rows(value if isinstance(value, list) else object_of(value).get("documents"), text)


def _row(match: re.Match[str], piece: str) -> dict[str, Any]:
    title, score = _TITLE.search(piece, match.end()), _SCORE.search(piece, match.end())
    row: dict[str, Any] = {
        "docid": identifier_of(match["docid"].strip("'\" ")) or "",
        "title": title["title"] if title else "",
        "snippet": match["snippet"] or "",
    }
    try:
        return {**row, "score": float(score["score"])} if score else row
    except ValueError:
        return row
