"""What agents' models are told, and how they call tools: in tags, by function calling, or as JSON by a schema.

A protocol writes requests and reads replies; it keeps no state. What happens in between is `language.py`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

from lrat_hub.agents.calls import Answer, Call, Invalid
from lrat_hub.agents.formats import MARK_UP
from lrat_hub.agents.parsing import (
    BROWSE_TOOLS,
    SEARCH_TOOLS,
    clean,
    load_object,
    read_browse,
    read_call,
    read_function,
    read_search,
    read_tags,
    tool_name,
    with_reasoning,
)
from lrat_hub.errors import LratError
from lrat_hub.llm.chat import Reply
from lrat_hub.llm.isolation import isolated
from lrat_hub.llm.prompts import digest_of, read_prompt, shortened

ProtocolName = Literal["tongyi", "webexplorer", "agentcpm", "tools", "json"]

PROTOCOLS: tuple[ProtocolName, ...] = get_args(ProtocolName)

Messages = list[dict[str, Any]]

CUT = "the reply was cut off before it was complete"
UNREAD = "the reply holds the mark-up of a call that could not be read"
ONE_AT_A_TIME = "only the first call of a message is carried out"
DOCIDS_OFFERED = 60
"""Documents, at most, that a schema lets an agent choose from: those it was shown last."""


TOOLS_MARK = "{tools}"
"""Stands in a system text where the tools are listed, a JSON object a line."""


@dataclass(frozen=True)
class AgentPrompt:
    """What an agent is told, and what it can call.

    Args:
        system: The system message; "" for none.
        question: The message with the question, with `{question}` where it goes.
        final: The message that asks for an answer at a limit.
        again: What a reply without a call or an answer is told.
        tools: Functions in OpenAI's format: one that searches, one that opens a document, maybe one that answers.
        tool_choice: "required" where each reply has to call a tool, which a server can hold any model to.
    """

    system: str
    question: str
    final: str
    again: str
    tools: Sequence[Mapping[str, Any]] = field(default_factory=tuple)
    tool_choice: str | None = None

    @classmethod
    def load(cls, name: str | Path) -> AgentPrompt:
        """A prompt of this package by its name ("tongyi"), or any YAML file by its path.

        Raises:
            LratError: There is none, or it is not of this shape.
        """
        content = read_prompt("lrat_hub.agents", name)
        try:
            prompt = cls(**content)
            if "{question}" not in prompt.question:
                raise ValueError("its question has no {question}")
            json.dumps(asdict(prompt))
        except (TypeError, ValueError) as error:
            raise LratError(
                f"Prompt {name}: expected the keys system, question, final, again; {shortened(error)}."
            ) from error
        return prompt

    @cached_property
    def digest(self) -> str:
        """Identifies the prompt, whatever file it came from: 16 hexadecimal digits."""
        return digest_of(self)

    def opening(self, question: str) -> list[dict[str, Any]]:
        """The messages that a conversation begins with."""
        tools = "\n".join(json.dumps(tool, ensure_ascii=False) for tool in self.tools)
        system = self.system.strip().replace(TOOLS_MARK, tools)
        asked = self.question.strip().replace("{question}", isolated(question))
        return [
            *([{"role": "system", "content": system}] if system else []),
            {"role": "user", "content": asked},
        ]


@dataclass(frozen=True)
class Turn:
    """A reply as it was understood.

    Args:
        calls: At least one; a final answer comes alone.
        message: The reply as it stays in the conversation.
        ids: For function calls, the id that each call's result is given under; results of calls with the same id
            are one message.
    """

    calls: Sequence[Call]
    message: Mapping[str, Any]
    ids: tuple[str, ...] = ()


class ChatProtocol(Protocol):
    """What an agent's conversation needs of a protocol."""

    def options(self, prompt: AgentPrompt, shown: Sequence[str], *, is_last: bool) -> dict[str, Any]:
        """Options of `ChatBackend.chat` for the next request.

        Args:
            shown: Documents that were listed, newest last.
            is_last: Whether an answer is wanted now.
        """
        ...

    def read(self, reply: Reply, prompt: AgentPrompt) -> Turn: ...

    def results(self, turn: Turn, texts: Sequence[str]) -> Messages:
        """The messages that show what the calls of a turn gave, a text for each call; texts are isolated."""
        ...


