"""Chat messages of many dialects in one form.

Read are messages as the OpenAI API and TRL write them, LangChain's (`messages_to_dict`, `model_dump`, `dumpd`),
Anthropic's content blocks, harmony's channels, smolagents' message roles, the Hub's session traces, and the text
protocols that put `<think>`, `<tool_call>`, `<tool_response>` and `<answer>` into plain texts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from lrat_hub.importers.calls import CALLS, Call, call_of, calls_in_list, calls_of, harmony_tool
from lrat_hub.importers.message_texts import (
    NO_TEXT,
    content_elsewhere,
    part_text,
    text_or_json,
    thoughts_of,
    usual_part,
)
from lrat_hub.importers.values import (
    PART_TEXTS,
    UnreadableRecord,
    docid_of,
    identifier_of,
    is_row,
    join_texts,
    listed,
    load_json,
    object_of,
    response_text,
    responses_in,
    text_of,
)
from lrat_hub.ledger import Ledger

Role = Literal["system", "user", "assistant", "tool"]

ROLES: dict[str, Role] = {
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("user", "human"), "user"),
    **dict.fromkeys(
        ("assistant", "ai", "AIMessageChunk", "gpt", "model", "chatbot", "tool-call", "function_call"), "assistant"
    ),
    **dict.fromkeys(
        ("tool", "function", "observation", "ipython", "tool-response", "tool_response", "toolResult"), "tool"
    ),
}

USUAL_ROLES = "system, user, assistant, tool"
"""The roles of a chat record's messages."""

WRONG_RESULTS = "`results` of a message that are no list, or lists, of rows"

TEXTS = frozenset({None, "text", "output_text", "input_text", "refusal", "summary_text"})
REASONING = frozenset(
    {"thinking", "reasoning", "redacted_thinking", "reasoning.text", "reasoning.summary", "reasoning.encrypted"}
)
RESULTS = frozenset({"tool_result"})
WITHOUT_ACTION = frozenset(
    {
        "image",
        "image_url",
        "input_image",
        "audio",
        "input_audio",
        "file",
        "input_file",
        "document",
        "video",
        "video_url",
    }
)
"""Types of parts that say nothing of what an agent did."""

_KNOWN = TEXTS | REASONING | CALLS | RESULTS | WITHOUT_ACTION

_PLAIN = frozenset({"role", "content", "reasoning_content", "tool_calls"})

_TOOL_CALL = re.compile(r"<tool_call>(.*?)(?:</tool_call>|$)", re.DOTALL)
_TOOL_RESPONSE = re.compile(r"<tool_response>(.*?)(?:</tool_response>|$)", re.DOTALL)
_TAGS = ("<tool_response>", "</tool_response>")
_ANSWER = re.compile(r"<answer>(.*?)(?:</answer>|$)", re.DOTALL)


class Result(NamedTuple):
    """What a tool showed.

    Args:
        text: What the agent saw.
        failed: Whether the log marks it as a failure.
        results: What a search listed, a list of rows for each query, where the log keeps it apart from the text.
        docids: Documents that a browse opened, where the log names them apart from the arguments.
        tool: The tool that showed it, where the message names it.
    """

    text: str
    call_id: str | None = None
    failed: bool = False
    results: tuple[tuple[Any, ...], ...] | None = None
    docids: tuple[str, ...] = ()
    tool: str | None = None


class Message(NamedTuple):
    """One message. `answer` is the final answer where it is marked as such.

    Args:
        at_once: Whether its calls were all carried out, and their results may stand in one message.
    """

    role: Role
    text: str = ""
    reasoning: str = ""
    calls: tuple[Call, ...] = ()
    results: tuple[Result, ...] = ()
    answer: str | None = None
    at_once: bool = False


def is_message(value: Any) -> bool:
    """Whether a value is a message of a dialect that is read."""
    return role_of(value) is not None


def role_of(value: Any) -> Role | None:
    """The role of a message, or None for what is none."""
    return _role(_unwrapped(value)) if isinstance(value, dict) else None


