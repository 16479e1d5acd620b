"""The formats of logs that are read, which of them a source is in, and reading it.

`FORMATS` is the table of formats. Each has a function that recognises its records, and one that parses them or one
that converts them to chat records, which `lrat_hub.importers.chat` then parses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

from lrat_hub.errors import LratError
from lrat_hub.importers.accounts import Accounts
from lrat_hub.importers.actions import NO_ACTION
from lrat_hub.importers.browser import parse_browser, recognise_browser
from lrat_hub.importers.chat import parse_chat, recognise_chat
from lrat_hub.importers.converters.anthropic import convert_anthropic, group_anthropic, recognise_anthropic
from lrat_hub.importers.converters.atif import convert_atif, recognise_atif
from lrat_hub.importers.converters.autogen import convert_autogen, is_autogen_message, recognise_autogen
from lrat_hub.importers.converters.bedrock import convert_bedrock, recognise_bedrock
from lrat_hub.importers.converters.claude_code import convert_claude_code, group_claude_code, recognise_claude_code
from lrat_hub.importers.converters.codex import convert_codex, group_codex, recognise_codex
from lrat_hub.importers.converters.cohere import convert_cohere, recognise_cohere
from lrat_hub.importers.converters.dspy import convert_dspy, recognise_dspy
from lrat_hub.importers.converters.gemini import convert_gemini, recognise_gemini
from lrat_hub.importers.converters.gemini_sessions import (
    convert_gemini_session,
    group_gemini_sessions,
    is_adk_event,
    is_cli_message,
    recognise_gemini_session,
)
from lrat_hub.importers.converters.haystack import convert_haystack, is_haystack_message, recognise_haystack
from lrat_hub.importers.converters.inspect_logs import convert_inspect, group_inspect, recognise_inspect
from lrat_hub.importers.converters.langchain_runs import (
    convert_langchain,
    group_langchain,
    is_langchain_event,
    is_langchain_update,
    recognise_langchain,
)
from lrat_hub.importers.converters.langfuse import convert_langfuse, group_langfuse, recognise_langfuse
from lrat_hub.importers.converters.langsmith import convert_langsmith, group_langsmith, recognise_langsmith
from lrat_hub.importers.converters.llamaindex import (
    convert_llamaindex,
    group_llamaindex,
    is_llamaindex_event,
    recognise_llamaindex,
)
from lrat_hub.importers.converters.microsoft import convert_microsoft, is_microsoft_message, recognise_microsoft
from lrat_hub.importers.converters.openai import convert_responses, group_responses, recognise_responses
from lrat_hub.importers.converters.openhands import convert_openhands, is_openhands_event, recognise_openhands
from lrat_hub.importers.converters.pydantic_ai import (
    convert_pydantic_ai,
    is_pydantic_ai_message,
    recognise_pydantic_ai,
)
from lrat_hub.importers.converters.requests import convert_requests, group_requests, recognise_requests
from lrat_hub.importers.converters.research import (
    convert_dr_tulu,
    convert_mirothinker,
    convert_webthinker,
    recognise_dr_tulu,
    recognise_mirothinker,
    recognise_webthinker,
)
from lrat_hub.importers.converters.rollouts import convert_rollout, recognise_rollout
from lrat_hub.importers.converters.skimsearch import convert_skimsearch, recognise_skimsearch
from lrat_hub.importers.converters.spans import convert_spans, group_spans, recognise_spans
from lrat_hub.importers.converters.vercel import convert_vercel, group_vercel, is_vercel_step, recognise_vercel
from lrat_hub.importers.mapping import Tools
from lrat_hub.importers.messages import is_message
from lrat_hub.importers.questions import Questions, with_question
from lrat_hub.importers.runs import (
    parse_agentir,
    parse_browsecomp,
    parse_release,
    recognise_agentir,
    recognise_browsecomp,
    recognise_release,
)
from lrat_hub.importers.smolagents import is_memory_step, parse_memory, recognise_memory
from lrat_hub.importers.sources import Record, read_records
from lrat_hub.importers.traces import is_trace_line, parse_trace, recognise_trace, sessions
from lrat_hub.importers.values import UnreadableRecord, identifier_of
from lrat_hub.ledger import Ledger
from lrat_hub.plugins import described
from lrat_hub.schema import Trajectory

if TYPE_CHECKING:
    from datasets import Dataset

    from lrat_hub.hub.refs import HubRef

RECORDS_LOOKED_AT = 20

Reader = Callable[[Any], "dict[str, Any] | Iterable[dict[str, Any]] | None"]
"""A function of the user's: a record in, a chat record out, or several, or None to leave the record out."""

