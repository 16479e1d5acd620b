"""OpenAI's logs: responses and items of the Responses API, which the Agents SDK shares.

Read are response objects, requests with their responses, lists of items, items a line, rows of the Agents SDK's SQLite
sessions, its run items and run states, lines of the Batch API, and events of a stream. Responses that name the one
before them are one conversation. See `lrat_hub.importers.converters.responses` for the items and the sources.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from lrat_hub.importers.converters.contents import kind_of, parts_text
from lrat_hub.importers.converters.conversation import Conversation
from lrat_hub.importers.converters.exchanges import exchange_of, last_of_each, question_key
from lrat_hub.importers.converters.responses import add_item, is_item, is_message_item
from lrat_hub.importers.sources.grouping import by_key, parts_of
from lrat_hub.importers.sources.records import Record
from lrat_hub.importers.values import (
    UnreadableRecord,
    identifier_of,
    integer_of,
    json_or_none,
    listed,
    object_of,
    text_of,
)
from lrat_hub.ledger import Ledger

LISTS = ("messages", "items", "input", "input_items", "input_list", "output", "history", "conversation", "data")
STATES = ("session_items", "generated_items", "generatedItems", "sessionItems", "new_items")
LOOSE = "items"

_ENDS = ("response.completed", "response.incomplete", "response.failed", "response.done")
_STATUSES = {"completed": "completed", "failed": "failed", "cancelled": "failed"}


@dataclass
class _Piece:
    """A response with its request, or items that stand alone."""

    items: list[Any]
    response: Mapping[str, Any] = field(default_factory=dict)
    request: Mapping[str, Any] = field(default_factory=dict)
    outcome: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str | None:
        return identifier_of(self.response.get("id") or self.response.get("response_id"))

    @property
    def previous(self) -> str | None:
        values = (source.get("previous_response_id") for source in (self.response, self.request))
        return next((name for value in values if (name := identifier_of(value))), None)


def recognise_responses(value: Any) -> str | None:
    """Why a value is of the Responses API, or None."""
    if isinstance(value, list):
        return "a list of items of the Responses API" if any(map(_is_own_item, value[:50])) else None
    if not isinstance(value, dict):
        return None
    kind = kind_of(value)
    if (event := _event(value)) is not None:
        return f"an event of the Responses API, {kind_of(event)}"
    if _row_item(value) is not None:
        return "a row of a session of the Agents SDK"
    if _is_own_item(value) or _is_own_item(value.get("raw_item")):
        return f"an item of the Responses API, {kind}"
    exchange = exchange_of(value)
    if _is_response(exchange.response) or _is_response(value):
        return "a response of the Responses API"
    if _state_items(value) is not None:
        return "a run state of the Agents SDK"
    for source in (exchange.request, value):
        if any(any(map(_is_own_item, part[:50])) for key in LISTS if isinstance(part := source.get(key), list)):
            return "an object with items of the Responses API"
    return None


def group_responses(records: Iterator[Record]) -> Iterator[Record]:
    """Puts the responses of a chain, the requests of a loop, and the items or events of a file together."""
    roots: dict[str, str] = {}
    expected: dict[str, str] = {}
    stream: list[str] = [LOOSE]

    def key(value: Any) -> str | None:
        if not isinstance(value, dict):
            return None
        if (row := _row_item(value)) is not None:
            return f"session {identifier_of(value.get('session_id'))}"
        if (event := _event(value)) is not None:
            if "response" in event:
                stream[0] = root_of(_Piece([], object_of(event["response"]))) or LOOSE
            return stream[0]
        if row is None and (is_item(value) or is_message_item(value) or isinstance(value.get("raw_item"), dict)):
            return f"{LOOSE} {identifier_of(value.get('session_id') or value.get('conversation_id'))}"
        piece = _piece(value)
        if conversation := identifier_of(object_of(piece.response.get("conversation")).get("id")):
            return f"conversation {conversation}"
        if (root := root_of(piece)) is not None:
            return root
        return None if not piece.response else question_key(piece.request.get("input"))

    def root_of(piece: _Piece) -> str | None:
        if piece.id is None:
            return None
        root = expected.get(piece.id) or roots.get(piece.previous or "")
        if root is None and piece.previous is None and (asked := question_key(piece.request.get("input"))) is not None:
            # It may be continued by its id, or by a request that sends it all again.
            root = f"question {asked}"
        root = roots.setdefault(piece.id, root or f"response {piece.previous or piece.id}")
        if piece.previous is not None and piece.previous not in roots:
            expected.setdefault(piece.previous, root)  # a list of the API has the newest first
        return root

    return by_key(key)(records)


def convert_responses(value: Any, parts: Ledger) -> Iterator[dict[str, Any]]:
    """Chat records of responses, items or events; see `recognise_responses`.

    Raises:
        UnreadableRecord: There are none in it.
    """
    elements = parts_of(value)
    pieces = [_piece(element) for element in elements if isinstance(element, (dict, list)) and _is_whole(element)]
    loose = [element for element in elements if not (isinstance(element, (dict, list)) and _is_whole(element))]
    pieces += _loose_pieces(loose, parts)
    chains = list(_chains(pieces, parts))
    empty = True
    for chain in chains:
        conversation = Conversation(_columns(chain), _metadata(chain), whole="question" in chain[0].outcome)
        for piece in chain:
            _add_piece(conversation, piece, parts)
        for record in conversation.records():
            empty = False
            yield record
    if empty:
        raise UnreadableRecord(_no_run(pieces))


def _no_run(pieces: Iterable[_Piece]) -> str:
    error = next((piece.response["error"] for piece in pieces if piece.response.get("error")), None)
    reason = text_of(object_of(error).get("code") or object_of(error).get("message"))
    return f"not a run: its request failed: {reason}" if error else "not a run: no items of the agent in it"


def _is_own_item(value: Any) -> bool:
    """Whether a value is an item that no other API has."""
    if is_item(value):
        return True
    parts = listed(object_of(value).get("content"))
    return is_message_item(value) and any(kind_of(part) == "output_text" for part in parts)


def _is_response(value: Any) -> bool:
    values = object_of(value)
    output = values.get("output")
    if not isinstance(output, list):
        return False
    return values.get("object") == "response" or any(map(_is_own_item, output))


def _is_whole(value: Any) -> bool:
    """Whether an element is a conversation or a response, not a part of one that others in the list go on with."""
    if isinstance(value, list):
        return True
    return not (
        is_item(value)
        or is_message_item(value)
        or "raw_item" in value
        or _row_item(value) is not None
        or _event(value) is not None
        or value.keys() <= {"type", "id", "content"}
    )


def _event(value: Any) -> Mapping[str, Any] | None:
    """An event of a stream, also as the data of a server-sent event, or None."""
    values = object_of(value)
    if "event" in values and "data" in values:
        data = values["data"]
        values = object_of(json_or_none(data) if isinstance(data, str) else data)
    kind = kind_of(values) or ""
    is_event = kind.startswith("response.") and bool(values.keys() & {"response", "item", "item_id"})
    return values if is_event else None


def _row_item(value: Mapping[str, Any]) -> Any:
    """The item in a row of a session's table, or None."""
    data = value.get("message_data")
    item = json_or_none(data) if isinstance(data, str) else data
    return item if isinstance(item, dict) else None


