"""Conversations and tables as APIs and libraries hand them out: newest first, mixed, by columns, with what repeats."""

import json

import pytest

from lrat_hub.importers import Accounts, read_trajectories
from lrat_hub.importers.chat import OUT_OF_ORDER
from lrat_hub.importers.conversation_runs import GREETED
from lrat_hub.importers.record_tables import rows_of_table

QUESTION = "Who designed the Varrow lighthouse?"


def messages(question=QUESTION):
    def called(name, **given):
        call = {"id": name, "function": {"name": name, "arguments": json.dumps(given)}}
        return {"role": "assistant", "content": "", "tool_calls": [call]}

    rows = json.dumps([{"docid": "a"}, {"docid": "b"}])
    return [
        {"role": "user", "content": question}, called("search", query="lighthouse"),
        {"role": "tool", "tool_call_id": "search", "content": rows}, called("visit", docid="a"),
        {"role": "tool", "tool_call_id": "visit", "content": "A long page. " * 30},
        {"role": "assistant", "content": "Ada"},
    ]  # fmt: skip


def read(tmp_path, value, **settings):
    """The runs of one record, or of records in lines."""
    accounts, path = Accounts(), tmp_path / "log.jsonl"
    lines = value if isinstance(value, tuple) else (value,)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    runs = list(read_trajectories(path, accounts, **settings))
    for ledger in accounts.ledgers():
        ledger.to_dict()
    return runs, accounts


def check(run, question=QUESTION):
    assert [(step.action, step.docid) for step in run.steps] == [("search", None), ("browse", "a"), ("answer", None)]
    assert (run.question, run.final_answer, run.steps[1].error) == (question, "Ada", None)


def timed(key, at):
    return [{**message, key: at(number)} for number, message in enumerate(messages())]


@pytest.mark.parametrize("order", [(5, 4, 3, 2, 1, 0), (0, 3, 1, 2, 5, 4)], ids=["newest first", "mixed"])
@pytest.mark.parametrize(
    ("key", "at"),
    [
        ("created_at", lambda number: 1_700_000_000 + number),
        ("timestamp", lambda number: f"2026-01-01T00:00:0{number}Z"),
    ],
)
def test_messages_are_read_in_the_order_of_their_times(tmp_path, key, at, order):
    standing = timed(key, at)
    (run,), accounts = read(tmp_path, {"messages": [standing[number] for number in order]})
    check(run)
    assert accounts.records.notes[OUT_OF_ORDER] == 1


def test_the_order_stays_where_clocks_differ(tmp_path):
    standing = timed("timestamp", lambda number: 1_700_000_000 + number - 5 * (number in (2, 4)))
    (run,), accounts = read(tmp_path, {"messages": standing})
    check(run)
    assert OUT_OF_ORDER not in accounts.records.notes


@pytest.mark.parametrize("greeting", ["Hi", "hello there!", "Good morning.", "你好！"])
def test_a_greeting_is_no_question(tmp_path, greeting):
    before = [{"role": "user", "content": greeting}, {"role": "assistant", "content": "Hello! How can I help?"}]
    (run,), accounts = read(tmp_path, {"messages": [*before, *messages()]})
    check(run)
    assert run.steps[0].reasoning == ""
    assert accounts.parts.notes[GREETED] == 1


def test_what_stands_before_the_question_is_no_question(tmp_path):
    before = [{"role": "user", "content": "Current date: 2026-01-01"}]
    (run,), _ = read(tmp_path, {"messages": [*before, *messages()]})
    check(run)


def test_a_second_text_without_a_question_leaves_the_first(tmp_path):
    asked, *rest = messages()
    (run,), _ = read(tmp_path, {"messages": [asked, {"role": "user", "content": "In one word."}, *rest]})
    check(run)


OTHER = "Who painted it?"
COLUMNS = {"id": ["q1", "q2"], "messages": [messages(), messages(OTHER)], "gold_answer": ["Ada", "Bea"]}
ROWS = [list(row) for row in zip(*COLUMNS.values(), strict=True)]
TABLES = {
    "columns": COLUMNS,
    "split": {"columns": list(COLUMNS), "index": [0, 1], "data": ROWS},
    "index": {name: {str(number): value for number, value in enumerate(column)} for name, column in COLUMNS.items()},
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_a_table_in_one_object_is_its_rows(tmp_path, name):
    runs, _ = read(tmp_path, TABLES[name])
    for run, question in zip(runs, (QUESTION, OTHER), strict=True):
        check(run, question)
    assert [(run.query_id, run.gold_answer) for run in runs] == [("q1", "Ada"), ("q2", "Bea")]


def test_prompts_and_completions_by_columns_are_rows(tmp_path):
    (run,), _ = read(tmp_path, {"prompt": [messages()[:1]], "completion": [messages()[1:]], "reward": [1.0]})
    check(run)


@pytest.mark.parametrize(
    "value",
    [
        {}, [], {"columns": ["a"], "data": [[1, 2]]}, {"columns": [], "data": []}, {"a": [1, 2], "b": [1]}, {"a": [1]},
        {"a": {"0": 1}, "b": {"1": 1}}, {"a": {"x": 1}}, {"a": 1, "b": [1]},
    ],
)  # fmt: skip
def test_what_is_no_table_has_no_rows(value):
    assert rows_of_table(value) == []


def test_a_conversation_with_tools_in_equal_numbers_is_no_table(tmp_path):
    (run,), _ = read(tmp_path, {"messages": messages(), "tools": [{"type": "function"}] * 6})
    check(run)


def test_conversations_of_one_run_that_go_on_from_each_other_are_read_once(tmp_path):
    lines = tuple({"thread": "t", "messages": messages()[:number]} for number in range(1, 7))
    (run,), _ = read(tmp_path, lines, group_by="thread")
    check(run)


@pytest.mark.parametrize("verdict", [True, False])
def test_passed_is_a_verdict(tmp_path, verdict):
    (run,), _ = read(tmp_path, {"messages": messages(), "passed": verdict})
    assert run.correct is verdict