Converter = Callable[[Any, Ledger], Iterator[dict[str, Any]]]
"""Makes chat records of one record, or raises UnreadableRecord. The ledger is that of the record's parts."""

Grouper = Callable[[Iterator[Record]], Iterator[Record]]
"""Puts records together that are parts of one run, such as the lines of a session."""


class Parser(Protocol):
    """Makes trajectories of one record, or raises UnreadableRecord when it holds none.

    Args:
        name: The record's name, unique in its source; usually the trajectory's id.
        value: The record: what JSON or a row of a table can hold.
        accounts: What `lrat_hub.importers.actions.Recorder` fills.
        tools: What the tools of the log do; None for the defaults.
    """

    def __call__(
        self, name: str, value: Any, accounts: Accounts, tools: Tools | None = None
    ) -> Iterable[Trajectory]: ...


@dataclass(frozen=True)
class Format:
    """One format. It has `parse` or `convert`.

    Args:
        recognise: Says why a record, as it stands in its file, is in this format, as the end of "this record is ...";
            None when it is not.
        is_part: Whether an element of a JSON array is a part of a record, so that the array is one record.
        special_case_of: A more general format whose `recognise` accepts this format's records, too.
    """

    recognise: Callable[[Any], str | None]
    parse: Parser | None = None
    convert: Converter | None = None
    group: Grouper | None = None
    is_part: Callable[[Any], bool] | None = None
    special_case_of: FormatName | None = None

    def trajectories(self, record: Record, accounts: Accounts, tools: Tools | None) -> Iterator[Trajectory]:
        """The runs in a record. Raises UnreadableRecord when it holds none."""
        if self.parse is not None:
            yield from self.parse(record.name, record.value, accounts, tools)
        elif self.convert is not None:
            yield from parse_chat_records(record.name, self.convert(record.value, accounts.parts), accounts, tools)


FormatName = Literal[
    "lrat", "browsecomp-plus", "chat", "smolagents", "openresearcher", "traces",
    "atif", "vercel", "llamaindex", "haystack", "gemini", "gemini-session", "langchain", "requests",
    "agentir", "tagged-text", "webthinker", "dr-tulu", "mirothinker", "skimsearch",
    "autogen", "pydantic-ai", "bedrock", "dspy", "openhands",
    "cohere", "microsoft",
    "openai-responses", "codex", "anthropic", "claude-code",
    "otel", "langfuse", "langsmith", "inspect",
]  # fmt: skip
FORMATS: dict[FormatName, Format] = {
    "lrat": Format(recognise_release, parse_release, special_case_of="browsecomp-plus"),
    "browsecomp-plus": Format(recognise_browsecomp, parse_browsecomp),
    "agentir": Format(recognise_agentir, parse_agentir, special_case_of="browsecomp-plus"),
    "chat": Format(recognise_chat, parse_chat),
    "smolagents": Format(recognise_memory, parse_memory),
    "openresearcher": Format(recognise_browser, parse_browser, special_case_of="chat"),
    "traces": Format(recognise_trace, parse_trace, group=sessions),
    "atif": Format(recognise_atif, convert=convert_atif),
    "vercel": Format(
        recognise_vercel, convert=convert_vercel, group=group_vercel, is_part=is_vercel_step, special_case_of="chat"
    ),
    "llamaindex": Format(
        recognise_llamaindex, convert=convert_llamaindex, group=group_llamaindex, is_part=is_llamaindex_event,
        special_case_of="chat",
    ),
    "haystack": Format(
        recognise_haystack, convert=convert_haystack, is_part=is_haystack_message, special_case_of="chat"
    ),
    "gemini": Format(recognise_gemini, convert=convert_gemini, special_case_of="chat"),
    "gemini-session": Format(
        recognise_gemini_session, convert=convert_gemini_session, group=group_gemini_sessions,
        is_part=lambda value: is_cli_message(value) or is_adk_event(value), special_case_of="chat",
    ),
    "langchain": Format(
        recognise_langchain, convert=convert_langchain, group=group_langchain, 
        is_part=lambda value: is_langchain_event(value) or is_langchain_update(value),
        special_case_of="chat",
    ),
    "autogen": Format(recognise_autogen, convert=convert_autogen, is_part=is_autogen_message),
    "pydantic-ai": Format(recognise_pydantic_ai, convert=convert_pydantic_ai, is_part=is_pydantic_ai_message),
    "bedrock": Format(recognise_bedrock, convert=convert_bedrock, special_case_of="chat"),
    "openhands": Format(
        recognise_openhands, convert=convert_openhands, is_part=is_openhands_event, special_case_of="chat"
    ),
    "cohere": Format(recognise_cohere, convert=convert_cohere, special_case_of="chat"),
    "microsoft": Format(
        recognise_microsoft, convert=convert_microsoft, is_part=is_microsoft_message, special_case_of="chat"
    ),
    "dspy": Format(recognise_dspy, convert=convert_dspy),
    "requests": Format(recognise_requests, convert=convert_requests, group=group_requests, special_case_of="chat"),
    "tagged-text": Format(recognise_rollout, convert=convert_rollout),
    "webthinker": Format(recognise_webthinker, convert=convert_webthinker),
    "dr-tulu": Format(recognise_dr_tulu, convert=convert_dr_tulu),
    "mirothinker": Format(recognise_mirothinker, convert=convert_mirothinker),
    "skimsearch": Format(recognise_skimsearch, convert=convert_skimsearch),
    "openai-responses": Format(
        recognise_responses, convert=convert_responses, group=group_responses, special_case_of="requests"
    ),
    "codex": Format(recognise_codex, convert=convert_codex, group=group_codex, special_case_of="openai-responses"),
    "anthropic": Format(
        recognise_anthropic, convert=convert_anthropic, group=group_anthropic, special_case_of="requests"
    ),
    "claude-code": Format(recognise_claude_code, convert=convert_claude_code, group=group_claude_code),
    "otel": Format(recognise_spans, convert=convert_spans, group=group_spans),
    "langfuse": Format(recognise_langfuse, convert=convert_langfuse, group=group_langfuse),
    "langsmith": Format(
        recognise_langsmith, convert=convert_langsmith, group=group_langsmith, special_case_of="langchain"
    ),
    "inspect": Format(recognise_inspect, convert=convert_inspect, group=group_inspect, special_case_of="requests"),
}  # fmt: skip


