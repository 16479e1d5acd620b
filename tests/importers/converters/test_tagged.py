"""Texts with tags: what is a call, a result, a thought or an answer in each dialect, and what only looks so."""

import json

import pytest

from lrat_hub.importers.converters.native import native_messages, template_messages
from lrat_hub.importers.converters.react import react_run
from lrat_hub.importers.converters.rollouts import convert_rollout
from lrat_hub.importers.converters.tagged import TAGS, tagged_messages, unknown_tags
from lrat_hub.importers.converters.tagged_lists import lists_in, ranked_rows
from lrat_hub.ledger import Ledger


def calls_of(messages):
    """Names and arguments of the calls in messages."""
    calls = [call["function"] for message in messages for call in message.get("tool_calls", [])]
    return [
        (call["name"], json.loads(call["arguments"]) if isinstance(call["arguments"], str) else call["arguments"])
        for call in calls
    ]


def roles(messages):
    return [message["role"] for message in messages]


def native(*messages):
    return native_messages(list(messages), Ledger("parts"))


@pytest.mark.parametrize(
    "text",
    [
        '<tool_call>\n{"name": "search", "arguments": {"query": "old mills"}}\n</tool_call>',
        '<tool_call>\n{"name": "search", "arguments": "{\\"query\\": \\"old mills\\"}"}\n</tool_call>',
        "<tool_call>\n{'name': 'search', 'arguments': {'query': 'old mills'}}\n</tool_call>",
        "<tool_call>\n<function=search>\n<parameter=query>\nold mills\n</parameter>\n</function>\n</tool_call>",
        "<function=search><parameter=query>old mills</parameter></function>\n</tool_call>",
        "<tool_call>search\n<arg_key>query</arg_key>\n<arg_value>old mills</arg_value>\n</tool_call>",
        "<use_mcp_tool>\n<server_name>s</server_name>\n<tool_name>search</tool_name>\n<arguments>\n"
        '{"query": "old mills"}\n</arguments>\n</use_mcp_tool>',
        '<function_calls>\n<invoke name="search">\n<parameter name="query">old mills</parameter>\n</invoke>\n'
        "</function_calls>",
        "<|tool_calls_section_begin|><|tool_call_begin|>search:0<|tool_call_argument_begin|>"
        '{"query": "old mills"}<|tool_call_end|><|tool_calls_section_end|>',
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>search\n```json\n"
        '{"query": "old mills"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
        '<｜tool▁call▁begin｜>search<｜tool▁sep｜>{"query": "old mills"}<｜tool▁call▁end｜>',
        "<search> old mills </search>",
        "<search> old mills",
        '<|begin_of_query|> "old\tmills" <|end_of_query|>',
        "<|begin_search_query|>old mills<|end_search_query|>",
    ],
)
def test_a_call_is_read_in_every_dialect(text):
    (message,) = tagged_messages(f"<think>Let me look.</think>\n{text}")
    assert calls_of([message]) == [("search", {"query": "old mills"})]
    assert (message["reasoning_content"], message["content"]) == ("Let me look.", "")


def test_a_call_whose_tag_names_the_tool_has_its_text_as_its_argument():
    (message,) = tagged_messages('<call_tool name="browse_webpage" k="2">https://a.org/x?y=1</call>')
    ((name, arguments),) = calls_of([message])
    assert (name, arguments["url"], arguments["k"]) == ("browse_webpage", "https://a.org/x?y=1", "2")


def test_thoughts_calls_results_and_the_answer_come_in_their_order():
    messages = tagged_messages(
        '<think>First.</think><search>mills</search>\n<information>Doc 1(Title: "Mill (old)") Stones.\n'
        "Doc 2(Title: Wind) Sails.</information>\n<think>Now I know.</think> Well, <answer> 1790 </answer>"
    )
    assert roles(messages) == ["assistant", "tool", "assistant"]
    assert [row["docid"] for row in messages[1]["results"][0]] == ["Mill (old)", "Wind"]
    assert (messages[2]["content"], messages[2]["reasoning_content"]) == ("1790", "Now I know.\nWell,")


def test_agents_search_within_a_thought_only_where_a_result_follows():
    text = "<think>a <|begin_of_query|>mills<|end_of_query|>\n\n<|begin_of_documents|>x<|end_of_documents|> b</think>"
    assert roles(tagged_messages(text)) == ["assistant", "tool", "assistant"]
    (message,) = tagged_messages("<think>I could <search>mills</search> or not.</think>No.")
    assert (message["content"], message["reasoning_content"]) == ("No.", "I could <search>mills</search> or not.")


def test_a_thought_without_its_opening_tag_ends_where_it_is_closed():
    messages = tagged_messages("One.</think><search>a</search><information>x</information>Two.</think>Three.")
    assert [message.get("reasoning_content") for message in messages] == ["One.", None, "Two."]
    assert messages[2]["content"] == "Three."


def test_what_reminders_write_between_tags_calls_nothing():
    reminder = "Put the query between <search> and </search>, the answer between <answer> and </answer>. Try again."
    (message,) = tagged_messages(reminder)
    assert message == {"role": "assistant", "content": reminder}


def test_what_a_tool_shows_calls_nothing():
    messages = tagged_messages("<search>a</search><information>Write <search>b</search> to search.</information>")
    assert [name for name, _ in calls_of(messages)] == ["search"]


def test_tags_that_sound_like_actions_and_are_not_known_are_named():
    assert list(unknown_tags("<deep_search>a</deep_search> <b>bold</b> <browse>open <deep_search>")) == ["deep_search"]
    parts = Ledger("parts")
    native_messages([{"role": "assistant", "content": "<deep_search>a</deep_search>"}], parts)
    assert parts.dropped == {"tag of unknown type 'deep_search'": 1}


def test_plain_texts_are_left_as_they_are():
    assert tagged_messages("if a < b: print('<b>')") is None
    messages = [{"role": "user", "content": "Q?"}, {"role": "assistant", "content": "A."}]
    assert native(*messages) == messages


MCP = "<use_mcp_tool><server_name>s</server_name><tool_name>{}</tool_name><arguments>{}</arguments></use_mcp_tool>"


def test_a_message_of_the_user_after_a_call_is_what_the_tool_showed():
    messages = native(
        {"role": "user", "content": "Q? For example: <tool_response>none</tool_response>"},
        {"role": "assistant", "content": MCP.format("search", '{"q": "a"}') + MCP.format("search", '{"q": "b"}')},
        {"role": "user", "content": '{"organic": []}\n{"organic": [1]}'},
        {"role": "assistant", "content": [{"type": "text", "text": MCP.format("visit", '{"url": "u"}')}]},
        {"role": "user", "content": "Tool call to visit on s failed. Error: gone"},
        {"role": "assistant", "content": MCP.format("visit", '{"url": "v"}')},
        {"role": "user", "content": "Summarize the above conversation, and output the FINAL ANSWER."},
    )
    assert roles(messages) == ["user", "assistant", "tool", "tool", "assistant", "tool", "assistant", "user"]
    assert [message["content"] for message in messages[2:4]] == ['{"organic": []}', '{"organic": [1]}']
    assert messages[5]["is_error"] is True


def test_one_text_for_several_calls_is_not_given_to_the_first():
    messages = native(
        {"role": "assistant", "content": MCP.format("search", '{"q": "a"}') + MCP.format("search", '{"q": "b"}')},
        {"role": "user", "content": "No JSON here."},
    )
    assert [call["id"] for call in messages[0]["tool_calls"]] == ["call-1", "call-2"]
    assert "tool_call_id" not in messages[1]


REACT = """Answer with Thought, Action and Observation.

Question: Where is X?
Thought 1: An example.
Action 1: Search[X]
Observation 1: Nowhere.
Action 2: Finish[no]

Question: When was the mill built?
Thought 1: I search.
Action 1: Search[old mill]
Observation 1: [{"docid": "7"}]
Thought 2: I know.
Action 2: Finish[1790]"""


def test_react_begins_with_its_last_question():
    run = react_run(REACT)
    assert run.question == "When was the mill built?"
    assert calls_of(run.messages)[0][1]["query"] == "old mill"
    assert (roles(run.messages), run.messages[-1]["content"]) == (["assistant", "tool", "assistant"], "1790")


@pytest.mark.parametrize(
    "action",
    [
        "Action: search\nAction Input: old mill",
        'Action: search\nAction Input: {"query": "old mill"}',
        'Action: search\nAction Input: "old mill"',
        'Action:\n```json\n{"action": "search", "action_input": "old mill"}\n```',
        "Action: search(old mill)",
        "**Action:** Search[old mill]",
    ],
)
def test_actions_of_react_are_read_as_frameworks_write_them(action):
    messages = native(
        {"role": "assistant", "content": f"Thought: I search.\n{action}"},
        {"role": "user", "content": "Observation: []"},
        {"role": "assistant", "content": "Thought: So.\nFinal Answer: 1790"},
    )
    ((name, arguments),) = calls_of(messages)
    assert (name, arguments["query"], messages[1]["content"]) == ("search", "old mill", "[]")
    assert (messages[2]["content"], messages[2]["reasoning_content"]) == ("1790", "So.")


def test_lists_begin_anew_for_each_query():
    text = 'Doc 1 (Title: "A")\na\n\nDoc 2 (Title: "B")\nb\n---\nDoc 1 (Title: "C")\nc'
    assert [[row["docid"] for row in rows] for rows in lists_in(json.dumps({"result": text}))] == [["A", "B"], ["C"]]
    snippets = "".join(
        f"<snippet id=x-{number}>\nTitle: T\nURL: u{number}\nSnippet: s\n</snippet>\n" for number in (0, 1)
    )
    assert [row["docid"] for row in lists_in(snippets)[0]] == ["u0", "u1"]
    assert lists_in('"A mill"\nStones.\n\n"B"\nSails.')[0][0] == {
        "docid": "A mill",
        "title": "A mill",
        "snippet": "Stones.",
    }
    assert [row["docid"] for row in ranked_rows("search:\n  1  a  'A'  » x\n  2  b\nno\n  7  c")] == ["a", "b"]
    assert lists_in("A paragraph.") == []


def test_chat_templates_are_taken_apart():
    text = "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nQ?<|im_end|>\n<|im_start|>assistant\nA.<|im_end|>"
    assert template_messages(text) == [
        {"role": "system", "content": "S"}, {"role": "user", "content": "Q?"}, {"role": "assistant", "content": "A."},
    ]  # fmt: skip
    assert template_messages("system\nS\nuser\nQ?\nassistant\nA.\nuser\n") == [
        {"role": "system", "content": "S"}, {"role": "user", "content": "Q?"},
        {"role": "assistant", "content": "A.\nuser"},
    ]  # fmt: skip
    assert template_messages("the user\nsaid") is None


@pytest.mark.parametrize("unit", [tag.opening for tag in TAGS] + ["<think>", "</think>", "<tool_call>{", "Action:\n"])
def test_texts_that_are_nothing_but_tags_are_read(unit):
    assert native({"role": "assistant", "content": unit * (20_000 // len(unit))})


DOCUMENT = 'Doc 1(Title: "One") words\nQuestion: what is asked in a document?\nDoc 2(Title: "Two") words'


def test_a_question_in_a_document_is_not_that_of_a_rollout():
    text = f"<search>mills</search>\n<information>{DOCUMENT}</information>\n<answer>Bob</answer>"
    (run,) = convert_rollout({"question": "Who?", "response": text}, Ledger("parts"))
    assert run["question"] == "Who?"
    assert [name for name, _ in calls_of(run["messages"])] == ["search"]


def test_a_question_in_an_observation_begins_no_other_run_and_one_after_an_answer_does():
    first = f"Question: Who?\nThought: first\nAction: Search[mills]\nObservation: {DOCUMENT}\nThought: second\n"
    run = react_run(f"{first}Action: Finish[Bob]")
    assert (run.question, run.num_before) == ("Who?", 0)
    assert calls_of(run.messages)[0][0].lower() == "search"
    run = react_run(f"{first}Action: Finish[Bob]\nObservation: done\nQuestion: Where?\nThought: a\nAction: Search[x]")
    assert (run.question, run.num_before) == ("Where?", 1)


def test_titles_in_a_document_of_another_list_are_none_of_it():
    assert lists_in(f"1. [One](https://example.org/one)\n{DOCUMENT}\n2. [Two](https://example.org/two)") == []
    assert [row["docid"] for row in lists_in(DOCUMENT)[0]] == ["One", "Two"]
