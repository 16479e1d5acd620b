"""ReAct in plain text as chat messages: "Thought:", "Action:", "Action Input:", "Observation:" and "Final Answer:".

Actions are written as `Search[query]` (the paper's prompts, numbered or not), as a name with an input of its own
(LangChain, LlamaIndex, Qwen-Agent), or as a JSON object with `action` and `action_input` (LangChain's JSON agents).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from lrat_hub.importers.chat_messages import Chat, assistant
from lrat_hub.importers.converters.tag_calls import Call, call, first_argument
from lrat_hub.importers.converters.tagged import result_message
from lrat_hub.importers.values import json_or_none, text_of

_NAMED = (
    r"[ \t]*(?:\*\*)?(?P<label>Question|Thought|Action Input|Action|Observation|Final Answer)(?:[ \t]?\d{1,3})?"
    r"(?:\*\*)?:(?:\*\*)?[ \t]*"
)
_LABEL = re.compile(f"^{_NAMED}", re.MULTILINE | re.IGNORECASE)
# A pattern that begins with a character is looked for much faster.
_LABEL_LINE = re.compile(f"\n{_NAMED}", re.IGNORECASE)
_BRACKETS = re.compile(r"(?P<name>[\w .-]{1,80}?)[ \t]*[\[(](?P<argument>.*)[\])]\s*", re.DOTALL)
_FENCE = re.compile(r"^```\w*\s*|\s*```\s*$")
ANSWERS = ("finish", "final answer", "final_answer")


@dataclass
class ReactRun:
    """A text in ReAct: its question, where it names one, and its messages.

    Args:
        num_before: How many runs stand above it in the text.
    """

    question: str
    messages: list[dict[str, Any]]
    num_before: int = 0


def is_react(text: Any) -> bool:
    """Whether a text has an action and something before or after it, as ReAct writes them."""
    if not isinstance(text, str) or "ction" not in text:
        return False
    labels = {match["label"].lower() for match in _LABEL_LINE.finditer(f"\n{text}")}
    return "action" in labels and bool(labels & {"thought", "action input", "observation"})


def _with_whole_pages(parts: Iterator[tuple[str, str]]) -> list[tuple[str, str]]:
    """The parts of a text. A question in what an action showed is of a document, as another run follows an answer."""
    whole: list[tuple[str, str]] = []
    is_answered = False
    for label, body in parts:
        if label == "question" and whole and whole[-1][0] == "observation" and not is_answered:
            whole[-1] = ("observation", f"{whole[-1][1]}\nQuestion: {body}")
            continue
        if label == "action":
            is_answered = body.strip().lower().startswith(ANSWERS)
        whole.append((label, body))
    return whole


def react_run(text: str, *, goes_on: bool = False) -> ReactRun | None:
    """The last run in a text, since prompts begin with examples; None for a text without an action.

    Args:
        goes_on: Whether the text is part of a conversation in ReAct, so that it may be a thought or an answer alone.
    """
    if not is_react(text) and not (goes_on and _LABEL.search(text)):
        return None
    parts = _with_whole_pages(_parts(text))
    starts = [index for index, (label, _) in enumerate(parts) if label == "question"]
    run = ReactRun("", [])
    if starts:
        labels = [[label for label, _ in parts[start:end]] for start, end in pairwise(starts)]
        run.num_before = sum("action" in names for names in labels)
        parts = parts[starts[-1] :]
    thoughts: list[str] = []
    for index, (label, body) in enumerate(parts):
        match label:
            case "question":
                run.question = body
            case "thought" | "":
                thoughts.append(body)
            case "action":
                following = parts[index + 1] if index + 1 < len(parts) else ("", "")
                action = _action(body, following[1] if following[0] == "action input" else None)
                run.messages.append(_assistant(thoughts, *action))
                thoughts = []
            case "observation":
                # After the answer, environments say how the episode ended.
                if not run.messages or "tool_calls" in run.messages[-1] or run.messages[-1]["role"] != "assistant":
                    run.messages.append(result_message(body))
            case "final answer":
                run.messages.append(_assistant(thoughts, None, body))
                thoughts = []
    if any(thoughts):
        run.messages.append(assistant("\n".join(filter(None, thoughts))))
    return run


def _parts(text: str) -> Iterator[tuple[str, str]]:
    matches = list(_LABEL.finditer(text))
    if text[: matches[0].start()].strip():
        yield "", text[: matches[0].start()].strip()
    ends = [match.start() for match in matches[1:]] + [len(text)]
    for match, end in zip(matches, ends, strict=False):
        yield match["label"].lower(), text[match.end() : end].strip()


def _action(body: str, given: str | None) -> tuple[Call | None, str]:
    """The call that an action is, or no call and the answer."""
    body = _FENCE.sub("", body.strip()).strip()
    value = json_or_none(body) if body.startswith("{") else None
    if isinstance(value, dict) and isinstance(value.get("action"), str):
        name, argument = value["action"], value.get("action_input")
    elif given is not None:
        name, argument = body, given
    else:
        name, argument = bracket_call(body)
    return action_call(name, argument)


def bracket_call(text: str) -> tuple[str, str]:
    """The name and the argument in `Search[query]` or `search(query)`; the first line without brackets."""
    brackets = _BRACKETS.fullmatch(text)
    return (brackets["name"], brackets["argument"]) if brackets else (text.partition("\n")[0], "")


def action_call(name: str, argument: Any) -> tuple[Call | None, str]:
    """The call of a named action, or no call and the answer where it is one."""
    if name.strip().lower() in ANSWERS:
        return None, text_of(argument).strip()
    arguments = argument if isinstance(argument, dict) else first_argument(text_of(argument))
    # The paper's actions have a capital, and names of several words are those of LangChain's tools.
    return call("_".join(name.strip().lower().split()) if " " in name.strip() or name.istitle() else name.strip(),
                dict(arguments)), ""  # fmt: skip


def _assistant(thoughts: list[str], action: Call | None, text: str) -> Chat:
    return assistant(text, "\n".join(filter(None, thoughts)), [] if action is None else [action])
