"""What is particular to the logs of each framework: failures, parts that are not understood, runs in pieces."""

import json

import pytest

from lrat_hub.importers import Accounts, read_trajectories
from lrat_hub.importers.recognition import recognise_format
from lrat_hub.importers.values import UnreadableRecord
from lrat_hub.ledger import Ledger

ROWS = [{"docid": "11", "snippet": "Words"}, {"docid": "12", "snippet": "Others"}]


def read(tmp_path, *lines):
    """The runs of a file of these records, its format, and the accounts."""
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    accounts = Accounts()
    runs = list(read_trajectories(path, accounts))
    for ledger in accounts.ledgers():
        ledger.to_dict()
    return runs, recognise_format(path).format, accounts


def actions(run):
    return [(step.action, step.queries or step.docid, step.error) for step in run.steps if step.action != "answer"]


def step(number, source, message, **more):
    return {"step_id": number, "source": source, "message": message, **more}


def call(call_id, name, **arguments):
    return {"tool_call_id": call_id, "function_name": name, "arguments": arguments}


def test_atif_sub_agents_are_runs_and_copied_steps_are_left_out(tmp_path):
    observation = {"results": [{"source_call_id": "c", "content": json.dumps(ROWS)}]}
    searched = {"tool_calls": [call("c", "search", query="q")], "observation": observation}
    child = {
        "trajectory_id": "child",
        "agent": {"name": "a", "version": "1"},
        "steps": [step(1, "user", "Sub-question?"), step(2, "agent", "", **searched), step(3, "agent", "Yes")],
    }
    parent = {
        "schema_version": "ATIF-v1.7",
        "agent": {"name": "a", "version": "1", "model_name": "m"},
        "continued_trajectory_ref": "more.json",
        "steps": [
            step(1, "user", "Question?", is_copied_context=True),
            step(2, "agent", "", is_copied_context=True, **searched),
            step(3, "agent", "", tool_calls=[call("d", "get_document", docid="12")],
                 observation={"results": [{"content": [{"type": "text", "text": "Words"}, {"type": "image"}]}]}),
            {"step_id": 4, "source": "moderator", "message": "?"},
        ],
        "subagent_trajectories": [child, {"steps": []}],
    }  # fmt: skip
    (first, second), name, accounts = read(tmp_path, parent)
    assert name == "atif"
    assert (first.question, actions(first)) == ("Question?", [("browse", "12", None)])
    assert first.steps[0].observation == "Words"
    assert (second.question, actions(second)) == ("Sub-question?", [("search", ("q",), None)])
    assert accounts.parts.notes["steps copied from the trajectory before, left out"] == 2
    assert accounts.parts.notes["trajectories that go on in another file"] == 1
    assert set(accounts.parts.dropped) == {
        "step of an unknown source", "trajectory of a sub-agent without steps",
    }  # fmt: skip


def vercel(*parts, role="assistant"):
    return {"role": role, "content": list(parts)}


def tool_call(number, name, **more):
    return {"type": "tool-call", "toolCallId": f"c{number}", "toolName": name, **more}


def tool_result(number, name, **more):
    return {"type": "tool-result", "toolCallId": f"c{number}", "toolName": name, **more}


def test_vercel_outputs_of_every_kind(tmp_path):
    content = {"type": "content", "value": [{"type": "text", "text": json.dumps(ROWS)}, {"type": "media"}]}
    record = {
        "messages": [
            {"role": "user", "content": "Question?"},
            vercel(tool_call(1, "search", input={"query": "a"}), tool_call(2, "search", args={"query": "b"})),
            vercel(tool_result(2, "search", result=ROWS[:1]), tool_result(1, "search", output=content), role="tool"),
            vercel(tool_call(3, "visit", input={"url": "u"}), tool_call(4, "visit", input={"url": "v"})),
            vercel(
                tool_result(3, "visit", output={"type": "error-text", "value": "404"}),
                tool_result(4, "visit", result="gone", isError=True),
                role="tool",
            ),
            vercel({"type": "text", "text": "Answer"}, {"type": "file", "data": ""}, {"type": "hologram"}),
        ]
    }
    (run,), name, accounts = read(tmp_path, record)
    assert name == "vercel"
    assert actions(run) == [
        ("search", ("a",), None), ("search", ("b",), None), ("browse", "u", "404"), ("browse", "v", "gone"),
    ]  # fmt: skip
    assert [[hit.docid for hit in step.results] for step in run.steps[:2]] == [["11", "12"], ["11"]]
    assert run.final_answer == "Answer"
    assert dict(accounts.parts.dropped) == {"part of content of unknown type 'hologram'": 1}


