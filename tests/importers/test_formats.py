"""Every format gives the same run, is recognised by itself, and breaks no further than what is broken."""

import json

import pytest

from lrat_hub import mine_pairs
from lrat_hub.errors import LratError
from lrat_hub.importers import Accounts, read_trajectories, recognise_format
from lrat_hub.importers.outcomes import verdict_of
from tests.importers import fixtures
from tests.importers.fixtures import RECORDS, THOUGHTS, call, line, memory_step


def read(path, value, format=None, tools=None):
    path.write_text(json.dumps(value))
    accounts = Accounts()
    return list(read_trajectories(path, accounts, format=format, mapping=tools)), accounts


@pytest.fixture
def chat(tmp_path):
    """Reads messages as one conversation."""

    def parsed(*messages):
        (run,), accounts = read(tmp_path / "run.json", {"messages": list(messages)}, "chat")
        return run, accounts

    return parsed


@pytest.mark.parametrize("name", RECORDS)
def test_every_format_gives_the_same_run(name, tmp_path):
    (run,), accounts = read(tmp_path / "run.json", RECORDS[name][1])
    search, browse, _ = run.steps
    assert [step.action for step in run.steps] == ["search", "browse", "answer"]
    assert [step.reasoning for step in run.steps] == list(THOUGHTS)
    assert search.queries == (fixtures.QUERY,)
    assert [(hit.rank, hit.title, hit.snippet) for hit in search.results] == [
        (1, "A title", "First snippet"), (2, "Another", "Second snippet"),
    ]  # fmt: skip
    assert browse.docid == search.results[0].docid
    assert "Long text" in browse.observation
    assert (run.final_answer, run.status) == (fixtures.ANSWER, "completed")
    assert run.question == ("" if name == "browsecomp-plus" else fixtures.QUESTION)  # these runs name only its id
    assert [pair.query for pair in mine_pairs([run]).pairs] == [fixtures.QUERY]
    assert accounts.num_lost == 0
    assert (accounts.records.read, accounts.records.kept) == (1, 1)
    assert accounts.steps.dropped == {}


@pytest.mark.parametrize("name", RECORDS)
def test_formats_are_told_apart_with_the_reason(name, tmp_path):
    path = tmp_path / "run.json"
    path.write_text(json.dumps(RECORDS[name][1]))
    recognised = recognise_format(path)
    assert recognised.format == RECORDS[name][0]
    assert recognised.why.startswith("run is ")


def test_what_is_unknown_or_ambiguous_names_the_candidates_and_the_setting(tmp_path):
    path = tmp_path / "run.jsonl"
    path.write_text('{"pairs": []}')
    with pytest.raises(LratError, match=r"no known format.*'pairs'.*`format`"):
        recognise_format(path)
    for result in ([[["search(q='a')"], "Ada"]], [{"search": '{"q": "a"}'}]):
        path.write_text(json.dumps({"id": "web_search_0", "result": result, "latency": 1.5}))
        with pytest.raises(LratError, match="no known format"):
            recognise_format(path)
    path.write_text(json.dumps(fixtures.SMOLAGENTS) + "\n" + json.dumps(fixtures.OPENAI))
    with pytest.raises(LratError, match=r"found several: smolagents .*chat .*with its `format`"):
        recognise_format(path)


def test_results_without_an_id_go_to_the_call_of_the_tool_that_they_name(chat):
    calls = [call("search", {"query": "a"}, None), call("visit", {"url": "https://example.org/x"}, None)]
    run, _ = chat(
        {"role": "user", "content": "Q?"},
        {"role": "assistant", "content": "", "tool_calls": calls},
        {"role": "tool", "name": "visit", "content": "A page."},
        {"role": "tool", "name": "search", "content": '[{"docid": 1}]'},
    )
    assert [(step.observation, len(step.results)) for step in run.steps] == [('[{"docid": 1}]', 1), ("A page.", 0)]


