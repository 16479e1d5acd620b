"""Runs as lists of steps, each with a thought, an action and an observation: what many agents of one file write.

The action is a tool's name with its input beside it, an object that has both, a call as text (`search[...]`,
`visit("...")`), or a list of such. Dify's `agent_thoughts` are read alike: there the tool names, and their inputs and
observations by the name of the tool.

Sources: the actions of ReAct (Yao et al., 2022, https://huggingface.co/papers/2210.03629), langgenius/dify (its
`MessageAgentThought`). Checked with records of our own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lrat_hub.importers.converters.contents import PARTS_LOOKED_AT, tool_text
from lrat_hub.importers.converters.react import ANSWERS, bracket_call
from lrat_hub.importers.converters.tag_calls import first_argument, python_calls
from lrat_hub.importers.converters.turns import Turns, chat_record
from lrat_hub.importers.message_lists import conversation_of
from lrat_hub.importers.outcomes import GOLD_ANSWERS, ONLY_TOOLS, QUESTIONS, TASKS
from lrat_hub.importers.values import UnreadableRecord, json_or_none, listed, object_of, text_of
from lrat_hub.ledger import Ledger

LISTS = ("steps", "trajectory", "traj", "agent_thoughts", "trace", "history", "iterations", "intermediate_steps",
         "actions", "react_steps", "tool_trace", "agent_steps", "log", "turns")  # fmt: skip
"""Keys of records that hold their steps."""

_DIFY = "agent_thoughts"
_THOUGHTS = ("thought", "thoughts", "reasoning", "rationale", "think", "thinking", "analysis")
_ACTIONS = ("action", "tool", "tool_name", "tool_call", "function")
_INPUTS = ("action_input", "actionInput", "tool_input", "toolInput", "tool_args", "action_args", "args", "arguments",
           "params", "parameters", "input", "inputs", "kwargs")  # fmt: skip
_SHOWN = ("observation", "observations", "tool_output", "tool_result", "tool_response", "result", "output", "obs")
_NAMES = ("tool_name", "tool", "name", "action", "function", "type", "action_type")
_FINISHED = frozenset((*ANSWERS, "finalanswer", "final", "answer", "done", "stop", "submit", "respond"))


def is_step(value: Any) -> bool:
    """Whether a value is a step: it has an action and what was observed, and it is no message."""
    if not isinstance(value, dict) or "role" in value or not any(value.get(key) for key in _ACTIONS):
        return False
    has_input = any(key in value for key in (*_THOUGHTS, *_INPUTS)) or isinstance(value.get("action"), dict)
    return has_input and any(key in value for key in _SHOWN)


def recognise_steps(value: Any) -> str | None:
    """Why a record is a run of steps, or None."""
    if (found := _steps_in(value)) is None:
        return None
    key, _ = found
    return f"an object with {key!r}, a list of steps with an action and an observation" if key else "a list of steps"


def convert_steps(value: Any, parts: Ledger) -> Iterator[dict[str, Any]]:
    """A run of steps as a chat record.

    Args:
        parts: The account of steps.

    Raises:
        UnreadableRecord: There are no steps in it.
    """
    if (found := _steps_in(value)) is None:
        raise UnreadableRecord("not a run of steps: no list of objects with an action and an observation")
    key, steps = found
    beside = {name: part for name, part in object_of(value).items() if name != key}
    turns = Turns()
    for number, step in enumerate(steps):
        if isinstance(step, dict):
            parts.keep()
            _add(turns, step, number)
        else:
            parts.drop("step that is not an object", example=text_of(step))
    if key == _DIFY:
        beside["final_answer"] = beside.pop("answer", None)
    unknown = {} if turns.has_words else {"status": ONLY_TOOLS}
    yield chat_record(turns, {**unknown, **_of_task(beside), **beside})


def _steps_in(value: Any) -> tuple[str, list[Any]] | None:
    """The key of the steps in a record, and the steps; None where there are none."""
    if isinstance(value, list):
        return ("", value) if any(map(is_step, value[:PARTS_LOOKED_AT])) else None
    # What has messages is read from them; SWE-agent's runs work on files.
    if not isinstance(value, dict) or conversation_of(value) is not None or "environment" in value:
        return None
    for key in LISTS:
        if isinstance(steps := value.get(key), list) and any(map(is_step, steps[:PARTS_LOOKED_AT])):
            return key, steps
    return None


def _of_task(record: Mapping[str, Any]) -> dict[str, Any]:
    """The question and the gold answer where the task is an object that holds them."""
    task = next((record[key] for key in ("task", "example", "sample") if isinstance(record.get(key), dict)), {})
    question = next((task[key] for key in (*QUESTIONS, *TASKS, "goal") if isinstance(task.get(key), str)), None)
    gold = next((task[key] for key in (*GOLD_ANSWERS, "answer") if task.get(key)), None)
    if question is None and isinstance(record.get("goal"), str):
        question = record["goal"]
    return ({"question": question} if question else {}) | ({"gold_answer": gold} if gold else {})


def _add(turns: Turns, step: Mapping[str, Any], number: int) -> None:
    """Adds a step: its thought, its calls, and what they showed."""
    thought, calls = text_of(_first(step, _THOUGHTS)), list(_calls(step))
    shown = _shown(step, [name for name, _ in calls])
    if thought and not ("tool" in step and not calls and not any(shown)):  # Dify's last thought is the answer
        turns.reason(thought)
    for index, (name, arguments) in enumerate(calls):
        if name.casefold().replace("-", "_").replace(" ", "_") in _FINISHED:
            text = text_of(next(iter(arguments.values()), "") if isinstance(arguments, dict) else arguments)
            turns.text(text.strip())
            continue
        call_id = f"{number}.{index}" if len(shown) == len(calls) else None
        turns.call(name, arguments, call_id)
        if call_id is not None:
            _show(turns, shown[index], call_id, step)
    if len(shown) != len(calls):
        for part in filter(None, shown):
            _show(turns, part, None, step)


def _show(turns: Turns, value: Any, call_id: str | None, step: Mapping[str, Any]) -> None:
    text, failed = tool_text(value)
    failed = failed or step.get("success") is False or bool(step.get("error")) or step.get("status") == "error"
    turns.result(text or text_of(step.get("error")), call_id, failed=failed)


def _shown(step: Mapping[str, Any], names: list[str]) -> list[Any]:
    """What was observed, a value for each call where the step says which is which."""
    value = _first(step, _SHOWN)
    inner = json_or_none(value) if isinstance(value, str) and value.lstrip()[:1] == "{" else value
    if isinstance(inner, dict) and names and set(inner) == set(names):
        return [inner[name] for name in names]
    if len(names) > 1 and isinstance(value, list) and len(value) == len(names):
        return value
    return [value]


def _calls(step: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Names and arguments of what a step did."""
    action, given = _first(step, _ACTIONS), _first(step, _INPUTS)
    if isinstance(action, str) and action.lstrip()[:1] in ("{", "["):
        action = json_or_none(action) or action
    parsed = json_or_none(given) if isinstance(given, str) and given.lstrip()[:1] == "{" else given
    for part in listed(action):
        if isinstance(part, dict):
            yield _of_object(part)
        elif isinstance(part, str) and part.strip():
            names = [name.strip() for name in part.split(";")]
            if isinstance(parsed, dict) and set(parsed) == set(names) and all(map(_is_input, parsed.values())):
                yield from ((name, parsed[name]) for name in names)
            elif given is None:
                yield _of_text(part.strip())
            else:
                yield part.strip(), parsed if isinstance(parsed, (dict, list)) else first_argument(text_of(given))


def _is_input(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, str) and value.lstrip()[:1] == "{")


def _of_object(action: Mapping[str, Any]) -> tuple[str, Any]:
    body = action["function"] if isinstance(action.get("function"), dict) else action
    named = next((key for key in _NAMES if isinstance(body.get(key), str)), None)
    if named is None:
        # {"search": "who ..."}
        name, given = next(iter(body.items()), ("", {})) if len(body) == 1 else ("", body)
        return str(name), given if isinstance(given, dict) else first_argument(text_of(given))
    given = _first(body, _INPUTS)
    if given is None:
        given = {key: value for key, value in body.items() if key != named}
    return body[named], given if isinstance(given, (dict, list)) else first_argument(text_of(given))


def _of_text(action: str) -> tuple[str, Any]:
    """A call as text: of Python, or of ReAct's prompts."""
    if action.endswith(")"):
        function = object_of(next(python_calls(action)).get("function"))
        if isinstance(function.get("name"), str):
            return function["name"], function["arguments"]
    name, argument = bracket_call(action)
    return name, dict(first_argument(argument))


def _first(values: Mapping[str, Any], keys: tuple[str, ...]) -> Any:
    return next((values[key] for key in keys if values.get(key) not in (None, "", {}, [])), None)
