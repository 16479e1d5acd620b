"""Langfuse's traces with their observations, and lists of single observations, by their traces.

Read are what its API and its exports give: names of fields with underscores or without, values that are JSON text or
not. An observation that came by OpenTelemetry keeps the attributes of its span in its metadata.

Sources: langfuse/langfuse@62751446 (packages/shared: ObservationSchema; the traces of twenty frameworks in
worker/src/__tests__/chatml/framework-traces), langfuse 5.0.4 (PyPI).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from typing import Any

from lrat_hub.importers.converters.contents import PARTS_LOOKED_AT
from lrat_hub.importers.converters.dialects import messages_in
from lrat_hub.importers.converters.observations import (
    Kind,
    Observation,
    arguments_of,
    documents_of,
)
from lrat_hub.importers.converters.span_records import tree_of
from lrat_hub.importers.converters.trace_values import Unknown, call_id_in, parsed, question_in, shown_text
from lrat_hub.importers.converters.transcripts import runs_of
from lrat_hub.importers.mapping import LogMapping, short_name
from lrat_hub.importers.outcomes import verdict_in
from lrat_hub.importers.sources.grouping import by_key, parts_of
from lrat_hub.importers.times import seconds_of
from lrat_hub.importers.values import UnreadableRecord, identifier_of, listed, number_of, object_of, text_of
from lrat_hub.ledger import Ledger

_KINDS: Mapping[str, Kind] = {
    "GENERATION": "model", "TOOL": "tool", "RETRIEVER": "retriever", "AGENT": "agent",
    **dict.fromkeys(("SPAN", "EVENT", "CHAIN", "EMBEDDING", "EVALUATOR", "GUARDRAIL"), "other"),
}  # fmt: skip
_VERDICTS = ("correctness", "correct", "accuracy", "exact_match", "is_correct")
_TRACE_FIELDS = {"sessionid", "userid", "observations", "htmlpath", "bookmarked", "totalcost", "scores"}
_TOOL_PREFIXES = ("running tool: ", "execute_tool ", "tool.", "Tool: ")


def recognise_langfuse(value: Any) -> str | None:
    """Why a record is a trace or an observation of Langfuse, or None."""
    if not isinstance(value, dict):
        return None
    if isinstance(value.get("trace"), dict) and _is_observations(value.get("observations")):
        return "a trace of Langfuse with its observations"
    fields = _fields(value)
    if _is_observation(fields):
        return "an observation of Langfuse, with `traceId` and `type`"
    if "id" in fields and _is_observations(parsed(fields.get("observations"))):
        return "a trace of Langfuse with its observations"
    is_trace = "id" in fields and "timestamp" in fields and len(_TRACE_FIELDS & set(fields)) > 1
    if is_trace and {"input", "output"} & set(fields):
        return "a trace of Langfuse, with `timestamp`, `input` and `output`"
    return None


def trace_of(value: Any) -> str | None:
    """The trace of a record that stands in a list of observations or traces; None for one that is whole."""
    if not isinstance(value, dict) or isinstance(value.get("trace"), dict):
        return None
    fields = _fields(value)
    if _is_observation(fields):
        return identifier_of(fields["traceid"])
    return None if _is_observations(parsed(fields.get("observations"))) else identifier_of(fields.get("id"))


group_langfuse = by_key(trace_of)
"""Puts the observations of a trace together."""


def convert_langfuse(value: Any, parts: Ledger) -> Iterator[dict[str, Any]]:
    """Chat records of a trace, or of several.

    Args:
        parts: The account of observations.

    Raises:
        UnreadableRecord: There is neither a trace nor an observation in it.
    """
    trace: Mapping[str, Any] = {}
    observations: list[Mapping[str, Any]] = []
    for part in map(object_of, parts_of(value)):
        if isinstance(part.get("trace"), dict):
            part = {**part["trace"], "observations": part.get("observations"), "scores": part.get("scores")}
        fields = _fields(part)
        if _is_observation(fields):
            observations.append(fields)
        elif recognise_langfuse(part) is not None or _is_observations(parsed(fields.get("observations"))):
            trace = fields
            observations += [
                _fields(item) for item in listed(parsed(fields.get("observations"))) if isinstance(item, dict)
            ]
    if not trace and not observations:
        raise UnreadableRecord("not a trace of Langfuse: no observation with the id of a trace and a type")
    unknown = Unknown(parts)
    ids = {identifier_of(fields.get("id")) for fields in observations} - {None}
    items = [_observation(fields, ids, unknown, parts) for fields in observations]
    _find_tools(items)
    if not any(item.inputs or item.outputs or item.kind in ("tool", "retriever") for item in items):
        items.append(_root(trace, unknown))
    for is_main, record in runs_of(items, parts):
        if is_main:
            _add_trace(record, trace)
        yield {**record, "metadata": _metadata(trace, observations)}


def _fields(value: Mapping[str, Any]) -> dict[str, Any]:
    """Fields by names without case and underscores: exports write them differently."""
    return {str(key).lower().replace("_", "").replace(" ", ""): part for key, part in value.items()}


def _is_observation(fields: Mapping[str, Any]) -> bool:
    kind = fields.get("type")
    return isinstance(kind, str) and kind.upper() in _KINDS and identifier_of(fields.get("traceid")) is not None


def _is_observations(value: Any) -> bool:
    return isinstance(value, list) and any(
        isinstance(item, dict) and str(item.get("type")).upper() in _KINDS for item in value[:PARTS_LOOKED_AT]
    )


def _observation(fields: Mapping[str, Any], ids: Set[str | None], unknown: Unknown, parts: Ledger) -> Observation:
    kind = _KINDS.get(text_of(fields.get("type")).upper())
    if kind is None:
        parts.drop(f"observation of unknown type {fields.get('type')!r:.40}", example=text_of(fields.get("name")))
    else:
        parts.keep()
    kind, name = kind or "other", text_of(fields.get("name"))
    if kind == "other":
        kind, name = _by_attributes(fields, name)
    item = Observation(
        kind,
        identifier_of(fields.get("id")),
        identifier_of(fields.get("parentobservationid")),
        seconds_of(fields.get("starttime")),
        name,
        failed=fields.get("level") == "ERROR",
    )
    given, made = fields.get("input"), fields.get("output")
    item.arguments, item.shown = arguments_of(given), shown_text(made) or text_of(fields.get("statusmessage"))
    item.question, item.answer = question_in(given), question_in(made)
    if kind == "other" and _is_documents(made):
        item.kind = "retriever"
    if item.kind == "retriever":
        item.documents = documents_of(made)
        item.arguments = {"query": item.question} if item.question else item.arguments
    elif kind == "tool":
        item.call_id = call_id_in(made)
    elif kind != "other" or item.parent not in ids:  # steps of a framework repeat what those within them say
        item.inputs = messages_in(given, unknown)
        item.outputs = messages_in(made, unknown, role="assistant")
        item.model = text_of(fields.get("model") or fields.get("providedmodelname"))
        settings = object_of(parsed(fields.get("modelparameters")))
        names = ("temperature", "top_p", "seed", "presence_penalty")
        item.sampling = {key: settings[key] for key in names if number_of(settings.get(key)) is not None}
    return item


def _by_attributes(fields: Mapping[str, Any], name: str) -> tuple[Kind, str]:
    """The kind of a plain observation by the attributes of the span that it was."""
    metadata = object_of(parsed(fields.get("metadata")))
    tree = tree_of(parsed(metadata.get("attributes")))
    inference, semantic = object_of(tree.get("openinference")), object_of(tree.get("gen_ai"))
    kinds = {
        "TOOL": "tool",
        "RETRIEVER": "retriever",
        "AGENT": "agent",
        "execute_tool": "tool",
        "invoke_agent": "agent",
    }
    kind = object_of(inference.get("span")).get("kind") or object_of(semantic.get("operation")).get("name")
    tool = object_of(semantic.get("tool")).get("name") or object_of(tree.get("tool")).get("name")
    if isinstance(tool, str) and kind in (None, "TOOL", "execute_tool"):
        return "tool", tool
    known: Any = kinds.get(kind, "other") if isinstance(kind, str) else "other"
    return known, name


def _find_tools(items: list[Observation]) -> None:
    """Takes plain observations for tools where models call tools of their names, or the names are those of tools."""
    called = {
        short_name(text_of(object_of(call.get("function")).get("name")))
        for item in items
        for chat in (*item.inputs, *item.outputs)
        for call in listed(chat.get("tool_calls"))
    }
    mapping = LogMapping()
    has_children = {item.parent for item in items}
    for item in items:
        name = next((item.name.removeprefix(p) for p in _TOOL_PREFIXES if item.name.startswith(p)), item.name)
        if item.kind in ("tool", "retriever"):
            item.name = name
        elif (
            item.kind == "other" and (short_name(name) in called or mapping.find(name)) and item.arguments is not None
        ):
            if item.id in has_children and mapping.find(name) is None:
                continue
            item.kind, item.name, item.call_id = "tool", name, None


def _is_documents(made: Any) -> bool:
    rows = parsed(made)
    return (
        isinstance(rows, list) and bool(rows) and all(isinstance(row, dict) and "page_content" in row for row in rows)
    )


def _root(trace: Mapping[str, Any], unknown: Unknown) -> Observation:
    """A trace that says itself what went on, as an agent."""
    item = Observation("agent", question=question_in(trace.get("input")), answer=question_in(trace.get("output")))
    item.inputs = messages_in(trace.get("input"), unknown)
    item.outputs = messages_in(trace.get("output"), unknown, role="assistant")
    return item


def _add_trace(record: dict[str, Any], trace: Mapping[str, Any]) -> None:
    """What the trace says beyond its observations."""
    if "question" not in record and (question := question_in(trace.get("input"))):
        record["question"] = question
    last = record["messages"][-1] if record["messages"] else {}
    is_answered = last.get("role") == "assistant" and not last.get("tool_calls")
    if not is_answered and "final_answer" not in record and (answer := question_in(trace.get("output"))):
        record["final_answer"] = answer
    verdicts = {
        verdict
        for score in map(object_of, listed(parsed(trace.get("scores"))))
        if score.get("name") in _VERDICTS and (verdict := _verdict(score)) is not None
    }
    if len(verdicts) == 1:
        record["correct"] = verdicts.pop()
    if gold := question_in(trace.get("expectedoutput")):
        record["gold_answer"] = gold


def _verdict(score: Mapping[str, Any]) -> bool | None:
    value = score.get("value")
    return verdict_in(score.get("stringValue")) if value is None else verdict_in(value)


def _metadata(trace: Mapping[str, Any], observations: list[Mapping[str, Any]]) -> dict[str, Any]:
    trace_id = identifier_of(trace.get("id")) or next(
        (identifier_of(item.get("traceid")) for item in observations), None
    )
    metadata = {"trace_id": trace_id, "name": trace.get("name"), "session_id": identifier_of(trace.get("sessionid"))}
    return {key: value for key, value in metadata.items() if isinstance(value, str) and value}
