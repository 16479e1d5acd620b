"""Reading trajectories from a source: its records, the runs in them, and what is refused once everything is read."""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from lrat_hub.errors import LratError
from lrat_hub.importers.accounts import OTHER_FORMAT, Accounts
from lrat_hub.importers.actions import NO_ACTION
from lrat_hub.importers.formats import FORMATS, Converter, Format, FormatName, Reader
from lrat_hub.importers.mapping import LogMapping
from lrat_hub.importers.mapping_files import mapping_of
from lrat_hub.importers.message_lists import conversation_of, messages_by
from lrat_hub.importers.messages import USUAL_ROLES
from lrat_hub.importers.questions import Questions, QuestionTable
from lrat_hub.importers.recognition import other_format, recognise_format
from lrat_hub.importers.refusals import shape_of
from lrat_hub.importers.source_records import records_of, run_at
from lrat_hub.importers.sources.grouping import Grouper, Oversized, by_key
from lrat_hub.importers.sources.records import Record
from lrat_hub.importers.sources.texts import AS_LINES, NOT_JSON
from lrat_hub.importers.values import UnreadableRecord
from lrat_hub.ledger import Ledger
from lrat_hub.plugins import described, load_object
from lrat_hub.schema import Trajectory

if TYPE_CHECKING:
    from datasets import Dataset

    from lrat_hub.hub.refs import HubRef


def load_trajectories(
    source: HubRef | Dataset | str | Path,
    *,
    strict: bool = False,
    format: FormatName | None = None,
    mapping: LogMapping | str | Path | None = None,
    reader: Reader | str | None = None,
    group_by: str | None = None,
    questions: Questions | None = None,
) -> Iterator[Trajectory]:
    """Trajectories from a Hub reference, a loaded dataset, or a path that `lrat import` reads.

    Args:
        source: A `HubRef` or its text ("datasets/ns/name@rev#config:split"), a `datasets.Dataset` with the columns
            of `lrat_hub.schema.trajectory_features`, or a path that exists: see `read_trajectories`.
        strict: Whether to raise, after the last trajectory of a path, when any part of it was lost.
        format, mapping, reader, group_by, questions: See `read_trajectories`.

    Raises:
        LratError: The source does not exist, is of another kind, holds nothing that can be read, has no run in which a
            search or a browse was understood, or lost something under `strict`.
    """
    if isinstance(source, (str, Path)) and Path(source).exists():
        accounts = Accounts()
        yield from read_trajectories(
            Path(source), accounts,
            format=format, mapping=mapping, reader=reader, group_by=group_by, questions=questions,
        )  # fmt: skip
        check_import(Path(source), accounts, strict=strict)
        return
    if hasattr(source, "features"):
        table = cast("Dataset", source)
    else:
        from lrat_hub.hub.inputs import load_table, resolve

        table = load_table(resolve(str(source), repo_type="dataset"), "trajectories")
    for row in table:
        yield Trajectory.from_dict(cast("dict[str, Any]", row))


def read_trajectories(
    path: Path,
    accounts: Accounts,
    *,
    format: FormatName | None = None,
    mapping: LogMapping | str | Path | None = None,
    reader: Reader | str | None = None,
    group_by: str | None = None,
    questions: Questions | None = None,
) -> Iterator[Trajectory]:
    """Reads trajectories from a file, a folder or an archive, one at a time.

    Args:
        accounts: Filled as reading goes on.
        format: One of `FORMATS`; None to recognise it.
        mapping: What the tools of the logs do, and which keys of their records hold which values; see `load_mapping`.
            It may be the path of a mapping file.
        reader: Makes chat records of the source's records, which then need no format. It may be named, as
            module:function.
        group_by: Path of keys to the name of a run, for sources whose runs are spread over records, such as one with
            an event a line. Records of a file with the same value there are read as one record, the list of them.
        questions: Query id to question and gold answer, for runs that have none; where a run's query id is not among
            them, the text of its question finds its gold answer.

    Raises:
        LratError: The path does not exist, has no file that is read, or its format is unknown; the mapping file or the
            reader can't be loaded; or no record has a run to group by.
    """
    mapping = mapping_of(mapping)
    known = format_of(path, format, reader_of(reader), mapping, group_by)
    table = None if questions is None else QuestionTable(questions)
    for record in records_of(path, accounts, known):
        yield from trajectories_of(record, known, accounts, mapping, table)


