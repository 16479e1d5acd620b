"""Runs that Langfuse, LangSmith and Inspect recorded are read: calls once, with lists, verdicts and failures.

`langgraph_langsmith*.jsonl.gz` holds the runs that LangChain's tracer (`langchain-core` 1.8.3, `langsmith` 0.15.1)
made of an agent of `langgraph` 1.2.24 and of a chain with a retriever; `inspect.eval` is a log that `inspect_ai`
0.3.285 wrote with its mock model.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lrat_hub.importers import Accounts, read_trajectories
from lrat_hub.importers.converters.inspect_logs import convert_inspect, recognise_inspect
from lrat_hub.importers.converters.langfuse import convert_langfuse, recognise_langfuse
from lrat_hub.importers.converters.langsmith import convert_langsmith, recognise_langsmith
from lrat_hub.importers.recognition import recognise_format
from lrat_hub.importers.values import UnreadableRecord
from lrat_hub.ledger import Ledger
from lrat_hub.schema import Trajectory

TRACES = Path(__file__).parent / "traces"
HITS = [
    {"docid": "11", "score": 9.0, "snippet": "Words of 11"},
    {"docid": "12", "score": 8.0, "snippet": "Words of 12"},
]
DOCUMENTS = [{"page_content": "Words of 11", "metadata": {"docid": "11"}, "type": "Document"}]


def read(path: Path, name: str) -> tuple[list[Trajectory], Accounts]:
    recognised = recognise_format(path)
    assert recognised is not None
    assert recognised.format == name
    accounts = Accounts()
    return list(read_trajectories(path, accounts)), accounts


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def steps_of(run: Trajectory) -> list[tuple[Any, ...]]:
    return [(step.action, *step.queries, *filter(None, [step.docid])) for step in run.steps if step.action != "answer"]


def lists_in(record: dict[str, Any]) -> list[Any]:
    return [[row["docid"] for row in chat["results"][0]] for chat in record["messages"] if "results" in chat]


# LangSmith


@pytest.mark.parametrize("name", ["langgraph_langsmith.jsonl.gz", "langgraph_langsmith_tree.jsonl.gz"])
def test_runs_of_langsmith_are_read_as_lists_and_as_trees(name: str) -> None:
    (agent, chain), _ = read(TRACES / name, "langsmith")
    assert steps_of(agent) == [("search", "Lindqvist astrolabe"), ("browse", "12")]
    assert (agent.question, agent.final_answer, agent.status) == ("Which city keeps it?", "Turku", "completed")
    assert [step.reasoning for step in agent.steps[:2]] == ["who made it?", "Opening 12"]
    assert (chain.question, chain.final_answer) == ("Which city keeps it?", "Turku")
    assert steps_of(chain) == [("search", "Which city keeps it?")]


def langsmith_run(run_type: str, start: int, inputs: Any, outputs: Any, **more: Any) -> dict[str, Any]:
    return {
        "id": f"r{start}", "trace_id": "r0", "parent_run_id": None if start == 0 else "r0", "name": run_type,
        "run_type": run_type, "start_time": f"2026-01-01T00:00:{start:02}", "inputs": inputs, "outputs": outputs,
        **more,
    }  # fmt: skip


def langsmith_rows() -> list[dict[str, Any]]:
    asked = {"role": "user", "content": "Who?"}
    call = {"id": "c1", "type": "function", "function": {"name": "search", "arguments": '{"query": "maker"}'}}
    reply = {"role": "assistant", "content": "hm", "tool_calls": [call]}
    shown = {"role": "tool", "tool_call_id": "c1", "content": json.dumps(HITS)}
    return [
        langsmith_run("chain", 0, {"question": "Who?"}, {"answer": "Turku"}, reference_example_id="e1",
                      feedback_stats={"correctness": {"n": 1, "avg": 0.0}, "helpfulness": {"n": 1, "avg": 1}}),
        langsmith_run("llm", 1, {"messages": [asked]}, {"choices": [{"message": reply}]},
                      extra={"metadata": {"ls_model_name": "gpt", "ls_temperature": 0.5}}),
        langsmith_run("tool", 2, {"input": "{'query': 'maker'}"}, {"output": json.dumps(HITS)}) | {"name": "search"},
        langsmith_run("llm", 3, {"messages": [asked, reply, shown]}, {"role": "assistant", "content": "Turku"}),
    ]  # fmt: skip


def test_a_verdict_of_feedback_counts_and_the_example_is_the_question(tmp_path: Path) -> None:
    (run,), _ = read(write(tmp_path / "runs.jsonl", langsmith_rows()), "langsmith")
    assert (run.correct, run.query_id, run.agent, run.sampling.temperature) == (False, "e1", "gpt", 0.5)
    assert steps_of(run) == [("search", "maker")]


@pytest.mark.parametrize("stats", [{"correctness": {"avg": 0.5}}, {"helpfulness": {"avg": 1}}, "x", None])
def test_unclear_feedback_is_no_verdict(stats: Any) -> None:
    rows = langsmith_rows()
    rows[0]["feedback_stats"] = stats
    (record,) = convert_langsmith(rows, Ledger("parts"))
    assert "correct" not in record


def test_a_run_that_failed_and_its_failed_tool_are_marked() -> None:
    rows = [
        langsmith_run("chain", 0, {"input": "Who?"}, None, error="Timeout"),
        langsmith_run("tool", 1, {"url": "https://a.org"}, None, error="403 Forbidden") | {"name": "visit"},
    ]
    (record,) = convert_langsmith(rows, Ledger("parts"))
    assert record["status"] == "failed"
    (shown,) = [chat for chat in record["messages"] if chat["role"] == "tool"]
    assert (shown["content"], shown["is_error"]) == ("403 Forbidden", True)


def test_a_chain_that_only_names_its_messages_is_read() -> None:
    call = {"name": "search", "args": {"query": "maker"}, "id": "c1", "type": "tool_call"}
    messages = [
        {"type": "human", "data": {"content": "Who?", "type": "human"}},
        {"type": "ai", "data": {"content": "", "tool_calls": [call], "type": "ai"}},
        {"type": "tool", "data": {"content": "Words", "tool_call_id": "c1", "type": "tool"}},
    ]
    (record,) = convert_langsmith(
        langsmith_run("chain", 0, {"messages": messages[:1]}, {"messages": messages}), Ledger("")
    )
    assert [chat["role"] for chat in record["messages"]] == ["user", "assistant", "tool"]


# Langfuse


def observation(kind: str, start: int, given: Any, made: Any, **more: Any) -> dict[str, Any]:
    return {
        "id": f"o{start}", "traceId": "t", "parentObservationId": "o0" if start else None, "type": kind, "name": kind,
        "startTime": f"2026-01-01T00:00:{start:02}.000Z", "input": given, "output": made, **more,
    }  # fmt: skip


def observations() -> list[dict[str, Any]]:
    asked = {"role": "user", "content": "Who?"}
    call = {"id": "c1", "type": "function", "function": {"name": "search", "arguments": '{"query": "maker"}'}}
    reply = {"role": "assistant", "content": "hm", "tool_calls": [call]}
    shown = {"role": "tool", "tool_call_id": "c1", "content": "Words of 11 and more"}
    return [
        observation("AGENT", 0, "Who?", "Turku"),
        observation("GENERATION", 1, [asked], reply, model="gpt", modelParameters={"temperature": 0.5}),
        observation("SPAN", 2, {"query": "maker"}, "Words of 11 and more", name="search"),
        observation("RETRIEVER", 3, "maker", DOCUMENTS, parentObservationId="o2"),
        observation("GENERATION", 4, [asked, reply, shown], {"role": "assistant", "content": "Turku"}),
    ]


def as_text(row: dict[str, Any]) -> dict[str, Any]:
    """As in an export whose values are text and whose names have underscores."""
    names = {"traceId": "trace_id", "parentObservationId": "parent_observation_id", "startTime": "start_time"}
    return {names.get(key, key): value if value is None or isinstance(value, str) else json.dumps(value)
            for key, value in row.items()}  # fmt: skip


@pytest.mark.parametrize("change", [lambda row: row, as_text])
def test_observations_of_langfuse_are_one_run(change: Any, tmp_path: Path) -> None:
    rows = [change(row) for row in reversed(observations())]
    (run,), accounts = read(write(tmp_path / "observations.jsonl", rows), "langfuse")
    assert steps_of(run) == [("search", "maker")]
    assert (run.question, run.final_answer, run.agent, run.sampling.temperature) == ("Who?", "Turku", "gpt", 0.5)
    assert accounts.parts.num_dropped == 0


def test_the_documents_of_a_retriever_are_the_list_of_the_span_around_it() -> None:
    (record,) = convert_langfuse(observations(), Ledger("parts"))
    assert lists_in(record) == [["11"]]


@pytest.mark.parametrize("value", [1, True, "yes"])
def test_a_trace_of_langfuse_with_scores_has_a_verdict(value: Any, tmp_path: Path) -> None:
    trace = {"id": "t", "timestamp": "2026-01-01", "name": "run", "sessionId": "s", "input": "Who?", "output": "Turku",
             "observations": observations(), "scores": [{"name": "correctness", "value": value}]}  # fmt: skip
    (run,), _ = read(write(tmp_path / "traces.jsonl", [trace]), "langfuse")
    assert run.correct is True
    downloaded = {"trace": trace, "observations": trace.pop("observations")}
    (run,), _ = read(write(tmp_path / "trace.json", [downloaded]), "langfuse")
    assert steps_of(run) == [("search", "maker")]


def test_an_observation_of_an_unknown_type_is_counted() -> None:
    parts = Ledger("parts")
    list(
        convert_langfuse(
            {"trace": {"id": "t"}, "observations": [*observations(), observation("ODD", 9, "", "")]}, parts
        )
    )
    assert parts.dropped == {"observation of unknown type 'ODD'": 1}


# Inspect


def test_an_archive_of_inspect_is_read_with_its_verdicts_and_failed_calls() -> None:
    (first, second), accounts = read(TRACES / "inspect.eval", "inspect")
    assert (first.query_id, first.gold_answer, first.correct, first.status) == ("q1", "Turku", True, "completed")
    assert (second.query_id, second.gold_answer, second.correct) == ("7", "Oslo\nBergen", False)
    assert steps_of(first) == [("search", "Lindqvist astrolabe"), ("browse", "99"), ("browse", "12")]
    assert [step.error for step in first.steps[:3]] == [None, "no such document", None]
    assert first.steps[0].reasoning == "who made it?"
    assert accounts.records.num_dropped == accounts.parts.num_dropped == 0


def sample(**more: Any) -> dict[str, Any]:
    call = {"id": "c1", "function": "search", "arguments": {"query": "maker"}, "type": "function"}
    messages = [
        {"role": "user", "content": "Who?"},
        {"role": "assistant", "content": [{"type": "reasoning", "reasoning": "hm"}], "tool_calls": [call]},
        {"role": "tool", "content": "attachment://0a", "tool_call_id": "c1", "function": "search"},
    ]
    return {"id": 1, "epoch": 1, "input": "Who?", "target": "Turku", "messages": messages,
            "attachments": {"0a": json.dumps(HITS)}, "scores": {"match": {"value": "C"}}, **more}  # fmt: skip


def test_attachments_stand_where_they_are_used_and_missing_ones_are_a_loss() -> None:
    (record,) = convert_inspect(sample(), Ledger("parts"))
    assert json.loads(record["messages"][2]["content"]) == HITS
    parts = Ledger("parts")
    list(convert_inspect(sample(attachments={}), parts))
    assert parts.lost == {"attachments that are not in the log": 1}


@pytest.mark.parametrize(
    ("scores", "correct"),
    [({"a": {"value": "C"}}, True), ({"a": {"value": "I"}}, False), ({"a": {"value": 1.0}}, True),
     ({"a": {"value": "P"}}, None), ({"a": {"value": "N"}}, None), ({"a": {"value": 0.5}}, None),
     ({"a": {"value": "C"}, "b": {"value": "I"}}, None), ({"a": {"value": "C"}, "b": {"value": 0.7}}, True),
     ({}, None)],
)  # fmt: skip
def test_scores_are_a_verdict_where_they_agree(scores: Any, correct: bool | None) -> None:
    (record,) = convert_inspect(sample(scores=scores), Ledger("parts"))
    assert record.get("correct") is correct


def test_errors_and_limits_are_statuses_and_the_completion_is_an_answer() -> None:
    (failed,) = convert_inspect(sample(error={"message": "x"}), Ledger("parts"))
    (limited,) = convert_inspect(sample(limit={"type": "token"}, output={"completion": "Turku"}), Ledger("parts"))
    assert failed["status"] == "failed"
    assert (limited["status"], limited["final_answer"]) == ("limited", "Turku")


def test_a_tool_that_the_provider_runs_is_a_call_with_its_result() -> None:
    used = {"type": "tool_use", "tool_type": "web_search", "id": "w1", "name": "web_search",
            "arguments": '{"query": "maker"}', "result": json.dumps(HITS)}  # fmt: skip
    messages = [{"role": "user", "content": "Who?"},
                {"role": "assistant", "content": [used, {"type": "text", "text": "Turku"}]}]  # fmt: skip
    (record,) = convert_inspect(sample(messages=messages), Ledger("parts"))
    assert [chat["role"] for chat in record["messages"]] == ["user", "assistant", "tool", "assistant"]


def test_a_sample_without_messages_is_read_by_its_events() -> None:
    asked, reply = sample()["messages"][:2]
    events = [
        {"event": "model", "timestamp": "2026-01-01T00:00:01", "input": [], "input_refs": [[0, 1]],
         "output": {"choices": [{"message": reply}]}, "model": "m"},
        {"event": "tool", "timestamp": "2026-01-01T00:00:02", "id": "c1", "function": "search",
         "arguments": {"query": "maker"}, "result": "attachment://0a"},
        {"event": "state", "timestamp": "2026-01-01T00:00:03"},
    ]  # fmt: skip
    (record,) = convert_inspect(sample(messages=[], events=events, events_data={"messages": [asked]}), Ledger("parts"))
    assert [chat["role"] for chat in record["messages"]] == ["user", "assistant", "tool"]
    assert json.loads(record["messages"][2]["content"]) == HITS


@pytest.mark.parametrize("value", [None, 3, "x", [], {}, {"role": "user", "content": "x"}, {"messages": []}])
def test_what_is_none_of_them_is_not_recognised_and_is_a_drop(value: Any) -> None:
    for recognise, convert in (
        (recognise_langsmith, convert_langsmith),
        (recognise_langfuse, convert_langfuse),
        (recognise_inspect, convert_inspect),
    ):
        assert recognise(value) is None
        with pytest.raises(UnreadableRecord):
            list(convert(value, Ledger("parts")))
