"""The formats that are read, and telling from the first records of a source which one it is in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

from lrat_hub.errors import LratError
from lrat_hub.importers.browser import parse_browser, recognise_browser
from lrat_hub.importers.chat import parse_chat, recognise_chat
from lrat_hub.importers.mapping import Tools
from lrat_hub.importers.memory import is_memory_step, parse_memory, recognise_memory
from lrat_hub.importers.messages import is_message
from lrat_hub.importers.release import parse_browsecomp, parse_release, recognise_browsecomp, recognise_release
from lrat_hub.importers.sources import Record, read_records
from lrat_hub.importers.traces import is_trace_line, parse_trace, recognise_trace, sessions
from lrat_hub.ledger import Ledger
from lrat_hub.schema import Trajectory

FormatName = Literal["lrat", "browsecomp-plus", "chat", "smolagents", "openresearcher", "traces"]
FORMATS: tuple[FormatName, ...] = get_args(FormatName)

RECORDS_LOOKED_AT = 20


class Parser(Protocol):
    """Makes a trajectory of one record, or raises UnreadableRecord when it is none."""

    def __call__(self, name: str, value: Any, steps: Ledger, tools: Tools | None = None) -> Trajectory: ...


@dataclass(frozen=True)
class Format:
    """One format.

    Args:
        recognise: Why a record is in it, or None when it is not.
        covers: A more general format whose records this one's are too.
    """

    recognise: Callable[[Any], str | None]
    parse: Parser
    covers: FormatName | None = None


BY_NAME: dict[FormatName, Format] = {
    "lrat": Format(recognise_release, parse_release, covers="browsecomp-plus"),
    "browsecomp-plus": Format(recognise_browsecomp, parse_browsecomp),
    "chat": Format(recognise_chat, parse_chat),
    "smolagents": Format(recognise_memory, parse_memory),
    "openresearcher": Format(recognise_browser, parse_browser, covers="chat"),
    "traces": Format(recognise_trace, parse_trace),
}


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
        for name, known in BY_NAME.items():
            if name not in reasons and (why := known.recognise(record.value)):
                reasons[name] = f"{record.name} is {why}"
    for name in list(reasons):
        if (general := BY_NAME[name].covers) is not None:
            reasons.pop(general, None)
    if not looked_at:
        return None
    if not reasons:
        raise LratError(
            f"Import: no known format in {path}: expected records in one of {', '.join(FORMATS)}; the first, "
            f"{looked_at[0].name}, is {_shape(looked_at[0].value)}. Give `format`."
        )
    if len(reasons) > 1:
        found = "; ".join(f"{name} ({why})" for name, why in reasons.items())
        raise LratError(f"Import: several formats in {path}: {found}. Give the one that is meant as `format`.")
    ((name, why),) = reasons.items()
    return Recognised(name, why)


def _is_part(value: Any) -> bool:
    return is_message(value) or is_memory_step(value) or is_trace_line(value)


def _shape(value: Any) -> str:
    if isinstance(value, dict):
        return f"an object with {', '.join(map(repr, list(value)[:8])) or 'no keys'}"
    return f"a list of {len(value)}" if isinstance(value, list) else type(value).__name__