def test_vercel_states_of_ui_messages_and_older_invocations(tmp_path):
    parts = [
        {"type": "step-start"},
        {"type": "tool-search", "toolCallId": "1", "state": "output-available", "input": {"query": "q"},
         "output": ROWS},
        {"type": "dynamic-tool", "toolName": "visit", "toolCallId": "2", "state": "output-error",
         "input": {"url": "u"}, "errorText": "timeout"},
        {"type": "tool-visit", "toolCallId": "3", "state": "input-available", "input": {"url": "v"}},
        {"type": "data-weather", "data": {}},
        {"type": "source-url", "sourceId": "s", "url": "u"},
    ]  # fmt: skip
    ui = [
        {"id": "1", "role": "user", "parts": [{"type": "text", "text": "Question?"}]},
        {"id": "2", "role": "assistant", "parts": parts},
    ]
    invocations = [
        {"state": "result", "toolCallId": "1", "toolName": "search", "args": {"query": "q"}, "result": ROWS},
        {"state": "call", "toolCallId": "2", "toolName": "visit", "args": {"url": "u"}},
    ]
    older = [
        {"role": "user", "content": "Other?"},
        {"role": "assistant", "content": "", "toolInvocations": invocations},
    ]
    (first, second), name, accounts = read(tmp_path, {"messages": ui}, {"messages": older})
    assert name == "vercel"
    assert actions(first) == [("search", ("q",), None), ("browse", "u", "timeout"), ("browse", "v", None)]
    assert actions(second) == [("search", ("q",), None), ("browse", "u", None)]
    assert not accounts.parts.dropped


def test_vercel_results_of_the_fourth_version(tmp_path):
    steps = [
        {"stepType": "initial", "text": "I look.", "reasoning": "Hm.", "finishReason": "tool-calls",
         "toolCalls": [tool_call(1, "search", args={"query": "q"})],
         "toolResults": [tool_result(1, "search", args={"query": "q"}, result=ROWS)]},
        {"stepType": "tool-result", "text": "Answer", "finishReason": "stop", "toolCalls": [], "toolResults": []},
    ]  # fmt: skip
    (run,), name, _ = read(tmp_path, {"prompt": "Question?", "text": "Answer", "steps": steps})
    assert (name, run.question, run.final_answer) == ("vercel", "Question?", "Answer")
    assert run.steps[0].reasoning == "Hm.\nI look."
    assert [hit.docid for hit in run.steps[0].results] == ["11", "12"]


def test_llamaindex_calls_that_a_client_keeps_beside_the_blocks_count_once(tmp_path):
    block = {"block_type": "tool_call", "tool_call_id": "c", "tool_name": "search", "tool_kwargs": {"query": "q"}}
    kept = {"id": "c", "type": "function", "function": {"name": "search", "arguments": '{"query": "q"}'}}
    messages = [
        {"role": "user", "additional_kwargs": {}, "blocks": [{"block_type": "text", "text": "Question?"}]},
        {"role": "assistant", "additional_kwargs": {"tool_calls": [kept]}, "blocks": [block, {"block_type": "hm"}]},
        {"role": "tool", "additional_kwargs": {"tool_call_id": "c"}, "content": json.dumps(ROWS)},
    ]
    (run,), name, accounts = read(tmp_path, {"messages": messages})
    assert (name, actions(run)) == ("llamaindex", [("search", ("q",), None)])
    assert dict(accounts.parts.dropped) == {"block of unknown type 'hm'": 1}


