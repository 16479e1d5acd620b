"""A run as the page shows it: where each document was listed, opened and judged is worked out here, once."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from lrat_hub.schema import Candidate, Pair, Step, Trajectory
from lrat_hub.viewer.notes import Notes
from lrat_hub.walk import BrowseAction, Walk, result_lists

TEXT_CHARS = 20_000
"""Longest text in a page; what is left out of a longer one is said at its end."""

TITLE_CHARS = 500
"""Longest title."""

SNIPPET_CHARS = 300
"""What is shown of a document's text where the run has no snippet."""

Row = dict[str, Any]

_Opened = dict[tuple[int, int, str], list[int]]
"""Turn of a search, number of its query, and document, to the turns at which it was opened from that list."""


def run_row(run: Trajectory, notes: Notes) -> Row:
    """Everything that the page shows of a run. Values that say nothing are left out."""
    walk = Walk.over(run.steps)
    evidence = notes.evidence_of(run)
    browses = {action.turn: action for action in walk.browses}
    opened: _Opened = defaultdict(list)
    for action in walk.browses:
        if action.listing is not None and action.opened is not None:
            opened[action.listing.search.turn, action.listing.query_index, action.opened].append(action.turn)
    pairs: dict[int, list[Row]] = defaultdict(list)
    for split, pair in notes.pairs_of(run):
        pairs[pair.browse_turn].append(_pair_row(split, pair))
    steps = [
        _filled(
            turn=step.turn,
            action=step.action,
            reasoning=_cut(step.reasoning),
            shared=step.reasoning is None,
            words=num_words(step.reasoning) or None,
            error=_cut(step.error),
            lists=_lists(step, evidence, opened, notes),
            observation=_cut(_observation(step, notes)),
            pairs=pairs.get(step.turn),
            **(_browse(step, browses.get(step.turn), evidence, notes) if step.action == "browse" else {}),
        )
        for step in run.steps
    ]
    return _filled(
        id=run.trajectory_id,
        question=_cut(run.question),
        gold=_cut(run.gold_answer),
        answer=_cut(run.final_answer),
        agent=run.agent,
        agent_revision=run.agent_revision,
        retriever=run.retriever,
        retriever_revision=run.retriever_revision,
        sampling=_filled(**vars(run.sampling)),
        evidence=_evidence(evidence, walk, notes),
    ) | {"steps": steps}


def index_row(run: Trajectory, page: Row) -> Row:
    """The columns of a run in the index, which is what lists are filtered by.

    Args:
        page: What `run_row` gives of it.
    """
    evidence = page.get("evidence", ())
    return {
        "id": run.trajectory_id,
        "group": run.query_id,
        "question": page.get("question", ""),
        "outcome": run.outcome,
        "status": run.status,
        "searches": run.num_searches,
        "browses": run.num_browses,
        "invalid": run.num_invalid,
        "words": sum(step.get("words", 0) for step in page["steps"]),
        "evidence": len(evidence),
        "listed": sum("listed" in one for one in evidence),
        "opened": sum("opened" in one for one in evidence),
        "pairs": sum(len(step.get("pairs", ())) for step in page["steps"]),
    }


def num_words(text: str | None) -> int:
    return len(text.split()) if text else 0


def _filled(**values: Any) -> Row:
    """The values that say something: a number does, also a turn of 0, unless it is one that JSON doesn't have."""
    return {
        name: value
        for name, value in values.items()
        if (_is_finite(value) if isinstance(value, float) else value or (type(value) is int))
    }


def _is_finite(number: float | None) -> bool:
    return number is not None and math.isfinite(number)


def _cut(text: str | None, chars: int = TEXT_CHARS) -> str:
    text = text or ""
    left = len(text) - chars
    return text if left <= 0 else f"{text[:chars]} … ({left:,} more characters are not in this page)"


def _observation(step: Step, notes: Notes) -> str:
    """What a step was shown, unless its lists say it: the text of a search repeats their snippets."""
    if step.action == "search" and step.error is None and any(hit.snippet for hit in step.results):
        return ""
    if not step.observation and step.action == "browse" and step.docid is not None:
        document = notes.document(step.docid)
        return document.text if document else ""
    return step.observation


def _lists(step: Step, evidence: dict[str, int], opened: _Opened, notes: Notes) -> list[Row]:
    lists = result_lists(step.results)

    def row(hit: Candidate) -> Row:
        document = notes.document(hit.docid) if not (hit.title and hit.snippet) else None
        return _filled(
            rank=hit.rank,
            docid=hit.docid,
            title=_cut(hit.title or (document.title if document else ""), TITLE_CHARS),
            snippet=_cut(hit.snippet or (document.text[:SNIPPET_CHARS] if document else "")),
            grade=evidence.get(hit.docid),
            opened=opened.get((step.turn, hit.query_index, hit.docid)),
            score=hit.score,
        )

    return [
        {
            "query": _cut(step.queries[index]) if 0 <= index < len(step.queries) else "",
            "hits": [row(hit) for hit in lists.get(index, ())],
        }
        # A list may have a number that no query has: logs aren't always whole.
        for index in sorted({*range(len(step.queries)), *lists})
    ]


def _browse(step: Step, action: BrowseAction | None, evidence: dict[str, int], notes: Notes) -> Row:
    docid = action.opened if action is not None and action.opened is not None else step.docid
    listing = action.listing if action is not None else None
    hits: Iterable[Candidate] = listing.search.step.results if listing is not None else ()
    title = next((hit.title for hit in hits if hit.docid == docid and hit.title), "")
    document = notes.document(docid) if docid is not None and not title else None
    row = _filled(
        docid=docid,
        title=_cut(title or (document.title if document else ""), TITLE_CHARS),
        grade=evidence.get(docid or ""),
        failed=action is None or action.failed,
        repeat=action is not None and action.is_repeat,
    )
    if listing is not None:
        row["from"] = {"turn": listing.search.turn, "query": listing.query_index, "rank": listing.rank}
    return row


def _pair_row(split: str, pair: Pair) -> Row:
    kinds = zip(pair.negative_ids, pair.negative_kinds, strict=True)
    return _filled(
        split=split,
        query=_cut(pair.query),
        search_turn=pair.search_turn,
        positive=pair.positive_id,
        negatives=[_filled(docid=docid, kind=kind) for docid, kind in kinds],
        judge=pair.judge,
        browses=pair.num_browses if pair.num_browses > 1 else None,
    ) | {
        "verdict": pair.verdict,
        "weight": pair.weight if _is_finite(pair.weight) else None,
        "length": pair.reasoning_length,
    }


def _evidence(evidence: dict[str, int], walk: Walk, notes: Notes) -> list[Row]:
    turns = {action.number: action.turn for action in walk.actions}

    def row(docid: str, grade: int) -> Row:
        document = notes.document(docid)
        listed, opened = (turns.get(first.get(docid, 0)) for first in (walk.first_listed, walk.first_opened))
        return _filled(
            docid=docid,
            grade=grade,
            title=_cut(document.title if document else "", TITLE_CHARS),
            listed=listed,
            opened=opened,
        )

    return [row(docid, grade) for docid, grade in evidence.items()]
