"""What to do with a source in no format that is known: the shape that was seen, and the nearest way in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lrat_hub.importers.converters.react import is_react
from lrat_hub.importers.mapping import value_at
from lrat_hub.importers.message_lists import RUN_KEYS
from lrat_hub.importers.messages import is_message
from lrat_hub.importers.sources.records import Record
from lrat_hub.importers.values import identifier_of, object_of

KEYS_SHOWN = 10
DEPTH = 4
TEXT_SEARCHED = 20_000
_TAG = re.compile(r"<([a-zA-Z][\w-]{0,40})>")
LIST_ITEMS = 50


def refusal(path: Path, records: Sequence[Record]) -> str:
    """The message for a source none of whose records that were looked at is in a known format.

    Args:
        records: Some records of the source, the first of each file among them; at least one.
    """
    firsts = list({record.source: record for record in reversed(records)}.values())[::-1]
    shown, way = firsts[0], OTHERWISE
    if (run_key := _run_key(records)) is not None:
        way = f"Several records have the same {run_key!r}: give `group_by` {run_key}, with a `reader` of your own."
    else:
        ways = ((record, way) for record in firsts if (way := way_in(record.value)) is not None)
        shown, way = next(ways, (shown, way))
        if way == OTHERWISE and len(records) > len(firsts):
            way += " Where a run is spread over records, `group_by` names the key that they share."
    which = "its first record" if shown is firsts[0] else f"of the records of {len(firsts)} files, one"
    return (
        f"Import: no known format in {path}: {which}, {shown.name}, is {shape_of(shown.value)}. If it is in a format "
        f"of docs/importing.md that was not recognised, name it with `format`. {way}"
    )


def way_in(value: Any) -> str | None:
    """The nearest way in for a record, as a sentence; None where nothing in it looks like what an agent did."""
    if (run := _folded_run(value)) is not None:
        way = way_in(run)
        return None if way is None else f"If each of its {len(value)} values is a run, this is for one of them: {way}"
    if (messages := next(_lists(value, is_message), None)) is not None:
        return f"Messages stand under {messages}: say so in a `mapping` file (messages: {messages})."
    if (named := next(_lists(value, _is_like_message), None)) is not None:
        return _unusual_messages(named, value_at(value, named))
    if (tagged := next(_texts_in_tags(value), None)) is not None:
        path, tags = tagged
        return (
            f"The text under {path} has the tags {', '.join(tags)}: if they are what an agent did and saw, say so in "
            f"a `mapping` file (messages: {path}; tags: {{search: ..., results: ..., browse: ..., page: ..., "
            "answer: ..., reasoning: ...})."
        )
    texts = value.items() if isinstance(value, dict) else ()
    if (react := next((key for key, text in texts if is_react(text)), None)) is not None:
        return f"The text under {react} is a run in ReAct: say so in a `mapping` file (messages: {react})."
    if (runs := next(_lists(value, _is_like_run), None)) is not None:
        return (
            f"If those under {runs} are runs, write each as a record of its own (a JSON line), for which a `mapping` "
            "file may do, or let a `reader` of your own give a list with a chat record of each."
        )
    if (steps := next(_lists(value, _is_like_step), None)) is not None:
        keys = ", ".join(map(repr, list(value_at(value, steps)[0])[:KEYS_SHOWN]))
        return (
            f"If those under {steps} are messages, say in a `mapping` file which of their keys ({keys}) hold what "
            f"(messages: {steps}; message: {{role: ..., content: ...}}; roles: {{user: [...], assistant: [...], "
            "tool: [...]}); if they are steps of another kind, a `reader` of your own makes a chat record of them."
        )
    return None


OTHERWISE = (
    "If it is a conversation, a `mapping` file says where its messages stand; a `reader` of your own, a function that "
    "makes a chat record of a record, reads anything else."
)
"""The ways in for records that show none."""


_ROLE_KEYS = (
    "role", "from", "speaker", "sender", "author", "source", "who", "name", "type",
    "角色", "身份", "发言人", "役割", "話者", "역할",
)  # fmt: skip
_CONTENT_KEYS = (
    "content", "value", "text", "message", "body", "utterance", "msg",
    "内容", "文本", "消息", "正文", "本文", "내용",
)  # fmt: skip


def _is_like_message(item: Any) -> bool:
    """Whether a value could be a message under other names: it says who speaks and what."""
    return isinstance(item, dict) and all(
        any(isinstance(item.get(key), str) for key in keys) for keys in (_ROLE_KEYS, _CONTENT_KEYS)
    )


def _is_like_run(item: Any) -> bool:
    """Whether an object holds a list of objects, as a run does and a step hardly ever."""
    return isinstance(item, dict) and next(_lists(item, lambda inner: isinstance(inner, dict)), None) is not None


def _folded_run(value: Any) -> Any:
    """The first value of an object of runs, `{id: run}`, in a format that is unknown; None for other values."""
    runs = list(value.values()) if isinstance(value, dict) else []
    alike = len(runs) > 2 and all(map(_is_like_run, runs)) and all(run.keys() == runs[0].keys() for run in runs)
    return runs[0] if alike else None


def _is_like_step(item: Any) -> bool:
    """Whether a value could be a message or a step: it is no declaration of a tool."""
    return isinstance(item, dict) and "parameters" not in item and "parameters" not in object_of(item.get("function"))


def _texts_in_tags(value: Any) -> Iterator[tuple[str, list[str]]]:
    """Keys of a record to texts in which several tags are opened and closed, with these tags."""
    for key, text in value.items() if isinstance(value, dict) else ():
        names = list(dict.fromkeys(_TAG.findall(text[:TEXT_SEARCHED]))) if isinstance(text, str) else []
        tags = [name for name in names if f"</{name}>" in text]
        if len(tags) > 2:
            yield key, tags[:KEYS_SHOWN]


def _unusual_messages(path: str, items: Sequence[Any]) -> str:
    """What to say in a mapping about messages of other keys or roles."""
    role = next(key for key in _ROLE_KEYS if isinstance(items[0].get(key), str))
    content = next(key for key in _CONTENT_KEYS if isinstance(items[0].get(key), str))
    found = list(dict.fromkeys(item[role] for item in items if isinstance(item.get(role), str)))[:KEYS_SHOWN]
    return (
        f"If those under {path} are messages, by {', '.join(map(repr, found))}, say so in a `mapping` file "
        f"(messages: {path}; message: {{role: {role}, content: {content}}}; roles: {{user: [...], "
        "assistant: [...], tool: [...]})."
    )


def shape_of(value: Any) -> str:
    """A value by its keys and their types, in a few words."""
    if isinstance(value, dict):
        keys = [f"{key!r} ({_kind(inner)})" for key, inner in list(value.items())[:KEYS_SHOWN]]
        more = f" and {len(value) - KEYS_SHOWN} more" if len(value) > KEYS_SHOWN else ""
        return f"an object with {', '.join(keys)}{more}" if keys else "an object without keys"
    return _kind(value)


def _kind(value: Any) -> str:
    if isinstance(value, list):
        inner = f", the first {_kind(value[0])}" if value and not isinstance(value[0], list) else ""
        return f"a list of {len(value)}{inner}"
    if isinstance(value, dict):
        return f"an object with {', '.join(map(repr, list(value)[:4])) or 'no keys'}"
    kinds = {str: "text", bool: "true or false", int: "number", float: "number", type(None): "null"}
    return kinds.get(type(value), type(value).__name__)


def _lists(value: Any, wanted: Any, path: str = "", depth: int = 0) -> Iterator[str]:
    """Paths of keys to lists whose items are wanted, the nearest to the top first."""
    if not isinstance(value, dict) or depth > DEPTH:
        return
    for key, inner in value.items():
        if isinstance(inner, list) and len(inner) > 1 and all(map(wanted, inner[:LIST_ITEMS])):
            yield f"{path}{key}"
    for key, inner in value.items():
        yield from _lists(inner, wanted, f"{path}{key}.", depth + 1)


def _run_key(records: Sequence[Record]) -> str | None:
    """A key under which several records of the same file have the same name of a run."""
    values = [record.value for record in records if record.source == records[0].source]
    for key in RUN_KEYS:
        names = [name for value in values if isinstance(value, dict) and (name := identifier_of(value.get(key)))]
        if len(names) > 1 and len(names) == len(values) and len(set(names)) < len(names):
            return key
    return None
