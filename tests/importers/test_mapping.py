"""A mapping file teaches tools that are unknown, and says what is wrong with it."""

import json
import re

import pytest

from lrat_hub.errors import LratError
from lrat_hub.importers import Accounts, load_mapping, load_trajectories, mapped_patterns, read_trajectories
from lrat_hub.importers.bulk import RecordImport
from lrat_hub.importers.look import look_at
from tests.importers.fixtures import call

PATTERN = r"'^(?P<docid>\w+): (?P<title>.*)$'"


def mapped(folder, text):
    path = folder / "tools.yaml"
    path.write_text(text)
    return load_mapping(path)


def read(folder, tools, *calls):
    messages = [{"role": "user", "content": "Q?"}]
    for place, (name, arguments, result) in enumerate(calls):
        messages += [
            {"role": "assistant", "content": "", "tool_calls": [call(name, arguments, f"c{place}")]},
            {"role": "tool", "tool_call_id": f"c{place}", "content": result},
        ]
    path = folder / "run.json"
    path.write_text(json.dumps({"messages": messages}))
    (run,) = read_trajectories(path, Accounts(), mapping=tools)
    return run


def test_unknown_tools_arguments_and_result_lists_are_read_as_the_file_says(tmp_path):
    tools = mapped(
        tmp_path,
        "search: {tools: [find], query: [topics], results: {list: data.items, docid: paper.id, title: paper.name}}\n"
        "browse: {tools: read, docid: paper}\n"
        "answer: {tools: submit, text: verdict}\n",
    )
    rows = {"data": {"items": [{"paper": {"id": 7, "name": "T"}, "abstract": "unused"}]}}
    run = read(
        tmp_path, tools,
        ("find", {"topics": ["a"], "query": "not this"}, json.dumps(rows)),
        ("read", {"paper": 7}, "Text"),
        ("search", {"query": "b"}, '[{"docid": 8}]'),  # tools that the file does not name stay as they are
        ("submit", {"verdict": "A"}, ""),
    )  # fmt: skip
    assert [step.action for step in run.steps] == ["search", "browse", "search", "answer"]
    assert (run.steps[0].queries, run.steps[1].docid, run.final_answer) == (("a",), "7", "A")
    assert [(hit.docid, hit.title) for hit in run.steps[0].results] == [("7", "T")]


def test_lists_that_are_text_are_read_by_a_pattern(tmp_path):
    tools = mapped(tmp_path, f"search: {{results: {{pattern: {PATTERN}}}}}")
    run = read(tmp_path, tools, ("search", {"query": "q"}, "d1: One\nabout one\nd2: Two\nabout two"))
    assert [(hit.docid, hit.title, hit.snippet) for hit in run.steps[0].results] == [
        ("d1", "One", "about one"), ("d2", "Two", "about two"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("serch: {}", "the file: expected search, browse, answer, failure, messages, .*; found serch"),
        ("search: {querys: q}", "search: expected tools, query, results; found querys"),
        ("browse: {results: {}}", "browse: expected tools, docid, section; found results"),
        ("search: {results: {url: u}}", "search.results: expected list, docid, .*; found url"),
        (
            f"search: {{results: {{pattern: {PATTERN}, docid: id}}}}",
            "with a pattern: expected pattern, section, shared; found docid",
        ),
        ("search: {results: {pattern: '('}}", "expected a regular expression"),
        ("search: {results: {pattern: '(?P<id>x)'}}", "expected a group docid"),
        (
            "search: {results: {section: '(?P<docid>x)'}}",
            "search.results.section: expected no group, and query at will",
        ),
        ("search: {results: {list: a, shared: 1}}", "search.results.shared: expected true or false; found 1"),
        ("browse: {section: '(?P<query>x)'}", "browse.section: expected no group, and docid at will; found query"),
        ("failure: ['[']", "failure: expected a regular expression"),
        ("messages: {key: a}", "messages: expected a path of keys or a list of them"),
        ("question: {pattern: x}", "question.pattern: expected a group question; found no named group"),
        ("question: {}", "question: expected key or pattern; found nothing"),
        ("gold_answer: {pattern: '(?P<gold_answer>x)'}", "gold_answer: expected key; found pattern"),
        ("correct: {key: a, right: b}", "correct: expected key, true, false; found right"),
        ("status: {completed: b}", "status: expected key; found completed"),
        ("message: {who: a}", "message: expected role, content, reasoning, call_id; found who"),
        ("roles: {bot: a}", "roles: expected system, user, assistant, tool, reasoning; found bot"),
        ("calls: {names: a}", "calls: expected list, name, arguments, id, result; found names"),
        ("tags: {look: a}", "tags: expected search, results, browse, page, answer, reasoning; found look"),
        ("tags: {search: [a]}", "tags.search: expected the name of a tag, or a list of what stands before and after"),
        ("search: {tools: [1]}", "search.tools: expected a name or a list of names"),
        ("search: [a]", "search: expected keys and values"),
        ("- a", "the file: expected keys and values"),
        ("a: [", "expected a YAML file"),
    ],
)
def test_what_is_wrong_with_a_mapping_file_is_said(text, message, tmp_path):
    with pytest.raises(LratError, match=message):
        mapped(tmp_path, text)


