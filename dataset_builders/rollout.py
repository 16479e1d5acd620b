"""Runs an agent over questions with search and browse tools on a fixed corpus, and records its trajectories.

The agent is a language model (`--agent llm`), served by vLLM for this run or by a server that is running already; the
offline reader, which needs no model; or a plug-in (`--agent module:object`). Runs are kept in a journal: the same
command resumes a stopped rollout and repeats failed runs.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrat_hub import cli
from lrat_hub.agents.settings import AgentSettings, RolloutSettings
from lrat_hub.cli.expected import PlannedArguments
from lrat_hub.cli.options import AGENTS, options_of, settings_of
from lrat_hub.cli.planning import check, plan_rollout, show
from lrat_hub.cli.stage import Stage, parse, say
from lrat_hub.errors import LratError
from lrat_hub.hub.refs import HubRef
from lrat_hub.judges.settings import AnswerJudgeSettings
from lrat_hub.option import option

if TYPE_CHECKING:
    from lrat_hub.agents import Agent, Question, SearchEnvironment
    from lrat_hub.agents.journal import Journal
    from lrat_hub.judges.answers import AnswerJudge

TRACES = 1000
"""Trajectories, at most, that are also written as session traces, which the Hub shows."""


@dataclass(kw_only=True)
class Arguments(RolloutSettings, PlannedArguments):
    corpus: str = option(help="Corpus that the agent searches and browses.", group="inputs")
    queries: str = option(help="Questions to ask the agent, as ref#config:split.", group="inputs")
    agent: str = option(
        "reader",
        "Agent to run: reader (offline, by rules), llm (the language model of --model), or a plug-in as "
        "module:object.",
        group="essentials",
        known=("llm", *AGENTS),
    )
    retriever: str = option(
        "",
        "Retriever to search with: bm25 (the default), a SentenceTransformer over the whole corpus, an "
        "index, a URL, a plug-in as module:object, several of these joined by + (fused), or 'a>b' (the "
        "CrossEncoder b reranks a; 'a>20:b' its first 20 results). With --index: the model of the index, if that "
        "model is not on the Hub.",
        group="essentials",
    )
    index: list[str] = option(
        help="Index of the corpus, or URL of a served index; each of several indexes makes its own config of "
        "trajectories.",
        factory=list,
        group="inputs",
        recipe=False,
    )
    name: str = option(
        "",
        "Name of the config of trajectories, which stays the same when another retriever takes the place "
        "of this one; by default the names of the agent and the retriever.",
    )
    retriever_devices: str = option(
        "",
        "GPUs that serve each index in a process of its own, one index after the other, such as 6,7; cpu "
        "for none. Indexes are opened in this process if empty.",
        recipe=False,
    )


AgentOptions = options_of(AgentSettings)
JudgeOptions = options_of(AnswerJudgeSettings, "answer_judge", formerly="judge")
OPTIONS = (Arguments, AgentOptions, JudgeOptions)


def main(argv: list[str] | None = None) -> HubRef | None:
    return run(*parse(argv, "rollout", __doc__, *OPTIONS))


def run(args: Arguments, agent_options: Any, judge_options: Any) -> HubRef | None:
    """Runs the stage with parsed `OPTIONS`. Returns the pin of what it published, or None where shards are missing."""
    if args.retriever_devices and not (args.index or args.dry_run):
        raise LratError("Rollout: `retriever_devices` serves indexes, found none. Give `index`.")
    if args.index and (args.retriever == "bm25" or (args.retriever and len(args.index) > 1)):
        raise LratError(f"Rollout: `index` says what retrieves, and `retriever` {args.retriever} too. Give one.")
    args.check()
    args.retriever = args.retriever or ("" if args.index or args.dry_run else "bm25")

    from lrat_hub.agents.journal import Journal, Shard, default_folder, journals_folder, run_settings
    from lrat_hub.agents.language import SERVER_SETTINGS, absent_agent, open_agent
    from lrat_hub.agents.rollouts import RolloutProgress, config_folders, load_agent, open_retrievers, run_shown
    from lrat_hub.cli.served import searchable, served_indexes
    from lrat_hub.documents import Documents
    from lrat_hub.hub.inputs import load_table, load_tokenizer
    from lrat_hub.hub.outputs import Unpublished
    from lrat_hub.judges.answers import AnswerJudge
    from lrat_hub.judges.settings import open_answer_judge, pin_judge
    from lrat_hub.llm.serving import pin_model
    from lrat_hub.plugins import plugin_identity

    settings = settings_of(agent_options, AgentSettings)
    judge_settings = settings_of(judge_options, AnswerJudgeSettings, "answer_judge")
    judge_settings = replace(judge_settings, server=judge_settings.server.started_like(settings.server))
    if args.dry_run:
        return show(*plan_rollout(args, settings, judge_settings))
    shard = Shard.parse(args.shard)
    if args.retriever_devices or (args.agent == "llm" and not settings.server.base_url and not args.publish_only):
        check(plan_rollout(args, settings, judge_settings)[0])
    model = tokenizer = None
    stage = Stage("rollout", args, *([agent_options] if args.agent == "llm" else []), judge_options)
    if args.agent == "llm":
        model = pin_model(stage.inputs, settings.server, name="agent")
    elif args.agent not in AGENTS:
        stage.inputs.record("agent", plugin_identity(args.agent))
    judge_model = pin_judge(stage.inputs, judge_settings)
    corpus = stage.input("corpus", args.corpus)
    queries = load_table(stage.input("queries", args.queries), "queries", config="queries")
    if args.tokenizer != "words":
        tokenizer = load_tokenizer(stage.input("tokenizer", args.tokenizer, repo_type="model"))
    documents = Documents(load_table(corpus, "corpus", config="corpus"))
    if args.retriever_devices:
        log = journals_folder() / stage.target.repo_id.replace("/", "--") / "retriever.log"
        retrievers: list[Any] = [
            *served_indexes(
                stage.inputs, args.index, args.retriever_devices, corpus=corpus, model=args.retriever, log=log
            )
        ]
    else:
        retrievers = open_retrievers(stage.inputs, args.retriever, args.index, corpus=corpus, documents=documents)
    # The judge shapes no run, and where a retriever is served doesn't either.
    pins = {name: pin.partition(" (served")[0] for name, pin in stage.inputs.pins.items() if name != "judge"}
    questions = args.questions(queries)
    journals: dict[str, Journal] = {}

    def publish_judged(*, can_ask: bool) -> HubRef:
        log = folder / "vllm-judge.log"
        with open_answer_judge(judge_settings, judge_model, log=log, can_ask=can_ask) as judge:
            return publish(stage, journals, questions, judge, args.environment_name)

    def publish_some() -> None:
        try:
            # A server for the judge would need the GPUs that the agent's has.
            publish_judged(can_ask=bool(judge_settings.server.base_url))
        except Unpublished as error:
            # The runs are in the journal, and are published again later: a Hub that is away does not end them.
            error.discard()
            say(f"  warning: not published on the way: {error.__cause__}")

    environments = args.environments(retrievers, documents, tokenizer)
    if model is not None:
        agent: Agent = absent_agent(model, settings)
    else:
        agent = load_agent(AGENTS.get(args.agent, args.agent), documents)

    def settings_here(environment: SearchEnvironment) -> dict[str, Any]:
        return run_settings(agent, environment, max_turns=args.max_turns, inputs=pins)

    inherited = SERVER_SETTINGS if model else ()
    work = [settings_here(environment) for environment in environments]
    folder = Path(args.journal).expanduser() if args.journal else default_folder(work, inherited=inherited)
    folders = config_folders(folder, agent, environments, name=args.name)
    stage.expect([path.name for path in folders])
    say(f"  {len(questions)} runs with each of {len(folders)} retrievers, kept in {folder}")
    if not args.restart:
        # A server takes minutes to start: what it has no say in is compared before.
        for path, settings_of_runs in zip(folders, work, strict=True):
            Journal.compare(path, settings_of_runs, inherited=inherited)
    with ExitStack() as open_files, ExitStack() as servers:
        if model is not None and not args.publish_only:
            agent = servers.enter_context(open_agent(model, settings, log=folder / "vllm.log"))
        inherited = SERVER_SETTINGS if args.publish_only else ()
        for path, environment in zip(folders, environments, strict=True):
            if args.restart:
                Journal.discard(path)
            journal = Journal(path, settings_here(environment), shard, inherited=inherited)
            journals[path.name] = open_files.enter_context(journal)
        if not args.publish_only:
            for environment, journal in zip(environments, journals.values(), strict=True):
                progress = RolloutProgress(
                    getattr(agent, "usage", None), AnswerJudge(containment=judge_settings.judge != "match")
                )
                own = shard.of(questions)
                pending = len(journal.pending(own))
                if pending < len(own):
                    say(f"  {len(own) - pending} of {len(own)} runs are in {journal.folder}")
                with searchable(environment.retriever) if pending else nullcontext():
                    asyncio.run(
                        run_shown(
                            agent, own, environment, journal, progress,
                            max_turns=args.max_turns,
                            # The reader waits for nothing but searches, which then come in large batches.
                            concurrency=len(own) if args.agent in AGENTS else args.concurrency,
                            publish_every=args.publish_every,
                            publish=publish_some,
                        )
                    )  # fmt: skip
                if pending:
                    say(f"  {progress.runs} runs, {progress}")
        servers.close()
        missing = sum(journal.statuses(questions)["missing"] for journal in journals.values())
        if missing and not args.publish_only:
            say(f"  shard {args.shard} is done; {missing} runs of other shards are missing in {folder}.")
            say("  When they are there, the same command with --publish_only publishes all.")
            return None
        return publish_judged(can_ask=True)


def publish(
    stage: Stage,
    journals: Mapping[str, Journal],
    questions: Sequence[Question],
    judge: AnswerJudge | None,
    environment: str,
) -> HubRef:
    """Publishes what the journals have, judged, a config for each retriever."""
    from datasets import concatenate_datasets

    from lrat_hub.agents.collecting import collect_runs
    from lrat_hub.cli.tables import show_table
    from lrat_hub.importers import trace_files

    with tempfile.TemporaryDirectory() as folder:
        runs = collect_runs(journals, questions, judge, Path(folder))
        if not runs.tables or set(runs.statuses) <= {"failed", "missing"}:
            raise LratError(f"lrat rollout: expected runs that ended, found none. The first error: {runs.first_error}")
        show_table(runs.outcomes)
        if failed := runs.statuses["failed"]:
            say(f"  {failed} runs failed; the same command tries them again. The first error: {runs.first_error}")
        counts = {"questions": len(questions), **runs.to_dict()}
        return stage.publish_dataset(
            {name: {"train": table} for name, table in runs.tables.items()},
            template="rollouts",
            counts=counts,
            counted=counts,
            environment=environment,
            configs=list(runs.tables),
            files=trace_files(concatenate_datasets(list(runs.tables.values())), limit=TRACES),
        )


if __name__ == "__main__":
    sys.exit(cli.main(["rollout", *sys.argv[1:]]))