def read_messages(raw: Mapping[str, Any], account: Ledger) -> Iterator[Message]:
    """A message in the one form: several where a text protocol writes tool responses into the agent's own text.

    Args:
        account: Counts parts of the message: those that are understood are kept, others dropped by their type.

    Raises:
        UnreadableRecord: It is of an unknown role.
    """
    raw = _unwrapped(raw)
    role = _role(raw)
    if role is None:
        raise UnreadableRecord(
            f"message of unknown role: {_kind(raw.get('role') or raw.get('from') or raw.get('type'))}"
        )
    message = _parsed(role, raw, account)
    if role == "assistant" and not message.calls:
        yield from _protocol(message)
    elif role == "user" and not message.results and (shown := responses_in(message.text, *_TAGS, alone=False)):
        yield message._replace(results=tuple(Result(response_text(text)) for text in shown))
    elif role == "tool" and not message.results:
        failed = raw.get("status") == "error" or raw.get("isError") is True or raw.get("is_error") is True
        call_id = next(
            (raw[key] for key in ("tool_call_id", "toolCallId", "call_id") if raw.get(key) is not None), None
        )
        tool = next((raw[key] for key in ("name", "tool_name") if isinstance(raw.get(key), str)), None)
        # The prefix of smolagents' tool responses.
        text = message.text.removeprefix("Observation:\n")
        shown = responses_in(text, *_TAGS, alone=True) if "<" in text else []
        if len(shown) > 1 and call_id is None:
            yield message._replace(results=tuple(Result(response_text(part)) for part in shown))
            return
        text = response_text("\n".join(shown)) if shown else text
        result = Result(text, identifier_of(call_id), failed, _lists(raw, account), _docids(raw), tool)
        yield Message(role, message.text, results=(result,))
    else:
        yield message


def split_thought(text: str) -> tuple[str, str]:
    """The thought and the rest of a text that may carry both; a missing opening or closing tag is common."""
    thought, closed, rest = text.rpartition("</think>")
    if not closed and text.lstrip().startswith("<think>"):
        thought, rest = text, ""
    return thought.replace("<think>", "").strip(), rest.strip()


