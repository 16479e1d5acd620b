"""Where the messages of a run are: in one record, or in records that are a message each.

Messages that stand alone are put together by the key that names their run. Where none is known to, those of a file are
one conversation; whether they can be is told by `several_runs`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from lrat_hub.importers.mapped_records import MESSAGES
from lrat_hub.importers.mapping import value_at
from lrat_hub.importers.messages import is_message, role_of
from lrat_hub.importers.outcomes import query_id_of
from lrat_hub.importers.sources.grouping import Grouper, by_key
from lrat_hub.importers.sources.records import Record
from lrat_hub.importers.values import identifier_of

BARE_MESSAGE = "a message that stands alone"

RUN_KEYS = (
    "conversation_id", "session_id", "sessionId", "run_id", "runId", "thread_id", "trajectory_id", "rollout_id",
    "dialogue_id", "dialog_id", "chat_id", "episode_id", "trace_id", "traceId", "conversation", "session", "run",
    "chat", "thread", "trajectory", "episode", "query_id", "qid", "question_id", "task_id",
)  # fmt: skip
"""Keys that often name the run of a record that is a part of one, such as a message or an event."""

_OF_MESSAGES = frozenset(
    {
        "role", "from", "type", "content", "value", "name", "tool_name", "id", "tool_calls", "toolCalls",
        "invalid_tool_calls", "function_call", "tool_call_id", "toolCallId", "call_id", "reasoning_content",
        "reasoning", "reasoning_details", "thinking", "additional_kwargs", "channel", "recipient", "status",
        "is_error", "isError", "results", "docids", "refusal", "audio", "annotations",
    }
)  # fmt: skip
"""Keys of a message, which say nothing of its run."""


def conversation_of(value: Any) -> Sequence[Any] | None:
    """The list of messages in a record, or None when it has none."""
    if isinstance(value, list):
        messages = value
    elif not isinstance(value, dict):
        return None
    elif isinstance(value.get("prompt"), list) and isinstance(value.get("completion"), list):
        messages = [*value["prompt"], *value["completion"]]
    else:
        messages = next((value[key] for key in MESSAGES if isinstance(value.get(key), list)), None)
    return messages if messages and any(map(is_message, messages)) else None


def is_bare_message(value: Any) -> bool:
    """Whether a record is one message of a run, and not an item of an API, which has a type."""
    return (
        isinstance(value, dict)
        and isinstance(value.get("role"), str)
        and "type" not in value
        and bool(value.keys() & {"content", "tool_calls"})
        and is_message(value)
    )


def run_of_message(value: Any) -> str | None:
    """The run of a message that stands alone, "" where it names none; None for other records."""
    if not is_bare_message(value) or conversation_of(value) is not None:
        return None
    return next((name for key in RUN_KEYS if (name := identifier_of(value.get(key)))), "")


def messages_by(key: Callable[[Any], str | None]) -> Grouper:
    """Makes a function that puts messages of a file with the same run together, as a conversation each.

    Args:
        key: The run of a message, "" where it names none, and None for a record that stands alone.
    """
    group = by_key(key)

    def grouped(records: Iterator[Record]) -> Iterator[Record]:
        for record in group(_taken_apart(records, key)):
            runs = {key(part) for part in record.value} if isinstance(record.value, list) else set()
            name = runs.pop() if len(runs) == 1 else None
            yield replace(record, value=_conversation(record.value, name)) if name else record

    return grouped


def _taken_apart(records: Iterator[Record], key: Callable[[Any], str | None]) -> Iterator[Record]:
    """The records, with the messages of several runs that stand in one array as records of their own."""
    for record in records:
        runs = {key(part) for part in record.value} if isinstance(record.value, list) else set()
        if len(runs) > 1 and None not in runs:
            for number, part in enumerate(record.value, start=1):
                place = number if record.position is None else f"{record.position}/{number}"
                yield replace(record, position=place, value=part)
        else:
            yield record


def _conversation(parts: list[Any], run: str) -> dict[str, Any]:
    """The record of a run: its messages, what all of them say alike, and its name as that of the query."""
    if len(parts) == 1 and conversation_of(parts[0]) is not None:
        return {"query_id": run, **parts[0]} if query_id_of(parts[0]) is None else parts[0]
    first = parts[0] if isinstance(parts[0], dict) else {}
    shared = {
        name: value for name, value in first.items()
        if name not in _OF_MESSAGES and all(isinstance(part, dict) and part.get(name) == value for part in parts)
    }  # fmt: skip
    named = {} if query_id_of(shared) is not None else {"query_id": run}
    inner = [conversation_of(part) for part in parts]
    lists = [messages for messages in inner if messages is not None]
    return {**named, **shared, "messages": list(itertools.chain(*lists)) if len(lists) == len(parts) else parts}


def several_runs(messages: Sequence[Any]) -> tuple[str, int] | None:
    """The path of a key by which messages are several runs, and how many; None where no key says so.

    Each of these runs begins with what a user wrote and has messages of the agent, or runs stand mixed, which numbers
    of turns do not. The number is 0 where they stand mixed.
    """
    parts = [message for message in messages if isinstance(message, dict)]
    for path in sorted(_paths(parts)):
        names = [identifier_of(value_at(part, path)) for part in parts]
        groups: dict[str | None, list[Any]] = {}
        for name, part in zip(names, parts, strict=True):
            groups.setdefault(name, []).append(role_of(part))
        if None in groups or len(groups) < 2 or min(map(len, groups.values())) < 2:
            continue
        is_mixed = sum(1 for _ in itertools.groupby(names)) > len(groups)
        needed = {"assistant", "tool"} if is_mixed else {"assistant"}
        begins = all(next((role for role in roles if role != "system"), None) == "user" for roles in groups.values())
        if (begins or is_mixed) and all(needed <= set(roles) for roles in groups.values()):
            return path, 0 if is_mixed else len(groups)
    return None


def _paths(parts: Sequence[dict[str, Any]]) -> set[str]:
    """Paths of keys that every message has and that are none of a message's own."""
    if not parts:
        return set()
    common = set(parts[0]).intersection(*parts) - _OF_MESSAGES
    paths = {key for key in common if isinstance(key, str) and "." not in key}
    for key in [key for key in paths if all(isinstance(part[key], dict) for part in parts)]:
        inner = set(parts[0][key]).intersection(*(part[key] for part in parts))
        paths |= {f"{key}.{name}" for name in inner if isinstance(name, str) and "." not in name}
    return paths
