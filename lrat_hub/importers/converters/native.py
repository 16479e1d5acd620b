"""Conversations whose calls stand in texts, as conversations with calls: for messages as for decoded chat templates.

The tags of an agent's texts become calls (`tagged`, `react`). What a tool answers then comes as a message of the
user, in tags or as it is. A user's message before the first call is a prompt: the examples in it are no results.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from lrat_hub.importers.chat_messages import assistant
from lrat_hub.importers.converters.json_calls import json_messages
from lrat_hub.importers.converters.react import react_run
from lrat_hub.importers.converters.tag_calls import Call
from lrat_hub.importers.converters.tagged import (
    count_unknown,
    has_open_result,
    result_message,
    results_in,
    tagged_messages,
)
from lrat_hub.importers.prompts import is_nudge
from lrat_hub.importers.rows import texts_of_values
from lrat_hub.ledger import Ledger

AFTER_ANSWER = "observations that follow the answer"

_ASSISTANT = ("assistant", "gpt", "ai", "model")
_OTHERS = ("user", "human", "tool", "function", "observation", "ipython")
_OBSERVATION = re.compile(r"\s*Observation(?: \d{1,3})?:[ \t]*\n?")
# Runs end with an instruction in the place of the last result.
_INSTRUCTION = re.compile(
    r"\s*(?:Summarize the above|This is a direct instruction|You have now reached the max|You have reached the limit)"
)
_TEMPLATE = re.compile(
    r"(?:<\|im_start\|>(?P<chatml>\w{1,20})[^\n]{0,100}\n"
    r"|<\|start_header_id\|>(?P<llama>\w{1,20})<\|end_header_id\|>\s*"
    r"|<start_of_turn>(?P<gemma>\w{1,20})\n)"
)
_MARK = r"<(?:\|(?:im_end|eot_id|eom_id|endoftext|end_of_text|begin_of_text)\||end_of_turn|bos)>"
# An end of a message, that of the text, and the begin of the next one.
_TEMPLATE_END = re.compile(rf"{_MARK}(?:\s*{_MARK}){{0,2}}\s*$")
_ANSWERED = re.compile(r"</answer>")
# Decoding without special tokens leaves the roles of ChatML as lines of their own.
_ROLE_LINE = re.compile(r"(?:\A|(?<=\n))(?P<role>system|user|assistant|tool)\n")
_BEFORE_RESULT = re.compile(r"\n?(?:user|tool)\s*\n(?=<tool_response>)")
_AFTER_RESULT = re.compile(r"(?<=</tool_response>)\s*\n?assistant\n")


def plain_text(message: Any) -> str | None:
    """The text of a message that is text alone, or None."""
    content = message.get("content", message.get("value")) if isinstance(message, dict) else None
    if isinstance(content, list) and content:
        parts = [part.get("text") if isinstance(part, dict) else part for part in content]
        kinds = [part.get("type", "text") if isinstance(part, dict) else "text" for part in content]
        if all(kind == "text" for kind in kinds) and all(isinstance(part, str) for part in parts):
            return "\n".join(map(str, parts))
        return None
    return content if isinstance(content, str) else None


def role_of(message: Any) -> str | None:
    """The role as it is written, in lower case, or None."""
    role = (message.get("role") or message.get("from")) if isinstance(message, dict) else None
    return role.casefold() if isinstance(role, str) else None


def native_messages(messages: Sequence[Any], parts: Ledger) -> list[Any]:
    """The messages with the calls and results that stand in their texts taken out of them.

    Args:
        parts: Gets a drop for each tag that sounds like an action and is not known.
    """
    native: list[Any] = []
    waiting: list[Call] = []
    in_react = False
    for message, following in zip(messages, [*messages[1:], None], strict=True):
        role, text = role_of(message), plain_text(message)
        if role in _ASSISTANT and text and not message.get("tool_calls") and not message.get("function_call"):
            count_unknown(text, parts)
            run = react_run(text, goes_on=in_react)
            in_react = in_react or run is not None
            if run is not None and run.question and not native:
                native.append({"role": "user", "content": run.question})  # the whole run is one text
            written = run.messages if run is not None else tagged_messages(text)
            if written is None or (run is None and not any("tool_calls" in part for part in written)):
                written = (json_messages(text) if role_of(following) in _OTHERS else None) or written
            waiting = _waiting(written) if written else []
            native.extend(_with_reasoning(message, written) if written else [message])
        elif role in _OTHERS and waiting and text is not None and not _INSTRUCTION.match(text):
            native.extend(_results(role, message, text, waiting))
            waiting = []
        elif in_react and role in _OTHERS and not waiting and text and _OBSERVATION.match(text):
            parts.note(AFTER_ANSWER, example=text)
        else:
            native.append(message)
            waiting = waiting if role in _OTHERS else []
    return native


def _with_reasoning(message: Any, written: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages of a text, with the reasoning that stands beside it."""
    reasoning = message.get("reasoning_content") or message.get("reasoning") or message.get("thinking")
    if isinstance(reasoning, str) and reasoning and written[0]["role"] == "assistant":
        inside = written[0].get("reasoning_content")
        written[0]["reasoning_content"] = f"{reasoning}\n{inside}" if inside else reasoning
    return written


