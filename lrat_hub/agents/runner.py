"""Runs an agent on questions, many at once, and records what it did as trajectories."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from lrat_hub.agents.calls import Answer, Browse, Call, Invalid, OpenRun, Search
from lrat_hub.agents.environment import Observation, SearchEnvironment
from lrat_hub.errors import LratError
from lrat_hub.llm.chat import NoServerError, run_blocking
from lrat_hub.obfuscation import OBFUSCATED_WITH
from lrat_hub.plugins import described
from lrat_hub.schema import Sampling, Status, Step, Trajectory


@dataclass(frozen=True)
class Question:
    """A question as it is given out: the agent gets `text` and nothing else of it.

    Args:
        sample: Numbers the runs of one question, from 0.
        canary: Of a question that is published obfuscated: its runs are stored so, too.
    """

    query_id: str
    text: str
    gold_answer: str | None = None
    sample: int = 0
    canary: str | None = None


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
    """Runs an agent on every question; `run_agents_async` is the same for callers that await it.

    A run ends as `completed` with the agent's answer; as `limited` when it takes `max_turns` actions without one,
    with what it answers when it is then told to; as `failed` when the agent raises, with the error in the metadata.
    Errors of the environment are raised and end all runs, and so is `NoServerError`, where no server of the agent's
    model answers any more.

    Args:
        max_turns: Searches, browses and invalid calls of one run.
        concurrency: Questions that are worked on at once.
        progress: Called with each trajectory as soon as it is done, in order of completion.

    Returns:
        A trajectory for each question, in their order. The answers are not judged yet: `correct` is None.

    Raises:
        LratError: If `max_turns` or `concurrency` is less than 1.
    """
    return run_blocking(
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
    run = OpenRun(question.text, environment, max_turns, on_step)
    final_answer: str | None = None
    status: Status = "limited"
    metadata: dict[str, Any] = {
        "agent": dict(agent.settings),
        "environment": environment.settings,
        "max_turns": max_turns,
        **({OBFUSCATED_WITH: question.canary} if question.canary else {}),
    }
    episode: Episode | None = None
    observation: Observation | None = None
    for turn in range(max_turns + 1):
        # An agent is any code, and lives on what a model writes: whatever it raises costs its own question only.
        try:
            episode = episode or agent.start(question.text)
            call = _checked(await episode.act(observation))
        except NoServerError:
            # Nor would any other question be answered: they are left for the next run.
            raise
        except (Exception, SystemExit) as error:
            status = "failed"
            metadata["error"] = described(error)
            break
        if isinstance(call, Answer):
            run.answer(call)
            final_answer = call.text
            if call.limit is not None:
                metadata["limit"] = call.limit
            elif turn == max_turns:
                metadata["limit"] = "turns"
            else:
                status = "completed"
            break
        observation = await run.carry_out(call)
        if turn == max_turns:
            metadata["limit"] = "turns"
    if episode is not None:
        metadata |= _notes(episode)
    return Trajectory(
        trajectory_id=f"{question.query_id}-{question.sample}",
        query_id=question.query_id,
        question=question.text,
        steps=tuple(run.steps),
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
