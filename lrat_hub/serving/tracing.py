"""Traces of OpenTelemetry: what is served, as spans of the conventions for generative AI.

A search is a span `retrieval` for each of its queries, and an opened document one of the tool `fetch`
(open-telemetry/semantic-conventions-genai@002c8a6: model/gen-ai/spans.yaml; `gen_ai.retrieval.top_k` is the later name
of what it calls `gen_ai.request.top_k`). Which document was listed where, and opened for what, has no name there: it
stands under `lrat.`, as ids, ranks and scores. Texts of queries, reasoning and the conventions' own list of documents
are only in spans when `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT` is `true`.

Spans of a session are in one trace: the client's, where it sends one, or else one made from the session's name.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

from opentelemetry import context, trace
from opentelemetry.propagate import extract
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from lrat_hub.serving.service import Caller, SearchService, ServedAnswer, ServedFeedback, ServedFetch, ServedSearch

CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"

Attributes = Mapping[str, Any]


class Tracing:
    """Makes spans of what is served; an `Observer`. Whoever collects them being away costs nobody an answer.

    Args:
        service: Its corpus is the source of what is found.
        provider: Where spans go; by default to the OTLP endpoint that the environment names, in batches.
        content: Whether spans hold what was asked and found, as the environment says by default.
    """

    def __init__(
        self, service: SearchService, *, provider: TracerProvider | None = None, content: bool | None = None
    ) -> None:
        self._service, self._provider = service, provider or _exporting()
        self._tracer = self._provider.get_tracer("lrat_hub.serving")
        self._content = os.environ.get(CONTENT, "").lower() == "true" if content is None else content

    async def searched(self, caller: Caller, search: ServedSearch) -> None:
        source = self._service.description.corpus or search.retriever
        for query, hits in zip(search.queries, search.lists, strict=True):
            attributes: dict[str, Any] = {
                "gen_ai.operation.name": "retrieval",
                "gen_ai.data_source.id": source,
                "gen_ai.retrieval.top_k": search.k,
                "lrat.search.id": search.search_id,
                "lrat.search.role": search.role,
                "lrat.retriever.name": search.retriever,
                "lrat.document.ids": [hit.docid for hit in hits],
                "lrat.document.ranks": [hit.rank for hit in hits],
                "lrat.document.scores": [float(hit.score) for hit in hits],
            }
            if search.revision:
                attributes["lrat.retriever.revision"] = search.revision
            documents = [{"id": hit.docid, "score": float(hit.score)} for hit in hits]
            content = {"gen_ai.retrieval.query.text": query, "gen_ai.retrieval.documents": json.dumps(documents)}
            self._span(f"retrieval {source}", caller, attributes, content)

    async def fetched(self, caller: Caller, fetch: ServedFetch) -> None:
        for docid, found in zip(fetch.docids, fetch.found, strict=True):
            attributes = {
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": "fetch",
                "lrat.document.id": docid,
            }
            if fetch.search_id:
                attributes["lrat.search.id"] = fetch.search_id
            content = {"gen_ai.tool.call.arguments": json.dumps({"id": docid})}
            self._span("execute_tool fetch", caller, attributes, content, failed=not found)

    async def feedback(self, caller: Caller, note: ServedFeedback) -> None:
        attributes = {
            "gen_ai.evaluation.name": "used",
            "gen_ai.evaluation.score.value": float(note.used),
            "lrat.search.id": note.search_id,
            "lrat.document.id": note.docid,
        }
        content = {"gen_ai.evaluation.explanation": note.comment} if note.comment else {}
        self._span("feedback", caller, attributes, content)

    async def answered(self, caller: Caller, note: ServedAnswer) -> None:
        arguments = {"answer": note.answer, **({"question": note.question} if note.question else {})}
        attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "answer"}
        content = {"gen_ai.tool.call.arguments": json.dumps(arguments)}
        self._span("execute_tool answer", caller, attributes, content)

    def _span(
        self, name: str, caller: Caller, attributes: Attributes, content: Attributes, *, failed: bool = False
    ) -> None:
        said = {**attributes, **(content if self._content else {})}
        if caller.session:
            said["gen_ai.conversation.id"] = caller.session
        if caller.reasoning and self._content:
            said["lrat.reasoning"] = caller.reasoning
        if failed:
            said["error.type"] = "not_found"
        with self._tracer.start_as_current_span(
            name, context=_parent(caller), kind=trace.SpanKind.SERVER, attributes=said
        ) as span:
            if failed:
                span.set_status(trace.StatusCode.ERROR)

    def close(self) -> None:
        """Sends what has not been sent yet."""
        self._provider.shutdown()


def _exporting() -> TracerProvider:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    resource = Resource.create({SERVICE_NAME: os.environ.get("OTEL_SERVICE_NAME") or "lrat-serve"})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


def _parent(caller: Caller) -> context.Context:
    """The context of a call's spans: what the client sent, or a trace that all calls of its session share."""
    here = trace.get_current_span().get_span_context()
    if caller.session is None:
        return context.get_current()
    if caller.attributed_by == "traceparent":
        trace_id = int(caller.session, 16)
        if here.trace_id == trace_id:
            return context.get_current()
    else:
        key = json.dumps([caller.session, caller.attributed_by, caller.subject])
        trace_id = int.from_bytes(hashlib.sha256(key.encode("utf-8", "replace")).digest()[:16])
    session = trace.SpanContext(trace_id, trace_id & (2**64 - 1), is_remote=True, trace_flags=trace.TraceFlags(1))
    return trace.set_span_in_context(trace.NonRecordingSpan(session), context.Context())


class TracedRequests:
    """An ASGI application whose requests go on with the trace that their headers name."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        token = context.attach(extract(dict(Headers(scope=scope)), context.Context()))
        try:
            await self._app(scope, receive, send)
        finally:
            context.detach(token)
