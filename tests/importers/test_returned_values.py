"""Contents of messages that are no plain texts: values that a tool returned, and parts of other keys."""

import json

import pytest

from lrat_hub.importers import Accounts, read_trajectories
from tests.importers.fixtures import QUESTION

ROWS = [{"docid": "d1", "title": "One"}, {"docid": "d2", "title": "Two"}]
TEXTS = [{"id": "d1", "text": "First words."}, {"id": "d2", "text": "Other words."}]
VALUES = {
    "rows": ROWS,
    "rows with texts": TEXTS,
    "an object around rows": {"results": ROWS},
    "addresses": [{"url": "d1", "content": "First words."}, {"url": "d2", "content": "Other words."}],
    "a part with JSON": [{"type": "text", "text": json.dumps(ROWS)}],
}


def read(tmp_path, *messages):
    path, accounts = tmp_path / "run.jsonl", Accounts()
    path.write_text(json.dumps({"messages": messages}))
    (run,) = read_trajectories(path, accounts)
    return run, accounts


def call(name, **arguments):
    return {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"id": "1", "function": {"name": name, "arguments": json.dumps(arguments)}}],
    }


def in_a_tool_message(content):
    return [call("search", query="q"), {"role": "tool", "tool_call_id": "1", "content": content}]


def in_a_block(content):
    """As the Messages API writes it."""
    use = {"type": "tool_use", "id": "1", "name": "search", "input": {"query": "q"}}
    shown = {"type": "tool_result", "tool_use_id": "1", "content": content}
    return [{"role": "assistant", "content": [use]}, {"role": "user", "content": [shown]}]


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("written", [in_a_tool_message, in_a_block])
def test_what_a_search_returned_as_a_value_is_its_list(tmp_path, written, name):
    messages = [{"role": "user", "content": QUESTION}, *written(VALUES[name]), {"role": "assistant", "content": "Ada"}]
    run, accounts = read(tmp_path, *messages)
    assert [hit.docid for hit in run.steps[0].results] == ["d1", "d2"]
    assert run.final_answer == "Ada"
    assert not any(ledger.dropped for ledger in accounts.ledgers())


def test_a_list_for_each_query_may_be_a_value(tmp_path):
    run, _ = read(
        tmp_path,
        {"role": "user", "content": QUESTION},
        call("search", queries=["p", "q"]),
        {"role": "tool", "tool_call_id": "1", "content": [ROWS[:1], ROWS[1:]]},
    )
    assert [(hit.query_index, hit.docid) for hit in run.steps[0].results] == [(0, "d1"), (1, "d2")]


def test_parts_of_llama_factory_have_their_texts_and_calls_as_values(tmp_path):
    search = json.dumps({"name": "search", "arguments": {"query": "q"}})
    run, accounts = read(
        tmp_path,
        {"role": "user", "content": [{"type": "text", "value": QUESTION}]},
        {
            "role": "assistant",
            "content": [{"type": "reasoning", "value": "Look."}, {"type": "tool_call", "value": search}],
        },
        {"role": "tool", "content": [{"type": "text", "value": json.dumps(ROWS)}]},
        {"role": "assistant", "content": [{"type": "text", "value": "Ada"}]},
    )
    assert (run.question, run.final_answer, run.steps[0].reasoning) == (QUESTION, "Ada", "Look.")
    assert (run.steps[0].queries, len(run.steps[0].results)) == (("q",), 2)
    assert accounts.parts.read == accounts.parts.kept


def test_a_part_whose_text_is_under_an_unknown_key_is_counted(tmp_path):
    messages = [{"role": "user", "content": [{"type": "text", "body": QUESTION}]}, *in_a_tool_message(ROWS)]
    _, accounts = read(tmp_path, *messages)
    assert sum(accounts.parts.dropped.values()) == 1


@pytest.mark.parametrize("key", ["output", "result", "response", "text"])
@pytest.mark.parametrize("value", [ROWS, json.dumps(ROWS)], ids=["a value", "a text"])
def test_what_a_tool_showed_may_stand_under_another_key_than_the_content(tmp_path, key, value):
    shown = {"role": "tool", "tool_call_id": "1", "content": None, key: value}
    run, _ = read(tmp_path, {"role": "user", "text": QUESTION}, call("search", query="q"), shown)
    assert run.question == QUESTION
    assert [hit.docid for hit in run.steps[0].results] == ["d1", "d2"]


def test_a_message_whose_text_is_under_no_known_key_is_counted(tmp_path):
    shown = {"role": "tool", "tool_call_id": "1", "seen": ROWS}
    run, accounts = read(tmp_path, {"role": "user", "content": QUESTION}, call("search", query="q"), shown)
    assert run.steps[0].results == ()
    assert sum(accounts.parts.dropped.values()) == 1


def test_calls_that_a_table_keeps_as_json_are_read(tmp_path):
    asked = {**call("search", query="q"), "tool_calls": json.dumps(call("search", query="q")["tool_calls"])}
    shown = {"role": "tool", "tool_call_id": "1", "content": json.dumps(ROWS)}
    run, _ = read(tmp_path, {"role": "user", "content": QUESTION}, asked, shown)
    assert (run.steps[0].queries, len(run.steps[0].results)) == (("q",), 2)
