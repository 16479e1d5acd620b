"""Messages in what tracing tools keep as the input and the output of a model call, in the form of chat records.

Read are lists of messages, the wrappers that clients and frameworks put around them (`messages`, `choices`,
`generations`, `output`), messages with `parts` as the semantic conventions of OpenTelemetry write them, and all that
`lrat_hub.importers.messages` reads. Any of them can be JSON text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lrat_hub.importers.chat_messages import Chat, assistant, tool_call, tool_result
from lrat_hub.importers.converters.trace_values import MAX_DEPTH, Unknown, parsed, shown_text
from lrat_hub.importers.messages import ROLES, WITHOUT_ACTION, Message, is_message, read_messages
from lrat_hub.importers.values import (
    UnreadableRecord,
    identifier_of,
    join_texts,
    listed,
    object_of,
    text_of,
)
from lrat_hub.ledger import Ledger

_WRAPPERS = (
    "messages", "generations", "choices", "candidates", "contents", "message", "output", "outputs", "input",
    "response", "kwargs", "new_message", "content",
)  # fmt: skip
_PROMPTS = ("prompt", "contents", "input", "query", "question", "text", "output")
_DASHED = ("tool-call", "tool-result")
_CALLS = ("tool_call", "tool-call", "function_call")
_RESULTS = ("tool_call_response", "tool-call-response", "tool_result", "tool-result")
_SHOWN = ("response", "result", "output", "content")
_TEXTS = ("text", "content", "reasoning", "thinking", "value")
_MEDIA = {"blob", "uri", "file", "image-url", "audio-url", "video-url", "document-url", "binary", "media"}


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
    if isinstance(value.get("parts"), list) and ("role" in value or depth):
        return list(_of_parts({"role": role, **value}, unknown))
    if (item := _item(value)) is not None:
        return item
    content = value.get("content")
    if isinstance(content, list) and any(object_of(part).get("type") in _DASHED for part in content):
        return list(_of_parts({"role": role, **value, "parts": content}, unknown))
    if is_message(value):
        # LangChain's handler for Langfuse lists the tools that a model may call behind its messages.
        is_definition = object_of(content).get("type") == "function"
        return [] if is_definition else _with_calls_in_text(_read(value, unknown))
    for key in _WRAPPERS:
        if isinstance(inner := parsed(value.get(key)), (list, dict)) and (
            messages := messages_in(inner, unknown, role=role, depth=depth + 1)
        ):
            system = value.get("system") if key == "messages" else None
            return [*_system(system), *messages]
    if isinstance(content, (str, list)) and content:
        return _read({"role": role, **{key: part for key, part in value.items() if key != "role"}}, unknown)
    if role == "assistant" and isinstance(calls := value.get("tool_calls", value.get("toolCalls")), list) and calls:
        return _read({"role": role, "content": value.get("text", ""), "tool_calls": calls}, unknown)
    text = next((value[key] for key in _PROMPTS if isinstance(value.get(key), str) and value[key].strip()), None)
    return [{"role": role, "content": text}] if text is not None else []


def _with_calls_in_text(chats: list[Chat]) -> list[Chat]:
    """Messages with the calls that some clients write as JSON into the text."""
    for index, chat in enumerate(chats):
        calls = parsed(chat["content"]) if chat["role"] != "user" and "tool_calls" not in chat else None
        functions = [object_of(object_of(call).get("function")) for call in listed(calls)]
        if functions and all(
            isinstance(function.get("name"), str) and "arguments" in function for function in functions
        ):
            chats[index] = assistant("", chat.get("reasoning_content", ""), listed(calls))
    return chats


def _item(value: Mapping[str, Any]) -> list[Chat] | None:
    """An item of OpenAI's Responses API, or a call as Vercel's SDK writes it; None where it is neither."""
    kind = value.get("type")
    call_id = identifier_of(value.get("call_id", value.get("id")))
    if kind in ("function_call", "mcp_call", "custom_tool_call") and "name" in value:
        call = tool_call(value.get("name"), value.get("arguments", value.get("input")), call_id)
        shown = value.get("output")
        results = [] if shown is None else [tool_result(shown_text(shown), call_id, failed=bool(value.get("error")))]
        return [assistant("", "", [call]), *results]
    if kind in ("function_call_output", "custom_tool_call_output"):
        return [tool_result(shown_text(value.get("output")), call_id)]
    if kind == "reasoning" and "role" not in value:
        texts = [object_of(part).get("text") for key in ("content", "summary") for part in listed(value.get(key))]
        return [assistant("", join_texts(*(text for text in texts if isinstance(text, str))))]
    if kind == "web_search_call":
        action = object_of(value.get("action"))
        return [
            assistant("", "", [tool_call("web_search", {"query": action.get("query", action.get("url"))}, call_id)])
        ]
    if kind == "file_search_call":
        hits = [row for row in listed(value.get("results")) if isinstance(row, dict)]
        rows = [
            {"docid": row.get("file_id"), "title": row.get("filename"), **row, "snippet": row.get("text")}
            for row in hits
        ]
        call = tool_call("search", {"queries": value.get("queries")}, call_id)
        return [assistant("", "", [call]), tool_result(text_of(hits), call_id) | ({"results": [rows]} if rows else {})]
    if isinstance(value.get("toolName"), str) and "toolCallId" in value and "type" not in value:
        arguments = parsed(value.get("input", value.get("args")))
        return [assistant("", "", [tool_call(value["toolName"], arguments, identifier_of(value["toolCallId"]))])]
    return None


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
    return _together(messages) if any(_is_item(value) for value in values) else messages


def _is_item(value: Any) -> bool:
    return isinstance(value, dict) and ("toolCallId" in value or value.get("type") in ("function_call", "reasoning"))


def _together(messages: Sequence[Chat]) -> list[Chat]:
    """Items of one message of the agent as one: its reasoning, its text, and its calls."""
    joined: list[Chat] = []
    for chat in messages:
        last = joined[-1] if joined else {}
        if chat["role"] == "assistant" and last.get("role") == "assistant":
            reasoning = join_texts(last.get("reasoning_content", ""), chat.get("reasoning_content", ""))
            calls = [*last.get("tool_calls", []), *chat.get("tool_calls", [])]
            joined[-1] = assistant(join_texts(text_of(last["content"]), text_of(chat["content"])), reasoning, calls)
        else:
            joined.append(chat)
    return joined


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
        if isinstance(part, str):
            texts.append(part)
            continue
        if not isinstance(part, dict):
            unknown.drop("part that is not an object", text_of(part))
            continue
        kind = part.get("type", _gemini_kind(part))
        content = next((part[key] for key in _TEXTS if part.get(key) is not None), "")
        content = text_of(content.get("text") if isinstance(content, dict) and "text" in content else content)
        if isinstance(kind, str) and ("reasoning" in kind.lower() or "thinking" in kind):
            reasoning.append(content)
        elif kind in ("text", "refusal", "compaction"):
            texts.append(content)
        elif kind in _CALLS:
            body = object_of(part.get("function_call", part.get("functionCall"))) or part
            arguments = next((body[key] for key in ("arguments", "args", "input") if body.get(key) is not None), None)
            call_id = identifier_of(body.get("id", body.get("toolCallId")))
            calls.append(tool_call(body.get("name", body.get("toolName")), parsed(arguments), call_id))
        elif kind in _RESULTS:
            body = object_of(part.get("function_response", part.get("functionResponse"))) or part
            shown = next((body[key] for key in _SHOWN if body.get(key) is not None), "")
            if isinstance(shown, dict) and set(shown) <= {"type", "value"} and "value" in shown:
                shown = shown["value"]
            failed = any(body.get(key) is True for key in ("is_error", "isError"))
            yield tool_result(shown_text(shown), identifier_of(body.get("id", body.get("toolCallId"))), failed=failed)
        elif not isinstance(kind, str) or kind not in _MEDIA | WITHOUT_ACTION:
            unknown.drop(f"part of unknown type {kind!r:.40}", text_of(part))
    text = join_texts(*texts)
    if role == "assistant":
        yield assistant(text, join_texts(*reasoning), calls)
    elif role == "tool" and text:
        yield tool_result(text, identifier_of(raw.get("tool_call_id", raw.get("id"))))
    elif text:
        yield {"role": role, "content": text}


def _gemini_kind(part: Mapping[str, Any]) -> str | None:
    """What a part of Gemini's API is: its parts have no type."""
    if isinstance(part.get("text"), str):
        return "thinking" if part.get("thought") is True else "text"
    kinds = {"function_call": "tool_call", "functionCall": "tool_call"}
    kinds |= {"function_response": "tool_result", "functionResponse": "tool_result"}
    kinds |= dict.fromkeys(("inline_data", "inlineData", "file_data", "fileData"), "media")
    return next((kind for key, kind in kinds.items() if key in part), None)
