"""ATIF, the Agent Trajectory Interchange Format of Harbor and Terminal-Bench, in all versions up to 1.8.

Source: the models of the package `atif` 1.8.0 (PyPI). A trajectory has steps of the system, the user and the agent; an
agent's step has a message, reasoning, tool calls, and an observation whose results name the call they answer.
Trajectories of sub-agents that stand in their parent become runs of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lrat_hub.importers.converters.contents import flat
from lrat_hub.importers.converters.turns import Turns, chat_record
from lrat_hub.importers.values import UnreadableRecord, identifier_of, listed, object_of, text_of
from lrat_hub.ledger import Ledger

_SOURCES = ("system", "user", "agent")


def recognise_atif(value: Any) -> str | None:
    """Why a record is an ATIF trajectory, or None."""
    if not isinstance(value, dict) or not isinstance(steps := value.get("steps"), list):
        return None
    version = value.get("schema_version")
    if isinstance(version, str) and version.upper().startswith("ATIF"):
        return f"an agent trajectory of schema {version[:20]}"
    of_atif = [step for step in steps if isinstance(step, dict) and "step_id" in step and "message" in step]
    if of_atif and len(of_atif) == len(steps) and all(step.get("source") in _SOURCES for step in steps):
        return "an object with `steps` of `source` system, user and agent (ATIF)"
    return None


def convert_atif(value: Any, parts: Ledger) -> Iterator[dict[str, Any]]:
    """A trajectory and those of its sub-agents as chat records.

    Raises:
        UnreadableRecord: It has no steps.
    """
    if not isinstance(value, dict) or not isinstance(value.get("steps"), list):
        raise UnreadableRecord("not an ATIF trajectory: no steps")
    waiting: list[tuple[Mapping[str, Any], str]] = [(value, "")]
    while waiting:
        trajectory, parent = waiting.pop(0)
        yield _record(trajectory, parent, parts)
        name = _name(trajectory)
        for child in listed(trajectory.get("subagent_trajectories")):
            if isinstance(child, dict) and isinstance(child.get("steps"), list) and child["steps"]:
                waiting.append((child, name or "unnamed"))
            else:
                parts.drop("trajectory of a sub-agent without steps", example=text_of(child)[:200])


def _record(trajectory: Mapping[str, Any], parent: str, parts: Ledger) -> dict[str, Any]:
    turns = Turns()
    question, copied = "", 0
    for raw in trajectory["steps"]:
        step = object_of(raw)
        source = step.get("source")
        if not isinstance(source, str) or source not in _SOURCES:
            parts.drop("step of an unknown source", example=text_of(raw)[:200])
            continue
        parts.keep()
        if source == "user" and not question:
            question = flat(step.get("message"))
        if step.get("is_copied_context") is True:
            copied += 1
            parts.note("steps copied from the trajectory before, left out")
        elif source == "agent":
            _agent_step(step, turns, parts)
        else:
            # What such a step observes is no result of a call: an event of the environment, or a summary.
            turns.says(source, flat(step.get("message"), parts))
    agent, extra = object_of(trajectory.get("agent")), object_of(trajectory.get("extra"))
    metadata = {
        "session_id": trajectory.get("session_id"),
        "trajectory_id": trajectory.get("trajectory_id"),
        "schema_version": trajectory.get("schema_version"),
        "agent_name": agent.get("name"),
        "agent_version": agent.get("version"),
        "parent": parent,
        "final_metrics": trajectory.get("final_metrics"),
    }
    status = None
    if trajectory.get("continued_trajectory_ref"):
        parts.note("trajectories that go on in another file")
        metadata["continued_trajectory_ref"] = trajectory["continued_trajectory_ref"]
        status = "limited"
    return chat_record(
        turns, {} if parent else extra,
        # Else the messages show the question, or the questions.
        question=question if copied else None, status=status, agent=agent.get("model_name") or agent.get("name"),
        metadata={key: part for key, part in metadata.items() if part not in (None, "")},
    )  # fmt: skip


def _agent_step(step: Mapping[str, Any], turns: Turns, parts: Ledger) -> None:
    turns.close()
    if reasoning := text_of(step.get("reasoning_content")):
        turns.reason(reasoning)
    if text := flat(step.get("message"), parts):
        turns.text(text)
    for raw in listed(step.get("tool_calls")):
        call = object_of(raw)
        turns.call(call.get("function_name"), call.get("arguments"), call.get("tool_call_id"))
    _observation(step, turns, parts)


def _observation(step: Mapping[str, Any], turns: Turns, parts: Ledger) -> None:
    for raw in listed(object_of(step.get("observation")).get("results")):
        result = object_of(raw)
        content = result.get("content")
        text = flat(content, parts) if content is not None else ""
        turns.result(text, result.get("source_call_id"), failed=result.get("is_error") is True)


def _name(trajectory: Mapping[str, Any]) -> str:
    keys = ("trajectory_id", "session_id")
    return next((name for key in keys if (name := identifier_of(trajectory.get(key)))), "")
