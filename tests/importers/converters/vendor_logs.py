"""Logs in the shapes of vendors, and what is made of them, in few words."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

from lrat_hub.importers import FORMATS, Accounts, FormatName
from lrat_hub.importers.reading import trajectories_of
from lrat_hub.importers.sources.records import Record
from lrat_hub.importers.values import UnreadableRecord
from lrat_hub.ledger import Ledger

JUNK: list[Any] = [
    None, True, 0, 2**70, 1.5, "", "text", "\ud800", "{", '{"a": 1}', [], [[]], [None], {}, {"type": "text"},
    {"role": "user", "content": "q"}, {"id": "x"},
]  # fmt: skip


def grouped(name: FormatName, *values: Any) -> Iterator[Record]:
    """The records of a file whose values these are, put together as the format says."""
    records = (Record("log", line, value) for line, value in enumerate(values, start=1))
    group = FORMATS[name].group
    return group(records) if group is not None else records


def chats(name: FormatName, *values: Any) -> tuple[list[dict[str, Any]], Ledger]:
    """The chat records of a file, and the account of its parts."""
    convert, parts = FORMATS[name].convert, Ledger("parts")
    assert convert is not None
    made = []
    for record in grouped(name, *values):
        try:
            made += convert(record.value, parts)
        except UnreadableRecord as error:
            made.append({"unreadable": str(error)})
    parts.to_dict()
    return made, parts


def outline(chat: dict[str, Any]) -> list[Any]:
    """A chat record, a line for each message: the agent's as its thoughts, text and calls, a tool's as its result."""
    lines: list[Any] = []
    for message in chat["messages"]:
        if message["role"] == "assistant":
            calls = [(call["function"]["name"], _read(call["function"]["arguments"])) for call in _calls(message)]
            lines.append((message.get("reasoning_content", ""), message["content"], calls))
        elif message["role"] == "tool":
            shown: dict[str, Any] = {"failed": True} if message.get("is_error") else {}
            if message["content"]:
                shown["text"] = message["content"]
            if "results" in message:
                shown["lists"] = [[row["docid"] for row in rows] for rows in message["results"]]
            lines.append(shown)
        else:
            lines.append(f"{message['role']}: {message['content']}")
    return lines


def damage(name: FormatName, values: list[Any], *, rounds: int, seed: int = 1) -> None:
    """Reads logs with parts left out, replaced and repeated: whatever is read adds up, and nothing is raised."""
    rng = random.Random(seed)
    for _ in range(rounds):
        damaged = copy.deepcopy(values)
        for _ in range(rng.choice([1, 1, 2, 4])):
            _damage(damaged, rng)
        accounts = Accounts()
        for value in damaged:
            for known in FORMATS.values():
                known.recognise(value)
        for record in grouped(name, *damaged):
            list(trajectories_of(record, FORMATS[name], accounts))
        accounts.to_dict()


def _damage(value: Any, rng: random.Random) -> None:
    paths = [path for path in _paths(value) if path]
    if not paths:
        return
    *path, last = rng.choice(paths)
    for key in path:
        value = value[key]
    action = rng.random()
    if action < 0.3:
        del value[last]
    elif action < 0.9 or not isinstance(value, list):
        value[last] = copy.deepcopy(rng.choice(JUNK))
    else:
        value.insert(last, copy.deepcopy(rng.choice(value)))


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from _paths(child, (*path, key))


def _calls(message: dict[str, Any]) -> list[dict[str, Any]]:
    return message.get("tool_calls", [])


def _read(arguments: Any) -> Any:
    return json.loads(arguments) if isinstance(arguments, str) else arguments
