"""Mining from table to table: any number of trajectories in bounded memory, on several processes.

Trajectories are mined in parts of the same size whatever the number of processes, each into a file; what weights and
protected negatives need to know of all pairs is then put together in order, and each file is completed by itself. So
the result does not depend on who does the work, and what memory holds of all pairs is less than 100 bytes each.

A trajectory is mostly what the agent was shown: observations and snippets. They are neither read nor copied, which
makes reading ten times as fast as `Trajectory.from_dict` on whole rows.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
import pyarrow.compute

from lrat_hub.judges import Judge, RuleJudge
from lrat_hub.ledger import Ledger
from lrat_hub.mining.negatives import Positives
from lrat_hub.mining.pipeline import (
    Batches,
    JudgedPairs,
    PairFacts,
    complete_pairs,
    completed,
    judge_and_weigh,
    judged_facts,
    mine_naive_pairs,
    new_ledgers,
    note_held_out,
    refuse_obfuscated,
    stamp_of,
    weigh,
)
from lrat_hub.mining.profiles import NaivePair
from lrat_hub.mining.settings import MiningSettings, ResolvedSettings
from lrat_hub.mining.tables import SPLITS, MinedTables, Split, Splits, SplitWriter
from lrat_hub.mining.weights import LengthMeasure
from lrat_hub.obfuscation import OBFUSCATED_WITH
from lrat_hub.scaling.execution import make_parts
from lrat_hub.scaling.settings import ExecutionSettings
from lrat_hub.scaling.work import Parts, WorkFolder, accounts_in, whole_file, with_accounts, write_whole
from lrat_hub.schema import Candidate, Pair, Step, Trajectory, pair_features
from lrat_hub.storage import TableWriter

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset, Features


TASK_ROWS = 1_000
"""Trajectories a part: small enough for memory, large enough to be worth opening the table for."""


@dataclass(frozen=True)
class NaiveParts(Parts):
    """The first pass: a file with the naive pairs of some trajectories, and with its accounts in the schema.

    Args:
        tables: Pickled: they go by their paths and are opened again for each part, as the pages of a file that was
            mapped for a long time all count as memory in use, though nobody needs them.
        rows: Number of the table, and rows of it, for each part.
        judge: Asked while the files are made; None where nobody is, or later.
        folder: Where the files go.
    """

    tables: Sequence[bytes]
    rows: Sequence[tuple[int, range]]
    settings: ResolvedSettings
    splits: Splits
    measure: LengthMeasure
    judge: Judge | None
    folder: Path

    name = "naive"

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[list[NaivePair]]:
        return map(self.pairs, range(len(self)))

    def path(self, number: int) -> Path:
        return self.folder / f"naive-{number:06d}.arrow"

    def make(self, number: int) -> None:
        table, rows = self.rows[number]
        selected: Dataset = pickle.loads(self.tables[table]).select(rows)
        ledger, listed_held_out = new_ledgers(), set[str]()
        trajectories = light_trajectories(selected, titles=self.settings.same_page)
        naive = mine_naive_pairs(trajectories, self.settings, self.measure, ledger, listed_held_out)
        facts = judged_facts(naive, self.judge, self.settings, self.splits)
        said = _NaiveAccounts(ledger, listed_held_out, facts)
        with (
            whole_file(self.path(number)) as unfinished,
            TableWriter(unfinished, with_accounts(_scratch_features(), said)) as writer,
        ):
            writer.write([{**each.pair.to_dict(), "run": each.run, "silent": each.silent} for each in naive])

    def accounts(self, number: int) -> _NaiveAccounts:
        """What a part's file says beside its pairs, which are not read."""
        return accounts_in(self.path(number))

    def pairs(self, number: int) -> list[NaivePair]:
        """The pairs of a part."""
        import pyarrow as pa

        with pa.OSFile(str(self.path(number))) as file:
            rows = pa.ipc.open_stream(file).read_all().to_pylist()
        return [NaivePair(Pair.from_dict(row), row["run"], row["silent"]) for row in rows]


@dataclass(frozen=True)
class _NaiveAccounts:
    ledger: dict[str, Ledger]
    listed_held_out: set[str]
    facts: PairFacts