def _state_items(value: Any) -> list[Any] | None:
    """The items of a run state of the Agents SDK: what was asked, and the run items with the raw ones in them."""
    values = object_of(value)
    made = next((values[key] for key in STATES if isinstance(values.get(key), list) and values[key]), None)
    if made is None or not any("raw_item" in object_of(item) for item in made):
        return None
    asked = values.get("original_input", values.get("originalInput", values.get("input")))
    # A call that waits for the user's approval is there twice.
    items = (object_of(item) for item in made)
    return [*_asked(asked), *(item.get("raw_item") for item in items if item.get("type") != "tool_approval_item")]


def _asked(value: Any) -> list[Any]:
    return [{"role": "user", "content": value}] if isinstance(value, str) else listed(value)


def _piece(value: Any) -> _Piece:
    if isinstance(value, list):
        return _Piece(list(value))
    if (items := _state_items(value)) is not None:
        return _Piece(items)
    exchange = exchange_of(value)
    if _is_response(exchange.response) or exchange.response.get("error"):
        response, request = exchange.response, exchange.request
    elif _is_response(value):
        response, request = value, value
    else:
        lists = [part for key in LISTS if isinstance(part := exchange.request.get(key), list)]
        items = next((part for part in lists if any(map(_is_own_item, part))), [])
        if exchange.request.get("object") == "list" and items and _is_newest_first(items):
            items = items[::-1]
        return _Piece(items, request=exchange.request, outcome=exchange.outcome)
    request = {} if request is response and "input" not in request else request
    asked = request.get("input", request.get("messages"))
    items = [*_asked(asked), *listed(response.get("output"))]
    return _Piece(items, response, request, exchange.outcome)


