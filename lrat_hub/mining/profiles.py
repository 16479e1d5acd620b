"""From one trajectory to its naive pairs: which search a browse belongs to, and what stood beside the document.

What follows from verdicts (`lrat_hub.mining.negatives`) comes later, when they are known.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from lrat_hub.ledger import Ledger
from lrat_hub.mining.settings import MiningSettings
from lrat_hub.schema import Pair, Step, Trajectory


class NaivePair(NamedTuple):
    """A pair before verdicts, with the negatives that don't depend on them.

    These are of its own list, and with pooled negatives also the candidates of the searches since the run of browses
    before (kind "pooled"). With the profile "released" the positive may be among them.

    Args:
        run: Number of the run of browses, without a search between them, that the browse belongs to.
    """

    pair: Pair
    run: int


@dataclass
class _Place:
    """Where a browse belongs: steps by their place in the trajectory, the query within the search, its run."""

    search: int
    query_index: int
    browse: int
    run: int
    num_browses: int = 1


@dataclass
class _Walk:
    """What is known while a trajectory is read from its start.

    Args:
        latest: The last search.
        listings: For each document the latest search that listed it, the query there and its rank.
        segment: Searches since the run of browses before.
    """

    latest: int | None = None
    listings: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    segment: list[int] = field(default_factory=list)
    run: int = 0
    in_run: bool = False

    def search(self, place: int, step: Step) -> None:
        if self.in_run:
            self.segment, self.run, self.in_run = [], self.run + 1, False
        self.segment.append(place)
        self.latest = place
        for hit in step.results:
            known = self.listings.get(hit.docid)
            # Of the queries of one search, the one that ranked the document best.
            if known is None or known[0] != place or hit.rank < known[2]:
                self.listings[hit.docid] = (place, hit.query_index, hit.rank)


def naive_pairs(trajectory: Trajectory, settings: MiningSettings, browses: Ledger) -> list[NaivePair]:
    """The naive pairs of a trajectory, in the order of their browses.

    Args:
        settings: Resolved.
        browses: Accounts for every browse.
    """
    steps = trajectory.steps
    walk, segments = _Walk(), {}
    places: dict[tuple[object, ...], _Place] = {}
    for place, step in enumerate(steps):
        if step.action == "search":
            walk.search(place, step)
        if step.action != "browse":
            continue
        found = _attribute(settings.profile, place, step, steps, walk)
        if isinstance(found, str):
            browses.drop(found)
            continue
        if step.error is not None or step.docid is None:
            browses.drop("failed")
            continue
        if step.docid in settings.held_out:
            browses.drop("held-out document")
            continue
        search, query_index = found
        if query_index >= len(steps[search].queries):
            browses.drop("its search does not say which query listed it")
            continue
        walk.in_run = True
        segments[walk.run] = walk.segment
        # In an episode a document counts once for each result list; elsewhere every browse counts.
        key = (search, query_index, step.docid) if settings.profile == "episode" else (place,)
        if key not in places:
            browses.keep()
            places[key] = _Place(search, query_index, place, walk.run)
            continue
        browses.drop("again from the same result list, merged")
        there = places[key]
        there.num_browses += 1
        if len(reasoning_after(steps, place)) > len(reasoning_after(steps, there.browse)):
            there.browse = place
    opened = frozenset(step.docid for step in steps if step.action == "browse")
    titles = {hit.docid: hit.title for step in steps for hit in step.results} if settings.same_page else {}
    return [
        NaivePair(_pair(trajectory, place, segments[place.run], opened, titles, settings, browses), place.run)
        for place in places.values()
    ]


def _attribute(profile: str, place: int, step: Step, steps: Sequence[Step], walk: _Walk) -> tuple[int, int] | str:
    """The search that a browse belongs to and the query within it; or why there is none."""
    if profile == "paper":
        search = steps[place - 1] if place else None
        if search is None or search.action != "search":
            return "not directly after a search"
        query_index = next((hit.query_index for hit in search.results if hit.docid == step.docid), None)
        if query_index is None:
            return "not among the candidates of the search before it"
        return place - 1, query_index
    if profile == "released":
        # The latest query, whether or not it found the document; only the first of several was run.
        return (walk.latest, 0) if walk.latest is not None else "before any search"
    listing = walk.listings.get(step.docid)
    return listing[:2] if listing else "never listed before"


def _pair(
    trajectory: Trajectory,
    place: _Place,
    segment: Sequence[int],
    opened: frozenset[str],
    titles: dict[str, str],
    settings: MiningSettings,
    browses: Ledger,
) -> Pair:
    steps = trajectory.steps
    search, browse = steps[place.search], steps[place.browse]
    negatives = dict(_candidates(place, segment, opened, steps, settings))
    if settings.profile != "released":
        # There it stays in the pool, for the samples after one that is judged irrelevant.
        negatives.pop(browse.docid, None)
    page = titles.get(browse.docid)
    if settings.same_page and not page:
        browses.note("positives without a title, whose pages are not known")
    for reason, left_out in (
        ("held-out document", [docid for docid in negatives if docid in settings.held_out]),
        ("title of the positive", [docid for docid in negatives if page and titles.get(docid) == page]),
    ):
        browses.note(f"negatives left out, {reason}", len(left_out))
        for docid in left_out:
            negatives.pop(docid, None)
    earlier = steps[: place.search]
    return Pair(
        pair_id=pair_id(trajectory.trajectory_id, search.turn, browse.turn),
        trajectory_id=trajectory.trajectory_id,
        query_id=trajectory.query_id,
        search_turn=search.turn,
        browse_turn=browse.turn,
        question=trajectory.question,
        query=search.queries[place.query_index],
        positive_id=browse.docid,
        negative_ids=tuple(negatives),
        negative_kinds=tuple(negatives.values()),
        reasoning=reasoning_after(steps, place.browse),
        reasoning_length=0,  # measured for many pairs at once, which tokenizers do much faster
        previous_queries=tuple(query for step in earlier if step.action == "search" for query in step.queries),
        reasoning_before=reasoning_before(steps, place.search),
        read_ids=tuple(dict.fromkeys(step.docid for step in earlier if step.action == "browse" and not step.error)),
        num_browses=place.num_browses,
        agent=trajectory.agent,
        retriever=trajectory.retriever,
    )


def _candidates(
    place: _Place, segment: Sequence[int], opened: frozenset[str], steps: Sequence[Step], settings: MiningSettings
) -> Iterator[tuple[str, str]]:
    """Documents that may be negatives of a pair, with their kinds; the first time a document is named counts."""
    if settings.profile != "released":
        kind = "weak" if settings.negatives == "tiers" else "list"
        for hit in steps[place.search].results:
            if hit.query_index == place.query_index and (settings.negatives == "formula" or hit.docid not in opened):
                yield hit.docid, kind
    if settings.negatives == "pooled":
        own = {hit.docid for hit in steps[place.search].results if hit.query_index == place.query_index}
        for search in segment:
            for hit in steps[search].results:
                if settings.profile == "released" or (hit.docid not in opened and hit.docid not in own):
                    yield hit.docid, "pooled"


def pair_id(trajectory_id: str, search_turn: int, browse_turn: int) -> str:
    """A pair's id: the same for the same place of the same trajectory, whenever it is mined."""
    return hashlib.sha256(f"{trajectory_id}\0{search_turn}\0{browse_turn}".encode()).hexdigest()[:16]


def reasoning_after(steps: Sequence[Step], turn: int) -> str:
    """The reasoning right after an action: that of the next message, "" when there is none."""
    for step in steps[turn + 1 :]:
        if step.reasoning is not None:
            return step.reasoning
    return ""


def reasoning_before(steps: Sequence[Step], turn: int) -> str:
    """The reasoning that led to an action: that of its message."""
    for step in reversed(steps[: turn + 1]):
        if step.reasoning is not None:
            return step.reasoning
    return ""
