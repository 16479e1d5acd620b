"""Logs of requests to a chat API, as proxies and batches keep them: the messages of a request and the response to it.

Source: `BerriAI/litellm` (its standard logging payload: `messages`, `response`), the batch files of the OpenAI API
(`custom_id`, `body`, `response.body`), stored completions. An agent sends its whole conversation with each request, so
that a request may be the beginning of a later one: those are one run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from lrat_hub.importers.converters.turns import calls_in
from lrat_hub.importers.messages import is_message
from lrat_hub.importers.sources.grouping import by_key, parts_of
from lrat_hub.importers.values import UnreadableRecord, json_or_none, listed, object_of
from lrat_hub.ledger import Ledger

_REQUESTS = ("request", "request_body", "requestBody", "input", "kwargs", "proxy_server_request", "params", "payload")
_RESPONSES = ("response", "response_body", "responseBody", "output", "completion", "result", "original_response")
_BODIES = ("body", "json", "data", "inputBodyJson", "outputBodyJson")


def recognise_requests(value: Any) -> str | None:
    """Why a record is a request with its response, or None."""
    if not isinstance(value, dict) or _answer(value) is None:
        return None
    if _messages(value) is None:
        return "a response with `choices` of a chat API"
    return "a request with messages and its response"


def _key(value: Any) -> str | None:
    """Requests that begin with the same messages up to the first of the user may be of one run."""
    record = object_of(value)
    messages = _messages(record)
    if messages is None or _answer(record) is None:
        return None
    head: list[Any] = []
    for message in messages:
        head.append(message)
        if object_of(message).get("role") == "user":
            break
    return hashlib.sha256(_canonical(head).encode("utf-8", "replace")).hexdigest()


group_requests = by_key(_key)
"""Puts requests together that begin with the same system prompt and question."""


def convert_requests(value: Any, parts: Ledger) -> Iterator[dict[str, Any]]:
    """The runs of requests that begin alike: each that is not the beginning of a longer one.

    Raises:
        UnreadableRecord: There is no request with a response in it.
    """
    runs: list[tuple[dict[str, Any], list[str]]] = []
    for part in parts_of(value):
        record = object_of(part)
        answer = _answer(record)
        messages = _messages(record)
        if answer is None and messages is None:
            parts.drop("request without messages and response")
            continue
        parts.keep()
        if _answers_with_sources(record):
            parts.drop("pages that a search of the API found, without its queries")
        whole = [*(messages or []), *([answer] if answer is not None else [])]
        runs.append(({**_beside(record), "messages": whole}, _beginnings(whole)))
    if not runs:
        raise UnreadableRecord("not a log of requests: no messages and no response with `choices`")
    known: set[str] = set()
    kept: set[int] = set()
    for number in sorted(range(len(runs)), key=lambda number: -len(runs[number][1])):
        beginnings = runs[number][1]
        if beginnings[-1] in known:
            parts.note("requests that are the beginning of a later one")
        else:
            kept.add(number)
            known.update(beginnings)
    yield from (record for number, (record, _) in enumerate(runs) if number in kept)


def _beginnings(messages: list[Any]) -> list[str]:
    """A hash of each beginning of a conversation."""
    digest = hashlib.sha256()
    beginnings: list[str] = []
    for message in messages:
        digest.update(_canonical(_essence(message)).encode("utf-8", "replace"))
        beginnings.append(digest.hexdigest())
    return beginnings


def _messages(record: Mapping[str, Any]) -> list[Any] | None:
    """The messages of a request."""
    for body in _bodies(record, _REQUESTS):
        messages = body.get("messages")
        if isinstance(messages, str):
            messages = json_or_none(messages)
        if isinstance(messages, list) and any(map(is_message, messages)):
            system = body.get("system")
            return [{"role": "system", "content": system}, *messages] if system else messages
    return None


def _answer(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The message of a response: that of the first choice, or the response itself (Anthropic)."""
    for body in _bodies(record, _RESPONSES):
        choices = body.get("choices")
        if isinstance(choices, list) and choices:
            message = object_of(choices[0]).get("message")
            if is_message(message):
                return dict(object_of(message))
        # Anthropic's: a response is a message.
        if body is not record and body.get("role") == "assistant" and _messages(record) is not None:
            return dict(body)
    return None


def _answers_with_sources(record: Mapping[str, Any]) -> bool:
    """Whether a response names pages that were searched for it, as Perplexity's does."""
    return any(
        isinstance(body.get("choices"), list) and (listed(body.get("search_results")) or listed(body.get("citations")))
        for body in _bodies(record, _RESPONSES)
    )


def _bodies(record: Mapping[str, Any], keys: tuple[str, ...]) -> Iterator[Mapping[str, Any]]:
    """The record, what stands under a key of it, and the body in that, also where it is written as JSON text."""
    yield record
    for key in (*keys, *_BODIES):
        inner = _object(record.get(key))
        if inner:
            yield inner
            yield from (body for name in _BODIES if (body := _object(inner.get(name))))


def _object(value: Any) -> Mapping[str, Any]:
    if isinstance(value, str) and value.lstrip()[:1] == "{":
        return object_of(json_or_none(value))
    return object_of(value)


def _beside(record: Mapping[str, Any]) -> dict[str, Any]:
    """What else the log says, without the texts, and the settings of the request."""
    used = {*_REQUESTS, *_RESPONSES, *_BODIES, "messages", "choices", "system", "tools", "headers", "usage"}
    beside = {key: part for key, part in record.items() if key not in used}
    for body in _bodies(record, _REQUESTS):
        for key in ("model", "temperature", "top_p", "seed"):
            if body.get(key) is not None:
                beside.setdefault(key, body[key])
    if "query_id" not in beside and record.get("custom_id") is not None:
        beside["query_id"] = record["custom_id"]
    return beside


def _essence(message: Any) -> Any:
    """What a message says: clients send it back without what else came with it."""
    fields = object_of(message)
    if not fields:
        return message
    calls = [[call_id, name, _parsed(arguments)] for name, arguments, call_id in calls_in(fields.get("tool_calls"))]
    return [fields.get("role"), fields.get("content") or "", calls, fields.get("tool_call_id")]


def _parsed(arguments: Any) -> Any:
    """Arguments as a value: clients write their JSON anew."""
    return arguments if not isinstance(arguments, str) else json_or_none(arguments) or arguments


def _canonical(value: Any) -> str:
    try:
        return json.dumps(value, sort_keys=True, ensure_ascii=True, default=str)
    except (TypeError, ValueError, RecursionError):
        return repr(type(value))
