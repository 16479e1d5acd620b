"""Spans of OpenTelemetry, out of what exporters and backends write, with their attributes as one tree.

Read are OTLP/JSON (the file exporter of the collector, Tempo), the console exporter's objects, Phoenix's rows with
columns such as `attributes.llm.input_messages`, Logfire's rows, traces of Jaeger and MLflow, and spans with a plain
object of attributes.

Checked with what opentelemetry-sdk 1.45.2 and opentelemetry-exporter-otlp-proto-common 1.45.2 (PyPI) write; the rows
of Phoenix and Logfire, and the documents of Tempo, Jaeger and MLflow, with records of our own alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from lrat_hub.importers.converters.trace_values import parsed
from lrat_hub.importers.times import seconds_of
from lrat_hub.importers.values import identifier_of, listed, object_of

DOCUMENTS = ("resourceSpans", "resource_spans", "batches")
"""Keys of objects that hold the spans of many traces."""

MAX_SEGMENTS = 12
MAX_DEPTH = 20

_SCOPES = ("scopeSpans", "scope_spans", "instrumentationLibrarySpans", "instrumentation_library_spans")
_TRACE_IDS = ("trace_id", "traceId", "context.trace_id", "traceID")
_SPAN_IDS = ("span_id", "spanId", "context.span_id", "spanID")
_PARENT_IDS = ("parent_span_id", "parentSpanId", "parent_id", "parentId")
_STARTS = ("start_time_unix_nano", "startTimeUnixNano", "start_time_ns", "start_time", "startTime", "start_timestamp")
_ATTRIBUTES = ("attributes", "tags")
_STATUSES = ("status_code", "otel_status_code", "status")
_VALUES = {
    "stringValue", "intValue", "doubleValue", "boolValue", "arrayValue", "kvlistValue", "bytesValue",
    "string_value", "int_value", "double_value", "bool_value", "array_value", "kvlist_value", "bytes_value",
}  # fmt: skip


@dataclass(frozen=True)
class Span:
    """One span.

    Args:
        attributes: The tree of its attributes: `gen_ai.tool.name` is at gen_ai, tool, name.
        events: Names and trees of attributes of its events.
    """

    trace: str | None
    id: str | None
    parent: str | None
    name: str
    start: float | None
    failed: bool
    attributes: Mapping[str, Any]
    events: tuple[tuple[str, Mapping[str, Any]], ...] = field(default=())
    kind: str = ""

    def get(self, *paths: str) -> Any:
        """The attribute at the first of some paths that has one, or None."""
        return next((value for path in paths if (value := _at(self.attributes, path)) not in (None, "", [], {})), None)

    def has(self, prefix: str) -> bool:
        return _branch(self.attributes, prefix) is not None


def raw_spans_in(value: Any) -> Iterator[Mapping[str, Any]]:
    """The spans in a record as they stand there: those of a document, or the one that it is."""
    if not isinstance(value, dict):
        return
    if (documents := next((value[key] for key in DOCUMENTS if isinstance(value.get(key), list)), None)) is not None:
        for resource in map(object_of, documents):
            for scope in (scope for key in _SCOPES for scope in listed(resource.get(key))):
                yield from (span for span in listed(object_of(scope).get("spans")) if isinstance(span, dict))
    elif is_span(value):
        yield value
    elif isinstance(spans := object_of(value.get("data")).get("spans", value.get("spans")), list):
        yield from (span for span in spans if is_span(span))


def is_span(value: Any) -> bool:
    """Whether a value is one span."""
    return (
        isinstance(value, dict)
        and trace_of(value) is not None
        and _first(value, _SPAN_IDS) is not None
        and (
            isinstance(parsed(next((value[key] for key in _ATTRIBUTES if key in value), None)), (dict, list))
            or any(str(key).startswith("attributes.") for key in value)
        )
    )


def trace_of(value: Any) -> str | None:
    """The id of the trace that a span belongs to."""
    return identifier_of(_first(value, _TRACE_IDS)) if isinstance(value, dict) else None


def span_of(raw: Mapping[str, Any]) -> Span:
    """A span in the one form."""
    columns = {
        key.partition(".")[2]: raw[key] for key in raw if isinstance(key, str) and key.startswith("attributes.")
    }
    attributes = parsed(next((raw[key] for key in _ATTRIBUTES if key in raw), None))
    status = object_of(raw.get("status"))
    codes = (status.get("code"), status.get("status_code"), *(raw.get(key) for key in _STATUSES))
    code = next((code for code in codes if code is not None), None)
    events = tuple(
        (str(event.get("name", event.get("event_name", ""))), tree_of(event.get("attributes")))
        for event in map(object_of, listed(parsed(raw.get("events", raw.get("otel_events")))))
    )
    parent = _first(raw, _PARENT_IDS)
    if parent is None:  # Jaeger
        references = map(object_of, listed(raw.get("references")))
        parent = next((_first(part, _SPAN_IDS) for part in references if part.get("refType") == "CHILD_OF"), None)
    names = (raw.get(key) for key in ("name", "span_name", "operationName"))
    return Span(
        trace=trace_of(raw),
        id=identifier_of(_first(raw, _SPAN_IDS)),
        parent=identifier_of(parent),
        name=next((name for name in names if isinstance(name, str)), ""),
        start=next((at for key in _STARTS if (at := seconds_of(raw.get(key))) is not None), None),
        failed=code == 2 or (isinstance(code, str) and code.upper().endswith("ERROR")),
        attributes={**tree_of(attributes), **tree_of(columns)} if columns else tree_of(attributes),
        events=events,
        kind=raw["span_kind"] if isinstance(raw.get("span_kind"), str) else "",
    )


def tree_of(attributes: Any) -> dict[str, Any]:
    """Attributes as a tree: keys are divided at their dots, and numbers among them make lists."""
    if isinstance(attributes, list):
        pairs = {
            item["key"]: any_value(item.get("value"))
            for item in attributes
            if isinstance(item, dict) and isinstance(item.get("key"), str)
        }
    else:
        pairs = {key: any_value(value) for key, value in object_of(attributes).items()}
    return _nested(pairs, 0)


def any_value(value: Any, depth: int = 0) -> Any:
    """A value out of the envelope that OTLP puts around it."""
    if (
        not isinstance(value, dict)
        or len(value) != 1
        or depth > MAX_DEPTH
        or (kind := next(iter(value))) not in _VALUES
    ):
        return value
    inner = value[kind]
    if kind in ("arrayValue", "array_value"):
        return [any_value(part, depth + 1) for part in listed(object_of(inner).get("values"))]
    if kind in ("kvlistValue", "kvlist_value"):
        pairs = map(object_of, listed(object_of(inner).get("values")))
        return {str(pair.get("key")): any_value(pair.get("value"), depth + 1) for pair in pairs}
    if kind in ("intValue", "int_value") and isinstance(inner, str):
        digits = inner.removeprefix("-")
        return int(inner) if digits.isascii() and digits.isdecimal() and len(digits) < 20 else inner
    return inner


def _nested(pairs: Mapping[Any, Any], depth: int) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, value in pairs.items():
        *path, last = str(key).split(".", MAX_SEGMENTS)
        node = tree
        for segment in path:
            below = node.get(segment)
            if not isinstance(below, dict):
                # A value where a branch is, too, stands in it without a name.
                below = node[segment] = {} if below is None else {"": below}
            node = below
        value = _value(value, depth)
        known = node.get(last)
        if isinstance(known, dict):
            known.update(value if isinstance(value, dict) else {"": value})
        elif value is not None:
            node[last] = value
    return tree if depth else _with_lists(tree)


def _value(value: Any, depth: int) -> Any:
    if depth > MAX_DEPTH:
        return None
    if isinstance(value, dict):
        return _nested(value, depth + 1)
    return [_value(part, depth + 1) for part in value] if isinstance(value, list) else value


def _with_lists(value: Any) -> Any:
    """A tree with branches that are numbered made lists."""
    if isinstance(value, list):
        return [_with_lists(part) for part in value]
    if not isinstance(value, dict):
        return value
    if value and all(key.isascii() and key.isdecimal() and len(key) < 10 for key in value):
        return [_with_lists(value[key]) for key in sorted(value, key=int)]
    return {key: _with_lists(part) for key, part in value.items()}


def _branch(tree: Mapping[str, Any], path: str) -> Any:
    node: Any = tree
    for segment in path.split("."):
        node = node.get(segment) if isinstance(node, dict) else None
    return node


def _at(tree: Mapping[str, Any], path: str) -> Any:
    node = _branch(tree, path)
    return node[""] if isinstance(node, dict) and "" in node else node


def _first(raw: Mapping[str, Any], keys: tuple[str, ...]) -> Any:
    """The value of the first key that has one, also in the object `context` and in an `info`."""
    for key in keys:
        value = raw.get(key)
        if value is None and key.startswith("context."):
            value = object_of(raw.get("context")).get(key.partition(".")[2])
        if value not in (None, ""):
            return value
    return None
