"""The messages of chat records, as everything that makes such records writes them: what was said, called and shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lrat_hub.importers.values import identifier_of

Chat = dict[str, Any]
"""A message of a chat record."""


def assistant(text: str, reasoning: str = "", calls: Sequence[Mapping[str, Any]] = ()) -> Chat:
    """What the agent said, thought and called before it saw anything new."""
    chat: Chat = {"role": "assistant", "content": text}
    if reasoning:
        chat["reasoning_content"] = reasoning
    if calls:
        chat["tool_calls"] = list(calls)
    return chat


def tool_call(name: Any, arguments: Any, call_id: Any = None) -> dict[str, Any]:
    """A call of a tool. Calls without an id meet their results by order."""
    call: dict[str, Any] = {"function": {"name": name, "arguments": {} if arguments is None else arguments}}
    if known := identifier_of(call_id):
        call["id"] = known
    return call


def tool_result(
    text: str, call_id: Any = None, *, failed: bool = False,
    results: Sequence[Sequence[Mapping[str, Any]]] | None = None, docids: Sequence[str] | None = None,
) -> Chat:  # fmt: skip
    """What a tool showed.

    Args:
        results: The rows that a search listed, a list for each query, where the log keeps them beside the text.
        docids: The documents that a browse opened, where the log names them.
    """
    chat: Chat = {"role": "tool", "content": text}
    if known := identifier_of(call_id):
        chat["tool_call_id"] = known
    if failed:
        chat["is_error"] = True
    if results is not None:
        chat["results"] = [list(rows) for rows in results]
    if docids:
        chat["docids"] = list(docids)
    return chat
