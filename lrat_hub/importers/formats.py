"""The formats of logs that are read, which of them a source is in, and reading it.

`FORMATS` is the table of formats: each has a function that recognises its records and one that parses them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

from lrat_hub.errors import LratError
from lrat_hub.importers.browser import parse_browser, recognise_browser
from lrat_hub.importers.chat import parse_chat, recognise_chat
from lrat_hub.importers.mapping import Tools
from lrat_hub.importers.messages import is_message
from lrat_hub.importers.runs import (
    is_memory_step,
    parse_browsecomp,
    parse_memory,
    parse_release,
    recognise_browsecomp,
    recognise_memory,
    recognise_release,
)
from lrat_hub.importers.sources import Record, read_records
from lrat_hub.importers.traces import is_trace_line, parse_trace, recognise_trace, sessions
from lrat_hub.importers.values import UnreadableRecord
from lrat_hub.ledger import Ledger
from lrat_hub.schema import Trajectory

if TYPE_CHECKING:
    from datasets import Dataset

    from lrat_hub.hub.refs import HubRef

RECORDS_LOOKED_AT = 20


class Parser(Protocol):
    """Makes a trajectory of one record, or raises UnreadableRecord when it is none.

    Args:
        name: The record's name, unique in its source; usually the trajectory's id.
        value: The record: what JSON or a row of a table can hold.
        steps: The account of steps, which `lrat_hub.importers.actions.Recorder` fills.
        tools: What the tools of the log do; None for the defaults.
    """

    def __call__(self, name: str, value: Any, steps: Ledger, tools: Tools | None = None) -> Trajectory: ...


@dataclass(frozen=True)
class Format:
    """One format.

    Args:
        recognise: Says why a record is in this format, as the end of "this record is ..."; None when it is not.
        special_case_of: A more general format whose `recognise` accepts this format's records, too.
    """

    recognise: Callable[[Any], str | None]
    parse: Parser
    special_case_of: FormatName | None = None


FormatName = Literal["lrat", "browsecomp-plus", "chat", "smolagents", "openresearcher", "traces"]
FORMATS: dict[FormatName, Format] = {
    "lrat": Format(recognise_release, parse_release, special_case_of="browsecomp-plus"),
    "browsecomp-plus": Format(recognise_browsecomp, parse_browsecomp),
    "chat": Format(recognise_chat, parse_chat),
    "smolagents": Format(recognise_memory, parse_memory),
    "openresearcher": Format(recognise_browser, parse_browser, special_case_of="chat"),
    "traces": Format(recognise_trace, parse_trace),
}


def _is_part(value: Any) -> bool:
    """Whether an element of a JSON array is part of a record, so that the whole array is one record."""
    return is_message(value) or is_memory_step(value) or is_trace_line(value)


def new_ledgers() -> dict[str, Ledger]:
    """Empty accounts of an import: of records, of the steps of those that could be read, and of redacted texts."""
    return {name: Ledger(name) for name in ("records", "steps", "texts")}


def load_trajectories(source: HubRef | Dataset | str | Path) -> Iterator[Trajectory]:
    """Trajectories from a Hub reference, a loaded dataset, or a path that `lrat import` reads.

    Args:
        source: A `HubRef` or its text ("datasets/ns/name@rev#config:split"), a `datasets.Dataset` with the columns
            of `lrat_hub.schema.trajectory_features`, or a file, folder or tar.gz (a path that exists) in a format
            that is recognised.

    Raises:
        LratError: The source does not exist, is of another kind, or holds nothing that can be read.
    """
    if isinstance(source, (str, Path)) and Path(source).exists():
        ledgers = new_ledgers()
        yield from read_trajectories(Path(source), ledgers)
        if not ledgers["records"].kept:
            reasons = ", ".join(f"{count} {reason}" for reason, count in ledgers["records"].dropped.items())
            raise LratError(f"Import: expected trajectories in {source}, found none that can be read: {reasons}.")
        return
    if hasattr(source, "features"):
        table = cast("Dataset", source)
    else:
        from lrat_hub.hub.inputs import load_table, resolve

        table = load_table(resolve(str(source), repo_type="dataset"), "trajectories")
    for row in table:
        yield Trajectory.from_dict(cast("dict[str, Any]", row))


def read_trajectories(
    path: Path, ledgers: dict[str, Ledger], *, format: FormatName | None = None, tools: Tools | None = None
) -> Iterator[Trajectory]:
    """Reads trajectories from a file, a folder or a tar.gz, one at a time.

    Args:
        ledgers: From `new_ledgers`; filled as reading goes on.
        format: One of `FORMATS`; None to recognise it.
        tools: What the tools of the logs do; see `load_mapping`.

    Raises:
        LratError: The path does not exist, has no file of a suffix that is read, or its format is unknown.
    """
    records = ledgers["records"]
    if format is None:
        recognised = recognise_format(path)
        # Without a record that could be read, any format comes to the same account.
        format = recognised.format if recognised else "lrat"
    if format not in FORMATS:
        raise LratError(f"Import: expected a format out of {', '.join(FORMATS)}, found {format!r}.")
    parse = FORMATS[format].parse
    for record in records_of(path, records):
        try:
            trajectory = parse(record.name, record.value, ledgers["steps"], tools)
        except RecursionError:
            records.drop("nested too deeply")
        except UnreadableRecord as error:
            records.drop(str(error))
        else:
            records.keep()
            yield trajectory


@dataclass(frozen=True)
class Recognised:
    """A source's format and what gave it away."""

    format: FormatName
    why: str

    def __str__(self) -> str:
        return f"{self.format}: {self.why}"


def records_of(path: Path, ledger: Ledger) -> Iterator[Record]:
    """The records of a source, with the lines of session traces put together; see `read_records`."""
    return sessions(read_records(path, ledger, _is_part))


def recognise_format(path: Path) -> Recognised | None:
    """The format of a source, from its first records; None when not one record can be read.

    Raises:
        LratError: The records are in no format that is known, or in several.
    """
    reasons: dict[FormatName, str] = {}
    looked_at = list(islice(records_of(path, Ledger("records")), RECORDS_LOOKED_AT))
    for record in looked_at:
        for name, known in FORMATS.items():
            if name not in reasons and (why := known.recognise(record.value)):
                reasons[name] = f"{record.name} is {why}"
    for name in list(reasons):
        if (general := FORMATS[name].special_case_of) is not None:
            reasons.pop(general, None)
    if not looked_at:
        return None
    if not reasons:
        raise LratError(
            f"Import: no known format in {path}: expected records in one of {', '.join(FORMATS)}; the first, "
            f"{looked_at[0].name}, is {_shape(looked_at[0].value)}. Give `format`."
        )
    if len(reasons) > 1:
        listed = "; ".join(f"{name} ({why})" for name, why in reasons.items())
        raise LratError(f"Import: expected one format in {path}, found several: {listed}. Give `format`.")
    ((name, why),) = reasons.items()
    return Recognised(name, why)


def _shape(value: Any) -> str:
    if isinstance(value, dict):
        return f"an object with {', '.join(map(repr, list(value)[:8])) or 'no keys'}"
    return f"a list of {len(value)}" if isinstance(value, list) else type(value).__name__
