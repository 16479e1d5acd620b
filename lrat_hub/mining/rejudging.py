"""Mined pairs judged again by another judge: their negatives and weights follow, and nothing is mined again."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

from lrat_hub.errors import LratError
from lrat_hub.judges import Judge
from lrat_hub.judges.agreement import Agreement, agreement
from lrat_hub.mining.bulk import complete_tables
from lrat_hub.mining.pipeline import fetch_replies, new_ledgers
from lrat_hub.mining.profiles import NaivePair
from lrat_hub.mining.settings import MiningSettings
from lrat_hub.mining.tables import MinedTables, Splits, table_pairs
from lrat_hub.schema import Pair, Verdict

if TYPE_CHECKING:
    from datasets import Dataset

    from lrat_hub.documents import Documents
    from lrat_hub.hub.inputs import Source

BATCH_PAIRS = 2_000

TIERS = {"redundant", "hard", "weak"}


def load_pairs(source: Source) -> tuple[dict[str, Dataset], Documents | None]:
    """All splits of published pairs, and their documents where these were published too.

    Raises:
        LratError: There are no pairs.
    """
    from lrat_hub.documents import Documents
    from lrat_hub.hub.inputs import load_splits
    from lrat_hub.hub.kinds import check_kind

    tables = load_splits(dataclasses.replace(source, config="pairs", split=None), "a pairs dataset")
    tables = {split: check_kind(table, "pairs", str(source)) for split, table in tables.items()}
    try:
        documents = load_splits(dataclasses.replace(source, config="documents", split=None), "documents")
    except LratError:
        # They are only there when the pairs were mined with their corpus.
        return tables, None
    return tables, Documents(next(iter(documents.values())))


def rejudge_tables(
    tables: Mapping[str, Dataset], folder: Path, *, settings: MiningSettings, judge: Judge, splits: Splits
) -> tuple[MinedTables, Agreement]:
    """Judges the pairs of all splits again, and compares the verdicts with those they had.

    Args:
        tables: Config `pairs` by split.
        settings: Of weights, caps and protection. Negatives stay of the kinds they are.

    Raises:
        LratError: The negatives were pooled: which they are depends on the verdicts before.
    """
    kinds = _kinds(tables)
    if "pooled" in kinds:
        raise LratError(
            "Judging again: expected negatives of each pair's own result list or in tiers, found pooled ones, which "
            "depend on the verdicts. Mine again with the other judge; replies of a model are kept."
        )
    settings = dataclasses.replace(settings, negatives="tiers" if kinds & TIERS else "unbrowsed")
    compared, pairs = _Compared(judge, judge.name, judge.prompt), _PublishedPairs(list(tables.values()))
    fetch_replies(judge, pairs)
    mined = complete_tables(
        pairs,
        folder,
        settings=settings.resolved(judged=True),
        judge=compared,
        splits=splits,
        ledger=new_ledgers(),
    )
    return mined, agreement(compared.verdicts.elements())


@dataclass
class _Compared:
    """A judge whose verdicts are counted beside those that the pairs had."""

    inner: Judge
    name: str
    prompt: str
    verdicts: Counter[tuple[Verdict, Verdict]] = field(default_factory=Counter)

    def judge(self, pairs: Sequence[Pair]) -> list[Verdict]:
        verdicts = self.inner.judge(pairs)
        self.verdicts.update((pair.verdict, verdict) for pair, verdict in zip(pairs, verdicts, strict=True))
        return verdicts


@dataclass(frozen=True)
class _PublishedPairs:
    """Pairs of tables as naive ones, in batches that don't cut a trajectory in two."""

    tables: Sequence[Dataset]

    def __iter__(self) -> Iterator[list[NaivePair]]:
        for table in self.tables:
            batch: list[NaivePair] = []
            for pair in table_pairs(table):
                if len(batch) >= BATCH_PAIRS and batch[-1].pair.trajectory_id != pair.trajectory_id:
                    yield batch
                    batch = []
                if not pair.trajectory_id:
                    raise LratError("Judging again: expected mined pairs, found released ones, without the reasoning.")
                # What was read is put into its tier again.
                own = {
                    docid: kind
                    for docid, kind in zip(pair.negative_ids, pair.negative_kinds, strict=True)
                    if kind not in ("redundant", "hard")
                }
                silent = not pair.reasoning and not pair.reasoning_before and pair.weight != 0
                again = dataclasses.replace(pair, negative_ids=tuple(own), negative_kinds=tuple(own.values()))
                batch.append(NaivePair(again, 0, silent))
            if batch:
                yield batch


def _kinds(tables: Mapping[str, Dataset]) -> set[str]:
    return {
        kind
        for table in tables.values()
        for batch in table.select_columns("negative_kinds").iter(BATCH_PAIRS)
        for kinds in cast("dict[str, list[list[str]]]", batch)["negative_kinds"]
        for kind in kinds
    }
