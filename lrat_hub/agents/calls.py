"""The calls of an agent, and how they are carried out and recorded, for rollouts and trainers."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Container
from dataclasses import dataclass

from lrat_hub.agents.environment import Observation, SearchEnvironment
from lrat_hub.schema import Action, Step
from lrat_hub.walk import state_after

CUT_HERE = "[Cut here: the context is full.]"

_ENTRY = re.compile(r"^\[\d+\] DocID: ", re.MULTILINE)
"""Begins a result in a list, as the environment writes it."""

NOT_DONE = "Error: not carried out, since a limit was reached."

NO_ANSWER = "a final answer was expected at the limit of turns"


@dataclass(frozen=True)
class Search:
    """Run queries.

    Args:
        reasoning: What led to the call: see `lrat_hub.schema.Step`, also for the other calls.
        room: Characters of an observation that the agent can take in, or None: a longer one is cut before it is
            shown and recorded.
    """

    reasoning: str | None
    queries: tuple[str, ...]
    room: int | None = None


@dataclass(frozen=True)
class Browse:
    """Open a document; `room` as for `Search`."""

    reasoning: str | None
    docid: str
    room: int | None = None


@dataclass(frozen=True)
class Answer:
    """Give the final answer, which ends the run.

    Args:
        text: None when the agent was asked for one and has none.
        limit: What made the agent answer before it wanted to ("context", "repetition"), or None.
    """

    reasoning: str | None
    text: str | None
    limit: str | None = None


@dataclass(frozen=True)
class Invalid:
    """A call that the agent's own side could not read; `error` is told to the agent."""

    reasoning: str | None
    error: str


Call = Search | Browse | Answer | Invalid


class OpenRun:
    """A run as far as it has come: carries out calls and records each as a step.

    Args:
        question: As the agent was asked it.
        environment: What is searched and opened.
        max_turns: Number of calls after which only an answer counts.
        on_step: Called with every step that is recorded.
    """

    def __init__(
        self,
        question: str,
        environment: SearchEnvironment,
        max_turns: int,
        on_step: Callable[[Step], None] = lambda _: None,
    ) -> None:
        self.question, self.environment, self.max_turns = question, environment, max_turns
        self.steps: list[Step] = []
        self.listed: set[str] = set()
        self._on_step = on_step

    @property
    def is_full(self) -> bool:
        """Whether no further call is carried out."""
        return len(self.steps) >= self.max_turns

    async def carry_out(self, call: Search | Browse | Invalid) -> Observation:
        """What a call shows; what the environment raises is raised, and nothing is recorded then."""
        if self.is_full:
            # The call is not carried out, but its reasoning is still about what the agent saw last.
            self.steps.append(Step(len(self.steps), call.reasoning, "invalid", error=NO_ANSWER))
            return _failed(NO_ANSWER)
        observation = await self._observe(call)
        self.listed.update(candidate.docid for candidate in observation.results)
        if len(self.steps) + 1 == self.max_turns:
            # How to say so is the agent's own matter: what a search or browse showed is recorded as it was.
            observation = dataclasses.replace(observation, is_last=True)
        self._record(call, observation)
        return observation

    def answer(self, answer: Answer) -> None:
        """Records an answer, which ends the run."""
        self.steps.append(Step(len(self.steps), answer.reasoning, "answer"))

    async def _observe(self, call: Search | Browse | Invalid) -> Observation:
        match call:
            case Search(queries=queries, room=room) if queries:
                known = state_after(self.steps, self.question, call.reasoning)
                return _fit(await self.environment.search(queries, self.listed, known), room)
            case Browse(docid=docid, room=room):
                return _fit(await self.environment.browse(docid), room)
            case Search():
                return _failed("a search needs at least one query")
            case Invalid(error=error):
                return _failed(error)

    def _record(self, call: Search | Browse | Invalid, observation: Observation) -> None:
        action: Action = "search" if isinstance(call, Search) else "browse"
        step = Step(
            len(self.steps),
            call.reasoning,
            action if observation.error is None else "invalid",
            queries=self.environment.carried_out(call.queries) if isinstance(call, Search) else (),
            results=observation.results,
            docid=call.docid if isinstance(call, Browse) else None,
            observation=observation.text,
            error=observation.error,
        )
        self.steps.append(step)
        self._on_step(step)


def only_listed(call: Call, listed: Container[str]) -> Call:
    """A call as a language model may make it: it opens documents that a search has listed, and no others."""
    if isinstance(call, Browse) and call.docid not in listed:
        return Invalid(call.reasoning, f"no search has listed the DocID {call.docid[:80]!r}")
    return call


def identity(call: Call) -> tuple[str, ...]:
    """What makes two calls the same."""
    match call:
        case Search(queries=queries):
            return ("search", *queries)
        case Browse(docid=docid):
            return ("browse", docid)
    return ("answer",)


def _failed(error: str) -> Observation:
    return Observation(f"Error: {error}.", error=error)


def _fit(observation: Observation, room: int | None) -> Observation:
    """An observation cut to what an agent can take in, with those results that are still listed."""
    if room is None or len(observation.text) <= room:
        return observation
    text = observation.text[:room].rpartition("\n")[0]
    document = observation.document
    if document is not None:
        document = dataclasses.replace(document, text=text.partition("\n\n")[2])
    listed = len(_ENTRY.findall(text))
    return dataclasses.replace(
        observation, text=f"{text}\n\n{CUT_HERE}", results=observation.results[:listed], document=document
    )
