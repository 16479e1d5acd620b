"""OpenHands: trajectories and the output of its evaluations, of versions 0 and 1; runs of SWE-agent are named.

Source: `All-Hands-AI/OpenHands@156d0686c4`, in `openhands`: `events/serialization/event.py`, `core/schema/action.py`.
An observation names the event that caused it. Tools of MCP servers and pages of the browser are the actions that count
here; commands and edits are calls of tools that are not known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lrat_hub.importers.converters.contents import flat, label_of, tool_text
from lrat_hub.importers.converters.turns import Turns, chat_record, conversation_in
from lrat_hub.importers.values import UnreadableRecord, identifier_of, object_of, text_of
from lrat_hub.ledger import Ledger

_LISTS = ("history", "trajectory", "events")
# Actions that are no call of a tool, and observations that say nothing to the agent.
_ASIDE = {
    "start", "null", "pause", "resume", "stop", "change_agent_state", "push", "send_pr", "recall", "condensation",
    "condensation_request", "agent_state_changed", "system", "loop_recovery",
}  # fmt: skip
_SOURCES = ("agent", "user", "environment")


def recognise_openhands(value: Any) -> str | None:
    """Why a record is a trajectory of OpenHands or SWE-agent, or None."""
    if _is_swe_agent(value):
        return "a trajectory of SWE-agent"
    located = conversation_in(_flattened(value), is_openhands_event, _LISTS)
    return None if located is None else "a list of events with `source` and `action` or `observation` (OpenHands)"


def is_openhands_event(value: Any) -> bool:
    """Whether a value is an event of OpenHands."""
    event = object_of(value)
    if event.get("source") not in _SOURCES or "step_id" in event:
        return False
    if isinstance(event.get("action"), str):
        return isinstance(event.get("args"), dict)
    if isinstance(event.get("observation"), str):
        return "content" in event and "role" not in event
    kind = event.get("kind")
    return isinstance(kind, str) and kind.endswith(("Event", "Condensation"))


def convert_openhands(value: Any, parts: Ledger) -> Iterator[dict[str, Any]]:
    """A trajectory as a chat record.

    Raises:
        UnreadableRecord: It has no events, or is one of SWE-agent, whose tools work on files.
    """
    if _is_swe_agent(value):
        raise UnreadableRecord("trajectory of SWE-agent, whose commands are no searches")
    located = conversation_in(_flattened(value), is_openhands_event, _LISTS)
    if located is None:
        raise UnreadableRecord("not a trajectory of OpenHands: no events with `action` or `observation`")
    events, beside = located
    turns = Turns()
    for number, raw in enumerate(events):
        event = object_of(raw)
        if isinstance(event.get("kind"), str):
            _event(event, turns, parts)
        elif isinstance(event.get("action"), str):
            _action(event, number, turns, parts)
        elif isinstance(event.get("observation"), str):
            _observation(event, turns, parts)
        else:
            parts.drop("event without an action or observation", example=text_of(raw))
    used = ("instruction", "metrics", "metadata", "git_patch", "test_result", "instance")
    beside = {key: part for key, part in beside.items() if key not in used}
    yield chat_record(turns, beside)


def _is_swe_agent(value: Any) -> bool:
    """Whether a record is a `.traj` file: steps with what the model responded and the state of a shell."""
    steps = object_of(value).get("trajectory")
    if not isinstance(steps, list) or not steps:
        return False
    return {"action", "observation", "response", "state"} <= object_of(steps[0]).keys()


def _flattened(value: Any) -> Any:
    """A record with its events in one list: older versions have pairs of an action and its observation."""
    history = object_of(value).get("history")
    if isinstance(history, list) and history and all(isinstance(pair, list) for pair in history):
        return {**value, "history": [event for pair in history for event in pair]}
    return value


def _action(event: Mapping[str, Any], number: int, turns: Turns, parts: Ledger) -> None:
    name, arguments = event["action"], object_of(event.get("args"))
    parts.keep()
    if name in ("message", "system") and event.get("source") != "agent":
        role = "user" if event.get("source") == "user" and name == "message" else "system"
        turns.says(role, text_of(arguments.get("content")))
        return
    if name in _ASIDE:
        return
    if thought := text_of(arguments.get("thought")):
        turns.reason(thought)
    if name == "message":
        turns.close()
        turns.text(text_of(arguments.get("content")))
    elif name == "finish":
        outputs = object_of(arguments.get("outputs"))
        answer = arguments.get("final_thought") or outputs.get("content") or event.get("message")
        turns.text(text_of(answer))
    elif name == "call_tool_mcp":
        turns.call(arguments.get("name"), arguments.get("arguments"), _cause(event.get("id", number)))
    elif name == "browse":
        turns.call("visit", {"url": arguments.get("url")}, _cause(event.get("id", number)))
    elif name != "think":
        turns.call(name, {}, _cause(event.get("id", number)))


def _observation(event: Mapping[str, Any], turns: Turns, parts: Ledger) -> None:
    parts.keep()
    kind = event["observation"]
    if kind in _ASIDE or kind == "think":
        return
    extras = object_of(event.get("extras"))
    cause = _cause(event.get("cause"))
    if not turns.has_call(cause):
        return  # of a message, or of what the environment did itself
    failed = kind == "error" or extras.get("error") is True
    turns.result(tool_text(event.get("content"))[0], cause, failed=failed)


def _cause(event_id: Any) -> str:
    return f"event-{identifier_of(event_id)}"


def _event(event: Mapping[str, Any], turns: Turns, parts: Ledger) -> None:
    """An event of version 1, which names its tool and the id of the call."""
    kind = event["kind"]
    parts.keep()
    if kind == "SystemPromptEvent":
        turns.says("system", flat(event.get("system_prompt")))
    elif kind == "MessageEvent":
        message = object_of(event.get("llm_message"))
        if event.get("source") == "agent":
            turns.close()
            turns.text(flat(message.get("content")))
        else:
            turns.says("user", flat(message.get("content")))
    elif kind == "ActionEvent":
        _action_event(event, turns)
    elif kind in ("ObservationEvent", "AgentErrorEvent", "UserRejectObservation"):
        observation = object_of(event.get("observation"))
        text = flat(observation.get("content", observation.get("message", event.get("error"))))
        failed = kind != "ObservationEvent" or observation.get("is_error") is True
        if turns.has_call(event.get("tool_call_id")):
            turns.result(text, event.get("tool_call_id"), failed=failed)
    elif not kind.endswith(("Event", "Condensation")):
        parts.note(f"events of kind {label_of(event)!r}, left out")


def _action_event(event: Mapping[str, Any], turns: Turns) -> None:
    action, name = object_of(event.get("action")), event.get("tool_name")
    for thought in (event.get("reasoning_content"), flat(event.get("thought"))):
        if thought:
            turns.reason(text_of(thought))
    if name == "finish":
        turns.text(text_of(action.get("message")))
    elif name != "think":
        call = object_of(event.get("tool_call"))
        written = object_of(call.get("function")).get("arguments", call.get("arguments"))
        plain = {key: part for key, part in action.items() if key != "kind"}
        arguments = object_of(plain.get("data")) or plain or written
        turns.call(name, written if written is not None and not isinstance(written, list) else arguments,
                   event.get("tool_call_id"))  # fmt: skip
