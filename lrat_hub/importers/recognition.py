"""Which format a source is in, and what to do with one that is in none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

from lrat_hub.errors import LratError
from lrat_hub.importers.accounts import Accounts
from lrat_hub.importers.formats import FORMATS, Format, FormatName
from lrat_hub.importers.message_lists import BARE_MESSAGE
from lrat_hub.importers.messages import is_message
from lrat_hub.importers.outcomes import QUERY_IDS
from lrat_hub.importers.record_tables import rows_of_table
from lrat_hub.importers.refusals import refusal
from lrat_hub.importers.smolagents import is_memory_step
from lrat_hub.importers.sources.records import IsPart, Piece, Record, read_items, read_records
from lrat_hub.importers.traces import is_trace_line
from lrat_hub.importers.values import identifier_of
from lrat_hub.ledger import Ledger

RECORDS_LOOKED_AT = 20

ITEMS_SAMPLED, RECORDS_SAMPLED = 10, 10_000
"""Of each file and in all, where the first records are in no format: records, or pieces of files."""


@dataclass(frozen=True)
class Recognised:
    """A source's format and what gave it away."""

    format: FormatName
    why: str

    def __str__(self) -> str:
        return f"{self.format}: {self.why}"


def recognise_format(path: Path) -> Recognised | None:
    """The format of a source, from its first records; None when not one record can be read.

    Where those are in none, as in a folder whose first files are settings, some records of each file say it.

    Raises:
        LratError: The records are in no format that is known, or in several.
    """
    records = read_records(path, Accounts().records, is_part)
    looked_at = list(islice(unfolded(records, list(FORMATS.values())), RECORDS_LOOKED_AT))
    reasons = _reasons(looked_at)
    if looked_at and not reasons:
        looked_at = list(unfolded(sampled_records(path), list(FORMATS.values())))
        reasons = _reasons(looked_at)
    if not looked_at:
        return None
    if not reasons:
        raise LratError(refusal(path, looked_at))
    if len(reasons) > 1:
        listed = "; ".join(f"{name} ({why})" for name, why in reasons.items())
        raise LratError(
            f"Import: expected one format in {path}, found several: {listed}. Import them one after "
            "the other, each with its `format` and into a repository of its own; what is in another format is left "
            "out and counted."
        )
    ((name, why),) = reasons.items()
    return Recognised(name, why)


def sampled_records(path: Path, is_part_of: IsPart | None = None) -> Iterator[Record]:
    """Some records of each file of a source, as many as can be looked at in a few seconds.

    Args:
        is_part_of: `is_part` of `read_records`; None for what is part of a record in any format.
    """
    part, account = is_part_of or is_part, Ledger("records")
    items = read_items(path, account, part, per_file=ITEMS_SAMPLED)
    records = (
        islice(item.records(account, part), RECORDS_LOOKED_AT) if isinstance(item, Piece) else (item,)
        for item in items
    )
    return islice(chain.from_iterable(records), RECORDS_SAMPLED)


def _reasons(records: Sequence[Record]) -> dict[FormatName, str]:
    """The formats that records are in, each with what gave it away."""
    reasons: dict[FormatName, str] = {}
    for record in records:
        for name, known in FORMATS.items():
            if name in reasons or (why := known.recognise(record.value)) is None:
                continue
            others = [other for other in FORMATS.values() if other is not known] if known.is_general else []
            if not _is_known(record.value, others):
                reasons[name] = f"{record.name} is {why}"
    return _most_special(reasons)


def _most_special(reasons: dict[FormatName, str]) -> dict[FormatName, str]:
    """The formats without those that are more general than another of them."""
    reasons = dict(reasons)
    for name in list(reasons):
        for general in _generals(name):
            reasons.pop(general, None)
    if len(reasons) > 1 and reasons.get("chat", "").endswith(BARE_MESSAGE):
        # Lines of many formats look like messages.
        reasons.pop("chat")
    return reasons


def other_format(value: Any, known: Format, *, is_read: bool) -> str:
    """The format that a record, or its first parts, are in; "" where it is none, the known one, or a more general one.

    Args:
        is_read: Whether the known format can make a run of the record: then only a special case of it is another.
    """
    name = next((name for name, other in FORMATS.items() if other.recognise is known.recognise), None)
    if name is None:
        return ""  # a function of the user's reads records of any kind
    values = [value, *(value[:RECORDS_LOOKED_AT] if isinstance(value, list) else ())]
    special = _most_special(
        {key: why for key, other in FORMATS.items() for part in values if (why := other.recognise(part))}
    )
    others = [other for other in special if not is_read or any(general == name for general in _generals(other))]
    return "" if name in special or not others else others[0]


def _generals(name: FormatName) -> Iterator[FormatName]:
    """The formats that one is a special case of."""
    while (general := FORMATS[name].special_case_of) is not None:
        yield (name := general)


def is_part(value: Any) -> bool:
    """Whether an element of a JSON array is part of a record, so that the whole array is one record."""
    return (
        is_message(value)
        or is_memory_step(value)
        or is_trace_line(value)
        or any(known.is_part(value) for known in FORMATS.values() if known.is_part is not None)
    )


def unfolded(records: Iterator[Record], formats: Sequence[Format]) -> Iterator[Record]:
    """Records with objects of runs, such as `{query id: run}` and `{"data": [run, ...]}`, taken apart."""
    for record in records:
        parts = [] if _is_known(record.value, formats) else _runs_in(record.value, formats)
        if parts:
            yield from (replace(record, position=_joined(record.position, key), value=run) for key, run in parts)
        else:
            yield record


def _runs_in(value: Any, formats: Sequence[Format]) -> list[tuple[str, Any]]:
    """The runs in an object of runs, or in a table, with their keys; empty when it is none."""
    if not isinstance(value, dict) or not value:
        return []
    if (rows := rows_of_table(value)) and any(_is_known(row, formats) for _, row in rows[:RECORDS_LOOKED_AT]):
        return list(rows)
    for runs in value.values():
        if isinstance(runs, list) and runs and len(value) < WRAPPER_KEYS and all(_is_known(r, formats) for r in runs):
            return [(str(number), run) for number, run in enumerate(runs, start=1)]
    if not all(_is_known(run, formats) for run in value.values()):
        return []
    return [
        (str(key), {"query_id": key, **run} if isinstance(run, dict) and not _names_query(run) else run)
        for key, run in value.items()
    ]


def _names_query(run: dict[str, Any]) -> bool:
    """Whether a run says which question it is about; its `id` may be that of anything else."""
    return any(identifier_of(run.get(key)) for key in QUERY_IDS)


WRAPPER_KEYS = 8
"""An object with fewer keys than this may be a wrapper around a list of runs."""


def _is_known(value: Any, formats: Sequence[Format]) -> bool:
    """Whether a value is a record by itself; messages of a list belong together."""
    return any(
        known.recognise(value) not in (None, BARE_MESSAGE) or (known.is_run is not None and known.is_run(value))
        for known in formats
    )


def _joined(position: int | str | None, key: str) -> str:
    return key if position is None else f"{position}/{key}"
