"""The tags around calls, results and answers in the texts of agents.

Read are `<search>` with `<information>` (Search-R1, ZeroSearch), `<result>` (ReSearch), `<|begin_of_query|>`
(R1-Searcher), `<|begin_search_query|>` and `<|begin_click_link|>` (Search-o1, WebThinker), `<access>` (ASearcher),
`<call_tool>` and `<tool>` with `<tool_output>` (DR-Tulu), `<use_mcp_tool>` (MiroThinker), `<tool_call>` with
`<tool_response>` (Hermes, Qwen, Tongyi-DeepResearch), and the calls that `tag_calls` names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from lrat_hub.importers.converters.tag_calls import (
    Call,
    attribute_call,
    call,
    calls_in,
    deepseek_call,
    invoke_call,
    kimi_call,
    mcp_call,
    mistral_calls,
    python_calls,
)

Kind = Literal["call", "result", "answer"]
Reader = Callable[[str, str], Sequence[Call]]
"""Makes the calls of a tag's attributes and its text."""


@dataclass(frozen=True)
class Tag:
    """A pair of tags.

    Args:
        opening: Where the tag begins: literal text, without the bracket that closes one with attributes.
        closings: What ends it, in order of preference.
        read: Makes calls of it.
        has_attributes: Whether the opening goes on up to a bracket.
    """

    kind: Kind
    opening: str
    closings: tuple[str, ...]
    read: Reader | None = None
    has_attributes: bool = False


def _search(_: str, body: str) -> Sequence[Call]:
    return [call("search", {"query": body.strip()})]


def _keywords(_: str, body: str) -> Sequence[Call]:
    """R1-Searcher's query, as its script hands it on: without quotes, and with blanks for tabs."""
    return [call("search", {"query": re.sub(r"[\"']|\.\.\.", "", body).replace("\t", " ").strip()})]


def _visit(_: str, body: str) -> Sequence[Call]:
    return [call("visit", {"url": body.strip()})]


TAGS = (
    Tag("call", "<search>", ("</search>",), _search),
    Tag("call", "<|begin_of_query|>", ("<|end_of_query|>",), _keywords),
    Tag("call", "<|begin_search_query|>", ("<|end_search_query|>",), _search),
    Tag("call", "<|begin_click_link|>", ("<|end_click_link|>",), _visit),
    Tag("call", "<tool_call>", ("</tool_call>",), lambda _, body: list(calls_in(body))),
    Tag("call", "<function=", ("</function>",), lambda name, body: list(calls_in(f"<function={name}>{body}")), True),
    Tag("call", "<use_mcp_tool>", ("</use_mcp_tool>",), lambda _, body: [mcp_call(body)]),
    Tag("call", "<call_tool ", ("</call_tool>", "</call>"), lambda *parts: [attribute_call(*parts)], True),
    Tag("call", "<tool ", ("</tool>",), lambda *parts: [attribute_call(*parts)], True),
    Tag("call", "<invoke ", ("</invoke>",), lambda *parts: [invoke_call(*parts)], True),
    Tag("call", "<｜DSML｜invoke ", ("</｜DSML｜invoke>",), lambda *parts: [invoke_call(*parts)], True),
    Tag("call", "<|tool_call_begin|>", ("<|tool_call_end|>",), lambda _, body: [kimi_call(body)]),
    Tag("call", "<｜tool▁call▁begin｜>", ("<｜tool▁call▁end｜>",), lambda _, body: [deepseek_call(body)]),
    Tag("call", "<access>", ("</access>",), _visit),
    Tag("call", "[TOOL_CALLS]", ("</s>",), lambda _, body: list(mistral_calls(body))),
    Tag("call", "<|python_tag|>", ("<|eom_id|>", "<|eot_id|>"), lambda _, body: list(python_calls(body))),
    Tag("call", "<|tool_call_start|>", ("<|tool_call_end|>",), lambda _, body: list(python_calls(body))),
    Tag("call", "<|tool_call|>", ("<|/tool_call|>", "<|end_of_text|>"), lambda _, body: list(calls_in(body))),
    Tag("call", "<|action_start|><|plugin|>", ("<|action_end|>",), lambda _, body: list(calls_in(body))),
    Tag("call", "```tool_code\n", ("```",), lambda _, body: list(python_calls(body))),
    Tag("result", "<information>", ("</information>",)),
    Tag("result", "<result>", ("</result>",)),
    Tag("result", "<|begin_of_documents|>", ("<|end_of_documents|>",)),
    Tag("result", "<|begin_search_result|>", ("<|end_search_result|>",)),
    Tag("result", "<|begin_click_result|>", ("<|end_click_result|>",)),
    Tag("result", "<tool_response>", ("</tool_response>",)),
    Tag("result", "<tool_output>", ("</tool_output>",)),
    Tag("result", "<observation>", ("</observation>",)),
    Tag("result", "<｜tool▁output▁begin｜>", ("<｜tool▁output▁end｜>",)),
    Tag("answer", "<answer>", ("</answer>",)),
)
