"""Traces of OpenTelemetry, by whatever convention they are written, give the run that was traced: each call once.

The files of `traces/` are the same short run of an agent, traced by the libraries themselves: `pydantic-ai-slim`
2.68.0 and `opentelemetry-sdk` 1.45.2 (formats 2 and 6, console exporter and OTLP), `langgraph` 1.2.24 with
`openinference-instrumentation-langchain` 0.1.80, whose second trace is a chain with a retriever, and with
OpenLLMetry's instrumentation, OpenInference's of `smolagents`, of OpenAI's Agents SDK and of `llama-index-core`
0.14.25, and `langfuse` 5.0.4.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lrat_hub.importers import Accounts, read_trajectories
from lrat_hub.importers.converters.spans import convert_spans, group_spans, recognise_spans
from lrat_hub.importers.recognition import recognise_format
from lrat_hub.importers.sources.records import Record
from lrat_hub.importers.values import UnreadableRecord
from lrat_hub.ledger import Ledger
from lrat_hub.schema import Trajectory

TRACES = Path(__file__).parent / "traces"
HITS = [
    {"docid": "11", "score": 9.0, "snippet": "Words of 11"},
    {"docid": "12", "score": 8.0, "snippet": "Words of 12"},
]


def span(name: str, start: int, attributes: Any, *, parent: str | None = "root", **more: Any) -> dict[str, Any]:
    ids = {"trace_id": "t", "span_id": f"s{start}", "parent_span_id": parent}
    return {"name": name, **ids, "start_time": f"2026-01-01T00:00:{start:02}Z", "attributes": attributes, **more}


def convert(spans: list[Any]) -> list[dict[str, Any]]:
    return list(convert_spans(spans, Ledger("parts")))


def read(path: Path) -> list[Trajectory]:
    recognised = recognise_format(path)
    assert recognised is not None
    assert recognised.format == "otel"
    return list(read_trajectories(path, Accounts()))


def steps_of(run: Trajectory) -> list[tuple[Any, ...]]:
    return [(step.action, *step.queries, *filter(None, [step.docid])) for step in run.steps if step.action != "answer"]


def calls_in(record: dict[str, Any]) -> list[tuple[str, Any]]:
    calls = [call["function"] for chat in record["messages"] for call in chat.get("tool_calls", [])]
    return [(call["name"], arguments_in(call["arguments"])) for call in calls]


def arguments_in(arguments: Any) -> Any:
    return json.loads(arguments) if isinstance(arguments, str) and arguments.startswith("{") else arguments


def shown_in(record: dict[str, Any]) -> list[str]:
    return [chat["content"] for chat in record["messages"] if chat["role"] == "tool"]


@pytest.mark.parametrize("name", ["pydantic_ai_2.jsonl.gz", "pydantic_ai_6.jsonl.gz", "pydantic_ai_otlp.json.gz"])
def test_a_trace_of_pydantic_ai_is_one_run_with_each_call_once(name: str) -> None:
    (run,) = read(TRACES / name)
    assert (run.question, run.final_answer, run.status) == ("Which city keeps it?", "Turku", "completed")
    assert steps_of(run) == [("search", "Lindqvist astrolabe"), ("search", "second"), ("browse", "12")]
    assert [hit.docid for hit in run.steps[0].results] == ["11", "12"]
    assert [step.reasoning for step in run.steps[:3]] == ["who made it?", None, "Opening 12"]


@pytest.mark.parametrize(
    ("name", "docids", "opened"),
    [("smolagents_openinference", ["https://a.org/11", "https://a.org/12"], ["https://a.org/12"]),
     ("openai_agents_openinference", ["11", "12"], ["12"]), ("langgraph_openllmetry", ["11", "12"], ["12"]),
     ("langfuse_sdk", ["11", "12"], [])],
)  # fmt: skip
def test_traces_of_other_instrumentations_are_the_same_run(name: str, docids: list[str], opened: list[str]) -> None:
    (run,) = read(TRACES / f"{name}.jsonl.gz")
    assert (run.question, run.final_answer) == ("Which city keeps it?", "Turku")
    assert steps_of(run) == [("search", "Lindqvist astrolabe"), *(("browse", docid) for docid in opened)]
    assert [hit.docid for hit in run.steps[0].results] == docids


def test_the_nodes_of_a_retriever_of_llamaindex_are_its_list() -> None:
    spans = [record.value for record in records_of("llamaindex_openinference.jsonl.gz")]
    (record,) = convert(spans)
    assert calls_in(record) == [("search", {"query": "Which city keeps it?"})]
    (shown,) = [chat for chat in record["messages"] if chat["role"] == "tool"]
    assert sorted(row["docid"] for row in shown["results"][0]) == ["11", "12"]


def test_a_trace_of_openinference_is_one_run_and_a_retriever_is_a_search() -> None:
    agent, chain = read(TRACES / "langgraph_openinference.jsonl.gz")
    assert steps_of(agent) == [("search", "Lindqvist astrolabe"), ("browse", "12")]
    assert (agent.question, agent.final_answer) == ("Which city keeps it?", "Turku")
    assert agent.steps[0].reasoning == "who made it?"
    assert steps_of(chain) == [("search", "Which city keeps it?")]
    assert (chain.question, chain.final_answer) == ("Which city keeps it?", "Turku")


def test_the_documents_of_a_retriever_inside_of_a_tool_are_the_list_of_its_search() -> None:
    record = convert([record.value for record in records_of("langgraph_openinference.jsonl.gz")])[0]
    (listing, opened) = [chat for chat in record["messages"] if chat["role"] == "tool"]
    assert [[row["docid"] for row in rows] for rows in listing["results"]] == [["11", "12"]]
    assert "results" not in opened


def records_of(name: str) -> list[Record]:
    import gzip

    lines = gzip.decompress((TRACES / name).read_bytes()).splitlines()
    return [Record(name, number, json.loads(line)) for number, line in enumerate(lines, start=1)]


CALL = {"id": "c1", "name": "search", "arguments": {"query": "maker"}}
CONVENTIONS = {
    "GenAI attributes": {
        "gen_ai.operation.name": "chat",
        "gen_ai.input.messages": json.dumps([{"role": "user", "parts": [{"type": "text", "content": "Who?"}]}]),
        "gen_ai.output.messages": json.dumps(
            [{"role": "assistant", "parts": [{"type": "reasoning", "content": "hm"}, {"type": "tool_call", **CALL}]}]
        ),
    },
    "OpenInference": {
        "openinference.span.kind": "LLM",
        "llm.input_messages.0.message.role": "user",
        "llm.input_messages.0.message.contents.0.message_content.type": "text",
        "llm.input_messages.0.message.contents.0.message_content.text": "Who?",
        "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.content": "hm",
        "llm.output_messages.0.message.tool_calls.0.tool_call.id": "c1",
        "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "search",
        "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": '{"query": "maker"}',
    },
    "OpenInference, nested": {
        "openinference": {"span": {"kind": "LLM"}},
        "llm": {
            "input_messages": [{"message.role": "user", "message.content": "Who?"}],
            "output_messages": [
                {
                    "message": {
                        "role": "assistant",
                        "content": "hm",
                        "tool_calls": [
                            {"tool_call.id": "c1", "tool_call.function.name": "search",
                             "tool_call.function.arguments": '{"query": "maker"}'}
                        ],
                    }
                }
            ],
        },
    },
    "OpenLLMetry": {
        "llm.request.type": "chat",
        "gen_ai.prompt.0.role": "user",
        "gen_ai.prompt.0.content": "Who?",
        "gen_ai.completion.0.role": "assistant",
        "gen_ai.completion.0.content": "hm",
        "gen_ai.completion.0.tool_calls.0.id": "c1",
        "gen_ai.completion.0.tool_calls.0.name": "search",
        "gen_ai.completion.0.tool_calls.0.arguments": '{"query": "maker"}',
    },
    "Vercel AI SDK": {
        "ai.operationId": "ai.generateText.doGenerate",
        "ai.prompt.messages": json.dumps([{"role": "user", "content": [{"type": "text", "text": "Who?"}]}]),
        "ai.response.text": "hm",
        "ai.response.toolCalls": json.dumps([{"toolCallId": "c1", "toolName": "search", "args": {"query": "maker"}}]),
    },
    "Langfuse": {
        "langfuse.observation.type": "generation",
        "langfuse.observation.input": json.dumps([{"role": "user", "content": "Who?"}]),
        "langfuse.observation.output": json.dumps(
            {"role": "assistant", "content": "hm",
             "tool_calls": [{"id": "c1", "function": {"name": "search", "arguments": '{"query": "maker"}'}}]}
        ),
    },
    "MLflow": {
        "mlflow.spanType": '"CHAT_MODEL"',
        "mlflow.spanInputs": json.dumps({"messages": [{"role": "user", "content": "Who?"}]}),
        "mlflow.spanOutputs": json.dumps(
            {"choices": [{"message": {"role": "assistant", "content": "hm", "tool_calls": [
                {"id": "c1", "function": {"name": "search", "arguments": '{"query": "maker"}'}}]}}]}
        ),
    },
}  # fmt: skip


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_a_model_call_is_read_by_each_convention(convention: str) -> None:
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search", "gen_ai.tool.call.id": "c1",
            "gen_ai.tool.call.arguments": '{"query": "maker"}',
            "gen_ai.tool.call.result": json.dumps(HITS)}  # fmt: skip
    (record,) = convert([span("chat", 1, CONVENTIONS[convention]), span("execute_tool search", 2, tool)])
    assert calls_in(record) == [("search", {"query": "maker"})]
    assert [json.loads(text) for text in shown_in(record)] == [HITS]
    assert record["messages"][0] == {"role": "user", "content": "Who?"}
    spoken = record["messages"][1]
    assert spoken.get("reasoning_content", "") + spoken["content"] == "hm"


def test_messages_in_events_of_the_older_conventions_are_read() -> None:
    function = {"name": "search", "arguments": '{"query": "maker"}'}
    message = {"role": "assistant", "tool_calls": [{"id": "c1", "type": "function", "function": function}]}
    first = span("chat m", 1, {"gen_ai.operation.name": "chat"}, events=[
        {"name": "gen_ai.user.message", "attributes": {"content": "Who?"}},
        {"name": "gen_ai.choice", "attributes": {"index": 0, "message": json.dumps(message)}},
    ])  # fmt: skip
    second = span("chat m", 2, {"gen_ai.operation.name": "chat"}, events=[
        {"name": "gen_ai.user.message", "attributes": {"content": "Who?"}},
        {"name": "gen_ai.assistant.message", "attributes": {"tool_calls": json.dumps(message["tool_calls"])}},
        {"name": "gen_ai.tool.message", "attributes": {"id": "c1", "content": "Words"}},
        {"name": "gen_ai.choice", "attributes": {"message": {"content": "Turku"}}},
    ])  # fmt: skip
    (record,) = convert([first, second])
    assert [chat["role"] for chat in record["messages"]] == ["user", "assistant", "tool", "assistant"]
    assert record["messages"][2]["tool_call_id"] == "c1"


def test_a_run_without_histories_is_rebuilt_in_the_order_of_time() -> None:
    say = {"openinference.span.kind": "LLM", "input.value": "a prompt"}
    spans = [
        span("agent", 0, {"openinference.span.kind": "AGENT", "input.value": "Who?", "output.value": "Turku"},
             parent=None) | {"span_id": "root"},
        span("m", 5, {**say, "output.value": "It is Turku."}),
        span("visit", 4, {"openinference.span.kind": "TOOL", "tool.name": "visit", "output.value": "Words",
                          "input.value": '{"url": "https://a.org"}'}),
        span("m", 3, {**say, "output.value": "I open it."}),
        span("r", 2, {"openinference.span.kind": "RETRIEVER", "input.value": "maker",
                      "retrieval.documents.0.document.id": "https://a.org",
                      "retrieval.documents.0.document.content": "Words of a",
                      "retrieval.documents.0.document.score": 2}),
        span("m", 1, {**say, "output.value": "I search."}),
    ]  # fmt: skip
    (record,) = convert(spans)
    assert calls_in(record) == [("search", {"query": "maker"}), ("visit", {"url": "https://a.org"})]
    texts = [chat["content"] for chat in record["messages"] if chat["role"] == "assistant" and chat["content"]]
    assert texts == ["I search.", "I open it.", "It is Turku."]
    assert record["question"] == "Who?"
    listing = next(chat for chat in record["messages"] if "results" in chat)
    assert listing["results"] == [[{"docid": "https://a.org", "title": "", "snippet": "Words of a", "score": 2.0}]]


def test_a_history_that_was_cut_goes_on_without_repeating_calls() -> None:
    def chat(start: int, inputs: list[Any], call: str | None) -> dict[str, Any]:
        parts = [{"type": "tool_call", "id": call, "name": "search", "arguments": {"query": call}}] if call else []
        parts = parts or [{"type": "text", "content": "Turku"}]
        return span("chat", start, {
            "gen_ai.operation.name": "chat", "gen_ai.input.messages": json.dumps(inputs),
            "gen_ai.output.messages": json.dumps([{"role": "assistant", "parts": parts}]),
        })  # fmt: skip

    asked = {"role": "user", "parts": [{"type": "text", "content": "Who?"}]}
    answers = [{"role": "tool", "parts": [{"type": "tool_call_response", "id": c, "response": c}]} for c in ("a", "b")]
    (record,) = convert([chat(1, [asked], "a"), chat(2, [answers[0]], "b"), chat(3, [asked, answers[1]], None)])
    assert [arguments["query"] for _, arguments in calls_in(record)] == ["a", "b"]
    assert shown_in(record) == ["a", "b"]
    assert record["messages"][-1]["content"] == "Turku"


def test_an_agent_inside_of_a_tool_is_a_run_of_its_own() -> None:
    def chat(start: int, parent: str, question: str, tool: str, query: str) -> dict[str, Any]:
        part = {"type": "tool_call", "id": f"c{start}", "name": tool, "arguments": {"query": query}}
        return span("chat", start, {
            "gen_ai.operation.name": "chat",
            "gen_ai.input.messages": json.dumps([{"role": "user", "parts": [{"type": "text", "content": question}]}]),
            "gen_ai.output.messages": json.dumps([{"role": "assistant", "parts": [part]}]),
        }, parent=parent)  # fmt: skip

    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "research", "gen_ai.tool.call.id": "c1",
            "gen_ai.tool.call.result": "It is Turku."}  # fmt: skip
    outer, inner = convert(
        [
            chat(1, "root", "Who?", "research", "all"),
            span("research", 2, tool),
            chat(3, "s2", "Find it", "search", "maker"),
        ]
    )
    assert calls_in(outer) == [("research", {"query": "all"})]
    assert calls_in(inner) == [("search", {"query": "maker"})]


def test_runs_that_go_on_side_by_side_in_one_trace_are_kept_apart() -> None:
    def chat(start: int, run: str, *, with_history: bool) -> dict[str, Any]:
        asked = {"role": "user", "parts": [{"type": "text", "content": f"Question {run}?"}]}
        call = {"type": "tool_call", "id": run, "name": "search", "arguments": {"query": f"about {run}"}}
        reply = {"role": "assistant", "parts": [call]}
        shown = {"role": "tool", "parts": [{"type": "tool_call_response", "id": run, "response": f"Words of {run}"}]}
        answer = {"role": "assistant", "parts": [{"type": "text", "content": f"Answer {run}"}]}
        return span("chat", start, {
            "gen_ai.operation.name": "chat",
            "gen_ai.input.messages": json.dumps([asked, reply, shown] if with_history else [asked]),
            "gen_ai.output.messages": json.dumps([answer if with_history else reply]),
        }, parent=f"agent {run}")  # fmt: skip

    batch = span("batch", 0, {"openinference.span.kind": "CHAIN", "input.value": "ten questions"}, parent=None)
    spans = [batch, *(chat(start, run, with_history=start > 2) for start, run in enumerate("abab", start=1))]
    records = convert(spans)
    assert [calls_in(record) for record in records] == [
        [("search", {"query": "about a"})],
        [("search", {"query": "about b"})],
    ]
    assert [record["messages"][-1]["content"] for record in records] == ["Answer a", "Answer b"]
    assert all("question" not in record for record in records)


def test_a_model_call_that_a_framework_and_a_client_recorded_counts_once() -> None:
    attributes = CONVENTIONS["GenAI attributes"]
    (record,) = convert([span("outer", 1, attributes), span("inner", 2, CONVENTIONS["OpenLLMetry"], parent="s1")])
    assert calls_in(record) == [("search", {"query": "maker"})]


def test_a_failed_tool_is_marked() -> None:
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "visit",
            "gen_ai.tool.call.arguments": '{"url": "https://a.org"}', "gen_ai.tool.call.result": "no"}  # fmt: skip
    status = {"status": {"code": "STATUS_CODE_ERROR"}}
    (record,) = convert([span("chat", 1, CONVENTIONS["OpenLLMetry"]), span("visit", 2, tool) | status])
    assert [chat.get("is_error") for chat in record["messages"] if chat["role"] == "tool"] == [True]


def otlp(*spans: dict[str, Any]) -> dict[str, Any]:
    return {"resourceSpans": [{"scopeSpans": [{"scope": {"name": "x"}, "spans": list(spans)}]}]}


def otlp_span(trace: str, start: int) -> dict[str, Any]:
    attributes = [
        {"key": key, "value": {"stringValue": value}} for key, value in CONVENTIONS["GenAI attributes"].items()
    ]
    attributes.append({"key": "gen_ai.request.temperature", "value": {"doubleValue": 0.5}})
    return {"traceId": trace, "spanId": f"s{start}", "startTimeUnixNano": str(start * 10**9), "attributes": attributes}


def test_traces_are_put_together_across_documents_and_taken_apart_within_them(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    documents = [otlp(otlp_span("a", 1), otlp_span("b", 2)), otlp(otlp_span("a", 3))]
    path.write_text("\n".join(map(json.dumps, documents)))
    runs = read(path)
    assert [json.loads(run.metadata)["trace_id"] for run in runs] == ["a", "b"]
    assert len({run.trajectory_id for run in runs}) == 2
    assert runs[0].sampling.temperature == 0.5


def test_rows_of_phoenix_are_read(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    output = [{"message.role": "assistant", "message.content": "hm", "message.tool_calls": [
        {"tool_call.function.name": "search", "tool_call.function.arguments": '{"query": "maker"}'}]}]  # fmt: skip
    rows = [
        {"name": "m", "span_kind": "LLM", "parent_id": None, "context.trace_id": "t", "context.span_id": "1",
         "attributes.llm.input_messages": [{"message.role": "user", "message.content": "Who?"}],
         "attributes.llm.output_messages": output, "attributes.retrieval.documents": None},
        {"name": "search", "span_kind": "RETRIEVER", "parent_id": "1", "context.trace_id": "t", "context.span_id": "2",
         "attributes.input.value": "maker",
         "attributes.retrieval.documents": [{"document.id": "7", "document.content": "Words of 7"}]},
    ]  # fmt: skip
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows, schema=None), tmp_path / "spans.parquet")
    (run,) = read(tmp_path / "spans.parquet")
    assert (run.question, steps_of(run)) == ("Who?", [("search", "maker")])


def test_rows_of_logfire_and_traces_of_jaeger_are_read(tmp_path: Path) -> None:
    attributes = CONVENTIONS["GenAI attributes"]
    logfire = {"trace_id": "t", "span_id": "1", "parent_span_id": None, "span_name": "chat m",
               "start_timestamp": "2026-01-01T00:00:01Z", "attributes": json.dumps(attributes)}  # fmt: skip
    tags = [{"key": key, "type": "string", "value": value} for key, value in attributes.items()]
    ids = {"traceID": "t", "spanID": "1", "operationName": "chat m", "startTime": 1767225601000000}
    jaeger = {"data": [{"traceID": "t", "spans": [{**ids, "tags": tags}]}]}
    for name, value in (("logfire.jsonl", logfire), ("jaeger.json", jaeger)):
        (tmp_path / name).write_text(json.dumps(value))
        (run,) = read(tmp_path / name)
        assert (run.question, steps_of(run)) == ("Who?", [("search", "maker")])


@pytest.mark.parametrize("value", [None, 3, "x", [], {}, {"trace_id": "t"}, {"role": "user", "content": "x"}])
def test_what_is_no_span_is_not_recognised_and_is_a_drop(value: Any) -> None:
    assert recognise_spans(value) is None
    assert [record.value for record in group_spans(iter([Record("f", 1, value)]))] == [value] or trace_like(value)
    with pytest.raises(UnreadableRecord):
        list(convert_spans(value, Ledger("parts")))


def trace_like(value: Any) -> bool:
    return isinstance(value, dict) and "trace_id" in value


def test_a_trace_of_tools_alone_has_not_failed(tmp_path: Path) -> None:
    rows = json.dumps([{"docid": "11", "title": "Astrolabes"}])
    path = tmp_path / "trace.jsonl"
    for failed, status in ((False, "completed"), (True, "failed")):
        spans = [
            span("agent", 0, {}, parent=None, status={"code": 2 if failed else 1}),
            span("search", 1, {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search",
                 "gen_ai.tool.call.arguments": '{"query": "astrolabe"}', "gen_ai.tool.call.result": rows}),
        ]  # fmt: skip
        path.write_text("\n".join(map(json.dumps, spans)))
        (run,) = read(path)
        assert (steps_of(run), run.status) == ([("search", "astrolabe")], status)
