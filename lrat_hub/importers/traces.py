"""Session traces of the Hub, in and out: a line for the session, then a line for each message.

    {"type": "session", "harness": "lrat-hub", "id": "12-0", "name": "Who wrote ...?"}
    {"type": "message", "message": {"role": "user", "content": "Who wrote ...?"}}
    {"type": "message", "message": {"role": "assistant", "content": "", "reasoningContent": "I search.",
                                    "toolCalls": [{"id": "call-0", "function": {"name": ..., "arguments": "{...}"}}]}}
    {"type": "message", "message": {"role": "tool", "toolCallId": "call-0", "content": "..."}}

The Hub's documentation describes them: https://huggingface.co/docs/hub/session-traces-format
(huggingface/hub-docs@9d148464). Arguments of calls are JSON in a string there.

Traces written here carry what this shape has no place for under the key `lrat`, beside `type`: reading them gives the
trajectory that was written. Traces of other harnesses are read as conversations.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from lrat_hub.importers.accounts import Accounts
from lrat_hub.importers.actions import Recorder
from lrat_hub.importers.chat import parse_conversation
from lrat_hub.importers.mapping import LogMapping
from lrat_hub.importers.restored import restore_step, restored_run
from lrat_hub.importers.sources.records import Record
from lrat_hub.importers.values import UnreadableRecord, identifier_of, metadata_of, object_of, text_of
from lrat_hub.obfuscation import canary_of_run
from lrat_hub.schema import Step, Trajectory

if TYPE_CHECKING:
    from datasets import Dataset

FORMAT = "session trace"
HARNESS = "lrat-hub"
KEY = "lrat"
FOLDER = "traces"
NAME_LENGTH = 80

# Lines are made here, of records, so that nothing in them holds itself.
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False)
TOOLS = {"search": "search", "browse": "get_document", "invalid": "invalid"}


# Out


def trace_files(
    trajectories: Dataset | Sequence[Trajectory],
    *,
    limit: int | None = None,
    write: Callable[[Trajectory], str] | None = None,
) -> Mapping[str, str]:
    """Session-trace files of trajectories: `traces/<id>.jsonl` to its text, which is made when it is asked for.

    Runs on questions that are published obfuscated have none: a trace is plain text.

    Args:
        trajectories: Records, or a table of them, which is then read a row at a time.
        limit: Maximum number of runs, from the start; None for all.
        write: Gives the text of a run in another format.
    """
    count = len(trajectories) if limit is None else min(limit, len(trajectories))
    return _TraceFiles(trajectories, count, write or trace_text)


class _TraceFiles(Mapping[str, str]):
    """A mapping rather than a dict: a large import's traces are never in memory together."""

    def __init__(
        self, trajectories: Dataset | Sequence[Trajectory], count: int, write: Callable[[Trajectory], str]
    ) -> None:
        self._trajectories, self._write = trajectories, write
        if hasattr(trajectories, "column_names"):
            columns = cast("Dataset", trajectories).select_columns(["trajectory_id", "metadata"])[:count]
            named = list(zip(columns["trajectory_id"], columns["metadata"], strict=True))
        else:
            named = [(trajectory.trajectory_id, trajectory.metadata) for trajectory in trajectories[:count]]
        self._rows: dict[str, int] = {}
        for row, (name, metadata) in enumerate(named):
            if canary_of_run(metadata) is not None:
                continue
            path = _trace_path(name)
            self._rows[path if path not in self._rows else _trace_path(f"{name}\0{row}")] = row

    def __getitem__(self, path: str) -> str:
        row = self._trajectories[self._rows[path]]
        return self._write(row if isinstance(row, Trajectory) else Trajectory.from_dict(row))

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