def format_of(
    path: Path,
    format: FormatName | None = None,
    reader: Reader | None = None,
    mapping: LogMapping | None = None,
    group_by: str | None = None,
) -> Format:
    """The format of a source: that of a reader, one by its name, or the one that is recognised.

    Where a mapping says where the messages are, or records are grouped, records are conversations, whatever they look
    like.
    """
    if reader is not None:
        return Format(_is_read, convert=_converter(reader), group=_by_path(group_by), group_by=group_by)
    if format is None and (group_by or (mapping is not None and mapping.says_where_messages_are)):
        format = "chat"
    if format is None:
        recognised = recognise_format(path)
        # Without a record that could be read, any format comes to the same account.
        format = recognised.format if recognised else "lrat"
    if format not in FORMATS:
        raise LratError(f"Import: expected a format out of {', '.join(FORMATS)}, found {format!r}.")
    if not group_by:
        return replace(FORMATS[format], is_run=None if mapping is None else mapping.is_run)
    group = messages_by(partial(run_at, group_by)) if format == "chat" else _by_path(group_by)
    return replace(FORMATS[format], group=group, group_by=group_by)


def _by_path(path: str | None) -> Grouper | None:
    return by_key(partial(run_at, path)) if path else None


def _is_read(value: Any) -> str | None:
    """Readers take every record."""
    return "read by a reader"


def trajectories_of(
    record: Record,
    known: Format,
    accounts: Accounts,
    mapping: LogMapping | None = None,
    questions: QuestionTable | None = None,
) -> Iterator[Trajectory]:
    """The trajectories of a record, or a drop in the account of records."""
    # Steps and calls of a record that turns out to be no run are not counted: they are lost with the record.
    inner = Accounts()
    count, other = 0, ""
    try:
        for trajectory in known.trajectories(record, inner, mapping):
            if not (count or trajectory.num_steps) and (other := other_format(record.value, known, is_read=True)):
                raise UnreadableRecord(f"not a run of this format, but of {other}")
            count += 1
            if questions is not None:
                trajectory = questions.joined(trajectory, accounts)
            if not trajectory.question:
                accounts.records.note(NO_QUESTION)
            yield trajectory
    except RecursionError:
        reason = "nested too deeply"
    except UnreadableRecord as error:
        reason = str(error)
    else:
        reason = "" if count else "no run in it"
    if count:
        accounts.add(inner)
    else:
        accounts.parts.add(inner.parts)
    accounts.without_runs.see(record.source, has_run=count > 0)
    if not count and (other := other or other_format(record.value, known, is_read=False)):
        accounts.records.note(f"{OTHER_FORMAT}{other}", example=record.name)
    if count:
        accounts.records.keep()
        accounts.records.note(FURTHER_RUNS, count - 1)
        accounts.records.lose(f"rest of a record, {reason}", int(reason != ""), example=record.name)
    else:
        accounts.records.drop(reason, example=record.name)


FURTHER_RUNS = "runs beyond the first of their record"
NO_QUESTION = "runs without a question"
READER_FAILED = "records that the reader failed on"
WAY_IN = " A `reader`, a function that makes chat records of records, reads what is in no format that is known."
MAX_CHATS = 100_000
"""Chat records that a reader may make of one record; a generator without an end would take all memory."""


