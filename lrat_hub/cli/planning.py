"""Plans of stages: what `--dry_run` shows, and what is checked before a stage starts servers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lrat_hub import cli
from lrat_hub.cli.expected import UNNAMED, Expected, index_settings, published_rows
from lrat_hub.cli.parsing import read_options, read_recipe
from lrat_hub.cli.stage import say
from lrat_hub.errors import LratError

if TYPE_CHECKING:
    from lrat_hub.agent_training.settings import AgentFitSettings
    from lrat_hub.agents.settings import AgentSettings, RolloutSettings
    from lrat_hub.fitting.settings import FitSettings
    from lrat_hub.flywheel.recipe import FlywheelRecipe
    from lrat_hub.judges.settings import JudgeSettings
    from lrat_hub.planning import Phase, Plan, Process
    from lrat_hub.retrieval.settings import IndexSettings

UNKNOWN_BROWSE = 512
"""Tokens of an opened document that is shown whole: those of the paper's corpora at most."""


def show(plan: Plan, expected: Expected) -> None:
    """Tells the plan, and what is missing here."""
    from lrat_hub.planning import Machine

    plan.work += expected.notes
    for line in plan.lines(Machine.here()):
        say(line)


def check(plan: Plan) -> None:
    """Raises LratError when this machine lacks what a plan needs."""
    from lrat_hub.planning import Machine, require_fit

    require_fit(plan, Machine.here())


def check_judges(stage: str, *judges: JudgeSettings) -> None:
    """Raises LratError when this machine lacks what the servers of judges need, one after the other."""
    from lrat_hub.planning import Plan

    check(Plan(stage, [phase for judge in judges for phase in judge_phases("the judge's verdicts", judge)]))


def judge_phases(name: str, settings: JudgeSettings) -> list[Phase]:
    """The server of a judge, which is started after those before it have been stopped."""
    from lrat_hub.planning import Phase
    from lrat_hub.planning.work import server

    # The nodes of a Ray cluster can't be looked at from here.
    starts = settings.judge == "llm" and getattr(settings, "executor", "none") == "none"
    processes = server("judge", settings.server) if starts else []
    return [Phase(name, processes)] if processes else []


def plan_corpus(args: Any) -> tuple[Plan, Expected]:
    """The plan of a corpus: what others publish says nothing of its size, so that it is what the recipe expects."""
    from lrat_hub.planning import Phase, Plan, Process

    expected = Expected(args.expect)
    given = {"documents": args.documents or args.beir or args.trajectories, "questions": args.queries or args.beir}
    for name in given:
        if given[name] or expected.get(name):
            expected.count(name)
    disk = int(expected.get("disk_gb") or 0) * 10**9
    process = Process("reading and publishing", disk=disk, of="as expected by the recipe" if disk else "")
    return Plan("corpus", [Phase("the corpus", [replace(process, known=bool(disk))])]), expected


def plan_analysis(args: Any) -> tuple[Plan, Expected]:
    from lrat_hub.planning import Phase, Plan
    from lrat_hub.planning.work import analysis

    expected = Expected(args.expect)
    return Plan(
        "analyze", [Phase("the analysis", [analysis(count_trajectories(args.trajectories, expected))])]
    ), expected


def plan_index(args: Any, settings: IndexSettings) -> tuple[Plan, Expected]:
    from lrat_hub.planning import Phase, Plan, Process, model_size
    from lrat_hub.planning.work import encoder, retriever

    expected = Expected(args.expect)
    documents = expected.count("documents", args.corpus, "corpus")
    if args.bm25:
        process = retriever("building a BM25 index", None, documents, settings)
    elif (size := model_size(args.model)) is not None:
        tokens = expected.count("document_tokens") if size.token_dimension else 0
        process = encoder(size, documents, settings, tokens)
    else:
        process = Process(f"encoding with {args.model}", 1, known=False)
    return Plan("index", [Phase("the index", [process])]), expected


