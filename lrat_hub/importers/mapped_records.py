"""Records as a mapping file describes them, turned into chat records.

A chat record is what all conversations are read from: `messages`, and beside them `question`, `gold_answer`,
`final_answer`, `correct`, `status` and `query_id`. What the mapping does not name stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from lrat_hub.importers.chat_messages import Chat, assistant, tool_call, tool_result
from lrat_hub.importers.mapping import (
    REASONING,
    CallKeys,
    FieldName,
    LogMapping,
    MessageKeys,
    TagName,
    TextPattern,
    first_at,
)
from lrat_hub.importers.message_texts import thoughts_of
from lrat_hub.importers.messages import ROLES, read_messages
from lrat_hub.importers.outcomes import ANSWERS
from lrat_hub.importers.values import UnreadableRecord, identifier_of, listed, object_of, text_of
from lrat_hub.ledger import Ledger

MESSAGES = ("messages", "conversations", "conversation")
"""Keys under which records keep their messages."""

OTHER_MESSAGES = (
    "messages_and_choices", "traj", "trajectory", "history", "chat_history", "transcript", "dialogue",
    "intermediate_steps",
)  # fmt: skip
"""Keys under which some keep them, and others something else."""

AGENTS = ("assistant", "ai", "gpt", "model")
"""Roles of messages that the agent wrote."""

_ACTIONS: Mapping[str, tuple[str, str]] = {"search": ("search", "query"), "browse": ("visit", "url")}
"""For tags that hold an action, the tool that stands for it and its argument."""


def chat_record(record: Any, mapping: LogMapping) -> Any:
    """A record as the mapping says; itself where the mapping says nothing about records.

    A verdict or status whose meaning the mapping does not say stays as it was written.

    Raises:
        UnreadableRecord: The mapping says where the messages are, and there are none.
    """
    if not mapping.reshapes:
        return record
    messages = _messages(record, mapping)
    if messages is not None and mapping.message is not None:
        messages = [_renamed(message, mapping.message) for message in messages]
    changed: dict[str, Any] = dict(record) if isinstance(record, dict) else {}
    ending = None
    for name, known in mapping.fields.items():
        if name == "messages":
            changed.pop(known.paths[0].partition(".")[0], None)
        elif name == "final_answer" and not known.paths and messages is not None:
            ending = known.pattern  # whether the last message is an answer is known once its calls are
        elif (value := _value(record, name, mapping, messages)) is not None:
            if name in ("final_answer", "gold_answer"):
                # What stays under such a key would be taken for the other one of the two.
                changed = {key: part for key, part in changed.items() if key not in {*known.paths} & {*ANSWERS}}
            if name in ("correct", "status"):
                # What the file explains is not guessed at once more.
                explained = {path.partition(".")[0] for path in known.paths} - {name}
                told = {key: changed.pop(key) for key in explained & changed.keys()}
                changed["metadata"] = {**told, **object_of(changed.get("metadata"))}
            changed[name] = value
    if messages is None:
        return changed if isinstance(record, dict) else record
    if mapping.calls is not None:
        messages = [inner for message in messages for inner in _with_calls(message, mapping.calls)]
    if mapping.tags:
        messages = [inner for message in messages for inner in _untagged(message, mapping)]
    if ending is not None:
        messages, answer = _with_answer_apart(messages, ending)
        changed |= {"final_answer": answer} if answer is not None else {}
    return {**changed, "messages": messages}


def unused_keys(mapping: LogMapping, records: Sequence[Any]) -> Iterator[str]:
    """What a mapping file names and none of the records has, each as `name: path`."""
    messages: list[Any] = []
    for record in records:
        with suppress(UnreadableRecord):
            messages += _messages(record, mapping) or ()
    keys, calls = mapping.message or MessageKeys(), mapping.calls or CallKeys()
    held = [call for message in messages for call in listed(first_at(message, calls.calls))]
    where: list[tuple[Sequence[Any], dict[str, tuple[str, ...]]]] = [
        (records, {name: known.paths for name, known in mapping.fields.items()}),
        (messages, {f"message.{name}": getattr(keys, name) for name in ("role", "content", "reasoning", "call_id")}),
        (messages, {"calls.list": calls.calls}),
        (
            held if calls.calls else messages,
            {f"calls.{name}": getattr(calls, name) for name in ("name", "arguments", "id", "result")},
        ),
    ]
    for values, named in where:
        for name, paths in named.items():
            if values and paths and all(first_at(value, paths) is None for value in values):
                yield f"{name}: {', '.join(paths)}"


def _messages(record: Any, mapping: LogMapping) -> list[Any] | None:
    if "messages" in mapping.fields:
        messages = mapping.fields["messages"].find(record)
        if isinstance(messages, str):
            return [assistant(messages)]
        if not isinstance(messages, list):
            raise UnreadableRecord("not a trajectory: no messages where the mapping file says they are")
        return messages
    if isinstance(record, list):
        return record
    return next((inner for key in MESSAGES if isinstance(inner := first_at(record, (key,)), list)), None)


def _renamed(message: Any, keys: MessageKeys) -> Any:
    """A message with its keys and its role under their usual names."""
    if not isinstance(message, dict):
        return message
    role = first_at(message, keys.role) if keys.role else _role(message)
    changed = {**message, "role": keys.roles.get(text_of(role).strip().casefold(), role)}
    for name, paths in (
        ("content", keys.content),
        ("reasoning_content", keys.reasoning),
        ("tool_call_id", keys.call_id),
    ):
        if not paths:
            continue
        if (value := first_at(message, paths)) is None:
            # Texts under a key that the file does not name are looked for, and counted where there are none.
            changed.pop(name, None)
        else:
            changed[name] = value
    if changed["role"] != REASONING:
        return changed
    thought = _content(changed) or thoughts_of(changed.get("reasoning_content")) or thoughts_of(message)
    # Without any text it stays as it is: a message of an unknown role, which is counted.
    return {**changed, **assistant("", thought)} if thought else changed


def _with_answer_apart(messages: Sequence[Any], pattern: TextPattern) -> tuple[list[Any], str | None]:
    """The messages with the text before the answer, in the agent's last one, as its reasoning; and the answer.

    A message with a call is no answer, whatever it says.
    """
    for place in reversed(range(len(messages))):
        message = messages[place]
        if _role(message) not in AGENTS:
            continue
        if any(read.calls or read.answer is not None for read in read_messages(message, Ledger("parts"))):
            break
        if text := _content(message):
            match = pattern.search(text)
            if match is None or not (answer := (match["final_answer"] or "").strip()):
                break
            thoughts = [text_of(message.get("reasoning_content")), text[: match.start()].strip()]
            said = {**_assistant(thoughts), "content": f"<answer>{answer}</answer>"}
            return [*messages[:place], said, *messages[place + 1 :]], answer
    return list(messages), None


def _value(record: Any, name: FieldName, mapping: LogMapping, messages: Sequence[Any] | None) -> Any:
    known = mapping.fields[name]
    value = known.find(record)
    if known.paths and value is None:
        return None
    if known.meanings:
        meaning = known.meaning(value)
        return value if meaning is None else meaning
    if known.pattern is not None:
        if not known.paths:
            roles = ("user", "human") if name == "question" else AGENTS
            value = _text_of_role(messages or (), roles, last=name != "question")
            if name == "question" and len(messages or ()) == 1:
                value = value or _text_of_role(messages or (), AGENTS, last=False)  # the run is one text
        return known.extract(text_of(value))
    return value


def _text_of_role(messages: Sequence[Any], roles: Sequence[str], *, last: bool) -> str:
    texts = (_content(message) for message in (reversed(messages) if last else messages) if _role(message) in roles)
    return next((text for text in texts if text), "")


def _role(message: Any) -> str:
    if not isinstance(message, dict):
        return ""
    return text_of(message.get("role") or message.get("from") or message.get("type")).casefold()


def _content(message: Mapping[str, Any]) -> str:
    content = message.get("content", message.get("value"))
    if isinstance(content, list):
        return "\n".join(text_of(part.get("text")) if isinstance(part, dict) else text_of(part) for part in content)
    return text_of(content)


def _with_calls(message: Any, keys: CallKeys) -> Iterator[Any]:
    """A message with its calls where they usually are, and the results that its calls hold as messages."""
    if not isinstance(message, dict):
        yield message
        return
    raw = first_at(message, keys.calls) if keys.calls else message.get("tool_calls")
    # A message that is a call itself has no list; it has the name of a tool, as what a tool showed may, too.
    is_result = not keys.result and ROLES.get(_role(message)) == "tool"
    if not keys.calls and raw is None and not is_result and first_at(message, keys.name) is not None:
        raw = [message]
    items = listed(raw)
    # Where the list is a content, its texts are no calls, and those behind a result have seen it.
    are_parts = bool(keys.name) and any(_is_text_part(item) for item in items)
    texts, calls, results = [] if are_parts else [_content(message)], [], []
    has_calls = False
    for number, item in enumerate(items):
        name, call_id = first_at(item, keys.name), identifier_of(first_at(item, keys.id))
        if are_parts and name is None:
            if results and _is_text_part(item):
                yield _acting(message, texts, calls)
                yield from results
                texts, calls, results = [], [], []
            texts.append(_content({"content": [item]}))
            continue
        result = first_at(item, keys.result)
        if result is not None and call_id is None:
            call_id = f"call {number}"
        calls.append(tool_call(name, first_at(item, keys.arguments), call_id))
        has_calls = True
        if result is not None:
            results.append(tool_result(text_of(result), call_id))
    if not has_calls:
        yield message
    elif calls or any(texts):
        yield _acting(message, texts, calls)
        yield from results


def _acting(message: Mapping[str, Any], texts: Sequence[str], calls: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    changed = {**message, "role": "assistant", "content": "\n".join(filter(None, texts)), "tool_calls": list(calls)}
    return changed if calls else {key: value for key, value in changed.items() if key != "tool_calls"}


def _is_text_part(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, dict) and isinstance(value.get("text"), str))


def _untagged(message: Any, mapping: LogMapping) -> Iterator[Any]:
    """The messages that a text in tags stands for."""
    role = _role(message)
    if not isinstance(message, dict) or role not in (*AGENTS, "user", "human", "tool"):
        yield message
        return
    text = _content(message)
    agents = role in AGENTS
    # A prompt may explain the tags; what a user's message shows is taken where it is nothing else.
    names = tuple(mapping.tags) if agents else ("results", "page")
    pieces = list(_pieces(text, {name: mapping.tags[name] for name in names if name in mapping.tags}))
    shown = [inner for name, inner in pieces if name is not None]
    if not shown or (not agents and any(inner.strip() for name, inner in pieces if name is None)):
        yield message
        return
    thoughts, calls = [text_of(message.get("reasoning_content"))], message.get("tool_calls") if agents else None
    for name, inner in pieces:
        if name is not None and name in _ACTIONS:
            tool, argument = _ACTIONS[name]
            yield _assistant(thoughts, [tool_call(tool, {argument: inner.strip()})])
            thoughts = []
        elif name in ("results", "page"):
            yield tool_result(inner.strip())
        elif name == "answer" and not calls:
            yield {**_assistant(thoughts), "content": f"<answer>{inner.strip()}</answer>"}
            thoughts = []
        else:
            thoughts.append(inner.strip())
    if calls:
        yield _assistant(thoughts, calls)
    elif any(thoughts):
        yield assistant("\n".join(filter(None, thoughts)))


def _assistant(thoughts: Sequence[str], calls: Sequence[Mapping[str, Any]] = ()) -> Chat:
    return assistant("", "\n".join(filter(None, thoughts)), calls)


def _pieces(text: str, tags: Mapping[TagName, tuple[str, str]]) -> Iterator[tuple[TagName | None, str]]:
    """The parts of a text with the tag around each; None for what stands between tags. An open end is an end."""
    if not tags:
        yield None, text
        return
    begins: dict[str, TagName] = {before: name for name, (before, _) in tags.items()}
    opening, at = re.compile("|".join(map(re.escape, begins))), 0
    while match := opening.search(text, at):
        name = begins[match[0]]
        if tags[name][1]:
            end = text.find(tags[name][1], match.end())
        else:
            # What has no end of its own goes on to the next part.
            end = following.start() if (following := opening.search(text, match.end())) else -1
        if text[at : match.start()].strip():
            yield None, text[at : match.start()]
        yield name, text[match.end() : end if end >= 0 else len(text)]
        at = end + len(tags[name][1]) if end >= 0 else len(text)
    if text[at:].strip():
        yield None, text[at:]
