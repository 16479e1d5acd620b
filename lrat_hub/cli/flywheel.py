"""Runs a flywheel: rounds in which an agent's runs train the next retriever, and a gate decides whether it is used.

Each round draws questions, runs the agent with the champion (the current retriever), mines the runs, trains and
indexes a challenger, and evaluates both on held-out questions. The challenger becomes the champion only if it passes
the gate. Everything is published in repositories whose names begin with that of --to, with the tag `round-N`; the
champion's model and index have the tag `champion`. The same command resumes a stopped flywheel, on any machine.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrat_hub.cli.planning import plan_flywheel, show
from lrat_hub.cli.stage import Stage, StageArguments, parse, say
from lrat_hub.cli.stage_runs import check_options, execute, stage_run
from lrat_hub.errors import LratError
from lrat_hub.flywheel.recipe import TAKEN, FlywheelRecipe
from lrat_hub.hub.refs import HubRef
from lrat_hub.option import option

if TYPE_CHECKING:
    from lrat_hub.artifacts.stage_runs import StageRun
    from lrat_hub.evaluation.report import Page
    from lrat_hub.flywheel.records import Event
    from lrat_hub.flywheel.rounds import Flywheel

LAUNCH = "launch"
"""The option of a stage's section that is a command which runs it as processes of their own."""

PREFIX = "round_"
"""What the inputs of a record that a round has made begin with."""


@dataclass(kw_only=True)
class Arguments(FlywheelRecipe, StageArguments):
    dry_run: bool = option(
        False, "Only show what is there, what would run, and what that would take.", group="essentials", recipe=False
    )
    rollback: str = option(
        "",
        "Make an earlier champion the champion again: the round that trained it (0 for the start), or last.",
        group="essentials",
        recipe=False,
    )
    expect: list[str] = option(
        help="Sizes for --dry_run of inputs that are not given, as NAME=VALUE: documents, and held-out questions.",
        factory=list,
        recipe=False,
    )
    folder: str = option("", "Also write the report of the rounds, report.md, into this folder.", recipe=False)
    take_over: bool = option(False, "Take over the lock of a process that has not released it.", recipe=False)


OPTIONS = (Arguments,)


def main(argv: list[str] | None = None) -> HubRef | None:
    """Returns the pin of the record; None before there is one."""
    (args,) = parse(argv, "flywheel", __doc__, *OPTIONS)

    from lrat_hub.flywheel.lock import Lock
    from lrat_hub.flywheel.records import rolled_back
    from lrat_hub.flywheel.rounds import Flywheel, find_record, require_same_recipe
    from lrat_hub.hub.publish import is_private

    given = {"to": args.to} | {name: text for name, (text, _) in args.sources().items()}
    missing = [f"--{name}" for name, text in given.items() if not text]
    if args.dry_run and missing:
        args.check()
        plan, expected = plan_flywheel(args, args.expect)
        plan.work.append(f"what is there already is shown when {', '.join(missing)} are given")
        return show(plan, expected)
    target = HubRef.parse(args.to, repo_type="dataset")
    if args.rollback and args.rollback != "last" and not args.rollback.isdecimal():
        raise LratError(f"--rollback: expected the number of a round or last, found {args.rollback!r}.")
    if target.repo_type != "dataset" or target.revision != "main":
        raise LratError(
            f"--to {args.to}: expected namespace/name of the record, which is a dataset, without a branch."
        )
    args.check()
    for stage, options in sections_of(args).items():
        check_options(stage, options)
    _, lineage = find_record(target)
    if lineage is not None:
        require_same_recipe(target, recipe_of(args), lineage)
    elif args.rollback:
        raise LratError(f"{target.repo_id}: expected a flywheel with a champion, found none that was started.")
    if args.dry_run:
        flywheel = Flywheel.open(target, args, Maker(args))
        show_plan(flywheel)
        return flywheel.record
    # The lock makes the repository of a new flywheel, so what can be refused is refused before.
    before = Flywheel.open(target, args, Maker(args))
    # A stage alone looks at its own inputs, and the first index is of a public model: what a later round makes of
    # private runs would follow it into a public repository.
    args.private = args.private or (_reads_private(before) if lineage is None else is_private(target))
    with Lock(target, take_over=args.take_over, private=args.private) as lock:
        if lock.note:
            say(f"  {lock.note}")
        # Under the lock: another process may have ended a round a moment ago.
        flywheel = Flywheel.open(target, args, Maker(args))
        flywheel.require = lock.require
        if args.rollback:
            flywheel.settle()
            to = None if args.rollback == "last" else int(args.rollback)
            event = flywheel.add(rolled_back(flywheel.events, to))
            say(f"the champion is that of round {event.round} again")
            return flywheel.record
        for event in flywheel.run(lambda number: say(f"\n[round {number} of {args.rounds}]")):
            show_event(event)
    if args.folder and flywheel.next_round > 1:
        say(f"  report: {report_of(flywheel.events, flywheel.recipe).write(Path(args.folder), f'Flywheel {args.to}')}")
    say(f"\n{flywheel.why_ended()}; the champion is that of round {flywheel.champion.round}: {flywheel.record}")
    return flywheel.record


