"""Tool calls that a model writes into its text: what stands between the tags of a call, as name and arguments.

Read are JSON (Hermes, Qwen), XML with `<function=...>` and `<parameter=...>` (Qwen3-Coder), `<arg_key>` and
`<arg_value>` (GLM), `<use_mcp_tool>` (MiroThinker), `<invoke name="...">` (Anthropic, MiniMax, DeepSeek V3.2), and
the special tokens of Kimi K2, DeepSeek, Mistral, Llama, Granite, LFM2, InternLM and Gemma.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from lrat_hub.importers.values import json_or_none, object_of, storable, text_of

LONGEST_LITERAL = 100_000
_FUNCTION = re.compile(r"<function=(?P<name>[^>\n]{1,200})>")
_PARAMETER = re.compile(r"<parameter=(?P<key>[^>\n]{1,200})>")
_GLM_KEY = "<arg_key>"
_ATTRIBUTE = re.compile(r"(?P<key>[\w-]{1,100})=(?:\"(?P<double>[^\"]*)\"|'(?P<single>[^']*)')")
_INVOKE_PARAMETER = re.compile(r"<[^<>\s]{0,20}parameter\s(?P<attributes>[^<>]{1,300})>")
_FENCE = re.compile(r"```\w*")

Call = dict[str, Any]


def call(name: Any, arguments: Any) -> Call:
    """A call as chat messages have it."""
    return {"function": {"name": name, "arguments": arguments}}


def broken_call() -> Call:
    """A call that can't be read, which costs that call alone."""
    return {"unreadable": "tool call is not JSON"}


def between(text: str, opening: str, closing: str) -> str | None:
    """The text between two marks, or None where the first is missing; to the end without the second."""
    _, opened, rest = text.partition(opening)
    return rest.partition(closing)[0] if opened else None


def attributes_of(text: str) -> dict[str, str]:
    """The attributes of an opening tag: `name="search" k="5"`."""
    return {
        match["key"]: (match["double"] if match["double"] is not None else match["single"]).replace("&quot;", '"')
        for match in _ATTRIBUTE.finditer(text)
    }


def calls_in(body: str) -> Iterator[Call]:
    """The calls between `<tool_call>` and `</tool_call>`, or between the tags of one of the other dialects."""
    body = body.strip()
    if "<function=" in body:
        yield from _coder_calls(body)
    elif _GLM_KEY in body:
        yield _glm_call(body)
    elif (value := json_or_none(body)) is not None:
        for part in value if isinstance(value, list) else [value]:
            yield json_call(part)
    else:
        yield from _other_calls(body)


def json_call(value: Any) -> Call:
    """A call that is a JSON object."""
    if not isinstance(value, dict):
        return broken_call()
    body = value["function"] if isinstance(value.get("function"), dict) else value
    name = body.get("name", body.get("tool_name", body.get("tool")))
    keys = ("arguments", "args", "parameters", "input", "tool_input")
    return call(name, next((body[key] for key in keys if body.get(key) is not None), {}))


def _other_calls(body: str) -> Iterator[Call]:
    """Calls of which each is a line, one with code behind it, or one that is a literal of Python."""
    values = [json_or_none(line) for line in body.splitlines() if line.strip()]
    if values and all(isinstance(value, dict) for value in values):
        yield from map(json_call, values)
        return
    try:
        value, _ = json.JSONDecoder().raw_decode(body)
    except (ValueError, RecursionError):
        value = _literal(body)
    yield json_call(storable(value))


def _literal(text: str) -> Any:
    if not text.startswith(("{", "[")) or len(text) > LONGEST_LITERAL:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # about what a model wrote, which nobody here can fix
            return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _coder_calls(body: str) -> Iterator[Call]:
    matches = list(_FUNCTION.finditer(body))
    ends = [match.start() for match in matches[1:]] + [len(body)]
    for match, end in zip(matches, ends, strict=False):
        inside = body[match.end() : end].partition("</function>")[0]
        keys = list(_PARAMETER.finditer(inside))
        stops = [key.start() for key in keys[1:]] + [len(inside)]
        arguments = {
            key["key"].strip(): value_of(inside[key.end() : stop].partition("</parameter>")[0])
            for key, stop in zip(keys, stops, strict=False)
        }
        # Llama writes the arguments as JSON.
        written = None if keys else json_or_none(inside.strip())
        yield call(match["name"].strip(), written if isinstance(written, dict) else arguments)


def _glm_call(body: str) -> Call:
    name, _, rest = body.partition(_GLM_KEY)
    arguments = {}
    for pair in rest.split(_GLM_KEY):
        key, closed, value = pair.partition("</arg_key>")
        if closed:
            arguments[key.strip()] = value_of(between(value, "<arg_value>", "</arg_value>") or "")
    return call(name.strip(), arguments)