def retriever_processes(
    names: Sequence[str], expected: Expected, documents: int, devices: str, settings: IndexSettings
) -> Iterator[Process]:
    """What each retriever needs while it is searched.

    Args:
        names: References, "bm25", or URLs, which need nothing here.
    """
    from lrat_hub.planning import Process, model_size
    from lrat_hub.planning.work import retriever, second_stage
    from lrat_hub.retrieval.opening import RetrieverName

    for text in names:
        for leaf in RetrieverName.parse(text).leaves():
            if leaf.kind in ("url", "plugin", "served_reranker"):
                continue
            if leaf.kind == "reranker":
                size = model_size(leaf.text)
                yield second_stage(leaf.text, size) if size else Process(f"reranker {leaf.text}", known=False)
                continue
            found = _stamp(leaf.text) if leaf.kind != "bm25" else None
            encoder, of, count = found or (leaf.text, settings, documents)
            size = model_size(encoder) if encoder != "bm25" else None
            if found is None and size is not None and size.token_dimension:
                count *= expected.count("document_tokens")
            if (size is None and encoder != "bm25") or (not count and documents):
                yield Process(f"retriever {leaf.text}", known=False)
            else:
                yield retriever(f"retriever {leaf.text}", size, count, of, devices)


def _stamp(text: str) -> tuple[str, IndexSettings, int] | None:
    """The encoder, the settings and the documents of an index; None for what is none, or can't be read."""
    from lrat_hub.hub.inputs import resolve
    from lrat_hub.retrieval.indexes import IndexManifest
    from lrat_hub.retrieval.settings import IndexSettings

    try:
        stamp = IndexManifest.of(resolve(text, repo_type="model"))
    except (LratError, OSError):
        return None
    if stamp.kind == "bm25":
        return "bm25", IndexSettings(), stamp.documents
    fp16 = bool(stamp.settings.get("fp16"))
    if stamp.kind == "late":
        # As many vectors as tokens, which are searched exactly.
        return str(stamp.model), IndexSettings(fp16=fp16), stamp.settings["tokens"]
    names = IndexSettings(stamp.kind, store=stamp.settings.get("store", "")).structure()
    structure = {name: stamp.settings[name] for name in names if name in stamp.settings}
    return str(stamp.model), IndexSettings(kind=stamp.kind, fp16=fp16, **structure), stamp.documents


def largest(processes: Sequence[Process]) -> list[Process]:
    """Of processes that run one after the other, the one that needs most."""
    return [max(processes, key=lambda one: (one.gpus * one.gpu_memory, one.memory))] if processes else []


def plan_rollout(
    args: Any, agent: AgentSettings, judge: JudgeSettings, index: IndexSettings | None = None
) -> tuple[Plan, Expected]:
    """The plan of a rollout: the agent's server beside the largest of its retrievers, then the judge's.

    Args:
        index: The settings of indexes that are not there yet; those that are expected by default.
    """
    from lrat_hub.planning import Phase, Plan
    from lrat_hub.planning.work import server
    from lrat_hub.retrieval.opening import index_name

    expected = Expected(args.expect)
    documents = expected.count("documents", args.corpus, "corpus")
    questions = expected.count("questions", args.queries, "queries")
    questions = min(args.limit or questions, questions) * args.samples
    names = list(map(index_name, args.index)) or list(filter(None, [args.retriever]))
    names = names or [*expected.retrievers().values()] or ["bm25"]
    own = list(retriever_processes(names, expected, documents, args.retriever_devices, index or expected.index()))
    work = [f"{len(own)} retrievers, one after the other: {', '.join(names)}"] if names[1:] else []
    served = server("agent", agent.server) if args.agent == "llm" else []
    phase = Phase("runs, for the largest retriever", [*served, *largest(own)])
    if args.agent == "llm":
        work += work_of(questions * max(len(own), 1), args, agent, expected)
    return Plan("rollout", [phase, *judge_phases("verdicts on answers", judge)], work), expected


def work_of(runs: int, args: RolloutSettings, agent: AgentSettings, expected: Expected) -> list[str]:
    """Requests and tokens of runs, in words."""
    from lrat_hub.agents.settings import ENVIRONMENTS
    from lrat_hub.planning import work

    if not runs:
        return []
    shown = args.browse_tokens if args.browse_tokens is not None else ENVIRONMENTS[args.environment].browse_tokens
    reply = int(expected.get("reply_tokens") or work.REPLY_TOKENS)
    return list(
        work.runs(
            runs,
            k=args.k,
            snippet=args.snippet_tokens,
            browse=shown or UNKNOWN_BROWSE,
            max_turns=args.max_turns,
            reply=reply,
            # vLLM keeps what it has read unless it is told not to.
            prefix=not re.search(r"--no-enable-prefix-caching", agent.server.vllm_args),
        )
    )


