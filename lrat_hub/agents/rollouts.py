"""An agent's runs on the questions of a dataset: what retrieves for it, and how runs are made and kept."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import json
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrat_hub.agents import Agent, Episode, Question, SearchEnvironment, run_each
from lrat_hub.agents.journal import Journal, run_settings
from lrat_hub.agents.language import Usage
from lrat_hub.errors import LratError
from lrat_hub.judges.answers import AnswerJudge
from lrat_hub.llm.chat import run_blocking
from lrat_hub.plugins import attribute_of, load_object, load_plugin
from lrat_hub.schema import Sampling, Step, Trajectory

if TYPE_CHECKING:
    from lrat_hub.documents import Documents
    from lrat_hub.hub.inputs import Inputs, Source
    from lrat_hub.retrieval import Retriever


def open_retrievers(
    inputs: Inputs, name: str, indexes: Sequence[str], *, corpus: Source, documents: Documents
) -> list[Retriever]:
    """What a stage's options name: an index or several, or one retriever over the whole corpus.

    Args:
        name: Any name that `open_retriever` takes; beside an index, its model where that is not on the Hub, or "".
        indexes: References or URLs.

    Raises:
        LratError: Something can't be opened, or is of another corpus or model.
    """
    from lrat_hub.retrieval.opening import RetrieverOpener, index_name

    opener = RetrieverOpener(corpus, documents, inputs=inputs, show_progress=True)
    if not indexes:
        return [opener.open(name, input_name="retriever")]
    model = inputs.resolve("retriever", name, repo_type="model") if name else None
    names = ["index"] if len(indexes) == 1 else [f"index_{number}" for number in range(1, len(indexes) + 1)]
    return [
        opener.open(index_name(text), input_name=label, model=model)
        for label, text in zip(names, indexes, strict=True)
    ]


class PluginAgent:
    """Anyone's agent (see `Agent`), with what it lacks: a name, a revision, sampling parameters and settings.

    Args:
        agent: Has `start(question)`.
        name: What it is called where it has no name.
    """

    def __init__(self, agent: Any, name: str) -> None:
        self.name: str = attribute_of(agent, "name", str, name)
        self.revision: str | None = attribute_of(agent, "revision", str, None)
        self.sampling: Sampling = attribute_of(agent, "sampling", Sampling, Sampling())
        self.settings: Mapping[str, Any] = attribute_of(agent, "settings", dict, {})
        try:
            json.dumps(self.settings)
        except (TypeError, ValueError) as error:
            raise LratError(f"Agent {self.name}: expected `settings` that JSON can hold; {error}.") from error
        self.start: Callable[[str], Episode] = agent.start


def load_agent(text: str, documents: Documents) -> Agent:
    """The agent that `module:object` names: an agent, or a class or function that makes one.

    Args:
        documents: The corpus, for a class or function with a parameter of this name.

    Raises:
        LratError: It can't be loaded, or is no agent.
    """
    made_of: dict[str, Any] = {}
    made_by = load_object(text)
    if callable(made_by) and "documents" in inspect.signature(made_by).parameters:
        made_of = {"documents": documents}
    agent = load_plugin(text, "search agent", ["start"], **made_of)
    return PluginAgent(agent, text)


def config_folders(
    folder: Path, agent: Agent, environments: Sequence[SearchEnvironment], *, name: str = ""
) -> list[Path]:
    """Where the journal of the runs with each retriever is kept, in a folder named as their config is.

    Args:
        name: Of the config, in place of those of the agent and its retriever.

    Raises:
        LratError: Two of the retrievers have the same name, or all are given one.
    """
    if name and len(environments) > 1:
        raise LratError(f"Rollout: expected one retriever with `name`, found {len(environments)}. Leave it out.")
    if name:
        return [folder / name]
    folders: list[Path] = []
    for environment in environments:
        name = re.sub(r"[^\w.-]+", "__", f"{agent.name}_{environment.retriever.name}", flags=re.ASCII)
        if folder / name in folders:
            raise LratError(f"Rollout: found two indexes of {environment.retriever.name}. Leave one out.")
        folders.append(folder / name)
    return folders


async def run_journaled(
    agent: Agent,
    questions: Sequence[Question],
    environment: SearchEnvironment,
    journal: Journal,
    *,
    max_turns: int = 50,
    concurrency: int = 64,
    on_step: Callable[[Step], None] | None = None,
    on_run: Callable[[Trajectory], Awaitable[None]] | None = None,
) -> None:
    """Runs an agent on the questions that a journal has no good run of, and writes each as it ends; see `run_each`.

    Args:
        on_run: Waited for after a run is on the disk.
    """

    async def keep(question: Question, run: Trajectory) -> None:
        await journal.append(question, run)
        if on_run is not None:
            await on_run(run)

    # A model's samples differ by their seed.
    of_sample = getattr(agent, "for_sample", lambda _: agent)
    await run_each(
        of_sample, journal.pending(questions), environment, keep,
        max_turns=max_turns, concurrency=concurrency, on_step=on_step,
    )  # fmt: skip


async def run_shown(
    agent: Agent,
    questions: Sequence[Question],
    environment: SearchEnvironment,
    journal: Journal,
    progress: RolloutProgress,
    *,
    max_turns: int = 50,
    concurrency: int = 64,
    publish_every: int = 0,
    publish: Callable[[], None] | None = None,
) -> None:
    """As `run_journaled`, with a progress bar that shows counts and rates, and publications on the way.

    Args:
        progress: Counts the steps and runs that are made.
        publish_every: Number of runs after which `publish` is called again; 0 for never.
        publish: Publishes what the journal has. It is called in a thread, one call at a time, and runs go on.
    """
    from tqdm import tqdm

    pending = journal.pending(questions)
    publishing = asyncio.Lock()

    async def on_run(done: Trajectory) -> None:
        progress.run(done)
        bar.update()
        if publish and publish_every and progress.runs % publish_every == 0 and progress.runs < len(pending):
            async with publishing:
                await asyncio.to_thread(publish)

    def on_step(step: Step) -> None:
        progress.step(step)
        bar.set_postfix_str(str(progress), refresh=False)
        bar.update(0)

    title = f"{agent.name} with {environment.retriever.name}"
    # By itself the bar would wait for as many runs as it had between two looks: steps are to be seen, too.
    with tqdm(total=len(pending), desc=title, unit="run", miniters=0) as bar:
        await run_journaled(
            agent, pending, environment, journal,
            max_turns=max_turns, concurrency=concurrency, on_step=on_step, on_run=on_run,
        )  # fmt: skip


def journaled_runs(
    agent: Agent,
    questions: Sequence[Question],
    environment: SearchEnvironment,
    folder: Path,
    *,
    max_turns: int,
    inputs: Mapping[str, str],
    concurrency: int | None = None,
) -> list[Trajectory]:
    """The runs of an agent on questions: those of an earlier call, and new ones for the rest.

    Each set of settings has a journal of its own in the folder, named after a hash of them. A progress bar is shown.

    Args:
        inputs: Pins of what the runs read besides the retriever.
        concurrency: Questions that are worked on at once. None for all, which suits agents that wait for nothing but
            searches: these come in large batches then.
    """
    from tqdm import tqdm

    settings = run_settings(agent, environment, max_turns=max_turns, inputs=inputs)
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
    title = f"{agent.name} with {environment.retriever.name}, k = {environment.settings['k']}"
    with Journal(folder / digest, settings) as journal:
        pending = journal.pending(questions)
        with tqdm(
            total=len(questions), initial=len(questions) - len(pending), desc=title, unit="question", miniters=0
        ) as bar:
            progress = RolloutProgress(getattr(agent, "usage", None))

            async def on_run(_: Trajectory) -> None:
                bar.update()

            def on_step(step: Step) -> None:
                progress.step(step)
                bar.set_postfix_str(f"{progress.steps} steps", refresh=False)
                bar.update(0)

            if pending:
                work = run_journaled(
                    agent, pending, environment, journal,
                    max_turns=max_turns, concurrency=concurrency or len(pending), on_step=on_step, on_run=on_run,
                )  # fmt: skip
                run_blocking(work)
        return list(journal.trajectories(questions))


class RolloutProgress:
    """Counts steps and runs as they come.

    Args:
        usage: What the agent's model was asked for, where it has one.
        judge: Says which answers are right as far as that can be told without a model.
    """

    def __init__(
        self,
        usage: Usage | None = None,
        judge: AnswerJudge | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._usage = usage or Usage()
        self._judge = judge or AnswerJudge()
        self._clock = clock
        self._started = clock()
        self.runs = self.judged = self.correct = self.steps = self.searches = 0
        self.errors: Counter[str] = Counter()

    def step(self, step: Step) -> None:
        self.steps += step.action in ("search", "browse")
        self.searches += len(step.queries)
        if step.error is not None:
            self.errors["invalid calls"] += 1

    def run(self, trajectory: Trajectory) -> None:
        self.runs += 1
        if trajectory.gold_answer:
            self.judged += 1
            verdict = self._judge.match(trajectory.final_answer, trajectory.gold_answer)
            self.correct += verdict is not None and verdict.verdict == "correct"
        if trajectory.status != "completed":
            self.errors[trajectory.status] += 1

    def __str__(self) -> str:
        seconds = max(self._clock() - self._started, 1e-9)
        parts = [
            *([f"{self.correct} of {self.judged} correct"] if self.judged else []),
            f"{self.steps} steps",
            f"{self._usage.completion_tokens / seconds:.0f} tokens/s",
            f"{self.searches / seconds:.1f} searches/s",
        ]
        parts += [f"{count} {what}" for what, count in sorted((self.errors + self._usage.errors).items())]
        return ", ".join(parts)
