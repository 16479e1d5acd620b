"""Rows of trajectories: a dataset that was published, or saved as Parquet or JSON lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lrat_hub.importers.accounts import Accounts
from lrat_hub.importers.actions import Recorder
from lrat_hub.importers.mapping import LogMapping
from lrat_hub.importers.restored import restore_step, restored_run
from lrat_hub.importers.sources.records import Record
from lrat_hub.importers.traces import recognise_trace, sessions
from lrat_hub.importers.values import UnreadableRecord, text_of
from lrat_hub.obfuscation import plain_run
from lrat_hub.schema import Trajectory


def without_traces(records: Iterator[Record]) -> Iterator[Record]:
    """The records but for session traces: those of a published dataset are of the same runs, as far as these go."""
    return (record for record in sessions(records) if recognise_trace(record.value) is None)


def recognise_row(value: Any) -> str | None:
    """Why a value is a row of trajectories, or None."""
    if not isinstance(value, dict) or not isinstance(value.get("trajectory_id"), str):
        return None
    steps = value.get("steps")
    is_list = isinstance(steps, list) and all(isinstance(step, dict) and "action" in step for step in steps)
    return "a row of trajectories, with `trajectory_id` and `steps`" if is_list and "query_id" in value else None


def parse_row(name: str, value: Any, accounts: Accounts, mapping: LogMapping | None = None) -> Iterator[Trajectory]:
    """The run of a row, as it was.

    Args:
        name: Its id, where the row's own can't be read.
        value: A row as `Trajectory.to_dict` makes it, or as `datasets` saves it; columns that are missing are
            unknown.
        accounts: What was read, kept and lost is counted here.

    Raises:
        UnreadableRecord: It is no such row, or can't be read with the canary that it names.
    """
    if recognise_row(value) is None:
        raise UnreadableRecord("not a row of trajectories")
    try:
        row = plain_run(value)
    except (KeyError, TypeError, ValueError) as error:
        raise UnreadableRecord("obfuscated texts that can't be read with the canary of the run") from error
    recorder = Recorder(mapping or LogMapping(), accounts)
    for step in row["steps"]:
        thought = text_of(step.get("reasoning"))
        recorder.reason(thought)
        is_joined = step.get("reasoning") is None
        restore_step({**step, "joined": is_joined}, text_of(step.get("observation")), recorder)
    yield restored_run(name, row, recorder)