def test_a_context_that_begins_again_and_an_answer_to_the_agent_are_no_further_questions(chat):
    run, _ = chat(
        {"role": "user", "content": "Who built it?"},
        {"role": "assistant", "content": "", "tool_calls": [call("ask_clarification", {"question": "Which?"}, "c1")]},
        {"role": "tool", "tool_call_id": "c1", "content": "Which?"},
        {"role": "assistant", "content": "Which?"},
        {"role": "user", "content": "The one in Turku."},
        {"role": "assistant", "content": "", "tool_calls": [call("search", {"query": "a"}, "c2")]},
        {"role": "tool", "tool_call_id": "c2", "content": '[{"docid": 1}]'},
        {"role": "assistant", "content": "Known by now: nothing."},
        {"role": "user", "content": "Who built it?\n\nKnown by now: nothing."},
        {"role": "assistant", "content": "", "tool_calls": [call("get_document", {"docid": "1"}, "c3")]},
        {"role": "tool", "tool_call_id": "c3", "content": "Ann built it."},
        {"role": "assistant", "content": "Ann."},
    )
    assert run.question == "Who built it?"
    assert [step.action for step in run.steps] == ["invalid", "search", "browse", "answer"]
    assert run.final_answer == "Ann."


def test_a_verdict_may_stand_in_an_object_of_the_evaluation():
    assert verdict_of({"judge": {"verdict": "INCORRECT"}}) == (False, [])
    assert verdict_of({"metrics": {"em": 0, "f1": 0.5}}) == (False, [])
    assert verdict_of({"judge": {"model": "m"}, "metrics": "none"}) == (None, [])


def test_calls_of_one_message_share_its_reasoning_and_find_their_results_by_id(chat):
    run, accounts = chat(
        {"role": "user", "content": "Q?"},
        {"role": "assistant", "content": "Both.", "tool_calls": [
            call("search", '{"query": "a"}', "c1"), call("search", {"query": "b"}, "c2"), call("search", "{", "c3")]},
        {"role": "tool", "tool_call_id": "c2", "content": '[{"docid": 2}]'},
        {"role": "tool", "tool_call_id": "c1", "content": '[{"docid": 1}]'},
        {"role": "tool", "tool_call_id": "c9", "content": "whose?"},
    )  # fmt: skip
    assert [step.reasoning for step in run.steps] == ["Both.", None, None]
    assert [[hit.docid for hit in step.results] for step in run.steps] == [["1"], ["2"], []]
    assert run.steps[2].error == "arguments are not JSON"
    assert (run.final_answer, run.status) == (None, "failed")
    assert accounts.parts.lost == {"tool results without a call": 1}


def test_ids_that_every_message_uses_again_belong_to_the_nearest_call(chat):
    def turn(query, docid):
        return (
            {"role": "assistant", "content": "", "tool_calls": [call("search", {"query": query}, "call_0")]},
            {"role": "tool", "tool_call_id": "call_0", "content": json.dumps([{"docid": docid}])},
        )

    run, _ = chat(*turn("a", "1"), *turn("b", "2"))
    assert [(step.queries, step.results[0].docid) for step in run.steps] == [(("a",), "1"), (("b",), "2")]


@pytest.fixture
def searched(chat):
    """What comes of a search for a and b with some result."""

    def read(result):
        run, accounts = chat(
            {"role": "assistant", "content": "", "tool_calls": [call("search", {"queries": ["a", "b"]}, "1")]},
            {
                "role": "tool",
                "tool_call_id": "1",
                "content": result if isinstance(result, str) else json.dumps(result),
            },
        )
        step, lists = run.steps[0], accounts.lists
        return (
            step.queries,
            [(hit.query_index, hit.rank, hit.docid) for hit in step.results],
            dict(lists.dropped + lists.notes + lists.lost),
        )

    return read


UNTOLD = {"lists of several queries that can't be told apart": 2}


@pytest.mark.parametrize(
    "result",
    [
        [[{"id": 1}], [{"id": 2}, {"id": 3}]],
        [{"query": "a", "results": [{"id": 1}]}, {"query": "b", "results": [{"id": 2}, {"id": 3}]}],
        {"results": [{"hits": [{"id": 1}]}, {"hits": [{"id": 2}, {"id": 3}]}]},
        {"a": [{"id": 1}], "b": [{"id": 2}, {"id": 3}]},
    ],
)
def test_lists_that_are_kept_apart_are_the_results_of_each_query(searched, result):
    assert searched(result) == (("a", "b"), [(0, 1, "1"), (1, 1, "2"), (1, 2, "3")], {})


def test_one_list_for_several_queries_is_left_out_because_nobody_knows_whose_it_is(searched):
    assert searched([{"id": 1}, {"id": 2}]) == (("a", "b"), [], UNTOLD)


