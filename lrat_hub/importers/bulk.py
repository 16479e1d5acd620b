"""Importing from a source to files that can be published: any number of records in bounded memory, on many processes.

One process reads files, in their order, and divides them into tasks that are the same for any number of processes: it
parses only what can't be divided before. What tasks come to is put together in their order. So every byte and every
count is the same for any number of processes, and what memory holds is a few tasks and one row group.
"""

from __future__ import annotations

import gc
import pickle
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from lrat_hub.importers.accounts import Accounts
from lrat_hub.importers.formats import Format, FormatName, Reader
from lrat_hub.importers.mapping import LogMapping
from lrat_hub.importers.questions import Questions, QuestionTable, with_verdict
from lrat_hub.importers.reading import format_of, trajectories_of
from lrat_hub.importers.recognition import recognise_format
from lrat_hub.importers.redaction.redactor import Redactor
from lrat_hub.importers.source_records import NotApart, items_of, records_in, records_of
from lrat_hub.importers.sources.records import Item, Piece, Record
from lrat_hub.importers.summary import Summary
from lrat_hub.importers.traces import TraceWriter, trace_text
from lrat_hub.judges.answers import AnswerJudge
from lrat_hub.ledger import Ledger
from lrat_hub.scaling.execution import make_parts
from lrat_hub.scaling.processes import map_in_order
from lrat_hub.scaling.settings import ExecutionSettings
from lrat_hub.scaling.work import Parts, WorkFolder, write_whole
from lrat_hub.schema import Trajectory, trajectory_features
from lrat_hub.storage import ParquetWriter, num_characters, trajectory_batch

if TYPE_CHECKING:
    import pyarrow as pa

TASK_ITEMS = 100
TASK_CHARACTERS = 1_000_000
"""Limits of a task: it ends with the record, or the piece of a file, that makes it longer."""

TRACES_BYTES = 32_000_000
"""Session traces go into one request with the commit, which the client and the Hub hold in memory."""


@dataclass(frozen=True)
class RecordImport:
    """How records become trajectories that can be published.

    Args:
        format: One of `FORMATS`; None for that which a path is in.
        mapping: What the tools of the logs do, and which keys of their records hold which values; see `load_mapping`.
        reader: Makes chat records of records, which then need no format.
        group_by: Path of keys to the name of a run, whose records are then read as one; see `read_trajectories`.
        questions: Query id to question and gold answer, for runs that have none; see `read_trajectories`.
        judge: Compares answers with gold answers where runs have no verdict; None to leave them without.
        redactor: What takes secrets out of them; None to leave texts as they are.
    """

    format: FormatName | None = None
    mapping: LogMapping | None = None
    reader: Reader | None = None
    group_by: str | None = None
    questions: Questions | None = None
    judge: AnswerJudge | None = None
    redactor: Redactor | None = None

    def format_of(self, path: Path) -> Format:
        """The format that a path is read in."""
        return format_of(path, self.format, self.reader, self.mapping, self.group_by)

    @property
    def names_format(self) -> bool:
        """Whether the format is known before anything is read."""
        says_where = self.mapping is not None and self.mapping.says_where_messages_are
        return self.format is not None or self.reader is not None or self.group_by is not None or says_where

    @cached_property
    def _table(self) -> QuestionTable | None:
        return None if self.questions is None else QuestionTable(self.questions)

    def clean(self, text: str) -> str:
        """A text that is made of what the source holds, redacted, such as a reason in an account."""
        return self.redactor.text(text, Ledger("texts")) if self.redactor else text

    def trajectories(self, records: Iterable[Record], known: Format, accounts: Accounts) -> Iterator[Trajectory]:
        """The trajectories in records of one format.

        Raises:
            LratError: The redactor's hook fails.
        """
        for record in records:
            for trajectory in trajectories_of(record, known, accounts, self.mapping, self._table):
                run = with_verdict(trajectory, self.judge, accounts) if self.judge else trajectory
                yield self.redactor.redact(run, accounts.texts) if self.redactor else run


