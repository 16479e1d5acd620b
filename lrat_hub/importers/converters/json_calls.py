"""Calls that are the text of a message: an object of JSON with a tool and its input, in a fence or alone, or a list.

`{"thought": "...", "action": "search", "action_input": {...}}`, `{"tool": "search", "args": {...}}`,
`{"name": "search", "arguments": {...}}`, and Python's `[search(query="...")]`. An answer may be JSON, too, so that
these count only in messages after which something else comes than the agent.
"""

from __future__ import annotations

import re
from typing import Any

from lrat_hub.importers.chat_messages import assistant
from lrat_hub.importers.converters.react import action_call
from lrat_hub.importers.converters.tag_calls import Call, python_calls
from lrat_hub.importers.values import join_texts, json_or_none, listed, object_of, text_of

_NAMES = ("action", "tool", "tool_name", "name", "function")
_INPUTS = ("action_input", "actionInput", "arguments", "args", "parameters", "params", "tool_input", "tool_args",
           "kwargs", "input")  # fmt: skip
_THOUGHTS = ("thought", "thoughts", "reasoning", "think", "thinking", "rationale", "analysis")
_FENCED = re.compile(r"```(?:json)?[ \t]*\n(?P<body>.*?)```", re.DOTALL)
_PYTHON = re.compile(r"\[\s*[A-Za-z_][\w.]{0,100}\(.*\)\s*\]", re.DOTALL)
_KEY = re.compile(r"[\"'](?:action|tool|tool_name|name|function)[\"']\s*:")


def json_messages(text: str) -> list[dict[str, Any]] | None:
    """A text whose calls are JSON or Python as messages, or None for another one."""
    stripped = text.rpartition("</think>")[2].strip()
    if _PYTHON.fullmatch(stripped):
        calls = list(python_calls(stripped))
        return [assistant("", _thought(text), calls)] if all("function" in part for part in calls) else None
    if _KEY.search(stripped) is None:
        return None
    body, before = stripped, ""
    if stripped[:1] not in ("{", "["):
        fenced = list(_FENCED.finditer(stripped))
        if not fenced or stripped[fenced[-1].end() :].strip():
            return None
        body, before = fenced[-1]["body"].strip(), stripped[: fenced[-1].start()].strip()
    value = json_or_none(body)
    written = [_read(object_of(part)) for part in listed(value)]
    if not written or None in written:
        return None
    thoughts, calls, answers = [_thought(text), before], [], []
    for thought, call, answer in filter(None, written):
        thoughts.append(thought)
        calls += [call] if call is not None else []
        answers += [answer] if call is None else []
    return [assistant(join_texts(*answers), join_texts(*thoughts), calls)]


def _thought(text: str) -> str:
    thought, closed, _ = text.rpartition("</think>")
    return thought.replace("<think>", "").strip() if closed else ""


def _read(value: Any) -> tuple[str, Call | None, str] | None:
    """The thought, and the call or the answer, of an object; None where it is no call."""
    thought = next((text_of(value[key]) for key in _THOUGHTS if value.get(key)), "")
    for name in _NAMES:
        inner = value.get(name)
        if isinstance(inner, dict) and (found := _read(inner)) is not None:
            return join_texts(thought, found[0]), found[1], found[2]
        if isinstance(inner, str) and inner.strip():
            given = next((value[key] for key in _INPUTS if key in value), None)
            if given is None or (name == "name" and not isinstance(given, (dict, str))):
                return None
            call, answer = action_call(inner, given)
            return thought, call, answer
    return None