@dataclass(frozen=True)
class TagProtocol:
    """`<think>`, `<tool_call>` and, when an answer is marked, `<answer>`, in plain texts (Tongyi-DeepResearch).

    Results come back in a user message inside `<tool_response>`, and generation stops where a model would invent one.

    Args:
        marked_answer: Whether an answer stands in <answer>. Otherwise it is a message that calls no tool, as
            WebExplorer and AgentCPM write it.
        single: Whether only the first call of a message is carried out, as these models were trained.
    """

    marked_answer: bool = True
    single: bool = True

    def options(self, prompt: AgentPrompt, shown: Sequence[str], *, is_last: bool) -> dict[str, Any]:
        return {"stop": ["<tool_response>"]}

    def read(self, reply: Reply, prompt: AgentPrompt) -> Turn:
        text = _with_reasoning(reply)
        tagged = read_tags(text)
        calls = [call for body in tagged.calls for call in read_call(body)]
        if calls:
            if self.single:
                calls = [calls[0], *(Invalid(None, ONE_AT_A_TIME) for _ in calls[1:])]
        elif tagged.answer:
            calls = [Answer(None, clean(tagged.answer))]
        elif reply.finish_reason == "length":
            calls = [Invalid(None, CUT)]
        elif MARK_UP.search(tagged.rest):
            calls = [Invalid(None, UNREAD)]
        elif tagged.rest and not self.marked_answer and not tagged.open_thought:
            calls = [Answer(None, clean(tagged.rest))]
        else:
            calls = [Invalid(None, prompt.again.strip())]
        reasoning = tagged.reasoning
        if not reasoning and not isinstance(calls[0], Answer):
            reasoning = tagged.rest
        return Turn(with_reasoning(calls, clean(reasoning)), {"role": "assistant", "content": text})

    def results(self, turn: Turn, texts: Sequence[str]) -> Messages:
        shown = [f"<tool_response>\n{isolated(text)}\n</tool_response>" for text in texts]
        return [{"role": "user", "content": "\n".join(shown)}]


@dataclass(frozen=True)
class ToolsProtocol:
    """OpenAI's function calling, with the reasoning in a field of its own (gpt-oss, MiniMax, GLM, Qwen).

    The reasoning goes back to the server under the name it came by: models that think between calls need it.
    A message without calls is the answer, and so is a call of a tool that the prompt has for it.
    """

    def options(self, prompt: AgentPrompt, shown: Sequence[str], *, is_last: bool) -> dict[str, Any]:
        tools = prompt.tools
        if prompt.tool_choice == "required":
            tools = [_offered(tool, shown) for tool in tools if shown or _is_search(tool)]
        return {"tools": tools, "tool_choice": "none" if is_last else prompt.tool_choice}

    def read(self, reply: Reply, prompt: AgentPrompt) -> Turn:
        # Servers without a parser for the model's calls or thoughts leave them in the text, and some take all of a
        # text whose thought does not end for a thought.
        alone = not reply.tool_calls and not reply.content.strip()
        tagged = read_tags(_with_reasoning(reply) if alone else reply.content)
        calls: list[Call] = []
        ids: list[str] = []
        echoed = []
        for index, call in enumerate(reply.tool_calls):
            read = read_function(call.name, call.arguments)
            call_id = call.id or f"call-{index}"
            calls += read
            ids += [call_id] * len(read)
            arguments = call.arguments
            if load_json_object(arguments) is None:
                # Servers refuse histories with arguments that are not JSON.
                arguments = json.dumps({"unreadable": arguments}, ensure_ascii=False)
            function = {"name": tool_name(call.name) or call.name, "arguments": arguments}
            echoed.append({"id": call_id, "type": "function", "function": function})
        if not reply.tool_calls:
            calls = [call for body in tagged.calls for call in read_call(body)]
        answer = tagged.answer or tagged.rest
        if not calls:
            if reply.finish_reason == "length":
                calls = [Invalid(None, CUT)]
            elif MARK_UP.search(answer):
                calls = [Invalid(None, UNREAD)]
            elif answer and not tagged.open_thought:
                calls = [Answer(None, clean(answer))]
            else:
                calls = [Invalid(None, prompt.again.strip())]
        before = tagged.rest if reply.tool_calls else ""
        thoughts = ("" if alone else reply.reasoning, tagged.reasoning, before)
        reasoning = "\n".join(part.strip() for part in thoughts if part.strip())
        message: dict[str, Any] = {"role": "assistant", "content": reply.content}
        if reply.reasoning:
            message[reply.reasoning_field] = reply.reasoning
        if echoed:
            message["tool_calls"] = echoed
        return Turn(with_reasoning(calls, clean(reasoning)), message, tuple(ids))

    def results(self, turn: Turn, texts: Sequence[str]) -> Messages:
        if not turn.ids:
            return [{"role": "user", "content": "\n\n".join(map(isolated, texts))}]
        shown: dict[str, list[str]] = {}
        for call_id, text in zip(turn.ids, texts, strict=True):
            shown.setdefault(call_id, []).append(isolated(text))
        return [
            {"role": "tool", "tool_call_id": call_id, "content": "\n\n".join(parts)}
            for call_id, parts in shown.items()
        ]