def imported(folder, record, text):
    """A record by a mapping file."""
    path = folder / "run.jsonl"
    path.write_text(json.dumps(record) + "\n")
    accounts = Accounts()
    (run,) = read_trajectories(path, accounts, mapping=mapped(folder, text))
    return run, accounts


def test_a_record_of_unusual_keys_is_read_as_the_file_says(tmp_path):
    turns = [
        {"role": "user", "content": "You are to search. Question: Who made it?"},
        {"role": "assistant", "content": "Look.", "actions": [
            {"tool": "find", "tool_input": {"topic": "maker"}, "output": json.dumps([{"docid": 7}, {"docid": 8}])},
            {"tool": "read", "tool_input": {"paper": 8}, "output": "It was L."},
        ]},
        {"role": "assistant", "content": "So it is \\boxed{L}."},
    ]  # fmt: skip
    record = {"run": {"turns": turns}, "task": {"number": 12, "label": "L."}, "grade": "B", "stopped": "max_turns"}
    run, accounts = imported(
        tmp_path, record,
        """
        search: {tools: find, query: topic}
        browse: {tools: read, docid: paper}
        messages: run.turns
        question: {pattern: 'Question: (?P<question>.*)'}
        gold_answer: task.label
        final_answer: {pattern: 'boxed.(?P<final_answer>[^}]*)'}
        query_id: task.number
        correct: {key: grade, true: [A], false: [B, C]}
        status: {key: stopped, limited: [max_turns]}
        calls: {list: actions, name: tool, arguments: tool_input, result: output}
        """,
    )  # fmt: skip
    assert (run.question, run.gold_answer, run.query_id, run.correct, run.status) == (
        "Who made it?", "L.", "12", False, "limited",
    )  # fmt: skip
    assert [(step.action, step.reasoning) for step in run.steps[:2]] == [("search", "Look."), ("browse", None)]
    assert ([hit.docid for hit in run.steps[0].results], run.steps[1].docid) == (["7", "8"], "8")
    assert accounts.num_lost == 0


def test_keys_and_roles_of_messages_have_the_names_that_the_file_says(tmp_path):
    turns = [
        {"speaker": "Customer", "say": {"text": "Who made it?"}},
        {"speaker": "BOT", "say": {"text": "Look."}, "thought": "I look.",
         "tool_calls": [call("search", {"query": "maker"}, "c1")]},
        {"speaker": "Env", "say": {"text": json.dumps([{"docid": 7}])}, "answers": "c1"},
        {"speaker": "bot", "say": {"text": "L."}},
    ]  # fmt: skip
    run, accounts = imported(
        tmp_path, {"dialogue": turns, "prompt": "Who?"},
        "messages: dialogue\n"
        "question: {pattern: '(?P<question>.*)'}\n"
        "message: {role: speaker, content: say.text, reasoning: thought, call_id: answers}\n"
        "roles: {user: [customer], assistant: Bot, tool: [Env]}",
    )  # fmt: skip
    assert (run.question, run.final_answer, run.steps[0].reasoning) == ("Who made it?", "L.", "I look.\nLook.")
    assert [hit.docid for hit in run.steps[0].results] == ["7"]
    assert accounts.num_lost == 0


