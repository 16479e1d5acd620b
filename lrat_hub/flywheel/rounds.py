"""The rounds of a flywheel: what is there is taken, what is missing is made, and the gate decides.

All state is on the Hub: artifacts, which are found again by their lineages, and the record of what was decided. So the
same call goes on where a killed one stopped, also on another machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any, Protocol

from lrat_hub.corpora.loading import load_question_rows, load_questions
from lrat_hub.errors import LratError
from lrat_hub.evaluation.seen import text_key
from lrat_hub.flywheel.gate import Decision, decide
from lrat_hub.flywheel.measuring import measured_in
from lrat_hub.flywheel.recipe import ALONE_KINDS, FlywheelRecipe
from lrat_hub.flywheel.records import (
    Event,
    decisions,
    read_events,
    rejected_in_a_row,
    round_tag,
    rounds_of,
    settle_tags,
)
from lrat_hub.flywheel.shadow import shadow_rows
from lrat_hub.flywheel.slices import draw_slice
from lrat_hub.flywheel.steps import AGENTS, TEST_RUNS, Champion, Step, options_of_step, steps_of
from lrat_hub.hub.inputs import resolve
from lrat_hub.hub.lineage import Lineage, read_lineage
from lrat_hub.hub.refs import HubRef
from lrat_hub.hub.tags import named_commits
from lrat_hub.importers import load_trajectories
from lrat_hub.mining.pipeline import refuse_obfuscated
from lrat_hub.retrieval.indexes import is_index
from lrat_hub.retrieval.opening import INDEX_PREFIX, RetrieverName, open_retriever

STAGE = "flywheel"
"""The stage in the lineages of records."""

MEASURED_AGAIN = (TEST_RUNS, AGENTS)
"""Steps that may come to more when they are made again: a judge may have been away."""


class Maker(Protocol):
    """What runs stages, and publishes records. The command line has one; stages are known to it alone."""

    def look(self, stage: str, options: Mapping[str, Any], to: HubRef, tag: str) -> HubRef | None:
        """The pin of what the stage would publish, where it is there already."""
        ...

    def make(
        self, stage: str, options: Mapping[str, Any], to: HubRef, tag: str, *, again: bool = False
    ) -> tuple[HubRef, float | None]:
        """The same, or else (or `again`) what the stage has published now and the seconds that it took; tagged."""
        ...

    def publish(
        self,
        recipe: FlywheelRecipe,
        events: Sequence[Event],
        before: HubRef | None,
        shadow: Sequence[Mapping[str, Any]] = (),
    ) -> HubRef:
        """Publishes the record with all its events, and gives its pin.

        Args:
            shadow: Rows of `shadow_rows` about the last event; without them those that are there stay.
        """
        ...


@dataclass
class Flywheel:
    """A flywheel, as it is on the Hub.

    Args:
        target: The dataset repository of its record; its artifacts are in repositories whose names begin with this.
        recipe: With its inputs at their pins.
        maker: Runs the stages.
        events: What has happened so far.
        record: The pin of the record; None before the first event.
        require: Called before anything is made or published; it raises when another process has taken over.
    """

    target: HubRef
    recipe: FlywheelRecipe
    maker: Maker
    events: list[Event] = field(default_factory=list)
    record: HubRef | None = None
    require: Callable[[], None] = lambda: None

    @classmethod
    def open(cls, target: HubRef, recipe: FlywheelRecipe, maker: Maker) -> Flywheel:
        """Reads the record, if there is one, and pins the inputs: those of the record, if there is one.

        Raises:
            LratError: The recipe is not the one that the flywheel was started with, or something can't be read.
        """
        recipe.check()
        record, lineage = find_record(target)
        if record is None or lineage is None:
            pins = {name: str(resolve(text, repo_type=kind)) for name, (text, kind) in recipe.sources().items()}
            begun = replace(pinned(recipe, pins), retriever=pinned_retriever(recipe.retriever))
            require_questions(begun)
            return cls(target, begun, maker)
        recipe = pinned(recipe, require_same_inputs(target, recipe, lineage))
        return cls(target, recipe, maker, read_events(record, lineage), record)

    @property
    def champion(self) -> Champion:
        """The champion; before the start, what the recipe says of it."""
        return self.events[-1].champion if self.events else Champion(0, self.recipe.model, self.recipe.retriever)

    @property
    def evaluates_alone(self) -> bool:
        """Whether champion and challenger can be evaluated without agents."""
        return self.recipe.start_kind in ALONE_KINDS

    @property
    def next_round(self) -> int:
        return len(rounds_of(self.events)) + 1

    def why_ended(self) -> str:
        """Why there is no further round; "" if there is one."""
        if self.next_round > self.recipe.rounds:
            return f"all {self.recipe.rounds} rounds are done"
        rejected = rejected_in_a_row(self.events)
        if self.recipe.stop_after and rejected >= self.recipe.stop_after:
            return f"{rejected} rounds in a row brought no promotion"
        return ""

    def run(self, on_round: Callable[[int], object] = lambda number: None) -> Iterator[Event]:
        """Prepares the start and runs the rounds, giving each event when its record is published and tags are set.

        Args:
            on_round: Called with the number of each round before it begins.

        Raises:
            LratError: A stage failed, another process has taken over, the Hub can't be reached, or data are missing
                that the gate needs; the round is then measured again by the next call.
        """
        self.settle()
        if not self.events:
            on_round(0)
            yield self.add(self._start())
        while not self.why_ended():
            on_round(self.next_round)
            yield self.add(*self._round(self.next_round))

    def settle(self) -> None:
        """Sets the tags that the record asks for, where a process was killed before it had."""
        if self.record is not None:
            settle_tags(self.target, self.record, self.events)

    def add(self, event: Event, shadow: Sequence[Mapping[str, Any]] = ()) -> Event:
        """Publishes the record with one more event, and sets the tags."""
        self.require()
        self.record = self.maker.publish(self.recipe, [*self.events, event], self.record, shadow)
        self.events.append(event)
        self.settle()
        return event

    def plan(self) -> Iterator[tuple[int, Step, dict[str, Any] | None, HubRef | None]]:
        """Every step that is left: its round, its options as far as they are known, and its pin if it is there."""
        first = 0 if not self.events else self.next_round
        champion: Champion | None = self.champion
        last = self.recipe.rounds if not self.why_ended() else first - 1
        for number in range(first, last + 1):
            pins: dict[str, str] = {}
            for step in steps_of(self.recipe, number, alone=self.evaluates_alone):
                known = champion is not None and set(step.needs) & self._made_in(number) <= pins.keys()
                # The runs of a start that is not there yet are compared with.
                known = known and (step.name != "agents" or bool(champion and champion.test_runs))
                options = self._options(step, number, pins, champion) if known and champion else None
                pin = self._look(step, number, options) if options is not None else None
                if pin is not None:
                    pins[step.name] = str(pin)
                yield number, step, options, pin
            # What a later round works with is decided when this one has ended.
            champion = self._started(pins) if number == 0 and self._made_in(0) <= pins.keys() else None

    def _made_in(self, number: int) -> set[str]:
        return {step.name for step in steps_of(self.recipe, number, alone=self.evaluates_alone)}

    def _options(self, step: Step, number: int, pins: Mapping[str, str], champion: Champion) -> dict[str, Any]:
        runs = [event.pins["runs"] for event in rounds_of(self.events) if "runs" in event.pins]
        runs = runs or [*self.recipe.trajectories[: number - 1]]
        return options_of_step(step, self.recipe, number, pins, champion, runs)

    def _look(self, step: Step, number: int, options: Mapping[str, Any]) -> HubRef | None:
        return self.maker.look(step.stage, options, step.repository(self.target), round_tag(number))

    def _make(
        self, number: int, champion: Champion, *, again: bool = False
    ) -> tuple[dict[str, str], dict[str, float]]:
        """Pins of everything that a round makes, and the seconds of what was made now.

        Args:
            again: Whether the agent's runs on held-out questions are made and evaluated although they are there.
        """
        pins: dict[str, str] = {}
        seconds: dict[str, float] = {}
        for step in steps_of(self.recipe, number, alone=self.evaluates_alone):
            self.require()
            options = self._options(step, number, pins, champion)
            pin, took = self.maker.make(
                step.stage,
                options,
                step.repository(self.target),
                round_tag(number),
                again=again and step in MEASURED_AGAIN,
            )
            pins[step.name] = str(pin)
            if took is not None:
                seconds[step.name] = took
        return pins, seconds

    def _start(self) -> Event:
        pins, seconds = self._make(0, self.champion)
        return Event("start", 0, self._started(pins), pins, seconds)

    def _started(self, pins: Mapping[str, str]) -> Champion:
        retriever = INDEX_PREFIX + pins["index"] if "index" in pins else self.recipe.retriever
        return Champion(0, self.recipe.model, retriever, pins.get("test_runs", ""))

    def _round(self, number: int) -> tuple[Event, list[dict[str, Any]]]:
        champion = self.champion
        pins, seconds = self._make(number, champion)
        decision = self._decide(champion, pins)
        if not decision.complete and self.recipe.by_agents and TEST_RUNS.name not in seconds:
            # The runs are those of an earlier call.
            options = self._options(TEST_RUNS, champion.round, {}, champion)
            repository = TEST_RUNS.repository(self.target)
            runs, _ = self.maker.make(TEST_RUNS.stage, options, repository, round_tag(champion.round), again=True)
            champion = replace(champion, test_runs=str(runs))
            pins, seconds = self._make(number, champion, again=True)
            decision = self._decide(champion, pins)
        if not decision.complete:
            raise LratError(
                f"{self.target.repo_id}: expected all data that the gate needs in round {number}, found some missing. "
                f"{' '.join(decision.reasons)} The same call does so."
            )
        challenger = Champion(number, pins["model"], INDEX_PREFIX + pins["index"], pins.get("test_runs", ""))
        shadow, other = [], self._in_the_shadow() if self.recipe.shadow and "runs" in pins else None
        measured: dict[str, float] = {}
        if other:
            retriever = open_retriever(other, HubRef.parse(self.recipe.corpus))
            shadow = [{"round": number, "retriever": other} | row
                      for row in shadow_rows(load_trajectories(pins["runs"]), retriever)]  # fmt: skip
            overlaps = [row["overlap"] for row in shadow if row["overlap"] is not None]
            measured = {"shadow_searches": len(overlaps), "shadow_overlap": fmean(overlaps)} if overlaps else {}
        now = challenger if decision.promoted else champion
        return Event("round", number, now, pins, seconds, decision, measured), shadow

    def _decide(self, champion: Champion, pins: Mapping[str, str]) -> Decision:
        ours, theirs = measured_in(pins, champion.retriever)
        start = ours
        if earlier := rounds_of(self.events):
            # The champion of the first round is the retriever that all began with.
            start, _ = measured_in(earlier[0].pins, self.events[0].champion.retriever)
        return decide(self.recipe.gate_settings(), ours, theirs, start=start, earlier=decisions(self.events))

    def _in_the_shadow(self) -> str | None:
        """The other retriever of the round before: its challenger, or the champion whose place that one took."""
        rounds = rounds_of(self.events)
        if not rounds:
            return None
        challenger = INDEX_PREFIX + rounds[-1].pins["index"]
        if self.champion.retriever != challenger:
            return challenger
        return self.events[self.events.index(rounds[-1]) - 1].champion.retriever


def find_record(target: HubRef) -> tuple[HubRef | None, Lineage | None]:
    """The record of a flywheel, with its lineage; None where none was published yet.

    Raises:
        LratError: Something else is there.
    """
    sha = named_commits(target).get(target.revision)
    if sha is None:
        return None, None
    record = replace(target, revision=sha)
    lineage = read_lineage(record)
    if lineage is not None and lineage.stage != STAGE:
        raise LratError(f"{target}: expected a flywheel or nothing there, found what lrat {lineage.stage} has made.")
    return (record, lineage) if lineage else (None, None)


def require_questions(recipe: FlywheelRecipe) -> None:
    """Raises LratError where questions are too few for all rounds, or published obfuscated so that nobody trains on
    them, or held out and without an answer or mined from.

    Args:
        recipe: With its inputs at their pins.
    """
    held_out = load_questions(recipe.held_out)
    answered = sum(bool(answer) for _, answer in held_out.values())
    if "success" in (recipe.primary, *recipe.limits) and answered < len(held_out):
        raise LratError(
            f"{recipe.held_out}: expected an answer for each held-out question, as the gate looks at success; found "
            f"{answered} of {len(held_out)}. Hold out those with answers alone, or choose another figure."
        )
    if not recipe.trajectories:
        given = load_question_rows(recipe.questions)
        if any(row["canary"] for row in given):
            refuse_obfuscated()
        draw_slice({row["query_id"]: (row["query"], row["answer"]) for row in given}, [held_out],
                   number=recipe.rounds, count=recipe.questions_per_round, seed=recipe.seed)  # fmt: skip
        return
    texts = {text_key(text) for text, _ in held_out.values()}
    for text in recipe.trajectories:
        asked = {run.question for run in load_trajectories(text)}
        if known := sorted(question for question in asked if text_key(question) in texts):
            raise LratError(
                f"{text}: expected runs of questions that are not held out, found {len(known)} of {len(asked)} that "
                f"are, such as {known[0]!r}. Leave these runs out, or hold out other questions."
            )


def require_same_inputs(target: HubRef, recipe: FlywheelRecipe, lineage: Lineage) -> dict[str, str]:
    """The pins of the inputs that a flywheel was started with; its branches may have moved on since.

    Raises:
        LratError: The recipe names others.
    """
    pins = {}
    for name, (text, kind) in recipe.sources().items():
        started = lineage.inputs.get(name, "")
        pins[name] = started
        if text != started and _branch(text, kind) != _branch(started, kind, pinned=False):
            raise LratError(
                f"{target.repo_id}: expected `{name}` {started}, which this flywheel was started with; found {text}. "
                "Start another one, under another name."
            )
    return pins


def require_same_recipe(target: HubRef, recipe: Mapping[str, Any], lineage: Lineage) -> None:
    """Raises LratError when a flywheel was started with other options: all hold from the first round to the last."""
    for name, value in recipe.items():
        if name in lineage.recipe and lineage.recipe[name] != value:
            raise LratError(
                f"{target.repo_id}: expected `{name}` {lineage.recipe[name]!r}, which this flywheel was started with; "
                f"found {value!r}. Start another one, under another name."
            )


def _branch(text: str, kind: Any, *, pinned: bool = True) -> HubRef | str:
    """A reference without its revision, which is another one later; of one that is given by its commit, all of it."""
    try:
        ref = HubRef.parse(text, repo_type=kind)
    except LratError:
        return text
    return ref if pinned and ref.is_pinned else replace(ref, revision="main")


def pinned(recipe: FlywheelRecipe, pins: Mapping[str, str]) -> FlywheelRecipe:
    """The recipe with its inputs at their pins."""
    collected = [pins[f"trajectories_{number}"] for number in range(1, len(recipe.trajectories) + 1)]
    single = {name: pin for name, pin in pins.items() if not name.startswith("trajectories_")}
    return replace(recipe, **single, trajectories=collected)


def pinned_retriever(text: str) -> str:
    """A starting retriever with its repositories at their pins; an index by itself as `index:` and its pin.

    Raises:
        LratError: It is a model by itself, or there is no such repository.
    """
    if not text:
        return ""
    tree = RetrieverName.parse(text)

    def pin(part: RetrieverName) -> str:
        if not part.is_repository:
            return part.text
        source = resolve(part.text, repo_type="model")
        if tree.kind == "repository" and not is_index(source):
            raise LratError(f"`retriever` {part.text}: expected an index, found a model. Give it as `model` alone.")
        return str(source)

    return (INDEX_PREFIX if tree.kind == "repository" else "") + tree.renamed(pin)