def plan_mine(args: Any, judge: JudgeSettings) -> tuple[Plan, Expected]:
    from lrat_hub.planning import Plan
    from lrat_hub.planning.work import judged_browses

    expected = Expected(args.expect)
    trajectories = count_trajectories(args.trajectories, expected)
    work = [judged_browses(trajectories)] if judge.judge == "llm" and trajectories else []
    return Plan("mine", judge_phases("verdicts on opened documents", judge), work), expected


def plan_flywheel(recipe: FlywheelRecipe, expect: Sequence[str]) -> tuple[Plan, Expected]:
    """The plan of a flywheel's stages in all its rounds, where nothing is known but its recipe."""
    from lrat_hub.agents.settings import AgentSettings
    from lrat_hub.cli.options import settings_of
    from lrat_hub.cli.stage_runs import named
    from lrat_hub.judges.settings import AnswerJudgeSettings, DocumentJudgeSettings
    from lrat_hub.planning import Plan

    if not recipe.model:
        raise LratError("Flywheel: expected the `model` that the first round trains from, found none. Give it.")
    expected = Expected(expect)
    asked = recipe.rounds * recipe.questions_per_round
    held_out = expected.count("questions", recipe.held_out, "queries") if recipe.by_agents else 0
    runs = (0 if recipe.trajectories else asked) + (recipe.rounds + 1) * held_out
    sizes = expected.values | {"questions": str(runs), "trajectories": str(asked)}
    sizes["retrievers"] = recipe.retriever or recipe.model
    inputs = {"pairs": "", "trajectories": [], "model": recipe.model, "bm25": False} | UNNAMED

    def options(stage: str, section: Mapping[str, Any]) -> tuple[Any, ...]:
        values = inputs | named(stage, {name: value for name, value in section.items() if name != "launch"}, stage)
        found = read_options(stage, values, stage, *cli.options_of_stage(stage))
        found[0].expect = [f"{name}={value}" for name, value in (Expected(found[0].expect).values | sizes).items()]
        return found

    index_args, index, *_ = options("index", recipe.index)
    plans: list[tuple[Plan, Expected]] = []
    if runs:
        args, agent, judge = options("rollout", recipe.rollout)
        own = settings_of(agent, AgentSettings)
        settings = settings_of(judge, AnswerJudgeSettings, "answer_judge")
        settings = replace(settings, server=settings.server.started_like(own.server))
        plans.append(plan_rollout(args, own, settings, index))
    args, judge, *_ = options("mine", recipe.mine)
    plans.append(plan_mine(args, settings_of(judge, DocumentJudgeSettings, "judge")))
    args, settings, *_ = options("train", recipe.train)
    plans.append(plan_training("train", args, settings, recipe.rounds))
    plans.append(plan_index(index_args, index))
    work = [f"{recipe.rounds} rounds of {recipe.questions_per_round:,} questions; {held_out:,} are held out"]
    phases = []
    for plan, of_stage in plans:
        work += [f"lrat {plan.stage}: {line}" for line in plan.work]
        phases += [replace(phase, name=f"lrat {plan.stage}: {phase.name}") for phase in plan.phases]
        # How many questions and runs there are follows from the rounds.
        notes = [note for note in of_stage.notes if re.search("documents|pairs", note)]
        expected.notes += [f"lrat {plan.stage}: {note}" for note in notes]
    return Plan("flywheel", phases, work), expected


def count_trajectories(references: Sequence[str], expected: Expected) -> int:
    """Trajectories in all references, as they are published or as they are expected."""
    given = [published_rows(text, "") for text in references]
    return sum(given) if given and all(given) else expected.count("trajectories")


def plan_training(stage: str, args: Any, settings: FitSettings, runs: int = 1) -> tuple[Plan, Expected]:
    """The plan of one training, or of several one after the other."""
    from lrat_hub.planning import Phase, Plan, Process, model_size
    from lrat_hub.planning.work import training

    expected = Expected(args.expect)
    size, name = model_size(args.model), getattr(args, "teacher", "")
    teacher = model_size(name) if name else None
    process = Process(f"training of {args.model}{f' by {name}' if name else ''}", 1, known=False)
    if size and (teacher or not name):
        # Weights are kept in fp32, whatever the checkpoint holds.
        process = training(size, adapters=bool(settings.lora_rank), frozen=4, teacher=teacher)
    given = args.pairs if isinstance(args.pairs, list) else [args.pairs]
    pairs = expected.count("pairs", given[0] if given else "", "pairs")
    work = [f"{runs} training{'s, one after the other' if runs > 1 else ''}, of at most {pairs:,} pairs"]
    return Plan(stage, [Phase("training", [process])], work), expected


