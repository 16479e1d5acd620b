"""Mining from table to table: any number of trajectories in bounded memory, on several processes.

Trajectories are mined in tasks of the same size whatever the number of processes, each into a scratch file; the files
are then gone through in order. So the result does not depend on how many processes there were, and what memory holds
of all pairs is less than 100 bytes each.

A trajectory is mostly what the agent was shown: observations and snippets. They are neither read nor copied, which
makes reading ten times as fast as `Trajectory.from_dict` on whole rows.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pyarrow.compute

from lrat_hub.judges import Judge
from lrat_hub.ledger import Ledger
from lrat_hub.mining.pipeline import (
    Batches,
    complete_pairs,
    judge_and_weigh,
    mine_naive_pairs,
    new_ledgers,
    note_held_out,
)
from lrat_hub.mining.processes import map_in_order
from lrat_hub.mining.profiles import NaivePair
from lrat_hub.mining.settings import MiningSettings, ResolvedSettings
from lrat_hub.mining.tables import MinedTables, Splits, SplitWriter
from lrat_hub.mining.weights import LengthMeasure
from lrat_hub.schema import Candidate, Pair, Step, Trajectory, pair_features
from lrat_hub.storage import TableWriter

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset, Features


TASK_ROWS = 1_000
"""Trajectories a task: small enough for memory, large enough to be worth opening the table for."""


@dataclass(frozen=True)
class _Work:
    """What every task shares. Tables go by their paths and are opened anew for each task: the pages of a file that was
    mapped for a long time all count as memory in use, though nobody needs them."""

    tables: Sequence[bytes]
    settings: ResolvedSettings
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
    naive = mine_naive_pairs(trajectories, _work.settings, _work.measure, ledger, listed_held_out)
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
    resolved = settings.resolved(judged=judge is not None)
    work = _Work([pickle.dumps(table) for table in tables], resolved, measure, folder)
    ledger, listed_held_out, paths = new_ledgers(), set[str](), []
    tasks = [
        _Task(number, range(start, min(start + TASK_ROWS, len(table))))
        for number, table in enumerate(tables)
        for start in range(0, len(table), TASK_ROWS)
    ]
    for path, counted, listed in map_in_order(_mine_task, tasks, begin=_begin, work=work, processes=processes):
        paths.append(path)
        listed_held_out |= listed
        for name, account in counted.items():
            ledger[name].add(account)
        if on_read:
            on_read(counted["trajectories"].read)
    note_held_out(ledger, resolved, listed_held_out)
    return complete_tables(ScratchPairs(paths), folder, settings=resolved, judge=judge, splits=splits, ledger=ledger)


def complete_tables(
    batches: Batches,
    folder: Path,
    *,
    settings: ResolvedSettings,
    judge: Judge | None,
    splits: Splits | None,
    ledger: Mapping[str, Ledger],
) -> MinedTables:
    """The passes after the first, from naive pairs to the tables that are published."""
    splits = splits or Splits()
    judged_pairs = judge_and_weigh(batches, judge, settings, splits, ledger)
    with SplitWriter(folder, splits) as writer:
        for pairs in complete_pairs(batches, judged_pairs, judge, settings, ledger):
            writer.write(pairs)
    return MinedTables(writer.tables(), dict(ledger), judged_pairs.fits)


READ_ROWS = 200

pc: Any = pyarrow.compute  # its functions are made at run time: no type checker knows them

_COLUMNS = ("trajectory_id", "query_id", "question", "status", "correct", "agent", "retriever")


def light_trajectories(table: Dataset, *, titles: bool = False) -> Iterator[Trajectory]:
    """The trajectories of a table without observations, snippets, scores, answers and metadata.

    Args:
        titles: Whether candidates have their titles.
    """
    columns = [name for name in (*_COLUMNS, "steps") if name in table.column_names]
    for rows in table.select_columns(columns).with_format("arrow").iter(READ_ROWS):
        batch = cast("pa.Table", rows)
        records = iter(batch.select([name for name in columns if name != "steps"]).to_pylist())
        # Chunk by chunk: joining them would copy everything that is not to be read.
        for chunk in batch["steps"].chunks:
            nested, counts = _flat(chunk)
            steps = _steps(nested, titles)
            for count in counts:
                yield Trajectory(**_filled(next(records)), steps=_numbered(islice(steps, count)))


def _filled(record: dict[str, Any]) -> dict[str, Any]:
    """The record without what a table of others may leave null, which then has its default."""
    texts = {name: record[name] or "" for name in ("trajectory_id", "query_id", "question")}
    return texts | {name: value for name, value in record.items() if name not in texts and value is not None}


def _numbered(steps: Iterator[Step]) -> tuple[Step, ...]:
    """The steps with their positions for turns where a table of others has none."""
    return tuple(replace(step, turn=position) if step.turn is None else step for position, step in enumerate(steps))


def _steps(nested: pa.StructArray, titles: bool) -> Iterator[Step]:
    names = {nested.type.field(index).name for index in range(nested.type.num_fields)}
    columns: tuple[list[Any], ...] = tuple(
        pc.struct_field(nested, name).to_pylist() if name in names else [None] * len(nested)
        for name in ("turn", "reasoning", "action", "docid", "error")
    )
    turns, reasonings, actions, docids, errors = columns
    queries, query_counts = _flat(pc.struct_field(nested, "queries"))
    results, result_counts = _flat(pc.struct_field(nested, "results"))
    queries = iter(queries.to_pylist())
    candidates = _candidates(results, titles)
    for index, (num_queries, num_results) in enumerate(zip(query_counts, result_counts, strict=True)):
        yield Step(
            turn=turns[index],
            reasoning=reasonings[index],
            action=actions[index],
            queries=tuple(islice(queries, num_queries)),
            results=tuple(islice(candidates, num_results)),
            docid=docids[index],
            error=errors[index],
        )


def _candidates(results: pa.StructArray, titles: bool) -> Iterator[Candidate]:
    names = ("query_index", "rank", "docid", *(("title",) if titles else ()))
    columns = (pc.struct_field(results, name).to_pylist() for name in names)
    return (Candidate(*values) for values in zip(*columns, strict=True))


def _flat(lists: pa.Array) -> tuple[pa.Array, list[int]]:
    """The items of all lists in one array, and how many each list has."""
    counts = pc.fill_null(pc.list_value_length(lists), 0).to_pylist()
    return pc.list_flatten(lists), counts
