"""The record of a flywheel: what its rounds made, what the gate decided, and which retriever is the champion.

It is a table on the Hub with a row for each event, and the truth about the champion: the tags of the model and of its
index are set after it, and set again from it where a process was killed in between, or somebody has moved them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal

from lrat_hub.errors import LratError
from lrat_hub.flywheel.gate import Decision
from lrat_hub.flywheel.steps import INDEXED, MODEL, Champion, index_of
from lrat_hub.hub.inputs import fetch_file, load_split
from lrat_hub.hub.lineage import LINEAGE_FILE, read_lineage
from lrat_hub.hub.outputs import published_digest
from lrat_hub.hub.refs import HubRef
from lrat_hub.hub.tags import drop_tag, named_commits, set_tag
from lrat_hub.storage import rows_of

if TYPE_CHECKING:
    from datasets import Dataset

    from lrat_hub.hub.lineage import Lineage

EVENTS, FIGURES, SHADOW = "events", "figures", "shadow"
"""Configs of the record: an event a row, what the gate looked at, and lists of the retriever in the shadow."""

BEFORE = "before"
"""The input of a record that is the one before it."""

CHAMPION_TAG = "champion"

Kind = Literal["start", "round", "rollback"]


def round_tag(number: int) -> str:
    return f"round-{number}"


@dataclass(frozen=True)
class Event:
    """Something that happened to a flywheel.

    Args:
        kind: The start, a round that was decided, or a rollback.
        round: Its number; of a rollback, the round whose champion came back.
        champion: The one from then on.
        pins: Name of each step to the pin of what it made.
        seconds: Name of each step to the time that it took, where it was made by the process that ended the round.
        decision: Of a round.
        measured: Further figures of the round, by their names.
    """

    kind: Kind
    round: int
    champion: Champion
    pins: Mapping[str, str] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    decision: Decision | None = None
    measured: Mapping[str, float] = field(default_factory=dict)

    @property
    def promoted(self) -> bool:
        return self.decision is not None and self.decision.promoted

    def to_row(self, number: int) -> dict[str, Any]:
        decision = self.decision
        return {
            "event": number,
            "kind": self.kind,
            "round": self.round,
            "promoted": decision.promoted if decision else None,
            "level": decision.level if decision else None,
            "reasons": list(decision.reasons) if decision else [],
            "champion_round": self.champion.round,
            "champion_model": self.champion.model,
            "champion_retriever": self.champion.retriever,
            "champion_test_runs": self.champion.test_runs,
            "pins": json.dumps(dict(self.pins)),
            "seconds": json.dumps(dict(self.seconds)),
            "measured": json.dumps(dict(self.measured)),
            "decision": json.dumps(decision.to_dict()) if decision else "",
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Event:
        champion = Champion(
            row["champion_round"], row["champion_model"], row["champion_retriever"], row["champion_test_runs"]
        )
        decision = Decision.from_dict(json.loads(row["decision"])) if row["decision"] else None
        return cls(
            row["kind"], row["round"], champion, json.loads(row["pins"]), json.loads(row["seconds"]), decision,
            json.loads(row["measured"]),
        )  # fmt: skip


def read_events(record: HubRef, lineage: Lineage | None = None) -> list[Event]:
    """The events of a record at a pin.

    Args:
        lineage: The record's. Its table of events then has to be the one that was published: what a commit of
            somebody else has changed was not decided by the gate.

    Raises:
        LratError: It is no record of a flywheel, was edited, or can't be read.
    """
    for name, digest in (lineage.files if lineage else {}).items():
        path = fetch_file(record, name) if name.startswith(f"{EVENTS}/") else None
        if name.startswith(f"{EVENTS}/") and (path is None or published_digest(path) != digest):
            raise LratError(
                f"{record}: expected {name} as it was published with {LINEAGE_FILE}, found it edited or removed. The "
                "champion is what the gate decided: take the edit back on the Hub, and change the champion with "
                "`rollback`."
            )
    table = load_split(replace(record, config=EVENTS, split="train"), "the record of a flywheel")
    try:
        return [Event.from_row(row) for row in rows_of(table)]
    except (KeyError, TypeError, ValueError) as error:
        raise LratError(f"{record}: expected the record of a flywheel; {error!r}.") from error


def record_tables(
    events: Sequence[Event], shadow: Sequence[Mapping[str, Any]] = (), before: HubRef | None = None
) -> dict[str, dict[str, Dataset]]:
    """The tables of a record, by config and split.

    Args:
        shadow: Rows about the last event.
        before: The record before this one, whose rows about the shadow stay where there are none now.
    """
    from datasets import Dataset, Features, List, Value

    text, number = Value("string"), Value("float64")
    features = Features({
        "event": Value("int64"), "kind": text, "round": Value("int64"), "promoted": Value("bool"),
        "level": number, "reasons": List(text), "champion_round": Value("int64"),
        "champion_model": text, "champion_retriever": text, "champion_test_runs": text, "pins": text,
        "seconds": text, "measured": text, "decision": text,
    })  # fmt: skip
    rows = [event.to_row(place) for place, event in enumerate(events)]
    figures = [
        {"event": place, "round": event.round, **figure.to_dict()}
        for place, event in enumerate(events)
        for figure in (event.decision.figures if event.decision else ())
    ]
    tables = {EVENTS: {"train": Dataset.from_list(rows, features=features)}}
    if figures:
        tables[FIGURES] = {"train": Dataset.from_list(figures)}
    if shadow:
        tables[SHADOW] = {"train": Dataset.from_list([dict(row) for row in shadow])}
    elif before is not None and any("shadow_overlap" in event.measured for event in events):
        tables[SHADOW] = {"train": load_split(replace(before, config=SHADOW, split="train"))}
    return tables


def decisions(events: Iterable[Event]) -> list[Decision]:
    """What the gate has decided, in its order."""
    return [event.decision for event in events if event.decision is not None]


def rounds_of(events: Iterable[Event]) -> list[Event]:
    return [event for event in events if event.kind == "round"]


def rejected_in_a_row(events: Sequence[Event]) -> int:
    """Rounds without a promotion since the last one that had one."""
    count = 0
    for event in reversed(rounds_of(events)):
        if event.promoted:
            break
        count += 1
    return count


def rolled_back(events: Sequence[Event], to: int | None) -> Event:
    """The event that makes an earlier champion the champion again.

    Args:
        to: The round that trained it, 0 for the start; None for the champion before this one.

    Raises:
        LratError: There is none.
    """
    champions = {event.champion.round: event.champion for event in events}
    now = events[-1].champion.round
    before = [event.champion.round for event in events if event.champion.round != now]
    wanted = to if to is not None else (before[-1] if before else None)
    if wanted is None or wanted not in champions or wanted == now:
        known = ", ".join(str(number) for number in sorted(champions) if number != now) or "none"
        raise LratError(
            f"Flywheel: expected the round of an earlier champion to go back to ({known}), found {wanted}; the "
            f"champion is that of round {now}."
        )
    return Event("rollback", wanted, champions[wanted])


def mean_seconds(events: Iterable[Event]) -> dict[str, float]:
    """Name of each step to the mean of the times that it took."""
    times: dict[str, list[float]] = {}
    for event in events:
        for name, seconds in event.seconds.items():
            times.setdefault(name, []).append(seconds)
    return {name: fmean(values) for name, values in times.items()}


def settle_tags(flywheel: HubRef, record: HubRef, events: Sequence[Event]) -> None:
    """Sets the tags that the record asks for: of each round (0 is the start), and of the champion.

    The index comes first: it names its model by a pin, so that whoever reads it in between has both of one round.
    """
    named = named_commits(record)
    for event, pin in zip(reversed(events), _history(record), strict=False):
        tag = round_tag(event.round)
        if event.kind != "rollback" and named.get(tag) != pin.revision:
            set_tag(pin, tag)
    champion = events[-1].champion
    for step, pin in ((INDEXED, index_of(champion.retriever)), (MODEL, champion.model)):
        repository = step.repository(flywheel)
        if pin.partition("@")[0] == repository.repo_id:
            set_tag(HubRef.parse(pin), CHAMPION_TAG)
        else:
            # The flywheel started with what is in another repository.
            drop_tag(repository, CHAMPION_TAG)


def _history(record: HubRef) -> Iterator[HubRef]:
    """The record and those before it, each with an event less, as far back as they are still there."""
    lineage = read_lineage(record)
    yield record
    while lineage is not None and BEFORE in lineage.inputs:
        record = HubRef.parse(lineage.inputs[BEFORE])
        try:
            lineage = read_lineage(record)
        except LratError:
            # Its commit was squashed. That the Hub can't be reached is said of what is asked next.
            return
        yield record