def test_an_entry_without_an_id_keeps_its_place_and_is_counted(searched):
    rows = [{"id": 1}, {"title": "x"}, {"id": 2}]
    unread = {"entries of lists that can't be read": 1}
    assert searched([rows, []]) == (("a", "b"), [(0, 1, "1"), (0, 3, "2")], unread)


@pytest.mark.parametrize("result", ["<result>1</result>", {"answer": "x"}])
def test_results_in_a_form_that_is_not_known_are_counted_and_an_empty_list_is_none(searched, result):
    assert searched(result) == (("a", "b"), [], {"lists in no form that is known": 2})
    assert searched([]) == searched("") == (("a", "b"), [], {})


def test_a_query_that_the_tool_did_not_run_has_no_list(searched):
    assert searched({"b": [{"id": 2}]}) == (("b",), [(0, 1, "2")], {"queries that the tool did not run": 1})


def test_a_lone_surrogate_in_arguments_is_replaced_because_no_column_can_hold_it(chat):
    asked = r'{"query": "a\ud800"}'
    run, _ = chat(
        {"role": "assistant", "content": "\ud800", "tool_calls": [call("search", asked, "1")]},
        {"role": "tool", "tool_call_id": "1", "content": r'[{"docid": "\udfff"}]'},
    )
    step = run.steps[0]
    assert (step.reasoning, step.queries, step.results[0].docid) == ("\ufffd", ("a\ufffd",), "\ufffd")


def test_a_tool_that_reports_an_error_fails_its_step(chat):
    run, _ = chat(
        {"type": "ai", "content": "", "tool_calls": [{"name": "visit", "args": {"url": "u"}, "id": "1"}]},
        {"type": "tool", "tool_call_id": "1", "content": "No such page\nat all", "status": "error"},
    )
    assert [(step.action, step.error) for step in run.steps] == [("browse", "No such page")]


def test_an_agent_of_a_text_protocol_had_only_its_first_call_carried_out(chat):
    calls = "".join(
        f'<tool_call>{{"name": "search", "arguments": {{"query": "{query}"}}}}</tool_call>' for query in "ab"
    )
    run, accounts = chat(
        {"role": "assistant", "content": f"Both</think>{calls}<tool_response>DocID:1\n[T]\n</tool_response>Last"},
        {"role": "assistant", "content": "<tool_call>not json</tool_call>"},
        {"role": "user", "content": "<tool_response>Error: Tool call is not a valid JSON</tool_response>"},
        {"role": "assistant", "content": "<think>Never closed"},
    )
    assert [(step.action, step.reasoning) for step in run.steps] == [
        ("search", "Both"), ("invalid", "Last"), ("invalid", "Never closed"),
    ]  # fmt: skip
    assert accounts.steps.dropped == {"tool call is not JSON": 1, "no action follows": 1}
    assert accounts.calls.notes == {"calls that were not carried out": 1}


def test_a_lost_message_keeps_its_turn_so_that_no_strangers_become_neighbours(chat):
    messages = fixtures.record("openai")["messages"]
    run, _ = chat(*messages[:4], None, *messages[4:])
    assert [step.action for step in run.steps] == ["search", "invalid", "browse", "answer"]
    assert mine_pairs([run], profile="paper").pairs == []


def test_smolagents_messages_are_read_as_a_conversation(chat):
    def said(role, text):
        return {"role": role, "content": [{"type": "text", "text": text}], "tool_calls": None, "raw": None}

    calls = [call("web_search", {"query": "a"}, "c1"), call("visit_webpage", {"url": "u"}, "c2")]
    run, _ = chat(
        said("user", "New task:\nQ?"), said("assistant", "Both."), said("tool-call", f"Calling tools:\n{calls}"),
        said("tool-response", "Observation:\n## Search Results\n\n[T](u)\nabout u\n\n[V](v)\nabout v"),
        said("tool-call", f"Calling tools:\n{[call('final_answer', {'answer': 'A'}, 'c3')]}"),
    )  # fmt: skip
    assert [(step.action, step.reasoning) for step in run.steps] == [
        ("search", "Both."), ("browse", None), ("answer", ""),
    ]  # fmt: skip
    assert [(hit.docid, hit.snippet) for hit in run.steps[0].results] == [("u", "about u"), ("v", "about v")]


