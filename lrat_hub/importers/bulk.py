"""Importing from a source to files that can be published: any number of records in bounded memory, on many processes.

Records are read by one process, in their order, and imported in tasks of the same size whatever the number of
processes; what these come to is put together in the order of the tasks. So every byte and every count is the same for
any number of processes, and what memory holds is a few tasks and one row group.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lrat_hub.importers.accounts import Accounts
from lrat_hub.importers.formats import Format, FormatName, Reader
from lrat_hub.importers.mapping import LogMapping
from lrat_hub.importers.questions import Questions
from lrat_hub.importers.reading import format_of, records_of, trajectories_of
from lrat_hub.importers.recognition import recognise_format
from lrat_hub.importers.redaction.redactor import Redactor
from lrat_hub.importers.sources.records import Record
from lrat_hub.importers.summary import Summary
from lrat_hub.importers.traces import TraceWriter, trace_text
from lrat_hub.ledger import Ledger
from lrat_hub.schema import Trajectory, trajectory_features
from lrat_hub.storage import ParquetWriter, num_characters, trajectory_batch

if TYPE_CHECKING:
    import pyarrow as pa

TASK_RECORDS = 100
TASK_CHARACTERS = 1_000_000
"""Limits of a task: it ends with the record that makes it longer."""

TRACES_BYTES = 32_000_000
"""Session traces go into one request with the commit, which the client and the Hub hold in memory."""


@dataclass(frozen=True)
class RecordImport:
    """How records become trajectories that can be published.

    Args:
        format: One of `FORMATS`; None for that which a path is in.
        mapping: What the tools of the logs do, and where what stands in their records; see `load_mapping`.
        reader: Makes chat records of records, which then need no format.
        group_by: Path of keys to the name of a run, whose records are then read as one; see `read_trajectories`.
        questions: Query id to question and gold answer, for runs that have none.
        redactor: What takes secrets out of them; None to leave texts as they are.
    """

    format: FormatName | None = None
    mapping: LogMapping | None = None
    reader: Reader | None = None
    group_by: str | None = None
    questions: Questions | None = None
    redactor: Redactor | None = None

    def format_of(self, path: Path) -> Format:
        """The format that a path is read in."""
        return format_of(path, self.format, self.reader, self.mapping, self.group_by)

    @property
    def names_format(self) -> bool:
        """Whether the format is known before anything is read."""
        says_where = self.mapping is not None and self.mapping.says_where_messages_are
        return self.format is not None or self.reader is not None or self.group_by is not None or says_where

    def clean(self, text: str) -> str:
        """A text that is made of what the source holds, redacted, such as a reason in an account."""
        return self.redactor.text(text, Ledger("texts")) if self.redactor else text

    def trajectories(self, records: Iterable[Record], known: Format, accounts: Accounts) -> Iterator[Trajectory]:
        """The trajectories in records of one format.

        Raises:
            LratError: The redactor's hook fails.
        """
        for record in records:
            for trajectory in trajectories_of(record, known, accounts, self.mapping, self.questions):
                yield self.redactor.redact(trajectory, accounts.texts) if self.redactor else trajectory


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
    """Some records. At least as many traces are wanted as the number says: less when earlier tasks have made some."""

    records: list[Record]
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


def _import_task(task: _Task) -> _Part:
    assert _work is not None
    accounts, summary = Accounts(), Summary()
    runs = list(_work.settings.trajectories(task.records, _work.settings.format_of(_work.path), accounts))
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
    on_made: Callable[[int], object] | None = None,
) -> Imported:
    """Imports a file, a folder or an archive into Parquet files and session traces.

    Args:
        folder: An empty one, for the files that come out.
        traces: At most so many of the first trajectories also become session traces, up to `TRACES_BYTES` together.
        processes: How many make trajectories. Only this one reads.
        on_made: Called with the number of trajectories that were made since the last call.

    Raises:
        LratError: As for `read_trajectories`, the redactor's hook fails, or another process was killed. An import that
            lacks something is not refused here; see `check_import`.
    """
    from lrat_hub.mining.processes import map_in_order

    if not settings.names_format and (recognised := recognise_format(path)):
        settings = replace(settings, format=recognised.format)
    accounts, summary = Accounts(), Summary()
    writer = TraceWriter(folder / "traces", limit=traces, limit_bytes=TRACES_BYTES)
    records = records_of(path, accounts, settings.format_of(path))
    features = trajectory_features()
    parts = map_in_order(
        _import_task,
        # Tasks are taken ahead of the results, so their number of traces is too large rather than too small.
        (_Task(batch, writer.num_wanted) for batch in _batches(records)),
        begin=_begin,
        work=_Work(settings, path, features.arrow_schema),
        processes=processes,
    )
    with ParquetWriter(folder, features) as table:
        for part in parts:
            table.write(part.rows)
            accounts.add(part.accounts)
            summary.add(part.summary)
            for trajectory_id, trace in part.traces:
                writer.write(trajectory_id, trace)
            if on_made:
                on_made(part.rows.num_rows)
    return Imported(table.paths, cleaned(accounts, settings), summary, writer.paths)


def cleaned(accounts: Accounts, settings: RecordImport) -> Accounts:
    """The accounts with reasons and examples redacted: they name tools, types and keys that the source made up."""
    for ledger in accounts.ledgers():
        ledger.examples = {settings.clean(what): settings.clean(text) for what, text in ledger.examples.items()}
        for counts in (ledger.dropped, ledger.lost, ledger.notes):
            entries = [(settings.clean(what), count) for what, count in counts.items()]
            counts.clear()
            for what, count in entries:
                counts[what] += count
    return accounts


def _batches(records: Iterator[Record]) -> Iterator[list[Record]]:
    batch: list[Record] = []
    characters = 0
    for record in records:
        batch.append(record)
        characters += num_characters(record.value)
        if len(batch) >= TASK_RECORDS or characters >= TASK_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch
