"""Logs of Anthropic's Messages API.

Read are conversations with Anthropic's blocks, messages that came back, requests with their responses, and lines of
batches. See `lrat_hub.importers.converters.blocks` for the blocks and their source, and
`lrat_hub.importers.converters.exchanges` for the logs of a loop.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lrat_hub.importers.browser import recognise_browser
from lrat_hub.importers.converters.blocks import add_message, has_blocks
from lrat_hub.importers.converters.contents import parts_text
from lrat_hub.importers.converters.conversation import Conversation
from lrat_hub.importers.converters.exchanges import Exchange, exchange_of, last_of_each, question_key
from lrat_hub.importers.sources.grouping import by_key, parts_of
from lrat_hub.importers.sources.records import Record
from lrat_hub.importers.values import UnreadableRecord, identifier_of, object_of, text_of
from lrat_hub.ledger import Ledger

MESSAGES = ("messages", "conversation", "conversations", "history")

_STOPS = {
    "end_turn": "completed", "stop_sequence": "completed", "refusal": "failed",
    "max_tokens": "limited", "model_context_window_exceeded": "limited",
}  # fmt: skip
"""Reasons for which an answer stopped, as statuses. Others say that the run goes on."""


def recognise_anthropic(value: Any) -> str | None:
    """Why a value is of Anthropic's Messages API, or None."""
    if isinstance(value, list):
        if recognise_browser(value) is not None or not any(map(has_blocks, value[:200])):
            return None
        return "a list of messages with Anthropic's blocks"
    if not isinstance(value, dict) or "uuid" in value or "session_id" in value or "sessionId" in value:
        return None
    if _is_answer(value):
        return "a message of Anthropic's API"
    if recognise_browser(value) is not None:
        return None
    result = object_of(value.get("result"))
    if "custom_id" in value and result.get("type") in ("succeeded", "errored", "canceled", "expired"):
        return "a result of a batch of Anthropic's API"
    exchange = exchange_of(value)
    if _is_answer(exchange.response):
        return "a request and its response of Anthropic's API"
    if any(map(has_blocks, _messages(exchange)[:200])):
        return "an object of messages with Anthropic's blocks"
    return None


def group_anthropic(records: Iterator[Record]) -> Iterator[Record]:
    """Puts the requests of an agent's loop together, and messages that go on where one has paused."""
    paused: list[str | None] = [None]
    count = [0]

    def key(value: Any) -> str | None:
        if not isinstance(value, dict):
            return None
        exchange = exchange_of(value)
        answer = _answer(exchange)
        if not answer:
            return None
        if (asked := question_key(_messages(exchange))) is not None:
            return f"question {asked}"
        # Messages of one turn that the API paused follow each other.
        count[0] += paused[0] is None
        name = f"turn {count[0]}"
        paused[0] = name if answer.get("stop_reason") == "pause_turn" else None
        return name

    return by_key(key)(records)


def convert_anthropic(value: Any, parts: Ledger) -> Iterator[dict[str, Any]]:
    """Chat records of messages, or of requests and responses; see `recognise_anthropic`.

    Raises:
        UnreadableRecord: There are none in it.
    """
    elements = parts_of(value)
    if elements and all("role" in object_of(element) and "content" in object_of(element) for element in elements):
        is_paused = all(map(_is_answer, elements))
        messages = elements[:-1] if is_paused else elements
        last = elements[-1] if is_paused else {}
        exchanges = [Exchange({"messages": messages}, last, last)]
    else:
        exchanges = [exchange_of(element) for element in elements]
    conversations = [
        [*_messages(exchange), *([answer] if (answer := _answer(exchange)) else [])] for exchange in exchanges
    ]
    empty = True
    for index in last_of_each(conversations, parts):
        for record in _records(exchanges[index], conversations[index], parts):
            empty = False
            yield record
    if empty:
        errors = (_error(exchange) for exchange in exchanges)
        reason = next((error for error in errors if error), None)
        raise UnreadableRecord(
            f"not a run: its request failed: {reason}" if reason else "not a run: without a message of the agent"
        )


def _records(exchange: Exchange, messages: list[Any], parts: Ledger) -> Iterator[dict[str, Any]]:
    answer = _answer(exchange)
    settings = {key: exchange.request[key] for key in ("temperature", "top_p", "seed") if key in exchange.request}
    outcome = {key: value for key, value in exchange.outcome.items() if key not in MESSAGES}
    conversation = Conversation({**settings, **outcome}, whole=isinstance(outcome.get("question"), str))
    conversation.agent(answer.get("model") or exchange.request.get("model") or exchange.record.get("model"))
    conversation.system(parts_text(exchange.request.get("system")))
    for index, message in enumerate(messages):
        add_message(conversation, message, parts, index)
    reason = answer.get("stop_reason")
    conversation.end(status=_STOPS.get(reason) if isinstance(reason, str) else None)
    yield from conversation.records()


def _is_answer(value: Any) -> bool:
    """Whether a value is a message as Anthropic's API sends it."""
    values = object_of(value)
    return (
        values.get("type") == "message"
        and values.get("role") == "assistant"
        and isinstance(values.get("content"), list)
        and bool(values.keys() & {"stop_reason", "usage", "model"})
    )


def _messages(exchange: Exchange) -> list[Any]:
    sources = (exchange.request, exchange.record)
    lists = (source.get(key) for source in sources for key in MESSAGES)
    return next((part for part in lists if isinstance(part, list)), [])


def _answer(exchange: Exchange) -> Mapping[str, Any]:
    """The message that came back, with its model and the reason for which it stopped; {} for none."""
    return next((value for value in (exchange.response, exchange.record) if _is_answer(value)), {})


def _error(exchange: Exchange) -> str | None:
    result = object_of(exchange.record.get("result"))
    error = exchange.response.get("error") or exchange.record.get("error") or result.get("error")
    error = object_of(error).get("error", error)
    text = text_of(object_of(error).get("type") or object_of(error).get("message") or error)
    return text[:80] or identifier_of(result.get("type"))