def test_haystack_marks_a_failed_tool(tmp_path):
    origin = {"tool_name": "visit", "arguments": {"url": "u"}, "id": None}
    messages = [
        {"_role": "user", "_content": [{"text": "Question?"}], "_name": None, "_meta": {}},
        {"_role": "assistant", "_content": [{"tool_call": origin, "text": None}], "_name": None, "_meta": {}},
        {"_role": "tool", "_name": None, "_meta": {},
         "_content": [{"tool_call_result": {"result": "no such page", "origin": origin, "error": True}}]},
        {"_role": "assistant", "_content": [{"riddle": 1}], "_name": None, "_meta": {}},
    ]  # fmt: skip
    (run,), name, accounts = read(tmp_path, {"messages": messages})
    assert (name, actions(run)) == ("haystack", [("browse", "u", "no such page")])
    assert dict(accounts.parts.dropped) == {"part of content of unknown type 'riddle'": 1}


def test_gemini_functions_without_ids_meet_by_order_and_errors_are_failures(tmp_path):
    def called(*names):
        return {"role": "model", "parts": [{"functionCall": {"name": name, "args": {"url": name}}} for name in names]}

    contents = [
        {"role": "user", "parts": [{"text": "Question?"}]},
        {"role": "model", "parts": [{"functionCall": {"name": "search", "args": {"query": "q"}}}]},
        {"role": "function", "parts": [{"functionResponse": {"name": "search", "response": {"output": ROWS}}}]},
        {"role": "model", "parts": [{"functionCall": {"name": "visit", "args": {"url": "u"}}}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "visit", "response": {"error": "no page"}}}]},
        {"role": "model", "parts": [{"text": "Answer"}, {"hologram": {}}]},
    ]
    (run,), name, accounts = read(tmp_path, {"contents": contents})
    assert (name, actions(run)) == ("gemini", [("search", ("q",), None), ("browse", "u", "no page")])
    assert [hit.docid for hit in run.steps[0].results] == ["11", "12"]
    assert dict(accounts.parts.dropped) == {"part of unknown type 'hologram'": 1}


def test_gemini_pages_of_several_searches_of_the_api_belong_to_no_single_one():
    from lrat_hub.importers.converters.gemini import convert_gemini

    def grounded(*queries):
        chunks = [{"web": {"uri": "https://example.org/a", "title": "A"}}, {"image": {}}]
        return {
            "contents": [{"role": "user", "parts": [{"text": "Question?"}]}],
            "response": {
                "candidates": [
                    {
                        "content": {"parts": [{"text": "Answer"}]},
                        "groundingMetadata": {"webSearchQueries": list(queries), "groundingChunks": chunks},
                    }
                ]
            },
        }

    (one,) = convert_gemini(grounded("q"), Ledger("parts"))
    assert one["messages"][2]["results"] == [[{"docid": "https://example.org/a", "title": "A", "snippet": ""}]]
    (several,) = convert_gemini(grounded("q", "r"), Ledger("parts"))
    assert several["messages"][1]["tool_calls"][0]["function"]["arguments"] == {"query": ["q", "r"]}
    assert "results" not in several["messages"][2]


