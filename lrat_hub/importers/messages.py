"""Chat messages of many dialects in one form.

Read are messages as the OpenAI API and TRL write them, LangChain's (`messages_to_dict`, `model_dump`, `dumpd`),
Anthropic's content blocks, harmony's channels, smolagents' message roles, the Hub's session traces, and the text
protocols that put `<think>`, `<tool_call>`, `<tool_response>` and `<answer>` into plain texts.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from lrat_hub.importers.values import UnreadableRecord, join_texts, listed, load_json, object_of, storable, text_of

Role = Literal["system", "user", "assistant", "tool"]

ROLES: dict[str, Role] = {
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("user", "human"), "user"),
    **dict.fromkeys(("assistant", "ai", "AIMessageChunk", "gpt", "model", "tool-call"), "assistant"),
    **dict.fromkeys(("tool", "function", "observation", "tool-response", "toolResult"), "tool"),
}

_TOOL_CALL = re.compile(r"<tool_call>(.*?)(?:</tool_call>|$)", re.DOTALL)
_TOOL_RESPONSE = re.compile(r"<tool_response>(.*?)(?:</tool_response>|$)", re.DOTALL)
_ANSWER = re.compile(r"<answer>(.*?)(?:</answer>|$)", re.DOTALL)


@dataclass(frozen=True)
class Call:
    """A tool call. `error` says why it can't be read, if so; `id` is None where calls and results go by order."""

    name: Any
    arguments: Any
    id: str | None = None
    error: str | None = None


@dataclass(frozen=True)
class Result:
    """What a tool showed. `failed` is whether the log marks it as a failure."""

    text: str
    call_id: str | None = None
    failed: bool = False


@dataclass(frozen=True)
class Message:
    """One message. `answer` is the final answer where it is marked as such."""

    role: Role
    text: str = ""
    reasoning: str = ""
    calls: tuple[Call, ...] = ()
    results: tuple[Result, ...] = ()
    answer: str | None = None


def is_message(value: Any) -> bool:
    """Whether a value is a message of a dialect that is read."""
    return isinstance(value, dict) and _role(_unwrapped(value)) is not None


def read_messages(raw: Mapping[str, Any]) -> Iterator[Message]:
    """A message in the one form: several where a text protocol writes tool responses into the agent's own text.

    Raises:
        UnreadableRecord: It is of an unknown role.
    """
    raw = _unwrapped(raw)
    role = _role(raw)
    if role is None:
        raise UnreadableRecord("unknown role")
    message = _parsed(role, raw)
    if role == "assistant" and not message.calls:
        yield from _protocol(message)
    elif role in ("user", "tool") and not message.results and (shown := _TOOL_RESPONSE.findall(message.text)):
        yield replace(message, results=tuple(Result(text.strip()) for text in shown))
    elif role == "tool" and not message.results:
        failed = raw.get("status") == "error" or raw.get("isError") is True or raw.get("is_error") is True
        call_id = raw.get("tool_call_id", raw.get("toolCallId"))
        # The prefix of smolagents' tool responses.
        text = message.text.removeprefix("Observation:\n")
        yield replace(message, results=(Result(text, _id(call_id), failed),))
    else:
        yield message


def split_thought(text: str) -> tuple[str, str]:
    """The thought and the rest of a text that may carry both; a missing opening or closing tag is common."""
    thought, closed, rest = text.rpartition("</think>")
    if not closed and text.lstrip().startswith("<think>"):
        thought, rest = text, ""
    return thought.replace("<think>", "").strip(), rest.strip()


def split_answer(text: str) -> tuple[str, str]:
    """The thought and the answer of a last text that may carry both in tags."""
    thought, closed, rest = text.rpartition("</think>")
    tagged = _ANSWER.search(rest)
    return thought.replace("<think>", "").strip() if closed else "", (tagged[1] if tagged else rest).strip()


