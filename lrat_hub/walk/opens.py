"""How often searches are followed by an opened document: what decides how many pairs runs can give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
    """

    runs: int = 0
    searches: int = 0
    opened: int = 0
    pairs: int = 0

    def count(self, steps: Sequence[Step]) -> None:
        """Counts a run."""
        self.runs += 1
        self.searches += sum(step.action == "search" for step in steps)
        if any(step.action == "browse" and step.error is None for step in steps):
            listings = {
                (browse.listing.search.turn, browse.listing.query_index, browse.opened)
                for browse in Walk.over(steps).browses
                if browse.listing is not None
            }
            self.opened += len({turn for turn, *_ in listings})
            self.pairs += len(listings)

    def add(self, other: Opens) -> None:
        """Adds the counts of other runs."""
        self.runs += other.runs
        self.searches += other.searches
        self.opened += other.opened
        self.pairs += other.pairs

    def __str__(self) -> str:
        share = f" ({self.opened / self.searches:.0%})" if self.searches else ""
        rate = f", {self.pairs / self.runs:.2g} a run" if self.runs else ""
        pairs = f"{self.pairs} {'pair' if self.pairs == 1 else 'pairs'}"
        return (
            f"{self.opened} of {self.searches} searches{share} led to an opened document; {pairs} before a judge{rate}"
        )

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