def _reads_private(flywheel: Flywheel) -> bool:
    """Whether an input of a flywheel is private, so that all it makes must be, too."""
    from lrat_hub.hub.inputs import LocalSource, resolve
    from lrat_hub.hub.publish import is_private

    sources = (resolve(text, repo_type=kind) for text, kind in flywheel.recipe.sources().values())
    for source in sources:
        if not isinstance(source, LocalSource) and is_private(source):
            say(f"  {source.repo_id} is private, so {flywheel.target} and all that its rounds make is private, too")
            return True
    return False


def recipe_of(args: Arguments) -> dict[str, Any]:
    """What of the options holds for all rounds, as the record's lineage has it; inputs are compared by their pins."""
    return {
        item.name: getattr(args, item.name)
        for item in fields(args)
        if item.metadata.get("recipe", True) and item.name not in args.sources() and item.name != "trajectories"
    }


def sections_of(recipe: FlywheelRecipe) -> dict[str, dict[str, Any]]:
    """The recipe's options of each stage."""
    return {section.replace("_", " "): without_launch(getattr(recipe, section)) for section in TAKEN}


def without_launch(options: Mapping[str, Any]) -> dict[str, Any]:
    """What of the options is the stage's."""
    return {name: value for name, value in options.items() if name != LAUNCH}


@dataclass
class Maker:
    """Runs the stages of a flywheel in this process, and publishes its record."""

    args: Arguments

    def run_of(self, stage: str, options: Mapping[str, Any], to: HubRef) -> StageRun:
        return stage_run(stage, without_launch(options) | ({"private": True} if self.args.private else {}), to)

    def look(self, stage: str, options: Mapping[str, Any], to: HubRef, tag: str) -> HubRef | None:
        from lrat_hub.artifacts.stage_runs import existing

        return existing(self.run_of(stage, options, to), tag=tag)

    def make(
        self, stage: str, options: Mapping[str, Any], to: HubRef, tag: str, *, again: bool = False
    ) -> tuple[HubRef, float | None]:
        from lrat_hub.artifacts.stage_runs import existing
        from lrat_hub.hub.tags import set_tag

        run = self.run_of(stage, options, to)
        seconds = None
        pin = None if again else existing(run, tag=tag)
        if pin is None:
            began = time.monotonic()
            pin = execute(run, launch=options.get(LAUNCH, ""))
            seconds = time.monotonic() - began
        else:
            say(f"lrat {stage}: is there already, as {pin}")
        set_tag(pin, tag)
        return pin, seconds

    def publish(
        self,
        recipe: FlywheelRecipe,
        events: Sequence[Event],
        before: HubRef | None,
        shadow: Sequence[Mapping[str, Any]] = (),
    ) -> HubRef:
        from lrat_hub.flywheel.records import BEFORE, record_tables

        tables = record_tables(events, shadow, before)
        page = report_of(events, recipe) if any(event.decision for event in events) else None
        # The flywheel's own options, which are the recipe of the lineage, and the pins that they stand for.
        stage = Stage("flywheel", self.args, configs=None)
        for name, (pin, _) in recipe.sources().items():
            stage.inputs.record(name, pin)
        for name, pin in events[-1].pins.items():
            stage.inputs.record(f"{PREFIX}{name}", pin)
        if before is not None:
            stage.inputs.record(BEFORE, str(before))
        return stage.publish_dataset(
            tables,
            template="flywheel",
            counts={"events": len(events), "rounds": sum(event.kind == "round" for event in events)},
            files=page.figures if page else {},
            events=events,
            rows=event_rows(events),
            page=page.text if page else "",
            name=self.args.to,
        )


