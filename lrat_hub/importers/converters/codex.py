"""Codex CLI: its session files (`~/.codex/sessions/**/rollout-*.jsonl`), and the JSON events of `codex exec`.

Facts are from openai/codex: codex-rs/protocol/src/models.rs and instruction_markers.rs (@001cb8e, @91c4c57),
codex-rs/exec/src/exec_events.rs (@08a1f30). A session has each event up to twice: as an item of the Responses API,
which the model saw, and as an event for the terminal. Events are read where there are no items.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lrat_hub.importers.converters.contents import kind_of, parts_text, tool_text
from lrat_hub.importers.converters.conversation import Conversation
from lrat_hub.importers.converters.responses import add_item, add_web_search, error_text, is_item, is_message_item
from lrat_hub.importers.sources.grouping import by_key, parts_of
from lrat_hub.importers.sources.records import Record
from lrat_hub.importers.values import UnreadableRecord, identifier_of, object_of, text_of
from lrat_hub.ledger import Ledger

LINES = {
    "session_meta", "turn_context", "response_item", "event_msg", "compacted", "world_state",
    "inter_agent_communication", "inter_agent_communication_metadata",
}  # fmt: skip
EVENTS = {
    "thread.started", "turn.started", "turn.completed", "turn.failed", "item.started", "item.updated",
    "item.completed", "item.plan.delta", "request_user_input", "error",
}  # fmt: skip
EVENT_ITEMS = {
    "agent_message", "assistant_message", "plan", "reasoning", "command_execution", "file_change", "mcp_tool_call",
    "collab_tool_call", "web_search", "todo_list", "error",
}  # fmt: skip

# What Codex itself writes in the place of the user.
_NOT_THE_USER = re.compile(
    r"\s*(?:<(?:environment_context|user_instructions|INSTRUCTIONS|permissions instructions|collaboration_mode|skill"
    r"|user_shell_command|turn_aborted|subagent_notification|model_switch|personality_spec|hook_prompt"
    r"|apps_instructions|plugins_instructions|skills_instructions|realtime_conversation)\b"
    r"|# AGENTS\.md instructions for |Another language model started to solve this problem)"
)
_FROM_AN_EDITOR = re.compile(r"\A# Context from my IDE setup:.*^## My request for Codex:\s*", re.DOTALL | re.MULTILINE)
_LIMITS = ("context_window_exceeded", "usage_limit_exceeded", "budget_limited", "session_budget_exceeded")


def recognise_codex(value: Any) -> str | None:
    """Why a value is a line of Codex, or None."""
    if not isinstance(value, dict):
        return None
    kind = value.get("type")
    if isinstance(kind, str) and kind in LINES and isinstance(value.get("payload"), dict):
        return f"a line of a Codex session, {kind}"
    if kind == "thread.started" and "thread_id" in value:
        return "the first event of `codex exec`"
    item = object_of(value.get("item"))
    if isinstance(kind, str) and kind.startswith("item.") and _kind_of(item) in EVENT_ITEMS:
        return f"an event of `codex exec`, {kind}"
    if "record_type" in value or (kind is None and {"id", "timestamp", "instructions"} <= value.keys()):
        return "a line of an older Codex session"
    if isinstance(value.get("msg"), dict) and isinstance(value["msg"].get("type"), str) and "id" in value:
        return "an event of an older `codex exec`"
    return None


def group_codex(records: Iterator[Record]) -> Iterator[Record]:
    """Puts the lines of a session together, which is a file, or goes from one beginning to the next.

    Counts of tokens and states of the world are left out: they are most of a long session.
    """
    count = [0]

    def key(value: Any) -> str | None:
        kind = object_of(value).get("type")
        # A session that was forked has the beginning of the one before it as its second line.
        if kind == "thread.started":
            count[0] += 1
        return f"session {count[0]}"

    return by_key(key)(record for record in records if not _is_silent(record.value))


def convert_codex(value: Any, parts: Ledger) -> Iterator[dict[str, Any]]:
    """Chat records of a session's lines: one for each question of the user.

    Raises:
        UnreadableRecord: There is nothing of the agent in it.
    """
    session = _Session(parts, has_items=any(map(_is_model_item, parts_of(value))))
    for line in parts_of(value):
        session.add(line)
    empty = True
    for record in session.conversation.records():
        empty = False
        yield record
    if empty:
        raise UnreadableRecord("not a run: a session without an item of the agent")


class _Session:
    """Takes the lines of a session.

    Args:
        has_items: Whether the log has the items that the model saw, which events only repeat.
    """

    def __init__(self, parts: Ledger, *, has_items: bool) -> None:
        self.conversation = Conversation()
        self._parts = parts
        self._has_items = has_items
        self._thoughts: set[str] = set()

    def add(self, line: Any) -> None:
        """Adds a line."""
        values = object_of(line)
        kind, payload = values.get("type"), object_of(values.get("payload"))
        if kind == "response_item":
            self._add_item(payload)
        elif kind == "event_msg":
            self._add_event(payload)
        elif kind == "session_meta":
            self._name(payload.get("id"))
        elif kind == "turn_context":
            self.conversation.agent(payload.get("model"))
            self._parts.keep()
        elif isinstance(kind, str) and kind in LINES:
            self._parts.keep()
        elif isinstance(kind, str) and kind in EVENTS:
            self._add_thread_event(kind, values)
        elif is_item(values) or is_message_item(values):
            self._add_item(values)
        elif isinstance(values.get("msg"), dict):
            self._add_event(object_of(values["msg"]))
        elif "record_type" in values or "prompt" in values or "instructions" in values or _is_header(values):
            self._name(values.get("id"))
            self.conversation.user(text_of(values.get("prompt")))
            self.conversation.agent(values.get("model"))
        else:
            self._parts.drop(f"lines of unknown type {text_of(kind)[:60]!r}", example=text_of(line))

    def _name(self, name: Any) -> None:
        if (session := identifier_of(name)) is not None:
            self.conversation.metadata.setdefault("session", session)
        self._parts.keep()

    def _add_item(self, item: Mapping[str, Any]) -> None:
        if item.get("type") == "reasoning":
            texts = _texts(item.get("content")) or _texts(item.get("summary"))
            for text in texts:
                self._think(text)
            self._parts.keep()
            return
        if item.get("type") not in ("reasoning", "message"):
            self._thoughts.clear()
        add_item(self.conversation, item, self._parts, is_question=question_of)

    def _think(self, text: str) -> None:
        """Adds a thought, which items and events may both have."""
        if text not in self._thoughts:
            self._thoughts.add(text)
            self.conversation.think(text)

    def _add_event(self, event: Mapping[str, Any]) -> None:
        """Adds an event for the terminal. Thoughts in full are in events alone."""
        kind = event.get("type")
        self._parts.keep()
        if kind in ("agent_reasoning", "agent_reasoning_raw_content"):
            self._think(text_of(event.get("text")))
        elif kind == "turn_aborted":
            self.conversation.end(status="limited" if event.get("reason") in _LIMITS else "failed")
        elif kind == "error":
            information = text_of(event.get("codex_error_info"))
            self.conversation.end(status="limited" if any(map(information.__contains__, _LIMITS)) else "failed")
        elif kind in ("task_complete", "turn_complete") and event.get("last_agent_message"):
            self.conversation.end(status="completed")
        elif kind == "session_configured":
            self.conversation.agent(event.get("model"))
        elif not self._has_items:
            self._add_bare_event(kind, event)

    def _add_bare_event(self, kind: Any, event: Mapping[str, Any]) -> None:
        if kind == "user_message":
            self.conversation.user(question_of(text_of(event.get("message"))))
        elif kind == "agent_message":
            self.conversation.say(text_of(event.get("message")))
        elif kind == "web_search_end":
            self._search(event)
        elif kind == "mcp_tool_call_end":
            call, result = object_of(event.get("invocation")), object_of(event.get("result"))
            text, failed = tool_text(result.get("Ok"))
            error = result.get("Err")
            self.conversation.hosted(
                call.get("tool"), call.get("arguments") or {}, text or error_text(error),
                failed=failed or error is not None,
            )  # fmt: skip
        elif kind == "exec_command_end":
            output = text_of(event.get("aggregated_output") or event.get("stdout"))
            self.conversation.hosted("shell", {"command": event.get("command")}, output)

    def _add_thread_event(self, kind: str, event: Mapping[str, Any]) -> None:
        if kind == "thread.started":
            self._name(event.get("thread_id"))
            return
        self._parts.keep()
        if kind == "turn.completed":
            self.conversation.end(status="completed")
            self.conversation.finish()
        elif kind in ("turn.failed", "error"):
            reason = error_text(event.get("error") or event.get("message"))
            self.conversation.end(status="limited" if "limit" in reason or "context window" in reason else "failed")
        elif kind == "item.completed":
            self._add_thread_item(object_of(event.get("item")))

    def _add_thread_item(self, item: Mapping[str, Any]) -> None:
        kind = _kind_of(item)
        failed = item.get("status") == "failed"
        if kind in ("agent_message", "assistant_message"):
            self.conversation.say(text_of(item.get("text")))
        elif kind == "reasoning":
            self.conversation.think(text_of(item.get("text")))
        elif kind == "web_search":
            self._search(item)
        elif kind == "mcp_tool_call":
            text, is_error = tool_text(item.get("result"))
            error = item.get("error")
            self.conversation.hosted(
                item.get("tool"), item.get("arguments") or {}, text or error_text(error),
                failed=failed or is_error or error is not None,
            )  # fmt: skip
        elif kind == "command_execution":
            self.conversation.hosted(
                "shell", {"command": item.get("command")}, text_of(item.get("aggregated_output")), failed=failed
            )
        elif kind == "collab_tool_call":
            self.conversation.hosted(item.get("tool"), {"prompt": item.get("prompt")}, failed=failed)
        elif kind not in EVENT_ITEMS:
            self._parts.drop(f"items of unknown type {kind[:60]!r}", example=text_of(item))

    def _search(self, item: Mapping[str, Any]) -> None:
        """A web search, in the shape of the Responses API's."""
        action = object_of(item.get("action"))
        if action.get("type", "other") == "other":
            action = {"type": "search", "query": item.get("query")}
        add_web_search(self.conversation, {"action": action}, self._parts)


def question_of(text: str) -> str:
    """What of a message in the user's place is theirs: "" for what Codex writes there."""
    return "" if _NOT_THE_USER.match(text) else _FROM_AN_EDITOR.sub("", text)


def _is_silent(value: Any) -> bool:
    values = object_of(value)
    event = kind_of(values.get("payload")) if values.get("type") == "event_msg" else None
    return kind_of(values) in ("world_state", "compacted") or event == "token_count"


def _is_model_item(line: Any) -> bool:
    values = object_of(line)
    item = object_of(values.get("payload")) if values.get("type") == "response_item" else values
    return is_item(item) or (is_message_item(item) and item.get("role") == "assistant")


def _is_header(line: Mapping[str, Any]) -> bool:
    return "type" not in line and bool(line.keys() & {"timestamp", "workdir", "provider", "sandbox"})


def _kind_of(item: Mapping[str, Any]) -> str:
    return text_of(item.get("type", item.get("item_type")))


def _texts(parts: Any) -> Sequence[str]:
    return [text for part in (parts if isinstance(parts, list) else []) if (text := parts_text(part))]
