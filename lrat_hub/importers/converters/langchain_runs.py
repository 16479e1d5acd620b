"""Runs of LangChain and LangGraph: states, snapshots of a thread, streams of events, results of `AgentExecutor`.

Source: what `langgraph` 1.2.24 and `langchain-core` 1.8.3 (PyPI) write: `get_state`, `get_state_history`, and
`astream_events`. Snapshots and events repeat what was there before; the longest state counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lrat_hub.importers.converters.contents import flat, tool_text
from lrat_hub.importers.converters.langchain import STATES, add_message, is_langchain_message, state_in
from lrat_hub.importers.converters.turns import Turns, chat_record, constructed, document_rows
from lrat_hub.importers.sources.grouping import by_key, parts_of
from lrat_hub.importers.values import UnreadableRecord, identifier_of, join_texts, listed, object_of, text_of
from lrat_hub.ledger import Ledger

_EVENTS = ("on_chain_", "on_chat_model_", "on_tool_", "on_llm_", "on_retriever_", "on_prompt_", "on_parser_")


def recognise_langchain(value: Any) -> str | None:
    """Why a record was written by LangChain or LangGraph, or None."""
    if is_langchain_event(value):
        return "an event of LangChain's `astream_events`"
    if _steps_of_executor(value) is not None:
        return "a result of LangChain's AgentExecutor with `intermediate_steps`"
    if isinstance(value, list) and value and all(map(is_langchain_update, value)):
        return "updates of a stream of LangGraph"
    located = state_in(value)
    if located is None:
        return None
    first = next(filter(is_langchain_message, located[0]))
    shown = "lc" if "lc" in first else "type"
    where = "a list" if isinstance(value, list) else "an object"
    return f"{where} of messages with `{shown}` (LangChain)"


def group_langchain_key(value: Any) -> str | None:
    """What the events of a run, or the snapshots of a thread, have in common."""
    if is_langchain_event(value):
        parents = listed(value.get("parent_ids"))
        return f"run {identifier_of(parents[0]) if parents else identifier_of(value.get('run_id'))}"
    if thread := _thread_of(value):
        return f"thread {thread}"
    # Streams of values write the whole state after each step.
    messages = object_of(value).get("messages")
    first = _message_id(messages[0]) if isinstance(messages, list) and messages else None
    return f"state {first}" if first is not None and len(first) >= ID_LENGTH else None


ID_LENGTH = 16
"""Ids of messages with fewer characters may be those of other runs, too."""

group_langchain = by_key(group_langchain_key)
"""Puts the events of a run, and the snapshots of a thread, together."""


def convert_langchain(value: Any, parts: Ledger) -> Iterator[dict[str, Any]]:
    """A run as a chat record.

    Raises:
        UnreadableRecord: There are no messages, events or steps of LangChain in it.
    """
    values = parts_of(value)
    if values and all(map(is_langchain_event, values)):
        yield _events(values, parts)
    elif len(values) > 1 and all(map(_update_in, values)):
        yield from _single([message for update in values for message in _update_in(update)], parts)
    elif len(values) > 1 and not is_langchain_message(values[0]):
        # Each snapshot repeats the messages of those before it.
        states = [(len(located[0]), part) for part in values if (located := state_in(part)) is not None]
        if not states:
            raise UnreadableRecord("not a conversation of LangChain: no messages in the snapshots of a thread")
        parts.keep(len(values) - 1)
        yield from _single(max(states, key=lambda state: state[0])[1], parts)
    else:
        yield from _single(values[0] if len(values) == 1 and not is_langchain_message(values[0]) else value, parts)


def _single(value: Any, parts: Ledger) -> Iterator[dict[str, Any]]:
    if (steps := _steps_of_executor(value)) is not None:
        yield _executor(value, steps, parts)
        return
    located = state_in(value)
    if located is None:
        raise UnreadableRecord("not a conversation of LangChain: no messages with a type")
    messages, beside = located
    turns = Turns()
    for message in messages:
        add_message(message, turns, parts)
    beside = {key: part for key, part in beside.items() if key not in ("raw_notes", "notes", *STATES)}
    if listed(object_of(value).get("raw_notes")) and not any("tool_calls" in message for message in turns.messages):
        parts.drop("notes of researchers, without the queries and results that led to them")
    answer = beside.pop("final_report", None)
    question = beside.pop("research_topic", None)
    yield chat_record(turns, beside, question=question, final_answer=answer if isinstance(answer, str) else None)


def is_langchain_update(value: Any) -> bool:
    """Whether a value is an update of a stream: what each node added to the state, of which there may be several."""
    return bool(_update_in(value))


def _update_in(value: Any) -> list[Any]:
    """The messages of an update: `{"agent": {"messages": [...]}}`."""
    update = object_of(value)
    if not 1 <= len(update) <= NODES or "messages" in update:
        return []
    added = [message for part in update.values() for message in listed(object_of(part).get("messages"))]
    return added if added and all(map(is_langchain_message, added)) else []


NODES = 4
"""Most nodes that add to a state at once."""


def _thread_of(value: Any) -> str | None:
    """The thread of a snapshot."""
    snapshot = object_of(value)
    if not isinstance(snapshot.get("values"), dict) and "channel_values" not in snapshot:
        return None
    holders = (snapshot.get("config"), snapshot.get("checkpoint"), snapshot)
    for holder in map(object_of, holders):
        for fields in (object_of(holder.get("configurable")), holder):
            if thread := identifier_of(fields.get("thread_id")):
                return f"{thread} {identifier_of(fields.get('checkpoint_ns')) or ''}"
    return None


def is_langchain_event(value: Any) -> bool:
    """Whether a value is an event of `astream_events`."""
    event = object_of(value)
    name = event.get("event")
    if not isinstance(name, str) or not name.startswith(_EVENTS):
        return False
    return "run_id" in event and isinstance(event.get("data"), dict)


def _events(events: list[Any], parts: Ledger) -> dict[str, Any]:
    """The run that events tell of: its last state, or what its models and tools gave."""
    best: list[Any] = []
    seen: dict[str, Any] = {}
    for number, event in enumerate(events):
        parts.keep()
        data = event["data"]
        for end in (data.get("input"), data.get("output")):
            messages = state_in(constructed(end))
            if messages is not None and len(messages[0]) > len(best):
                best = messages[0]
        if event["event"] in ("on_chat_model_end", "on_tool_end", "on_chat_model_start", "on_chain_start"):
            for message in _messages_of(data):
                name = _message_id(message) or f"#{number}"
                seen.setdefault(name, message)
    messages = list(seen.values()) if len(seen) > len(best) else best
    if not messages:
        raise UnreadableRecord("not a conversation of LangChain: no messages in the events of a run")
    turns = Turns()
    for message in messages:
        add_message(message, turns, Ledger("parts"))  # the events are the parts that count
    return chat_record(turns)


def _messages_of(data: Mapping[str, Any]) -> Iterator[Any]:
    output = data.get("output")
    if is_langchain_message(output):
        yield output
        return
    if output is None:
        state = object_of(data.get("input")).get("messages")
        for message in listed(state[0] if isinstance(state, list) and state and isinstance(state[0], list) else state):
            if is_langchain_message(message):
                yield message


def _message_id(message: Any) -> str | None:
    fields = constructed(message)
    return identifier_of(fields.get("id") or object_of(fields.get("data")).get("id"))


def _steps_of_executor(value: Any) -> list[Any] | None:
    """The steps of an AgentExecutor: pairs of an action and what was observed."""
    steps = object_of(value).get("intermediate_steps")
    if not isinstance(steps, list) or not steps:
        return None
    pairs = [step for step in steps if isinstance(step, list) and len(step) == 2 and "tool" in constructed(step[0])]
    return steps if pairs else None


def _executor(value: Mapping[str, Any], steps: list[Any], parts: Ledger) -> dict[str, Any]:
    turns = Turns()
    question = value.get("input", value.get("question", value.get("query")))
    if question:
        turns.says("user", flat(question))
    for number, step in enumerate(steps):
        pair = step if isinstance(step, list) and len(step) == 2 else [None, None]
        action = constructed(pair[0])
        if "tool" not in action:
            parts.drop("intermediate step without a tool", example=text_of(step))
            continue
        parts.keep()
        turns.close()
        if thought := _thought(text_of(action.get("log"))):
            turns.reason(thought)
        call_id = identifier_of(action.get("tool_call_id")) or f"step-{number}"
        arguments = action.get("tool_input")
        turns.call(action.get("tool"), {"input": arguments} if _is_plain(arguments) else arguments, call_id)
        text, failed = tool_text(pair[1])
        rows = document_rows(pair[1], "")
        turns.result(text, call_id, failed=failed, results=None if rows is None else [rows])
    if answer := flat(value.get("output")):
        turns.text(answer)
    used = ("intermediate_steps", "input", "output", "chat_history")
    beside = {key: part for key, part in value.items() if key not in used}
    return chat_record(turns, beside)


def _is_plain(arguments: Any) -> bool:
    """Whether a tool's input is one text, and not the JSON of an object."""
    return isinstance(arguments, str) and not arguments.lstrip().startswith("{")


def _thought(log: str) -> str:
    """The reasoning in the log of an action, which also says which tool is called with what."""
    if "\nInvoking: " in log or log.startswith("Invoking: "):
        _, spoken, text = log.partition("\nresponded: ")
        return text.strip() if spoken else ""
    text = log.partition("\nAction:")[0] if not log.startswith("Action:") else ""
    return join_texts(text.strip().removeprefix("Thought:").strip())
