"""Messages of Anthropic's API and of chat completions, as events of a conversation.

Facts are from the classes of the PyPI package `anthropic` 2.14 (types/beta/beta_content_block.py and
beta_content_block_param.py): blocks of text, thoughts, calls, and of results that the API's own tools write into the
agent's message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lrat_hub.importers.converters.contents import kind_of, parts_text, rows, tool_text
from lrat_hub.importers.converters.conversation import ORPHANS, Conversation
from lrat_hub.importers.values import identifier_of, join_texts, listed, object_of, text_of
from lrat_hub.ledger import Ledger

CALLS = {"tool_use", "server_tool_use", "mcp_tool_use"}
THOUGHTS = {"thinking", "redacted_thinking", "reasoning"}
SERVER_RESULTS = "_tool_result"

# Known blocks that are no action: files, marks of a compacted context, changes of the tools.
SILENT = {
    "image", "document", "container_upload", "compaction", "fallback", "mcp_tool_listing", "tool_addition",
    "tool_removal", "search_result", "image_url", "input_audio", "file", "input_image", "input_file",
}  # fmt: skip

# What the agent called is one of these for everybody who reads the log.
NAMES = {"web_fetch": "visit", "WebFetch": "visit", "WebSearch": "web_search"}

_TEXTS = {None, "text", "input_text", "output_text", "refusal"}


def has_blocks(message: Any) -> bool:
    """Whether a message has blocks that only Anthropic's API has. LangChain's, which can hold them, have no role."""
    return object_of(message).get("role") in ("user", "assistant") and any(
        isinstance(part, dict)
        and (kind := kind_of(part)) is not None
        and (kind in CALLS or kind.endswith(SERVER_RESULTS) or kind in ("tool_result", "redacted_thinking"))
        and bool(part.keys() & {"id", "tool_use_id", "data"})
        for part in listed(object_of(message).get("content"))
    )


def add_message(conversation: Conversation, message: Any, parts: Ledger, key: Any) -> None:
    """Adds the events of a message.

    Args:
        parts: The account of messages and blocks.
        key: What tells the message apart from others of the conversation.
    """
    values = object_of(message)
    role = values.get("role")
    if role in ("system", "developer"):
        if any(object_of(part).get("type") == "tool_result" for part in listed(values.get("content"))):
            add_user_blocks(conversation, values["content"], parts)  # AgentScope's
        else:
            conversation.system(parts_text(values.get("content")))
            parts.keep()
    elif role == "user":
        add_user_blocks(conversation, values.get("content"), parts)
    elif role == "assistant":
        _add_reasoning(conversation, values, key)
        add_assistant_blocks(conversation, values.get("content"), parts, key)
        _add_tool_calls(conversation, values, key)
    elif role in ("tool", "function"):
        text, failed = tool_text(values.get("content"))
        failed = failed or values.get("is_error") is True or values.get("status") == "error"
        add_result(conversation, identifier_of(values.get("tool_call_id")), text, parts, failed=failed)
    else:
        parts.drop(f"messages of unknown role {_short(role)}", example=text_of(message))


def add_user_blocks(conversation: Conversation, content: Any, parts: Ledger) -> None:
    """Adds what a message of the user has: results of tools, or a question; words beside results are no question."""
    texts = []
    has_results = any(object_of(part).get("type") == "tool_result" for part in listed(content))
    for part in listed(content):
        block = {"type": "text", "text": part} if isinstance(part, str) else object_of(part)
        kind = kind_of(block)
        if kind in _TEXTS:
            texts.append(parts_text(block))
            parts.keep()
        elif kind == "tool_result":
            add_tool_result(conversation, block, parts)
        elif kind is not None and kind.endswith(SERVER_RESULTS):
            _add_server_result(conversation, block, parts)
        else:
            _add_silent(kind, part, parts)
    if has_results and not conversation.is_empty:
        parts.note("words beside results of tools, which are no question", int(any(text.strip() for text in texts)))
        return
    conversation.user(join_texts(*texts))


def add_assistant_blocks(conversation: Conversation, content: Any, parts: Ledger, key: Any) -> None:
    """Adds what a message of the agent has: thoughts, texts, calls, and results of the API's own tools."""
    cited = False
    for part in listed(content):
        block = {"type": "text", "text": part} if isinstance(part, str) else object_of(part)
        kind = kind_of(block)
        if kind in _TEXTS:
            # Where it cites, the API divides one text into blocks.
            cites = bool(block.get("citations"))
            conversation.say(parts_text(block), key, glued=cites or cited)
            cited = cites
            parts.keep()
            continue
        cited = False
        if kind is not None and kind in THOUGHTS:
            text = text_of(block.get("thinking", block.get("reasoning", block.get("text"))))
            conversation.think(text, key)
            parts.keep()
            parts.note("reasoning without a text in the log", int(not text))
        elif kind is not None and kind in CALLS:
            name = block.get("name")
            name = NAMES.get(name, name) if isinstance(name, str) else name
            conversation.call(name, block.get("input"), identifier_of(block.get("id")), key)
            parts.keep()
        elif kind == "tool_result":
            add_tool_result(conversation, block, parts)
        elif kind is not None and kind.endswith(SERVER_RESULTS):
            _add_server_result(conversation, block, parts)
        else:
            _add_silent(kind, part, parts)


