"""Thoughts and calls as models write them where the server has no parser for them, put into one form.

That is `<think>`, and `<tool_call>` around JSON. tests/agents/test_replies.py names the chat template of each format.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable
from typing import Any

_THOUGHTS = (
    # Mistral; Kimi-VL; Seed.
    (re.compile(r"\[THINK\]|◁think▷|<seed:think>"), "<think>"),
    (re.compile(r"\[/THINK\]|◁/think▷|</seed:think>"), "</think>"),
    # gpt-oss, with its tokens and without them.
    (
        re.compile(r"<\|channel\|>analysis<\|message\|>(.*?)(?:<\|end\|>|(?=<\|start\|>|<\|channel\|>)|$)", re.S),
        r"<think>\1</think>",
    ),
    (re.compile(r"\Aanalysis(.*?)(?=assistant(?:final|commentary\b))", re.S), r"<think>\1</think>"),
    (re.compile(r"(?:<\|start\|>assistant)?<\|channel\|>final<\|message\|>|(?<=</think>)assistantfinal"), ""),
    (
        re.compile(
            r"<\|(?:return|im_end|eot_id|eom_id|observation|user)\|>\s*\Z|</s>\s*\Z|\[e~\[\s*\Z|<｜end▁of▁sentence｜>\s*\Z"
        ),
        "",
    ),
)

_NAME = r"[\w./:-]+"
_HARMONY = re.compile(
    r"(?:<\|start\|>)?(?:assistant\s*)?(?:<\|channel\|>)?(?:commentary|analysis)?\s*\bto=(functions\.\w+)\s*(?:<\|channel\|>\s*\w+\s*)?"
    r"(?:<\|constrain\|>)?\s*(?:json|code)?\s*(?:<\|message\|>)?\s*(\{.*?)(?=<\||\bassistant(?:commentary|final)|\Z)",
    re.DOTALL,
)
_DEEPSEEK = re.compile(
    rf"<｜tool▁call▁begin｜>(?:function<｜tool▁sep｜>)?\s*({_NAME})\s*(?:<｜tool▁sep｜>)?(.*?)"
    r"(?:<｜tool▁call▁end｜>|(?=<｜tool▁call▁begin｜>|<｜tool▁calls▁end｜>)|\Z)",
    re.DOTALL,
)
_KIMI = re.compile(
    rf"<\|tool_call_begin\|>\s*({_NAME}?)(?::\d+)?\s*<\|tool_call_argument_begin\|>(.*?)"
    r"(?:<\|tool_call_end\|>|(?=<\|tool_call_begin\|>|<\|tool_calls_section_end\|>)|\Z)",
    re.DOTALL,
)
_SECTIONS = re.compile(
    r"<｜tool▁calls▁(?:begin|end)｜>|<\|tool_calls_section_(?:begin|end)\|>|</?minimax:tool_call>|</?function_calls>"
    r"|</?｜DSML｜function_calls>|<\|call\|>"
)
_MISTRAL_NAMED = re.compile(
    rf"\[TOOL_CALLS\]\s*({_NAME})(?:\[CALL_ID\]\w+)?\s*\[ARGS\](.*?)(?=\[TOOL_CALLS\]|</s>|\Z)", re.DOTALL
)
_MISTRAL_LIST = re.compile(r"\[TOOL_CALLS\]\s*(\[.*?)(?=</s>|\Z)", re.DOTALL)
_PYTHON_TAG = re.compile(r"<\|python_tag\|>(.*?)(?=<\|eom_id\|>|<\|eot_id\|>|\Z)", re.DOTALL)
_INVOKE = re.compile(r"<(｜DSML｜)?invoke name=\"([^\"]+)\">(.*?)</(?:｜DSML｜)?invoke>", re.DOTALL)
_PARAMETER = re.compile(
    r"<(?:｜DSML｜)?param(?:eter)?(?: name=\"|=)([^\">]+)\"?[^>]*>(.*?)</(?:｜DSML｜)?param(?:eter)?>", re.DOTALL
)
_FUNCTION = re.compile(r"<function(?: name=\"|=)([^\">]+)\"?>(.*?)</function>", re.DOTALL)
_TOOL_CALL = re.compile(r"<tool_call>(.*?)</tool_call>", re.DOTALL)
_ARGUMENT = re.compile(r"<arg_key>(.*?)</arg_key>\s*<arg_value>(.*?)</arg_value>", re.DOTALL)

MARK_UP = re.compile(
    r"</?(?:minimax:)?tool_call>|</?(?:｜DSML｜)?(?:invoke|function_calls)\b|<function[= ]|</function>|<arg_key>"
    r"|\bto=functions\.|<\|(?:channel|call|python_tag|constrain|tool_calls?_\w+)\|>|<｜(?:tool▁|DSML)"
    r"|\[(?:TOOL_CALLS|ARGS)\]|\A\[\w+\(\w+="
)
"""What no answer holds: a call that was meant and could not be read."""


def in_one_form(text: str) -> str:
    """A reply whose thoughts stand in `<think>`, and whose calls in `<tool_call>` as JSON of a name and arguments.

    What is cut off in the middle of a call keeps its mark-up.
    """
    for pattern, form in _THOUGHTS:
        text = pattern.sub(form, text)
    for pattern in (_HARMONY, _DEEPSEEK, _KIMI, _MISTRAL_NAMED):
        text = pattern.sub(lambda match: _call(match[1], match[2]), text)
    text = _MISTRAL_LIST.sub(_each(_listed), text)
    text = _PYTHON_TAG.sub(_each(_of_python), text)
    text = _TOOL_CALL.sub(_inside, text)
    text = _INVOKE.sub(lambda match: _call(match[2], _parameters(match[3])), text)
    text = _FUNCTION.sub(lambda match: _call(match[1], _parameters(match[2])), text)
    return _bare(_SECTIONS.sub("", text))


def _call(name: str, arguments: Any) -> str:
    """A call in the one form; arguments that are a text stay one, to be read or refused as they are."""
    arguments = re.sub(r"^\s*```(?:json)?|```\s*$", "", arguments).strip() if isinstance(arguments, str) else arguments
    return f"<tool_call>{json.dumps({'name': name, 'arguments': arguments}, ensure_ascii=False)}</tool_call>"


def _each(read: Callable[[str], list[tuple[str, Any]]]) -> Callable[[re.Match[str]], str]:
    def written(match: re.Match[str]) -> str:
        return "".join(_call(name, arguments) for name, arguments in read(match[1])) or match[0]

    return written


def _parameters(body: str) -> Any:
    """Parameters in tags as an object; a body without any is JSON, or nothing where it is empty."""
    found = {name.strip(): _value(value.strip("\n")) for name, value in _PARAMETER.findall(body)}
    return found or body.strip() or {}


def _value(text: str) -> Any:
    """A parameter's text, or the list that it is JSON of: all that tools here take."""
    if text.lstrip().startswith("["):
        try:
            return json.loads(text)
        except ValueError:
            pass
    return text


