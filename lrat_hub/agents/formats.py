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
    # Mistral; Kimi-VL; Seed; Command.
    (re.compile(r"\[THINK\]|◁think▷|<seed:think>|<\|START_THINKING\|>"), "<think>"),
    (re.compile(r"\[/THINK\]|◁/think▷|</seed:think>|<\|END_THINKING\|>"), "</think>"),
    # ERNIE; Command.
    (re.compile(r"<response>(.*?)</response>\s*\Z|<\|(?:START|END)_RESPONSE\|>", re.S), r"\1"),
    # gpt-oss, with its tokens and without them.
    (
        re.compile(r"<\|channel\|>analysis<\|message\|>(.*?)(?:<\|end\|>|(?=<\|start\|>|<\|channel\|>)|$)", re.S),
        r"<think>\1</think>",
    ),
    (re.compile(r"\Aanalysis(.*?)(?=assistant(?:final|commentary\b))", re.S), r"<think>\1</think>"),
    (re.compile(r"(?<=\})assistantanalysis(.*?)(?=assistant(?:final|commentary\b)|\Z)", re.S), r"<think>\1</think>"),
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
    r"(?:<\|start\|>)?(?:assistant\s*)?(?:<\|channel\|>)?(?:commentary|analysis)?\s*\bto=((?:functions|browser)\.\w+|\w+(?=\s*<\|))\s*(?:<\|channel\|>\s*\w+\s*)?"
    r"(?:<\|constrain\|>)?\s*(?:json|code)?\s*(?:<\|message\|>)?\s*(\{.*?)(?=<\||<think>|\bassistant(?:commentary|final)|\Z)",
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
    r"|</?seed:tool_call>|</?steptml:toolcall>|<｜tool_calls?_(?:begin|end)｜>|function<｜tool_sep｜>"
)
_MISTRAL_NAMED = re.compile(
    rf"\[TOOL_CALLS\]\s*({_NAME})(?:\[CALL_ID\]\w+)?\s*(?:\[ARGS\]|(?=\{{))"
    r"(.*?)(?=\[TOOL_CALLS\]|</?think>|</s>|\Z)",
    re.DOTALL,
)
_MISTRAL_LIST = re.compile(r"\[TOOL_CALLS\]\s*(\[.*?)(?=\[TOOL_CALLS\]|</?think>|</s>|\Z)", re.DOTALL)
_PYTHON_TAG = re.compile(r"<\|python_tag\|>(.*?)(?=<\|python_tag\|>|</?think>|<\|eo[mt]_id\|>|\Z)", re.DOTALL)
_WRAPPED = re.compile(
    # Granite and LFM2; Command; InternLM; Apertus; Jamba and Hunyuan; Nemotron; LongCat; OLMo; Phi; Gemma.
    r"(?:<tool_call>(?=\s*\[)|<\|tool_call(?:_start)?\|>|<\|START_ACTION\|>|<\|action_start\|>\s*<\|plugin\|>|<\|tools_prefix\|>"
    r"|<tool_calls>|<TOOLCALL>|<longcat_tool_call>|<function_calls?>|\bfunctools(?=\[)|```tool_code\b)(.*?)"
    r"(?:</tool_call>|<\|/tool_call\|>|<\|tool_call_end\|>|<\|END_ACTION\|>|<\|action_end\|>|<\|tools_suffix\|>"
    r"|</tool_calls>|</TOOLCALL>|</longcat_tool_call>|</function_calls?>|```(?=\s|\Z)|(?=</?think>)|\Z)",
    re.DOTALL,
)
"""JSON of one call or several, or calls as Python writes them, between marks."""
_MCP = re.compile(
    rf"<use_mcp_tool>(?:(?!</use_mcp_tool>).)*?<tool_name>\s*({_NAME})\s*</tool_name>\s*"
    r"<arguments>(.*?)</arguments>\s*</use_mcp_tool>",
    re.DOTALL,
)
_SEARCH = re.compile(r"<search>(.*?)</search>", re.DOTALL)
_INVOKE = re.compile(r"<(｜DSML｜|steptml:)?invoke name=\"([^\"]+)\">(.*?)</(?:｜DSML｜|steptml:)?invoke>", re.DOTALL)
_PARAMETER = re.compile(
    r"<(?:｜DSML｜|steptml:)?param(?:eter)?(?: name=\"|=)([^\">]+)\"?[^>]*>"
    r"(.*?)</(?:｜DSML｜|steptml:)?param(?:eter)?>",
    re.DOTALL,
)
_FUNCTION = re.compile(r"<function(?: name=\"|=)([^\">]+)\"?>(.*?)</function>", re.DOTALL)
_TOOL_CALL = re.compile(r"<tool_call>(.*?)</tool_call>", re.DOTALL)
_ARGUMENT = re.compile(r"<arg_key>(.*?)</arg_key>\s*<arg_value>(.*?)</arg_value>", re.DOTALL)

_KEYS_OF_A_CALL = ({"name", "arguments"}, {"name", "parameters"})