@dataclass(frozen=True)
class JsonProtocol:
    """One JSON object a reply: `reasoning`, an `action`, and what the action needs.

    The server holds the reply to a schema, which offers only what can be done: at first a search, then the documents
    that were listed, at the end an answer. So a model of any size makes a call that can be carried out.

    Args:
        max_reasoning, max_text: Characters of the reasoning, and of a query or answer: a small model does not end a
            text by itself.
    """

    max_reasoning: int = 2_000
    max_text: int = 400

    def options(self, prompt: AgentPrompt, shown: Sequence[str], *, is_last: bool) -> dict[str, Any]:
        text = {"type": "string", "minLength": 1, "maxLength": self.max_text}
        queries = {"type": "array", "items": text, "minItems": 1, "maxItems": 3}
        answer = self._shape("answer", "answer", text)
        if is_last:
            return {"schema": answer}
        offered = [self._shape("search", "queries", queries)]
        if shown:
            docids = list(dict.fromkeys(reversed(shown)))[:DOCIDS_OFFERED]
            offered += [self._shape("browse", "docid", {"enum": docids}), answer]
        return {"schema": {"anyOf": offered}}

    def _shape(self, action: str, key: str, value: Mapping[str, Any]) -> dict[str, Any]:
        reasoning = {"type": "string", "maxLength": self.max_reasoning}
        return {
            "type": "object",
            "properties": {"reasoning": reasoning, "action": {"enum": [action]}, key: value},
            "required": ["reasoning", "action", key],
            "additionalProperties": False,
        }

    def read(self, reply: Reply, prompt: AgentPrompt) -> Turn:
        message = {"role": "assistant", "content": reply.content}
        value = load_object(read_tags(reply.content).rest)
        if value is None:
            error = CUT if reply.finish_reason == "length" else prompt.again.strip()
            text = "\n".join(filter(None, (reply.reasoning, reply.content.strip())))
            return Turn([Invalid(clean(text), error)], message)
        action = value.get("action")
        if action == "search":
            calls = read_search(value.get("queries", value.get("query")))
        elif action == "browse":
            calls = read_browse(value.get("docid"))
        elif action == "answer" and isinstance(value.get("answer"), (str, int, float)):
            calls = (Answer(None, clean(str(value["answer"]))),)
        elif action == "answer":
            calls = (Invalid(None, "an answer needs a text"),)
        else:
            calls = (Invalid(None, f"there is no action {str(action)[:80]!r}"),)
        thought = value.get("reasoning")
        reasoning = "\n".join(filter(None, (reply.reasoning, thought if isinstance(thought, str) else "")))
        return Turn(with_reasoning(calls, clean(reasoning)), message)

    def results(self, turn: Turn, texts: Sequence[str]) -> Messages:
        return [{"role": "user", "content": "\n\n".join(map(isolated, texts))}]


def _with_reasoning(reply: Reply) -> str:
    """A reply as the model wrote it: servers with a reasoning parser take the thought out of the text."""
    if not reply.reasoning:
        return reply.content
    closed = f"\n</think>\n\n{reply.content}" if reply.content.strip() else ""
    return f"<think>\n{reply.reasoning}{closed}"


def _is_search(tool: Mapping[str, Any]) -> bool:
    return tool_name(tool["function"]["name"]) in SEARCH_TOOLS


def _offered(tool: Mapping[str, Any], shown: Sequence[str]) -> dict[str, Any]:
    """A tool as it is offered where a call is required: one that opens documents takes those that were listed."""
    function = tool["function"]
    if tool_name(function["name"]) not in BROWSE_TOOLS:
        return dict(tool)
    (key,) = function["parameters"]["properties"]
    properties = {key: {"type": "string", "enum": list(dict.fromkeys(reversed(shown)))[:DOCIDS_OFFERED]}}
    return {**tool, "function": {**function, "parameters": {**function["parameters"], "properties": properties}}}


def load_json_object(text: str) -> dict[str, Any] | None:
    """A JSON object as a server would read it, or None."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def open_protocol(name: str) -> ChatProtocol:
    """A protocol by its name.

    Raises:
        LratError: There is none of that name.
    """
    match name:
        case "tongyi":
            return TagProtocol()
        case "webexplorer" | "agentcpm":
            return TagProtocol(marked_answer=False)
        case "tools":
            return ToolsProtocol()
        case "json":
            return JsonProtocol()
    raise LratError(f"Agent: expected a protocol out of {', '.join(PROTOCOLS)}, found {name!r}.")
