"""Logs of Anthropic: the Messages API with tools of clients and servers, and Claude Code.

The shapes are those that the classes of `anthropic` 2.14 accept, and that the command of `claude-agent-sdk` 0.2.189
wrote for runs with a server that answers by a script.
"""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from lrat_hub.importers import FORMATS, Accounts, read_trajectories, recognise_format
from tests.importers.converters.vendor_logs import chats, damage, outline

QUESTION, ROWS = "When was the bell cast?", '[{"docid": "7"}, {"docid": "8"}]'


def text(words: str, **fields: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **fields}


def thinking(words: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": words, "signature": "x"}


def use(number: int, name: str, kind: str = "tool_use", **arguments: Any) -> dict[str, Any]:
    return {"type": kind, "id": f"t{number}", "name": name, "input": arguments}


def result(number: int, content: Any, kind: str = "tool_result", **fields: Any) -> dict[str, Any]:
    return {"type": kind, "tool_use_id": f"t{number}", "content": content, **fields}


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def agent(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def message(*blocks: Any, stop: str = "end_turn", **fields: Any) -> dict[str, Any]:
    return {
        "id": "msg", "type": "message", "model": "claude-x", **agent(*blocks), "stop_reason": stop, "usage": {},
        **fields,
    }  # fmt: skip


def pages(*urls: str) -> list[dict[str, Any]]:
    return [{"type": "web_search_result", "url": url, "title": url[-1], "encrypted_content": "x"} for url in urls]


PAGE = {
    "type": "web_fetch_result", "url": "https://a.org/2",
    "content": {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Cast in 1700."}},
}  # fmt: skip
SERVER = [
    thinking("Search."), use(1, "web_search", "server_tool_use", query="bell"),
    result(1, pages("https://a.org/1", "https://a.org/2"), "web_search_tool_result"),
    text("Open it."), use(2, "web_fetch", "server_tool_use", url="https://a.org/2"),
    result(2, PAGE, "web_fetch_tool_result"), text("In "), text("1700", citations=[{"url": "u"}]), text("."),
]  # fmt: skip
SERVER_RUN = [
    f"user: {QUESTION}", ("Search.", "", [("web_search", {"query": "bell"})]),
    {"lists": [["https://a.org/1", "https://a.org/2"]]},
    ("", "Open it.", [("visit", {"url": "https://a.org/2"})]), {"text": "Cast in 1700."}, ("", "In 1700.", []),
]  # fmt: skip
REQUEST = {"model": "claude-x", "system": "Be brief.", "max_tokens": 9, "messages": [user(QUESTION)]}
ONE_MESSAGE: dict[str, list[Any]] = {
    "a conversation": [{"messages": [user(QUESTION), agent(*SERVER)]}],
    "a list of messages": [[user(QUESTION), agent(*SERVER)]],
    "a request and its response": [{"request": REQUEST, "response": message(*SERVER)}],
    "a request with its response in it": [{**REQUEST, "response": message(*SERVER)}],
    "a turn that paused": [
        {"request": REQUEST, "response": message(*SERVER[:3], stop="pause_turn")},
        {
            "request": {**REQUEST, "messages": [user(QUESTION), agent(*SERVER[:3])]},
            "response": message(*SERVER[3:]),
        },
    ],
}


@pytest.mark.parametrize("values", ONE_MESSAGE.values(), ids=ONE_MESSAGE)
def test_what_servers_tools_showed_inside_of_a_message_divides_it_into_turns(values: list[Any]) -> None:
    made, parts = chats("anthropic", *values)
    (lines,) = map(outline, made)
    assert [line for line in lines if line != "system: Be brief."] == SERVER_RUN
    assert not parts.dropped
    assert FORMATS["anthropic"].recognise(values[0])


def test_a_message_alone_and_a_line_of_a_batch_have_the_run_without_its_question() -> None:
    batch = {"custom_id": "q-1", "result": {"type": "succeeded", "message": message(*SERVER)}}
    paused = [message(*SERVER[:3], stop="pause_turn"), message(*SERVER[3:])]
    for values in ([message(*SERVER)], [batch], paused):
        made, _ = chats("anthropic", *values)
        assert [outline(chat) for chat in made] == [SERVER_RUN[1:]]
        assert (made[0]["agent"], made[0]["status"]) == ("claude-x", "completed")
    assert chats("anthropic", batch)[0][0]["query_id"] == "q-1"


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        ({"type": "errored", "error": {"type": "error", "error": {"type": "overloaded_error"}}}, "overloaded_error"),
        ({"type": "expired"}, "expired"),
    ],
)
def test_a_request_of_a_batch_that_failed_says_why(outcome: dict[str, Any], reason: str) -> None:
    made, _ = chats("anthropic", {"custom_id": "q-2", "result": outcome})
    assert made == [{"unreadable": f"not a run: its request failed: {reason}"}]


@pytest.mark.parametrize(
    ("stop", "status"),
    [("end_turn", "completed"), ("max_tokens", "limited"), ("refusal", "failed"), ("tool_use", None)],
)
def test_the_reason_to_stop_is_the_status(stop: str, status: str | None) -> None:
    made, _ = chats("anthropic", message(text("So."), stop=stop))
    assert made[0].get("status") == status


def test_failures_of_servers_tools_are_failures() -> None:
    failed = [
        use(1, "web_search", "server_tool_use", query="bell"),
        result(
            1, {"type": "web_search_tool_result_error", "error_code": "max_uses_exceeded"}, "web_search_tool_result"
        ),
        use(2, "web_fetch", "server_tool_use", url="u"),
        result(
            2, {"type": "web_fetch_tool_result_error", "error_code": "url_not_accessible"}, "web_fetch_tool_result"
        ),
        {**use(3, "search", "mcp_tool_use", query="bells"), "server_name": "wiki"},
        result(3, [text("no such index")], "mcp_tool_result", is_error=True),
    ]
    made, _ = chats("anthropic", message(*failed, text("I don't know.")))
    assert [line for line in outline(made[0]) if isinstance(line, dict)] == [
        {"failed": True, "text": "max_uses_exceeded"}, {"failed": True, "text": "url_not_accessible"},
        {"failed": True, "text": "no such index"},
    ]  # fmt: skip


def test_other_blocks_are_read_and_unknown_ones_counted() -> None:
    code = {"type": "bash_code_execution_result", "stdout": "2", "stderr": "", "return_code": 0}
    blocks = [
        {"type": "redacted_thinking", "data": "x"}, use(1, "bash_code_execution", "server_tool_use", command="ls"),
        result(1, code, "bash_code_execution_tool_result"), {"type": "compaction", "content": "So far."},
        {"type": "hologram", "data": "x"}, text("2."),
    ]  # fmt: skip
    made, parts = chats("anthropic", message(*blocks))
    assert outline(made[0]) == [
        ("", "", [("bash_code_execution", {"command": "ls"})]), {"text": "2"}, ("", "2.", []),
    ]  # fmt: skip
    assert dict(parts.dropped) == {"blocks of unknown type 'hologram'": 1}


def test_parallel_calls_get_their_results_by_id_and_repeated_ids_in_their_order() -> None:
    made, _ = chats(
        "anthropic",
        {
            "messages": [
                user(QUESTION), agent(thinking("Both."), use(1, "search", query="a"), use(2, "search", query="b")),
                user([result(2, "second"), result(1, [text("first")])]),
                agent(use(1, "search", query="c")), user([result(1, "third")]), agent(text("So.")),
            ]
        },
    )  # fmt: skip
    assert outline(made[0])[1:] == [
        ("Both.", "", [("search", {"query": "a"}), ("search", {"query": "b"})]), {"text": "first"}, {"text": "second"},
        ("", "", [("search", {"query": "c"})]), {"text": "third"}, ("", "So.", []),
    ]  # fmt: skip


def test_words_beside_results_of_tools_are_no_further_question() -> None:
    made, parts = chats(
        "anthropic",
        {
            "messages": [
                user(QUESTION), agent(use(1, "search", query="a")),
                user([result(1, "first"), text("You have 3 calls left.")]), agent(text("So.")),
            ]
        },
    )  # fmt: skip
    assert outline(made[0])[-1] == ("", "So.", [])
    assert len(made) == 1
    assert parts.notes == {"words beside results of tools, which are no question": 1}


def test_blocks_of_search_results_are_a_list() -> None:
    blocks = [
        {"type": "search_result", "source": name, "title": name.upper(), "content": [text("Words.")]} for name in "ab"
    ]
    made, _ = chats("anthropic", [user(QUESTION), agent(use(1, "search", query="q")), user([result(1, blocks)])])
    assert made[0]["messages"][2]["results"] == [
        [{"docid": name, "title": name.upper(), "snippet": "Words."} for name in "ab"]
    ]


def test_the_requests_of_a_loop_are_one_run() -> None:
    first, second = agent(text("Look."), use(1, "search", query="bell")), agent(use(2, "get_document", docid="7"))
    marked = {**text(QUESTION), "cache_control": {"type": "ephemeral"}}
    sent = [
        [user([marked])], [user(QUESTION), first, user([result(1, ROWS)])],
        [user(QUESTION), first, user([result(1, ROWS)]), second, user([result(2, "Cast in 1700.")])],
    ]  # fmt: skip
    replies = [message(*first["content"], stop="tool_use"), message(*second["content"]), message(text("In 1700."))]
    other = {"messages": [user(QUESTION)], "response": message(text("In 1800."))}
    log = [{"messages": messages, "response": reply} for messages, reply in zip(sent, replies, strict=True)]
    made, parts = chats("anthropic", *log, other)
    assert [len(outline(chat)) for chat in made] == [6, 2]
    assert outline(made[0])[-1] == ("", "In 1700.", [])
    assert parts.notes["requests that a later one continues"] == 2


def test_messages_with_blocks_are_told_from_those_of_others(tmp_path) -> None:
    log = tmp_path / "log.jsonl"
    plain = [user(QUESTION), agent(text("1700."))]
    searched = [user(QUESTION), agent(use(1, "search", query="q")), user([result(1, ROWS)]), agent(text("1700."))]
    log.write_text("\n".join(json.dumps({"messages": messages}) for messages in (plain, searched)))
    recognised = recognise_format(log)
    assert recognised is not None
    assert recognised.format == "anthropic"
    assert [run.final_answer for run in read_trajectories(log, Accounts())] == ["1700.", "1700."]


@pytest.mark.parametrize("values", ONE_MESSAGE.values(), ids=ONE_MESSAGE)
def test_damaged_messages_cost_their_own_part(values: list[Any]) -> None:
    damage("anthropic", values, rounds=80)


def session(*lines: dict[str, Any], **fields: Any) -> list[dict[str, Any]]:
    """Lines of a session file."""
    numbers = itertools.count(1)
    return [
        {"sessionId": "s-1", "uuid": f"u{next(numbers)}", "isSidechain": False, **fields, **line} for line in lines
    ]


def prompt(content: Any, **fields: Any) -> dict[str, Any]:
    return {"type": "user", "message": user(content), **fields}


def wrote(name: str, *blocks: Any, **fields: Any) -> dict[str, Any]:
    return {"type": "assistant", "message": {**agent(*blocks), "id": name, "model": "claude-x"}, **fields}


LINKS = [{"title": "One", "url": "https://a.org/1"}, {"title": "Two", "url": "https://a.org/2"}]
SHOWN = (
    f'Web search results for query: "bell"\n\nI look.\n\nLinks: {json.dumps(LINKS)}\n\nIt is said.\n\nREMINDER: cite.'
)
DETAIL = {"query": "bell", "results": ["I look.", {"tool_use_id": "x", "content": LINKS}]}
SESSION = [
    {"type": "summary", "summary": "Bells", "leafUuid": "u9"},
    {"type": "file-history-snapshot", "messageId": "u0", "snapshot": {}},
    *session(
        {"type": "queue-operation", "operation": "enqueue", "content": QUESTION}, prompt(QUESTION),
        {"type": "attachment", "attachment": {"type": "date", "date": "2026-01-01"}},
        {"type": "novel-state", "state": {}},
        wrote("m1", thinking("Search.")), wrote("m1", text("Both.")),
        wrote("m1", use(1, "WebSearch", query="bell")),
        prompt([result(1, SHOWN)], toolUseResult=DETAIL),
        wrote("m1", use(2, "mcp__wiki__search", query="bells")),
        prompt([result(2, '{"result": [{"docid": "7"}]}')], toolUseResult='{"result": []}'),
        wrote("m2", text("Open it.")), wrote("m2", use(3, "WebFetch", url="https://a.org/2", prompt="when")),
        prompt([result(3, "Cast in 1700.")], toolUseResult={"code": 200, "url": "https://a.org/2"}),
        wrote("m3", text("In 1700.")), {"type": "system", "subtype": "turn_duration"},
    ),
]  # fmt: skip
SESSION_RUN = [
    f"user: {QUESTION}",
    ("Search.", "Both.", [("web_search", {"query": "bell"}), ("mcp__wiki__search", {"query": "bells"})]),
    {"text": SHOWN, "lists": [["https://a.org/1", "https://a.org/2"]]}, {"text": '[{"docid": "7"}]'},
    ("", "Open it.", [("visit", {"url": "https://a.org/2", "prompt": "when"})]), {"text": "Cast in 1700."},
    ("", "In 1700.", []),
]  # fmt: skip


def test_a_session_has_messages_whose_blocks_are_lines() -> None:
    made, parts = chats("claude-code", *SESSION)
    assert [outline(chat) for chat in made] == [SESSION_RUN]
    assert (made[0]["agent"], made[0]["metadata"]) == ("claude-x", {"session": "s-1"})
    assert not parts.dropped
    assert dict(parts.notes) == {"lines without a message of type 'novel-state'": 1}


def test_a_session_file_is_recognised_and_read(tmp_path) -> None:
    log = tmp_path / "s-1.jsonl"
    log.write_text("\n".join(map(json.dumps, SESSION)))
    recognised = recognise_format(log)
    assert recognised is not None
    assert recognised.format == "claude-code"
    accounts = Accounts()
    (run,) = read_trajectories(log, accounts)
    assert [(step.action, step.docid) for step in run.steps] == [
        ("search", None), ("search", None), ("browse", "https://a.org/2"), ("answer", None),
    ]  # fmt: skip
    assert accounts.records.dropped == {}


def test_a_search_that_the_api_refused_is_a_failure() -> None:
    shown = 'Web search results for query: "bell"\n\nAPI Error: 400 {"type": "error"}'
    lines = session(prompt("Q?"), wrote("m", use(1, "WebSearch", query="bell")), prompt([result(1, shown)]))
    made, parts = chats("claude-code", *lines)
    assert outline(made[0])[2] == {"failed": True, "text": shown}
    assert not parts.lost


def test_a_list_that_only_the_text_has_is_read_from_it_and_one_that_neither_has_is_a_loss() -> None:
    def searched(shown: str) -> tuple[dict[str, Any], Any]:
        made, parts = chats(
            "claude-code",
            *session(prompt("Q?"), wrote("m", use(1, "WebSearch", query="bell")), prompt([result(1, shown)])),
        )
        return outline(made[0])[2], parts.lost

    assert searched(SHOWN)[0]["lists"] == [["https://a.org/1", "https://a.org/2"]]
    assert searched("No links found.")[0]["lists"] == [[]]
    shown, lost = searched("Something else.")
    assert "lists" not in shown
    assert lost == {"searches whose results the log does not keep": 1}


@pytest.mark.parametrize(
    ("shown", "fields"),
    [
        ("REDIRECT DETECTED: The URL redirects to a different host.", {}),
        ("Not found", {"toolUseResult": {"code": 404}}),
        ("No.", {"is_error": True}),
    ],
)
def test_pages_that_were_not_opened_are_failures(shown: str, fields: dict[str, Any]) -> None:
    block = {**result(1, shown), "is_error": "is_error" in fields}
    made, _ = chats(
        "claude-code", *session(prompt("Q?"), wrote("m", use(1, "WebFetch", url="u")), prompt([block], **fields))
    )
    assert outline(made[0])[2] == {"failed": True, "text": shown}


NOT_ASKED = [
    "<command-name>/clear</command-name>\n<command-args></command-args>",
    "<local-command-stdout>Cleared</local-command-stdout>",
    "Caveat: The messages below were generated by the user while running local commands.",
    "<bash-input>ls</bash-input>", "<system-reminder>Be brief.</system-reminder>",
    "<task-notification>x</task-notification>",
]  # fmt: skip


@pytest.mark.parametrize("words", NOT_ASKED)
def test_what_claude_code_writes_for_the_user_is_no_question(words: str) -> None:
    lines = session(prompt(words), prompt("Hidden.", isMeta=True), prompt("Q?"), wrote("m", text("A.")), prompt(words))
    made, _ = chats("claude-code", *lines)
    assert [outline(chat) for chat in made] == [["user: Q?", ("", "A.", [])]]


def test_reminders_in_a_question_are_taken_out() -> None:
    made, _ = chats(
        "claude-code", *session(prompt("Q?\n<system-reminder>Be\nbrief.</system-reminder>"), wrote("m", text("A.")))
    )
    assert outline(made[0])[0] == "user: Q?"


def test_the_arguments_of_a_command_of_the_users_own_are_a_question() -> None:
    command = "<command-name>/research</command-name>\n<command-args>Q?</command-args>"
    made, _ = chats(
        "claude-code", *session(prompt(command), prompt("Do research.", isMeta=True), wrote("m", text("A.")))
    )
    assert outline(made[0]) == ["user: Q?", ("", "A.", [])]


def test_prompts_are_runs_and_a_compacted_context_is_no_prompt() -> None:
    more = session(
        {"type": "system", "subtype": "compact_boundary", "uuid": "v0"},
        prompt("This session is being continued ...", isCompactSummary=True, uuid="v1"),
        prompt("And where?", uuid="v2"), wrote("n1", use(9, "WebSearch", query="where"), uuid="v3"),
        prompt([text("[Request interrupted by user]")], uuid="v4"),
    )  # fmt: skip
    made, _ = chats("claude-code", *SESSION, *more, *SESSION[3:])
    assert [outline(chat)[0] for chat in made] == [f"user: {QUESTION}", "user: And where?"]
    assert made[1]["status"] == "failed"


def test_subagents_are_runs_of_their_own() -> None:
    inside = [
        prompt("Find it.", uuid="w1"), wrote("x1", use(5, "WebSearch", query="bell"), uuid="w2", parentUuid="w1"),
        prompt([result(5, SHOWN)], uuid="w3", parentUuid="w2"),
        wrote("x2", text("1700."), uuid="w4", parentUuid="w3"),
    ]  # fmt: skip
    outside = session(
        prompt(QUESTION), wrote("m1", use(1, "Task", prompt="Find it.")), prompt([result(1, "1700.")], uuid="z"),
        wrote("m2", text("In 1700."), uuid="y"),
    )  # fmt: skip
    for fields in ({"isSidechain": True}, {"isSidechain": True, "agentId": "a-1"}, {"parent_tool_use_id": "t1"}):
        side = session(*inside, **fields)
        made, parts = chats("claude-code", *outside[:2], *side, *outside[2:])
        assert [len(outline(chat)) for chat in made] == [4, 4]
        assert outline(made[1])[0] == "user: Find it."
        assert made[1]["metadata"]["subagent"] in ("w1", "a-1", "t1")
        assert not parts.dropped


def test_a_subagent_whose_words_are_not_in_the_log_answered_what_its_call_showed() -> None:
    side = [{**line, "parent_tool_use_id": "t1"} for line in stream(wrote("x", use(5, "WebSearch", query="bell")))]
    report = [text("1700."), text("agentId: a-1")]
    main = stream({"type": "system"}, wrote("m", use(1, "Agent", prompt="Find it.")), prompt([result(1, report)]))
    made, _ = chats("claude-code", *main[:2], {**side[0], "uuid": "w"}, *main[2:])
    assert (outline(made[1]), made[1]["final_answer"]) == ([("", "", [("web_search", {"query": "bell"})])], "1700.")


def test_the_file_beside_a_subagents_session_is_no_record() -> None:
    assert chats("claude-code", {"agentType": "general-purpose", "toolUseId": "t1"})[0] == []


def test_an_error_of_the_api_is_no_answer() -> None:
    error = {**wrote("e", text("API Error: overloaded")), "isApiErrorMessage": True}
    made, _ = chats("claude-code", *session(prompt("Q?"), wrote("m", use(1, "WebSearch", query="q")), error))
    assert made[0]["status"] == "failed"
    assert "API Error" not in json.dumps(made)


def stream(*lines: dict[str, Any]) -> list[dict[str, Any]]:
    """Lines of stream-json."""
    shared = {"session_id": "s-2", "parent_tool_use_id": None}
    return [{**line, **shared, "uuid": f"u{number}"} for number, line in enumerate(lines)]


STREAM = stream(
    {"type": "system", "subtype": "init", "model": "claude-y", "tools": []},
    wrote("m1", thinking("Search.")), wrote("m1", use(1, "WebSearch", query="bell")),
    prompt([result(1, SHOWN)], tool_use_result=DETAIL), {"type": "rate_limit_event", "rate_limit_info": {}},
    wrote("m2", text("In 1700.")),
    {"type": "result", "subtype": "success", "is_error": False, "num_turns": 2, "result": "In 1700."},
)  # fmt: skip


def test_stream_json_has_everything_but_the_question() -> None:
    made, parts = chats("claude-code", *STREAM)
    assert outline(made[0]) == [
        ("Search.", "", [("web_search", {"query": "bell"})]),
        {"text": SHOWN, "lists": [["https://a.org/1", "https://a.org/2"]]}, ("", "In 1700.", []),
    ]  # fmt: skip
    assert (made[0]["status"], made[0]["final_answer"]) == ("completed", "In 1700.")
    assert not parts.dropped
    assert all(FORMATS["claude-code"].recognise(line) for line in STREAM if line["type"] != "rate_limit_event")


@pytest.mark.parametrize(
    ("end", "status"),
    [
        ({"subtype": "error_max_turns", "is_error": True}, "limited"),
        ({"subtype": "error_max_budget_usd", "is_error": True}, "limited"),
        ({"subtype": "error_during_execution", "is_error": True}, "failed"),
        ({"subtype": "success", "is_error": True, "result": "API Error"}, "failed"),
    ],
)
def test_the_result_says_how_the_run_ended(end: dict[str, Any], status: str) -> None:
    made, _ = chats("claude-code", *STREAM[1:4], *stream({"type": "result", "num_turns": 2, **end}))
    assert (made[0]["status"], made[0].get("final_answer")) == (status, None)


def test_several_results_are_several_runs_and_one_alone_is_an_answer() -> None:
    again = [{**line, "uuid": f"v{number}"} for number, line in enumerate(STREAM)]
    assert len(chats("claude-code", *STREAM, *again)[0]) == 2
    made, _ = chats("claude-code", STREAM[-1])
    assert outline(made[0]) == [("", "In 1700.", [])]


def test_the_turns_that_a_session_was_allowed_are_a_limit() -> None:
    reached = {"type": "attachment", "attachment": {"type": "max_turns_reached", "maxTurns": 2}, "uuid": "x"}
    made, _ = chats("claude-code", *SESSION[:-2], *session(reached))
    assert made[0]["status"] == "limited"


@pytest.mark.parametrize("values", [SESSION, STREAM], ids=["session", "stream"])
def test_damaged_lines_cost_their_own_part(values: list[Any]) -> None:
    damage("claude-code", values, rounds=150)