def parse_chat_records(
    name: str, records: Iterable[Any], accounts: Accounts, tools: Tools | None
) -> Iterator[Trajectory]:
    """Trajectories of chat records that come from one record; from the second on, the name has a number."""
    empty, count = True, 0
    for chat in records:
        empty = False
        # A conversation of several questions numbers its runs itself, so that the number is that of the next run.
        for trajectory in parse_chat(name if count == 0 else f"{name}-{count + 1}", chat, accounts, tools):
            count += 1
            yield trajectory
    if empty:
        raise UnreadableRecord("no run in it")


def load_trajectories(
    source: HubRef | Dataset | str | Path,
    *,
    strict: bool = False,
    format: FormatName | None = None,
    mapping: Tools | None = None,
    reader: Reader | None = None,
    questions: Questions | None = None,
) -> Iterator[Trajectory]:
    """Trajectories from a Hub reference, a loaded dataset, or a path that `lrat import` reads.

    Args:
        source: A `HubRef` or its text ("datasets/ns/name@rev#config:split"), a `datasets.Dataset` with the columns
            of `lrat_hub.schema.trajectory_features`, or a path that exists: see `read_trajectories`.
        strict: Whether to raise, after the last trajectory of a path, when any part of it was lost.
        format, mapping, reader, questions: See `read_trajectories`.

    Raises:
        LratError: The source does not exist, is of another kind, holds nothing that can be read, has no run in which a
            search or a browse was understood, or lost something under `strict`.
    """
    if isinstance(source, (str, Path)) and Path(source).exists():
        accounts = Accounts()
        yield from read_trajectories(
            Path(source), accounts, format=format, mapping=mapping, reader=reader, questions=questions
        )
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
    mapping: Tools | None = None,
    reader: Reader | None = None,
    questions: Questions | None = None,
) -> Iterator[Trajectory]:
    """Reads trajectories from a file, a folder or an archive, one at a time.

    Args:
        accounts: Filled as reading goes on.
        format: One of `FORMATS`; None to recognise it.
        mapping: What the tools of the logs do, and where what stands in their records; see `load_mapping`.
        reader: Makes chat records of the source's records, which then need no format.
        questions: Query id to question and gold answer, for runs that have none.

    Raises:
        LratError: The path does not exist, has no file that is read, or its format is unknown.
    """
    known = format_of(path, format, reader, mapping)
    for record in records_of(path, accounts, known):
        yield from trajectories_of(record, known, accounts, mapping, questions)