def add_tool_result(conversation: Conversation, block: Mapping[str, Any], parts: Ledger) -> None:
    """Adds the result of a tool of the client.

    AgentScope's block has the id of the call as its own, and what the tool showed as its output.
    """
    content = block.get("content", block.get("output"))
    text, failed = tool_text(content)
    entries = [entry for entry in listed(content) if object_of(entry).get("type") == "search_result"]
    results = None
    if entries:
        results = [search_rows(entries)]
        text = join_texts(*(f"{row['title']} ({row['docid']})\n{row['snippet']}" for row in results[0]))
    failed = failed or block.get("is_error") is True
    call_id = identifier_of(block.get("tool_use_id", block.get("id")))
    add_result(conversation, call_id, text, parts, failed=failed, results=results)


def add_result(
    conversation: Conversation, call_id: str | None, text: str, parts: Ledger, *, failed: bool = False,
    results: list[list[dict[str, Any]]] | None = None, docids: list[str] | None = None, inline: bool = False,
) -> None:  # fmt: skip
    """Adds a result, and counts it."""
    if conversation.result(call_id, text, failed=failed, results=results, docids=docids, inline=inline):
        parts.keep()
    else:
        parts.drop(ORPHANS, example=text)


def search_rows(entries: Sequence[Any]) -> list[dict[str, Any]]:
    """Blocks of search results, of which a source each is named, as candidates."""
    texts = [{**object_of(entry), "text": parts_text(object_of(entry).get("content"))} for entry in entries]
    return rows(texts, ("source", "url"), ("text",))


def _add_server_result(conversation: Conversation, block: Mapping[str, Any], parts: Ledger) -> None:
    """Adds the result of a tool that the API ran, which it writes into the message of the agent."""
    content = block.get("content")
    call_id = identifier_of(block.get("tool_use_id"))
    values = object_of(content)
    error = values.get("error_code")
    text, failed, results = "", error is not None, None
    if error is not None:
        text = text_of(error)
    elif block.get("type") == "web_search_tool_result" and isinstance(content, list):
        results = [rows(content, ("url",), ("snippet", "text"))]
    elif block.get("type") == "web_fetch_tool_result":
        text = _document_text(values)
        if not text:
            parts.note("pages whose text is not in the log")
    elif "stdout" in values or "stderr" in values:
        text = join_texts(text_of(values.get("stdout")), text_of(values.get("stderr")))
    else:
        text, failed = tool_text(content)
    failed = failed or block.get("is_error") is True
    add_result(conversation, call_id, text, parts, failed=failed, results=results, inline=True)


def _document_text(page: Mapping[str, Any]) -> str:
    """The text of a page that was fetched; a PDF is in the log as its bytes."""
    document = object_of(page.get("content"))
    source = object_of(document.get("source"))
    if source.get("type") == "text":
        return text_of(source.get("data"))
    return parts_text(source.get("content"))


def _add_reasoning(conversation: Conversation, message: Mapping[str, Any], key: Any) -> None:
    """Reasoning that servers of chat completions put beside the content."""
    reasoning = message.get("reasoning_content") or message.get("reasoning")
    if not reasoning:
        details = [object_of(part) for part in listed(message.get("reasoning_details"))]
        reasoning = join_texts(*(text_of(part.get("text") or part.get("summary")) for part in details))
    conversation.think(parts_text(reasoning), key)


def _add_tool_calls(conversation: Conversation, message: Mapping[str, Any], key: Any) -> None:
    calls = [*listed(message.get("tool_calls")), *listed(message.get("function_call"))]
    for call in calls:
        values = object_of(call)
        function = values.get("function") if isinstance(values.get("function"), dict) else values
        custom = object_of(values.get("custom"))
        name, arguments = object_of(function).get("name"), object_of(function).get("arguments")
        if custom:
            name, arguments = custom.get("name"), {"input": custom.get("input")}
        conversation.call(name, {} if arguments in (None, "") else arguments, identifier_of(values.get("id")), key)


def _add_silent(kind: Any, part: Any, parts: Ledger) -> None:
    if kind is not None and kind in SILENT:
        parts.keep()
    else:
        parts.drop(f"blocks of unknown type {_short(kind)}", example=text_of(part))


def _short(value: Any) -> str:
    return repr(text_of(value)[:60]) if value is not None else "none"
