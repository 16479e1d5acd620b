"""The memory of smolagents: the steps of `agent.memory.get_full_steps()` or of a `RunResult`.

Source: huggingface/smolagents@e3a5b89: src/smolagents/memory.py, agents.py, default_tools.py.

A step's observations are one text for all its calls. A single search takes it; of several searches in one step nothing
says what each listed, so their results stay empty and are counted. Agents that write code have their calls read from
it, as far as they are written with literal arguments; a call in a loop or a function may run any number of times.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lrat_hub.importers.accounts import Accounts
from lrat_hub.importers.actions import Recorder
from lrat_hub.importers.mapping import LogMapping
from lrat_hub.importers.messages import Call
from lrat_hub.importers.outcomes import (
    UNCLEAR_ANSWERS,
    UNCLEAR_VERDICTS,
    answers_of,
    query_id_of,
    question_of,
    verdict_of,
)
from lrat_hub.importers.values import (
    UnreadableRecord,
    listed,
    metadata_of,
    model_name,
    object_of,
    sampling_of,
    storable,
    text_of,
)
from lrat_hub.schema import Status, Trajectory

SMOLAGENTS_FORMAT = "smolagents memory"
CODE_TOOL = "python_interpreter"
MAX_STEPS = "AgentMaxStepsError"

_CODE = re.compile(r"(<code>.*?(</code>|$)|```(py|python)?\n.*?(```|$))", re.DOTALL)
_LOGS = re.compile(r"^Execution logs:\n|\n?Last output from code snippet:\n.*", re.DOTALL)


def steps_of(value: Any) -> Sequence[Any] | None:
    """The steps in a record, or None when it has none."""
    record = object_of(value)
    lists = (value, record.get("steps"), record.get("intermediate_steps"))
    return next((steps for steps in lists if isinstance(steps, list) and any(map(is_memory_step, steps))), None)


def is_memory_step(value: Any) -> bool:
    """Whether a value is a step of an agent's memory."""
    return isinstance(value, dict) and (
        ("step_number" in value and ("model_output" in value or "tool_calls" in value))
        or ("task" in value and "task_images" in value)
        or set(value) == {"system_prompt"}
    )


def recognise_memory(value: Any) -> str | None:
    """Why a value is an agent's memory, or None."""
    steps = steps_of(value)
    if steps is None or not any(isinstance(step, dict) and {"step_number", "task"} & set(step) for step in steps):
        return None
    return "steps with `task` and `step_number`"


def parse_memory(name: str, value: Any, accounts: Accounts, mapping: LogMapping | None = None) -> Iterator[Trajectory]:
    """An agent's memory as a trajectory.

    Args:
        name: Becomes the trajectory's id.
        value: A list of steps, or an object with `steps`.
        accounts: What was read, kept and lost is counted here.

    Raises:
        UnreadableRecord: There are no steps in it.
    """
    raw = steps_of(value)
    if raw is None:
        raise UnreadableRecord("not a trajectory: no steps")
    for number, steps in enumerate(_by_task(raw), start=1):
        # What the object says beside its steps holds for the first run.
        record = object_of(value) if number == 1 else {}
        yield _trajectory(
            name if number == 1 else f"{name}-{number}", record, steps, Recorder(mapping or LogMapping(), accounts)
        )


def _by_task(raw: Sequence[Any]) -> list[list[Any]]:
    """The steps of each task: an agent that is run again without a reset adds to its memory."""
    runs: list[list[Any]] = [[]]
    for step in raw:
        if object_of(step).get("task") and any(object_of(other).get("task") for other in runs[-1]):
            runs.append([])
        runs[-1].append(step)
    return runs


def _trajectory(name: str, record: Mapping[str, Any], raw: Sequence[Any], recorder: Recorder) -> Trajectory:
    for step in raw:
        if isinstance(step, dict):
            _record_step(step, recorder)
        else:
            recorder.accounts.parts.drop("step is not an object", example=text_of(step))
            recorder.invalid("step is not an object")
    if record.get("state") in ("success", "max_steps_error"):
        _answer(recorder, record.get("output"))
    task = next((text_of(step["task"]) for step in raw if isinstance(step, dict) and step.get("task")), "")
    correct, unclear = verdict_of(record)
    answers = answers_of(record, recorder.final_answer)
    recorder.accounts.records.lose(UNCLEAR_ANSWERS, int(answers.unclear is not None), example=answers.unclear or "")
    recorder.accounts.records.lose(
        UNCLEAR_VERDICTS, int(bool(unclear)), example=", ".join(f"{key}: {text_of(record[key])}" for key in unclear)
    )
    kept = ("state", "token_usage", "timing", *unclear, *(("answer",) if answers.unclear else ()))
    return Trajectory(
        trajectory_id=name,
        query_id=query_id_of(record) or name,
        question=task or question_of(record, ""),
        steps=recorder.finish(),
        gold_answer=answers.gold,
        final_answer=answers.final,
        status=_memory_status(raw, record, answers.final),
        correct=correct,
        agent=model_name(record.get("agent") or record.get("model")),
        sampling=sampling_of(record),
        metadata=metadata_of(SMOLAGENTS_FORMAT, {key: record[key] for key in kept if key in record}),
    )


