"""Runs an agent over questions with search and browse tools on a fixed corpus, and records its trajectories.

The agent is a language model by one of several protocols (`--agent llm`), served by vLLM for this run or by a server
that runs already, or one of the readers, which need no model. Runs are kept in a journal: the same command goes on
where it was stopped, and tries again what failed.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lrat_hub import cli
from lrat_hub.agents.options import RolloutOptions
from lrat_hub.agents.settings import AgentSettings
from lrat_hub.cli.stage import Stage, StageArguments, parse, say
from lrat_hub.errors import LratError
from lrat_hub.hub.refs import HubRef

if TYPE_CHECKING:
    from lrat_hub.agents import Agent, Question, SearchEnvironment
    from lrat_hub.agents.journal import Journal
    from lrat_hub.judges.answers import AnswerJudge
    from lrat_hub.schema import Step, Trajectory

TRACES = 1000
"""Trajectories, at most, that are also written as session traces, which the Hub shows."""


@dataclass(kw_only=True)
class Arguments(RolloutOptions, StageArguments):
    corpus: str = field(metadata={"help": "The corpus to search and browse."})
    queries: str = field(metadata={"help": "The questions, as ref#config:split."})
    agent: Literal["clue-reader", "reader", "llm"] = field(
        default="clue-reader",
        metadata={
            "help": "The agent: the offline reader of clue questions, that of natural questions, or the language "
            "model that --model names."
        },
    )
    retriever: str = field(
        default="",
        metadata={
            "help": "What retrieves: 'bm25' (the default), a SentenceTransformer over the whole corpus, an index, a "
            "URL, a plug-in module:object, several joined by + (fused), or 'a>b' (the CrossEncoder b reranks a). "
            "With --index it is that index's model, and only needed when the model is not on the Hub."
        },
    )
    index: list[str] = field(
        default_factory=list,
        metadata={
            "help": "An index of the corpus, or the URL of one that is served. Several make a config of "
            "trajectories each.",
            "recipe": False,
        },
    )


def main(argv: list[str] | None = None) -> HubRef | None:
    args, settings = parse(argv, "rollout", __doc__, Arguments, AgentSettings)
    if args.index and (args.retriever == "bm25" or (args.retriever and len(args.index) > 1)):
        raise LratError(
            f"lrat rollout: --index says what retrieves, and --retriever {args.retriever} too. Give one of them."
        )
    args.check()
    args.retriever = args.retriever or ("" if args.index else "bm25")

    from lrat_hub.agents.journal import Journal, Shard, default_folder
    from lrat_hub.agents.opening import ONLY_SERVERS_KNOW, absent_agent, open_agent
    from lrat_hub.agents.rollouts import config_folders, open_judge, open_retrievers
    from lrat_hub.agents.run_settings import run_settings
    from lrat_hub.demo.clue_reader import ClueReader
    from lrat_hub.demo.natural import NaturalReader
    from lrat_hub.documents import Documents
    from lrat_hub.hub.inputs import load_table, load_tokenizer
    from lrat_hub.llm.serving import pin_model

    shard = Shard.parse(args.shard)
    model = judge_model = tokenizer = None
    stage = Stage("rollout", args, settings if args.agent == "llm" else None)
    if args.agent == "llm":
        model = pin_model(stage.inputs, settings.model, name="agent", served=bool(settings.base_url))
    if args.judge == "llm":
        served = bool(args.judge_url)
        judge_model = pin_model(stage.inputs, args.judge_model, name="judge", served=served)
    corpus = stage.input("corpus", args.corpus)
    queries = load_table(stage.input("queries", args.queries), "queries", config="queries")
    if args.tokenizer != "words":
        tokenizer = load_tokenizer(stage.input("tokenizer", args.tokenizer, repo_type="model"))
    documents = Documents(load_table(corpus, "corpus", config="corpus"))
    retrievers = open_retrievers(stage.inputs, args.retriever, args.index, corpus=corpus, documents=documents)
    # The judge shapes no run, and where a retriever is served doesn't either.
    pins = {name: pin.partition(" (served")[0] for name, pin in stage.inputs.pins.items() if name != "judge"}
    questions = args.questions(queries)
    folder = Path(args.journal) if args.journal else default_folder(stage.target)
    judge_serving = args.judge_serving(settings, folder / "vllm-judge.log")
    journals: dict[str, Journal] = {}

    def publish_some() -> None:
        # A server for the judge would need the GPUs that the agent's has.
        with open_judge(args.judge, judge_model, judge_serving if args.judge_url else None) as judge:
            publish(stage, journals, questions, judge)

    environments = args.environments(retrievers, documents, tokenizer)
    if model is not None:
        agent: Agent = absent_agent(model, settings)
    else:
        agent = NaturalReader() if args.agent == "reader" else ClueReader(documents.in_order())

    def settings_of(environment: SearchEnvironment) -> dict[str, Any]:
        return run_settings(agent, environment, max_turns=args.max_turns, inputs=pins)

    folders = config_folders(folder, agent, environments)
    if not args.restart:
        # A server takes minutes to start: what it has no say in is compared before.
        for place, environment in zip(folders, environments, strict=True):
            Journal.compare(place, settings_of(environment), unknown=ONLY_SERVERS_KNOW if model else ())
    with ExitStack() as open_files, ExitStack() as servers:
        if model is not None and not args.publish_only:
            agent = servers.enter_context(open_agent(model, settings, log=folder / "vllm.log"))
        unknown = ONLY_SERVERS_KNOW if args.publish_only else ()
        for place, environment in zip(folders, environments, strict=True):
            if args.restart:
                Journal.discard(place)
            journal = Journal(place, settings_of(environment), shard, unknown=unknown)
            journals[place.name] = open_files.enter_context(journal)
        if not args.publish_only:
            for environment, journal in zip(environments, journals.values(), strict=True):
                asyncio.run(run(args, agent, environment, journal, shard.of(questions), publish_some))
        servers.close()
        missing = sum(journal.statuses(questions)["missing"] for journal in journals.values())
        if missing and not args.publish_only:
            say(f"  shard {args.shard} is done; {missing} runs of other shards are missing in {folder}.")
            say("  When they are there, the same command with --publish_only publishes all.")
            return None
        with open_judge(args.judge, judge_model, judge_serving) as judge:
            return publish(stage, journals, questions, judge)


async def run(
    args: Arguments,
    agent: Agent,
    environment: SearchEnvironment,
    journal: Journal,
    questions: Sequence[Question],
    publish_some: Callable[[], None],
) -> None:
    """Runs what the journal lacks, and says how it goes."""
    from tqdm import tqdm

    from lrat_hub.agents.journal import run_journaled
    from lrat_hub.agents.progress import RolloutProgress
    from lrat_hub.judges.answers import AnswerJudge

    pending = journal.pending(questions)
    if len(pending) < len(questions):
        say(f"  {len(questions) - len(pending)} of {len(questions)} runs are in {journal.folder}")
    progress = RolloutProgress(getattr(agent, "usage", None), AnswerJudge(containment=args.judge != "match"))
    publishing = asyncio.Lock()

    async def on_run(done: Trajectory) -> None:
        progress.run(done)
        bar.update()
        if args.publish_every and progress.runs % args.publish_every == 0 and progress.runs < len(pending):
            async with publishing:
                await asyncio.to_thread(publish_some)

    def on_step(step: Step) -> None:
        progress.step(step)
        bar.set_postfix_str(str(progress), refresh=False)
        bar.update(0)

    with tqdm(total=len(pending), desc=f"{agent.name} with {environment.retriever.name}", unit="run") as bar:
        await run_journaled(
            agent,
            pending,
            environment,
            journal,
            max_turns=args.max_turns,
            # Readers wait for nothing but searches, which then come in large batches.
            concurrency=args.concurrency if args.agent == "llm" else len(questions),
            on_step=on_step,
            on_run=on_run,
        )
    if pending:
        say(f"  {progress.runs} runs, {progress}")


def publish(
    stage: Stage, journals: Mapping[str, Journal], questions: Sequence[Question], judge: AnswerJudge | None
) -> HubRef:
    """Publishes what the journals have, judged, a config for each retriever."""
    from datasets import concatenate_datasets

    from lrat_hub.agents.rollouts import collect_runs
    from lrat_hub.importers import trace_files

    with tempfile.TemporaryDirectory() as folder:
        runs = collect_runs(journals, questions, judge, Path(folder))
        if not runs.tables or set(runs.statuses) <= {"failed", "missing"}:
            raise LratError(f"lrat rollout: expected runs that ended, found none. The first error: {runs.first_error}")
        for row in runs.outcomes:
            shown = (f"{key} {value:.2f}" if isinstance(value, float) else str(value) for key, value in row.items())
            say("  " + ", ".join(shown))
        if failed := runs.statuses["failed"]:
            say(f"  {failed} runs failed; the same command tries them again. The first error: {runs.first_error}")
        counts = {"questions": len(questions), **runs.to_dict()}
        return stage.publish_dataset(
            {name: {"train": table} for name, table in runs.tables.items()},
            template="rollouts",
            counts=counts,
            counted=counts,
            configs=list(runs.tables),
            files=trace_files(concatenate_datasets(list(runs.tables.values())), limit=TRACES),
        )


if __name__ == "__main__":
    sys.exit(cli.main(["rollout", *sys.argv[1:]]))
