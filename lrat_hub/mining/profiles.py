"""From one trajectory to its naive pairs: which search a browse belongs to, and what stood beside the document.

What follows from verdicts (`lrat_hub.mining.negatives`) comes later, when they are known.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import NamedTuple

from lrat_hub.ledger import Ledger
from lrat_hub.mining.settings import ResolvedSettings
from lrat_hub.schema import Pair, Trajectory
from lrat_hub.walk import BrowseAction, SearchAction, Walk


class NaivePair(NamedTuple):
    """A pair before verdicts, with the negatives that don't depend on them.

    These are of its own list, and with pooled negatives also the candidates of the searches since the run of browses
    before (kind "pooled"). With the profile "released" they are all of the latter, the positive among them.

    Args:
        run: Number of the run of browses, without a search between them, that the browse belongs to.
        silent: Whether its trajectory has no reasoning at all, so that no length says anything.
    """

    pair: Pair
    run: int
    silent: bool = False


@dataclass
class _Attributed:
    """A browse with the search and the query that it belongs to.

    Args:
        run: See `NaivePair`.
        num_browses: How many browses were merged into this one.
    """

    search: SearchAction
    query_index: int
    browse: BrowseAction
    run: int
    num_browses: int = 1


def naive_pairs(trajectory: Trajectory, settings: ResolvedSettings, browses: Ledger) -> list[NaivePair]:
    """The naive pairs of a trajectory, in the order of their browses.

    Args:
        browses: Accounts for every browse.
    """
    walk = Walk.over(trajectory.steps)
    attributed: dict[tuple[object, ...], _Attributed] = {}
    # Searches since the run of browses before, by the number of the run that follows them.
    segments: dict[int, list[SearchAction]] = {0: []}
    run, in_run = 0, False
    for action in walk.actions:
        if isinstance(action, SearchAction):
            if in_run:
                run, in_run = run + 1, False
                segments[run] = []
            segments[run].append(action)
            continue
        if action.opened is None:
            browses.drop("failed")
            continue
        listing = _attribute(settings.profile, action)
        if isinstance(listing, str):
            browses.drop(listing)
            continue
        if action.opened in settings.held_out:
            browses.drop("held-out document")
            continue
        search, query_index = listing
        if query_index >= len(search.step.queries):
            browses.drop("its search does not say which query listed it")
            continue
        in_run = True
        # In an episode a document counts once for each result list; elsewhere every browse counts.
        key = (search.number, query_index, action.opened) if settings.profile == "episode" else (action.number,)
        if key not in attributed:
            browses.keep()
            attributed[key] = _Attributed(search, query_index, action, run)
            continue
        browses.drop("again from the same result list, merged")
        first = attributed[key]
        first.num_browses += 1
        if len(action.reasoning_after or "") > len(first.browse.reasoning_after or ""):
            first.browse = action
    # A document whose browse failed was not opened, but the agent chose it: it is no negative either.
    chosen = frozenset(browse.step.docid for browse in walk.browses if browse.step.docid is not None)
    titles = {}
    if settings.same_page:
        titles = {hit.docid: hit.title for search in walk.searches for hit in search.step.results}
    return [
        NaivePair(_pair(trajectory, browse, segments[browse.run], chosen, titles, settings, browses), browse.run)
        for browse in attributed.values()
    ]


def _attribute(profile: str, browse: BrowseAction) -> tuple[SearchAction, int] | str:
    """The search that a browse belongs to and the query within it; or why there is none."""
    if profile == "paper":
        if not browse.follows_directly:
            return "not directly after a search"
        if browse.listing is None or browse.listing.search is not browse.latest_search:
            return "not among the candidates of the search before it"
    return browse.listing[:2] if browse.listing else "never listed before"


def _pair(
    trajectory: Trajectory,
    attributed: _Attributed,
    segment: Sequence[SearchAction],
    chosen: Set[str],
    titles: Mapping[str, str],
    settings: ResolvedSettings,
    browses: Ledger,
) -> Pair:
    search, browse, positive = attributed.search, attributed.browse, attributed.browse.opened
    assert positive is not None, "A browse that failed makes no pair."
    negatives = dict(_candidates(attributed, segment, chosen, settings))
    negatives.pop(positive, None)
    page = titles.get(positive)
    if settings.same_page and not page:
        browses.note("positives without a title, whose pages are not known")
    for reason, left_out in (
        ("held-out document", [docid for docid in negatives if docid in settings.held_out]),
        ("title of the positive", [docid for docid in negatives if page and titles.get(docid) == page]),
    ):
        browses.note(f"negatives left out, {reason}", len(left_out))
        for docid in left_out:
            negatives.pop(docid, None)
    return Pair(
        pair_id=pair_id(trajectory.trajectory_id, search.turn, browse.turn),
        trajectory_id=trajectory.trajectory_id,
        query_id=trajectory.query_id,
        search_turn=search.turn,
        browse_turn=browse.turn,
        question=trajectory.question,
        query=search.step.queries[attributed.query_index],
        positive_id=positive,
        negative_ids=tuple(negatives),
        negative_kinds=tuple(negatives.values()),
        reasoning=browse.reasoning_after or "",
        reasoning_length=0,  # measured for many pairs at once, which tokenizers do much faster
        previous_queries=search.previous_queries,
        reasoning_before=search.reasoning_before,
        read_ids=search.documents_read,
        num_browses=attributed.num_browses,
        agent=trajectory.agent,
        retriever=trajectory.retriever,
    )


def _candidates(
    attributed: _Attributed, segment: Sequence[SearchAction], chosen: Set[str], settings: ResolvedSettings
) -> Iterator[tuple[str, str]]:
    """Documents that may be negatives of a pair, with their kinds; the first time a document is named counts."""
    own = [hit.docid for hit in attributed.search.lists.get(attributed.query_index, ())]
    kind = "weak" if settings.negatives == "tiers" else "list"
    for docid in own:
        if settings.negatives == "formula" or docid not in chosen:
            yield docid, kind
    if settings.negatives == "pooled":
        for search in segment:
            for hit in search.step.results:
                if hit.docid not in chosen and hit.docid not in own:
                    yield hit.docid, "pooled"


def pair_id(trajectory_id: str, search_turn: int, browse_turn: int) -> str:
    """A pair's id: the same for the same place of the same trajectory, whenever it is mined."""
    return hashlib.sha256(f"{trajectory_id}\0{search_turn}\0{browse_turn}".encode()).hexdigest()[:16]
