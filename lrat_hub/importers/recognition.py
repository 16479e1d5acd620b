"""Which format a source is in, and what to do with one that is in none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from lrat_hub.errors import LratError
from lrat_hub.importers.accounts import Accounts
from lrat_hub.importers.formats import FORMATS, Format, FormatName
from lrat_hub.importers.message_lists import BARE_MESSAGE
from lrat_hub.importers.messages import is_message
from lrat_hub.importers.outcomes import QUERY_IDS
from lrat_hub.importers.refusals import refusal
from lrat_hub.importers.smolagents import is_memory_step
from lrat_hub.importers.sources.records import Record, read_records
from lrat_hub.importers.traces import is_trace_line
from lrat_hub.importers.values import identifier_of

RECORDS_LOOKED_AT = 20


@dataclass(frozen=True)
class Recognised:
    """A source's format and what gave it away."""

    format: FormatName
    why: str

    def __str__(self) -> str:
        return f"{self.format}: {self.why}"


def recognise_format(path: Path) -> Recognised | None:
    """The format of a source, from its first records; None when not one record can be read.

    Raises:
        LratError: The records are in no format that is known, or in several.
    """
    reasons: dict[FormatName, str] = {}
    records = unfolded(read_records(path, Accounts().records, is_part), list(FORMATS.values()))
    looked_at = list(islice(records, RECORDS_LOOKED_AT))
    for record in looked_at:
        for name, known in FORMATS.items():
            if name not in reasons and (why := known.recognise(record.value)):
                reasons[name] = f"{record.name} is {why}"
    for name in list(reasons):
        general = FORMATS[name].special_case_of
        while general is not None:
            reasons.pop(general, None)
            general = FORMATS[general].special_case_of
    if len(reasons) > 1 and reasons.get("chat", "").endswith(BARE_MESSAGE):
        # Lines of many formats look like messages.
        reasons.pop("chat")
    if not looked_at:
        return None
    if not reasons:
        raise LratError(refusal(path, looked_at))
    if len(reasons) > 1:
        listed = "; ".join(f"{name} ({why})" for name, why in reasons.items())
        raise LratError(f"Import: expected one format in {path}, found several: {listed}. Give `format`.")
    ((name, why),) = reasons.items()
    return Recognised(name, why)


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
    """The runs in an object of runs with their keys; empty when it is none."""
    if not isinstance(value, dict) or not value:
        return []
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
    return any(known.recognise(value) not in (None, BARE_MESSAGE) for known in formats)


def _joined(position: int | str | None, key: str) -> str:
    return key if position is None else f"{position}/{key}"
