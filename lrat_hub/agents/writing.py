"""Calls as a model says them by a protocol: what its `read` takes apart, put together."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from lrat_hub.agents.calls import Answer, Browse, Call, Invalid, Search
from lrat_hub.agents.parsing import ANSWER_TOOLS, BROWSE_TOOLS, SEARCH_TOOLS, tool_name
from lrat_hub.agents.protocols import AgentPrompt, ChatProtocol, JsonProtocol, TagProtocol, open_protocol
from lrat_hub.errors import LratError
from lrat_hub.llm.chat import Reply, ToolCall

ReasoningPlace = Literal["field", "content"]
"""Where function calling puts reasoning: into a field of its own, or before the call in <think>, for models whose chat
template has no such field. The other protocols have one place for it."""


def calls_of_a_message(speaks: ChatProtocol) -> int | None:
    """How many calls one message may carry, or None for any number."""
    return None if not isinstance(speaks, JsonProtocol) and not getattr(speaks, "single", False) else 1


def write_reply(
    protocol: str, prompt: AgentPrompt, calls: Sequence[Call], *, reasoning: ReasoningPlace = "field", number: int = 0
) -> Reply:
    """A reply that makes these calls, with the reasoning of the first; a final answer comes alone.

    Args:
        number: How many calls earlier messages have made: the ids of function calls go on from there.

    Raises:
        LratError: The protocol or the prompt has no way to say it.
    """
    speaks = open_protocol(protocol)
    thought = calls[0].reasoning or ""
    if isinstance(speaks, JsonProtocol):
        (call,) = calls
        body = {"reasoning": thought, **_action(call)}
        return Reply(json.dumps(body, ensure_ascii=False))
    # Some prompts have their tools in the text of the system message alone: they are the protocol's own.
    tools = prompt.tools or AgentPrompt.load(protocol).tools
    in_tags = f"<think>\n{thought}\n</think>\n" if thought else ""
    if isinstance(calls[0], Answer) and not _tool(tools, ANSWER_TOOLS):
        text = calls[0].text or ""
        if isinstance(speaks, TagProtocol):
            return Reply(in_tags + (f"<answer>\n{text}\n</answer>" if speaks.marked_answer else text))
        if reasoning == "field":
            return Reply(text, thought, reasoning_field="reasoning_content")
        return Reply(in_tags + text)
    written = [_function(call, tools) for call in calls]
    if isinstance(speaks, TagProtocol):
        bodies = (
            json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False) for name, arguments in written
        )
        return Reply(in_tags + "\n".join(f"<tool_call>\n{body}\n</tool_call>" for body in bodies))
    # Nine letters and digits, which is what Mistral's templates want of an id.
    made = tuple(
        ToolCall(f"call{place:05d}", name, json.dumps(arguments, ensure_ascii=False))
        for place, (name, arguments) in enumerate(written, start=number)
    )
    if reasoning == "field":
        return Reply("", thought, made, "tool_calls", reasoning_field="reasoning_content")
    return Reply(in_tags, "", made, "tool_calls")


def _action(call: Call) -> dict[str, Any]:
    match call:
        case Search(queries=queries):
            return {"action": "search", "queries": list(queries)}
        case Browse(docid=docid):
            return {"action": "browse", "docid": docid}
        case Answer(text=text):
            return {"action": "answer", "answer": text or ""}
    raise _unsaid(call)


def _function(call: Call, tools: Sequence[Mapping[str, Any]]) -> tuple[str, dict[str, Any]]:
    """The name of a call's tool and its arguments, which the prompt's tools describe."""
    value: Any
    match call:
        case Search(queries=queries):
            names, value = SEARCH_TOOLS, [*queries]
        case Browse(docid=value):
            names = BROWSE_TOOLS
        case Answer(text=value):
            names = ANSWER_TOOLS
        case _:
            raise _unsaid(call)
    tool = _tool(tools, names)
    if tool is None:
        raise _unsaid(call)
    ((key, kind),) = tool["parameters"]["properties"].items()
    if isinstance(call, Search) and kind["type"] != "array":
        value, *more = call.queries
        if more:
            raise LratError("a search has several queries, and the prompt's tool takes one")
    return tool["name"], {key: value}


def _tool(tools: Sequence[Mapping[str, Any]], names: frozenset[str]) -> Mapping[str, Any] | None:
    functions = (tool["function"] for tool in tools)
    return next((function for function in functions if tool_name(function["name"]) in names), None)


def _unsaid(call: Call) -> LratError:
    what = "call that can't be carried out" if isinstance(call, Invalid) else type(call).__name__.lower()
    return LratError(f"the prompt has no way to say a {what}")
