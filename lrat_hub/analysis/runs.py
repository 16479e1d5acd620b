"""Trajectories measured for analysis: what each search showed, what each browse opened, and what came after it.

A trajectory of megabytes becomes a `Run` of a few numbers a step, so that any number of them is read one at a time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import islice

from lrat_hub.schema import Candidate, Outcome, Status, Trajectory
from lrat_hub.walk import BrowseAction, SearchAction, Walk

Measure = Callable[[Sequence[str]], Sequence[int]]
"""Gives the length of each text, such as `lrat_hub.mining.weights.LengthMeasure`."""

TRAJECTORIES_AT_A_TIME = 64
"""Their reasonings are measured together."""

# Chinese and Japanese are written without blanks: there a character counts as a word.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+")


@dataclass(frozen=True, slots=True)
class Search:
    """One search of a run.

    Args:
        step: Its 1-based place among the run's searches and browses.
        listed: Different documents in its lists.
        new: Those of them that no search before it had listed.
        distance: How far its queries are from those of the search before it; None for the first. See `query_distance`.
        is_repeat: Whether all of its queries had been asked before.
    """

    step: int
    listed: int
    new: int
    distance: float | None
    is_repeat: bool


@dataclass(frozen=True, slots=True)
class Browse:
    """One browse of a run.

    Args:
        step: Its 1-based place among the run's searches and browses.
        failed: Whether nothing could be opened; there is then no position, and no reasoning about the document.
        position: The document's 1-based position in the list that it belongs to (`lrat_hub.walk`); None without one.
        length: How many documents that list showed.
        position_by_score: The document's position by the retriever's score, where the list was shown in another order.
        is_repeat: Whether the run had opened the document before.
        is_evidence: None where nobody has said which documents of the question are.
        reasoning: Tokens of the reasoning right after; None when nothing could be read or no message follows.
    """

    step: int
    failed: bool
    position: int | None
    length: int | None
    position_by_score: int | None
    is_repeat: bool
    is_evidence: bool | None
    reasoning: int | None


@dataclass(frozen=True, slots=True)
class System:
    """Who ran: an agent with its retriever, both at their revisions where these are known.

    Args:
        source: Where its runs are from, when those of several places are not to be taken together.
    """

    agent: str
    agent_revision: str | None
    retriever: str
    retriever_revision: str | None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """A trajectory, measured.

    Args:
        actions: A letter a step: S for a search, B for a browse. Other actions are left out.
        lists: Result lists with scores that tell their order.
        shuffled: Those of them that were shown in another order than that of the scores.
        evidence: How many documents of the question are evidence; None without judgements.
        evidence_listed, evidence_opened: How many of these a search listed, and a browse opened.
    """

    trajectory_id: str
    question: str
    system: System
    outcome: Outcome
    status: Status
    actions: str
    searches: tuple[Search, ...]
    browses: tuple[Browse, ...]
    lists: int
    shuffled: int
    evidence: int | None
    evidence_listed: int | None
    evidence_opened: int | None


def measure_runs(
    trajectories: Iterable[Trajectory],
    *,
    qrels: Mapping[str, Set[str]] | None = None,
    measure: Measure | None = None,
    source: str | None = None,
) -> Iterator[Run]:
    """Measures trajectories, in their order.

    Args:
        qrels: The evidence documents of each query id.
        measure: Gives the lengths of reasonings; words between blanks when None.
        source: See `System`.
    """
    remaining = iter(trajectories)
    while batch := list(islice(remaining, TRAJECTORIES_AT_A_TIME)):
        walks = [Walk.over(trajectory.steps) for trajectory in batch]
        texts = [browse.reasoning_after for walk in walks for browse in walk.browses]
        reasonings = [text for text in texts if text is not None]
        measured = iter(measure(reasonings) if measure else [len(text.split()) for text in reasonings])
        lengths = iter([None if text is None else next(measured) for text in texts])
        for trajectory, walk in zip(batch, walks, strict=True):
            evidence = (qrels or {}).get(trajectory.query_id)
            yield _measured(trajectory, walk, list(islice(lengths, len(walk.browses))), evidence, source)


def query_distance(queries: Sequence[str], before: Sequence[str]) -> float:
    """How far queries are from earlier ones: 0 for the same words in any order, 1 for no word in common.

    The Jaccard distance of the sets of words, lower-cased: 1 - |A and B| / |A or B|. Of several queries each counts
    with the nearest earlier one, and their mean is taken.
    """
    earlier = [words_of(query) for query in before]
    distances = [min(_jaccard(words_of(query), words) for words in earlier) for query in queries]
    return sum(distances) / len(distances)


def words_of(query: str) -> frozenset[str]:
    return frozenset(_WORD.findall(query.lower()))


def system_labels(systems: Iterable[System]) -> dict[System, str]:
    """A name for each: agent and retriever, then revisions, then the source, as far as it takes to tell them apart."""
    different = list(dict.fromkeys(systems))
    names = [_names(system) for system in different]
    return {
        system: next((name for name in of if sum(name in others for others in names) == 1), of[-1])
        for system, of in zip(different, names, strict=True)
    }


def _names(system: System) -> tuple[str, ...]:
    """Names that say more and more."""
    parts = [(system.agent, system.agent_revision), (system.retriever, system.retriever_revision)]
    short = " + ".join(name for name, _ in parts if name) or "unknown agent"
    pinned = " + ".join(f"{name}@{revision[:7]}" if revision else name for name, revision in parts if name)
    names = short, pinned or short
    return names + tuple(f"{name} ({system.source})" for name in names if system.source)


def _jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    union = one | other
    return 1 - len(one & other) / len(union) if union else 0.0


def _measured(
    trajectory: Trajectory,
    walk: Walk,
    lengths: Sequence[int | None],
    evidence: Set[str] | None,
    source: str | None,
) -> Run:
    searches: list[Search] = []
    asked: set[frozenset[str]] = set()
    before: tuple[str, ...] = ()
    # The result lists of each search by its number, and the places by score in those of them that were shuffled.
    lists: dict[tuple[int, int], list[Candidate]] = {}
    shuffled: dict[tuple[int, int], dict[str, int]] = {}
    num_scored = 0
    for search in walk.searches:
        queries = search.step.queries
        listed = {hit.docid for hit in search.step.results}
        searches.append(
            Search(
                search.number,
                len(listed),
                sum(walk.first_listed[docid] == search.number for docid in listed),
                query_distance(queries, before) if before and queries else None,
                bool(queries) and all(words_of(query) in asked for query in queries),
            )
        )
        asked.update(map(words_of, queries))
        before = queries or before
        for query_index, shown in search.lists.items():
            lists[search.number, query_index] = shown
            by_score = _places_by_score(shown)
            num_scored += by_score is not None
            if by_score is not None and by_score != list(range(1, len(shown) + 1)):
                shuffled[search.number, query_index] = {
                    hit.docid: position for hit, position in zip(shown, by_score, strict=True)
                }
    return Run(
        trajectory.trajectory_id,
        trajectory.query_id,
        System(
            trajectory.agent, trajectory.agent_revision, trajectory.retriever, trajectory.retriever_revision, source
        ),
        trajectory.outcome,
        trajectory.status,
        "".join("S" if isinstance(action, SearchAction) else "B" for action in walk.actions),
        tuple(searches),
        tuple(
            _measured_browse(browse, length, lists, shuffled, evidence)
            for browse, length in zip(walk.browses, lengths, strict=True)
        ),
        num_scored,
        len(shuffled),
        None if evidence is None else len(evidence),
        None if evidence is None else len(evidence & walk.first_listed.keys()),
        None if evidence is None else len(evidence & walk.first_opened.keys()),
    )


def _measured_browse(
    browse: BrowseAction,
    reasoning: int | None,
    lists: Mapping[tuple[int, int], Sequence[Candidate]],
    shuffled: Mapping[tuple[int, int], Mapping[str, int]],
    evidence: Set[str] | None,
) -> Browse:
    position = length = by_score = None
    if browse.listing is not None:
        search, query_index, position = browse.listing
        shown = lists[search.number, query_index]
        # Entries that could not be read keep their ranks, so a list can be longer than what is left of it.
        length = max(len(shown), *(hit.rank for hit in shown))
        by_score = shuffled.get((search.number, query_index), {}).get(browse.opened or "")
    is_evidence = None if evidence is None or browse.step.docid is None else browse.step.docid in evidence
    return Browse(browse.number, browse.failed, position, length, by_score, browse.is_repeat, is_evidence, reasoning)


def _places_by_score(shown: Sequence[Candidate]) -> list[int] | None:
    """Each candidate's 1-based place by its score, best first; None where the scores don't tell an order.

    Scores that only rise are distances, of which the least is best.
    """
    scores = [hit.score for hit in shown]
    if None in scores or len(set(scores)) < 2:
        return None
    if scores == sorted(scores):
        return list(range(1, len(shown) + 1))
    best_first = sorted(range(len(shown)), key=lambda index: -scores[index])
    places = [0] * len(shown)
    for place, index in enumerate(best_first, start=1):
        places[index] = place
    return places