def test_a_gemini_cli_session_follows_rewinds_and_updates(tmp_path):
    text = 'Web search results for "q":\n\nTurku.[1]\n\nSources:\n[1] Lindqvist (a maker) (https://example.org/l)'
    result = [{"functionResponse": {"id": "t1", "name": "google_web_search", "response": {"output": text}}}]
    waiting = {"id": "t1", "name": "google_web_search", "args": {"query": "q"}, "status": "scheduled"}

    def line(number, kind, content, **more):
        return {"id": number, "timestamp": "2026-01-01", "type": kind, "content": content, **more}

    thoughts = [{"subject": "Plan", "description": "Search for it."}]
    lines = [
        {"sessionId": "s", "projectHash": "p", "startTime": "2026-01-01"},
        line("1", "user", [{"text": "Wrong question?"}]),
        {"$rewindTo": "1"},
        line("2", "user", [{"text": "Question?"}]),
        line("3", "gemini", "", thoughts=thoughts, toolCalls=[waiting], model="gemini-x"),
        line("3", "gemini", "", thoughts=thoughts, model="gemini-x",
             toolCalls=[{**waiting, "status": "success", "result": result}]),
        {"$set": {"summary": "About Turku"}},
        line("4", "info", "Compressed"),
        line("5", "gemini", "Turku"),
    ]  # fmt: skip
    from lrat_hub.importers.converters.gemini_sessions import convert_gemini_session

    (record,) = convert_gemini_session(lines, Ledger("parts"))
    user, agent, tool, answer = record["messages"]
    assert user["content"] == "Question?"
    assert agent["reasoning_content"] == "Plan\nSearch for it."
    assert agent["tool_calls"][0]["function"] == {"name": "google_web_search", "arguments": {"query": "q"}}
    assert tool["results"] == [[{"docid": "https://example.org/l", "title": "Lindqvist (a maker)"}]]
    assert answer["content"] == "Turku"
    assert record["agent"] == "gemini-x"
    (path := tmp_path / "session.jsonl").write_text("".join(json.dumps(part) + "\n" for part in lines))
    assert recognise_format(path).format == "gemini-session"
    (run,) = read_trajectories(path, Accounts())
    assert (run.question, run.final_answer, len(run.steps)) == ("Question?", "Turku", 2)


def test_a_saved_prompt_of_ai_studio_is_read(tmp_path):
    chunks = [
        {"role": "user", "text": "Question?"},
        {"role": "model", "text": "Hm.", "isThought": True},
        {"role": "model", "functionCall": {"name": "search", "args": {"query": "q"}}},
        {"role": "user", "functionResponse": {"name": "search", "response": {"result": ROWS}}},
        {"role": "model", "text": "Answer"},
    ]
    record = {"runSettings": {"model": "models/gemini-x", "temperature": 1.0}, "chunkedPrompt": {"chunks": chunks}}
    (run,), name, _ = read(tmp_path, record)
    assert (name, actions(run), run.final_answer) == ("gemini-session", [("search", ("q",), None)], "Answer")
    assert (run.agent, run.sampling.temperature, run.steps[0].reasoning) == ("gemini-x", 1.0, "Hm.")


def langchain(kind, content, **more):
    return {"type": kind, "data": {"content": content, **more}}


def test_langchain_server_tools_errors_and_unknown_blocks(tmp_path):
    blocks = [
        {"type": "reasoning", "reasoning": "Hm."},
        {"type": "server_tool_call", "name": "web_search", "args": {"query": "q"}, "id": "s"},
        {"type": "server_tool_result", "tool_call_id": "s", "status": "success",
         "output": [{"type": "web_search_result", "title": "A", "url": "https://example.org/a"}]},
        {"type": "non_standard", "value": {"type": "hologram"}},
        {"type": "text", "text": "I open it."},
    ]  # fmt: skip
    messages = [
        langchain("human", "Question?"),
        langchain("ai", blocks, tool_calls=[{"name": "visit", "args": {"url": "https://example.org/a"}, "id": "v"}]),
        langchain("tool", "boom", tool_call_id="v", status="error"),
        langchain("ai", "Answer"),
    ]
    (run,), name, accounts = read(tmp_path, {"messages": messages})
    assert name == "langchain"
    assert actions(run) == [("search", ("q",), None), ("browse", "https://example.org/a", "boom")]
    assert (run.steps[0].reasoning, run.steps[1].reasoning) == ("Hm.", "I open it.")
    assert [hit.docid for hit in run.steps[0].results] == ["https://example.org/a"]
    assert dict(accounts.parts.dropped) == {"block of unknown type 'hologram'": 1}


