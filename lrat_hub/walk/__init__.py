"""The one walk over a trajectory: what the agent knew when it searched, and what became of what it opened.

Mining, rollouts, replay, analysis and the evaluation of agents all read trajectories by these rules:

- A **turn** is `Step.turn`, the position among the actions of the run. It stays what it is in a list of steps from
  which some were left out.
- A **browse belongs to** the earlier search that it names (`Step.search_turn`), where that listed its document, or
  else to the nearest earlier search that did. There it belongs to the query that ranked the document best (the first
  of equals). A document that no earlier search listed belongs to none.
- An **address** that no earlier search listed is that of a listed page where the two differ only in how they are
  written (`lrat_hub.walk.addresses`): the browse opens the document that was listed.
- A **failed browse**, one with an error or without a document, opens nothing and belongs to no search. The reasoning
  after it is about the failure: it counts for no browse, but it is what the agent had in mind at its next action.
- The **reasoning right after** a browse is that of the next message. Actions of one message share the reasoning before
  and after them: all but the first have None for theirs.
- The **state at a search** holds all queries of earlier searches, the reasoning of its own message, or else of the
  last one that had any, and the documents that were opened before.
- **Evidence is found** when a search first lists it, and read when a browse first opens it. Both are counted in steps:
  searches and browses together, from 1 (section 6.1.3 of https://huggingface.co/papers/2604.04949).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from lrat_hub.queries import QueryState
from lrat_hub.schema import Candidate, Step
from lrat_hub.walk.addresses import page_of


@dataclass(frozen=True, slots=True)
class SearchAction:
    """A search of a trajectory.

    Args:
        number: Its 1-based position among the searches and browses.
        earlier: The steps before it.
    """

    step: Step
    number: int
    earlier: Sequence[Step] = field(repr=False)

    @property
    def turn(self) -> int:
        return self.step.turn

    @property
    def previous_queries(self) -> tuple[str, ...]:
        """Queries of the earlier searches, oldest first."""
        return _queries(self.earlier)

    @property
    def reasoning_before(self) -> str:
        """The reasoning that led to the search: that of its message, or of the last one that had any."""
        return _last_reasoning([*self.earlier, self.step])

    @property
    def documents_read(self) -> tuple[str, ...]:
        """Documents that were opened before, each once, in the order in which they were first opened."""
        return tuple(dict.fromkeys(docid for _, docid in _opened(self.earlier) if docid is not None))

    @property
    def lists(self) -> dict[int, list[Candidate]]:
        """Query index to its result list in rank order, for the queries that have one."""
        return result_lists(self.step.results)

    def state(self, question: str, query_index: int) -> QueryState:
        """What was known when one of the queries was sent."""
        return QueryState(self.step.queries[query_index], question, self.previous_queries, self.reasoning_before)


class Listing(NamedTuple):
    """Where a document was listed: the search, its query that ranked the document best, and the rank, from 1."""

    search: SearchAction
    query_index: int
    rank: int


@dataclass(frozen=True, slots=True)
class BrowseAction:
    """A browse of a trajectory.

    Args:
        number: Its 1-based position among the searches and browses.
        opened: The document, or None when the browse failed.
        listing: The result list that it belongs to; None when the browse failed or no earlier search listed it.
        latest_search: The last search before it, whatever that listed.
        is_repeat: Whether an earlier browse had opened the document.
        reasoning_after: The reasoning right after it, "" when the agent went on without a word; None when the browse
            failed or no message follows.
    """

    step: Step
    number: int
    opened: str | None
    listing: Listing | None
    latest_search: SearchAction | None
    is_repeat: bool
    reasoning_after: str | None

    @property
    def turn(self) -> int:
        return self.step.turn

    @property
    def failed(self) -> bool:
        return self.opened is None

    @property
    def follows_directly(self) -> bool:
        """Whether the action right before it is a search."""
        return self.latest_search is not None and self.latest_search.turn == self.turn - 1


@dataclass(frozen=True, slots=True)
class Walk:
    """The searches and browses of a trajectory.

    Args:
        actions: Both, in order; other actions are left out.
        first_listed: Document to the number of the search that first listed it.
        first_opened: Document to the number of the browse that first opened it.
    """

    actions: tuple[SearchAction | BrowseAction, ...]
    first_listed: dict[str, int]
    first_opened: dict[str, int]

    @classmethod
    def over(cls, steps: Sequence[Step]) -> Walk:
        """Walks over the steps of a trajectory, once from its start to its end."""
        following = _reasonings_after(steps)
        actions: list[SearchAction | BrowseAction] = []
        listings: dict[str, tuple[SearchAction, Candidate]] = {}
        first_listed: dict[str, int] = {}
        first_opened: dict[str, int] = {}
        searches: dict[int, SearchAction] = {}
        latest: SearchAction | None = None
        for index, (step, opened) in enumerate(_opened(steps)):
            number = len(actions) + 1
            if step.action == "search":
                latest = SearchAction(step, number, steps[:index])
                actions.append(latest)
                searches[step.turn] = latest
                for hit in step.results:
                    first_listed.setdefault(hit.docid, number)
                    known = listings.get(hit.docid)
                    if known is None or known[0] is not latest or hit.rank < known[1].rank:
                        listings[hit.docid] = latest, hit
            elif step.action == "browse":
                named = _listed_in(searches.get(step.search_turn), opened) if step.search_turn is not None else None
                nearest = listings.get(opened) if opened is not None else None
                if named is None and nearest is not None:
                    search, hit = nearest
                    named = Listing(search, hit.query_index, hit.rank)
                actions.append(
                    BrowseAction(
                        step=step,
                        number=number,
                        opened=opened,
                        listing=named,
                        latest_search=latest,
                        is_repeat=opened in first_opened,
                        reasoning_after=following[index] if opened is not None else None,
                    )
                )
                if opened is not None:
                    first_opened.setdefault(opened, number)
        return cls(tuple(actions), first_listed, first_opened)

    @property
    def searches(self) -> list[SearchAction]:
        return [action for action in self.actions if isinstance(action, SearchAction)]

    @property
    def browses(self) -> list[BrowseAction]:
        return [action for action in self.actions if isinstance(action, BrowseAction)]

    def listed_before(self, search: SearchAction) -> frozenset[str]:
        """Documents that earlier searches had listed."""
        return frozenset(docid for docid, number in self.first_listed.items() if number < search.number)


def state_after(steps: Sequence[Step], question: str, reasoning: str | None) -> QueryState:
    """What is known at the next call of a run that goes on; without a query, as the call may carry several.

    Args:
        reasoning: What led to the call; see `Step`.
    """
    return QueryState("", question, _queries(steps), _last_reasoning(steps) if reasoning is None else reasoning)


def opened_by(step: Step) -> str | None:
    """The document that a step opens, as the step names it; None for other actions and for a browse that failed."""
    return step.docid if step.action == "browse" and step.error is None else None


def _opened(steps: Iterable[Step]) -> Iterator[tuple[Step, str | None]]:
    """Each step with the document that it opens, under the id that an earlier search gave it."""
    listed: dict[str, None] = {}
    pages: dict[str, str] = {}
    num_paged = 0
    for step in steps:
        opened = opened_by(step)
        if opened is not None and opened not in listed and (page := page_of(opened)) is not None:
            # Most runs open what they listed, so that the pages of lists are seldom needed.
            for docid in list(listed)[num_paged:]:
                if (listed_page := page_of(docid)) is not None:
                    pages[listed_page] = docid
            num_paged = len(listed)
            opened = pages.get(page, opened)
        yield step, opened
        listed |= dict.fromkeys([hit.docid for hit in step.results])


def _listed_in(search: SearchAction | None, docid: str | None) -> Listing | None:
    """Where a search listed a document; None where it did not."""
    hits = [hit for hit in search.step.results if hit.docid == docid] if search is not None else []
    best = min(hits, key=lambda hit: hit.rank, default=None)
    return Listing(search, best.query_index, best.rank) if search is not None and best is not None else None


def result_lists(results: Iterable[Candidate]) -> dict[int, list[Candidate]]:
    """Query index to its result list in rank order, in the order in which the lists are given."""
    lists: dict[int, list[Candidate]] = {}
    for candidate in results:
        lists.setdefault(candidate.query_index, []).append(candidate)
    return {index: sorted(hits, key=lambda candidate: candidate.rank) for index, hits in lists.items()}


def _queries(steps: Iterable[Step]) -> tuple[str, ...]:
    return tuple(query for step in steps if step.action == "search" for query in step.queries)


def _last_reasoning(steps: Sequence[Step]) -> str:
    return next((step.reasoning for step in reversed(steps) if step.reasoning is not None), "")


def _reasonings_after(steps: Sequence[Step]) -> list[str | None]:
    """For each step the reasoning of the next message; None when there is none."""
    following: list[str | None] = []
    reasoning: str | None = None
    for step in reversed(steps):
        following.append(reasoning)
        reasoning = reasoning if step.reasoning is None else step.reasoning
    return following[::-1]