def test_searches_that_share_an_observation_get_no_results_of_one_another(tmp_path):
    steps = [fixtures.TASK, memory_step(1, "Both.", fixtures.LISTING, *(call("search", q, "c") for q in ("a", "b")))]
    (run,), accounts = read(tmp_path / "run.json", steps)
    assert [(step.queries, step.results) for step in run.steps] == [(("a",), ()), (("b",), ())]
    assert accounts.lists.dropped == {"lists of several searches in one text": 2}


def test_code_whose_calls_depend_on_variables_costs_those_calls(tmp_path):
    code = "for url in urls:\n    visit_webpage(url)\nsearch('a')\nprint(1)"
    broken = fixtures.code_step(2, "Odd", "visit_webpage(", "")
    error = {"type": "AgentMaxStepsError", "message": "Reached max steps."}
    last = memory_step(3, "", None, error=error, action_output="Perhaps")
    steps = [fixtures.TASK, fixtures.code_step(1, "All", code, ""), broken, last]
    (run,), accounts = read(tmp_path / "run.json", steps)
    assert [step.action for step in run.steps] == ["invalid", "search", "invalid", "answer"]
    assert (run.final_answer, run.status) == ("Perhaps", "limited")
    assert accounts.steps.dropped == {
        "code calls visit_webpage without literal arguments": 1, "code can't be parsed": 1,
    }  # fmt: skip


def test_a_look_at_an_open_page_is_no_browse_and_links_lead_to_what_was_shown(tmp_path):
    run = fixtures.record("openresearcher")
    run["messages"][-1:-1] = [
        fixtures.browser_call("find", pattern="Ada", cursor=1),
        fixtures.page("find", 2, "Find results for text: `Ada` in `A title`", "# 【0†match at L3】", "Ada wrote"),
        fixtures.browser_call("open", loc=40),
        fixtures.page("open", 3, "A title (https://example.org/7)", "more"),
        fixtures.browser_call("open", id=1, cursor=0),
        fixtures.page("open", 4, "Another (https://other.org/8)", "other"),
        fixtures.browser_call("open", id="https://else.org"),
        fixtures.harmony("tool", "Error fetching URL `https://else.org`", name="browser.open"),
        fixtures.browser_call("open", id=17, cursor=0),
    ]
    (trajectory,), accounts = read(tmp_path / "run.json", run)
    assert [(step.action, step.docid) for step in trajectory.steps] == [
        ("search", None), ("browse", "https://example.org/7"), ("invalid", None), ("invalid", None),
        ("browse", "https://other.org/8"), ("browse", "https://else.org"), ("invalid", None), ("answer", None),
    ]  # fmt: skip
    # Addresses are known once a page was open, and then also in the lists before it.
    assert [hit.docid for hit in trajectory.steps[0].results] == ["https://example.org/7", "https://other.org/8"]
    assert trajectory.steps[5].error.startswith("Error fetching")
    assert accounts.steps.dropped == {"open of a link that no page shows": 1}
    assert accounts.steps.notes == {"kept as invalid steps, a look at a page that is open": 2}


@pytest.mark.parametrize("rows", [[{"docid": "d7", "id": 0}], [{"docid": "0", "title": "T"}]])
def test_results_are_opened_by_number_or_by_id(rows, tmp_path):
    turns = [("search", {"query": "q"}, json.dumps(rows)), ("open", {"id": 0}, "Text")]
    messages = [{"role": "user", "content": "Q?"}]
    for name, arguments, result in turns:
        messages += [{"role": "assistant", "content": "", "tool_calls": [call(name, arguments, name)]},
                     {"role": "tool", "tool_call_id": name, "content": result}]  # fmt: skip
    (run,), _ = read(tmp_path / "run.json", {"messages": messages})
    assert run.steps[1].docid == rows[0]["docid"]


def test_sessions_of_a_trace_file_are_runs_and_its_other_lines_do_not_matter(tmp_path):
    lines = [*fixtures.TRACE[:3], {"type": "thinking_level_change"}, *fixtures.TRACE[3:], *fixtures.TRACE]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in [*lines, line("user", "lost")][:-1]) + '{"type": "mess')
    accounts = Accounts()
    runs = list(read_trajectories(path, accounts))
    assert [(run.trajectory_id, run.query_id, run.agent) for run in runs] == [
        ("a", "5f3c", "some-agent"), ("a/10", "5f3c", "some-agent"),
    ]  # fmt: skip
    assert runs[0].steps == runs[1].steps
    assert accounts.records.to_dict()["dropped"] == {"not JSON": 1}
