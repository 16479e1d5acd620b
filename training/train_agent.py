"""Trains an agent's language model with TRL, by fine-tuning on trajectories or by reinforcement learning.

`--method sft` fine-tunes on selected runs, as tool-calling conversations in the protocol and with the prompt of
rollouts; the loss is on the assistant's replies, reasoning included. `--method grpo` makes runs in the environment of
rollouts and reinforces those with a higher reward than other runs of the same question. `lrat rollout --agent llm
--model REF` serves the published model. On several devices: `accelerate launch -m lrat_hub.training.train_agent ...`.
"""

from __future__ import annotations

import sys
from dataclasses import MISSING, dataclass, fields
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

from lrat_hub import cli
from lrat_hub.agent_training.rl_settings import GRPOSettings, RewardSettings
from lrat_hub.agent_training.settings import AgentFitSettings, ConversationSettings
from lrat_hub.agents.settings import EnvironmentSettings
from lrat_hub.cli.agent_rewards import train_on_rewards
from lrat_hub.cli.expected import PlannedArguments
from lrat_hub.cli.options import options_of, settings_of
from lrat_hub.cli.planning import plan_agent_training, show
from lrat_hub.cli.stage import Stage, parse, say
from lrat_hub.cli.training import RunArguments, need_training
from lrat_hub.errors import LratError
from lrat_hub.hub.refs import HubRef
from lrat_hub.judges.settings import AnswerJudgeSettings
from lrat_hub.option import option

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lrat_hub.hub.inputs import Source
    from lrat_hub.schema import Trajectory

CURVE_FILE = "loss_curve.png"


@dataclass(kw_only=True)
class Arguments(PlannedArguments):
    model: str = option(help="Language model to start from.", group="inputs")
    trajectories: list[str] = option(
        help="Runs to learn from; several as ref#config each.", factory=list, group="inputs", recipe=False
    )
    corpus: str = option(
        "",
        "Corpus that the agent searches and browses (grpo), or that says what runs saw whose logs have only the ids "
        "of documents (sft).",
        group="inputs",
    )
    queries: str = option("", "Questions to ask the agent, as ref#config:split (grpo).", group="inputs")
    qrels: str = option("", "Evidence of the questions, for --min_evidence and rewards by evidence.", group="inputs")
    method: Literal["sft", "grpo"] = option(
        "sft",
        "How the agent learns: sft, from runs as they were, or grpo, from what its own runs earn.",
        group="essentials",
    )
    retriever: str = option(
        "",
        "Retriever that the agent searches with (grpo): bm25 (the default), a model, an index, or the URL "
        "of a served one; see docs/retrieval.md.",
        group="essentials",
    )


EnvironmentOptions = options_of(EnvironmentSettings, essential=False)
RewardOptions = options_of(RewardSettings, "reward", essential=False)
GRPOOptions = options_of(GRPOSettings, essential=False)
JudgeOptions = options_of(AnswerJudgeSettings, "answer_judge", essential=False)
OPTIONS = (
    Arguments, ConversationSettings, AgentFitSettings, EnvironmentOptions, RewardOptions, GRPOOptions, JudgeOptions,
    RunArguments,
)  # fmt: skip


def main(argv: list[str] | None = None) -> HubRef | None:
    args, telling, settings, shown, earned, sampling, judging, run = parse(argv, "train-agent", __doc__, *OPTIONS)
    run.check()
    if settings.lora_rank and find_spec("peft") is None:
        raise LratError('--lora_rank: peft is not installed. Install it with: pip install "lrat-hub[lora]"')
    if args.method == "grpo":
        require_default("grpo", telling, but=("protocol", "prompt", "chat_template"))
        require_default("grpo", settings, but=SHARED)
        return train_on_rewards(args, telling, settings, shown, earned, sampling, judging, run)
    for options in (earned, sampling, judging):
        require_default("sft", options)
    require_default("sft", shown, but=RESTORING if args.corpus else ())
    require_default("sft", args, but=[item.name for item in fields(args) if item.name not in ASKED])
    return train_on_runs(args, telling, settings, shown, run)


ASKED = ("queries", "retriever")
RESTORING = ("environment", "k", "snippet_tokens", "browse_tokens", "tokenizer")
"""What can be said of the results that a corpus restores."""
SHARED = [item.name for item in fields(AgentFitSettings) if item.name != "validation_share"]


def require_default(method: str, options: Any, but: Sequence[str] = ()) -> None:
    """Raises LratError for options that do nothing with a method."""
    given = [
        f"--{item.name}"
        for item in fields(options)
        if item.name not in but
        and getattr(options, item.name)
        != (item.default_factory() if item.default_factory is not MISSING else item.default)
    ]
    if given:
        raise LratError(f"lrat train-agent: --method {method} has no use for {', '.join(given)}. Leave them out.")


