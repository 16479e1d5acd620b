"""Trajectories from what people have: logs of search agents in the formats of `detection.FORMATS`.

Reading is liberal, streamed, and loses nothing silently: one bad step becomes an `invalid` step, one unreadable record
is left out, and the ledgers count both with their reasons. `docs/importing.md` describes each format.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from lrat_hub.errors import LratError
from lrat_hub.importers.actions import LOSSES
from lrat_hub.importers.detection import BY_NAME, FORMATS, FormatName, Recognised, recognise_format, records_of
from lrat_hub.importers.mapping import Tools, load_mapping
from lrat_hub.importers.redaction import EMAIL, SECRETS, Redactor, load_hook
from lrat_hub.importers.release import parse_release
from lrat_hub.importers.traces import trace_files, trace_text
from lrat_hub.importers.values import UnreadableRecord
from lrat_hub.ledger import Ledger
from lrat_hub.schema import Trajectory

if TYPE_CHECKING:
    from datasets import Dataset

    from lrat_hub.hub.refs import HubRef

__all__ = [
    "EMAIL", "FORMATS", "LOSSES", "SECRETS", "FormatName", "Recognised", "Redactor", "Tools", "load_hook",
    "load_mapping", "load_trajectories", "new_ledgers", "parse_release", "read_release", "read_trajectories",
    "recognise_format", "trace_files", "trace_text",
]  # fmt: skip


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
        format = recognised.format if recognised else FORMATS[0]
    if format not in BY_NAME:
        raise LratError(f"Import: expected a format out of {', '.join(FORMATS)}, found {format!r}.")
    parse = BY_NAME[format].parse
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


def read_release(path: Path, ledgers: dict[str, Ledger]) -> Iterator[Trajectory]:
    """Reads runs of the LRAT release; see `read_trajectories`."""
    return read_trajectories(path, ledgers, format="lrat")
