"""Where the messages of a run are: in one record, or in records that are a message each.

Messages that stand alone are put together by the key that names their run. Where none is known to, those of a file are
one conversation; whether they can be is told by `several_runs`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from lrat_hub.importers.mapped_records import MESSAGES, OTHER_MESSAGES
from lrat_hub.importers.mapping import value_at
from lrat_hub.importers.messages import is_message, role_of
from lrat_hub.importers.outcomes import query_id_of
from lrat_hub.importers.sources.grouping import Grouper, by_key
from lrat_hub.importers.sources.records import Record
from lrat_hub.importers.times import seconds_of
from lrat_hub.importers.values import identifier_of, listed, object_of

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
        messages = messages or next((value[key] for key in OTHER_MESSAGES if _are_messages(value.get(key))), None)
    return messages if messages and any(map(is_message, messages)) else None


def _are_messages(value: Any) -> bool:
    """Whether a value is a list of messages, each with a role, or with a choice of an API around it."""
    return isinstance(value, list) and len(value) > 1 and all(
        isinstance(part, dict) and ("role" in part or "finish_reason" in part) and is_message(part) for part in value
    )  # fmt: skip


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


def is_conversation(value: Any) -> bool:
    """Whether a record is an object that is no message, to which `messages_by(run_of_message)` adds nothing."""
    return isinstance(value, dict) and run_of_message(value) is None


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
    return {**named, **shared, "messages": _chained(lists) if len(lists) == len(parts) else parts}


def _chained(lists: Sequence[Sequence[Any]]) -> list[Any]:
    """Lists one behind the other; one that begins with all that came before it goes on from there."""
    messages: list[Any] = []
    for part in lists:
        messages = list(part) if list(part[: len(messages)]) == messages else [*messages, *part]
    return messages


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


_TIMES = ("created_at", "createdAt", "create_time", "timestamp", "time", "ts", "created", "date")


def in_order_of_time(messages: Sequence[Any]) -> Sequence[Any]:
    """Messages in the order of their times, where all have one and stand otherwise; else as they are.

    Some APIs list the newest first, and lines of several writers stand mixed. Clocks differ, so that the order stays
    as it is where a result would come before its call.
    """
    first = messages[0] if messages else None
    key = next((key for key in _TIMES if isinstance(first, dict) and first.get(key) is not None), None)
    if key is None:
        return messages
    times = [at for part in messages if isinstance(part, dict) and (at := seconds_of(part.get(key))) is not None]
    if len(times) < len(messages) or all(before <= after for before, after in itertools.pairwise(times)):
        return messages
    newest_first = all(before >= after for before, after in itertools.pairwise(times))
    pairs = list(zip(times, messages, strict=True))
    ordered = [part for _, part in sorted(pairs[::-1] if newest_first else pairs, key=lambda pair: pair[0])]
    return ordered if _results_follow(ordered) else messages


def _results_follow(messages: Sequence[dict[str, Any]]) -> bool:
    """Whether each result comes behind the call that it names, and behind a call where it names none."""
    called: set[str] = set()
    for message in messages:
        calls = [object_of(call) for call in listed(message.get("tool_calls"))]
        called |= {identifier_of(call.get("id")) or "" for call in calls}
        answered = identifier_of(message.get("tool_call_id"))
        if role_of(message) == "tool" and (answered not in called if answered is not None else not called):
            return False
    return True


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
