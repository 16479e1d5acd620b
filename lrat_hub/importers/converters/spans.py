"""Traces of OpenTelemetry: the spans that instrumentation of models, tools, retrievers and agents writes.

Read are the semantic conventions for generative AI (attributes, older events), OpenInference, OpenLLMetry, and the
attributes that pydantic-ai, Langfuse's and Vercel's SDKs and MLflow add. A trace is a run.

Checked with traces that these wrote (PyPI): pydantic-ai-slim 2.68.0, langfuse 5.0.4, OpenLLMetry's instrumentation of
LangChain, and OpenInference's (openinference-semantic-conventions 0.1.42) of LangChain, LlamaIndex, smolagents and
OpenAI's Agents SDK. The attributes of Vercel's SDK, MLflow and Google's ADK are checked with traces of our own alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from lrat_hub.importers.chat_messages import Chat, assistant, tool_call
from lrat_hub.importers.converters.dialects import messages_in
from lrat_hub.importers.converters.observations import Kind, Observation, arguments_of, documents_of
from lrat_hub.importers.converters.span_records import (
    DOCUMENTS,
    Span,
    is_span,
    raw_spans_in,
    span_of,
    trace_of,
)
from lrat_hub.importers.converters.trace_values import Unknown, call_id_in, parsed, question_in, shown_text, told
from lrat_hub.importers.converters.transcripts import runs_of
from lrat_hub.importers.sources.grouping import by_key, parts_of
from lrat_hub.importers.sources.records import Record
from lrat_hub.importers.values import UnreadableRecord, identifier_of, listed, object_of, text_of
from lrat_hub.ledger import Ledger

_KINDS: Mapping[str, Kind] = {
    **dict.fromkeys(
        ("llm", "chat_model", "chat", "text_completion", "generate_content", "generation", "completion"), "model"
    ),
    **dict.fromkeys(("tool", "execute_tool"), "tool"),
    **dict.fromkeys(("retriever", "retrieval"), "retriever"),
    **dict.fromkeys(("agent", "invoke_agent", "create_agent"), "agent"),
}
_KIND_KEYS = (
    "gen_ai.operation.name", "openinference.span.kind", "langfuse.observation.type", "mlflow.spanType",
    "traceloop.span.kind", "llm.request.type",
)  # fmt: skip
_VERCEL: Mapping[str, Kind] = {
    "ai.toolCall": "tool",
    **dict.fromkeys(("ai.generateText.doGenerate", "ai.streamText.doStream"), "model"),
    **dict.fromkeys(("ai.generateObject.doGenerate", "ai.streamObject.doStream"), "model"),
}
_INPUTS = (
    "input.value", "gcp.vertex.agent.llm_request", "gcp.vertex.agent.tool_call_args", "langfuse.observation.input",
    "traceloop.entity.input", "mlflow.spanInputs", "ai.prompt.messages", "ai.prompt",
    "gen_ai.prompt", "langfuse.trace.input", "prompt",
)  # fmt: skip
_OUTPUTS = (
    "output.value", "gcp.vertex.agent.llm_response", "gcp.vertex.agent.tool_response", "langfuse.observation.output",
    "traceloop.entity.output", "mlflow.spanOutputs",
    "gen_ai.completion", "final_result", "ai.response.text", "langfuse.trace.output",
)  # fmt: skip
_EVENT_ROLES = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}


def recognise_spans(value: Any) -> str | None:
    """Why a record holds spans of OpenTelemetry, or None."""
    if not isinstance(value, dict):
        return None
    if any(isinstance(value.get(key), list) for key in DOCUMENTS[:2]):
        return "a document of OTLP/JSON, with `resourceSpans`"
    if is_span(value):
        return "a span of OpenTelemetry, with a trace id and attributes"
    if next(raw_spans_in(value), None) is not None:
        return "an object with spans of OpenTelemetry"
    return None


def group_spans(records: Iterator[Record]) -> Iterator[Record]:
    """Spans by their traces, also those of several traces in one document."""
    names: set[str] = set()
    for record in by_key(trace_of)(_taken_apart(records)):
        if record.name in names:
            record = replace(record, position=f"{record.position or 1}/{trace_of(listed(record.value)[0])}")
        names.add(record.name)
        yield record


def _taken_apart(records: Iterator[Record]) -> Iterator[Record]:
    for record in records:
        spans = [] if is_span(record.value) else list(raw_spans_in(record.value))
        if spans:
            yield from (replace(record, value=span) for span in spans)
        else:
            yield record


def convert_spans(value: Any, parts: Ledger) -> Iterator[dict[str, Any]]:
    """Chat records of the spans of a trace, or of several.

    Args:
        parts: The account of spans.

    Raises:
        UnreadableRecord: There is no span in it.
    """
    traces: dict[str | None, list[Span]] = {}
    for part in parts_of(value):
        for raw in raw_spans_in(part):
            span = span_of(raw)
            traces.setdefault(span.trace, []).append(span)
    if not traces:
        raise UnreadableRecord("not a trace: no span with the ids of a trace and a span")
    unknown = Unknown(parts)
    for trace, spans in traces.items():
        ids = {span.id for span in spans}
        observations = [_observation(span, unknown, is_root=span.parent not in ids) for span in spans]
        parts.keep(len(spans))
        if len(traces) == 1 and not any(item.kind in ("model", "tool", "retriever") for item in observations):
            raise UnreadableRecord("trace without a call of a model, a tool or a retriever")
        for _, record in runs_of(observations, parts):
            yield {**record, "metadata": {"trace_id": trace}}


def _observation(span: Span, unknown: Unknown, *, is_root: bool) -> Observation:
    kind = _kind(span)
    item = Observation(kind, span.id, span.parent, span.start, name=_name(span), failed=span.failed)
    if kind == "tool":
        _read_tool(item, span)
    elif kind == "retriever":
        item.arguments = _query(span)
        documents = span.get("retrieval.documents", "gen_ai.retrieval.documents")
        item.documents = documents_of(documents if documents is not None else span.get(*_OUTPUTS))
        item.shown = shown_text(span.get(*_OUTPUTS)) or text_of(documents)
        if name := text_of(span.get("lrat.search.id")):
            item.documents = [row | {"search_id": name} for row in item.documents or []] or item.documents
    elif kind != "other" or is_root:  # steps of a framework repeat what those within them say
        _read_conversation(item, span, unknown)
    return item


def _kind(span: Span) -> Kind:
    operation = span.get("ai.operationId")
    if isinstance(operation, str):
        return _VERCEL.get(operation, "other")
    for name in (*(parsed(span.get(key)) for key in _KIND_KEYS), span.kind):
        if isinstance(name, str) and name.lower() in _KINDS:
            return _KINDS[name.lower()]
    if span.get("openinference.span.kind", "langfuse.observation.type") is not None:
        return "other"
    if span.get("gen_ai.tool.call.arguments", "tool_arguments", "gen_ai.tool.call.result") is not None:
        return "tool"
    if (
        span.has("gen_ai.request")
        or span.has("gen_ai.prompt")
        or span.has("gen_ai.input")
        or span.has("llm.input_messages")
    ):
        return "model"
    return "other"


def _name(span: Span) -> str:
    named = span.get(
        "gen_ai.tool.name", "tool.name", "tool_call.function.name", "ai.toolCall.name", "traceloop.entity.name"
    )
    return named if isinstance(named, str) else span.name.removeprefix("execute_tool ").removesuffix(".tool")


def _read_tool(item: Observation, span: Span) -> None:
    arguments = span.get(
        "gen_ai.tool.call.arguments", "tool_arguments", "ai.toolCall.args", "ai.toolCall.input",
        "tool_call.function.arguments", *_INPUTS[:6], "tool.parameters",
    )  # fmt: skip
    result = span.get(
        "gen_ai.tool.call.result", "tool_response", "ai.toolCall.result", "ai.toolCall.output", *_OUTPUTS[:6]
    )
    if result is None:
        messages = (attributes for name, attributes in span.events if name == "gen_ai.tool.message")
        result = next((message.get("content") for message in messages), None)
    item.arguments = arguments_of(arguments)
    if isinstance(item.arguments, dict) and (name := text_of(span.get("lrat.search.id"))):
        item.arguments = {**item.arguments, "search_id": name}
    item.shown = shown_text(result)
    call_id = span.get("gen_ai.tool.call.id", "tool_call.id", "ai.toolCall.id")
    item.call_id = identifier_of(call_id) or call_id_in(result)
    if (documents := span.get("retrieval.documents", "gen_ai.retrieval.documents")) is not None:
        item.documents = documents_of(documents)


def _query(span: Span) -> Any:
    query = span.get("gen_ai.retrieval.query.text", "gen_ai.retrieval.query", *_INPUTS)
    text = question_in(query)
    return {"query": text} if text else arguments_of(query)


def _read_conversation(item: Observation, span: Span, unknown: Unknown) -> None:
    item.inputs, item.outputs = _conversation(span, unknown)
    item.question, item.answer = question_in(span.get(*_INPUTS)), question_in(span.get(*_OUTPUTS))
    model = span.get(
        "gen_ai.request.model",
        "llm.model_name",
        "gen_ai.response.model",
        "ai.model.id",
        "llm.request.model",
        "langfuse.observation.model.name",
    )
    item.model = model if isinstance(model, str) and model != "unknown" else ""
    if item.kind == "model":
        names = ("temperature", "top_p", "seed", "presence_penalty")
        settings = object_of(parsed(span.get("llm.invocation_parameters")))
        item.sampling = {
            name: value
            for name in names
            if isinstance(value := span.get(f"gen_ai.request.{name}") or settings.get(name), (int, float))
        }


def _conversation(span: Span, unknown: Unknown) -> tuple[list[Chat], list[Chat]]:
    """What a model was given and gave, by the first of the conventions that says it."""
    if (history := span.get("pydantic_ai.all_messages", "all_messages_events")) is not None:
        return [], _of_events(history, unknown) or messages_in(history, unknown)
    details = dict(span.events).get("gen_ai.client.inference.operation.details", {})
    ends: list[list[Chat]] = []
    for side, role, conventions in (
        ("input", "user", ("gen_ai.input.messages", "llm.input_messages", "gen_ai.prompt", "llm.prompts")),
        ("output", "assistant", ("gen_ai.output.messages", "llm.output_messages", "gen_ai.completion")),
    ):
        event = object_of(object_of(details.get("gen_ai")).get(side)).get("messages")
        values = [*(span.get(path) for path in conventions), event]
        ends.append(next((chats for value in values if (chats := _chats(value, unknown, role))), []))
    inputs, outputs = ends
    if not inputs and not outputs:
        inputs, outputs = _in_events(span, unknown)
    if span.has("ai.response"):
        outputs = outputs or _vercel_output(span, unknown)
    # Instrumentations put the values themselves beside the messages, which not all of them read to the end.
    inputs = max(inputs, messages_in(span.get(*_INPUTS), unknown), key=told)
    outputs = max(outputs, messages_in(span.get(*_OUTPUTS), unknown, role="assistant"), key=told)
    return inputs, outputs


def _chats(value: Any, unknown: Unknown, role: str) -> list[Chat]:
    """Messages of the conventions: with parts, or the flattened ones of OpenInference and OpenLLMetry."""
    value = parsed(value)
    if not isinstance(value, list):
        return messages_in(value, unknown, role=role)
    chats: list[Chat] = []
    for part in value:
        message = object_of(part)
        if "parts" in message or not message:
            chats += messages_in(part, unknown, role=role)
        else:
            chats += messages_in(_plain(object_of(message.get("message")) or message, role), unknown, role=role)
    return chats


def _plain(message: Mapping[str, Any], role: str) -> dict[str, Any]:
    """A message of OpenInference or OpenLLMetry as one of the OpenAI API."""
    calls = []
    for call in (
        object_of(object_of(part).get("tool_call")) or object_of(part) for part in listed(message.get("tool_calls"))
    ):
        body = object_of(call.get("function")) or call
        calls.append(tool_call(body.get("name"), body.get("arguments"), identifier_of(call.get("id"))))
    if isinstance(name := message.get("function_call_name"), str):
        calls.append(tool_call(name, message.get("function_call_arguments_json")))
    content = parsed(message.get("content"))
    if not (isinstance(content, list) and all(isinstance(part, dict) and "type" in part for part in content)):
        content = message.get("content")
    if contents := listed(message.get("contents")):
        parts = [object_of(object_of(part).get("message_content")) or object_of(part) for part in contents]
        content = [{**part, "content": part.get("text")} for part in parts] or content
    plain: dict[str, Any] = {"role": message.get("role") or role, "content": content if content is not None else ""}
    if calls:
        plain["tool_calls"] = calls
    for key in ("tool_call_id", "reasoning", "reasoning_content"):
        if message.get(key):
            plain[key] = message[key]
    return plain


def _in_events(span: Span, unknown: Unknown) -> tuple[list[Chat], list[Chat]]:
    """Messages of the older conventions, an event each: of the span, or in an attribute that lists them."""
    events = [(name, dict(attributes)) for name, attributes in span.events]
    for event in map(object_of, listed(parsed(span.get("events")))):
        events.append((text_of(event.get("event.name") or object_of(event.get("event")).get("name")), dict(event)))
    inputs: list[Chat] = []
    outputs: list[Chat] = []
    for name, attributes in events:
        body = object_of(parsed(attributes.get("body"))) or attributes
        if name in _EVENT_ROLES:
            inputs += _event_message(body, _EVENT_ROLES[name], unknown)
        elif name == "gen_ai.choice":
            message = object_of(parsed(body.get("message"))) or body
            outputs += _event_message(message, "assistant", unknown)
        elif name in ("gen_ai.content.prompt", "gen_ai.content.completion"):
            side = name.rpartition(".")[2]
            role, chats = ("user", inputs) if side == "prompt" else ("assistant", outputs)
            chats += _chats(object_of(attributes.get("gen_ai")).get(side), unknown, role)
    return inputs, outputs


def _of_events(values: Any, unknown: Unknown) -> list[Chat]:
    """A conversation in the older form of pydantic-ai: a list of events."""
    chats: list[Chat] = []
    for event in map(object_of, listed(parsed(values))):
        name = event.get("event.name") or object_of(event.get("event")).get("name")
        if name in _EVENT_ROLES:
            chats += _event_message(event, _EVENT_ROLES[name], unknown)
        elif name == "gen_ai.choice":
            chats += _event_message(object_of(event.get("message")), "assistant", unknown)
    return chats


def _event_message(body: Mapping[str, Any], role: str, unknown: Unknown) -> list[Chat]:
    calls = [
        {**object_of(call), "function": object_of(object_of(call).get("function"))}
        for call in listed(parsed(body.get("tool_calls")))
    ]
    message = {
        "role": role,
        "content": body.get("content", body.get("gen_ai.event.content", "")),
        "tool_call_id": body.get("id", body.get("tool_call_id")),
    }
    return messages_in(_plain({**message, "tool_calls": calls}, role), unknown, role=role)


def _vercel_output(span: Span, unknown: Unknown) -> list[Chat]:
    """What Vercel's SDK keeps of a model's message: its text, and its calls as JSON."""
    calls = [
        tool_call(
            call.get("toolName"), parsed(call.get("args", call.get("input"))), identifier_of(call.get("toolCallId"))
        )
        for call in map(object_of, listed(parsed(span.get("ai.response.toolCalls"))))
    ]
    text, reasoning = text_of(span.get("ai.response.text")), text_of(span.get("ai.response.reasoning"))
    return [assistant(text, reasoning, calls)] if text or calls else []
