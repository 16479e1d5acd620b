"""Sessions of programs on Gemini: the Gemini CLI, the Agent Development Kit (ADK), saved prompts of AI Studio.

Source: `google-gemini/gemini-cli@5411f113ca`, in `packages/core/src`: `services/chatRecordingTypes.ts`, and
`services/chatRecordingService.ts` for what a rewind and an update mean, `tools/web-search.ts` for its list of sources.
Events of `google-adk` are a content of Gemini with an author.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from lrat_hub.importers.converters.contents import flat
from lrat_hub.importers.converters.gemini import add_content, camel, grounding, is_content, response_text
from lrat_hub.importers.converters.turns import Turns, chat_record
from lrat_hub.importers.sources.grouping import by_key, parts_of
from lrat_hub.importers.values import UnreadableRecord, identifier_of, join_texts, listed, object_of, text_of
from lrat_hub.ledger import Ledger

_ASIDE = ("info", "error", "warning")
_SOURCE = re.compile(r"^\[\d+\] (?P<title>.*) \((?P<docid>\S+)\)$", re.MULTILINE)


def recognise_gemini_session(value: Any) -> str | None:
    """Why a record is a session on Gemini, or a line of one; None when it is not."""
    record = object_of(value)
    if _is_cli_header(record) or is_cli_message(record) or _is_cli_update(record):
        return "a session of the Gemini CLI"
    if isinstance(events := record.get("events"), list) and any(map(is_adk_event, events)):
        return "a session of the Agent Development Kit with `events`"
    if is_adk_event(value) or (isinstance(value, list) and any(map(is_adk_event, value))):
        return "events of the Agent Development Kit"
    if isinstance(object_of(record.get("chunkedPrompt")).get("chunks"), list):
        return "a saved prompt of AI Studio"
    return None


def is_cli_message(value: Any) -> bool:
    """Whether a value is a message of the Gemini CLI."""
    message = object_of(value)
    if message.get("type") not in ("user", "gemini", *_ASIDE) or "role" in message:
        return False
    return {"id", "timestamp", "content"} <= message.keys() and "parentUuid" not in message


def is_adk_event(value: Any) -> bool:
    """Whether a value is an event of the Agent Development Kit."""
    event = camel(value)
    return isinstance(event.get("author"), str) and ("invocationId" in event or is_content(event.get("content")))


def _is_cli_header(record: Mapping[str, Any]) -> bool:
    return isinstance(record.get("sessionId"), str) and "projectHash" in record


def _is_cli_update(record: Mapping[str, Any]) -> bool:
    return isinstance(record.get("$set"), dict) or isinstance(record.get("$rewindTo"), str)


def _key(value: Any) -> str | None:
    """Lines of a session belong to their file; a session that is one record stands alone."""
    record = object_of(value)
    if is_cli_message(record) or _is_cli_update(record) or (_is_cli_header(record) and "messages" not in record):
        return "session"
    if is_adk_event(value):
        event = camel(value)
        return f"events {identifier_of(event.get('sessionId')) or ''}"
    return None


group_gemini_sessions = by_key(_key)
"""Puts the lines of a session together."""


def convert_gemini_session(value: Any, parts: Ledger) -> Iterator[dict[str, Any]]:
    """A session as a chat record.

    Raises:
        UnreadableRecord: It is none.
    """
    lines = parts_of(value)
    record = object_of(lines[0]) if len(lines) == 1 else {}
    if isinstance(chunks := object_of(record.get("chunkedPrompt")).get("chunks"), list):
        yield _prompt(record, chunks, parts)
    elif isinstance(events := record.get("events"), list) and any(map(is_adk_event, events)):
        session = camel(record)
        yield _adk(events, parts, {"metadata": {key: session[key] for key in ("id", "appName") if key in session}})
    elif any(map(is_adk_event, lines)):
        yield _adk(lines, parts, {})
    elif any(_is_cli_header(object_of(line)) or is_cli_message(line) for line in lines):
        yield _cli(lines, parts)
    else:
        raise UnreadableRecord("not a session on Gemini: no messages of the CLI, events or chunks")


def _adk(events: list[Any], parts: Ledger, beside: Mapping[str, Any]) -> dict[str, Any]:
    turns = Turns()
    for raw in events:
        event = camel(raw)
        if event.get("partial") is True:
            parts.keep()  # a piece of an event that comes whole later
            continue
        grounding(event.get("groundingMetadata"), event.get("urlContextMetadata"), turns)
        content = event.get("content")
        if is_content(content):
            role = "user" if event.get("author") == "user" else object_of(content).get("role") or "model"
            add_content({**object_of(content), "role": role}, turns, parts)
        elif content:
            parts.drop("content without parts or of an unknown role", example=text_of(content))
        else:
            parts.keep()  # what an agent does to its state
    return chat_record(turns, beside)


def _prompt(record: Mapping[str, Any], chunks: list[Any], parts: Ledger) -> dict[str, Any]:
    turns = Turns()
    for raw in chunks:
        chunk = camel(raw)
        role = chunk.pop("role", None)
        thought = chunk.pop("isThought", None) is True
        grounding(chunk.pop("grounding", chunk.pop("groundingMetadata", None)), None, turns)
        if isinstance(chunk.get("text"), str) or chunk.keys() & {"functionCall", "functionResponse"}:
            add_content({"role": role, "parts": [{**chunk, "thought": thought}]}, turns, parts)
        else:
            parts.keep()  # a file that was uploaded, or an empty chunk
    settings = camel(record.get("runSettings"))
    return chat_record(turns, {"temperature": settings.get("temperature")}, agent=text_of(settings.get("model")))


def _cli(lines: list[Any], parts: Ledger) -> dict[str, Any]:
    header: dict[str, Any] = {}
    messages: dict[str, Mapping[str, Any]] = {}
    for raw in lines:
        line = object_of(raw)
        update = object_of(line.get("$set"))
        if isinstance(line.get("$rewindTo"), str):
            _rewind(messages, line["$rewindTo"])
        elif isinstance(replaced := update.get("messages", line.get("messages")), list):
            messages = {text_of(object_of(message).get("id")) or f"#{number}": object_of(message)
                        for number, message in enumerate(replaced)}  # fmt: skip
            header |= {**update, **({} if update else line)}
        elif update or _is_cli_header(line):
            header |= {**(update or line)}
        else:
            # A message that is written again, with its tools' results, replaces the earlier one.
            messages[text_of(line.get("id")) or f"#{len(messages)}"] = line
    turns = Turns()
    model = ""
    for message in messages.values():
        _cli_message(message, turns, parts)
        model = model or text_of(message.get("model"))
    metadata = {key: header[key] for key in ("sessionId", "startTime", "summary", "kind") if header.get(key)}
    return chat_record(turns, {"metadata": metadata}, agent=model)


def _rewind(messages: dict[str, Mapping[str, Any]], to: str) -> None:
    """Takes back the messages from one on; all where that one is not there."""
    names = list(messages)
    for name in names[names.index(to) if to in messages else 0 :]:
        del messages[name]


def _cli_message(message: Mapping[str, Any], turns: Turns, parts: Ledger) -> None:
    kind = message.get("type")
    if kind == "user":
        parts.keep()
        _user_content(message.get("content"), turns, parts)
    elif kind == "gemini":
        parts.keep()
        turns.close()
        for raw in listed(message.get("thoughts")):
            thought = object_of(raw)
            turns.reason(join_texts(text_of(thought.get("subject")), text_of(thought.get("description"))))
        if text := flat(message.get("content")):
            turns.text(text)
        calls = [object_of(call) for call in listed(message.get("toolCalls"))]
        for call in calls:
            turns.call(call.get("name"), call.get("args"), call.get("id"))
        for call in calls:
            _cli_result(call, turns)
    elif kind in _ASIDE:
        parts.keep()
    else:
        parts.drop("message of unknown type", example=text_of(message))


def _user_content(content: Any, turns: Turns, parts: Ledger) -> None:
    """What the user says. Files of the session's context, which the CLI puts before it, are no question."""
    if is_content({"role": "user", "parts": content}) and any("functionResponse" in camel(part) for part in content):
        add_content({"role": "user", "parts": content}, turns, parts)
        return
    text = flat(content)
    turns.says("system" if text.lstrip().startswith("<session_context>") else "user", text)


def _cli_result(call: Mapping[str, Any], turns: Turns) -> None:
    texts: list[str] = []
    failed = call.get("status") in ("error", "cancelled")
    for part in map(camel, listed(call.get("result"))):
        if isinstance(part.get("functionResponse"), dict):
            text, marked = response_text(part["functionResponse"].get("response"))
            texts.append(text)
            failed = failed or marked
        elif isinstance(part.get("text"), str):
            texts.append(part["text"])
    if not texts and isinstance(call.get("result"), str):
        texts.append(call["result"])
    text = join_texts(*texts)
    if not text and call.get("result") is None and not failed:
        return
    _, listing, sources = text.rpartition("\nSources:\n")
    matches = _SOURCE.finditer(sources) if listing else ()
    rows = [{"docid": match["docid"], "title": match["title"]} for match in matches]
    is_search = call.get("name") == "google_web_search" and bool(rows)
    turns.result(text, call.get("id"), failed=failed, results=[rows] if is_search else None)
