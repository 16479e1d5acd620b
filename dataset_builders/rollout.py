"""Runs an agent over questions with search and browse tools on a fixed corpus, and records its trajectories.

The agent is a language model by one of several protocols (`--agent llm`), served by vLLM for this run or by a server
that runs already; one of the readers, which need no model; or anyone's (`--agent module:object`). Runs are kept in a
journal: the same command goes on where it was stopped, and tries again what failed.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrat_hub import cli
from lrat_hub.agents.settings import AgentSettings, RolloutSettings
from lrat_hub.cli.options import AGENTS, options_of, settings_of
from lrat_hub.cli.stage import Stage, StageArguments, parse, say
from lrat_hub.errors import LratError, did_you_mean
from lrat_hub.hub.refs import HubRef
from lrat_hub.judges.settings import ANSWER_JUDGES, AnswerJudgeSettings

if TYPE_CHECKING:
    from lrat_hub.agents import Agent, Question, SearchEnvironment
    from lrat_hub.agents.journal import Journal
    from lrat_hub.judges.answers import AnswerJudge

TRACES = 1000
"""Trajectories, at most, that are also written as session traces, which the Hub shows."""


@dataclass(kw_only=True)
class Arguments(RolloutSettings, StageArguments):
    corpus: str = field(metadata={"group": "inputs", "help": "Corpus that the agent searches and browses."})
    queries: str = field(metadata={"group": "inputs", "help": "Questions to ask the agent, as ref#config:split."})
    agent: str = field(
        default="clue-reader",
        metadata={
            "group": "essentials",
            "help": "Agent to run: clue-reader (offline, for clue questions), reader (offline, for natural "
            "questions), llm (the language model of --model), or a plug-in as module:object.",
        },
    )
    retriever: str = field(
        default="",
        metadata={
            "group": "essentials",
            "help": "Retriever to search with: bm25 (the default), a SentenceTransformer over the whole corpus, an "
            "index, a URL, a plug-in as module:object, several of these joined by + (fused), or 'a>b' (the "
            "CrossEncoder b reranks a). With --index: the model of the index, if that model is not on the Hub.",
        },
    )
    index: list[str] = field(
        default_factory=list,
        metadata={
            "group": "inputs",
            "help": "Index of the corpus, or URL of a served index; each of several indexes makes its own config of "
            "trajectories.",
            "recipe": False,
        },
    )


AgentOptions = options_of(AgentSettings)
JudgeOptions = options_of(AnswerJudgeSettings, "answer_judge", formerly="judge")
OPTIONS = (Arguments, AgentOptions, JudgeOptions)


def main(argv: list[str] | None = None) -> HubRef | None:
    return run(*parse(argv, "rollout", __doc__, *OPTIONS))


def run(args: Arguments, agent_options: Any, judge_options: Any) -> HubRef | None:
    """Runs the stage with parsed `OPTIONS`. Returns the pin of what it published, or None where shards are missing."""
    if args.index and (args.retriever == "bm25" or (args.retriever and len(args.index) > 1)):
        raise LratError(f"Rollout: `index` says what retrieves, and `retriever` {args.retriever} too. Give one.")
    args.check()
    args.retriever = args.retriever or ("" if args.index else "bm25")

    from lrat_hub.agents.journal import Journal, Shard, default_folder, run_settings
    from lrat_hub.agents.language import SERVER_SETTINGS, absent_agent, open_agent
    from lrat_hub.agents.rollouts import RolloutProgress, config_folders, load_agent, open_retrievers, run_shown
    from lrat_hub.documents import Documents
    from lrat_hub.hub.inputs import load_table, load_tokenizer
    from lrat_hub.hub.outputs import Unpublished
    from lrat_hub.judges.answers import AnswerJudge
    from lrat_hub.judges.settings import open_answer_judge, pin_judge, require_judge
    from lrat_hub.llm.serving import pin_model
    from lrat_hub.plugins import is_plugin, plugin_identity

    settings = settings_of(agent_options, AgentSettings)
    judge_settings = settings_of(judge_options, AnswerJudgeSettings, "answer_judge")
    judge_settings = replace(judge_settings, server=judge_settings.server.started_like(settings.server))
    require_judge(judge_settings.judge, *ANSWER_JUDGES)
    if args.agent != "llm" and args.agent not in AGENTS and not is_plugin(args.agent):
        end = did_you_mean(args.agent, ["llm", *AGENTS]) or "."
        raise LratError(f"Agent: expected llm, {', '.join(AGENTS)} or module:object, found {args.agent!r}{end}")
    shard = Shard.parse(args.shard)
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
    folders = config_folders(folder, agent, environments)
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
                asyncio.run(
                    run_shown(
                        agent, own, environment, journal, progress,
                        max_turns=args.max_turns,
                        # Readers wait for nothing but searches, which then come in large batches.
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
