"""The Vercel AI SDK: model messages, the older core messages, UI messages, and results of `generateText` with steps.

Source: `vercel/ai@ed857f50f1`, `packages/provider-utils/src/types/content-part.ts` and
`packages/ai/src/ui/ui-messages.ts`, and what `ai` 6.0.326 (npm) writes. Older names of the same things: `args` for
`input`, `result` for `output`, `toolInvocations` for parts of a tool.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lrat_hub.importers.converters.contents import flat, label_of, tool_text
from lrat_hub.importers.converters.turns import Turns, chat_record, conversation_in
from lrat_hub.importers.sources.grouping import by_key, parts_of
from lrat_hub.importers.values import UnreadableRecord, identifier_of, listed, object_of, text_of
from lrat_hub.ledger import Ledger

# Parts that are known and are no action: files, where an answer's sources are, what the interface shows.
_ASIDE = {
    "file", "image", "source", "source-url", "source-document", "step-start", "reasoning-file", "custom",
    "tool-approval-request", "tool-approval-response", "redacted-reasoning",
}  # fmt: skip
_ROLES = ("system", "user", "assistant", "tool", "data")
_ERRORS = ("error-text", "error-json", "execution-denied")


def recognise_vercel(value: Any) -> str | None:
    """Why a record was written by the Vercel AI SDK, or None."""
    if (steps := _steps_in(value)) is not None:
        return f"a result of the Vercel AI SDK with {len(steps)} steps"
    if _chat_of(value) is not None and is_vercel_message(value):
        return "a message of a chat with parts of the Vercel AI SDK"
    if conversation_in(value, is_vercel_message) is not None:
        return "a list of messages with parts of the Vercel AI SDK (`toolCallId`)"
    return None


def is_vercel_message(value: Any) -> bool:
    """Whether a message has the SDK's parts."""
    message = object_of(value)
    if message.get("role") not in _ROLES:
        return False
    if isinstance(parts := message.get("parts"), list):
        typed = [part for part in parts if isinstance(part, dict) and isinstance(part.get("type"), str)]
        return bool(typed) and len(typed) == len(parts) and all(map(_is_ui_part, typed))
    if isinstance(invocations := message.get("toolInvocations"), list) and invocations:
        return "toolCallId" in object_of(invocations[0])
    return any(
        isinstance(part, dict) and part.get("type") in ("tool-call", "tool-result") and "toolCallId" in part
        for part in listed(message.get("content"))
    )


def convert_vercel(value: Any, parts: Ledger) -> Iterator[dict[str, Any]]:
    """A conversation or a result as a chat record.

    Raises:
        UnreadableRecord: It is neither.
    """
    turns = Turns()
    parts_of(value)  # raises for a chat of too many messages
    if (steps := _steps_in(value)) is not None:
        result = value if isinstance(value, dict) else {}
        for message in listed(result.get("messages")):
            _message(object_of(message), turns, parts)
        if isinstance(prompt := result.get("prompt"), str):
            turns.says("user", prompt)
        for step in steps:
            _step(object_of(step), turns, parts)
        used = ("steps", "messages", "prompt", "response", "content", "text", "reasoning", "toolCalls", "toolResults")
        beside = {key: part for key, part in result.items() if key not in used and _is_small(part)}
        yield chat_record(turns, beside, agent=_model_of(steps))
        return
    located = conversation_in(value, is_vercel_message)
    if located is None:
        raise UnreadableRecord("not a conversation of the Vercel AI SDK: no parts with `toolCallId`")
    messages, beside = located
    for message in messages:
        _message(object_of(message), turns, parts)
    yield chat_record(turns, beside)


def _chat_of(value: Any) -> str | None:
    """The chat of a message that stands alone, as in the rows of a database."""
    chat = identifier_of(object_of(value).get("chatId", object_of(value).get("chat_id")))
    return f"chat {chat}" if chat is not None and "role" in object_of(value) else None


group_vercel = by_key(_chat_of)
"""Puts the messages of a chat together."""


def _steps_in(value: Any) -> list[Any] | None:
    """The steps of a result, or None."""
    steps = value.get("steps") if isinstance(value, dict) else value
    if not isinstance(steps, list) or not steps:
        return None
    return steps if all(map(is_vercel_step, steps)) else None


def is_vercel_step(value: Any) -> bool:
    """Whether a value is a step of a result of `generateText`."""
    step = object_of(value)
    if "finishReason" not in step:
        return False
    return any(isinstance(step.get(key), list) for key in ("content", "toolCalls", "toolResults")) or isinstance(
        object_of(step.get("response")).get("messages"), list
    )


def _is_ui_part(part: Mapping[str, Any]) -> bool:
    kind = part["type"]
    if kind in ("text", "reasoning"):
        return isinstance(part.get("text", part.get("reasoning")), str)
    return kind in _ASIDE or kind == "dynamic-tool" or kind.startswith(("tool-", "data-"))


