"""Trajectories measured for analysis: what each search listed, what each browse opened, and the reasoning after it.

A trajectory of megabytes becomes a `Run` of a few numbers per step, so that any number of trajectories can be read.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import islice

from lrat_hub.schema import Candidate, Outcome, Status, Trajectory
from lrat_hub.walk import BrowseAction, SearchAction, Walk

Measure = Callable[[Sequence[str]], Sequence[int]]
"""Gives the length of each text, such as `lrat_hub.mining.weights.LengthMeasure`."""

BATCH_SIZE = 64
"""Trajectories whose reasonings are measured in one call."""

# Chinese and Japanese are written without spaces: there a character counts as a word.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+")


@dataclass(frozen=True, slots=True)
class Search:
    """One search of a run.

    Args:
        step: Its 1-based number among the run's searches and browses.
        listed: Number of distinct documents in its result lists.
        new: How many of these no earlier search of the run listed.
        distance: Distance of its queries to those of the previous search (`query_distance`); None for the first.
        is_repeat: Whether the run asked all of its queries before.
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
        step: Its 1-based number among the run's searches and browses.
        failed: Whether no document could be opened; there is then no position, and no reasoning about the document.
        position: The document's 1-based position in the list it was opened from (`lrat_hub.walk`); None without one.
        length: Number of documents in that list; None without one.
        position_by_score: The document's position by the retriever's score, where the list was shown in another order.
        is_repeat: Whether the run opened the document before.
        is_evidence: Whether the document is evidence; None without judgements of the question.
        reasoning: Length of the reasoning right after the browse; None where it failed or no message follows.
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
    """The agent and the retriever of a run, both at their revisions where these are known.

    Args:
        source: The dataset that its runs are from, where runs of several datasets are to be kept apart.
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
        actions: One letter per step: S for a search, B for a browse. Other actions are left out.
        lists: Number of result lists whose scores tell an order.
        shuffled: How many of these were shown in another order than that of their scores.
        evidence: Number of evidence documents of the question; None without judgements.
        evidence_listed, evidence_opened: How many of these a search listed, and a browse opened.
    """

    trajectory_id: str
    query_id: str
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

    @property
    def share_listed(self) -> float | None:
        """Share of the question's evidence that a search listed; None where no evidence is known."""
        return self.evidence_listed / self.evidence if self.evidence and self.evidence_listed is not None else None

    @property
    def share_opened(self) -> float | None:
        """Share of the question's evidence that a browse opened; None where no evidence is known."""
        return self.evidence_opened / self.evidence if self.evidence and self.evidence_opened is not None else None


def measure_runs(
    trajectories: Iterable[Trajectory],
    *,
    qrels: Mapping[str, Set[str]] | None = None,
    measure: Measure | None = None,
    source: str | None = None,
) -> Iterator[Run]:
    """Measures trajectories one batch at a time, in their order.

    Args:
        qrels: Query id to the docids of its evidence documents.
        measure: Gives the lengths of reasonings; the number of words between spaces when None.
        source: The dataset they are from; see `System`.
    """
    remaining = iter(trajectories)
    while batch := list(islice(remaining, BATCH_SIZE)):
        walks = [Walk.over(trajectory.steps) for trajectory in batch]
        texts = [browse.reasoning_after for walk in walks for browse in walk.browses]
        reasonings = [text for text in texts if text is not None]
        measured = iter(measure(reasonings) if measure else [len(text.split()) for text in reasonings])
        lengths = iter([None if text is None else next(measured) for text in texts])
        for trajectory, walk in zip(batch, walks, strict=True):
            evidence = (qrels or {}).get(trajectory.query_id)
            yield _measure_run(trajectory, walk, list(islice(lengths, len(walk.browses))), evidence, source)


def query_distance(queries: Sequence[str], before: Sequence[str]) -> float:
    """Distance of queries to earlier ones: 0 for the same words in any order, 1 for no word in common.

    It is the Jaccard distance of the sets of lower-cased words, 1 - |A and B| / |A or B|: the mean over the queries of
    the distance to the nearest earlier one.
    """
    earlier = [_words(query) for query in before]
    distances = [min(_jaccard(_words(query), words) for words in earlier) for query in queries]
    return sum(distances) / len(distances)


def _words(query: str) -> frozenset[str]:
    return frozenset(_WORD.findall(query.lower()))


def system_labels(systems: Iterable[System]) -> dict[System, str]:
    """The shortest label of each that no other has: agent and retriever, then with revisions, then with the source."""
    candidates = {system: _names(system) for system in systems}
    uses = Counter(name for names in candidates.values() for name in set(names))
    return {
        system: next((name for name in names if uses[name] == 1), names[-1]) for system, names in candidates.items()
    }


def _names(system: System) -> tuple[str, ...]:
    """Names of a system, each more specific than the one before."""
    parts = [(system.agent, system.agent_revision), (system.retriever, system.retriever_revision)]
    short = " + ".join(name for name, _ in parts if name) or "unknown agent"
    pinned = " + ".join(f"{name}@{revision[:7]}" if revision else name for name, revision in parts if name)
    names = short, pinned or short
    return names + tuple(f"{name} ({system.source})" for name in names if system.source)


def _jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    union = one | other
    return 1 - len(one & other) / len(union) if union else 0.0


def _measure_run(
    trajectory: Trajectory,
    walk: Walk,
    lengths: Sequence[int | None],
    evidence: Set[str] | None,
    source: str | None,
) -> Run:
    searches: list[Search] = []
    asked: set[frozenset[str]] = set()
    before: tuple[str, ...] = ()
    # Result lists by the search's number and the query's index, and positions by score in those that were shuffled.
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
                bool(queries) and all(_words(query) in asked for query in queries),
            )
        )
        asked.update(map(_words, queries))
        before = queries or before
        for query_index, shown in search.lists.items():
            lists[search.number, query_index] = shown
            by_score = _positions_by_score(shown)
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
            _measure_browse(browse, length, lists, shuffled, evidence)
            for browse, length in zip(walk.browses, lengths, strict=True)
        ),
        num_scored,
        len(shuffled),
        None if evidence is None else len(evidence),
        None if evidence is None else len(evidence & walk.first_listed.keys()),
        None if evidence is None else len(evidence & walk.first_opened.keys()),
    )


def _measure_browse(
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


def _positions_by_score(shown: Sequence[Candidate]) -> list[int] | None:
    """Each candidate's 1-based position by its score, best first; None where the scores don't tell an order.

    Scores that never fall along the list are taken for distances, of which the least is best.
    """
    scores = [hit.score for hit in shown if hit.score is not None]
    if len(scores) < len(shown) or len(set(scores)) < 2:
        return None
    if scores == sorted(scores):
        return list(range(1, len(shown) + 1))
    best_first = sorted(range(len(shown)), key=lambda index: -scores[index])
    positions = [0] * len(shown)
    for position, index in enumerate(best_first, start=1):
        positions[index] = position
    return positions
