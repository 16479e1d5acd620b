"""The records of a source in one format, here or, for pieces of files that can be read apart, in any process."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, groupby, islice
from pathlib import Path
from typing import Any

from lrat_hub.errors import LratError
from lrat_hub.importers.accounts import Accounts
from lrat_hub.importers.formats import Format
from lrat_hub.importers.mapping import value_at
from lrat_hub.importers.messages import role_of
from lrat_hub.importers.recognition import RECORDS_LOOKED_AT, is_part, sampled_records, unfolded
from lrat_hub.importers.refusals import shape_of
from lrat_hub.importers.sources.records import Item, Piece, Record, read_items, read_records
from lrat_hub.importers.values import identifier_of
from lrat_hub.ledger import Ledger
from lrat_hub.text import stable_hash

RUNS_REMEMBERED = 1_000_000

DIVIDED_RUNS = "runs with records in several files, of which each file makes a run of its own"


def records_of(path: Path, accounts: Accounts, known: Format) -> Iterator[Record]:
    """The records of a source in one format: lines of a session are put together, objects of runs are unfolded.

    Raises:
        LratError: The path does not exist or has no file that is read, or the first records have no run to group by.
    """
    if known.group_by is None or known.group is None:
        return _grouped(read_records(path, accounts.records, is_part, accounts.files), known)
    # A run's records may be the elements of an array.
    records = read_records(path, accounts.records, lambda _: False, accounts.files)
    return known.group(_with_run(path, records, accounts, known.group_by))


def _grouped(records: Iterator[Record], known: Format) -> Iterator[Record]:
    records = unfolded(records, [known])
    return known.group(records) if known.group is not None else records


class NotApart(Exception):
    """A piece of a file holds records that belong together with others of the file."""


def items_of(path: Path, accounts: Accounts, known: Format) -> Iterator[Item]:
    """As `records_of`, with pieces of files in the place of records that need not be read here; see `records_in`."""
    if known.group_by is not None or known.spans_files:
        yield from records_of(path, accounts, known)
        return
    is_file_apart = False

    def is_apart(item: Item) -> bool:
        nonlocal is_file_apart
        if not isinstance(item, Piece) or item.is_whole or known.group is None:
            return isinstance(item, Piece)
        if not item.num_before:
            first = next(item.records(Ledger("records"), is_part), None)
            is_file_apart = first is None or _stands_alone(first, known)
        return is_file_apart

    for are_apart, items in groupby(read_items(path, accounts.records, is_part, accounts.files), key=is_apart):
        if are_apart:
            yield from items
        else:
            yield from _grouped(chain.from_iterable(records_in(item, accounts, None) for item in items), known)


def records_in(item: Item, accounts: Accounts, known: Format | None) -> Iterator[Record]:
    """The records of an item, in the format where one is given.

    Raises:
        NotApart: They can't be told without the rest of their file.
    """
    if isinstance(item, Record):
        yield item
        return
    records = item.records(accounts.records, is_part)
    if known is None or known.group is None or item.is_whole:
        yield from records if known is None else _grouped(records, known)
        return
    for record in unfolded(records, [known]):
        if not _stands_alone(record, known):
            raise NotApart
        yield record


def _stands_alone(record: Record, known: Format) -> bool:
    return known.stands_alone is not None and known.stands_alone(record.value)


def _with_run(path: Path, records: Iterator[Record], accounts: Accounts, key: str) -> Iterator[Record]:
    """The records that name their run; the others are dropped."""
    first = list(islice(records, RECORDS_LOOKED_AT))
    named = (run_at(key, record.value) for record in chain(first, sampled_records(path, lambda _: False)))
    if first and all(name is None for name in named):
        raise LratError(
            f"Import: `group_by`: expected the name of a run at {key} in the records of {path}, found none in the "
            f"first {len(first)} nor in other files. {first[0].name} is {shape_of(first[0].value)}. A path has a dot "
            "between keys, such as meta.run_id."
        )
    last, sources, divided = None, dict[int, str](), set[int]()
    for record in chain(first, records):
        if (run := run_at(key, record.value)) is None:
            accounts.records.drop(f"no run at {key} to group by", example=record.name)
            continue
        if (run, record.source) != last:
            last, name = (run, record.source), stable_hash(run)
            # Of more runs, memory would grow: those that are known already are still looked for.
            source = sources.get(name) if len(sources) >= RUNS_REMEMBERED else sources.setdefault(name, record.source)
            # Runs of several files may have the same names: one that begins goes on nowhere.
            begins = role_of(record.value) in ("system", "user")
            if source not in (None, record.source) and name not in divided and not begins:
                divided.add(name)
                accounts.records.lose(DIVIDED_RUNS, example=f"{run} in {source} and {record.source}")
        yield record


def run_at(path: str, value: Any) -> str | None:
    """The name of the run that a record says it is a part of, at a path of keys."""
    return identifier_of(value_at(value, path))
