"""What a page says of runs beyond the runs themselves: judgements, mined pairs, and texts of documents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from lrat_hub.documents import RowIndex
from lrat_hub.schema import Document, Pair, Trajectory

if TYPE_CHECKING:
    from datasets import Dataset

    from lrat_hub.documents import Documents


class PairsOfRuns:
    """Mined pairs by the run that they were mined from; their rows stay memory-mapped.

    Args:
        tables: Config `pairs` by split, as `lrat_hub.mining.rejudging.load_pairs` gives it.
    """

    def __init__(self, tables: Mapping[str, Dataset]) -> None:
        self._splits = [(split, table, RowIndex(table, "trajectory_id")) for split, table in tables.items()]

    def trajectory_ids(self) -> list[str]:
        """Ids of the runs that pairs were mined from."""
        return [name for _, table, _ in self._splits for name in table.unique("trajectory_id")]

    def of(self, trajectory_id: str) -> Iterator[tuple[str, Pair]]:
        """Each pair of a run with its split."""
        for split, table, index in self._splits:
            for row in index.candidates(trajectory_id):
                pair = Pair.from_dict(cast("dict[str, Any]", table[row]))
                if pair.trajectory_id == trajectory_id:  # and not another one with the same hash
                    yield split, pair


@dataclass(frozen=True)
class Notes:
    """What is known of runs from elsewhere.

    Args:
        qrels: Query id to docid to grade; those above 0 are evidence.
        pairs: The pairs that were mined from the runs.
        documents: Titles and texts, for candidates of which a run has none.
    """

    qrels: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    pairs: PairsOfRuns | None = None
    documents: Documents | None = None

    def evidence_of(self, run: Trajectory) -> dict[str, int]:
        return {docid: grade for docid, grade in self.qrels.get(run.query_id, {}).items() if grade > 0}

    def pairs_of(self, run: Trajectory) -> list[tuple[str, Pair]]:
        return list(self.pairs.of(run.trajectory_id)) if self.pairs is not None else []

    def document(self, docid: str) -> Document | None:
        return self.documents.get(docid) if self.documents is not None else None
