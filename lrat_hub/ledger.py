"""A stage's account of its input: every item is in the output or in a count of drops by reason."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Ledger:
    """Counts of one kind of item: what came in, what is in the output, and why the rest is not.

    Args:
        item: What is counted, in the plural ("trajectories").
        notes: Counts of things that happened to items without costing them.
    """

    item: str
    read: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)

    def keep(self, count: int = 1) -> None:
        self.read += count
        self.kept += count

    def drop(self, reason: str, count: int = 1) -> None:
        if count:
            self.read += count
            self.dropped[reason] += count

    def note(self, what: str, count: int = 1) -> None:
        if count:
            self.notes[what] += count

    def add(self, other: Ledger) -> None:
        """Adds the counts of another account of the same kind of items, such as that of another process."""
        self.read += other.read
        self.kept += other.kept
        self.dropped.update(other.dropped)
        self.notes.update(other.notes)

    @property
    def num_dropped(self) -> int:
        return self.dropped.total()

    def to_dict(self) -> dict[str, object]:
        """For lineage and cards. Raises AssertionError when the counts don't add up: that would be a defect here."""
        assert self.read == self.kept + self.num_dropped, f"The ledger of {self.item} does not add up: {self}"
        return {
            "read": self.read,
            "kept": self.kept,
            "dropped": dict(sorted(self.dropped.items())),
            "notes": dict(sorted(self.notes.items())),
        }

    def __str__(self) -> str:
        lines = [f"{self.item}: {self.read} read, {self.kept} kept, {self.num_dropped} dropped"]
        lines += [f"  dropped, {reason}: {count}" for reason, count in sorted(self.dropped.items())]
        lines += [f"  {what}: {count}" for what, count in sorted(self.notes.items())]
        return "\n".join(lines)
