"""Mining from table to table: any number of trajectories in bounded memory, on several processes.

Trajectories are mined in tasks of the same size whatever the number of processes, each into a scratch file; the files
are then gone through in order. So the result does not depend on how many processes there were, and what memory holds
of all pairs is less than 100 bytes each.
"""

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrat_hub.judges import Judge
from lrat_hub.ledger import Ledger
from lrat_hub.mining.lengths import LengthMeasure
from lrat_hub.mining.passes import Batches, finish, mine_naive, new_ledgers, note_held_out, survey
from lrat_hub.mining.profiles import NaivePair
from lrat_hub.mining.reading import light_trajectories
from lrat_hub.mining.settings import MiningSettings
from lrat_hub.mining.splits import SPLITS, Split, Splits
from lrat_hub.mining.weights import WeightFit
from lrat_hub.schema import Pair, pair_features
from lrat_hub.storage import BATCH_ROWS, TableWriter

if TYPE_CHECKING:
    from datasets import Dataset, Features

TASK_ROWS = 1_000
"""Trajectories a task: small enough for memory, large enough to be worth opening the table for."""


@dataclass(frozen=True)
class MinedTables:
    """What was mined, on disk.

    Args:
        splits: Config `pairs`; only splits that have a pair.
        ledger, fits: As in `MiningResult`.
    """

    splits: dict[Split, Dataset]
    ledger: dict[str, Ledger]
    fits: dict[str, WeightFit]

    @property
    def num_pairs(self) -> int:
        return sum(len(table) for table in self.splits.values())

    def pairs(self, *splits: Split, trained: bool = False) -> Iterator[Pair]:
        """The pairs of some splits, or of all; on request only those to train on."""
        for split in splits or SPLITS:
            if split in self.splits:
                for pair in table_pairs(self.splits[split]):
                    if not trained or pair.weight is not None:
                        yield pair


def table_pairs(table: Dataset) -> Iterator[Pair]:
    """The pairs of a table, one at a time."""
    for batch in table.with_format("arrow").iter(BATCH_ROWS):
        yield from map(Pair.from_dict, batch.to_pylist())


@dataclass(frozen=True)
class _Work:
    """What every task shares. Tables go by their paths and are opened anew for each task: the pages of a file that was
    mapped for a long time all count as memory in use, though nobody needs them."""

    tables: Sequence[bytes]
    settings: MiningSettings
    measure: LengthMeasure
    folder: Path


@dataclass(frozen=True)
class _Task:
    """Some rows of one of the tables."""

    table: int
    rows: range


_work: _Work | None = None


def _begin(work: _Work) -> None:
    global _work
    _work = work


def _mine_task(task: _Task) -> tuple[Path, dict[str, Ledger], set[str]]:
    """Mines some trajectories into a scratch file. Its columns are those of the pairs, and `run`."""
    assert _work is not None
    rows: Dataset = pickle.loads(_work.tables[task.table]).select(task.rows)
    ledger, listed_held_out = new_ledgers(), set[str]()
    trajectories = light_trajectories(rows, titles=_work.settings.same_page)
    naive = mine_naive(trajectories, _work.settings, _work.measure, ledger, listed_held_out)
    path = _work.folder / f"naive-{task.table}-{task.rows.start}.arrow"
    with TableWriter(path, _scratch_features()) as writer:
        writer.write([{**pair.to_dict(), "run": run} for pair, run in naive])
    return path, ledger, listed_held_out


def _scratch_features() -> Features:
    from datasets import Features, Value

    return Features({**pair_features(), "run": Value("int32")})


@dataclass(frozen=True)
class ScratchPairs:
    """Naive pairs in scratch files, a batch a file."""

    paths: Sequence[Path]

    def __iter__(self) -> Iterator[list[NaivePair]]:
        import pyarrow as pa

        for path in self.paths:
            with pa.OSFile(str(path)) as file:
                rows = pa.ipc.open_stream(file).read_all().to_pylist()
            yield [NaivePair(Pair.from_dict(row), row["run"]) for row in rows]


def mine_tables(
    tables: Sequence[Dataset],
    folder: Path,
    *,
    settings: MiningSettings,
    measure: LengthMeasure,
    judge: Judge | None = None,
    splits: Splits | None = None,
    processes: int = 1,
    on_read: Callable[[int], object] | None = None,
) -> MinedTables:
    """Mines tables of trajectories, in their order; see `lrat_hub.mine_pairs`.

    Args:
        folder: An empty one, for scratch files and the tables that come out. They must stay while these are used.
        settings: Not resolved yet.
        processes: How many read trajectories. The judge is asked by this one.
        on_read: Called with the number of trajectories that were read since the last call.
    """
    settings = settings.resolved(judged=judge is not None)
    work = _Work([pickle.dumps(table) for table in tables], settings, measure, folder)
    ledger, listed_held_out, paths = new_ledgers(), set[str](), []
    tasks = [
        _Task(number, range(start, min(start + TASK_ROWS, len(table))))
        for number, table in enumerate(tables)
        for start in range(0, len(table), TASK_ROWS)
    ]
    for path, counted, listed in _tasks(work, tasks, processes):
        paths.append(path)
        listed_held_out |= listed
        for name, account in counted.items():
            ledger[name].add(account)
        if on_read:
            on_read(counted["trajectories"].read)
    note_held_out(ledger, settings, listed_held_out)
    return finish_tables(ScratchPairs(paths), folder, settings=settings, judge=judge, splits=splits, ledger=ledger)


def _tasks(work: _Work, tasks: Sequence[_Task], processes: int) -> Iterator[tuple[Path, dict[str, Ledger], set[str]]]:
    if processes == 1 or len(tasks) < 2:
        _begin(work)
        yield from map(_mine_task, tasks)
        return
    # Spawned, as a fork of a process that has threads (tokenizers, Arrow) may hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(processes, len(tasks)), context, initializer=_begin, initargs=(work,)) as pool:
        yield from pool.map(_mine_task, tasks)


def finish_tables(
    batches: Batches,
    folder: Path,
    *,
    settings: MiningSettings,
    judge: Judge | None,
    splits: Splits | None,
    ledger: Mapping[str, Ledger],
) -> MinedTables:
    """The passes after the first, from naive pairs to the tables that are published."""
    splits = splits or Splits()
    surveyed = survey(batches, judge, settings, splits, ledger)
    with SplitWriter(folder, splits) as writer:
        for pairs in finish(batches, surveyed, judge, settings, ledger):
            writer.write(pairs)
    return MinedTables(writer.tables(), dict(ledger), surveyed.fits)


class SplitWriter:
    """Writes pairs into a table for each split. A context manager."""

    def __init__(self, folder: Path, splits: Splits) -> None:
        self._folder, self._splits = folder, splits
        self._writers: dict[Split, TableWriter] = {}

    def write(self, pairs: Iterable[Pair]) -> None:
        rows: dict[Split, list[dict[str, Any]]] = {}
        for pair in pairs:
            rows.setdefault(self._splits.of(pair), []).append(pair.to_dict())
        for split, batch in rows.items():
            if split not in self._writers:
                self._writers[split] = TableWriter(self._folder / f"pairs-{split}.arrow", pair_features())
            self._writers[split].write(batch)

    def __enter__(self) -> SplitWriter:
        return self

    def __exit__(self, *_: object) -> None:
        for writer in self._writers.values():
            writer.close()

    def tables(self) -> dict[Split, Dataset]:
        """The tables of the splits that have a pair, once they are complete."""
        return {split: self._writers[split].open() for split in SPLITS if split in self._writers}
