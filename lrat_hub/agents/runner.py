"""Runs an agent on questions, many at once, and records what it did as trajectories."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from lrat_hub.agents.environment import Observation, SearchEnvironment
from lrat_hub.errors import LratError
from lrat_hub.plugins import described
from lrat_hub.queries import QueryState
from lrat_hub.schema import Action, Sampling, Status, Step, Trajectory
from lrat_hub.walk import state_after

CUT_HERE = "[Cut here: the context is full.]"

_ENTRY = re.compile(r"^\[\d+\] DocID: ", re.MULTILINE)
"""Begins a result in a list, as the environment writes it."""


@dataclass(frozen=True)
class Question:
    """A question as it is given out: the agent gets `text` and nothing else of it.

    `sample` numbers the runs of one question, from 0.
    """

    query_id: str
    text: str
    gold_answer: str | None = None
    sample: int = 0


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


class Episode(Protocol):
    """An agent at work on one question.

    `notes` is what the run should be remembered with besides its steps, as values of JSON: tokens used, for example.
    It is read once, when the run has ended in whatever way.
    """

    @property
    def notes(self) -> Mapping[str, Any]: ...

    async def act(self, observation: Observation | None) -> Call:
        """Gives the next call, from what the last one showed: None before the first.

        After an observation that `is_last` only an answer counts. A message with several calls is given out call
        by call; those after the first have None for their reasoning.
        """
        ...


class Agent(Protocol):
    """Starts episodes. Its attributes are recorded with every trajectory.

    `name` and `revision` are a model's repository and commit sha where it has them, `sampling` what its model was
    asked with, and `settings` everything else that makes it what it is, as values of JSON.
    """

    @property
    def name(self) -> str: ...

    @property
    def revision(self) -> str | None: ...

    @property
    def sampling(self) -> Sampling: ...

    @property
    def settings(self) -> Mapping[str, Any]: ...

    def start(self, question: str, /) -> Episode: ...


def run_agents(
    agent: Agent,
    questions: Sequence[Question],
    environment: SearchEnvironment,
    *,
    max_turns: int = 50,
    concurrency: int = 64,
    progress: Callable[[Trajectory], None] | None = None,
) -> list[Trajectory]:
    """Runs an agent on every question; `run_agents_async` is the same for callers inside an event loop.

    A run ends as `completed` with the agent's answer; as `limited` when it takes `max_turns` actions without one,
    with what it answers when it is then told to; as `failed` when the agent raises, with the error in the metadata.
    Errors of the environment are nobody's answer to a question: they are raised and end all runs.

    Args:
        max_turns: Searches, browses and invalid calls of one run.
        concurrency: Questions that are worked on at once.
        progress: Called with each trajectory as soon as it is done, in order of completion.

    Returns:
        A trajectory for each question, in their order. Nobody has judged the answers yet: `correct` is None.

    Raises:
        LratError: If `max_turns` or `concurrency` is less than 1.
    """
    return asyncio.run(
        run_agents_async(
            agent, questions, environment, max_turns=max_turns, concurrency=concurrency, progress=progress
        )
    )


async def run_agents_async(
    agent: Agent,
    questions: Sequence[Question],
    environment: SearchEnvironment,
    *,
    max_turns: int = 50,
    concurrency: int = 64,
    progress: Callable[[Trajectory], None] | None = None,
) -> list[Trajectory]:
    """See `run_agents`."""
    done: dict[Question, Trajectory] = {}

    async def keep(question: Question, trajectory: Trajectory) -> None:
        done[question] = trajectory
        if progress is not None:
            progress(trajectory)

    await run_each(agent, questions, environment, keep, max_turns=max_turns, concurrency=concurrency)
    return [done[question] for question in questions]


async def run_each(
    agent: Agent | Callable[[int], Agent],
    questions: Iterable[Question],
    environment: SearchEnvironment,
    keep: Callable[[Question, Trajectory], Awaitable[None]],
    *,
    max_turns: int = 50,
    concurrency: int = 64,
    on_step: Callable[[Step], None] | None = None,
) -> None:
    """Runs an agent on every question and hands each trajectory on as soon as it is done; see `run_agents`.

    Args:
        agent: An agent, or what gives the one for the runs with a sample number.
        keep: Waited for before the next question is taken, so that it may write to a disk.
        on_step: Called with every step that is recorded, while runs go on.

    Raises:
        LratError: If `max_turns` or `concurrency` is less than 1.
    """
    if concurrency < 1 or max_turns < 1:
        raise LratError(
            "Running agents failed: expected a concurrency and a number of turns of at least 1, "
            f"found {concurrency} and {max_turns}. Raise them."
        )
    waiting = iter(questions)

    async def work() -> None:
        for question in waiting:
            chosen = agent(question.sample) if callable(agent) else agent
            await keep(question, await _run(chosen, question, environment, max_turns, on_step or (lambda _: None)))

    workers = [asyncio.create_task(work()) for _ in range(concurrency)]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()


async def _run(
    agent: Agent,
    question: Question,
    environment: SearchEnvironment,
    max_turns: int,
    on_step: Callable[[Step], None],
) -> Trajectory:
    steps: list[Step] = []
    final_answer: str | None = None
    status: Status = "limited"
    metadata: dict[str, Any] = {
        "agent": dict(agent.settings),
        "environment": environment.settings,
        "max_turns": max_turns,
    }
    episode: Episode | None = None
    observation: Observation | None = None
    seen: set[str] = set()
    for turn in range(max_turns + 1):
        # An agent is any code, and lives on what a model writes: whatever it raises costs its own question only.
        try:
            episode = episode or agent.start(question.text)
            call = _checked(await episode.act(observation))
        except (Exception, SystemExit) as error:
            status = "failed"
            metadata["error"] = described(error)
            break
        if isinstance(call, Answer):
            steps.append(Step(turn, call.reasoning, "answer"))
            final_answer = call.text
            if call.limit is not None:
                metadata["limit"] = call.limit
            elif turn == max_turns:
                metadata["limit"] = "turns"
            else:
                status = "completed"
            break
        if turn == max_turns:
            # The call is not carried out, but its reasoning is still about what the agent saw last.
            error = "a final answer was expected at the limit of turns"
            metadata["limit"] = "turns"
            steps.append(Step(turn, call.reasoning, "invalid", error=error))
            break
        observation = await _carry_out(call, environment, seen, state_after(steps, question.text, call.reasoning))
        seen.update(candidate.docid for candidate in observation.results)
        if turn + 1 == max_turns:
            # How to say so is the agent's own matter: what a search or browse showed is recorded as it was.
            observation = dataclasses.replace(observation, is_last=True)
        steps.append(_recorded(turn, call, observation, environment))
        on_step(steps[-1])
    if episode is not None:
        metadata |= _notes(episode)
    return Trajectory(
        trajectory_id=f"{question.query_id}-{question.sample}",
        query_id=question.query_id,
        question=question.text,
        steps=tuple(steps),
        gold_answer=question.gold_answer,
        final_answer=final_answer,
        status=status,
        agent=agent.name,
        agent_revision=agent.revision,
        retriever=environment.retriever.name,
        retriever_revision=environment.retriever.revision,
        sampling=agent.sampling,
        metadata=json.dumps(metadata, sort_keys=True),
    )


def _checked(call: Any) -> Call:
    """An agent's call, whose fields are of their types. Raises TypeError when it is something else."""
    if not isinstance(call, Search | Browse | Answer | Invalid):
        raise TypeError(f"expected a Search, Browse, Answer or Invalid, found {type(call).__name__}")
    wanted = {"reasoning": call.reasoning if call.reasoning is not None else ""}
    match call:
        case Search(queries=queries):
            if isinstance(queries, str) or not all(isinstance(query, str) for query in queries):
                raise TypeError(f"expected the queries of a Search as a tuple of texts, found {queries!r}")
            call = dataclasses.replace(call, queries=tuple(queries))
        case Browse(docid=docid):
            wanted["docid"] = docid
        case Answer(text=text):
            wanted["text"] = text if text is not None else ""
        case Invalid(error=error):
            wanted["error"] = error
    for name, value in wanted.items():
        if not isinstance(value, str):
            raise TypeError(f"expected the {name} of a {type(call).__name__} as a text, found {value!r}")
    return call


