"""The profile "released": the samples of the authors' code (`src/data_builder.py` of Yuqi-Zhou/LRAT, 274d0ab).

It reads a trajectory as searches and *runs* of browses with nothing else in between, and it knows the searches and the
irrelevant documents since the last run that held a relevant one:

- A browse makes a pair with the first query of the latest search, if any search since then listed its document.
- The negatives of a pair are the irrelevant documents of its run, the last first; then the irrelevant ones of earlier
  runs, the last first; then what was listed and opened by neither, the latest search first.
- A document that the agent opened before the last relevant run can be a negative again.

Two things differ: a call that can't be read costs itself and not the whole trajectory, and documents are not looked up
in a corpus here.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from lrat_hub.ledger import Ledger
from lrat_hub.mining.profiles import NaivePair, pair_id
from lrat_hub.mining.settings import ResolvedSettings
from lrat_hub.schema import Pair, Step, Trajectory
from lrat_hub.walk import SearchAction, Walk

UNLISTED = "listed by no search since the last relevant browses"
"""Why a browse makes no pair."""


def released_pairs(trajectory: Trajectory, settings: ResolvedSettings, browses: Ledger) -> list[NaivePair]:
    """Every browse of a trajectory, in order; verdicts decide which are pairs (`released_negatives`).

    The negatives of each are all documents that were listed since the run before, the latest search first.
    """
    searches = {search.turn: search for search in Walk.over(trajectory.steps).searches}
    naive: list[NaivePair] = []
    latest: SearchAction | None = None
    segment: list[str] = []
    run, in_run = 0, False
    # A call that could not be read, with nothing said before it, stands between no browse and what is said after it.
    steps = [step for step in trajectory.steps if step.action != "invalid" or step.reasoning is not None]
    after: Sequence[Step | None] = [*steps, None][1:]
    for step, following in zip(steps, after, strict=True):
        if step.action == "browse":
            reason = (
                "without a document" if step.docid is None
                else "held-out document" if step.docid in settings.held_out
                else "its search does not say which query listed it" if latest is not None and not latest.step.queries
                else None
            )  # fmt: skip
            if reason is None:
                browses.keep()
                in_run = True
                reasoning = following.reasoning if following is not None else None
                naive.append(NaivePair(_pair(trajectory, step, latest, segment, reasoning or "", settings), run))
            else:
                browses.drop(reason)
            continue
        if in_run:
            run, in_run, segment = run + 1, False, []
        if step.action == "search":
            latest = searches[step.turn]
            segment = [*(hit.docid for hit in step.results), *segment]
    return naive


def _pair(
    trajectory: Trajectory,
    browse: Step,
    search: SearchAction | None,
    segment: Sequence[str],
    reasoning: str,
    settings: ResolvedSettings,
) -> Pair:
    assert browse.docid is not None, "A browse without a document makes no pair."
    listed = [docid for docid in dict.fromkeys(segment) if docid not in settings.held_out]
    return Pair(
        pair_id=pair_id(trajectory.trajectory_id, search.turn if search else -1, browse.turn),
        trajectory_id=trajectory.trajectory_id,
        query_id=trajectory.query_id,
        search_turn=search.turn if search else -1,
        browse_turn=browse.turn,
        question=trajectory.question,
        query=search.step.queries[0] if search else "",
        positive_id=browse.docid,
        negative_ids=tuple(listed),
        negative_kinds=("pooled",) * len(listed),
        reasoning=reasoning,
        reasoning_length=0,  # measured for many pairs at once, which tokenizers do much faster
        previous_queries=search.previous_queries if search else (),
        reasoning_before=search.reasoning_before if search else "",
        read_ids=search.documents_read if search else (),
        agent=trajectory.agent,
        retriever=trajectory.retriever,
    )


def released_negatives(naive: Sequence[NaivePair], relevant: Sequence[bool]) -> list[dict[str, str] | None]:
    """The negatives of each browse of one trajectory, all of kind "pooled"; None for one that makes no pair.

    Args:
        naive: From `released_pairs`.
        relevant: The verdicts. A judge that gave none counts as "irrelevant", as in the authors' code.
    """
    resolved: list[dict[str, str] | None] = []
    pool: dict[str, None] = {}
    irrelevant_before: list[str] = []
    for _, members in groupby(zip(naive, relevant, strict=True), key=lambda member: member[0].run):
        run = [(each.pair, verdict) for each, verdict in members]
        pool = dict.fromkeys((*run[0][0].negative_ids, *pool))
        good = {pair.positive_id for pair, verdict in run if verdict}
        bad = [pair.positive_id for pair, verdict in run if not verdict]
        opened = {*good, *bad, *irrelevant_before}
        unopened = [docid for docid in pool if docid not in opened]
        candidates = dict.fromkeys((*reversed(bad), *reversed(irrelevant_before), *unopened), "pooled")
        for pair, *_ in run:
            left_out = {*good, pair.positive_id}
            kept = {docid: kind for docid, kind in candidates.items() if docid not in left_out}
            resolved.append(kept if pair.positive_id in pool else None)
        irrelevant_before += bad
        if good:
            pool, irrelevant_before = {}, []
    return resolved