@dataclass(frozen=True)
class CompletedParts(Parts):
    """The last pass: a file with the pairs of a part as they are published, one split after the other.

    Args:
        starts: Number of the first pair of each part among all, and how many there are.
        stamp: What pairs say of their judge.
        folder: Where verdicts, weights and positives are (`write`), and where the files go.
    """

    naive: NaiveParts
    starts: Sequence[int]
    stamp: Mapping[str, str]
    folder: Path

    name = "completed"

    @classmethod
    def write(cls, naive: NaiveParts, starts: Sequence[int], stamp: Mapping[str, str], judged: JudgedPairs) -> Self:
        """Writes what all parts need to know of all pairs."""
        arrays = {"verdicts": judged.verdicts, "weights": judged.weights, "positives": judged.positives.hashes}
        digests = {name: hashlib.sha256(array.tobytes()).hexdigest() for name, array in arrays.items()}
        folder = WorkFolder.open(naive.folder, {**digests, **stamp}).path
        for name, array in arrays.items():
            write_whole(folder / f"{name}.npy", partial(np.save, arr=array))
        return cls(naive, starts, stamp, folder)

    def __len__(self) -> int:
        return len(self.naive)

    def path(self, number: int) -> Path:
        return self.folder / f"pairs-{number:06d}.arrow"

    def make(self, number: int) -> None:
        def load(name: str) -> np.ndarray:
            return np.load(self.folder / f"{name}.npy", mmap_mode="r")

        here = slice(self.starts[number], self.starts[number + 1])
        judged = JudgedPairs(load("verdicts")[here], load("weights")[here], Positives(load("positives")), {})
        account, by_split = Ledger("pairs"), {split: list[dict[str, Any]]() for split in SPLITS}
        for pair in completed(self.naive.pairs(number), judged, self.stamp, self.naive.settings, account):
            by_split[self.naive.splits.of(pair)].append(pair.to_dict())
        said = account, {split: len(rows) for split, rows in by_split.items()}
        with (
            whole_file(self.path(number)) as unfinished,
            TableWriter(unfinished, with_accounts(pair_features(), said)) as writer,
        ):
            for rows in by_split.values():
                writer.write(rows)

    def tables(self, account: Ledger) -> dict[Split, Dataset]:
        """The tables of the splits that have a pair, once all parts are there.

        Args:
            account: Gets the notes of all parts.
        """
        from datasets import Dataset, concatenate_datasets

        tables: dict[Split, list[Dataset]] = {split: [] for split in SPLITS}
        for number in range(len(self)):
            notes, counts = accounts_in(self.path(number))
            account.add(notes)
            table, start = Dataset.from_file(str(self.path(number))), 0
            for split, count in counts.items():
                if count:
                    tables[split].append(table.select(range(start, start + count)))
                start += count
        return {split: concatenate_datasets(parts) for split, parts in tables.items() if parts}


def _scratch_features() -> Features:
    from datasets import Features, Value

    return Features({**pair_features(), "run": Value("int32"), "silent": Value("bool")})


def mine_tables(
    tables: Sequence[Dataset],
    folder: Path | WorkFolder,
    *,
    settings: MiningSettings,
    measure: LengthMeasure,
    judge: Judge | None = None,
    splits: Splits | None = None,
    processes: int = 1,
    execution: ExecutionSettings | None = None,
    on_read: Callable[[int], object] | None = None,
) -> MinedTables:
    """Mines tables of trajectories, in their order; see `lrat_hub.mine_pairs`.

    A judge that asks nobody, or none, is asked where trajectories are read; another one is asked by this process.

    Args:
        folder: An empty one for the files that come out, which must stay while these are used; that of the same work
            before, where an executor does it.
        settings: Not resolved yet.
        processes: How many read trajectories and complete pairs, where no executor is named.
        execution: Who else reads trajectories and completes pairs. Every machine has to reach tables and folder.
        on_read: Called with the number of trajectories that were read since the last call.

    Raises:
        LratError: As `mine_pairs`, or a process was killed.
    """
    for table in tables:
        if "metadata" in table.column_names:
            marked = pc.match_substring(table.data.column("metadata"), f'"{OBFUSCATED_WITH}"')
            if pc.any(marked).as_py():
                refuse_obfuscated()
    work = folder if isinstance(folder, WorkFolder) else WorkFolder(folder)
    resolved, asks_nobody = settings.resolved(judged=judge is not None), isinstance(judge, RuleJudge)
    naive = NaiveParts(
        [pickle.dumps(table) for table in tables],
        [
            (number, range(start, min(start + TASK_ROWS, len(table))))
            for number, table in enumerate(tables)
            for start in range(0, len(table), TASK_ROWS)
        ],
        resolved,
        splits or Splits(),
        measure,
        judge if asks_nobody else None,
        work.path,
    )
    ledger, listed_held_out, starts, facts = new_ledgers(), set[str](), [0], list[PairFacts]()
    for number in make_parts(naive, processes=processes, execution=execution, folder=work):
        said = naive.accounts(number)
        listed_held_out |= said.listed_held_out
        for name, account in said.ledger.items():
            ledger[name].add(account)
        starts.append(starts[-1] + len(said.facts.rows))
        facts.append(said.facts)
        if on_read:
            on_read(said.ledger["trajectories"].read)
    note_held_out(ledger, resolved, listed_held_out)
    if judge is None or asks_nobody:
        judged = weigh(facts, resolved, ledger)
    else:
        judged = judge_and_weigh(naive, judge, resolved, naive.splits, ledger)
    parts = CompletedParts.write(naive, starts, stamp_of(judge), judged)
    for _ in make_parts(parts, processes=processes, execution=execution, folder=WorkFolder(parts.folder)):
        pass
    return MinedTables(parts.tables(ledger["pairs"]), dict(ledger), judged.fits)


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
        for name in ("turn", "reasoning", "action", "docid", "error", "search_turn")
    )
    turns, reasonings, actions, docids, errors, search_turns = columns
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
            search_turn=search_turns[index],
        )


def _candidates(results: pa.StructArray, titles: bool) -> Iterator[Candidate]:
    names = ("query_index", "rank", "docid", *(("title",) if titles else ()))
    columns = (pc.struct_field(results, name).to_pylist() for name in names)
    return (Candidate(*values) for values in zip(*columns, strict=True))


def _flat(lists: pa.Array) -> tuple[pa.Array, list[int]]:
    """The items of all lists in one array, and how many each list has."""
    counts = pc.fill_null(pc.list_value_length(lists), 0).to_pylist()
    return pc.list_flatten(lists), counts