def _notes(episode: Episode) -> dict[str, Any]:
    """What an episode adds to the metadata of its run; what JSON can't hold is left out, and said."""
    notes = getattr(episode, "notes", None) or {}
    try:
        json.dumps(notes)
        return dict(notes)
    except (TypeError, ValueError) as error:
        return {"notes_error": described(error)}


async def _carry_out(
    call: Search | Browse | Invalid, environment: SearchEnvironment, seen: set[str], known: QueryState
) -> Observation:
    match call:
        case Search(queries=queries, room=room) if queries:
            return _fit(await environment.search(queries, seen, known), room)
        case Browse(docid=docid, room=room):
            return _fit(await environment.browse(docid), room)
        case Search():
            error = "a search needs at least one query"
        case Invalid(error=error):
            pass
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


def _recorded(
    turn: int, call: Search | Browse | Invalid, observation: Observation, environment: SearchEnvironment
) -> Step:
    action: Action = "search" if isinstance(call, Search) else "browse"
    return Step(
        turn,
        call.reasoning,
        action if observation.error is None else "invalid",
        queries=environment.carried_out(call.queries) if isinstance(call, Search) else (),
        results=observation.results,
        docid=call.docid if isinstance(call, Browse) else None,
        observation=observation.text,
        error=observation.error,
    )
