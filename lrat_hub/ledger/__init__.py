"""A stage's account of its input: every item is in the output or in a count of drops by reason."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

EXAMPLE_LENGTH = 300
"""Characters of an example that are kept."""

REASONS = 1_000
"""Reasons that are counted apart. They may name what the input made up, which can be any number of things."""

OTHERS = "for other reasons"


@dataclass
class Ledger:
    """Counts of one kind of item: what came in, what is in the output, and why the rest is not.

    Args:
        item: What is counted, in the plural ("trajectories").
        notes: Counts of things that happened to items without costing them.
        lost: Counts of what was lost inside of items that are kept.
        examples: For a reason, note or loss, the first thing that it was counted for. Examples can hold anything that
            the input holds, so they are for the eyes of whoever runs the stage and are never published.
    """

    item: str
    read: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def keep(self, count: int = 1) -> None:
        self.read += count
        self.kept += count

    def drop(self, reason: str, count: int = 1, example: str = "") -> None:
        if count:
            self.read += count
            self._count(self.dropped, reason, count, example)

    def note(self, what: str, count: int = 1, example: str = "") -> None:
        if count:
            self._count(self.notes, what, count, example)

    def lose(self, what: str, count: int = 1, example: str = "") -> None:
        """Counts what was lost inside of an item that is kept."""
        if count:
            self._count(self.lost, what, count, example)

    def add(self, other: Ledger) -> None:
        """Adds the counts of another account of the same kind of items, such as that of another process."""
        self.read += other.read
        self.kept += other.kept
        for mine, theirs in (
            (self.dropped, other.dropped),
            (self.notes, other.notes),
            (self.lost, other.lost),
        ):
            for what, count in theirs.items():
                self._count(mine, what, count, other.examples.get(what, ""))

    @property
    def num_dropped(self) -> int:
        return self.dropped.total()

    @property
    def num_lost(self) -> int:
        """Everything that the input has and the output lacks: items, and what was lost inside of items."""
        return self.num_dropped + self.lost.total()

    def _count(self, counts: Counter[str], what: str, count: int, example: str) -> None:
        if what not in counts and len(counts) >= REASONS:
            what = OTHERS
        counts[what] += count
        if example and what not in self.examples:
            self.examples[what] = example[:EXAMPLE_LENGTH]

    def to_dict(self) -> dict[str, object]:
        """For lineage and cards. Raises AssertionError when the counts don't add up: that would be a defect here."""
        assert self.read == self.kept + self.num_dropped, f"The ledger of {self.item} does not add up: {self}"
        counts: dict[str, object] = {
            "read": self.read,
            "kept": self.kept,
            "dropped": dict(sorted(self.dropped.items())),
            "notes": dict(sorted(self.notes.items())),
        }
        return counts | ({"lost": dict(sorted(self.lost.items()))} if self.lost else {})

    def __str__(self) -> str:
        lines = [f"{self.item}: {self.read} read, {self.kept} kept, {self.num_dropped} dropped"]
        lines += [f"  dropped, {reason}: {count}" for reason, count in sorted(self.dropped.items())]
        lines += [f"  lost, {what}: {count}" for what, count in sorted(self.lost.items())]
        lines += [f"  {what}: {count}" for what, count in sorted(self.notes.items())]
        return "\n".join(lines)