def format_of(path: Path, format: FormatName | None, reader: Reader | None, mapping: Tools | None = None) -> Format:
    """The format of a source: that of a reader, one by its name, or the one that is recognised.

    Where a mapping says where the messages are, records are conversations, whatever they look like.
    """
    if reader is not None:
        return Format(_is_read, convert=_converter(reader))
    if format is None and mapping is not None and mapping.says_where_messages_are:
        format = "chat"
    if format is None:
        recognised = recognise_format(path)
        # Without a record that could be read, any format comes to the same account.
        format = recognised.format if recognised else "lrat"
    if format not in FORMATS:
        raise LratError(f"Import: expected a format out of {', '.join(FORMATS)}, found {format!r}.")
    return FORMATS[format]


def _is_read(value: Any) -> str | None:
    """Readers take every record."""
    return "read by a reader"


def trajectories_of(
    record: Record,
    known: Format,
    accounts: Accounts,
    mapping: Tools | None = None,
    questions: Questions | None = None,
) -> Iterator[Trajectory]:
    """The trajectories of a record, or a drop in the account of records."""
    # Steps and calls of a record that turns out to be no run are not counted: they are lost with the record.
    inner = Accounts()
    count = 0
    try:
        for trajectory in known.trajectories(record, inner, mapping):
            count += 1
            if questions is not None:
                trajectory = with_question(trajectory, questions, accounts)
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
    if count:
        accounts.records.keep()
        accounts.records.note(FURTHER_RUNS, count - 1)
        accounts.records.lose(f"rest of a record, {reason}", int(reason != ""), example=record.name)
    else:
        accounts.records.drop(reason, example=record.name)


FURTHER_RUNS = "runs beyond the first of their record"
NO_QUESTION = "runs without a question"
READER_FAILED = "records that the reader failed on"


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
            reasons += f" ({example})"
        raise LratError(f"Import: expected trajectories in {path}, found none that can be read: {reasons}.")
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


@dataclass(frozen=True)
class Recognised:
    """A source's format and what gave it away."""

    format: FormatName
    why: str

    def __str__(self) -> str:
        return f"{self.format}: {self.why}"


def records_of(path: Path, accounts: Accounts, known: Format) -> Iterator[Record]:
    """The records of a source in one format: lines of a session are put together, objects of runs are unfolded."""
    records = _unfolded(read_records(path, accounts.records, _is_part, accounts.files), [known])
    return known.group(records) if known.group is not None else records


def recognise_format(path: Path) -> Recognised | None:
    """The format of a source, from its first records; None when not one record can be read.

    Raises:
        LratError: The records are in no format that is known, or in several.
    """
    reasons: dict[FormatName, str] = {}
    records = _unfolded(read_records(path, Accounts().records, _is_part), list(FORMATS.values()))
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


def _is_part(value: Any) -> bool:
    """Whether an element of a JSON array is part of a record, so that the whole array is one record."""
    return (
        is_message(value)
        or is_memory_step(value)
        or is_trace_line(value)
        or any(known.is_part(value) for known in FORMATS.values() if known.is_part is not None)
    )


def _unfolded(records: Iterator[Record], formats: Sequence[Format]) -> Iterator[Record]:
    """Records with objects of runs, such as `{query id: run}` and `{"data": [run, ...]}`, taken apart."""
    for record in records:
        parts = [] if _is_known(record.value, formats) else _runs_in(record.value, formats)
        if parts:
            yield from (replace(record, place=_joined(record.place, key), value=run) for key, run in parts)
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
        (str(key), {"query_id": key, **run} if isinstance(run, dict) and not _has_id(run) else run)
        for key, run in value.items()
    ]


WRAPPER_KEYS = 8
"""An object with fewer keys than this may be a wrapper around a list of runs."""


def _has_id(run: dict[str, Any]) -> bool:
    return any(identifier_of(run.get(key)) for key in ("query_id", "qid", "question_id", "task_id", "id"))


def _is_known(value: Any, formats: Sequence[Format]) -> bool:
    return any(known.recognise(value) for known in formats)


def _joined(place: int | str | None, key: str) -> str:
    return key if place is None else f"{place}/{key}"


def _converter(reader: Reader) -> Converter:
    def convert(value: Any, parts: Ledger) -> Iterator[dict[str, Any]]:
        try:
            made = reader(value)
            chats: list[dict[str, Any]] = (
                [] if made is None else [cast("dict[str, Any]", made)] if isinstance(made, dict) else list(made)
            )
        except Exception as error:  # it is the user's code, which may raise anything, and costs the record
            parts.drop(READER_FAILED, example=described(error))
            raise UnreadableRecord(f"the reader failed: {type(error).__name__}") from error
        yield from chats

    return convert


def _shape(value: Any) -> str:
    if isinstance(value, dict):
        return f"an object with {', '.join(map(repr, list(value)[:8])) or 'no keys'}"
    return f"a list of {len(value)}" if isinstance(value, list) else type(value).__name__