@pytest.mark.parametrize("where", ["one text", "messages"])
def test_texts_in_tags_are_read_as_the_file_says(where, tmp_path):
    agent = "<think>Look.</think><q>maker</q>"
    shown, rest = '[DOCS]\n[{"docid": 7}]\n[/DOCS]', "It may be 7.\n<open>7</open>"
    last = "<page>By L.</page>Sure.<final>L</final>"
    texts = {"one text": agent + shown + rest + last}
    texts["messages"] = [
        {"role": "user", "content": "Search with <q>...</q>. Who made it?"}, {"role": "assistant", "content": agent},
        {"role": "user", "content": shown}, {"role": "assistant", "content": rest},
        {"role": "assistant", "content": last},
    ]  # fmt: skip
    run, _ = imported(
        tmp_path, {"question": "Who made it?", "out": texts[where]},
        "messages: out\n"
        "tags: {search: q, results: ['[DOCS]', '[/DOCS]'], browse: open, page: page, answer: final, reasoning: think}",
    )  # fmt: skip
    assert [(step.action, step.reasoning) for step in run.steps] == [
        ("search", "Look."), ("browse", "It may be 7."), ("answer", "Sure."),
    ]  # fmt: skip
    assert (run.steps[0].results[0].docid, run.steps[1].docid, run.steps[1].observation) == ("7", "7", "By L.")
    assert (run.final_answer, run.question) == ("L", "Who made it?")


def test_lists_documents_and_failures_are_read_as_the_file_says(tmp_path):
    tools = mapped(
        tmp_path,
        "search: {results: {section: '^Papers on (?P<query>.*):$'}}\n"
        "browse: {section: '^Paper (?P<docid>\\d+)$'}\n"
        "failure: ['^Closed']",
    )
    run = read(
        tmp_path, tools,
        ("search", {"query": ["a", "b"]}, 'Papers on b:\n[{"docid": 2}]\nPapers on a:\n[{"docid": 1}]'),
        ("visit", {"docid": [1, 2]}, "Paper 2\nTwo\nPaper 1\nClosed today"),
    )  # fmt: skip
    assert [(hit.query_index, hit.docid) for hit in run.steps[0].results] == [(0, "1"), (1, "2")]
    assert [(step.docid, step.observation, step.error) for step in run.steps[1:]] == [
        ("1", "Closed today", "Closed today"), ("2", "Two", None),
    ]  # fmt: skip


def test_a_list_that_the_queries_share_counts_as_that_of_the_first_when_the_file_says_so(tmp_path):
    call_of_two = ("search", {"query": ["a", "b"]}, '[{"docid": 1}]')
    shared = read(tmp_path, mapped(tmp_path, "search: {results: {shared: true}}"), call_of_two)
    assert (shared.steps[0].queries, len(shared.steps[0].results)) == (("a",), 1)
    assert read(tmp_path, None, call_of_two).steps[0].results == ()


def test_a_record_without_messages_where_the_file_says_is_left_out(tmp_path):
    path = tmp_path / "run.jsonl"
    path.write_text('{"other": []}\n')
    accounts = Accounts()
    assert list(read_trajectories(path, accounts, mapping=mapped(tmp_path, "messages: run.turns"))) == []
    assert accounts.records.dropped.total() == 1


