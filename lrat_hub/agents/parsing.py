"""Tool calls out of what language models write: whatever can be understood is, and the rest says why not.

A call that can't be read costs itself: it becomes an `Invalid` whose error the agent is told.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lrat_hub.agents.calls import Answer, Browse, Call, Invalid, Search
from lrat_hub.agents.formats import in_one_form

MAX_QUERIES = 10

SEARCH_TOOLS = frozenset({"search", "web_search", "local_knowledge_base_retrieval"})
BROWSE_TOOLS = frozenset({"browse", "get_document", "open", "visit", "fetch", "fetch_url"})
ANSWER_TOOLS = frozenset({"answer", "final_answer", "finish"})

QUERY_KEYS = ("query", "queries", "user_query", "search_query", "q")
DOCID_KEYS = ("docid", "docids", "doc_id", "document_id", "id", "url", "goal_docid")
ANSWER_KEYS = ("answer", "final_answer", "text", "response")

_STRING = r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'"""
_JSON5 = re.compile(_STRING + r"|//[^\n]*|/\*.*?\*/|[A-Za-z_$][\w$]*(?=\s*:)", re.DOTALL)
_SURROGATES = re.compile("[\ud800-\udfff]")
_TOOL_CALL = re.compile(r"<tool_call>(.*?)(?:</tool_call>|(?=<tool_call>)|$)", re.DOTALL)
_THOUGHT = re.compile(r"<think>(.*?)</think>", re.DOTALL)
_ANSWER = re.compile(r"<answer>(.*?)(?:</answer>|$)", re.DOTALL)


@dataclass(frozen=True)
class TaggedReply:
    """A text that may carry thoughts, calls and an answer in tags, taken apart.

    Args:
        reasoning: What was thought, and what was said before the first call or answer.
        calls: The bodies of the calls, as they were written.
        answer: What stands in <answer>; None without the tag.
        rest: What was said outside of thoughts, calls and answers.
        open_thought: Whether the text ends in the middle of a thought.
    """

    reasoning: str
    calls: tuple[str, ...]
    answer: str | None
    rest: str
    open_thought: bool


def read_tags(text: str) -> TaggedReply:
    """Takes a text with tags apart, also one of a model's own format (`lrat_hub.agents.formats`).

    A missing opening <think> is common, and a missing closing one happens.
    """
    thought, rest = _thoughts_apart(in_one_form(text))
    before_opening, opening, unfinished = rest.partition("<think>")
    open_thought = bool(opening)
    if open_thought:
        # The thought was never closed. Calls or an answer in it are meant all the same.
        first = re.search("<tool_call>|<answer>", unfinished)
        thought = "\n".join((thought, unfinished[: first.start()] if first else unfinished))
        rest = before_opening + (unfinished[first.start() :] if first else "")
        open_thought = first is None
    marks = re.search("<tool_call>|<answer>", rest)
    before = rest[: marks.start()] if marks else ""
    answer = _ANSWER.search(_TOOL_CALL.sub("", rest))
    return TaggedReply(
        reasoning="\n".join(filter(None, (thought.strip(), before.strip()))),
        calls=tuple(_TOOL_CALL.findall(rest)),
        answer=answer[1].strip() if answer else None,
        rest=_ANSWER.sub("", _TOOL_CALL.sub("", rest)).strip(),
        open_thought=open_thought,
    )


def _thoughts_apart(text: str) -> tuple[str, str]:
    """The thoughts of a text, and the rest: what stands before a closing tag that nothing opened is a thought, too."""
    thoughts: list[str] = []
    before, closing, behind = text.partition("</think>")
    if closing and "<think>" not in before:
        thoughts, text = [before], behind
    thoughts += _THOUGHT.findall(text)
    text = _THOUGHT.sub("\n", text)
    before, closing, behind = text.rpartition("</think>")
    if closing and not re.search("<tool_call>|<answer>", before):
        thoughts, text = [*thoughts, before], behind
    return "\n".join(filter(None, map(str.strip, thoughts))), text.replace("</think>", "")


def read_call(body: str) -> tuple[Call, ...]:
    """The calls that the JSON of one tool call means: `{"name": ..., "arguments": {...}}`."""
    value = load_object(body)
    if value is None:
        return (Invalid(None, "the tool call is not a complete JSON object"),)
    function = value.get("function")
    if isinstance(function, Mapping):
        value = function
    elif isinstance(function, str) and "name" not in value:
        value = {**value, "name": function}
    name = value.get("name") or value.get("tool")
    arguments = next((value[key] for key in ("arguments", "parameters", "args", "input") if key in value), None)
    if arguments is None:
        # Small models put the arguments beside the name.
        arguments = {key: part for key, part in value.items() if key not in ("name", "tool", "function", "type")}
    return read_function(name, arguments)


