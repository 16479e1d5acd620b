"""Runs as BrowseComp-Plus writes them and the LRAT release extends them: a JSON object with a `result` list.

Its items are reasoning, tool calls and a last text, each with `type`, `tool_name`, `arguments` and `output`. All
clients of the LRAT release (Tongyi and WebExplorer, OpenAI, gpt-oss) write them; they differ in tools and arguments.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from lrat_hub.importers.actions import Recorder
from lrat_hub.importers.mapping import Tools
from lrat_hub.importers.messages import split_answer
from lrat_hub.importers.values import (
    UnreadableRecord,
    identifier_of,
    metadata_of,
    model_name,
    object_of,
    sampling_of,
    text_of,
)
from lrat_hub.ledger import Ledger
from lrat_hub.schema import Status, Trajectory

FORMAT = "LRAT release"
BROWSECOMP_FORMAT = "BrowseComp-Plus run"

# Statuses of the release; "format error: ..." and what is not listed end without an answer of the agent's own.
LIMITED = ("generate an answer as token limit reached", "exceed available llm calls")

LRAT_KEYS = ("searcher_type", "snippet_max_tokens", "presence_penalty")
COLUMNS = {"metadata", "query_id", "query", "answer", "result", "raw_messages"}


def recognise_release(value: Any) -> str | None:
    """Why a value is a run of the LRAT release, or None."""
    if not _is_run(value):
        return None
    found = [key for key in LRAT_KEYS if key in object_of(value.get("metadata"))]
    found += ["tool_call_counts_all"] if "tool_call_counts_all" in value else []
    return f"a `result` list, and {found[0]} of the release" if found else None


def recognise_browsecomp(value: Any) -> str | None:
    """Why a value is a run of BrowseComp-Plus, or None."""
    return "a `result` list without the keys of the LRAT release" if _is_run(value) else None


def _is_run(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("result"), list)


def parse_release(
    name: str, value: Any, steps: Ledger, tools: Tools | None = None, *, format_name: str = FORMAT
) -> Trajectory:
    """One run as a trajectory.

    Args:
        name: The file's name in its folder or archive; it becomes the trajectory's id. Archives keep correct and
            wrong runs in folders `<retriever>_true` and `<retriever>_false`, which is where `correct` comes from.
        steps: The account of steps: those that could be read are kept, others become `invalid` and are dropped.

    Raises:
        UnreadableRecord: It is not such a run.
    """
    if not _is_run(value):
        raise UnreadableRecord("not a trajectory: no `result` list")
    recorder = Recorder(tools or Tools(), steps)
    for item in value["result"]:
        _record(recorder, object_of(item))
    meta = object_of(value.get("metadata"))
    extra = {key: value for key, value in value.items() if key not in COLUMNS}
    return Trajectory(
        trajectory_id=name,
        query_id=identifier_of(value.get("query_id")) or name,
        question=text_of(value.get("query")),
        steps=recorder.finish(),
        gold_answer=text_of(value["answer"]) if value.get("answer") is not None else None,
        final_answer=recorder.final_answer,
        status=_status(value.get("status"), recorder.final_answer),
        correct={"true": True, "false": False}.get(PurePosixPath(name).parent.name.rpartition("_")[2]),
        agent=model_name(meta.get("model")),
        retriever=text_of(meta.get("searcher_type")),
        sampling=sampling_of(meta),
        metadata=metadata_of(format_name, {"source_metadata": meta, **extra}),
    )


def parse_browsecomp(name: str, value: Any, steps: Ledger, tools: Tools | None = None) -> Trajectory:
    """One run of BrowseComp-Plus as a trajectory; see `parse_release`."""
    return parse_release(name, value, steps, tools, format_name=BROWSECOMP_FORMAT)


def _record(recorder: Recorder, item: Mapping[str, Any]) -> None:
    output = text_of(item.get("output"))
    match item.get("type"):
        case "reasoning":
            recorder.reason(output)
        case "tool_call":
            recorder.call(item.get("tool_name"), item.get("arguments"), output)
        case "output_text":
            thought, answer = split_answer(output)
            recorder.reason(thought)
            recorder.answer(answer)
        case kind:
            recorder.invalid(f"unknown kind of item: {kind!r}")


def _status(status: Any, answer: str | None) -> Status:
    if status == "completed" or (status is None and answer):
        return "completed"
    return "limited" if status in LIMITED else "failed"