def plan_agent_training(args: Any, settings: AgentFitSettings, generations: int = 0) -> tuple[Plan, Expected]:
    """The plan of one training of an agent.

    Args:
        generations: Runs that are made of each question; 0 where runs are given.
    """
    from lrat_hub.planning import Phase, Plan, Process, model_size
    from lrat_hub.planning.work import training

    expected = Expected(args.expect)
    size = model_size(args.model)
    process = training(size, adapters=bool(settings.lora_rank)) if size else None
    process = process or Process(f"training of {args.model}", 1, known=False)
    if generations:
        each = settings.batch_size * settings.gradient_accumulation_steps
        runs = (
            settings.max_steps * each if settings.max_steps > 0
            else round(settings.epochs * generations * expected.count("queries", args.queries, "queries"))
        )  # fmt: skip
        work = f"one training, which makes {runs:,} runs of its own in each process"
    else:
        work = f"one training, of at most {count_trajectories(args.trajectories, expected):,} runs"
    return Plan("train-agent", [Phase("training", [process])], [work]), expected


def plan_evaluation(
    stage: str,
    expect: Sequence[str],
    agents: Sequence[str],
    benchmarks: Mapping[str, Mapping[str, Any]],
    retrievers: Mapping[str, Mapping[str, str]],
    *,
    index_recipe: str = "",
    devices: str = "",
) -> tuple[Plan, Expected]:
    """The plan of runs of agents with retrievers on benchmarks, agent by agent, and of the judges after them.

    Args:
        agents: Recipes of rollouts, and names of agents without a language model.
        benchmarks: Options of `lrat eval agents`, by the benchmark's name.
        retrievers: By benchmark and name; those that are expected where none are given.
        index_recipe: The recipe by which models get an index.
        devices: GPUs that serve indexes.
    """
    from lrat_hub.cli.agent_evaluation import judges
    from lrat_hub.evaluation.grid import grid_cells
    from lrat_hub.planning import Phase, Plan
    from lrat_hub.planning.work import server

    expected = Expected(expect)
    plan = Plan(stage)
    settings = index_settings(index_recipe) if index_recipe else expected.index()
    processes: list[Process] = []
    runs = 0
    for name, values in benchmarks.items():
        documents = expected.count("documents", str(values.get("corpus", "")), "corpus", benchmark=name)
        questions = expected.count("questions", str(values.get("queries", "")), "queries", benchmark=name)
        named = retrievers[name] or expected.retrievers(values.get("names") or [], name)
        cells = [str(cell) for cell in grid_cells(agents, {name: named}, {name: values["k"]})]
        processes += retriever_processes([*named.values()], expected, documents, devices, settings)
        runs += questions * len(named) * len(values["k"])
        plan.work += [
            f"{name}: {len(named)} retrievers ({', '.join(named)}), k = {', '.join(map(str, values['k']))}, "
            f"{len(agents)} agents: {len(cells)} cells of {questions:,} runs",
            *(f"  {cell}" for cell in cells),
        ]
    for agent in agents:
        args, llm = rollout_settings(agent)
        if llm is None:
            continue
        plan.work += [f"{agent}: {line}" for line in work_of(runs, args, llm, expected)]
        plan.phases.append(
            Phase(f"{agent}, for the largest retriever", [*server("agent", llm.server), *largest(processes)])
        )
    if agents and not plan.phases:
        plan.phases.append(Phase("runs, for the largest retriever", largest(processes)))
    for name, values in benchmarks.items():
        _, first, second = read_options(stage, UNNAMED | dict(values), name, *cli.options_of_stage("eval agents"))
        judge, second_judge = judges(first, second)
        plan.phases += judge_phases(f"verdicts on answers, {name}", judge)
        plan.phases += judge_phases(f"verdicts of the second judge, {name}", second_judge) if second_judge else []
    return plan, expected


def rollout_settings(agent: str) -> tuple[Any, AgentSettings | None]:
    """The options of a rollout by its recipe, and its agent's where that is a language model."""
    from lrat_hub.agents.settings import AgentSettings
    from lrat_hub.cli.options import AGENTS, settings_of
    from lrat_hub.plugins import is_plugin

    if agent in AGENTS or is_plugin(agent):
        return None, None
    args, options, _ = read_recipe("rollout", agent, UNNAMED, *cli.options_of_stage("rollout"))
    return args, settings_of(options, AgentSettings) if args.agent == "llm" else None