def _inside(match: re.Match[str]) -> str:
    """What GLM and Qwen3-Coder put into `<tool_call>` in the place of JSON."""
    body = match[1].strip()
    if function := _FUNCTION.search(body):
        return _call(function[1], _parameters(function[2]))
    if _ARGUMENT.search(body):
        pairs = {key.strip(): _value(value) for key, value in _ARGUMENT.findall(body)}
        return _call(body.partition("<arg_key>")[0].strip(), pairs)
    return match[0]


def _listed(text: str) -> list[tuple[str, Any]]:
    """The calls of a JSON list."""
    try:
        values = json.JSONDecoder(strict=False).raw_decode(text)[0]
    except (ValueError, RecursionError):
        return []
    return [
        (str(value.get("name")), value.get("arguments", value.get("parameters", {})))
        for value in values
        if isinstance(value, dict)
    ]


def _of_python(text: str) -> list[tuple[str, Any]]:
    """The calls behind Llama's tag: JSON objects, or calls as Python writes them."""
    calls: list[tuple[str, Any]] = []
    for part in re.split(r"(?<=\})\s*;\s*(?=\{)", text.strip()):
        calls += _listed(f"[{part}]") if part.startswith("{") else _pythonic(part)
    return calls


def _pythonic(text: str) -> list[tuple[str, Any]]:
    """Calls in Python's syntax, `[search(query="a")]` or `brave_search.call(query="a")`, or none if any is unclear."""
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        nodes = tree.elts if isinstance(tree, ast.List) else [tree]
        calls = []
        for node in nodes:
            if not isinstance(node, ast.Call) or node.args:
                return []
            arguments = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in node.keywords}
            calls.append((ast.unparse(node.func).removesuffix(".call"), arguments))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return []
    return calls


def _bare(text: str) -> str:
    """A message that is nothing but a call: its JSON or Python without any tag, or gpt-oss's arguments alone."""
    thought, closed, said = text.rpartition("</think>")
    said = said.strip()
    if said.startswith("[") and said.endswith("]") and (calls := _pythonic(said)):
        return thought + closed + "".join(_call(*call) for call in calls)
    if not (said.startswith("{") and said.endswith("}")):
        return text
    try:
        value = json.loads(said, strict=False)
    except (ValueError, RecursionError):
        return text
    if {"name", "parameters"} == set(value) or {"name", "arguments"} == set(value):
        return f"{thought}{closed}<tool_call>{said}</tool_call>"
    if set(value) in ({"query"}, {"queries"}):
        return thought + closed + _call("search", value)
    return thought + closed + _call("get_document", value) if set(value) == {"docid"} else text
