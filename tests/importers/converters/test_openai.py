"""Logs of OpenAI: the Responses API, the Agents SDK, and Codex.

The shapes are those that the classes of `openai` 3.57 and `openai-agents` 0.24 wrote for runs with a model that
answers by a script, and that `openai/codex` declares.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from lrat_hub.importers import FORMATS, Accounts, read_trajectories, recognise_format
from tests.importers.converters.vendor_logs import chats, damage, outline

QUESTION, ROWS = "When was the bell cast?", '[{"docid": "7"}, {"docid": "8"}]'


def asked(text: str = QUESTION) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def thought(text: str) -> dict[str, Any]:
    return {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": text}], "content": None}


def call(number: int, name: str, **arguments: Any) -> dict[str, Any]:
    return {
        "type": "function_call", "id": f"fc_{number}", "call_id": f"call_{number}", "name": name,
        "arguments": json.dumps(arguments), "status": "completed",
    }  # fmt: skip


def output(number: int, shown: Any) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": f"call_{number}", "output": shown}


def answer(text: str = "In 1700.") -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"type": "message", "id": "msg", "role": "assistant", "status": "completed", "content": content}


def web(action: dict[str, Any], status: str = "completed") -> dict[str, Any]:
    return {"type": "web_search_call", "id": "ws", "status": status, "action": action}


def response(name: str, *items: Any, **fields: Any) -> dict[str, Any]:
    return {"id": name, "object": "response", "model": "gpt-5", "status": "completed", "output": list(items), **fields}


SEARCHED = [thought("Search."), call(1, "search", query="bell")]
OPENED = [thought("Seven."), call(2, "get_document", docid="7")]
ITEMS = [asked(), *SEARCHED, output(1, ROWS), *OPENED, output(2, "Cast in 1700."), answer()]
RUN = [
    f"user: {QUESTION}", ("Search.", "", [("search", {"query": "bell"})]), {"text": ROWS},
    ("Seven.", "", [("get_document", {"docid": "7"})]), {"text": "Cast in 1700."}, ("", "In 1700.", []),
]  # fmt: skip

RUN_ITEMS = [
    {"type": kind, "raw_item": item, "agent": "lead"}
    for kind, item in zip(
        ("input_item", "reasoning_item", "tool_call_item", "tool_call_output_item", "reasoning_item",
         "tool_call_item", "tool_call_output_item", "message_output_item"),
        ITEMS, strict=True,
    )
]  # fmt: skip
SHAPES: dict[str, list[Any]] = {
    "a list of items": [ITEMS],
    "items, one a line": ITEMS,
    "items under messages": [{"messages": ITEMS}],
    "a request with its output": [{"model": "gpt-5", "input": ITEMS[:-1], "output": ITEMS[-1:]}],
    "a request and its response": [{"request": {"input": ITEMS[:-1]}, "response": response("r", answer())}],
    "a list of the API, newest first": [{"object": "list", "data": ITEMS[::-1], "has_more": False}],
    "rows of a session": [{"session_id": "s", "message_data": json.dumps(item)} for item in ITEMS],
    "run items": RUN_ITEMS,
    "a run state": [{"$schemaVersion": "1.0", "original_input": QUESTION, "generated_items": RUN_ITEMS[1:]}],
    "a run state with a call that was approved": [
        {
            "original_input": QUESTION,
            "generated_items": [
                *RUN_ITEMS[1:3],
                {**RUN_ITEMS[2], "type": "tool_approval_item"},
                *RUN_ITEMS[3:],
            ],
        }
    ],
    "responses that continue each other": [
        {**response("r1", *SEARCHED), "input": QUESTION},
        {**response("r2", *OPENED, previous_response_id="r1"), "input": [output(1, ROWS)]},
        {**response("r3", answer(), previous_response_id="r2"), "input": [output(2, "Cast in 1700.")]},
    ],
    "requests that send it all again": [
        {"request": {"input": ITEMS[:1]}, "response": response("r1", *SEARCHED)},
        {"request": {"input": ITEMS[:4]}, "response": response("r2", *OPENED)},
        {"request": {"input": ITEMS[:-1]}, "response": response("r3", answer())},
    ],
}


@pytest.mark.parametrize("values", SHAPES.values(), ids=SHAPES)
def test_a_run_is_the_same_in_every_shape(values: list[Any]) -> None:
    made, parts = chats("openai-responses", *values)
    assert [outline(chat) for chat in made] == [RUN]
    assert not parts.dropped
    assert any(FORMATS["openai-responses"].recognise(value) for value in values)


def test_a_file_of_items_is_recognised_and_read(tmp_path) -> None:
    log = tmp_path / "items.json"
    log.write_text(json.dumps(ITEMS))
    recognised = recognise_format(log)
    assert recognised is not None
    assert recognised.format == "openai-responses"
    (run,) = read_trajectories(log, Accounts())
    assert (run.question, run.final_answer, run.status) == (QUESTION, "In 1700.", "completed")
    assert [(step.action, step.reasoning) for step in run.steps] == [
        ("search", "Search."), ("browse", "Seven."), ("answer", ""),
    ]  # fmt: skip
    assert [hit.docid for hit in run.steps[0].results] == ["7", "8"]


def test_calls_before_the_first_of_their_results_are_one_turn_whatever_the_order_of_results() -> None:
    calls = [thought("Both."), call(1, "search", query="a"), call(2, "search", query="b")]
    made, _ = chats("openai-responses", [asked(), *calls, output(2, "second"), output(1, "first"), *OPENED])
    assert outline(made[0])[1:4] == [
        ("Both.", "", [("search", {"query": "a"}), ("search", {"query": "b"})]), {"text": "first"}, {"text": "second"},
    ]  # fmt: skip


def test_calls_without_results_are_turns_of_their_own() -> None:
    made, _ = chats("openai-responses", [asked(), *SEARCHED, *OPENED, answer()])
    assert [line[0] for line in outline(made[0])[1:]] == ["Search.", "Seven.", ""]


def test_a_web_search_lists_its_sources_opens_pages_and_looks_into_them() -> None:
    sources = [{"type": "url", "url": "https://a.org/1"}, {"type": "url", "url": "https://a.org/2"}]
    made, parts = chats(
        "openai-responses",
        response(
            "r", thought("Search."), web({"type": "search", "query": "bell", "sources": sources}),
            thought("Open."), web({"type": "open_page", "url": "https://a.org/2"}),
            thought("Look."), web({"type": "find_in_page", "url": "https://a.org/2", "pattern": "cast"}), answer(),
        ),
    )  # fmt: skip
    assert outline(made[0]) == [
        ("Search.", "", [("web_search", {"query": "bell"})]), {"lists": [["https://a.org/1", "https://a.org/2"]]},
        ("Open.", "", [("visit", {"url": "https://a.org/2"})]), {},
        ("Look.", "", [("find_in_page", {"url": "https://a.org/2", "pattern": "cast"})]), {}, ("", "In 1700.", []),
    ]  # fmt: skip
    assert not parts.lost


def test_a_web_search_without_its_sources_is_a_loss_and_not_an_empty_list() -> None:
    made, parts = chats("openai-responses", response("r", web({"type": "search", "query": "bell"}), answer()))
    assert outline(made[0])[1] == {}
    assert dict(parts.lost) == {"searches whose results the log does not keep": 1}


def test_several_queries_of_a_web_search_stay_several() -> None:
    action = {"type": "search", "query": "a", "queries": ["a", "b"], "sources": [{"type": "url", "url": "u"}]}
    made, _ = chats("openai-responses", response("r", web(action), answer()))
    assert outline(made[0])[:2] == [("", "", [("web_search", {"query": ["a", "b"]})]), {"lists": [["u"]]}]


def test_failed_and_targetless_pages_are_no_successes() -> None:
    made, _ = chats(
        "openai-responses",
        response("r", web({"type": "open_page", "url": "u"}, "failed"), web({"type": "open_page"}), answer()),
    )
    assert outline(made[0])[:4] == [
        ("", "", [("visit", {"url": "u"})]), {"failed": True}, ("", "", [("visit", {"url": None})]), {},
    ]  # fmt: skip


def test_file_searches_and_tools_of_servers_have_their_results_with_them() -> None:
    files = [{"file_id": "f1", "filename": "a.txt", "score": 0.9, "text": "t"}]
    hit = '{"results": [{"id": "9", "title": "Nine", "url": "https://w.org/9"}]}'
    server = {"type": "mcp_call", "id": "m", "server_label": "wiki"}
    made, parts = chats(
        "openai-responses",
        response(
            "r",
            {"type": "file_search_call", "id": "fs", "status": "completed", "queries": ["bell"], "results": files},
            {"type": "mcp_list_tools", "id": "ml", "server_label": "wiki", "tools": []},
            {**server, "name": "search", "arguments": '{"query": "bells"}', "output": hit, "error": None},
            {**server, "name": "fetch", "arguments": '{"id": "9"}', "output": None,
             "error": {"type": "http_error", "code": 504, "message": "timed out"}},
            answer(),
        ),
    )  # fmt: skip
    assert outline(made[0])[:6] == [
        ("", "", [("search", {"query": "bell"})]), {"lists": [["f1"]]},
        ("", "", [("search", {"query": "bells"})]), {"text": hit},
        ("", "", [("fetch", {"id": "9"})]), {"failed": True, "text": "timed out"},
    ]  # fmt: skip
    assert made[0]["messages"][1]["results"] == [[{"docid": "f1", "title": "a.txt", "snippet": "t", "score": 0.9}]]
    assert not parts.dropped


def test_items_of_an_unknown_type_are_counted_with_an_example() -> None:
    made, parts = chats("openai-responses", response("r", {"type": "brand_new_call", "id": "x"}, answer()))
    assert outline(made[0]) == [("", "In 1700.", [])]
    assert dict(parts.dropped) == {"items of unknown type 'brand_new_call'": 1}
    assert "brand_new_call" in next(iter(parts.examples.values()))


def test_each_question_of_a_conversation_is_a_run() -> None:
    more = [asked("And where?"), call(3, "search", query="where"), output(3, "[]"), answer("In Turku.")]
    made, _ = chats("openai-responses", [*ITEMS, asked("Please continue."), *more])
    assert [outline(chat)[0] for chat in made] == [f"user: {QUESTION}", "user: And where?"]
    assert outline(made[1])[-1] == ("", "In Turku.", [])


def test_responses_may_come_newest_first() -> None:
    made, _ = chats("openai-responses", *SHAPES["responses that continue each other"][::-1])
    assert [outline(chat) for chat in made] == [RUN]


def test_a_response_that_two_continue_begins_two_conversations() -> None:
    first = {**response("r1", *SEARCHED), "input": QUESTION}
    others = [
        {**response(f"r{n}", answer(str(n)), previous_response_id="r1"), "input": [output(1, ROWS)]} for n in (2, 3)
    ]
    made, _ = chats("openai-responses", first, *others)
    assert [outline(chat)[-1] for chat in made] == [("", "2", []), ("", "3", [])]
    assert all(outline(chat)[0] == f"user: {QUESTION}" for chat in made)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, "completed"),
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "limited"),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, "failed"),
        ({"status": "failed"}, "failed"),
        ({"status": "in_progress"}, None),
    ],
)
def test_the_status_of_a_response_is_that_of_the_run(fields: dict[str, Any], status: str | None) -> None:
    made, _ = chats("openai-responses", {**response("r", answer()), **fields})
    assert made[0].get("status") == status
    assert made[0]["agent"] == "gpt-5"


EVENTS = [
    {"type": "response.created", "response": response("r", status="in_progress")},
    {"type": "response.output_item.done", "output_index": 1, "item": SEARCHED[1]},
    {"type": "response.output_item.done", "output_index": 0, "item": SEARCHED[0]},
    {"type": "response.output_text.delta", "item_id": "msg", "delta": "In"},
]


def test_a_stream_gives_the_response_that_it_completes_or_the_items_that_it_got_to() -> None:
    whole, _ = chats("openai-responses", *EVENTS, {"type": "response.completed", "response": response("r", *SEARCHED)})
    cut, _ = chats("openai-responses", *({"event": event["type"], "data": json.dumps(event)} for event in EVENTS))
    assert outline(whole[0]) == outline(cut[0]) == [("Search.", "", [("search", {"query": "bell"})])]
    assert (whole[0]["status"], cut[0].get("status")) == ("completed", None)


def test_lines_of_a_batch_have_their_ids_and_failed_ones_say_why() -> None:
    done = {"custom_id": "q-1", "response": {"status_code": 200, "body": response("r", answer())}}
    failed = {"custom_id": "q-2", "response": {"status_code": 400, "body": {"error": {"code": "bad_request"}}}}
    assert chats("openai-responses", done)[0][0]["query_id"] == "q-1"
    assert chats("openai-responses", failed)[0] == [{"unreadable": "not a run: its request failed: bad_request"}]


def test_what_a_record_says_of_the_run_stays_with_it() -> None:
    made, _ = chats("openai-responses", {"query_id": 5, "gold_answer": "1700", "correct": True, "messages": ITEMS})
    assert (made[0]["query_id"], made[0]["gold_answer"], made[0]["correct"]) == (5, "1700", True)


@pytest.mark.parametrize("values", SHAPES.values(), ids=SHAPES)
def test_damaged_responses_cost_their_own_part(values: list[Any]) -> None:
    damage("openai-responses", values, rounds=60)


def line(kind: str, **payload: Any) -> dict[str, Any]:
    return {"timestamp": "2026-01-01T00:00:00.000Z", "type": kind, "payload": payload}


def model_item(item: dict[str, Any]) -> dict[str, Any]:
    return {"timestamp": "2026-01-01T00:00:00.000Z", "type": "response_item", "payload": item}


SESSION = [
    line("session_meta", id="s-1", cwd="/x", originator="codex_exec"),
    line("turn_context", model="gpt-5-codex"),
    model_item(asked("# AGENTS.md instructions for /x\n\n<INSTRUCTIONS>Be brief.</INSTRUCTIONS>")),
    model_item(asked("<environment_context>\n<cwd>/x</cwd>\n</environment_context>")),
    model_item(asked()),
    line("event_msg", type="user_message", message=QUESTION),
    line("event_msg", type="agent_reasoning", text="Search."),
    model_item({**SEARCHED[0], "encrypted_content": "x"}),
    model_item(SEARCHED[1]),
    line("event_msg", type="token_count", info=None),
    model_item(output(1, ROWS)),
    *map(model_item, OPENED),
    model_item(output(2, "Cast in 1700.")),
    line("compacted", message="", replacement_history=[asked("old")]),
    line("event_msg", type="agent_message", message="In 1700."),
    model_item(answer()),
    line("event_msg", type="task_complete", last_agent_message="In 1700."),
]


def test_a_codex_session_has_the_users_question_and_each_item_once() -> None:
    made, parts = chats("codex", *SESSION)
    assert [outline(chat) for chat in made] == [RUN]
    assert (made[0]["agent"], made[0]["status"]) == ("gpt-5-codex", "completed")
    assert made[0]["metadata"] == {"session": "s-1"}
    assert not parts.dropped


def test_thoughts_that_only_events_have_are_read_from_them() -> None:
    raw = line("event_msg", type="agent_reasoning_raw_content", text="In full.")
    made, _ = chats("codex", *SESSION[:5], raw, model_item({**thought(""), "summary": []}), *SESSION[8:])
    assert outline(made[0])[1] == ("In full.", "", [("search", {"query": "bell"})])


def test_a_session_of_events_alone_is_read() -> None:
    call_end = {
        "type": "mcp_tool_call_end", "call_id": "c", "result": {"Ok": {"content": [{"type": "text", "text": ROWS}]}},
        "invocation": {"server": "wiki", "tool": "search", "arguments": {"query": "bell"}},
    }  # fmt: skip
    events = [
        {"type": "user_message", "message": QUESTION}, {"type": "agent_reasoning", "text": "Search."}, call_end,
        {"type": "web_search_end", "call_id": "w", "query": "bell 1700"},
        {"type": "agent_message", "message": "In 1700."},
    ]  # fmt: skip
    expected = [*RUN[:3], ("", "", [("web_search", {"query": "bell 1700"})]), {}, RUN[-1]]
    for lines in ([line("event_msg", **event) for event in events], [{"id": "0", "msg": event} for event in events]):
        made, _ = chats("codex", *lines)
        assert outline(made[0]) == expected
        assert FORMATS["codex"].recognise(lines[0])


def test_events_of_codex_exec_are_read_when_their_items_are_complete() -> None:
    def event(kind: str, **item: Any) -> dict[str, Any]:
        return {"type": f"item.{kind}", "item": {"id": "i", **item}}

    search = {
        "type": "mcp_tool_call", "server": "wiki", "tool": "search", "arguments": {"query": "bell"},
        "result": {"content": [{"type": "text", "text": ROWS}], "structured_content": None}, "error": None,
    }  # fmt: skip
    made, parts = chats(
        "codex",
        {"type": "thread.started", "thread_id": "t-1"}, {"type": "turn.started"},
        event("completed", type="reasoning", text="Search."),
        event("started", **search, status="in_progress"), event("completed", **search, status="completed"),
        event("completed", type="mcp_tool_call", server="wiki", tool="get_document", arguments={"docid": "7"},
              result=None, error={"message": "not there"}, status="failed"),
        event("completed", type="command_execution", command="ls", aggregated_output="a", status="completed"),
        event("completed", type="web_search", query="bell", action={"type": "open_page", "url": "u"}),
        event("completed", item_type="assistant_message", text="In 1700."),
        {"type": "turn.completed", "usage": {}},
    )  # fmt: skip
    assert outline(made[0]) == [
        *RUN[1:3], ("", "", [("get_document", {"docid": "7"})]), {"failed": True, "text": "not there"},
        ("", "", [("shell", {"command": "ls"})]), {"text": "a"}, ("", "", [("visit", {"url": "u"})]), {}, RUN[-1],
    ]  # fmt: skip
    assert made[0]["status"] == "completed"
    assert not parts.dropped


def test_lines_of_older_sessions_have_no_envelope() -> None:
    header = {"id": "s-0", "timestamp": "2025-05-01", "instructions": None}
    made, parts = chats("codex", header, {"record_type": "state"}, *ITEMS)
    assert [outline(chat) for chat in made] == [RUN]
    assert made[0]["metadata"] == {"session": "s-0"}
    assert not parts.dropped


def test_turns_that_were_stopped_say_so() -> None:
    made, _ = chats("codex", *SESSION[:-3], line("event_msg", type="turn_aborted", reason="interrupted"))
    assert made[0]["status"] == "failed"


HITS = ('{"docid": "7"}', '{"docid": "8"}')


@pytest.mark.parametrize(
    "shown",
    [
        json.dumps([{"type": "text", "text": row} for row in HITS]),
        [{"type": "input_text", "text": row} for row in ("Wall time: 0.5000 seconds\nOutput:", *HITS)],
        f'Wall time: 0.5000 seconds\nOutput:\n{{"result": [{", ".join(HITS)}]}}',
        json.dumps({"content": [{"type": "text", "text": f"[{', '.join(HITS)}]"}], "isError": False}),
    ],
)
def test_a_list_that_a_tool_sent_through_mcp_is_the_list_that_it_was(shown: Any) -> None:
    made, _ = chats("codex", *SESSION[:9], model_item(output(1, shown)), model_item(answer()))
    assert json.loads(outline(made[0])[2]["text"]) == [{"docid": "7"}, {"docid": "8"}]


@pytest.mark.parametrize(
    "shown",
    [
        "An error occurred while running the tool. Please try again. Error: no index",
        "tool call error: tool call failed for `wiki/search`",
        {"content": "no index", "success": False},
        json.dumps({"content": [{"type": "text", "text": "no index"}], "isError": True}),
    ],
)
def test_a_tool_that_failed_is_a_failure(shown: Any) -> None:
    made, _ = chats("openai-responses", [asked(), *SEARCHED, output(1, shown), answer()])
    assert made[0]["messages"][2]["is_error"]


def test_damaged_sessions_cost_their_own_part() -> None:
    damage("codex", SESSION, rounds=200)