def test_a_state_of_open_deep_research_has_its_report_as_the_answer_and_its_researchers_as_runs(tmp_path):
    state = {
        "messages": [langchain("human", "Question?"), langchain("ai", "Report")],
        "supervisor_messages": [langchain("system", "You lead.")],
        "raw_notes": ["notes"],
        "final_report": "Report",
    }
    researcher = {
        "researcher_messages": [
            langchain("human", "Look into it."),
            langchain("ai", "", tool_calls=[{"name": "search", "args": {"query": "q"}, "id": "c"}]),
            langchain("tool", json.dumps(ROWS), tool_call_id="c"),
        ],
        "research_topic": "Topic",
        "compressed_research": "Summary",
    }
    (first, second), name, accounts = read(tmp_path, state, researcher)
    assert (name, first.question, first.final_answer) == ("langchain", "Question?", "Report")
    assert (second.question, actions(second)) == ("Topic", [("search", ("q",), None)])
    assert accounts.parts.dropped["notes of researchers, without the queries and results that led to them"] == 1


def chat(*answers):
    """A conversation in which the agent has searched so many times."""
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": "Question?"}]
    for number, query in enumerate(answers):
        function = {"name": "search", "arguments": json.dumps({"query": query})}
        messages.append(
            {"role": "assistant", "content": None, "tool_calls": [{"id": f"c{number}", "function": function}]}
        )
        messages.append({"role": "tool", "tool_call_id": f"c{number}", "content": json.dumps(ROWS)})
    return messages


def response(query=None, number=0):
    function = {"name": "search", "arguments": json.dumps({"query": query})}
    calls = [{"id": f"c{number}", "type": "function", "function": function}] if query else None
    message = {"role": "assistant", "content": None if query else "Answer", "tool_calls": calls, "refusal": None}
    return {"id": "r", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}


def test_requests_that_are_the_beginning_of_a_later_one_are_one_run(tmp_path):
    lines = [
        {"request": {"messages": chat(), "model": "m"}, "response": response("a", 0)},
        {"request": {"messages": chat(), "model": "m"}, "response": response("x", 0)},
        {"request": {"messages": chat("a"), "model": "m"}, "response": response("b", 1)},
        {"request": {"messages": chat("a", "b"), "model": "m"}, "response": response()},
    ]
    (other, run), name, accounts = read(tmp_path, *lines)
    assert (name, run.agent, run.final_answer) == ("requests", "m", "Answer")
    assert [step.queries for step in run.steps if step.action == "search"] == [("a",), ("b",)]
    assert [step.queries for step in other.steps if step.action == "search"] == [("x",)]
    assert accounts.parts.notes["requests that are the beginning of a later one"] == 2


@pytest.mark.parametrize(
    "record",
    [
        {"messages": chat("a"), "response": response()},
        {"request": {"body": {"messages": chat("a")}}, "response": {"status_code": 200, "body": response()}},
        {"custom_id": "7", "body": {"messages": chat("a")}, "response": {"body": response()}},
        {"messages": json.dumps(chat("a")), "response": json.dumps(response())},
        {"input": {"messages": chat("a")}, "output": response()},
        {"messages": chat("a"), "choices": response()["choices"]},
        {"request_body": {"messages": chat("a")}, "response_body": {"role": "assistant", "content": "Answer"}},
    ],
)
def test_requests_in_the_shapes_of_proxies_and_batches(record, tmp_path):
    (run,), name, _ = read(tmp_path, record)
    assert (name, run.question, run.final_answer, len(run.steps)) == ("requests", "Question?", "Answer", 2)
    assert run.query_id == record.get("custom_id", run.query_id)