def _unwrapped(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """A message out of LangChain's envelopes, or a choice of OpenAI's API."""
    if isinstance(raw.get("data"), dict) and "role" not in raw:
        return {"type": raw.get("type"), **raw["data"]}
    if "lc" in raw and isinstance(raw.get("kwargs"), dict):
        return raw["kwargs"]
    if "finish_reason" in raw and isinstance(raw.get("message"), dict):
        return raw["message"]  # a choice of an API, as ART keeps it
    return raw


def _role(raw: Mapping[str, Any]) -> Role | None:
    name = raw.get("role") or raw.get("from") or raw.get("type")
    # A type alone also names things that are no messages: those have a content.
    if not ("role" in raw or "from" in raw or "content" in raw or "tool_calls" in raw):
        return None
    # Clients write roles with a capital, or in capitals.
    return ROLES.get(name) or ROLES.get(name.casefold()) if isinstance(name, str) else None


def _lists(raw: Mapping[str, Any], account: Ledger) -> tuple[tuple[Any, ...], ...] | None:
    """The result lists that a chat record keeps beside the text of a tool message."""
    lists = raw.get("results")
    if lists is None:
        return None
    if isinstance(lists, list) and all(isinstance(rows, list) for rows in lists):
        return tuple(tuple(map(_row, rows)) for rows in lists)
    if isinstance(lists, list) and not any(isinstance(row, list) for row in lists):
        return (tuple(map(_row, lists)),)
    account.drop(WRONG_RESULTS, example=text_of(lists))
    return None


def _row(row: Any) -> Any:
    """A row of a list; an id alone is one, too."""
    docid = docid_of(row)
    return row if docid is None else {"docid": docid}


def _docids(raw: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(docid for value in listed(raw.get("docids")) if (docid := docid_of(value)) is not None)


def _kind(kind: Any) -> str:
    return repr(kind)[:40]


def _count_parts(parts: Sequence[Mapping[str, Any]], account: Ledger) -> None:
    for part in parts:
        kind = part.get("type")
        if _is_text(part) and part.keys() - {"type"} and not part.keys() & set(PART_TEXTS):
            account.drop(NO_TEXT, example=text_of(dict(part)))
        elif kind is None or (isinstance(kind, str) and kind in _KNOWN):
            account.keep()
        else:
            account.drop(f"part of a message of unknown type: {_kind(kind)}", example=text_of(dict(part)))


def _parsed(role: Role, raw: Mapping[str, Any], account: Ledger) -> Message:
    content = raw.get("content", raw.get("value"))
    if content is None:
        content = content_elsewhere(role, raw, account)
    if isinstance(content, str):
        # Nearly all messages: what follows comes to the same.
        account.keep()
        parts, text = [], content
        if role != "assistant":
            return Message(role, text)
        if raw.keys() <= _PLAIN and raw.get("role") == "assistant":
            calls = calls_in_list(raw.get("tool_calls") or None)
            return Message(role, text, thoughts_of(raw.get("reasoning_content")), tuple(map(call_of, calls)))
    elif (
        role == "tool"
        and content is not None
        and any(isinstance(part, list) or is_row(part) for part in listed(content))
    ):
        # What the tool returned, as a value instead of its text.
        account.keep()
        return Message(role, text_of(content))
    else:
        parts = [
            usual_part(part) if isinstance(part, dict) else {"type": "text", "text": part} for part in listed(content)
        ]
        _count_parts(parts, account)
        text = join_texts(*(part_text(part) for part in parts if _is_text(part)))
    kinds = [part.get("type") for part in parts]
    if role != "assistant":
        results = [
            Result(
                text_or_json(part.get("content")), identifier_of(part.get("tool_use_id")), part.get("is_error") is True
            )
            for part in parts
            if part.get("type") == "tool_result"  # Anthropic's
        ]
        if role == "tool" and not any(map(_is_text, parts)) and not results:
            text = text_of(content)
        return Message(role, text, results=tuple(results))
    extra = object_of(raw.get("additional_kwargs"))
    reasoning = [
        thoughts_of(
            raw.get("reasoning_content")
            or raw.get("reasoningContent")
            or raw.get("reasoning")
            or raw.get("thinking")
            or raw.get("reasoning_details")
        ),
        thoughts_of(extra.get("reasoning_content")),
    ]
    reasoning += [
        thoughts_of(part)
        for part, kind in zip(parts, kinds, strict=True)
        if isinstance(kind, str) and kind in REASONING
    ]
    message = Message(role, text, join_texts(*reasoning), tuple(calls_of(raw, parts, text)))
    if message.calls and (
        raw.get("role") in ("tool-call", "function_call") or raw.get("from") == "function_call" or harmony_tool(raw)
    ):
        # LLaMA-Factory's list of calls has one observation.
        return message._replace(text="", at_once=len(message.calls) > 1 and "recipient" not in raw)
    if raw.get("channel") == "analysis":
        return message._replace(text="", reasoning=text)
    return message


def _is_text(part: Mapping[str, Any]) -> bool:
    kind = part.get("type")
    return kind is None or (isinstance(kind, str) and kind in TEXTS)


def _protocol(message: Message) -> Iterator[Message]:
    """Splits the texts of a protocol in tags at the tool responses that may stand in them."""
    if "<" not in message.text:
        text = message.text.strip()
        yield message if text == message.text else message._replace(text=text)
        return
    pieces = _TOOL_RESPONSE.split(message.text)
    for index, piece in enumerate(pieces):
        if index % 2:
            yield Message("tool", results=(Result(response_text(piece)),))
        elif piece.strip() or len(pieces) == 1:
            thought, rest = split_thought(piece)
            answer = _ANSWER.search(rest)
            yield Message(
                "assistant",
                _ANSWER.sub("", _TOOL_CALL.sub("", rest)).strip(),
                join_texts(message.reasoning if index == 0 else "", thought),
                tuple(_tagged_call(body) for body in _TOOL_CALL.findall(rest)),
                answer=answer[1].strip() if answer else None,
            )


def _tagged_call(body: str) -> Call:
    try:
        return call_of(load_json(body))
    except (ValueError, RecursionError):
        return Call(None, None, error="tool call is not JSON")