MARK_UP = re.compile(
    r"(?i:</?(?:\w+:)?(?:\w+_)?tool_?calls?>)|</?(?:｜DSML｜|steptml:)?(?:invoke|function_calls?)\b|<function[= ]"
    r"|</function>|<arg_key>|<start_function_call>|</?use_mcp_tool>|<search>|\bto=(?:functions|multi_tool_use)\."
    r"|<\|(?:channel|call|python_tag|constrain|/?tool_calls?(?:_\w+)?)\|>|<[｜|](?:tool[▁_]|DSML)"
    r"|<\|(?:START_ACTION|action_start|plugin|tools_prefix|begin_\w*query)\|>|\[(?:TOOL_CALLS|ARGS)\]|\A\[\w+\(\w+="
    r"|\A\[\{\"name\":|\A\{\"tool_(?:calls|uses)\"|\bfunctools\[|```tool_code|\A>>>\w+\n|^Action Input:",
    re.MULTILINE,
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
    for pattern in (_MISTRAL_LIST, _PYTHON_TAG):
        text = pattern.sub(_each(_of_json_or_python), text)
    text = re.sub(r"(</?tool_call>)(?:\s*\1)+", r"\1", text)
    text = _WRAPPED.sub(_each(_of_json_or_python), text)
    text = _TOOL_CALL.sub(_inside, text)
    text = _MCP.sub(lambda match: _call(match[1], match[2]), text)
    text = _SEARCH.sub(lambda match: _call("search", {"query": match[1].strip()}), text)
    text = _INVOKE.sub(lambda match: _call(match[2], _parameters(match[3])), text)
    text = _FUNCTION.sub(lambda match: _call(match[1], _parameters(match[2])), text)
    # Marks around nothing that was read stay: they are what tells a call that was meant from an answer.
    return _bare(_SECTIONS.sub("", text) if "<tool_call>" in text else text)


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


def _named(value: dict[str, Any]) -> tuple[str, Any]:
    """The name and the arguments of one call; Apertus has the name as the only key."""
    value = value["function"] if isinstance(value.get("function"), dict) else value
    name = value.get("name", value.get("tool_name"))
    if name is None and len(value) == 1:
        return next(iter(value.items()))
    return str(name), value.get("arguments", value.get("parameters", {}))


def _of_json_or_python(text: str) -> list[tuple[str, Any]]:
    """Calls as JSON objects one after the other, as a list of them, or as Python writes them."""
    calls: list[tuple[str, Any]] = []
    text = re.sub(r"^\s*```(?:json)?|```\s*$", "", text).strip()
    at = 0
    try:
        while text[at : at + 1] in ("{", "["):
            value, at = json.JSONDecoder(strict=False).raw_decode(text, at)
            values = value if isinstance(value, list) else [value]
            calls += [_named(one) for one in values if isinstance(one, dict)]
            at += len(text[at:]) - len(text[at:].lstrip(" \r\n\t;,"))
    except (ValueError, RecursionError):
        pass
    return calls or _pythonic(text)


def _pythonic(text: str) -> list[tuple[str, Any]]:
    """Calls in Python's syntax, `[search(query="a")]` or `brave_search.call(query="a")`, or none if any is unclear."""
    try:
        lines = [line.value for line in ast.parse(text.strip()).body if isinstance(line, ast.Expr)]
        nodes = [node for line in lines for node in (line.elts if isinstance(line, ast.List) else [line])]
        calls = []
        for node in nodes:
            if not isinstance(node, ast.Call) or node.args:
                return []
            arguments = {str(keyword.arg): _literal(keyword.value) for keyword in node.keywords}
            calls.append((ast.unparse(node.func).removesuffix(".call"), arguments))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return []
    return calls


def _literal(node: ast.expr) -> Any:
    """A value as Python writes it, or one of the three that OLMo writes as JSON has them."""
    of_json = {"null": None, "true": True, "false": False}
    return of_json[node.id] if isinstance(node, ast.Name) and node.id in of_json else ast.literal_eval(node)


def _bare(text: str) -> str:
    """What is said outside of thoughts and is nothing but a call: its JSON or Python without any tag."""
    parts = text.split("</think>")
    for number, part in enumerate(parts):
        said, opening, thought = part.partition("<think>")
        # Before the first closing tag everything is a thought, where nothing opened it.
        if opening or number or len(parts) == 1:
            parts[number] = _bare_call(said) + opening + thought
    return "</think>".join(parts)


def _all_named(text: str) -> list[tuple[str, Any]]:
    """The calls of a JSON list that holds nothing else, as xLAM writes them."""
    try:
        values = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return []
    named = all(isinstance(value, dict) and set(value) in _KEYS_OF_A_CALL for value in values)
    return [_named(value) for value in values] if named else []


def _bare_call(text: str) -> str:
    """A text that is nothing but a call, or gpt-oss's arguments alone, in the one form; others as they are."""
    said = re.sub(r"\A```(?:json)?(.*)```\Z", r"\1", text.strip(), flags=re.DOTALL).strip()
    if said.startswith("[") and said.endswith("]") and (calls := _pythonic(said) or _all_named(said)):
        return "".join(_call(*call) for call in calls)
    if not (said.startswith("{") and said.endswith("}")):
        return text
    try:
        value = json.loads(said, strict=False)
    except (ValueError, RecursionError):
        return text
    if set(value) in _KEYS_OF_A_CALL:
        return f"<tool_call>{said}</tool_call>"
    if set(value) in ({"query"}, {"queries"}):
        return _call("search", value)
    return _call("get_document", value) if set(value) == {"docid"} else text