def value_of(text: str) -> Any:
    """An argument that is written as text: lists and objects are JSON, everything else is what it says."""
    text = text.strip()
    value = json_or_none(text) if text[:1] in ("[", "{") else None
    return text if value is None else value


def mcp_call(body: str) -> Call:
    """The call in `<use_mcp_tool>`."""
    name = (between(body, "<tool_name>", "</tool_name>") or "").strip()
    arguments = (between(body, "<arguments>", "</arguments>") or "").strip()
    return call(name, arguments or "{}") if name else broken_call()


def attribute_call(attributes: str, body: str) -> Call:
    """A call whose tag names the tool: `<call_tool name="google_search" gl="us">query</call_tool>`.

    The text is the main argument. Which one that is depends on the tool, so it stands under each name that a search
    or a browse reads.
    """
    values = attributes_of(attributes)
    name, text = values.pop("name", ""), body.strip()
    if isinstance(value := json_or_none(text), dict):
        return call(name, {**values, **value})
    return call(name, {**values, "query": text, "url": text, "text": text})


def invoke_call(attributes: str, body: str) -> Call:
    """A call in `<invoke name="...">` with `<parameter name="...">`."""
    keys = list(_INVOKE_PARAMETER.finditer(body))
    stops = [key.start() for key in keys[1:]] + [len(body)]
    arguments: dict[str, Any] = {}
    for key, stop in zip(keys, stops, strict=False):
        name = attributes_of(key["attributes"]).get("name", "")
        value = body[key.end() : stop]
        end = value.rfind("</")
        arguments[name] = value_of(value if end < 0 else value[:end])
    return call(attributes_of(attributes).get("name", ""), arguments)


def kimi_call(body: str) -> Call:
    """`functions.search:0<|tool_call_argument_begin|>{...}`."""
    name, _, arguments = body.partition("<|tool_call_argument_begin|>")
    return call(re.sub(r":\d+$", "", name.strip()), arguments.strip() or "{}")


def deepseek_call(body: str) -> Call:
    """`search<｜tool▁sep｜>{...}`, or `function<｜tool▁sep｜>search` and a fenced block."""
    head, _, rest = body.partition("<｜tool▁sep｜>")
    if head.strip() == "function":
        head, _, rest = rest.strip().partition("\n")
    return call(head.strip(), _FENCE.sub("", rest).strip() or "{}")


def mistral_calls(body: str) -> Iterator[Call]:
    """`[{"name": ..., "arguments": ...}]`, or `search[ARGS]{...}` with an id before the arguments."""
    name, marked, arguments = body.strip().partition("[ARGS]")
    if marked:
        yield call(name.partition("[CALL_ID]")[0].strip(), arguments.strip() or "{}")
    else:
        yield from calls_in(body)


def python_calls(body: str) -> Iterator[Call]:
    """Calls as Python writes them: `[search(query="...")]`, `brave_search.call(query="...")`; or JSON."""
    body = body.strip()
    values = _python_calls(body) if len(body) < LONGEST_LITERAL and body[:1] != "{" else None
    yield from calls_in(body) if values is None else values


def _python_calls(body: str) -> list[Call] | None:
    """The calls in an expression or lines of them, or None where it is something else."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            lines = [node.value for node in ast.parse(body).body if isinstance(node, ast.Expr)]
        nodes = [inner for node in lines for inner in (node.elts if isinstance(node, ast.List) else [node])]
        return list(map(_python_call, nodes)) or None
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        return None


def _python_call(node: ast.expr) -> Call:
    """One call. Raises TypeError or ValueError for another expression, and for arguments that are no literals."""
    while isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print" and node.args:
        node = node.args[0]
    if not isinstance(node, ast.Call) or not isinstance(node.func, (ast.Name, ast.Attribute)):
        raise TypeError("not a call")
    if isinstance(node.func, ast.Attribute) and node.func.attr == "call":
        name = ast.unparse(node.func.value)
    else:
        name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
    named = {part.arg: storable(ast.literal_eval(part.value)) for part in node.keywords if part.arg}
    first = first_argument(text_of(storable(ast.literal_eval(node.args[0])))) if node.args else {}
    return call(name, {**first, **named})


def first_argument(text: str) -> Mapping[str, Any]:
    """The argument of a tool that is called with one text: JSON, or the text under each usual name."""
    text = text.strip()
    value = json_or_none(text) if text[:1] in ("{", "[") else None
    if isinstance(value, dict):
        return value
    text = text_of(value) if isinstance(value, str) else text
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1]
    query = value if isinstance(value, list) else text
    return {"query": query, "url": text, "text": text} if text else object_of(None)
