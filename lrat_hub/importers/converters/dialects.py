"""Messages in what tracing tools keep as the input and the output of a model call, in the form of chat records.

Read are lists of messages, the wrappers that clients and frameworks put around them (`messages`, `choices`,
`generations`, `output`), messages with `parts` as the semantic conventions of OpenTelemetry write them, and all that
`lrat_hub.importers.messages` reads. Any of them can be JSON text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lrat_hub.importers.messages import ROLES, WITHOUT_ACTION, Message, is_message, read_messages
from lrat_hub.importers.values import (
    UnreadableRecord,
    identifier_of,
    join_texts,
    json_or_none,
    listed,
    object_of,
    text_of,
)
from lrat_hub.ledger import Ledger

Chat = dict[str, Any]
"""A message of a chat record."""

MAX_DEPTH = 6
"""Wrappers within wrappers that are looked into."""

_WRAPPERS = ("messages", "generations", "choices", "message", "output", "outputs", "input", "response", "kwargs")
_TEXTS = ("text", "content", "reasoning", "thinking", "value")
_MEDIA = {"blob", "uri", "file", "image-url", "audio-url", "video-url", "document-url", "binary", "media"}


class Unknown:
    """Counts what is not understood in messages, each thing once: a history repeats them call after call."""

    def __init__(self, parts: Ledger) -> None:
        self._parts = parts
        self._seen: set[tuple[str, str]] = set()

    def drop(self, reason: str, example: str) -> None:
        if (reason, example[:200]) not in self._seen:
            self._seen.add((reason, example[:200]))
            self._parts.drop(reason, example=example)


def parsed(value: Any) -> Any:
    """A value that may be the JSON text of an object or a list."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        inner = json_or_none(value)
        return inner if isinstance(inner, (dict, list)) else value
    return value


def messages_in(value: Any, unknown: Unknown, *, role: str = "user", depth: int = 0) -> list[Chat]:
    """The messages of an input or an output.

    Args:
        role: Whose message a text without a role is.
    """
    value = parsed(value)
    if depth > MAX_DEPTH or value is None:
        return []
    if isinstance(value, str):
        return [{"role": role, "content": value}] if value.strip() else []
    if isinstance(value, list):
        return _in_list(value, unknown, role, depth)
    if not isinstance(value, dict):
        return []
    if isinstance(value.get("parts"), list) and "role" in value:
        return list(_of_parts(value, unknown))
    if is_message(value):
        return _read(value, unknown)
    for key in _WRAPPERS:
        if isinstance(inner := parsed(value.get(key)), (list, dict)) and (
            messages := messages_in(inner, unknown, role=role, depth=depth + 1)
        ):
            system = value.get("system") if key == "messages" else None
            return [*_system(system), *messages]
    if isinstance(value.get("content"), (str, list)) and value["content"]:
        return _read({"role": role, **{key: part for key, part in value.items() if key != "role"}}, unknown)
    if role == "assistant" and isinstance(calls := value.get("tool_calls", value.get("toolCalls")), list) and calls:
        return _read({"role": role, "content": value.get("text", ""), "tool_calls": calls}, unknown)
    return []


def question_in(value: Any) -> str:
    """The question or the answer in the input or the output of a whole run, "" where it is something else."""
    value = parsed(value)
    keys = ("question", "query", "input", "prompt", "user_input", "output", "answer", "text", "content", "result")
    for _ in range(MAX_DEPTH):
        if not isinstance(value, dict):
            break
        value = parsed(next((value[key] for key in keys if value.get(key)), None))
    return value.strip() if isinstance(value, str) else ""


def _system(value: Any) -> list[Chat]:
    text = join_texts(*(text_of(object_of(part).get("text", part)) for part in listed(value)))
    return [{"role": "system", "content": text}] if text else []


def _in_list(values: Sequence[Any], unknown: Unknown, role: str, depth: int) -> list[Chat]:
    if values and all(isinstance(value, list) and not _is_pair(value) for value in values):
        # A batch of conversations: tracing tools keep one call in it.
        return messages_in(values[0], unknown, role=role, depth=depth + 1)
    messages: list[Chat] = []
    for value in values:
        if _is_pair(value):
            messages += [{"role": ROLES[value[0]], "content": value[1]}]
        elif isinstance(value, (dict, list)):
            messages += messages_in(value, unknown, role=role, depth=depth + 1)
    return messages


def _is_pair(value: Any) -> bool:
    """Whether a value is a message as LangChain abbreviates it: a role and a text."""
    return (
        isinstance(value, (list, tuple)) and len(value) == 2
        and isinstance(value[0], str) and value[0] in ROLES and isinstance(value[1], str)
    )  # fmt: skip