def test_openhands_of_both_versions(tmp_path):
    mcp = {"meta": None, "content": [{"type": "text", "text": json.dumps(ROWS)}], "isError": False}
    events = [
        {"id": 1, "source": "user", "action": "message", "args": {"content": "Question?"}},
        {"id": 2, "source": "agent", "action": "call_tool_mcp",
         "args": {"name": "search", "arguments": {"query": "q"}, "thought": "Hm."}},
        {"id": 3, "source": "agent", "observation": "mcp", "content": json.dumps(mcp), "cause": 2, "extras": {}},
        {"id": 4, "source": "agent", "action": "browse", "args": {"url": "u", "thought": ""}},
        {"id": 5, "source": "environment", "observation": "agent_state_changed", "content": "", "extras": {}},
        {"id": 6, "source": "agent", "observation": "browse", "content": "gone", "cause": 4,
         "extras": {"error": True}},
        {"id": 7, "source": "agent", "action": "finish", "args": {"final_thought": "Answer"}},
    ]  # fmt: skip
    newer = [
        {"kind": "SystemPromptEvent", "source": "agent", "system_prompt": {"type": "text", "text": "s"}},
        {"kind": "MessageEvent", "source": "user",
         "llm_message": {"content": [{"type": "text", "text": "Question?"}]}},
        {"kind": "ActionEvent", "source": "agent", "thought": [{"type": "text", "text": "Hm."}], "tool_name": "search",
         "tool_call_id": "t", "action": {"kind": "MCPToolAction", "data": {"query": "q"}}},
        {"kind": "ObservationEvent", "source": "environment", "tool_name": "search", "tool_call_id": "t",
         "observation": {"content": [{"type": "text", "text": json.dumps(ROWS)}]}},
        {"kind": "ActionEvent", "source": "agent", "tool_name": "finish", "tool_call_id": "f",
         "action": {"kind": "FinishAction", "message": "Answer"}},
    ]  # fmt: skip
    (first, second), name, _ = read(tmp_path, {"history": events}, {"history": newer})
    assert name == "openhands"
    assert actions(first) == [("search", ("q",), None), ("browse", "u", "gone")]
    assert actions(second) == [("search", ("q",), None)]
    for run in (first, second):
        assert (run.question, run.final_answer, run.steps[0].reasoning) == ("Question?", "Answer", "Hm.")
        assert [hit.docid for hit in run.steps[0].results] == ["11", "12"]


def test_a_trajectory_of_swe_agent_is_named_in_its_refusal():
    from lrat_hub.importers.converters.openhands import convert_openhands, recognise_openhands

    record = {"trajectory": [{"action": "ls", "observation": "", "response": "", "state": {}}], "history": []}
    assert recognise_openhands(record) == "a trajectory of SWE-agent"
    with pytest.raises(UnreadableRecord, match="SWE-agent"):
        list(convert_openhands(record, Ledger("parts")))


def test_bedrock_messages_are_read(tmp_path):
    messages = [
        {"role": "user", "content": [{"text": "Question?"}]},
        {"role": "assistant", "content": [{"reasoningContent": {"reasoningText": {"text": "Hm."}}},
                                          {"toolUse": {"toolUseId": "1", "name": "search", "input": {"query": "q"}}},
                                          {"toolUse": {"toolUseId": "2", "name": "visit", "input": {"url": "u"}}}]},
        {"role": "user", "content": [
            {"toolResult": {"toolUseId": "2", "status": "error", "content": [{"text": "gone"}]}},
            {"toolResult": {"toolUseId": "1", "status": "success", "content": [{"json": ROWS}]}}]},
        {"role": "assistant", "content": [{"text": "Answer"}]},
    ]  # fmt: skip
    invocation = {
        "operation": "Converse",
        "input": {"inputBodyJson": {"messages": messages[:-1]}},
        "output": {"outputBodyJson": {"output": {"message": messages[-1]}}},
    }
    runs, name, _ = read(tmp_path, {"system": [{"text": "s"}], "messages": messages}, invocation)
    assert (name, len(runs)) == ("bedrock", 2)
    for run in runs:
        assert (run.question, run.final_answer) == ("Question?", "Answer")
        assert actions(run) == [("search", ("q",), None), ("browse", "u", "gone")]
        assert [hit.docid for hit in run.steps[0].results] == ["11", "12"]


