"""Trajectories as the conversations that agents had, and back.

What a conversation says is written and shown by the protocols and prompts of `lrat_hub.agents`, as in rollouts: a
model is trained on what it will be told. Nothing that the agent said or saw is lost on the way, there and back; what
it never saw (scores of results, who it was) is no part of a conversation.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, zip_longest
from typing import Any

from lrat_hub.agents.calls import Answer, Browse, Call, Search
from lrat_hub.agents.protocols import AgentPrompt, Messages, ToolsProtocol, Turn, open_protocol
from lrat_hub.agents.showing import SEEN
from lrat_hub.agents.writing import ReasoningPlace, calls_of_a_message, write_reply
from lrat_hub.errors import LratError
from lrat_hub.llm.chat import Reply, ToolCall
from lrat_hub.llm.isolation import isolated
from lrat_hub.schema import Candidate, Step, Trajectory

_ENTRY = re.compile(r"^\[(\d+)\] DocID: (.*)\nTitle: (.*)\n", re.MULTILINE)


@dataclass(frozen=True)
class Conversation:
    """A run as messages in OpenAI's format.

    Args:
        messages: From the system message on; the arguments of function calls are JSON, as they go over the wire.
        tools: What the chat template renders; empty where the system message lists them itself.
    """

    trajectory_id: str
    messages: Messages
    tools: Sequence[Mapping[str, Any]] = ()

    @property
    def replies(self) -> int:
        return sum(message["role"] == "assistant" for message in self.messages)

    def for_template(self) -> Messages:
        """The messages as servers hand them to a chat template: with arguments as objects."""
        return [_with_objects(message) for message in self.messages]


def conversation_of(
    run: Trajectory, protocol: str, prompt: AgentPrompt | None = None, *, reasoning: ReasoningPlace = "field"
) -> Conversation:
    """The conversation of a run. Calls that could not be carried out are left out, and what was said of them.

    A protocol that carries out one call of a message has a message for each call; the reasoning is in the first.

    Args:
        protocol: One of `lrat_hub.agents.protocols.PROTOCOLS`.
        prompt: The protocol's own by default.
        reasoning: Where function calling puts the reasoning.

    Raises:
        LratError: The run has no such conversation; the message is a reason for a ledger.
    """
    speaks, prompt = open_protocol(protocol), prompt or AgentPrompt.load(protocol)
    messages = prompt.opening(run.question)
    number = 0
    for steps in _messages_of(run, calls_of_a_message(speaks)):
        calls = [_call(step, run) for step in steps]
        ends = isinstance(calls[0], Answer)
        if ends and run.status == "limited":
            messages.append({"role": "user", "content": prompt.final.strip()})
        written = write_reply(protocol, prompt, calls, reasoning=reasoning, number=number)
        turn = speaks.read(written, prompt)
        if [*turn.calls] != calls:
            raise LratError("the protocol reads its words in another way than they are meant")
        if _said(calls) != isolated(_said(calls), ()):
            raise LratError("its words have marks of a chat template")
        messages.append(dict(turn.message))
        number += len(calls)
        if ends:
            tools = prompt.tools if isinstance(speaks, ToolsProtocol) else ()
            return Conversation(run.trajectory_id, messages, tuple(tools))
        messages += speaks.results(turn, [step.observation for step in steps])
    raise LratError("it has no final answer")


def steps_of(
    messages: Sequence[Mapping[str, Any]], protocol: str, prompt: AgentPrompt | None = None
) -> tuple[tuple[Step, ...], str | None]:
    """The steps that a conversation has, and its final answer: the inverse of `conversation_of`.

    Results are read from the lists that were shown; they have no scores.
    """
    speaks, prompt = open_protocol(protocol), prompt or AgentPrompt.load(protocol)
    steps: list[Step] = []
    final_answer = None
    replies = [place for place, message in enumerate(messages) if message["role"] == "assistant"]
    for place, after in zip(replies, [*replies[1:], len(messages)], strict=True):
        turn = speaks.read(_reply(messages[place]), prompt)
        shown = iter(_shown(turn, messages[place + 1 : after]))
        for call in turn.calls:
            step = Step(len(steps), call.reasoning, "answer")
            match call:
                case Search(queries=queries):
                    text = next(shown, "")
                    step = replace(step, action="search", queries=queries, observation=text)
                    step = replace(step, results=tuple(_results(text, queries)))
                case Browse(docid=docid):
                    step = replace(step, action="browse", docid=docid, observation=next(shown, ""))
                case Answer(text=text):
                    final_answer = text
                case _:
                    text = next(shown, "")
                    step = replace(step, action="invalid", observation=text, error=text.removeprefix("Error: "))
            steps.append(step)
    return tuple(steps), final_answer


def _messages_of(run: Trajectory, most: int | None) -> Iterator[list[Step]]:
    """The steps of each message, of calls that were carried out and the answer; the first has the reasoning."""
    message: list[Step] = []
    thought, begins = "", True
    for step in run.steps:
        if step.reasoning is not None:
            thought, begins = step.reasoning.strip(), True
        if step.action == "invalid":
            # Its thought led nowhere. Where calls of the same message did better, it is theirs.
            continue
        joins = message and not begins and step.action != "answer" and len(message) != most
        if not joins:
            if message:
                yield message
            message = []
        message.append(replace(step, reasoning=None if joins else thought))
        thought, begins = "", False
    if message:
        yield message


def _call(step: Step, run: Trajectory) -> Call:
    if step.action == "answer":
        if not (run.final_answer or "").strip():
            raise LratError("it has no final answer")
        return Answer(step.reasoning, (run.final_answer or "").strip())
    if not step.observation:
        raise LratError("what the agent was shown is not recorded")
    if step.action == "search":
        return Search(step.reasoning, tuple(" ".join(query.split()) for query in step.queries))
    return Browse(step.reasoning, step.docid or "")


def _said(calls: Sequence[Call]) -> str:
    """The words of a message, apart from the protocol's own."""
    parts = [calls[0].reasoning or ""]
    for call in calls:
        match call:
            case Search(queries=queries):
                parts += queries
            case Browse(docid=docid):
                parts.append(docid)
            case Answer(text=text):
                parts.append(text or "")
    return "\n".join(parts)


