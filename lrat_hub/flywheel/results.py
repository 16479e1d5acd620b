"""What a flywheel's rounds came to, read back from what they have published, for its report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from lrat_hub.flywheel.feedback import Round, feedback_by_round
from lrat_hub.flywheel.measuring import measured_in
from lrat_hub.flywheel.recipe import FlywheelRecipe
from lrat_hub.flywheel.records import Event, round_tag
from lrat_hub.flywheel.report import RoundResult
from lrat_hub.hub.inputs import load_splits, load_table
from lrat_hub.hub.refs import HubRef
from lrat_hub.importers import load_trajectories
from lrat_hub.schema import Pair
from lrat_hub.storage import rows_of


def results_of(events: Sequence[Event], recipe: FlywheelRecipe) -> list[RoundResult]:
    """The start and every round, in their order; nothing before the first round has ended.

    Args:
        recipe: With its inputs at their pins.
    """
    rounds = [(place, event) for place, event in enumerate(events) if event.kind == "round"]
    documents = len(load_table(HubRef.parse(recipe.corpus), "corpus", config="corpus"))
    feedback = feedback_by_round((_fed_back(event, recipe) for _, event in rounds), documents)
    results: list[RoundResult] = []
    for (place, event), fed_back in zip(rounds, feedback, strict=True):
        # What happened before a round, also a rollback, says which champion it met.
        ours, theirs = measured_in(event.pins, events[place - 1].champion.retriever)
        if not results:
            results.append(RoundResult("start", ours))
        results.append(RoundResult(round_tag(event.round), theirs, event.decision, fed_back))
    return results


def _fed_back(event: Event, recipe: FlywheelRecipe) -> Round:
    runs = event.pins.get("runs") or recipe.trajectories[event.round - 1]
    own = {run.trajectory_id for run in load_trajectories(runs)}
    return round_tag(event.round), load_trajectories(runs), _pairs(event.pins["pairs"], own)


def _pairs(pin: str, runs: set[str]) -> Iterator[Pair]:
    """The pairs of these runs: where all rounds so far are mined together, there are those of earlier ones besides."""
    for table in load_splits(replace(HubRef.parse(pin), config="pairs")).values():
        yield from (pair for pair in map(Pair.from_dict, rows_of(table)) if pair.trajectory_id in runs)