def check_import(path: Path, accounts: Accounts, *, strict: bool) -> None:
    """Refuses what an import must not go on with, once everything has been read.

    Raises:
        LratError: Not one trajectory could be read, none has a search or a browse, or something was lost and `strict`
            is set.
    """
    records = accounts.records
    if not records.kept:
        reasons = ", ".join(f"{count} {reason}" for reason, count in records.dropped.items())
        if example := accounts.parts.examples.get(READER_FAILED):
            reasons += f" ({example}). Where a run is spread over records, `group_by` gives a reader all of them"
        raise LratError(
            f"Import: expected trajectories in {path}, found none that can be read: {reasons}."
            + ("" if "the reader" in reasons else AS_LINES if records.dropped[NOT_JSON] else WAY_IN)
        )
    num_runs = records.kept + records.notes[FURTHER_RUNS]
    if records.lost[NO_ACTION] >= num_runs:
        reasons = "; ".join(
            f"{what} ({count})" for ledger in (accounts.calls, accounts.parts, accounts.steps)
            for what, count in (ledger.dropped + ledger.lost).most_common(3)
        )  # fmt: skip
        raise LratError(
            f"Import: expected searches and browses in {path}, found {num_runs} runs without any: "
            f"{reasons or 'no tool calls were understood'}. Say what the tools do in a `mapping`, or turn the records "
            "into chat records with a `reader`."
        )
    if strict and accounts.num_lost:
        listed = "; ".join(f"{what}: {count}" for what, count in accounts.losses().items())
        raise LratError(f"Import: `strict` allows no loss in {path}, found {accounts.num_lost} ({listed}).")


def reader_of(reader: Reader | str | None) -> Reader | None:
    """A reader by its name, module:function, or as it is.

    Raises:
        LratError: It is no function.
    """
    made = load_object(reader) if isinstance(reader, str) else reader
    if made is not None and not callable(made):
        raise LratError(f"Import: `reader`: expected a function, or its name as module:function, found {made!r:.80}.")
    return cast("Reader | None", made)


def _converter(reader: Reader) -> Converter:
    def convert(value: Any, parts: Ledger) -> Iterator[dict[str, Any]]:
        if isinstance(value, Oversized):
            raise UnreadableRecord(value.reason)
        try:
            made = reader(value)
            several = made is not None and not isinstance(made, dict)
            chats: list[Any] = (
                list(islice(cast("Iterable[Any]", made), MAX_CHATS + 1)) if several else [] if made is None else [made]
            )
        except Exception as error:  # it is the user's code, which may raise anything, and costs the record
            parts.drop(READER_FAILED, example=f"{_place(error)}{described(error)}; it was given {shape_of(value)}")
            raise UnreadableRecord(f"the reader failed: {type(error).__name__}") from error
        if len(chats) > MAX_CHATS:
            raise UnreadableRecord(f"the reader gave more than {MAX_CHATS:,} records for one")
        if chats and conversation_of(chats) is not None:
            chats = [{"messages": chats}]  # the messages of a run, without a record around them
        for chat in chats:
            yield _checked(chat)

    return convert


def _place(error: BaseException) -> str:
    """Where in the reader's file an error arose, "readers.py:12: ", also where something that it called raised it."""
    frames = traceback.extract_tb(error.__traceback__)[1:]
    own = [frame for frame in frames if frame.filename == frames[0].filename]
    return f"{Path(own[-1].filename).name}:{own[-1].lineno}: " if own else ""


def _checked(chat: Any) -> dict[str, Any]:
    """What a reader made, which is a chat record."""
    expected = "expected an object with a list `messages`, several such objects, or None"
    if not isinstance(chat, dict):
        raise UnreadableRecord(f"the reader gave {shape_of(chat)}: {expected}")
    if isinstance(chat.get("messages"), list) and chat["messages"] and conversation_of(chat) is None:
        first = chat["messages"][0]
        role = repr(first.get("role"))[:40] if isinstance(first, dict) else "none"
        raise UnreadableRecord(f"the reader's first message has the role {role}: expected one of {USUAL_ROLES}")
    if conversation_of(chat) is None:
        raise UnreadableRecord(f"the reader gave {shape_of(chat)}: {expected}")
    try:
        # Tuples, dates and keys that are numbers become what a file would hold of them.
        return json.loads(json.dumps(chat, default=str))
    except RecursionError:
        raise
    except Exception as error:  # an object may be written by code of its own
        raise UnreadableRecord(f"the reader gave what JSON can't hold: {described(error)}") from error