def train_on_runs(
    args: Arguments,
    telling: ConversationSettings,
    settings: AgentFitSettings,
    showing: Any,
    run: RunArguments,
) -> HubRef | None:
    if args.dry_run:
        return show(*plan_agent_training(args, settings))
    if not args.trajectories:
        raise LratError("lrat train-agent: --method sft learns from runs, found none. Give --trajectories.")
    if telling.min_evidence and not args.qrels:
        raise LratError("lrat train-agent: --min_evidence needs --qrels, found none.")

    # Before torch is imported: what can't be published is told at once.
    restoring = [showing] if args.corpus else []
    stage = Stage("train-agent", args, telling, settings, *restoring, run, publishes="model")

    from lrat_hub.agent_training import (
        ConversationTokenizer,
        fit_agent,
        load_agent_model,
        select_runs,
        split_runs,
        tokenize_runs,
    )
    from lrat_hub.agents.protocols import AgentPrompt
    from lrat_hub.documents import Documents
    from lrat_hub.fitting import loss_curve
    from lrat_hub.fitting.runs import from_first, is_first
    from lrat_hub.hub.cards import model_metadata, render_card
    from lrat_hub.hub.inputs import load_table, load_tokenizer
    from lrat_hub.judges.agreement import evidence_of

    prompt = AgentPrompt.load(telling.prompt or telling.protocol)

    def resolve_inputs() -> tuple[list[Source], dict[str, Source]]:
        names = [f"trajectories_{number}" for number in range(1, len(args.trajectories) + 1)]
        names = names if names[1:] else ["trajectories"]
        runs = [stage.input(name, text) for name, text in zip(names, args.trajectories, strict=True)]
        given = {name: getattr(args, name) for name in ("qrels", "corpus")}
        found = {name: stage.input(name, text) for name, text in given.items() if text}
        if args.corpus and showing.tokenizer != "words":
            found["tokenizer"] = stage.input("tokenizer", showing.tokenizer, repo_type="model")
        return runs, found | {"model": stage.input("model", args.model, repo_type="model")}

    sources, inputs = from_first(resolve_inputs)
    base = inputs["model"]
    work_dir = run.folder(stage, prompt_sha256=prompt.digest)
    tokenizer = ConversationTokenizer(load_tokenizer(base), telling.chat_template, name=args.model)
    place = tokenizer.reasoning_place(telling.protocol)
    evidence = None
    if "qrels" in inputs:
        table = load_table(inputs["qrels"], "qrels", config="qrels_evidence")
        evidence = evidence_of(zip(table["query_id"], table["docid"], table["relevance"], strict=True))
    shown = None
    if "corpus" in inputs:
        counting = load_tokenizer(inputs["tokenizer"]) if "tokenizer" in inputs else None
        shown = settings_of(showing, EnvironmentSettings).shown(
            Documents(load_table(inputs["corpus"], "corpus", config="corpus")), counting
        )
    selected = select_runs(read_runs(sources), telling, reasoning=place, evidence=evidence, shown=shown, k=showing.k)
    say(str(selected.ledger))
    tokenized = tokenize_runs(
        selected.conversations, tokenizer, max_length=telling.max_length, over_length=telling.over_length
    )
    say(str(tokenized.ledger))
    for account in (selected.ledger, tokenized.ledger):
        if not account.kept:
            reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(account.dropped.items()))
            raise LratError(
                f"lrat train-agent: expected runs to learn from, found none of {account.read} {account.item} that "
                f"fit ({reasons or 'there were none'}). Change what drops them."
            )
    trained, held_out = split_runs(tokenized, selected.questions, settings.validation_share, seed=settings.seed)
    say(f"train-agent: {trained}; {settings}")
    if held_out is not None:
        say(f"  {held_out} of other questions are kept to validate on")
    model, base_dtype = load_agent_model(base, settings)
    need_training(stage, model, frozen=base_dtype if settings.lora_rank else None)
    fitted = fit_agent(
        model, tokenizer.tokenizer, trained, settings,
        validation=held_out, work_dir=work_dir, base_dtype=base_dtype, report_to=run.report_to,
    )  # fmt: skip
    if not is_first():
        return None
    say(f"  {fitted}")
    with stage.output(keep_unfinished=True) as folder:
        fitted.model.save_pretrained(str(folder))
        tokenizer.save_pretrained(folder)
        (folder / CURVE_FILE).write_bytes(loss_curve(fitted.log, None))
        counts = {
            "runs": selected.ledger.to_dict(), "conversations": tokenized.ledger.to_dict(),
            "trained": trained.to_dict(), "validation": held_out.to_dict() if held_out else None,
            "fit": fitted.to_dict(), "prompt_sha256": prompt.digest, "reasoning": place,
        }  # fmt: skip
        lineage = stage.lineage(counts)
        card = render_card(
            "agent",
            lineage,
            repo_id=stage.target.repo_id,
            metadata=model_metadata("agent", base_model=base, datasets=sources),
            fitted=str(fitted),
            telling=telling,
            adapters=settings.lora_rank,
            curve=CURVE_FILE,
        )
        return stage.publish_model(folder, card=card, lineage=lineage)


def read_runs(sources: Sequence[Source]) -> Iterator[Trajectory]:
    """The runs of all inputs, one after the other."""
    from lrat_hub.hub.inputs import load_table
    from lrat_hub.schema import Trajectory

    for source in sources:
        rows: Any = load_table(source, "trajectories")
        yield from map(Trajectory.from_dict, rows)


if __name__ == "__main__":
    sys.exit(cli.main(["train-agent", *sys.argv[1:]]))
