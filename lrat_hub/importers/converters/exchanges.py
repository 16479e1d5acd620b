"""Logs of requests to an API: what was sent and what came back, as clients, proxies and batches write it down.

An agent's loop sends its whole conversation each time, so that a run is in the log as often as it has turns. The last
request has it all; those that it continues are left out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lrat_hub.importers.converters.contents import canonical, kind_of, parts_text
from lrat_hub.importers.values import identifier_of, json_or_none, object_of
from lrat_hub.ledger import Ledger

CONTINUED = "requests that a later one continues"
REQUESTS = ("request", "request_body", "requestBody", "proxy_server_request", "kwargs", "params", "body",
            "responses_create_params")  # fmt: skip
RESPONSES = ("response", "response_body", "responseBody", "completion", "output", "result")
_THOUGHTS = ("reasoning", "thinking", "redacted_thinking")
IDS = ("query_id", "qid", "question_id", "custom_id", "task_id")
FIELDS = frozenset(
    {
        *REQUESTS, *RESPONSES, "custom_id", "method", "url", "path", "status", "status_code", "headers", "request_id",
        # of a response
        "id", "object", "type", "role", "content", "created", "created_at", "completed_at", "model", "error", "usage",
        "incomplete_details", "output_text", "background", "billing", "stop_reason", "stop_sequence", "stop_details",
        "container", "context_management", "first_id", "last_id", "has_more", "tool_usage",
        # of a request
        "input", "messages", "items", "instructions", "system", "tools", "tool_choice", "parallel_tool_calls",
        "metadata", "max_tokens", "max_output_tokens", "max_tool_calls", "previous_response_id", "conversation",
        "prompt_cache_key", "prompt_cache_retention", "reasoning", "safety_identifier", "service_tier", "store",
        "stream", "include", "text", "temperature", "top_p", "top_k", "top_logprobs", "truncation", "user",
        "presence_penalty", "frequency_penalty", "seed", "thinking", "betas", "mcp_servers", "stop_sequences",
    }
)  # fmt: skip
"""Fields of the APIs' requests and responses, and of logs of them: none of these says how a run went."""


@dataclass(frozen=True)
class Exchange:
    """A request and its response. Either may be empty.

    Args:
        record: What stands around them.
    """

    request: Mapping[str, Any]
    response: Mapping[str, Any]
    record: Mapping[str, Any]

    @property
    def outcome(self) -> dict[str, Any]:
        """What the record says about the run as a whole, such as ids, gold answers and verdicts."""
        values = {key: value for key, value in self.record.items() if key not in FIELDS and _is_small(value)}
        if not self.response and isinstance(self.record.get("status"), str) and "object" not in self.record:
            values["status"] = self.record["status"]
        for source in (self.record, object_of(self.response.get("metadata")), object_of(self.request.get("metadata"))):
            if "query_id" not in values and (known := next((source[key] for key in IDS if source.get(key)), None)):
                values["query_id"] = known
        return values


def exchange_of(value: Any) -> Exchange:
    """The request and the response in a record, which itself is one of them where it has no such parts."""
    record = object_of(value)
    request = next((part for key in REQUESTS if (part := _object(record.get(key)))), {})
    request = _object(request.get("body")) or request
    response = next((part for key in RESPONSES if (part := _object(record.get(key)))), {})
    response = _object(response.get("body")) or _object(response.get("message")) or response
    return Exchange(request or record, response, record)


def last_of_each(conversations: Sequence[Sequence[Any]], parts: Ledger) -> Iterator[int]:
    """Indices of those conversations that no other one continues.

    Args:
        conversations: Messages or items, with those that came back.
        parts: The account of messages and items, which gets a note for each conversation that is left out.
    """
    if len(conversations) == 1:
        yield 0
        return
    continued: set[bytes] = set()
    names = []
    for messages in conversations:
        digest = hashlib.sha256()
        prefixes = []
        for essence in filter(None, map(_essence, messages)):
            prefixes.append(digest.digest())
            digest.update(canonical(essence).encode("utf-8", "surrogatepass") + b"\0")
        names.append(digest.digest())
        continued.update(prefixes[1:])
    for index, name in enumerate(names):
        if name in continued:
            parts.note(CONTINUED)
        else:
            yield index


def question_key(messages: Any) -> str | None:
    """A key that the requests of one run share: what its messages begin with, up to the first text of the user."""
    if isinstance(messages, str):
        return messages
    digest = hashlib.sha256()
    for message in messages if isinstance(messages, list) else ():
        content = object_of(message).get("content")
        digest.update(parts_text(content).encode("utf-8", "surrogatepass") + b"\0")
        if object_of(message).get("role") == "user":
            return digest.hexdigest()
    return None


def _essence(message: Any) -> list[Any] | None:
    """What a message or item is known by when it is sent again: clients leave thoughts out, and add and drop keys."""
    values = object_of(message)
    kind = kind_of(values)
    if kind in _THOUGHTS:
        return None
    if "content" in values or "role" in values:
        content = values.get("content")
        parts = content if isinstance(content, list) else [content]
        calls = values.get("tool_calls")
        known = [_part_essence(part) for part in parts if kind_of(part) not in _THOUGHTS and part]
        return [values.get("role"), known, [_part_essence(call) for call in calls] if isinstance(calls, list) else []]
    return [_part_essence(message)]


def _part_essence(part: Any) -> Any:
    if isinstance(part, str):
        return part
    values = object_of(part)
    if isinstance(text := values.get("text"), str):
        return text
    keys = ("call_id", "tool_use_id", "name", "arguments", "input", "output", "function", "action", "queries")
    named = [values[key] for key in keys if values.get(key) is not None]
    return [kind_of(values), named or values.get("id")]


def _object(value: Any) -> Mapping[str, Any]:
    """An object, which some logs write as JSON."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        value = json_or_none(value)
    return object_of(value)


def _is_small(value: Any) -> bool:
    if isinstance(value, list):
        return len(value) <= 20 and all(isinstance(part, (str, int, float)) for part in value)
    return value is not None and (identifier_of(value) is not None or isinstance(value, bool))