@pytest.mark.parametrize(
    "mapping",
    [
        "failure: ['(?:a|aa)+$']",
        "search: {results: {pattern: '^(?P<docid>(?:a|aa)+)$'}}",
        "search: {results: {section: '^(?P<query>(?:a|aa)+)$'}}",
        "question: {pattern: '^(?P<question>(?:a|aa)+)$'}",
    ],
)
def test_a_pattern_that_would_search_for_ever_ends_with_its_name(tmp_path, monkeypatch, mapping):
    monkeypatch.setattr(mapped_patterns, "SECONDS", 0.1)
    endless = "a" * 80 + "!"
    messages = [
        {"role": "user", "content": endless},
        {"role": "assistant", "tool_calls": [call("search", {"query": "q"}, "1")]},
        {"role": "tool", "tool_call_id": "1", "content": endless},
    ]
    (tmp_path / "runs.jsonl").write_text(json.dumps({"messages": messages}))
    tools = mapped(tmp_path, mapping)
    named = f"tools.yaml: {re.escape(mapping.partition(':')[0])}.*81 characters within 0.1 seconds"
    with pytest.raises(LratError, match=named):
        list(read_trajectories(tmp_path / "runs.jsonl", Accounts(), mapping=tools))


def test_calls_among_the_parts_of_a_content_are_told_from_its_texts(tmp_path):
    """As opencode writes: each part that is a call holds its result, and texts behind it are the answer."""

    def called(number, tool, given, **state):
        return {"type": "tool", "callID": number, "tool": tool, "state": {"input": given, **state}}

    rows = json.dumps([{"title": "A", "url": "https://a.org"}, {"title": "B", "url": "https://b.org"}])
    turns = [
        {"info": {"role": "user"}, "parts": [{"type": "text", "text": "Who?"}]},
        {"info": {"role": "assistant"}, "parts": [
            {"type": "step-start"},
            {"type": "reasoning", "text": "Look."},
            called("1", "websearch", {"query": "who"}, output=rows),
            {"type": "text", "text": "Open."},
            called("2", "webfetch", {"url": "https://a.org"}, output="A long page. " * 30),
            called("3", "webfetch", {"url": "https://b.org"}, error="Request failed with status code: 403"),
            {"type": "text", "text": "Ada"},
        ]},
    ]  # fmt: skip
    (tmp_path / "log.jsonl").write_text(json.dumps({"messages": turns}) + "\n")
    (tmp_path / "m.yaml").write_text(
        "message: {role: info.role, content: parts}\n"
        "calls: {list: parts, name: tool, arguments: state.input, id: callID, result: [state.output, state.error]}\n"
    )
    (run,) = load_trajectories(tmp_path / "log.jsonl", mapping=tmp_path / "m.yaml", strict=True)
    assert [(step.action, step.docid, step.reasoning) for step in run.steps] == [
        ("search", None, "Look."),
        ("browse", "https://a.org", "Open."),
        ("browse", "https://b.org", None),
        ("answer", None, ""),
    ]
    assert (run.question, run.final_answer, bool(run.steps[2].error)) == ("Who?", "Ada", True)


def test_thoughts_that_are_messages_of_a_role_of_their_own_are_reasoning(tmp_path):
    turns = [
        {"role": "user", "content": "Who made it?"},
        {"role": "Planner", "content": "A search may list the maker."},
        {"role": "assistant", "content": "Look.", "tool_calls": [call("search", {"query": "maker"}, "c1")]},
        {"role": "tool", "tool_call_id": "c1", "content": json.dumps([{"docid": 7}])},
        {"role": "planner", "content": "L, by what it lists."},
        {"role": "assistant", "content": "L."},
    ]
    run, accounts = imported(tmp_path, {"messages": turns}, "roles: {reasoning: planner}")
    assert (run.question, run.final_answer) == ("Who made it?", "L.")
    assert [step.reasoning for step in run.steps] == ["A search may list the maker.\nLook.", "L, by what it lists."]
    assert accounts.num_lost == 0