@pytest.mark.parametrize("part", ["", "session_s", "session_s/agents/agent_b", "session_s/agents/agent_b/messages"])
def test_the_messages_of_a_strands_agent_are_a_run_in_the_order_of_their_numbers(tmp_path, part):
    def messages(agent):
        yield {"role": "user", "content": [{"text": f"What does {agent} say?"}]}
        for number in range(6):
            use = {"toolUseId": f"{number}", "name": "search", "input": {"query": f"{agent} {number}"}}
            yield {"role": "assistant", "content": [{"toolUse": use}]}
            shown = {"toolUseId": f"{number}", "status": "success", "content": [{"json": ROWS}]}
            yield {"role": "user", "content": [{"toolResult": shown}]}
        yield {"role": "assistant", "content": [{"text": f"secret of {agent}"}]}

    session = tmp_path / "session_s"
    for agent in ("a", "b"):
        folder = session / "agents" / f"agent_{agent}"
        (folder / "messages").mkdir(parents=True)
        state = {"agent_id": agent, "state": {}, "conversation_manager_state": {}}
        (folder / "agent.json").write_text(json.dumps(state))
        for number, message in enumerate(messages(agent)):
            redacted = {"role": "assistant", "content": [{"text": f"It says {agent}."}]} if number == 13 else None
            value = {"message": message, "message_id": number, "redact_message": redacted}
            (folder / "messages" / f"message_{number}.json").write_text(json.dumps(value))
    (session / "session.json").write_text(json.dumps({"session_id": "s", "session_type": "AGENT"}))
    accounts = Accounts()
    runs = list(read_trajectories(tmp_path / part, accounts))
    assert len({run.trajectory_id for run in runs}) == len(runs)
    for run, agent in zip(runs, "b" if part.count("/") else "ab", strict=True):
        assert (run.question, run.final_answer) == (f"What does {agent} say?", f"It says {agent}.")
        assert [step.queries for step in run.steps[:-1]] == [(f"{agent} {number}",) for number in range(6)]
    assert not accounts.num_lost


def test_vercel_messages_in_rows_belong_to_their_chat(tmp_path):
    def row(chat, number, role, *parts):
        return {"id": f"{chat}{number}", "chatId": chat, "role": role, "parts": list(parts), "createdAt": number}

    def searched(query):
        return {"type": "tool-search", "toolCallId": "1", "state": "output-available", "input": {"query": query},
                "output": ROWS}  # fmt: skip

    text = {"type": "text", "text": "Question?"}
    rows = [row("a", 1, "user", text), row("b", 1, "user", text),
            row("a", 2, "assistant", searched("q")), row("b", 2, "assistant", searched("r"))]  # fmt: skip
    runs, name, _ = read(tmp_path, *rows)
    assert name == "vercel"
    assert [actions(run) for run in runs] == [[("search", ("q",), None)], [("search", ("r",), None)]]


def test_llamaindex_answers_with_their_tools_outputs(tmp_path):
    node = {"node": {"id_": "12", "text": "Words", "metadata": {}}, "score": 1.0}
    source = {"tool_name": "search", "content": "12: Words", "raw_input": {"args": [], "kwargs": {"query": "q"}}}
    record = {"question": "Question?", "response": "Answer", "sources": [{**source, "raw_output": [node]}]}
    (run,), name, _ = read(tmp_path, record)
    assert (name, run.question, run.final_answer) == ("llamaindex", "Question?", "Answer")
    assert actions(run) == [("search", ("q",), None)]


def test_langgraph_states_of_a_stream_are_one_run_and_so_are_its_updates(tmp_path):
    question = {"type": "human", "content": "Question?", "id": "00000000-0000-4000-8000-000000000001"}
    asked = {"type": "ai", "content": "", "tool_calls": [{"name": "search", "args": {"query": "q"}, "id": "c"}]}
    shown = {"type": "tool", "content": json.dumps(ROWS), "tool_call_id": "c"}
    answer = {"type": "ai", "content": "Answer"}
    messages = [question, asked, shown, answer]
    states = [{"messages": messages[:count]} for count in range(1, 5)]
    (run,), name, _ = read(tmp_path, *states)
    assert (name, actions(run), run.final_answer) == ("langchain", [("search", ("q",), None)], "Answer")
    nodes = [("__start__", question), ("agent", asked), ("tools", shown), ("agent", answer)]
    path = tmp_path / "updates.json"
    path.write_text(json.dumps([{node: {"messages": [message]}} for node, message in nodes]))
    (run,) = read_trajectories(path, Accounts())
    assert (run.question, actions(run), run.final_answer) == ("Question?", [("search", ("q",), None)], "Answer")