class TraceWriter:
    """Writes session traces to files as trajectories come, until there are enough.

    Args:
        folder: Where the files go.
        limit: Most traces that are written, from the first trajectory on.
        limit_bytes: The trace that would make all together longer ends it, too.
    """

    def __init__(self, folder: Path, *, limit: int, limit_bytes: int) -> None:
        self.paths: dict[str, Path] = {}
        """Path in a repository to the file."""
        self.num_wanted = limit
        self._bytes_wanted = limit_bytes
        self._folder = folder

    def write(self, trajectory_id: str, trace: bytes) -> None:
        """Writes a trace, or nothing where there are enough."""
        if len(trace) > self._bytes_wanted:
            self.num_wanted = 0
        if not self.num_wanted:
            return
        self.num_wanted -= 1
        self._bytes_wanted -= len(trace)
        path, row = _trace_path(trajectory_id), len(self.paths)
        file = self._folder / f"{row}.jsonl"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(trace)
        self.paths[path if path not in self.paths else _trace_path(f"{trajectory_id}\0{row}")] = file


def _trace_path(name: str) -> str:
    """A path in the repository for an id, which may be any text; a hash tells apart those that had to be changed."""
    safe = re.sub(r"[^\w-]+", "_", name, flags=re.ASCII).strip("_")[:NAME_LENGTH]
    if safe != name:
        safe = "-".join(filter(None, (safe, hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:8])))
    return f"{FOLDER}/{safe}.jsonl"


def trace_text(trajectory: Trajectory) -> str:
    """A trajectory as the text of a session-trace file."""
    return "".join(_ENCODER.encode(line) + "\n" for line in _lines(trajectory))


def _lines(trajectory: Trajectory) -> Iterator[dict[str, Any]]:
    columns = {item.name: getattr(trajectory, item.name) for item in fields(Trajectory) if item.name != "steps"}
    yield {
        "type": "session",
        "harness": HARNESS,
        "id": trajectory.trajectory_id,
        "name": trajectory.question or trajectory.trajectory_id,
        KEY: columns | {"sampling": _finite(vars(trajectory.sampling))},
    }
    yield _message("user", trajectory.question)
    for group in by_message(trajectory.steps):
        reasoning, calls = group[0].reasoning or "", [step for step in group if step.action != "answer"]
        thought = {"reasoningContent": reasoning} if reasoning else {}
        if calls:
            yield _message("assistant", "", **thought, toolCalls=list(map(_call, calls)))
        elif thought:
            yield _message("assistant", "", **thought)
        for step in group:
            extra = {KEY: _extra(step)}
            if step.action == "answer":
                yield _message("assistant", trajectory.final_answer or "") | extra
            else:
                yield _message("tool", step.observation, toolCallId=call_id(step)) | extra


def by_message(steps: Sequence[Step]) -> list[list[Step]]:
    """Steps by the message they came in: one without reasoning of its own belongs to the step before it."""
    starts = 0
    numbered = []
    for step in steps:
        starts += step.reasoning is not None
        numbered.append((starts, step))
    return [[step for _, step in group] for _, group in groupby(numbered, key=lambda item: item[0])]


def _message(role: str, content: str, **more: Any) -> dict[str, Any]:
    return {"type": "message", "message": {"role": role, "content": content, **more}}


def _call(step: Step) -> dict[str, Any]:
    function = {"name": TOOLS[step.action], "arguments": _ENCODER.encode(arguments_of(step))}
    return {"id": call_id(step), "function": function}


def call_id(step: Step) -> str:
    return f"call-{step.turn}"


def arguments_of(step: Step) -> dict[str, Any]:
    """Arguments with which an agent would call its tool."""
    if step.action == "invalid":
        return {}
    if step.action == "search":
        return {"query": list(step.queries)}
    named = {} if step.search_turn is None else {"search_id": f"call-{step.search_turn}"}
    return {"docid": step.docid, **named}


