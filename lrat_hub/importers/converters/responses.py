"""Items of OpenAI's Responses API, which its Agents SDK and Codex share, as events of a conversation.

Facts are from the classes of the PyPI package `openai` 3.57 (types/responses/response_output_item.py and
response_input_item.py), openai/openai-agents-python@7f7a44f: src/agents/items.py, and openai/codex@001cb8e:
codex-rs/protocol/src/models.rs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from lrat_hub.importers.converters.contents import arguments_of, kind_of, parts_text, rows, tool_text
from lrat_hub.importers.converters.conversation import ORPHANS, UNKNOWN_LIST, Conversation
from lrat_hub.importers.values import identifier_of, join_texts, listed, object_of, text_of
from lrat_hub.ledger import Ledger

MESSAGE_PARTS = {
    "input_text", "output_text", "text", "summary_text", "reasoning_text", "refusal", "input_image", "input_file",
    "input_audio", "output_audio", "image", "file", "computer_screenshot", "encrypted_content",
}  # fmt: skip

# Known items that are no action of the agent: lists of tools, approvals, marks of a compacted context.
SILENT = {
    "mcp_list_tools", "mcp_approval_request", "mcp_approval_response", "compaction", "compaction_summary",
    "context_compaction", "compaction_trigger", "additional_tools", "ghost_snapshot", "tool_search_output",
    "agent_message",
}  # fmt: skip

# Calls of tools that OpenAI hosts or that a client carries out for it, which neither search nor open documents.
OTHER_TOOLS = {
    "code_interpreter_call": "code_interpreter",
    "computer_call": "computer",
    "image_generation_call": "image_generation",
    "local_shell_call": "local_shell",
    "shell_call": "shell",
    "apply_patch_call": "apply_patch",
    "tool_search_call": "tool_search",
    "program": "program",
}
CLIENT_TOOLS = {"computer_call", "local_shell_call", "shell_call", "apply_patch_call", "program"}
"""Those whose output is an item of its own."""

OUTPUTS = {
    "function_call_output", "custom_tool_call_output", "mcp_tool_call_output", "computer_call_output",
    "local_shell_call_output", "shell_call_output", "apply_patch_call_output", "program_output",
}  # fmt: skip
ITEMS = {
    "function_call", "custom_tool_call", "mcp_call", "web_search_call", "file_search_call", "item_reference",
    "reasoning", *SILENT, *OTHER_TOOLS, *OUTPUTS,
}  # fmt: skip

_FAILED = ("failed", "incomplete")

# What the Agents SDK and Codex tell the agent when a tool fails; nothing else marks such a call.
_FAILURE = re.compile(
    r"An error occurred while running the tool\b|err: |tool call error: |unsupported call: "
    r"|failed to parse function arguments\b"
)


def is_item(value: Any) -> bool:
    """Whether a value is an item of the Responses API that can be nothing else."""
    kind = kind_of(value)
    if not isinstance(value, dict) or kind is None:
        return False
    if kind == "reasoning":
        return "summary" in value or "encrypted_content" in value
    if kind == "agent_message" or kind == "program":
        return False
    return kind in ITEMS and bool(value.keys() & {"id", "call_id", "action", "arguments", "status", "output"})


def is_message_item(value: Any) -> bool:
    """Whether a value is a message of the Responses API."""
    return isinstance(value, dict) and isinstance(value.get("role"), str) and "content" in value


def add_item(
    conversation: Conversation, item: Any, parts: Ledger, *, is_question: Callable[[str], str] = lambda text: text
) -> None:
    """Adds the events of an item.

    Args:
        parts: The account of items.
        is_question: What of a text of the user is a question; "" for none of it.
    """
    values = object_of(item)
    kind = kind_of(values)
    if kind in (None, "message") and is_message_item(values):
        _add_message(conversation, values, parts, is_question)
    elif kind == "reasoning":
        # A reasoning's content is what its summary sums up; content may be encrypted, and then only that is there.
        text = parts_text(values.get("content")) or parts_text(values.get("summary")) or text_of(values.get("text"))
        conversation.think(text)
        parts.keep()
        if not text:
            parts.note("reasoning without a text in the log")
    elif kind == "web_search_call":
        add_web_search(conversation, values, parts)
        parts.keep()
    elif kind == "file_search_call":
        _add_file_search(conversation, values, parts)
    elif kind in ("function_call", "custom_tool_call", "mcp_call"):
        _add_call(conversation, values, parts)
    elif kind in OUTPUTS:
        add_output(conversation, values, parts)
    elif kind in OTHER_TOOLS:
        name, arguments, failed = OTHER_TOOLS[kind], _other_arguments(values), values.get("status") in _FAILED
        if kind in CLIENT_TOOLS:
            conversation.call(name, arguments, identifier_of(values.get("call_id", values.get("id"))))
        else:
            conversation.hosted(name, arguments, _other_output(values), failed=failed)
        parts.keep()
    elif kind == "item_reference":
        parts.drop("references to items that are not in the log", example=text_of(values.get("id")))
    elif kind in SILENT:
        parts.keep()
    else:
        parts.drop(f"items of unknown type {_short(kind)}", example=text_of(item))


def _add_message(
    conversation: Conversation, item: Mapping[str, Any], parts: Ledger, is_question: Callable[[str], str]
) -> None:
    role, content = item.get("role"), item.get("content")
    for part in listed(content):
        kind = kind_of(part)
        if isinstance(part, dict) and kind not in MESSAGE_PARTS:
            parts.drop(f"parts of messages of unknown type {_short(kind)}", example=text_of(part))
    text = parts_text(content)
    if role in ("system", "developer"):
        conversation.system(text)
    elif role == "user":
        conversation.user(is_question(text))
    elif role == "assistant" and item.get("phase") == "commentary":
        conversation.think(text)
    elif role == "assistant":
        conversation.say(text)
    else:
        parts.drop(f"messages of unknown role {_short(role)}", example=text)
        return
    parts.keep()


def _add_call(conversation: Conversation, item: Mapping[str, Any], parts: Ledger) -> None:
    arguments = item.get("arguments", item.get("input"))
    parts.keep()
    if item.get("type") == "mcp_call":
        text, failed = tool_text(item.get("output"))
        error = item.get("error")
        conversation.hosted(
            item.get("name"), arguments, text or error_text(error),
            failed=failed or error is not None or item.get("status") == "failed",
        )  # fmt: skip
        return
    is_free_text = item.get("type") == "custom_tool_call"
    call_id = identifier_of(item.get("call_id", item.get("id")))
    conversation.call(item.get("name"), arguments_of(arguments) if is_free_text else arguments, call_id)


def add_output(conversation: Conversation, item: Mapping[str, Any], parts: Ledger) -> None:
    """Adds what a tool showed, as an item of its own."""
    output = item.get("output", item.get("result"))
    text, failed = tool_text(_executed(output))
    failed = failed or item.get("status") in _FAILED or item.get("error") is not None or bool(_FAILURE.match(text))
    if conversation.result(identifier_of(item.get("call_id")), text or error_text(item.get("error")), failed=failed):
        parts.keep()
    else:
        parts.drop(ORPHANS, example=text)


def _executed(output: Any) -> Any:
    """What stands in the output of a command, which older versions of Codex put into an object."""
    values = object_of(output)
    return values["output"] if values.keys() <= {"output", "metadata"} and "output" in values else output


def add_web_search(conversation: Conversation, item: Mapping[str, Any], parts: Ledger) -> None:
    """A call of the hosted web search. Its results are in the log only where they were asked for."""
    action = object_of(item.get("action"))
    kind = kind_of(action) or "search"
    failed = item.get("status") == "failed"
    if kind == "search":
        queries = [query for query in listed(action.get("queries")) if isinstance(query, str) and query]
        queries = queries or [query for query in (action.get("query"), item.get("query")) if query][:1]
        listed_pages = item.get("results") if isinstance(item.get("results"), list) else action.get("sources")
        results = None
        if isinstance(listed_pages, list):
            pages = [row for row in listed_pages if (kind_of(row) or "url") in ("url", "web_search_result")]
            parts.note("sources of searches that are no pages", len(listed_pages) - len(pages))
            results = [rows(pages, ("url", "link"), ("snippet", "text", "content"))]
        elif queries and not failed:
            parts.lose(UNKNOWN_LIST, example=text_of(queries[0]))
        conversation.hosted("web_search", {"query": _one_or_all(queries)}, failed=failed, results=results)
    elif kind in ("open_page", "open"):
        conversation.hosted("visit", {"url": action.get("url")}, failed=failed)
    else:
        # A look at a page that is open, or an action that the log does not name.
        name = "find_in_page" if kind in ("find_in_page", "find") else "web_search_action"
        conversation.hosted(name, {key: action[key] for key in ("url", "pattern") if key in action}, failed=failed)


def _add_file_search(conversation: Conversation, item: Mapping[str, Any], parts: Ledger) -> None:
    queries = [query for query in listed(item.get("queries")) if isinstance(query, str) and query]
    failed, results = item.get("status") == "failed", None
    parts.keep()
    if isinstance(item.get("results"), list):
        results = [rows(item["results"], ("file_id", "filename"), ("text",))]
    elif not failed:
        parts.lose(UNKNOWN_LIST, example=text_of(queries[:1]))
    conversation.hosted("search", {"query": _one_or_all(queries)}, failed=failed, results=results)


def _one_or_all(queries: list[str]) -> str | list[str]:
    return queries[0] if len(queries) == 1 else queries


def _other_arguments(item: Mapping[str, Any]) -> dict[str, Any]:
    return {key: item[key] for key in ("code", "action", "operation", "arguments") if item.get(key) is not None}


def _other_output(item: Mapping[str, Any]) -> str:
    """What a hosted tool showed: the logs of an interpreter. Images are left out."""
    outputs = [object_of(output) for output in listed(item.get("outputs"))]
    return join_texts(*(text_of(output.get("logs")) for output in outputs))


def error_text(error: Any) -> str:
    """The text of an error: a text, an object with a message, or parts."""
    if isinstance(error, dict):
        return text_of(error.get("message") or error.get("content") or error.get("code"))
    return text_of(error)


def _short(value: Any) -> str:
    return repr(text_of(value)[:60]) if value is not None else "none"