def test_pages_of_an_answer_without_their_queries_are_a_loss(tmp_path):
    answered = {**response(), "citations": ["https://example.org/a"]}
    (run,), name, accounts = read(tmp_path, {"messages": chat("a"), "response": answered})
    assert (name, run.final_answer) == ("requests", "Answer")
    assert accounts.parts.dropped["pages that a search of the API found, without its queries"] == 1


def test_the_object_that_hermes_puts_around_a_result_is_taken_off(tmp_path):
    response = json.dumps({"name": "search", "content": ROWS})
    turns = [
        {"from": "human", "value": "Question?"},
        {"from": "gpt", "value": '<tool_call>\n{"name": "search", "arguments": {"query": "q"}}\n</tool_call>'},
        {"from": "tool", "value": f"<tool_response>\n{response}\n</tool_response>"},
        {"from": "gpt", "value": "Answer"},
    ]
    (run,), name, _ = read(tmp_path, {"conversations": turns})
    assert (name, run.final_answer, actions(run)) == ("chat", "Answer", [("search", ("q",), None)])
    assert [hit.docid for hit in run.steps[0].results] == ["11", "12"]


def test_a_history_of_semantic_kernel_in_c_sharp_is_read(tmp_path):
    def message(role, *items):
        return {"Role": {"Label": role}, "Items": list(items)}

    def called(number, name, **arguments):
        return {"$type": "FunctionCallContent", "Id": f"c{number}", "PluginName": "wiki", "FunctionName": name,
                "Arguments": arguments}  # fmt: skip

    def shown(number, result):
        return {"$type": "FunctionResultContent", "CallId": f"c{number}", "PluginName": "wiki", "Result": result}

    history = [
        message("user", {"$type": "TextContent", "Text": "Question?"}),
        message("assistant", called(1, "search", query="q"), called(2, "visit", url="u")),
        message("tool", shown(2, "Words"), shown(1, json.dumps(ROWS))),
        message("assistant", {"$type": "TextContent", "Text": "Answer"}, {"$type": "HologramContent"}),
    ]
    path = tmp_path / "history.json"
    path.write_text(json.dumps(history))
    accounts = Accounts()
    (run,) = read_trajectories(path, accounts)
    assert recognise_format(path).format == "microsoft"
    assert (run.question, run.final_answer) == ("Question?", "Answer")
    assert actions(run) == [("search", ("q",), None), ("browse", "u", None)]
    assert [hit.docid for hit in run.steps[0].results] == ["11", "12"]
    assert dict(accounts.parts.dropped) == {"item of unknown type 'hologram'": 1}


def test_cohere_documents_that_are_json_texts(tmp_path):
    documents = [{"type": "document", "document": {"id": f"d{row['docid']}", "data": json.dumps(row)}} for row in ROWS]
    function = {"name": "search", "arguments": '{"query": "q"}'}
    messages = [
        {"role": "user", "content": "Question?"},
        {
            "role": "assistant",
            "tool_plan": "Hm.",
            "tool_calls": [{"id": "c", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": "c", "content": documents},
        {"role": "assistant", "content": [{"type": "text", "text": "Answer"}]},
    ]
    (run,), name, _ = read(tmp_path, {"messages": messages})
    assert (name, run.final_answer, run.steps[0].reasoning) == ("cohere", "Answer", "Hm.")
    assert [hit.docid for hit in run.steps[0].results] == ["11", "12"]
