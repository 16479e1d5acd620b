"""Spans of Opik, Braintrust and Weave, read as observations of Langfuse: they say the same under other names.

Each is a list of single spans, as their exports and APIs give them, which are put together by their traces.

Sources: comet-ml/opik (its REST API's `Span`: `type`, `parent_span_id`), the export of Braintrust's logs
(`span_attributes`, `root_span_id`, `span_parents`), wandb/weave (`CallSchema`: `op_name`, `inputs`, `parent_id`).
Checked with records of our own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from lrat_hub.importers.converters.langfuse import convert_langfuse
from lrat_hub.importers.outcomes import verdict_in
from lrat_hub.importers.sources.grouping import by_key, parts_of
from lrat_hub.importers.values import UnreadableRecord, identifier_of, listed, object_of, text_of
from lrat_hub.ledger import Ledger

_OPIK = {"general": "SPAN", "tool": "TOOL", "llm": "GENERATION", "guardrail": "GUARDRAIL"}
_BRAINTRUST = {
    "llm": "GENERATION", "tool": "TOOL", "function": "SPAN", "task": "SPAN", "score": "EVALUATOR", "eval": "SPAN",
}  # fmt: skip
_WEAVE = {"llm": "GENERATION", "tool": "TOOL", "agent": "AGENT", "search": "SPAN"}
_MODEL_OPS = (
    "chat.completions.create", "chat.completions.parse", "responses.create", "messages.create", "generate_content",
    "litellm.completion", "litellm.acompletion",
)  # fmt: skip
_CORRECT = ("correct", "correctness", "accuracy", "exact_match", "is_correct")

Span = Mapping[str, Any]
Recogniser = Callable[[Any], str | None]


def recognise_opik(value: Any) -> str | None:
    """Why a record is a span of Opik, or None."""
    span = object_of(value)
    is_span = text_of(span.get("type")) in _OPIK and "parent_span_id" in span and identifier_of(span.get("trace_id"))
    return "a span of Opik, with `trace_id`, `parent_span_id` and `type`" if is_span else None


def recognise_braintrust(value: Any) -> str | None:
    """Why a record is a span of Braintrust, or None."""
    span = object_of(value)
    is_span = isinstance(span.get("span_attributes"), dict) and identifier_of(span.get("root_span_id"))
    return "a span of Braintrust, with `root_span_id` and `span_attributes`" if is_span else None


def recognise_weave(value: Any) -> str | None:
    """Why a record is a call of Weave, or None."""
    span = object_of(value)
    is_call = isinstance(span.get("op_name"), str) and "inputs" in span and identifier_of(span.get("trace_id"))
    return "a call of Weave, with `op_name`, `inputs` and `trace_id`" if is_call else None


group_opik = by_key(lambda value: identifier_of(value.get("trace_id")) if recognise_opik(value) else None)
group_braintrust = by_key(
    lambda value: identifier_of(value.get("root_span_id")) if recognise_braintrust(value) else None
)
group_weave = by_key(lambda value: identifier_of(value.get("trace_id")) if recognise_weave(value) else None)


def convert_opik(value: Any, parts: Ledger) -> Iterator[dict[str, Any]]:
    """Chat records of the spans of a trace of Opik. Raises UnreadableRecord where there is no span."""
    yield from _converted(value, parts, recognise_opik, _opik, "Opik")


def convert_braintrust(value: Any, parts: Ledger) -> Iterator[dict[str, Any]]:
    """Chat records of the spans of a trace of Braintrust. Raises UnreadableRecord where there is no span."""
    yield from _converted(value, parts, recognise_braintrust, _braintrust, "Braintrust")


def convert_weave(value: Any, parts: Ledger) -> Iterator[dict[str, Any]]:
    """Chat records of the calls of a trace of Weave. Raises UnreadableRecord where there is no call."""
    yield from _converted(value, parts, recognise_weave, _weave, "Weave")


def _converted(
    value: Any,
    parts: Ledger,
    recognise: Recogniser,
    read: Callable[[Span], dict[str, Any]],
    tool: str,
) -> Iterator[dict[str, Any]]:
    spans = [object_of(part) for part in parts_of(value) if recognise(part) is not None]
    if not spans:
        raise UnreadableRecord(f"not a trace of {tool}: no span in it")
    observations = [read(span) for span in spans]
    # Without the span of the run, nothing says what was asked.
    root = next((item for item in observations if item["parentObservationId"] is None), {})
    trace = {key: root.get(key) for key in ("input", "output", "name", "expectedOutput")}
    whole = {"trace": {**trace, "id": observations[0]["traceId"]}, "observations": observations,
             "scores": root.get("scores")}  # fmt: skip
    yield from convert_langfuse(whole, parts)


def _observation(span: Span, kind: str, **fields: Any) -> dict[str, Any]:
    """What all of them call the same."""
    shared = {"input": span.get("input"), "output": span.get("output"), "name": text_of(span.get("name"))}
    level = "ERROR" if span.get("error_info") or span.get("error") or span.get("exception") else "DEFAULT"
    return {"type": kind, "level": level, **shared, **fields}


def _opik(span: Span) -> dict[str, Any]:
    scores = [
        {"name": object_of(score).get("name"), "value": verdict_in(object_of(score).get("value"))}
        for score in listed(span.get("feedback_scores"))
    ]
    return _observation(
        span, _OPIK[span["type"]], id=identifier_of(span.get("id")), traceId=identifier_of(span["trace_id"]),
        parentObservationId=identifier_of(span.get("parent_span_id")), startTime=span.get("start_time"),
        model=span.get("model"), scores=scores,
    )  # fmt: skip


def _braintrust(span: Span) -> dict[str, Any]:
    attributes, metadata = object_of(span["span_attributes"]), object_of(span.get("metadata"))
    parents = listed(span.get("span_parents"))
    kind = _BRAINTRUST.get(text_of(attributes.get("type")), "SPAN")
    scores = [
        {"name": name.casefold(), "value": verdict_in(value)} for name, value in object_of(span.get("scores")).items()
    ]
    return _observation(
        span, kind, id=identifier_of(span.get("span_id")), traceId=identifier_of(span["root_span_id"]),
        parentObservationId=identifier_of(parents[0]) if parents else None, name=text_of(attributes.get("name")),
        startTime=object_of(span.get("metrics")).get("start", span.get("created")), model=metadata.get("model"),
        modelParameters=metadata, expectedOutput=span.get("expected"), scores=scores,
    )  # fmt: skip


def _weave(span: Span) -> dict[str, Any]:
    # "weave:///team/project/op/web_search:hash"
    name = span["op_name"].rpartition("/")[2].partition(":")[0]
    inputs = {key: value for key, value in object_of(span.get("inputs")).items() if key != "self"}
    kind = _WEAVE.get(text_of(object_of(object_of(span.get("attributes")).get("weave")).get("kind")), "SPAN")
    if name.endswith(_MODEL_OPS):
        kind = "GENERATION"
    is_method = kind != "GENERATION" and name[:1].isupper()  # "Toolbox.web_search"
    return _observation(
        span, kind, id=identifier_of(span.get("id")), traceId=identifier_of(span["trace_id"]),
        parentObservationId=identifier_of(span.get("parent_id")), startTime=span.get("started_at"),
        name=name.rpartition(".")[2] if is_method else name, input=inputs, model=inputs.get("model"),
        modelParameters=inputs if kind == "GENERATION" else None,
    )  # fmt: skip
