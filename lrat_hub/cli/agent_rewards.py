"""`lrat train-agent --method grpo`: the stage's part that makes runs and learns from what they earn."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from lrat_hub.agent_training.rl_settings import GRPOSettings, RewardSettings
from lrat_hub.agent_training.settings import AgentFitSettings, ConversationSettings
from lrat_hub.agents.settings import EnvironmentSettings
from lrat_hub.cli.options import settings_of
from lrat_hub.cli.planning import plan_agent_training, show
from lrat_hub.cli.stage import Stage, say
from lrat_hub.cli.training import RunArguments, need_training
from lrat_hub.errors import LratError
from lrat_hub.hub.refs import HubRef
from lrat_hub.judges.settings import AnswerJudgeSettings

if TYPE_CHECKING:
    from lrat_hub.hub.inputs import Source

REWARDS_FILE = "rewards.png"


def train_on_rewards(
    args: Any,
    telling: ConversationSettings,
    settings: AgentFitSettings,
    shown_options: Any,
    earned: Any,
    sampling_options: Any,
    judging: Any,
    run: RunArguments,
) -> HubRef | None:
    """Runs the stage with parsed options. Returns the pin of what it published, or None in other processes.

    Args:
        args, run: Of the stage.
        shown_options, earned, sampling_options, judging: Options of `EnvironmentSettings`, `RewardSettings`,
            `GRPOSettings` and `AnswerJudgeSettings`.
    """
    shown, sampling = settings_of(shown_options, EnvironmentSettings), settings_of(sampling_options, GRPOSettings)
    if args.dry_run:
        return show(*plan_agent_training(args, settings, sampling.num_generations))
    missing = [f"--{name}" for name in ("corpus", "queries") if not getattr(args, name)]
    if missing or args.trajectories:
        found = f"no {' and no '.join(missing)}" if missing else "--trajectories"
        raise LratError(
            f"lrat train-agent: --method grpo makes its own runs from --corpus and --queries, found {found}."
        )
    if telling.protocol != "tools":
        raise LratError(
            f"lrat train-agent: --method grpo speaks the protocol tools, which TRL reads, found {telling.protocol}. "
            "Models of the others learn by it, too: docs/agent_training.md."
        )
    shown.check()
    rewards = settings_of(earned, RewardSettings, "reward")
    judge_settings = settings_of(judging, AnswerJudgeSettings, "answer_judge")
    by_evidence = [f"--reward_{name}" for name in ("evidence_found", "evidence_opened") if rewards.weights[name]]
    if by_evidence and not args.qrels:
        raise LratError(
            f"lrat train-agent: {' and '.join(by_evidence)} need --qrels, found none. Give it, or set them to 0."
        )

    stage = Stage(
        "train-agent", args, telling, settings, shown_options, earned, sampling_options, judging, run,
        publishes="model",
    )  # fmt: skip

    from lrat_hub.agent_training import (
        RewardFunctions,
        SearchEnv,
        SearchEnvFactory,
        fit_agent_by_rewards,
        load_agent_model,
        prepare_tokenizer,
        question_rows,
    )
    from lrat_hub.agent_training.grpo import peak_of, require_generator, reward_curve
    from lrat_hub.agent_training.grpo_inputs import end_tokens, measure_results
    from lrat_hub.agents import Question
    from lrat_hub.agents.protocols import AgentPrompt
    from lrat_hub.agents.rollouts import open_retrievers
    from lrat_hub.corpora.loading import load_qrels
    from lrat_hub.documents import Documents
    from lrat_hub.fitting.runs import from_first, is_first
    from lrat_hub.hub.cards import model_metadata, render_card
    from lrat_hub.hub.inputs import load_table, load_tokenizer
    from lrat_hub.hub.outputs import output_root
    from lrat_hub.judges.answers import AnswerJudge
    from lrat_hub.judges.settings import open_answer_judge, pin_judge

    require_generator(sampling)
    settings = replace(settings, learning_rate=peak_of(settings))
    prompt = AgentPrompt.load(telling.prompt or telling.protocol)

    def resolve_inputs() -> dict[str, Source]:
        names = [name for name in ("corpus", "queries", "qrels") if getattr(args, name)]
        found = {name: stage.input(name, getattr(args, name)) for name in names}
        if shown.tokenizer != "words":
            found["tokenizer"] = stage.input("tokenizer", shown.tokenizer, repo_type="model")
        return found | {"model": stage.input("model", args.model, repo_type="model")}

    sources = from_first(resolve_inputs)
    base = sources["model"]
    judge_model = from_first(lambda: pin_judge(stage.inputs, judge_settings))
    documents = Documents(load_table(sources["corpus"], "corpus", config="corpus"))
    (retriever,) = open_retrievers(
        stage.inputs, args.retriever or "bm25", [], corpus=sources["corpus"], documents=documents
    )
    work_dir = run.folder(stage, prompt_sha256=prompt.digest)
    tokenizer = load_tokenizer(base)
    prepare_tokenizer(tokenizer, telling.chat_template, name=args.model)
    counting = load_tokenizer(sources["tokenizer"]) if "tokenizer" in sources else None
    (environment,) = shown.environments([retriever], documents, counting)
    evidence = load_qrels(sources["qrels"]) if args.qrels else {}
    table: Any = load_table(sources["queries"], "queries", config="queries")
    questions = [Question(row["query_id"], row["query"], row["answer"]) for row in table]
    if rewards.answer and not any(question.gold_answer for question in questions):
        raise LratError("lrat train-agent: --reward_answer needs questions with answers, found none. Set it to 0.")
    asked = {question.query_id for question in questions}
    if by_evidence and not any(max(grades.values(), default=0) > 0 for grades in map(evidence.get, asked) if grades):
        raise LratError(
            f"lrat train-agent: {' and '.join(by_evidence)} need --qrels of the questions, found none of "
            f"{len(asked)} questions with evidence in it. Give another, or set them to 0."
        )
    results = measure_results(tokenizer, environment, [question.text for question in questions[:8]], sampling)
    say(f"  {results}")
    if sampling.trainer == "async":
        options = {"prompt": prompt, "owns_reward": False, "max_characters": results.characters}
        kind: Any = SearchEnvFactory(stage.inputs.pins["corpus"], args.retriever or "bm25", shown, options=options)
    else:
        kind = SearchEnv.over(
            environment, prompt=prompt, max_turns=shown.max_turns, max_characters=results.characters, owns_reward=False
        )
    model, base_dtype = load_agent_model(base, settings)
    need_training(stage, model, frozen=base_dtype if settings.lora_rank else None)
    log = output_root() / "vllm-judge.log"
    with open_answer_judge(judge_settings, judge_model, log=log) as judge:
        functions = RewardFunctions(
            prompt, rewards, judge or AnswerJudge(mismatch="unjudged"), shown.max_turns, end_tokens(model, tokenizer)
        )
        fitted = fit_agent_by_rewards(
            model, tokenizer, question_rows(questions, prompt, evidence), kind, functions, settings, sampling,
            work_dir=work_dir, base_dtype=base_dtype, report_to=run.report_to,
        )  # fmt: skip
    if not is_first():
        return None
    say(f"  {fitted}")
    with stage.output(keep_unfinished=True) as folder:
        fitted.model.save_pretrained(str(folder))
        tokenizer.save_pretrained(str(folder))
        (folder / REWARDS_FILE).write_bytes(reward_curve(fitted.log))
        counts = {
            "questions": len(questions), "fit": fitted.to_dict(), "prompt_sha256": prompt.digest,
            "results": asdict(results), "last": fitted.parts(),
        }  # fmt: skip
        lineage = stage.lineage(counts)
        card = render_card(
            "agent_rewards",
            lineage,
            repo_id=stage.target.repo_id,
            metadata=model_metadata("agent", base_model=base, datasets=[sources["queries"], sources["corpus"]]),
            fitted=str(fitted),
            telling=telling,
            weights=rewards.weights,
            environment=shown.environment_name,
            retriever=retriever.name,
            adapters=settings.lora_rank,
            curve=REWARDS_FILE,
        )
        return stage.publish_model(folder, card=card, lineage=lineage)