def _is_newest_first(items: list[Any]) -> bool:
    """Whether a list from the API's list of items, which begins with the newest unless told otherwise, is reversed."""
    return object_of(items[-1]).get("role") == "user" and object_of(items[0]).get("role") != "user"


def _loose_pieces(elements: list[Any], parts: Ledger) -> Iterator[_Piece]:
    """The items of a list or a stream, with the responses that events complete."""
    items: list[Any] = []
    done: dict[int, Any] = {}
    for element in elements:
        event = _event(element)
        if event is None:
            values = object_of(element)
            raw = values.get("raw_item")
            items.append(_row_item(values) or (raw if isinstance(raw, dict) else element))
            continue
        parts.keep()
        kind = kind_of(event)
        if kind == "response.output_item.done":
            index = integer_of(event.get("output_index"))
            done[len(done) if index is None else index] = event.get("item")
        elif kind in _ENDS:
            response = object_of(event.get("response"))
            output = response.get("output") or [done[index] for index in sorted(done)]
            yield _Piece(listed(output), response)
            done = {}
    items += [done[index] for index in sorted(done)]
    if items:
        yield _Piece(items)


def _chains(pieces: list[_Piece], parts: Ledger) -> Iterator[list[_Piece]]:
    """Pieces of one conversation, in their order: by the ids of responses, or as requests that send it all again."""
    # A response that is there several times has been looked at again; the last one has it all.
    by_id = {piece.id: piece for piece in pieces if piece.id is not None}
    pieces = [piece for piece in pieces if piece.id is None or by_id[piece.id] is piece]
    following: dict[str, list[_Piece]] = {}
    alone = []
    for piece in pieces:
        if piece.previous in by_id and by_id[piece.previous] is not piece:
            following.setdefault(piece.previous, []).append(piece)
        elif piece.previous is not None and "conversation" not in piece.response:
            alone.append(piece)
        elif piece.response.get("conversation") and (first := _same_conversation(piece, alone)) is not None:
            following.setdefault(first.id or "", []).append(piece)
        else:
            alone.append(piece)
    whole = [piece for piece in alone if (piece.id or "") not in following]
    kept = {id(whole[index]) for index in last_of_each([piece.items for piece in whole], parts)}
    for piece in alone:
        if (piece.id or "") in following or id(piece) in kept:
            yield from _paths(piece, following)


def _same_conversation(piece: _Piece, others: list[_Piece]) -> _Piece | None:
    name = identifier_of(object_of(piece.response["conversation"]).get("id"))
    same = (other for other in others if object_of(other.response.get("conversation")).get("id") == name)
    return next(same, None) if name is not None else None


def _paths(start: _Piece, following: Mapping[str, list[_Piece]]) -> Iterator[list[_Piece]]:
    """The pieces that follow one. Where several continue the same response, each of them is a conversation."""
    chain = [start]
    while nexts := following.get(chain[-1].id or ""):
        if len(nexts) > 1 and not start.response.get("conversation"):
            for piece in nexts:
                for path in _paths(piece, following):
                    yield [*chain, *path]
            return
        chain += nexts
    yield chain


def _columns(chain: list[_Piece]) -> dict[str, Any]:
    last = chain[-1]
    settings = {
        key: value
        for key in ("temperature", "top_p", "seed")
        if (value := last.response.get(key, last.request.get(key))) is not None
    }
    return {**settings, **chain[0].outcome}


def _metadata(chain: list[_Piece]) -> dict[str, Any]:
    """The ids of the responses, by which those who have such logs know what was asked."""
    ids = [piece.id for piece in chain if piece.id]
    named = {"conversation": identifier_of(object_of(chain[0].response.get("conversation")).get("id"))}
    several = {"responses": ids} if len(ids) > 1 else {}
    return {key: value for key, value in named.items() if value} | ({"response": ids[0]} if ids else {}) | several


def _add_piece(conversation: Conversation, piece: _Piece, parts: Ledger) -> None:
    conversation.agent(piece.response.get("model") or piece.request.get("model"))
    instructions = piece.response.get("instructions") or piece.request.get("instructions")
    for part in listed(instructions):
        conversation.system(parts_text(object_of(part).get("content") or part))
    for item in piece.items:
        add_item(conversation, item, parts)
    conversation.end(status=_status(piece.response))


def _status(response: Mapping[str, Any]) -> str | None:
    status = response.get("status")
    if status == "incomplete":
        reason = object_of(response.get("incomplete_details")).get("reason")
        return "failed" if reason == "content_filter" else "limited"
    return _STATUSES.get(status) if isinstance(status, str) else None