def _read(raw: Mapping[str, Any], unknown: Unknown) -> list[Chat]:
    account = Ledger("parts")
    try:
        chats = [chat for message in read_messages(raw, account) for chat in chats_of(message)]
    except UnreadableRecord as error:
        unknown.drop(str(error), text_of(raw))
        return []
    for reason in account.dropped:
        unknown.drop(reason, account.examples.get(reason, ""))
    return chats


def chats_of(message: Message) -> Iterator[Chat]:
    """A message that was read, as messages of a chat record."""
    text = message.text if message.answer is None else join_texts(message.text, f"<answer>{message.answer}</answer>")
    if message.role == "assistant":
        calls = [tool_call(call.name, call.arguments, call.id) for call in message.calls]
        yield assistant(text, message.reasoning, calls)
        return
    for result in message.results:
        apart: Chat = {} if result.results is None else {"results": [list(rows) for rows in result.results]}
        apart |= {"docids": list(result.docids)} if result.docids else {}
        yield tool_result(result.text, result.call_id, failed=result.failed) | apart
    if message.role != "tool" and (text or not message.results):
        yield {"role": message.role, "content": text}


def assistant(text: str, reasoning: str = "", calls: Sequence[Mapping[str, Any]] = ()) -> Chat:
    chat: Chat = {"role": "assistant", "content": text}
    if reasoning:
        chat["reasoning_content"] = reasoning
    if calls:
        chat["tool_calls"] = list(calls)
    return chat


def tool_call(name: Any, arguments: Any, call_id: str | None = None) -> dict[str, Any]:
    call: dict[str, Any] = {"function": {"name": name, "arguments": {} if arguments is None else arguments}}
    return call | ({"id": call_id} if call_id else {})


def tool_result(text: str, call_id: str | None = None, *, failed: bool = False) -> Chat:
    chat: Chat = {"role": "tool", "content": text}
    if call_id:
        chat["tool_call_id"] = call_id
    if failed:
        chat["is_error"] = True
    return chat


def _of_parts(raw: Mapping[str, Any], unknown: Unknown) -> Iterator[Chat]:
    """A message of the semantic conventions, whose tool results each become a message."""
    role = ROLES.get(text_of(raw["role"]))
    if role is None:
        unknown.drop(f"message of unknown role: {raw['role']!r:.40}", text_of(raw))
        return
    texts: list[str] = []
    reasoning: list[str] = []
    calls: list[dict[str, Any]] = []
    for part in raw["parts"]:
        kind = part.get("type") if isinstance(part, dict) else None
        content = text_of(next((part[key] for key in _TEXTS if part.get(key) is not None), "")) if kind else ""
        if isinstance(part, str):
            texts.append(part)
        elif kind in ("reasoning", "thinking"):
            reasoning.append(content)
        elif kind in ("text", "refusal", "compaction"):
            texts.append(content)
        elif kind in ("tool_call", "tool-call", "function_call"):
            arguments = next((part[key] for key in ("arguments", "args", "input") if part.get(key) is not None), None)
            calls.append(tool_call(part.get("name"), arguments, identifier_of(part.get("id"))))
        elif kind in ("tool_call_response", "tool-call-response", "tool_result"):
            shown = next((part[key] for key in ("response", "result", "content") if part.get(key) is not None), "")
            failed = part.get("is_error") is True or part.get("isError") is True
            yield tool_result(shown_text(shown), identifier_of(part.get("id")), failed=failed)
        elif kind not in _MEDIA | WITHOUT_ACTION:
            unknown.drop(f"part of unknown type {kind!r}", text_of(part))
    text = join_texts(*texts)
    if role == "assistant":
        yield assistant(text, join_texts(*reasoning), calls)
    elif role == "tool" and text:
        yield tool_result(text, identifier_of(raw.get("tool_call_id", raw.get("id"))))
    elif text:
        yield {"role": role, "content": text}


def shown_text(value: Any) -> str:
    """What a tool showed, as text: out of the blocks and the tool message that frameworks wrap it into."""
    inner = parsed(value)
    if isinstance(inner, dict):
        body = inner["kwargs"] if "lc" in inner and "kwargs" in inner else inner.get("data", inner)
        is_message = "tool" in (inner.get("type"), object_of(body).get("type")) or "tool_call_id" in object_of(body)
        if isinstance(body, dict) and is_message:
            return shown_text(body.get("content"))
        if len(inner) == 1 and (only := next(iter(inner))) in ("output", "result", "content"):
            return shown_text(inner[only])
    blocks = listed(inner)
    if blocks and all(isinstance(block, dict) and block.get("type") == "text" and "text" in block for block in blocks):
        return join_texts(*(text_of(block["text"]) for block in blocks))
    return text_of(value)