def _unwrapped(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """A message out of LangChain's envelopes."""
    if isinstance(raw.get("data"), dict) and "role" not in raw:
        return {"type": raw.get("type"), **raw["data"]}
    if "lc" in raw and isinstance(raw.get("kwargs"), dict):
        return raw["kwargs"]
    return raw


def _role(raw: Mapping[str, Any]) -> Role | None:
    name = raw.get("role") or raw.get("from") or raw.get("type")
    # A type alone also names things that are no messages: those have a content.
    if not raw.keys() & {"role", "from"} and not raw.keys() & {"content", "tool_calls"}:
        return None
    return ROLES.get(name) if isinstance(name, str) else None


def _parsed(role: Role, raw: Mapping[str, Any]) -> Message:
    content = raw.get("content", raw.get("value"))
    parts = [part if isinstance(part, dict) else {"type": "text", "text": part} for part in listed(content)]
    kinds = [part.get("type") for part in parts]
    text = join_texts(*(text_of(part.get("text", part.get("content"))) for part in parts if _is_text(part)))
    if role != "assistant":
        results = [
            Result(_flat(part.get("content")), _id(part.get("tool_use_id")), part.get("is_error") is True)
            for part in parts
            if part.get("type") == "tool_result"
        ]
        if role == "tool" and not any(map(_is_text, parts)) and not results:
            text = text_of(content)
        return Message(role, text, results=tuple(results))
    extra = object_of(raw.get("additional_kwargs"))
    reasoning = [
        raw.get("reasoning_content") or raw.get("reasoning") or raw.get("thinking"),
        extra.get("reasoning_content"),
    ]
    reasoning += [
        part.get("thinking", part.get("reasoning", part.get("text")))
        for part, kind in zip(parts, kinds, strict=True)
        if kind in ("thinking", "reasoning")
    ]
    message = Message(role, text, join_texts(*map(text_of, reasoning)), tuple(_calls(raw, parts, text)))
    if message.calls and (raw.get("role") == "tool-call" or _harmony_tool(raw)):
        return replace(message, text="")
    if raw.get("channel") == "analysis":
        return replace(message, text="", reasoning=text)
    return message


def _is_text(part: Mapping[str, Any]) -> bool:
    return part.get("type") in (None, "text", "output_text", "input_text", "refusal")


def _flat(content: Any) -> str:
    """The text of a content: a string, or parts with texts."""
    if isinstance(content, list) and all(isinstance(part, dict) and "text" in part for part in content):
        return join_texts(*(text_of(part["text"]) for part in content))
    return text_of(content)


def _calls(raw: Mapping[str, Any], parts: Sequence[Mapping[str, Any]], text: str) -> Iterator[Call]:
    if recipient := _harmony_tool(raw):
        yield Call(recipient, text)
        return
    if raw.get("role") == "tool-call":
        yield from map(_call, _repr_list(text.partition("Calling tools:\n")[2]))
        return
    calls = raw.get("tool_calls") or raw.get("toolCalls") or object_of(raw.get("additional_kwargs")).get("tool_calls")
    yield from map(_call, listed(calls))
    for call in listed(raw.get("invalid_tool_calls")):
        broken = object_of(call)
        yield Call(broken.get("name"), broken.get("args"), _id(broken.get("id")), error="arguments are not JSON")
    if isinstance(raw.get("function_call"), dict):
        yield _call(raw["function_call"])
    if not calls:
        yield from (_call(part) for part in parts if part.get("type") in ("tool_use", "tool_call", "toolCall"))


def _harmony_tool(raw: Mapping[str, Any]) -> str | None:
    """The tool that a harmony message is addressed to."""
    recipient = raw.get("recipient")
    return recipient if isinstance(recipient, str) and recipient not in ("", "all", "user", "assistant") else None


def _repr_list(text: str) -> list[Any]:
    """The calls that smolagents writes into a text as the repr of a list."""
    try:
        return listed(storable(ast.literal_eval(text)))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return [None]


def _call(raw: Any) -> Call:
    if not isinstance(raw, dict):
        return Call(None, None, error="tool call is not an object")
    body = raw["function"] if isinstance(raw.get("function"), dict) else raw
    arguments = next(
        (body[key] for key in ("arguments", "args", "input", "parameters") if body.get(key) is not None), {}
    )
    return Call(body.get("name"), arguments, _id(raw.get("id")))


def _id(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _protocol(message: Message) -> Iterator[Message]:
    """Splits the texts of a protocol in tags at the tool responses that may stand in them."""
    pieces = _TOOL_RESPONSE.split(message.text)
    for place, piece in enumerate(pieces):
        if place % 2:
            yield Message("tool", results=(Result(piece.strip()),))
        elif piece.strip() or len(pieces) == 1:
            thought, rest = split_thought(piece)
            answer = _ANSWER.search(rest)
            yield Message(
                "assistant",
                _ANSWER.sub("", _TOOL_CALL.sub("", rest)).strip(),
                join_texts(message.reasoning if place == 0 else "", thought),
                tuple(_tagged_call(body) for body in _TOOL_CALL.findall(rest)),
                answer=answer[1].strip() if answer else None,
            )


def _tagged_call(body: str) -> Call:
    try:
        return _call(load_json(body))
    except (ValueError, RecursionError):
        return Call(None, None, error="tool call is not JSON")