def _extra(step: Step) -> dict[str, Any]:
    """A step without what its messages say. `joined` marks one that shares the reasoning of the step before it."""
    extra: dict[str, Any] = {"action": step.action}
    if step.queries:
        extra["queries"] = step.queries
    if step.results:
        extra["results"] = [
            vars(hit) if hit.score is None or math.isfinite(hit.score) else _finite(vars(hit)) for hit in step.results
        ]
    if step.docid is not None:
        extra["docid"] = step.docid
    if step.action == "answer" and step.observation:
        extra["observation"] = step.observation
    if step.error is not None:
        extra["error"] = step.error
    if step.search_turn is not None:
        extra["search_turn"] = step.search_turn
    if step.reasoning is None:
        extra["joined"] = True
    return extra


def _finite(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Values with None for numbers that JSON does not have."""
    if all(not isinstance(value, float) or math.isfinite(value) for value in values.values()):
        return values
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in values.items()
    }


def known(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that are known, and that JSON has."""
    return {key: value for key, value in _finite(values).items() if value is not None}


# In


def is_trace_line(value: Any) -> bool:
    """Whether a value is a line of a session trace."""
    return isinstance(value, dict) and (
        (value.get("type") == "session" and ("harness" in value or "id" in value))
        or (value.get("type") == "message" and isinstance(value.get("message"), dict))
    )


def sessions(records: Iterator[Record]) -> Iterator[Record]:
    """Records with the lines of each session trace put together: a list that starts with the session's line.

    Other lines of the same file, which harnesses write too, belong to the session they stand in.
    """
    for _, group in groupby(records, key=lambda record: record.source):
        open_session: Record | None = None
        for record in group:
            starts = is_trace_line(record.value) and (open_session is None or record.value["type"] == "session")
            if starts:
                if open_session is not None:
                    yield open_session
                number = None if record.position in (None, 1) else record.position
                open_session = Record(record.source, number, [record.value])
            elif open_session is not None:
                open_session.value.append(record.value)
            else:
                yield record
        if open_session is not None:
            yield open_session


def recognise_trace(value: Any) -> str | None:
    """Why a value is a session trace, or None."""
    first = value[0] if isinstance(value, list) and value else value
    if not is_trace_line(first):
        return None
    header = object_of(first) if object_of(first).get("type") == "session" else {}
    return f"lines of type session and message, harness {text_of(header.get('harness')) or 'unknown'}"


def parse_trace(name: str, value: Any, accounts: Accounts, mapping: LogMapping | None = None) -> Iterator[Trajectory]:
    """A session as a trajectory.

    Args:
        name: Becomes the trajectory's id, unless the session was written here.
        value: The session's lines.
        accounts: What was read, kept and lost is counted here.

    Raises:
        UnreadableRecord: It is no session, or has no messages.
    """
    if not isinstance(value, list) or recognise_trace(value) is None:
        raise UnreadableRecord("not a trajectory: no session or message lines")
    header = value[0] if value[0]["type"] == "session" else {}
    recorder = Recorder(mapping or LogMapping(), accounts)
    if header.get("harness") == HARNESS and isinstance(header.get(KEY), dict):
        yield _restored(name, header[KEY], value[1:], recorder)
        return
    messages = [line.get("message") for line in value if isinstance(line, dict) and line.get("type") == "message"]
    extra = {key: header[key] for key in ("harness", "id", "name") if key in header}
    yield from parse_conversation(
        name, messages, accounts, mapping or LogMapping(), FORMAT,
        query_id=identifier_of(header.get("id")) or name,
        agent=text_of(header.get("harness")),
        metadata=metadata_of(FORMAT, extra),
    )  # fmt: skip


def _restored(name: str, columns: Mapping[str, Any], lines: Sequence[Any], recorder: Recorder) -> Trajectory:
    """A trajectory that was written here."""
    for line in lines:
        message, extra = object_of(object_of(line).get("message")), object_of(line).get(KEY)
        content = text_of(message.get("content"))
        if isinstance(extra, dict):
            restore_step(extra, content, recorder)
        elif message.get("role") == "assistant":
            # Earlier versions wrote what was thought as what was said.
            recorder.reason(text_of(message.get("reasoningContent")) or content)
        elif message.get("role") != "user":
            recorder.invalid("line of a trace can't be read", content)
    return restored_run(name, columns, recorder)
