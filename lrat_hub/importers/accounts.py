"""What an import has read, kept and lost: one ledger for each kind of thing that a log holds."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from lrat_hub.ledger import Ledger


@dataclass
class Accounts:
    """Ledgers of an import. In each of them, what was read was kept or dropped.

    Args:
        files: Files of a folder or archive. Those that are passed over are drops.
        records: Records of the files: lines, rows, elements. A record that holds no run is a drop.
        parts: Messages, and parts of them such as blocks, items and spans. What is not understood is a drop.
        calls: Tool calls. A call that became no step of its own is a drop.
        lists: Result lists: one for each query that was asked. One that can't be read, or that can't be told from
            those of other queries, is a drop.
        browses: Documents that were asked to be opened. One that became no browse is a drop.
        steps: Steps of the trajectories. Those that could not be read, and became `invalid`, are drops.
        texts: Texts that went through redaction.
    """

    files: Ledger = field(default_factory=lambda: Ledger("files"))
    records: Ledger = field(default_factory=lambda: Ledger("records"))
    parts: Ledger = field(default_factory=lambda: Ledger("parts"))
    calls: Ledger = field(default_factory=lambda: Ledger("calls"))
    lists: Ledger = field(default_factory=lambda: Ledger("lists"))
    browses: Ledger = field(default_factory=lambda: Ledger("browses"))
    steps: Ledger = field(default_factory=lambda: Ledger("steps"))
    texts: Ledger = field(default_factory=lambda: Ledger("texts"))

    def ledgers(self) -> tuple[Ledger, ...]:
        return tuple(getattr(self, item.name) for item in fields(self))

    def add(self, other: Accounts) -> None:
        """Adds the counts of another import, such as that of another process."""
        for mine, theirs in zip(self.ledgers(), other.ledgers(), strict=True):
            mine.add(theirs)

    @property
    def num_lost(self) -> int:
        """How much of the source is not in the trajectories: what `strict` does not allow."""
        return sum(ledger.num_lost for ledger in self.ledgers())

    def losses(self) -> dict[str, int]:
        """Each kind of loss, as "dropped records, not JSON", to its count."""
        return {
            f"{ledger.item}: {what}": count
            for ledger in self.ledgers()
            for what, count in (ledger.dropped + ledger.lost).items()
        }

    def to_dict(self) -> dict[str, object]:
        """For lineage and cards; see `Ledger.to_dict`."""
        return {ledger.item: ledger.to_dict() for ledger in self.ledgers()}
