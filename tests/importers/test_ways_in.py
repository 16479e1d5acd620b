"""Sources in no format that is known get in: by a reader, by grouping their records, by what the refusal says."""

import json
import re
from pathlib import Path

import pytest

from lrat_hub.errors import LratError
from lrat_hub.importers import FORMATS, Accounts, load_mapping, load_trajectories, read_trajectories
from tests.importers.fixtures import ANSWER, OPENAI, QUESTION

EVENTS = [
    {"run": "r1", "kind": "ask", "text": "Who?"},
    {"run": "r2", "kind": "ask", "text": "Where?"},
    {"run": "r1", "kind": "search", "text": "x", "hits": ["d1", "d2"]},
    {"run": "r2", "kind": "search", "text": "y", "hits": ["d3"]},
    {"run": "r1", "kind": "open", "text": "d2", "page": "words"},
    {"run": "r1", "kind": "say", "text": "Ada"},
]


def write(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def from_events(events):
    """A reader of a log with an event a line."""
    messages = []
    for number, event in enumerate(events):
        if event["kind"] in ("ask", "say"):
            messages.append({"role": "user" if event["kind"] == "ask" else "assistant", "content": event["text"]})
            continue
        name, argument = ("search", "query") if event["kind"] == "search" else ("visit", "url")
        call = {"id": str(number), "function": {"name": name, "arguments": {argument: event["text"]}}}
        messages.append({"role": "assistant", "tool_calls": [call]})
        results = [[{"docid": docid} for docid in event["hits"]]] if "hits" in event else None
        messages.append(
            {"role": "tool", "tool_call_id": str(number), "content": event.get("page", ""), "results": results}
        )
    return {"query_id": events[0]["run"], "messages": messages}


def test_events_of_mixed_runs_are_read_by_a_function_once_they_are_grouped(tmp_path):
    accounts = Accounts()
    path = write(tmp_path / "events.jsonl", EVENTS)
    first, second = read_trajectories(path, accounts, reader=from_events, group_by="run")
    assert [(run.query_id, run.question, run.final_answer) for run in (first, second)] == [
        ("r1", "Who?", "Ada"), ("r2", "Where?", None),
    ]  # fmt: skip
    assert [step.action for step in first.steps] == ["search", "browse", "answer"]
    assert [hit.docid for hit in first.steps[0].results] == ["d1", "d2"]
    assert accounts.num_lost == 0


def test_what_a_reader_raises_costs_the_record_and_is_shown(tmp_path):
    path = write(tmp_path / "runs.jsonl", [{"a": 1}, {"events": EVENTS[:1] + EVENTS[2:3]}])
    accounts = Accounts()
    (run,) = read_trajectories(path, accounts, reader=lambda record: from_events(record["events"]))
    assert run.question == "Who?"
    assert accounts.records.dropped == {"the reader failed: KeyError": 1}
    assert accounts.parts.examples["records that the reader failed on"] == "KeyError: 'events'"
    with pytest.raises(LratError, match=r"found none that can be read.*ZeroDivisionError"):
        list(load_trajectories(path, reader=lambda record: 1 / 0))


def test_messages_that_stand_alone_are_put_together_by_their_run_or_file(tmp_path):
    messages = OPENAI["messages"]
    (run,) = load_trajectories(write(tmp_path / "one.jsonl", messages))
    assert (run.question, run.final_answer) == (QUESTION, ANSWER)
    mixed = [{"conversation_id": name, **message} for message in messages for name in "ab"]
    runs = list(load_trajectories(write(tmp_path / "mixed.jsonl", mixed)))
    assert [run.steps for run in runs] == [run.steps] * 2
    other = [{"meta": {"chat": number}, **message} for message in messages for number in (1, 2)]
    assert len(list(load_trajectories(write(tmp_path / "other.jsonl", other), group_by="meta.chat"))) == 2


@pytest.mark.parametrize(
    ("records", "shape", "cure"),
    [
        (EVENTS, "'kind' (text)", "give `group_by` run, with a `reader`"),
        ([{"out": {"turns": OPENAI["messages"]}, "n": 1}], "'n' (number)", "`mapping` file (messages: out.turns)"),
        ([{"trail": [{"did": "x"}, {"did": "y"}]}], "'trail' (a list of 2", "steps are those under trail, a `reader`"),
        ([{"pairs": []}], "'pairs' (a list of 0)", "A `reader` of your own"),
    ],
)  # fmt: skip
def test_a_refusal_shows_the_shape_and_the_nearest_way_in(tmp_path, records, shape, cure):
    with pytest.raises(LratError) as refused:
        list(load_trajectories(write(tmp_path / "log.jsonl", records)))
    assert shape in str(refused.value)
    assert cure in str(refused.value)


@pytest.mark.parametrize("wrap", [lambda runs: {"q1": runs[0], "q2": runs[1]}, lambda runs: {"data": runs, "n": 2}])
def test_objects_of_runs_are_taken_apart(tmp_path, wrap):
    path = tmp_path / "runs.json"
    path.write_text(json.dumps(wrap([OPENAI, OPENAI])))
    runs = list(load_trajectories(path))
    assert [run.trajectory_id for run in runs] in (["runs/q1", "runs/q2"], ["runs/1", "runs/2"])
    assert [run.question for run in runs] == [QUESTION] * 2


DOCS = (Path(__file__).parents[2] / "docs" / "importing.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", DOCS, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def documented():
    """The readers of the documentation, by name."""
    names = {}
    for language, code in BLOCKS:
        if language == "python" and code.startswith("# my_readers.py"):
            exec(code, names)
    return names


TRAIL = {
    "id": 7, "prompt": "Who?", "ok": True, "final": "Ada",
    "trail": [
        {"did": "kb_search", "why": "I look.", "input": "x",
         "hits": [{"doc": "d1", "name": "A"}, {"doc": "d2", "name": "B"}]},
        {"did": "open_doc", "why": "The second.", "input": "d2", "text": "words"},
    ],
}  # fmt: skip
ROW = {
    "question": "Who?", "gold": "Ada", "answer": "Ada", "thought": "I look.", "queries": '["x", "y"]',
    "hits": '[["d1", "d2"], ["d3"]]', "opened": '["d2"]',
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "records", "group_by"), [("trail", [TRAIL], None), ("events", EVENTS[::2], "run"), ("rows", [ROW], None)]
)
def test_the_readers_of_the_documentation_read_what_they_are_written_for(
    documented, name, records, group_by, tmp_path
):
    accounts = Accounts()
    path = write(tmp_path / "log.jsonl", records)
    (run,) = read_trajectories(path, accounts, reader=documented[name], group_by=group_by)
    assert [step.action for step in run.steps][:2] == ["search", "browse"]
    assert [hit.docid for hit in run.steps[0].results][:2] == ["d1", "d2"]
    assert (run.question, run.steps[1].docid, accounts.num_lost) == ("Who?", "d2", 0)


def test_the_mapping_file_of_the_documentation_is_one(tmp_path):
    (block,) = [code for language, code in BLOCKS if language == "yaml"]
    (tmp_path / "mapping.yaml").write_text(block)
    assert load_mapping(tmp_path / "mapping.yaml").find("find_papers").action == "search"


def test_every_format_is_in_the_table_of_the_documentation():
    table = "\n".join(line for line in DOCS.splitlines() if line.startswith("| `"))
    assert [name for name in FORMATS if f"`{name}`" not in table] == []