def _message(message: Mapping[str, Any], turns: Turns, parts: Ledger) -> None:
    role = message.get("role")
    if role not in _ROLES:
        parts.drop("message of an unknown role", example=text_of(message))
        return
    parts.keep()
    if role in ("user", "system", "data"):
        content = message.get("parts") if isinstance(message.get("parts"), list) else message.get("content")
        if role != "data":
            turns.says(role, flat([part for part in listed(content) if not _is_aside(part)], parts))
        return
    if role == "assistant":
        turns.close()
    if not isinstance(message.get("parts"), list) and isinstance(invocations := message.get("toolInvocations"), list):
        if reasoning := text_of(message.get("reasoning")):
            turns.reason(reasoning)
        for invocation in invocations:
            _invocation(None, object_of(invocation), turns)
        if text := flat(message.get("content"), parts):
            turns.text(text)
        return
    content = message["parts"] if isinstance(message.get("parts"), list) else message.get("content")
    for part in listed(content):
        if isinstance(part, str):
            turns.text(part)
        else:
            _part(object_of(part), turns, parts)


def _part(part: Mapping[str, Any], turns: Turns, parts: Ledger) -> None:
    kind = part.get("type")
    if kind == "text":
        turns.text(text_of(part.get("text")))
    elif kind == "reasoning":
        turns.reason(text_of(part.get("text", part.get("reasoning"))))
    elif kind == "tool-call" and not isinstance(part.get("state"), str):
        turns.call(part.get("toolName"), _first(part, "input", "args"), part.get("toolCallId"))
    elif kind == "tool-result" and not isinstance(part.get("state"), str):
        _result(part, turns)
    elif kind == "tool-error":
        error = part.get("error")
        turns.result(text_of(error) if error else "the tool failed", part.get("toolCallId"), failed=True)
    elif kind == "tool-invocation":
        _invocation(None, object_of(part.get("toolInvocation")), turns)
    elif kind == "dynamic-tool":
        _invocation(part.get("toolName"), part, turns)
    elif kind == "step-start":
        turns.close()
    elif isinstance(kind, str) and kind.startswith("tool-") and kind not in _ASIDE and "toolCallId" in part:
        _invocation(kind.removeprefix("tool-"), part, turns)
    elif not _is_aside(part):
        parts.drop(f"part of content of unknown type {label_of(part)!r}", example=text_of(part))
        return
    parts.keep()


def _is_aside(part: Any) -> bool:
    kind = object_of(part).get("type")
    return isinstance(kind, str) and (kind in _ASIDE or kind.startswith("data-"))


def _result(part: Mapping[str, Any], turns: Turns) -> None:
    output = _first(part, "output", "result", "experimental_content")
    kind = object_of(output).get("type")
    failed = part.get("isError") is True or kind in _ERRORS
    if kind in ("text", "json", "content", *_ERRORS):
        output = _first(object_of(output), "value", "reason")
    text, marked = tool_text(output)
    turns.result(text, part.get("toolCallId"), failed=failed or marked)


def _invocation(name: Any, part: Mapping[str, Any], turns: Turns) -> None:
    """A call and, as far as its state goes, what came of it."""
    call_id = part.get("toolCallId")
    turns.call(part.get("toolName", name), _first(part, "input", "args", "rawInput"), call_id)
    if part.get("state") in ("output-error", "output-denied"):
        turns.result(text_of(part.get("errorText")) or "the tool failed", call_id, failed=True)
    elif (output := _first(part, "output", "result")) is not None:
        text, failed = tool_text(output)
        turns.result(text, call_id, failed=failed)


def _step(step: Mapping[str, Any], turns: Turns, parts: Ledger) -> None:
    turns.close()
    if isinstance(step.get("content"), list):
        for part in step["content"]:
            _part(object_of(part), turns, parts)
        return
    parts.keep()
    if reasoning := flat(_first(step, "reasoningText", "reasoning")):
        turns.reason(reasoning)
    if text := text_of(step.get("text")):
        turns.text(text)
    for raw in listed(step.get("toolCalls")):
        call = object_of(raw)
        turns.call(call.get("toolName"), _first(call, "input", "args"), call.get("toolCallId"))
    for raw in listed(step.get("toolResults")):
        _result(object_of(raw), turns)


def _first(values: Mapping[str, Any], *keys: str) -> Any:
    return next((values[key] for key in keys if values.get(key) is not None), None)


def _model_of(steps: list[Any]) -> str | None:
    step = object_of(steps[0])
    model = object_of(step.get("response")).get("modelId") or object_of(step.get("model")).get("modelId")
    return model if isinstance(model, str) else None


def _is_small(part: Any) -> bool:
    return not isinstance(part, (list, dict))