LETTA = [
    {"message_type": "user_message", "content": "Who made it?"},
    {"message_type": "reasoning_message", "reasoning": "A search may list the maker."},
    {"message_type": "assistant_message", "content": None, "tool_calls": [call("search", {"query": "maker"}, "c1")]},
    {"message_type": "tool_return_message", "tool_call_id": "c1", "tool_return": json.dumps([{"docid": 7}])},
    {"message_type": "reasoning_message", "reasoning": "L, by what it lists."},
    {"message_type": "assistant_message", "content": "L."},
]
LETTA_ROLES = (
    "roles: {user: user_message, assistant: assistant_message, tool: tool_return_message, "
    "reasoning: reasoning_message}\n"
)


@pytest.mark.parametrize("more", ["", ", reasoning: reasoning"])
def test_thoughts_of_a_role_of_their_own_may_stand_under_either_key(tmp_path, more):
    message = f"message: {{role: message_type, content: [content, tool_return]{more}}}\n"
    run, accounts = imported(tmp_path, {"messages": LETTA}, message + LETTA_ROLES)
    assert [step.reasoning for step in run.steps] == ["A search may list the maker.", "L, by what it lists."]
    assert accounts.num_lost == 0


def test_texts_that_are_not_where_the_file_says_are_counted(tmp_path):
    empty = {"message_type": "reasoning_message", "content": ""}
    run, accounts = imported(
        tmp_path, {"messages": [*LETTA, empty]}, "message: {role: message_type, content: content}\n" + LETTA_ROLES
    )
    assert not run.steps[0].results
    # What the tool showed, and the empty thought.
    assert accounts.parts.num_dropped == 2
    assert any("tool_return" in example for example in accounts.parts.examples.values())


@pytest.mark.parametrize(
    "mapping", ["final_answer: {pattern: 'Answer: (?P<final_answer>.*)'}", "tags: {answer: ['Answer: ', '']}"]
)
def test_the_text_before_an_answer_is_its_reasoning(tmp_path, mapping):
    turns = [
        {"role": "user", "content": "Who made it?"},
        {"role": "assistant", "content": "", "tool_calls": [call("open", {"docid": "7"}, "c1")]},
        {"role": "tool", "tool_call_id": "c1", "content": "Made by L."},
        {"role": "assistant", "content": "It says that L made it.\nAnswer: L"},
    ]
    run, accounts = imported(tmp_path, {"messages": turns}, mapping)
    assert (run.final_answer, run.steps[-1].reasoning) == ("L", "It says that L made it.")
    assert accounts.num_lost == 0


def test_a_result_that_names_its_tool_is_no_call(tmp_path):
    turns = [
        {"role": "user", "content": "Who made it?"},
        {"role": "assistant", "tool": "search", "args": {"query": "maker"}, "id": "c1", "content": ""},
        {"role": "tool", "tool": "search", "tool_call_id": "c1", "content": json.dumps([{"docid": 7}])},
        {"role": "assistant", "content": "L."},
    ]
    run, accounts = imported(tmp_path, {"messages": turns}, "calls: {name: tool, arguments: args, id: id}")
    assert [(step.action, [hit.docid for hit in step.results]) for step in run.steps] == [
        ("search", ["7"]),
        ("answer", []),
    ]
    assert accounts.num_lost == 0


def test_a_status_that_the_file_explains_is_not_guessed_at_once_more(tmp_path):
    record = {"messages": LETTA, "stop_reason": {"stop_reason": "end_turn", "steps": 4}}
    run, accounts = imported(
        tmp_path, record,
        "message: {role: message_type, content: [content, tool_return]}\n" + LETTA_ROLES
        + "status: {key: stop_reason.stop_reason, completed: [end_turn], limited: [max_steps]}",
    )  # fmt: skip
    assert run.status == "completed"
    assert "statuses that are not understood" not in accounts.records.notes
    assert json.loads(run.metadata)["stop_reason"]["steps"] == 4