def read_function(name: Any, arguments: Any) -> tuple[Call, ...]:
    """The calls that a function call means: one, or for a browse of several documents one each.

    Args:
        arguments: An object, or the JSON of one.
    """
    tool = tool_name(name)
    if tool is None:
        return (Invalid(None, f"there is no tool {str(name)[:80]!r}"),)
    if isinstance(arguments, str):
        read = load_object(arguments)
        if read is None:
            return (Invalid(None, f"the arguments of {tool} are not a complete JSON object"),)
        arguments = read
    if not isinstance(arguments, Mapping):
        return (Invalid(None, f"the arguments of {tool} are not a JSON object"),)
    if tool in SEARCH_TOOLS:
        return read_search(_first(arguments, QUERY_KEYS))
    if tool in BROWSE_TOOLS:
        return read_browse(_first(arguments, DOCID_KEYS))
    text = _first(arguments, ANSWER_KEYS)
    if isinstance(text, (int, float)) and not isinstance(text, bool):
        # A year, or another number.
        text = str(text)
    return (Answer(None, clean(text)) if isinstance(text, str) else Invalid(None, "an answer needs a text"),)


def read_search(value: Any) -> tuple[Call, ...]:
    """A search from what stands for its query: a string, a list of them, or the JSON of a list."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = _load(value) or value
    values = value if isinstance(value, list) else [value]
    queries = tuple(dict.fromkeys(query for part in values if (query := _scalar(part))))
    if any(part is not None and not isinstance(part, (str, int, float)) for part in values):
        return (Invalid(None, "a query must be a text or a list of texts"),)
    if not queries:
        return (Invalid(None, "a search needs at least one query"),)
    if len(queries) > MAX_QUERIES:
        return (Invalid(None, f"a search takes at most {MAX_QUERIES} queries, not {len(queries)}"),)
    return (Search(None, queries),)


def read_browse(value: Any) -> tuple[Call, ...]:
    """Browses from what stands for a docid: a text, a number, a list of them; ids may carry the prefix of listings."""
    values = value if isinstance(value, list) else [value]
    docids = [re.sub(r"^\s*doc\s?id\s*:?\s*", "", docid, flags=re.I) for part in values if (docid := _scalar(part))]
    docids = [docid for docid in docids if docid]
    if not docids:
        return (Invalid(None, "opening a document needs its DocID as a text"),)
    return tuple(Browse(None, docid) for docid in docids)


def with_reasoning(calls: Sequence[Call], reasoning: str) -> list[Call]:
    """The calls of one message: the first with its reasoning, the others with None."""
    return [replace(call, reasoning=reasoning if index == 0 else None) for index, call in enumerate(calls)]


def tool_name(name: Any) -> str | None:
    """A known tool's name, without the namespaces and harmony tokens that some servers leave in it."""
    if not isinstance(name, str):
        return None
    name = re.split(r"\.|__|/", name.partition("<|")[0].strip())[-1].lower()
    return name if name in SEARCH_TOOLS | BROWSE_TOOLS | ANSWER_TOOLS else None


def load_object(text: str) -> dict[str, Any] | None:
    """The JSON object in a text: fenced, followed by something, with line breaks in strings, or as Python writes it.

    Comments, trailing commas and keys without quotes are read, too, as the authors' code does with json5.

    What was cut off is not completed: nobody knows what would have followed.
    """
    text = re.sub(r"^\s*```(?:json)?|```\s*$", "", text.strip()).strip()
    value = _load(text)
    if value is None and (start := text.find("{")) > 0:
        value = _load(text[start:])
    return value if isinstance(value, dict) else None


def clean(text: str) -> str:
    r"""A text without lone surrogates, which JSON can write as \ud800 and no UTF-8 column can hold."""
    return _SURROGATES.sub("�", text)


def _load(text: str) -> Any:
    try:
        return json.JSONDecoder(strict=False).raw_decode(text)[0]
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        pass
    try:
        plain = re.sub(r",(?=\s*[}\]])|" + _STRING, _as_json, _JSON5.sub(_as_json, text))
        return json.JSONDecoder(strict=False).raw_decode(plain)[0]
    except (ValueError, RecursionError):
        return None


def _as_json(match: re.Match[str]) -> str:
    """A token of JSON5 as JSON has it."""
    token = match[0]
    if token[0] == "'":
        inner = re.sub(r"\\'|\"", lambda found: "'" if found[0] == "\\'" else '\\"', token[1:-1])
        return f'"{inner}"'
    if token[0] == '"':
        return token
    return "" if token[0] in "/," else f'"{token}"'


def _first(arguments: Mapping[str, Any], keys: Sequence[str]) -> Any:
    return next((arguments[key] for key in keys if arguments.get(key) not in (None, "", [])), None)


def _scalar(value: Any) -> str | None:
    """A text, or a number as one; None for anything else and for what is empty."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    return clean(" ".join(str(value).split())) or None