def report_of(events: Sequence[Event], recipe: FlywheelRecipe) -> Page:
    from lrat_hub.flywheel.report import report_page
    from lrat_hub.flywheel.results import results_of

    return report_page(results_of(events, recipe), benchmark=HubRef.parse(recipe.held_out).repo_id.rpartition("/")[2])


def event_rows(events: Sequence[Event]) -> list[dict[str, Any]]:
    """The events as people read them."""
    rows = []
    for event in events:
        shown = {row.figure: row for row in (event.decision.figures if event.decision else ())
                 if row.against == "champion"}  # fmt: skip
        primary = next((row for row in shown.values() if row.role == "primary"), None)
        rows.append({
            "event": "start" if event.kind == "start" else f"{event.kind} {event.round}",
            "decision": "promoted" if event.promoted else "stopped" if event.decision else "",
            "figure": primary.figure if primary else "",
            "champion": primary.reference if primary else None,
            "challenger": primary.value if primary else None,
            "p": f"{primary.p_value:.2g}" if primary and primary.p_value is not None else "",
            "level": f"{event.decision.level:.2g}" if event.decision else "",
            "champion from": f"round {event.champion.round}",
        })  # fmt: skip
    return rows


def show_event(event: Event) -> None:
    from lrat_hub.cli.tables import show_table

    if event.decision is None:
        return
    show_table(event_rows([event]))
    for reason in event.decision.reasons:
        say(f"  {reason}")


def show_plan(flywheel: Flywheel) -> None:
    """What is there and what would run, with counts and estimates of time and memory."""
    from lrat_hub.cli.tables import show_table
    from lrat_hub.corpora.loading import load_queries
    from lrat_hub.flywheel.records import mean_seconds

    recipe = flywheel.recipe
    if flywheel.events:
        show_table(event_rows(flywheel.events))
        say("")
    seconds = mean_seconds(flywheel.events)
    rows, left, unknown = [], 0.0, set()
    for number, step, options, pin in flywheel.plan():
        took = seconds.get(step.name)
        if pin is None:
            left += took or 0.0
            unknown |= {step.name} if took is None else set()
        state = str(pin) if pin else "would run" if options is not None else "would run after what is before it"
        rows.append({"round": number, "step": step.name, "stage": f"lrat {step.stage}",
                     "took": f"{took:.0f} s" if took is not None else "", "state": state})  # fmt: skip
    if why := flywheel.why_ended():
        say(f"nothing to do: {why}")
        return
    show_table(rows)
    asked = "those of the given trajectories" if recipe.trajectories else f"{recipe.questions_per_round} a round"
    say(f"\nquestions: {asked}, {len(load_queries(recipe.held_out))} held out")
    for line in needs(recipe):
        say(line)
    if unknown:
        say(f"time: not known of {', '.join(sorted(unknown))}, which no round has run yet; the rest {left:.0f} s")
    else:
        say(f"time: about {left:.0f} s, by what the earlier rounds took")


def needs(recipe: FlywheelRecipe) -> list[str]:
    """What training and the index need of this machine, by the size of the model's weights."""
    from lrat_hub.hub.lineage import read_lineage
    from lrat_hub.hub.preflight import download_size, free_memory, in_words

    model, corpus = HubRef.parse(recipe.model), HubRef.parse(recipe.corpus)
    lines = []
    if size := download_size(model):
        # Weights, gradients and AdamW's two moments.
        lines.append(f"memory: about {in_words(4 * size)} for training, {in_words(free_memory())} are free")
    lineage = read_lineage(corpus)
    rows = (lineage.counts.get("published_rows") or {}).get("corpus") if lineage else None
    if rows:
        lines.append(f"documents: {sum(rows.values())}, encoded once a round")
    return lines