@dataclass
class Imported:
    """What was imported.

    Args:
        paths: Parquet files with the trajectories, in their order.
        traces: Path in a repository to the file with a session trace.
    """

    paths: list[Path]
    accounts: Accounts
    summary: Summary
    traces: dict[str, Path]


@dataclass(frozen=True)
class _Work:
    """What every task shares. The schema comes with it, so that no other process needs `datasets`."""

    settings: RecordImport
    path: Path
    schema: pa.Schema


@dataclass(frozen=True)
class _Task:
    """Some items. At least as many traces are wanted as the number says: less when earlier tasks have made some."""

    items: list[Item]
    traces: int


@dataclass(frozen=True)
class _Part:
    """What a task came to. Traces are encoded texts, for the first of the trajectories."""

    rows: pa.RecordBatch
    accounts: Accounts
    summary: Summary
    traces: list[tuple[str, bytes]]


_work: _Work | None = None


def _begin(work: _Work) -> None:
    global _work
    _work = work


@contextmanager
def _without_collector() -> Iterator[None]:
    """Without the search for cycles of objects, which took an eighth of an import and finds nothing in records."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


# Of the whole function: when the search begins again, the runs are no longer there.
@_without_collector()
def _import_task(task: _Task) -> _Part:
    assert _work is not None
    accounts, summary = Accounts(), Summary()
    known = _work.settings.format_of(_work.path)
    records = chain.from_iterable(records_in(item, accounts, known) for item in task.items)
    runs = list(_work.settings.trajectories(records, known, accounts))
    for run in runs:
        summary.count(run)
    traces = [(run.trajectory_id, trace_text(run).encode()) for run in runs[: task.traces]]
    return _Part(trajectory_batch(runs, _work.schema), accounts, summary, traces)


def import_records(
    path: Path,
    folder: Path,
    settings: RecordImport,
    *,
    traces: int = 0,
    processes: int = 1,
    execution: ExecutionSettings | None = None,
    work: WorkFolder | None = None,
    on_made: Callable[[int], object] | None = None,
) -> Imported:
    """Imports a file, a folder or an archive into Parquet files and session traces.

    Args:
        folder: An empty one, for the files that come out.
        traces: Maximum number of trajectories, from the first, that also become session traces, up to `TRACES_BYTES`
            together.
        processes: How many read records and make trajectories, where no executor is named.
        execution: Who else makes trajectories. Every machine has to reach the source and the folder of the work.
        work: Where their files lie, which is needed with an executor.
        on_made: Called with the number of trajectories that were made since the last call.

    Raises:
        LratError: As for `read_trajectories`, the redactor's hook fails, or another process was killed. An import that
            lacks something is not refused here; see `check_import`.
    """
    if not settings.names_format and (recognised := recognise_format(path)):
        settings = replace(settings, format=recognised.format)
    shared = _Work(settings, path, trajectory_features().arrow_schema)

    def imported(read: _Read) -> Imported:
        # What is read ahead of the results is counted apart from them.
        reading = Accounts()
        writer = TraceWriter(folder / "traces", limit=traces, limit_bytes=TRACES_BYTES)
        batches = _batches(read(path, reading, settings.format_of(path)))
        if execution is not None and execution.executor != "none" and work is not None:
            elsewhere = ImportParts(shared, read, sum(1 for _ in batches), work.path / read.__name__)
            elsewhere.folder.mkdir(exist_ok=True)
            parts = map(elsewhere.part, make_parts(elsewhere, execution=execution, folder=work))
        else:
            # Tasks are taken ahead of the results, so their number of traces is too large rather than too small.
            tasks = (_Task(batch, writer.num_wanted) for batch in batches)
            parts = map_in_order(_import_task, tasks, begin=_begin, work=shared, processes=processes)
        return _put_together(parts, reading, folder, settings, writer, on_made)

    try:
        return imported(items_of)
    except NotApart:  # known only now, and seldom: a file of conversations with messages that stand alone
        return imported(records_of)


_Read = Callable[[Path, Accounts, Format], Iterator[Item]]


@dataclass(frozen=True)
class ImportParts(Parts):
    """The trajectories of a task a file, which all go into the same tables whoever makes them.

    The source is read anew for each shard: what can be divided before it is parsed is, and is parsed where it is
    wanted alone.

    Args:
        read: `items_of` or `records_of`.
        count: Number of tasks.
        folder: Where the files go.
    """

    work: _Work
    read: _Read
    count: int
    folder: Path

    name = "import"

    def __len__(self) -> int:
        return self.count

    def path(self, number: int) -> Path:
        return self.folder / f"part-{number:06d}.pickle"

    def has(self, number: int) -> bool:
        return super().has(number) or self._not_apart.exists()

    def make(self, number: int) -> None:
        self.run(number, self.count)

    def run(self, shard: int, shards: int) -> int:
        """Makes the parts of a shard that are not there, and gives how many parts the shard has."""
        numbers = range(shard, self.count, shards)
        wanted = {number for number in numbers if not self.has(number)}
        if not wanted:
            return len(numbers)
        _begin(self.work)
        items = self.read(self.work.path, Accounts(), self.work.settings.format_of(self.work.path))
        for number, batch in enumerate(_batches(items)):
            if number in wanted:
                try:
                    part = _import_task(_Task(batch, traces=0))
                except NotApart:
                    # Nobody else's work is wanted then; whoever puts the parts together says so.
                    self._not_apart.touch()
                    break
                write_whole(self.path(number), partial(pickle.dump, part))
        return len(numbers)

    def part(self, number: int) -> _Part:
        """A part that is there.

        Raises:
            NotApart: As `records_in`, wherever the parts were made.
        """
        if self._not_apart.exists():
            raise NotApart
        return pickle.loads(self.path(number).read_bytes())

    @property
    def _not_apart(self) -> Path:
        return self.folder / "not-apart"


def _put_together(
    parts: Iterable[_Part],
    reading: Accounts,
    folder: Path,
    settings: RecordImport,
    writer: TraceWriter,
    on_made: Callable[[int], object] | None,
) -> Imported:
    accounts, summary = Accounts(), Summary()
    with ParquetWriter(folder, trajectory_features()) as table:
        for part in parts:
            table.write(part.rows)
            accounts.add(part.accounts)
            summary.add(part.summary)
            for trajectory_id, trace in part.traces or _traces(part.rows, writer.num_wanted):
                writer.write(trajectory_id, trace)
            if on_made:
                on_made(part.rows.num_rows)
    reading.add(accounts)
    return Imported(table.paths, cleaned(reading, settings), summary, writer.paths)


def _traces(rows: pa.RecordBatch, wanted: int) -> Iterator[tuple[str, bytes]]:
    """Session traces of the first rows."""
    for row in rows.slice(0, wanted).to_pylist():
        run = Trajectory.from_dict(row)
        yield run.trajectory_id, trace_text(run).encode()


def cleaned(accounts: Accounts, settings: RecordImport) -> Accounts:
    """The accounts with reasons and examples redacted: they name tools, types and keys that the source made up."""
    without = accounts.without_runs
    without.names = {settings.clean(name): None for name in without.names}
    for ledger in accounts.ledgers():
        ledger.examples = {settings.clean(what): settings.clean(text) for what, text in ledger.examples.items()}
        for counts in (ledger.dropped, ledger.lost, ledger.notes):
            entries = [(settings.clean(what), count) for what, count in counts.items()]
            counts.clear()
            for what, count in entries:
                counts[what] += count
    return accounts


def _batches(items: Iterator[Item]) -> Iterator[list[Item]]:
    batch: list[Item] = []
    size = 0
    for item in items:
        batch.append(item)
        size += len(item.text) if isinstance(item, Piece) else num_characters(item.value)
        if len(batch) >= TASK_ITEMS or size >= TASK_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