def test_a_look_names_what_the_file_names_and_no_record_has(tmp_path):
    logs, mapping = tmp_path / "runs.jsonl", tmp_path / "mapping.yaml"
    logs.write_text(json.dumps({"messages": LETTA, "task": {"number": 3}}))
    mapping.write_text(
        "message: {role: message_type, content: [content, tool_return], reasoning: thought}\n" + LETTA_ROLES
        + "query_id: task.number\ngold_answer: task.label\ncalls: {result: output}\n"
    )  # fmt: skip
    look = look_at(logs, RecordImport(mapping=load_mapping(mapping)))
    (warning,) = (text for text in look.concerns if "the mapping names" in text)
    assert warning.startswith(
        "none of the 1 records that were read has what the mapping names with gold_answer: task.label; "
        "message.reasoning: thought; calls.result: output: "
    )


ASKED = {"role": "user", "content": "Who made it?"}
LISTED = {"role": "tool", "tool_call_id": "c1", "content": json.dumps([{"docid": 7}])}


def searching(content, **more):
    return {"role": "assistant", "content": content, "tool_calls": [call("search", {"query": "maker"}, "c1")], **more}


@pytest.mark.parametrize("tags", ["{reasoning: think}", "{answer: ['Answer: ', '']}"])
def test_tags_beside_native_calls_leave_the_calls(tmp_path, tags):
    said = {"{reasoning: think}": "<think>I look.</think>"}.get(tags, "I look. Answer: none yet")
    turns = [ASKED, searching(said), LISTED, {"role": "assistant", "content": "L."}]
    run, accounts = imported(tmp_path, {"messages": turns}, f"tags: {tags}")
    assert [(step.action, len(step.results)) for step in run.steps] == [("search", 1), ("answer", 0)]
    assert run.steps[0].reasoning.startswith("I look.")
    assert accounts.num_lost == 0


def test_a_tag_without_an_end_goes_on_to_the_next_one(tmp_path):
    turns = [ASKED, {"role": "assistant", "content": "Answer: L, I think. <search>maker</search>"}]
    run, _ = imported(tmp_path, {"messages": turns}, "tags: {answer: ['Answer: ', ''], search: search}")
    assert [step.queries for step in run.steps if step.action == "search"] == [("maker",)]


MAKER = {"name": "search", "arguments": {"query": "Answer: maker"}}
CALLS = {
    "native": (searching("Not yet an Answer: I look."), ""),
    "of other keys": (
        {"role": "assistant", "content": "Not Answer: yet", "acts": [MAKER]},
        "calls: {list: acts, name: name, arguments: arguments}\n",
    ),
    "tokens": ({"role": "assistant", "content": f"<tool_call>{json.dumps(MAKER)}</tool_call>"}, ""),
    "parts": (
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "Answer: I look."},
                {"type": "tool_use", "id": "c", "name": "search", "input": {"query": "maker"}},
            ],
        },
        "",
    ),
}


@pytest.mark.parametrize(("last", "more"), CALLS.values(), ids=CALLS)
def test_a_pattern_for_the_answer_takes_no_call_for_one(tmp_path, last, more):
    run, _ = imported(
        tmp_path, {"messages": [ASKED, last]}, more + "final_answer: {pattern: 'Answer: (?P<final_answer>.*)'}"
    )
    assert [step.action for step in run.steps] == ["search"]
    assert (run.final_answer, run.status) == (None, "failed")


def test_a_message_of_thoughts_may_have_calls(tmp_path):
    mind = searching("I look.") | {"role": "Mind"}
    turns = [ASKED, mind, LISTED, {"role": "assistant", "content": "L."}]
    run, _ = imported(tmp_path, {"messages": turns}, "roles: {reasoning: [Mind]}")
    assert (run.steps[0].action, run.steps[0].reasoning) == ("search", "I look.")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("roles: {user: {a: b}}", "roles.user: expected a value or a list of values"),
        ("status: {key: s, completed: {a: 1}}", "status.completed: expected a value or a list of values"),
        ("failure: ''", "failure: expected a regular expression; found ''"),
    ],
)
def test_values_of_odd_types_are_refused(tmp_path, text, problem):
    with pytest.raises(LratError, match=re.escape(problem)):
        mapped(tmp_path, text)
