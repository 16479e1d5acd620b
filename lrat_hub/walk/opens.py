"""How often searches are followed by an opened document: what decides how many pairs runs can give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from lrat_hub.schema import Step
from lrat_hub.walk import Walk

FEW_OPENED = 0.1
FEW_PAIRS = 0.5
"""Below these, of the searches and a run, runs give far fewer pairs than usual; see `Opens.concern`."""

ENOUGH_RUNS = 5
"""Of fewer runs, shares say little."""


@dataclass
class Opens:
    """Counts over runs.

    Args:
        runs, searches: How many there are, searches that failed included.
        opened: Searches that listed a document which the agent then opened.
        pairs: Pairs of a query and such a document, before any judge: what mining begins with.
        silent: Pairs after whose document the agent went on without a word.
        unlisted: Opened documents that no earlier search had listed, and `unlisted_example`, the first in the alphabet
            of such a document with one that had been listed.
    """

    runs: int = 0
    searches: int = 0
    opened: int = 0
    pairs: int = 0
    # The ledgers of mining, of which these counts are made, too, have these under other names.
    silent: int = field(default=0, compare=False)
    unlisted: int = field(default=0, compare=False)
    unlisted_example: str = field(default="", compare=False)

    def count(self, steps: Sequence[Step]) -> None:
        """Counts a run."""
        self.runs += 1
        self.searches += sum(step.action == "search" for step in steps)
        if any(step.action == "browse" and step.error is None for step in steps):
            # Of documents that are opened again, the first time counts.
            listings: dict[tuple[int, int, str | None], str | None] = {}
            for browse in Walk.over(steps).browses:
                if browse.listing is not None:
                    key = (browse.listing.search.turn, browse.listing.query_index, browse.opened)
                    listings.setdefault(key, browse.reasoning_after)
                elif browse.opened is not None and browse.latest_search is not None:
                    self._see_unlisted(browse.opened, browse.latest_search.step)
            self.opened += len({turn for turn, *_ in listings})
            self.pairs += len(listings)
            self.silent += sum(not (reasoning or "").strip() for reasoning in listings.values())

    def _see_unlisted(self, docid: str, search: Step) -> None:
        self.unlisted += 1
        listed = next((hit.docid for hit in search.results), None)
        if listed is not None:
            example = f"{docid!r} was opened, and {listed!r} listed"
            self.unlisted_example = min(filter(None, (self.unlisted_example, example)))

    def add(self, other: Opens) -> None:
        """Adds the counts of other runs."""
        self.silent += other.silent
        self.unlisted += other.unlisted
        self.unlisted_example = min(filter(None, (self.unlisted_example, other.unlisted_example)), default="")
        self.runs += other.runs
        self.searches += other.searches
        self.opened += other.opened
        self.pairs += other.pairs

    def __str__(self) -> str:
        share = f" ({self.opened / self.searches:.0%})" if self.searches else ""
        rate = f", {self.pairs / self.runs:.2g} a run" if self.runs else ""
        pairs = f"{self.pairs} {'pair' if self.pairs == 1 else 'pairs'}"
        text = (
            f"{self.opened} of {self.searches} searches{share} led to an opened document; {pairs} before a judge{rate}"
        )
        return text + (f", {self.silent} of them without a word right after the document" if self.silent else "")

    @property
    def concern(self) -> str:
        """That the runs give far fewer pairs than usual; "" where they don't, or are too few to say.

        Agents of the paper open 4.4 documents a run, .26 a search, and in the runs that open least .18 a search (Table
        1 of https://huggingface.co/papers/2604.04949). The limits lie well below.
        """
        if self.runs < ENOUGH_RUNS or not self.searches:
            return ""
        if self.opened >= FEW_OPENED * self.searches and self.pairs >= FEW_PAIRS * self.runs:
            return ""
        return (
            f"these runs give few pairs: {self}. The agents of the paper open 26 documents for 100 searches and 4.4 a "
            "run. Collect more runs, or runs of an agent that opens documents more often"
        )
