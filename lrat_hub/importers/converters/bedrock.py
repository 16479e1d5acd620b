"""Messages of Amazon Bedrock's Converse API, which Strands Agents also keeps.

Source: the types of `strands-agents` 1.62.0 (PyPI), `strands/types/content.py` and `strands/types/tools.py`, which
follow the API. Parts of a content are called by their keys: `text`, `toolUse`, `toolResult`, `reasoningContent`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lrat_hub.importers.converters.contents import flat, label_of
from lrat_hub.importers.converters.turns import Turns, chat_record, conversation_in
from lrat_hub.importers.values import UnreadableRecord, join_texts, listed, object_of, text_of
from lrat_hub.ledger import Ledger

_PARTS = {
    "text", "toolUse", "toolResult", "reasoningContent", "image", "document", "video", "audio", "cachePoint",
    "guardContent", "citationsContent",
}  # fmt: skip


def recognise_bedrock(value: Any) -> str | None:
    """Why a record holds messages of the Converse API, or None."""
    located = _messages_in(value)
    if located is None or not any(map(_has_tools, located[0])):
        return None
    return "a list of messages with `toolUse` and `toolResult` (Bedrock Converse)"


def is_converse_message(value: Any) -> bool:
    """Whether a value is a message of the Converse API."""
    message = object_of(value)
    content = message.get("content")
    if message.get("role") not in ("user", "assistant") or not isinstance(content, list) or not content:
        return False
    return all("type" not in object_of(part) and _kinds(part) for part in content)


def convert_bedrock(value: Any, parts: Ledger) -> Iterator[dict[str, Any]]:
    """A conversation as a chat record.

    Raises:
        UnreadableRecord: There are no messages of the Converse API in it.
    """
    located = _messages_in(value)
    if located is None:
        raise UnreadableRecord("not a conversation of Bedrock: no messages with `text`, `toolUse` or `toolResult`")
    messages, beside = located
    turns = Turns()
    if system := beside.pop("system", None):
        turns.says("system", flat(system))
    for raw in messages:
        message = object_of(raw)
        if message.get("role") not in ("user", "assistant"):
            parts.drop("message of an unknown role", example=text_of(raw))
            continue
        if message["role"] == "assistant":
            turns.close()
        for part in listed(message.get("content")):
            _part(message["role"], object_of(part) or {"text": text_of(part)}, turns, parts)
    beside.pop("toolConfig", None)
    yield chat_record(turns, beside)


def _messages_in(value: Any) -> tuple[list[Any], dict[str, Any]] | None:
    """The messages of a conversation, or of a request with the message of its response.

    Bedrock's own log of invocations has them in `input.inputBodyJson` and `output.outputBodyJson`.
    """
    record = object_of(value)
    invoked = object_of(object_of(record.get("input")).get("inputBodyJson"))
    request = object_of(record.get("request")) or invoked or record
    located = conversation_in(request if record else value, is_converse_message)
    if located is None:
        return None
    messages, beside = located
    answered = object_of(object_of(record.get("output")).get("outputBodyJson"))
    response = object_of(record.get("response")) or answered or record
    answer = object_of(response.get("output")).get("message")
    return ([*messages, answer], beside) if is_converse_message(answer) else (messages, beside)


def _has_tools(message: Any) -> bool:
    return is_converse_message(message) and any(
        _kinds(part) & {"toolUse", "toolResult"} for part in message["content"]
    )  # fmt: skip


def _kinds(part: Any) -> set[str]:
    return {key for key, content in object_of(part).items() if content is not None and key in _PARTS}


def _part(role: str, part: Mapping[str, Any], turns: Turns, parts: Ledger) -> None:
    if isinstance(part.get("toolUse"), dict):
        call = part["toolUse"]
        turns.call(call.get("name"), call.get("input"), call.get("toolUseId"))
    elif isinstance(part.get("toolResult"), dict):
        result = part["toolResult"]
        texts = [_shown(object_of(piece)) for piece in listed(result.get("content"))]
        turns.result(join_texts(*texts), result.get("toolUseId"), failed=result.get("status") == "error")
    elif isinstance(part.get("reasoningContent"), dict):
        turns.reason(flat(part["reasoningContent"].get("reasoningText")))
    elif isinstance(part.get("text"), str):
        turns.text(part["text"]) if role == "assistant" else turns.says("user", part["text"])
    elif isinstance(part.get("citationsContent"), dict):
        turns.text(flat(part["citationsContent"].get("content")))
    elif not _kinds(part):
        parts.drop(f"part of content of unknown type {label_of(part)!r}", example=text_of(dict(part)))
        return
    parts.keep()


def _shown(piece: Mapping[str, Any]) -> str:
    return text_of(piece.get("text", piece.get("json")))