def _reply(message: Mapping[str, Any]) -> Reply:
    """A message of an assistant as it came from a server."""
    calls = tuple(
        ToolCall(call.get("id", ""), call["function"]["name"], _as_json(call["function"]["arguments"]))
        for call in message.get("tool_calls") or ()
    )
    field = next((name for name in ("reasoning", "reasoning_content") if message.get(name)), "reasoning")
    return Reply(message.get("content") or "", message.get(field) or "", calls, reasoning_field=field)


def _as_json(arguments: Any) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)


def _shown(turn: Turn, messages: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the calls of a turn gave, from the messages after it."""
    texts = {message.get("tool_call_id"): message["content"] for message in messages if message["role"] == "tool"}
    if turn.ids:
        return [
            text
            for call_id, group in groupby(zip(turn.ids, turn.calls, strict=True), key=lambda pair: pair[0])
            for text in _apart(texts.get(call_id, ""), [call for _, call in group])
        ]
    whole = messages[0]["content"] if messages else ""
    tagged = re.findall(r"<tool_response>\n(.*?)\n</tool_response>", whole, re.DOTALL)
    return tagged or [whole]


def _apart(text: str, calls: Sequence[Call]) -> Iterator[str]:
    """What each of several documents gave that one function call opens: all of it is in one message."""
    for following in calls[1:]:
        opened = f"DocID: {isolated(following.docid)}\n" if isinstance(following, Browse) else "Results for "
        end = re.search(rf"\n\n(?={re.escape(opened)}|Error: )", text)
        yield text[: end.start()] if end else text
        text = text[end.end() :] if end else ""
    yield text


def _results(text: str, queries: Sequence[str]) -> Iterator[Candidate]:
    """The candidates that an observation of a search lists."""
    begin = 0
    # Queries stand there as all that is shown does: without marks of a chat template.
    headings = [isolated(f"Results for {query!r}:") for query in queries]
    for index, heading in enumerate(headings):
        begin = text.find(heading, max(begin, 0))
        if begin < 0:
            # The environment carries out the first queries of a search, or there was no room for more.
            return
        following = text.find(f"\n\n{headings[index + 1]}", begin) if index + 1 < len(headings) else -1
        block = text[begin : following if following >= 0 else len(text)]
        entries = [*_ENTRY.finditer(block)]
        for entry, after in zip_longest(entries, entries[1:]):
            snippet = block[entry.end() : after.start() - 2 if after else len(block)]
            yield Candidate(index, int(entry[1]), entry[2], entry[3], "" if snippet == SEEN else snippet)


def _with_objects(message: Mapping[str, Any]) -> dict[str, Any]:
    if not message.get("tool_calls"):
        return dict(message)
    calls = [
        {**call, "function": {**call["function"], "arguments": json.loads(call["function"]["arguments"])}}
        for call in message["tool_calls"]
    ]
    return {**message, "tool_calls": calls}
