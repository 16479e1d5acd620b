"""What an import has read, kept and lost: one ledger for each kind of thing that a log holds."""

from __future__ import annotations

from dataclasses import dataclass, field

from lrat_hub.ledger import Ledger

OTHER_FORMAT = "without a run, in another format: "
"""The begin of a note on records, which ends with the name of their format."""


@dataclass
class FilesWithoutRuns:
    """Files of which every record was dropped. The records of a file come one after the other.

    Args:
        names: Their names, in their order.
        first, last: The first and the last file that had a run; "" before there is one.
    """

    names: dict[str, None] = field(default_factory=dict)
    first: str = ""
    last: str = ""

    def see(self, name: str, *, has_run: bool) -> None:
        """Takes notice of a record of a file."""
        if has_run:
            self.names.pop(name, None)
            self.first, self.last = self.first or name, name
        elif name != self.last:
            self.names[name] = None

    def add(self, later: FilesWithoutRuns) -> None:
        """Adds what was seen of records that come after these."""
        self.names.pop(later.first, None)
        self.names |= {name: None for name in later.names if name != self.last}
        self.first, self.last = self.first or later.first, later.last or self.last


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
        without_runs: Files that were read and hold no run.
    """

    files: Ledger = field(default_factory=lambda: Ledger("files"))
    records: Ledger = field(default_factory=lambda: Ledger("records"))
    parts: Ledger = field(default_factory=lambda: Ledger("parts"))
    calls: Ledger = field(default_factory=lambda: Ledger("calls"))
    lists: Ledger = field(default_factory=lambda: Ledger("lists"))
    browses: Ledger = field(default_factory=lambda: Ledger("browses"))
    steps: Ledger = field(default_factory=lambda: Ledger("steps"))
    texts: Ledger = field(default_factory=lambda: Ledger("texts"))
    without_runs: FilesWithoutRuns = field(default_factory=FilesWithoutRuns)

    def ledgers(self) -> tuple[Ledger, ...]:
        return (
            self.files, self.records, self.parts, self.calls, self.lists, self.browses, self.steps, self.texts,
        )  # fmt: skip

    def add(self, other: Accounts) -> None:
        """Adds the counts of another import, such as that of another process."""
        for mine, theirs in zip(self.ledgers(), other.ledgers(), strict=True):
            mine.add(theirs)
        self.without_runs.add(other.without_runs)

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
