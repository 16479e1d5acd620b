"""Spans of what is served, sent by OTLP to a collector and read back."""

import asyncio
import base64
import http.server
import json
import threading

import pytest

pytest.importorskip("opentelemetry.sdk")

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from lrat_hub.importers import load_trajectories
from lrat_hub.serving import OTLP_ENDPOINTS
from lrat_hub.serving.attribution import caller_of
from lrat_hub.serving.service import SearchService, ServedAnswer, ServedFeedback
from lrat_hub.serving.tracing import CONTENT, TracedRequests, Tracing

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}


@pytest.fixture
def collector(monkeypatch):
    """A collector of OTLP over HTTP: the requests that it was sent, parsed by the SDK's own messages."""
    requests = []

    class Collector(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert (self.path, self.headers["Content-Type"]) == ("/v1/traces", "application/x-protobuf")
            requests.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(ExportTraceServiceResponse().SerializeToString())

        def log_message(self, *words):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv(OTLP_ENDPOINTS[0], f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
        yield requests
        server.shutdown()
        thread.join()


def serve(backend, *, session=None, headers=None, reasoning=None):
    """One session of two searches, a document and feedback, traced."""

    async def go():
        service = SearchService(backend)
        tracing = Tracing(service)
        service.observers = (tracing,)
        caller = caller_of(headers or {}, session, None, reasoning)
        found = await service.search(["kabe lodo", "rast"], 3, caller)
        docid = found.lists[0][1].docid
        await service.documents([docid, "no such"], caller, search_id=found.search_id)
        await service.feedback(ServedFeedback(found.search_id, docid, True, "cited"), caller)
        await service.answer(ServedAnswer("It is Oslo."), caller)
        tracing.close()
        service.close()
        return found

    return asyncio.run(go())


def spans_in(requests):
    return [
        span
        for request in requests
        for resource in MessageToDict(request)["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]


def attributes(span):
    return {item["key"]: next(iter(item["value"].values())) for item in span["attributes"]}


def test_spans_have_the_names_of_the_conventions_and_no_texts_unless_they_are_asked_for(backend, collector):
    found = serve(backend, session="a", reasoning="private thought")
    spans = spans_in(collector)
    corpus = backend.corpus
    assert [span["name"] for span in spans] == [f"retrieval {corpus}"] * 2 + ["execute_tool fetch"] * 2 + [
        "feedback", "execute_tool answer",
    ]  # fmt: skip
    first = attributes(spans[0])
    assert first["gen_ai.operation.name"] == "retrieval"
    assert first["gen_ai.data_source.id"] == corpus
    assert first["gen_ai.retrieval.top_k"] == "3"
    assert first["gen_ai.conversation.id"] == "a"
    assert first["lrat.search.id"] == found.search_id
    listed = [value["stringValue"] for value in first["lrat.document.ids"]["values"]]
    assert listed == [hit.docid for hit in found.lists[0]]
    assert [value["intValue"] for value in first["lrat.document.ranks"]["values"]] == ["1", "2", "3"]
    assert [value["doubleValue"] for value in first["lrat.document.scores"]["values"]] == [
        hit.score for hit in found.lists[0]
    ]
    assert attributes(spans[2])["lrat.search.id"] == found.search_id
    assert attributes(spans[3])["error.type"] == "not_found"
    assert attributes(spans[4])["gen_ai.evaluation.score.value"] == 1.0
    sent = b"".join(request.SerializeToString() for request in collector)
    assert not any(text in sent for text in (b"kabe", b"rast", b"private", b"cited", b"Oslo"))
    (resource,) = {json.dumps(MessageToDict(request)["resourceSpans"][0]["resource"]) for request in collector}
    assert "lrat-serve" in resource


def test_what_was_asked_and_found_is_there_when_it_is_asked_for_and_comes_back_as_a_run(
    backend, collector, monkeypatch, tmp_path
):
    monkeypatch.setenv(CONTENT, "true")
    found = serve(backend, session="a")
    (tmp_path / "spans.json").write_text(json.dumps([MessageToDict(request) for request in collector]))
    (run,) = load_trajectories(tmp_path / "spans.json")
    docid = found.lists[0][1].docid
    assert [(step.action, step.queries, step.docid) for step in run.steps[:3]] == [
        ("search", ("kabe lodo",), None), ("search", ("rast",), None), ("browse", (), docid),
    ]  # fmt: skip
    for step, hits in zip(run.steps, found.lists, strict=False):
        assert [(hit.docid, hit.rank, hit.score) for hit in step.results] == [
            (hit.docid, hit.rank, pytest.approx(hit.score)) for hit in hits
        ]
    assert run.steps[3].error
    # Both searches have the same name, and the first has listed the document.
    assert [step.search_turn for step in run.steps[:3]] == [None, None, 0]
    assert docid not in {hit.docid for hit in found.lists[1]}
    assert run.final_answer == "It is Oslo."


def test_a_session_is_one_trace_which_is_the_client_s_where_it_sends_one(backend, collector):
    serve(backend, session="a")
    serve(backend, session="a")
    serve(backend, session="b")
    serve(backend, headers=PARENT)
    serve(backend)
    traces = [span["traceId"] for span in spans_in(collector)]
    by_call = [set(traces[start : start + 6]) for start in range(0, 30, 6)]
    assert [len(part) for part in by_call[:4]] == [1, 1, 1, 1]
    assert by_call[0] == by_call[1] != by_call[2]
    assert len(by_call[4]) == 6
    assert base64.b64decode(by_call[3].pop()).hex() == TRACE


def test_a_request_goes_on_with_the_trace_of_its_headers(backend, collector):
    async def app(scope, receive, send):
        service = SearchService(backend)
        service.observers = (tracing := Tracing(service),)
        await service.search(["kabe"], 2, caller_of(PARENT))
        tracing.close()
        service.close()

    headers = [(name.encode(), value.encode()) for name, value in PARENT.items()]
    asyncio.run(TracedRequests(app)({"type": "http", "headers": headers}, None, None))
    (span,) = spans_in(collector)
    assert base64.b64decode(span["parentSpanId"]).hex() == "b7ad6b7169203331"


def test_a_collector_that_is_away_costs_nobody_an_answer(backend, monkeypatch):
    monkeypatch.setenv(OTLP_ENDPOINTS[0], "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    assert serve(backend, session="a").lists[0]