def _record_step(step: Mapping[str, Any], recorder: Recorder) -> None:
    parts = recorder.accounts.parts
    if "plan" in step:
        recorder.reason(text_of(step["plan"]))
    elif "output" in step and "step_number" not in step:
        _answer(recorder, step["output"])
    elif "step_number" in step:
        _record_action(step, recorder)
    elif not step.keys() & {"task", "system_prompt"}:
        parts.drop("step of a kind that is not known", example=text_of(dict(step)))
        return
    parts.keep()


def _record_action(step: Mapping[str, Any], recorder: Recorder) -> None:
    output = step.get("model_output")
    parts = [object_of(part).get("text", part) for part in output] if isinstance(output, list) else [output]
    recorder.reason(_CODE.sub("", "\n".join(map(text_of, parts))).strip().removeprefix("Thought:").strip())
    calls = [call for raw in listed(step.get("tool_calls")) for call in _calls(raw, recorder.mapping)]
    if not calls and isinstance(step.get("code_action"), str):
        calls = list(_calls_in(step["code_action"], recorder.mapping))
    observation = _LOGS.sub("", text_of(step.get("observations")))
    error = object_of(step.get("error"))
    failure, is_last = text_of(error.get("message")), error.get("type") == MAX_STEPS
    recorder.calls(calls, observation, failure=failure)
    if not calls and failure and not is_last:
        recorder.invalid(f"no call: {failure}", observation)
    if step.get("is_final_answer") is True or is_last:
        _answer(recorder, step.get("action_output"), joined=bool(calls))


def _answer(recorder: Recorder, output: Any, *, joined: bool = False) -> None:
    """The answer, unless a call of `final_answer` has given it already."""
    if output is not None and recorder.final_answer is None:
        recorder.answer(text_of(output), joined=joined)


def _calls(raw: Any, mapping: LogMapping) -> Iterator[Call]:
    function = object_of(object_of(raw).get("function"))
    name, arguments = function.get("name"), function.get("arguments")
    tool = mapping.find(name)
    if name == CODE_TOOL and isinstance(arguments, str):
        yield from _calls_in(arguments, mapping)
    elif tool is not None and isinstance(arguments, str) and not arguments.lstrip().startswith("{"):
        # Tools with one argument may be called with it alone.
        yield Call(name, {tool.keys[0]: arguments})
    else:
        yield Call(name, arguments)


def _calls_in(code: str, mapping: LogMapping) -> Iterator[Call]:
    """Calls of known tools in a piece of Python, in the order they are written in."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # about the agent's code, which nobody here can fix
            tree = ast.parse(code)
        nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        yield Call(CODE_TOOL, None, error="code can't be parsed")
        return
    known = [
        (node, node.func.id, tool)
        for node in nodes
        if isinstance(node.func, ast.Name) and (tool := mapping.find(node.func.id)) is not None
    ]
    constants = _constants(tree)
    for node, name, tool in sorted(known, key=lambda item: (item[0].lineno, item[0].col_offset)):
        # The first argument is the one that counts, whatever the tool calls it.
        keys = [tool.keys[0]] * min(1, len(node.args)) + [keyword.arg for keyword in node.keywords]
        values = [*node.args[:1], *(keyword.value for keyword in node.keywords)]
        try:
            arguments = {
                key: storable(ast.literal_eval(_resolved(value, constants)))
                for key, value in zip(keys, values, strict=True)
                if key
            }
        except (ValueError, TypeError, RecursionError, MemoryError):
            if tool.action != "answer":
                yield Call(name, None, error=f"code calls {name} without literal arguments")
        else:
            yield Call(name, arguments)
    if not known:
        yield Call(CODE_TOOL, None, error="code without a call of a known tool")


def _constants(tree: ast.Module) -> dict[str, ast.expr]:
    """Names that a snippet gives one value, which is a literal, and never another."""
    stores = Counter(
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    )
    return {
        statement.targets[0].id: statement.value
        for statement in tree.body
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1
        and isinstance(statement.targets[0], ast.Name) and stores[statement.targets[0].id] == 1
    }  # fmt: skip


def _resolved(value: ast.expr, constants: Mapping[str, ast.expr]) -> ast.expr:
    return constants.get(value.id, value) if isinstance(value, ast.Name) else value


def _memory_status(steps: Sequence[Any], record: Mapping[str, Any], answer: str | None) -> Status:
    errors = [object_of(object_of(step).get("error")).get("type") for step in steps]
    if MAX_STEPS in errors or record.get("state") == "max_steps_error":
        return "limited"
    return "completed" if answer is not None else "failed"
