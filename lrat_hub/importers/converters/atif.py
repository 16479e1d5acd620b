"""ATIF, the Agent Trajectory Interchange Format of Harbor and Terminal-Bench: in from all versions up to 1.8, and out.

Source: the models of the package `atif` 1.8.0 (PyPI). A trajectory has steps of the system, the user and the agent; an
agent's step has a message, reasoning, tool calls, and an observation whose results name the call they answer.
Trajectories of sub-agents that stand in their parent become runs of their own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from lrat_hub.importers.converters.contents import flat
from lrat_hub.importers.converters.turns import Turns, chat_record
from lrat_hub.importers.traces import HARNESS, TOOLS, arguments_of, by_message, call_id, known
from lrat_hub.importers.values import UnreadableRecord, identifier_of, listed, object_of, text_of
from lrat_hub.ledger import Ledger
from lrat_hub.schema import Step, Trajectory

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
                parts.drop("trajectory of a sub-agent without steps", example=text_of(child))


def _record(trajectory: Mapping[str, Any], parent: str, parts: Ledger) -> dict[str, Any]:
    turns = Turns()
    question, copied = "", 0
    for raw in trajectory["steps"]:
        step = object_of(raw)
        source = step.get("source")
        if not isinstance(source, str) or source not in _SOURCES:
            parts.drop("step of an unknown source", example=text_of(raw))
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


# Out


def atif_text(run: Trajectory) -> str:
    """A trajectory as the text of an ATIF file."""
    return json.dumps(atif_of(run), ensure_ascii=False, allow_nan=False)


def atif_of(run: Trajectory) -> dict[str, Any]:
    """A trajectory as an ATIF document.

    What the format has no place for is in its `extra` fields: outcome and retriever of the run, and the ranked lists
    of searches, each beside the text that the agent was shown.
    """
    steps: list[dict[str, Any]] = [{"source": "user", "message": run.question}]
    for group in by_message(run.steps):
        calls = [step for step in group if step.action != "answer"]
        ends = any(step.action == "answer" for step in group)
        steps.append(
            _filled(
                source="agent",
                message=(run.final_answer or "") if ends else "",
                reasoning_content=group[0].reasoning,
                tool_calls=[
                    {
                        "tool_call_id": call_id(step),
                        "function_name": TOOLS[step.action],
                        "arguments": arguments_of(step),
                    }
                    for step in calls
                ],
                observation=_filled(results=list(map(_result, calls))),
            )
        )
    return {
        "schema_version": "ATIF-v1.8",
        "trajectory_id": run.trajectory_id,
        # A version has to be there.
        "agent": _filled(name=run.agent or HARNESS, version=run.agent_revision or "unknown", model_name=run.agent),
        "steps": [{"step_id": number, **step} for number, step in enumerate(steps, start=1)],
        "extra": _filled(
            query_id=run.query_id,
            gold_answer=run.gold_answer,
            status=run.status,
            outcome=run.outcome,
            retriever=run.retriever,
            retriever_revision=run.retriever_revision,
            sampling=known(vars(run.sampling)),
        ),
    }


def _result(step: Step) -> dict[str, Any]:
    hits = [known(vars(hit)) for hit in step.results]
    return {
        "source_call_id": call_id(step),
        "content": step.observation,
        **_filled(extra=_filled(results=hits, error=step.error)),
    }


def _filled(**values: Any) -> dict[str, Any]:
    """Values without those that say nothing; a message may be empty, and has to be there."""
    return {name: value for name, value in values.items() if value or name == "message"}
