"""Sessions of Strands Agents as its managers keep them in folders or on S3: a file for each message.

A session has a folder of its own, with `session.json` and `agents/agent_<id>/`, where `agent.json` and
`messages/message_<number>.json` are. The messages are those of the Converse API. Each agent of a session is a run.

Source: `strands-agents` 1.62.0 (PyPI), `strands/session/file_session_manager.py` and `strands/types/session.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from lrat_hub.importers.converters.bedrock import convert_bedrock, is_converse_message
from lrat_hub.importers.sources.grouping import by_key, parts_of
from lrat_hub.importers.sources.records import Record
from lrat_hub.importers.values import UnreadableRecord, integer_of, listed, object_of
from lrat_hub.ledger import Ledger


class _File(NamedTuple):
    """A file of a session.

    Args:
        session, agent: The folders that it is in; of the session's own file, the agent is "".
    """

    session: str
    agent: str
    value: Any


def recognise_strands(value: Any) -> str | None:
    """Why a record is a message of a session of Strands Agents, or the files of an agent of one, or None."""
    values = [file.value for file in listed(value) if isinstance(file, _File)] or [value]
    return "a message of a session of Strands Agents" if any(map(_is_message, values)) else None


def group_strands(records: Iterator[Record]) -> Iterator[Record]:
    """The files of each agent of a session as one record, with the file of the session."""
    placed = (replace(record, value=_placed(record)) for record in records)
    for record in by_key(lambda value: value.session if isinstance(value, _File) else None, across_files=True)(placed):
        files = listed(record.value)
        agents = dict.fromkeys(file.agent for file in files if isinstance(file, _File) and file.agent)
        for agent in agents:
            source = record.source if agent == "." else agent
            yield Record(source, None, [file for file in files if file.agent in (agent, "")])
        if not agents:
            yield replace(record, value=record.value.value) if isinstance(record.value, _File) else record


def convert_strands(value: Any, parts: Ledger) -> Iterator[dict[str, Any]]:
    """The run of an agent in a session as a chat record.

    Raises:
        UnreadableRecord: The session has no message.
    """
    values = [file.value if isinstance(file, _File) else file for file in parts_of(value)]
    messages = sorted(filter(_is_message, values), key=lambda message: message["message_id"])
    if not messages:
        raise UnreadableRecord("not a session of Strands Agents: no messages")
    beside = [part for part in map(object_of, values) if not _is_message(part)]
    names = {key: part[key] for part in beside for key in ("session_id", "agent_id") if key in part}
    # Where a message was redacted, the other one is what the agent saw from then on.
    said = [message.get("redact_message") or message["message"] for message in messages]
    yield from convert_bedrock({"messages": said, "metadata": names}, parts)


def _is_message(value: Any) -> bool:
    record = object_of(value)
    return integer_of(record.get("message_id")) is not None and is_converse_message(record.get("message"))


def _placed(record: Record) -> Any:
    """The file of a session with its place, where a record is one; the record's value where it is none."""
    path, value = PurePosixPath(record.source), object_of(record.value)
    if _is_message(value):
        agent = path.parent.parent if path.parent.name == "messages" else path.parent
    elif "agent_id" in value and "conversation_manager_state" in value:
        agent = path.parent
    elif "session_id" in value and "session_type" in value:
        return _File(str(path.parent), "", value)
    else:
        return record.value
    session = agent.parent.parent if agent.parent.name == "agents" else agent
    return _File(str(session), str(agent), value)