def _waiting(written: Sequence[dict[str, Any]]) -> list[Call]:
    """The calls at the end of a text, whose results are still to come."""
    return written[-1].get("tool_calls", []) if written else []


def _results(role: str, message: Any, text: str, waiting: Sequence[Call]) -> list[Any]:
    tagged = results_in(text, alone=role not in ("user", "human"))
    if len(waiting) == 1 and len(tagged) > 1:
        tagged = ["\n".join(tagged)]  # a page that shows such tags
    if tagged:
        return [result_message(shown) for shown in tagged]
    if role not in ("user", "human"):
        return [message]
    text = _OBSERVATION.sub("", text, count=1) if _OBSERVATION.match(text) else text
    shown = texts_of_values(text) if len(waiting) > 1 else []
    if len(shown) != len(waiting):
        shown = [text]
        if len(waiting) > 1:
            # One text for all: calls with ids share a result that has none.
            for number, call in enumerate(waiting, start=1):
                call["id"] = f"call-{number}"
    return [result_message(part) for part in shown]


def template_messages(text: str) -> list[dict[str, Any]] | None:
    """The messages of a text in a chat template, or None where it is in none."""
    matches = list(_TEMPLATE.finditer(text))
    if matches:
        roles = [match["chatml"] or match["llama"] or match["gemma"] for match in matches]
        lead = _TEMPLATE_END.sub("", text[: matches[0].start()])
    else:
        matches = list(_ROLE_LINE.finditer(text))
        if not matches or matches[0].start() != 0 or matches[0]["role"] not in ("system", "user"):
            return None
        # In what follows a role's line, others are words of a text.
        wanted = ("system", "user", "assistant")
        matches = [match for index, match in enumerate(matches) if match["role"] in wanted[index:]][:3]
        roles, lead = [match["role"] for match in matches], ""
    ends = [match.start() for match in matches[1:]] + [len(text)]
    messages = [
        {"role": role, "content": _TEMPLATE_END.sub("", text[match.end() : end].rstrip())}
        for role, match, end in zip(roles, matches, ends, strict=True)
    ]
    if lead.strip():
        # A reply whose prompt is elsewhere begins without a role.
        messages.insert(0, assistant(_TEMPLATE_END.sub("", lead.rstrip())))
    return [message for message in messages if message["content"].strip()]


def dialogues(text: str) -> list[str]:
    """A text in a chat template by the dialogues that stand in it one after the other, each with a question."""
    marks = list(_TEMPLATE.finditer(text))
    ends = [*(mark.start() for mark in marks[1:]), len(text)]
    starts, has_acted, is_answered = [0], False, False
    for mark, end in zip(marks, ends, strict=False):
        role, content = mark["chatml"] or mark["llama"] or mark["gemma"], text[mark.end() : end]
        if role in _ASSISTANT:
            # A page that shows such a template is inside of a result.
            has_acted, is_answered = not has_open_result(content), _ANSWERED.search(content) is not None
        elif has_acted and (role == "system" or (role in ("user", "human") and is_answered and _is_asked(content))):
            starts.append(mark.start())
            has_acted = False
    return [text[start:end] for start, end in pairwise([*starts, len(text)])]


def _is_asked(content: str) -> bool:
    """Whether what a user says after an answer is a question: no result, and no instruction to go on."""
    return not results_in(content, alone=True) and not is_nudge(content) and not _INSTRUCTION.match(content)


def without_role_lines(text: str) -> str:
    """A decoded text without the lines of roles around results in tags."""
    return _AFTER_RESULT.sub("\n", _BEFORE_RESULT.sub("\n", text))
