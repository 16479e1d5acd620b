"""Sources in no format that is known get in: by a reader, by grouping their records, by what the refusal says."""

import json
import re
from pathlib import Path

import pytest

from lrat_hub.errors import LratError
from lrat_hub.importers import FORMATS, Accounts, load_mapping, load_trajectories, read_trajectories
from lrat_hub.importers.chat import SEVERAL_RUNS
from lrat_hub.importers.concerns import concerns
from lrat_hub.importers.listings import NOT_ONE_EACH
from lrat_hub.importers.messages import WRONG_RESULTS
from lrat_hub.importers.summary import Summary
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
    example = accounts.parts.examples["records that the reader failed on"]
    assert re.fullmatch(
        rf"{Path(__file__).name}:\d+: KeyError: 'events'; it was given an object with 'a' .number.", example
    )
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


def mixed(key, messages, runs=(1, 2)):
    return [{**message, **key(name)} for message in messages for name in runs]


@pytest.mark.parametrize(
    ("key", "path"), [(lambda run: {"dialog": run}, "dialog"), (lambda run: {"meta": {"chat": run}}, "meta.chat")]
)
@pytest.mark.parametrize("layout", ["mixed", "one after the other"])
def test_messages_of_several_runs_without_a_key_that_is_known_are_a_loss_that_names_the_key(
    tmp_path, key, path, layout
):
    records = mixed(key, OPENAI["messages"][:-1])
    if layout != "mixed":
        records = [record for run in (1, 2) for record in mixed(key, OPENAI["messages"][:-1], (run,))]
    source = write(tmp_path / "log.jsonl", records)
    accounts = Accounts()
    runs = list(read_trajectories(source, accounts))
    assert f"{SEVERAL_RUNS}{path}" in accounts.records.lost
    summary = Summary()
    for run in runs:
        summary.count(run)
    assert any(f"give `group_by` {path}" in concern for concern in concerns(summary, accounts))
    with pytest.raises(LratError, match=f"key {path}"):
        list(load_trajectories(source, strict=True))
    grouped = list(load_trajectories(source, group_by=path, strict=True))
    assert [(run.query_id, run.question) for run in grouped] == [("1", QUESTION), ("2", QUESTION)]


@pytest.mark.parametrize("key", ["turn", "model", "at"])
def test_keys_that_do_not_name_runs_are_no_loss(tmp_path, key):
    values = {"turn": lambda number: number // 2, "model": lambda _: "m", "at": lambda number: number}
    records = [{**message, key: values[key](number)} for number, message in enumerate(OPENAI["messages"])]
    assert len(list(load_trajectories(write(tmp_path / "log.jsonl", records), strict=True))) == 1


@pytest.mark.parametrize("suffix", [".jsonl", ".json"])
@pytest.mark.parametrize("key", ["conversation_id", "dialog"])
def test_a_run_of_messages_has_its_name_as_query_id_and_what_all_of_them_say(tmp_path, suffix, key):
    records = mixed(lambda run: {key: f"q{run}", "gold_answer": f"gold {run}"}, OPENAI["messages"])
    path = tmp_path / f"log{suffix}"
    path.write_text(json.dumps(records) if suffix == ".json" else "\n".join(map(json.dumps, records)))
    runs = list(load_trajectories(path, group_by=None if key == "conversation_id" else key, strict=True))
    assert [(run.query_id, run.gold_answer, run.question) for run in runs] == [
        ("q1", "gold 1", QUESTION), ("q2", "gold 2", QUESTION),
    ]  # fmt: skip
    named = mixed(lambda run: {key: f"run {run}", "qid": 7}, OPENAI["messages"], (1,))
    path.write_text(json.dumps(named) if suffix == ".json" else "\n".join(map(json.dumps, named)))
    (run,) = load_trajectories(path, group_by=key)
    assert run.query_id == "7"


def test_a_path_to_group_by_that_no_record_has_is_refused_and_records_without_it_are_counted(tmp_path):
    source = write(tmp_path / "events.jsonl", EVENTS)
    with pytest.raises(LratError, match=r"expected the name of a run at meta.run in the records.*events/1 is .*'run'"):
        list(load_trajectories(source, reader=from_events, group_by="meta.run"))
    source = write(tmp_path / "head.jsonl", [{"version": 1}, *EVENTS])
    accounts = Accounts()
    assert len(list(read_trajectories(source, accounts, reader=from_events, group_by="run"))) == 2
    assert accounts.records.dropped == {"no run at run to group by": 1}


def chat_of(**shown):
    """A chat record of one search, with what a reader says of its result."""
    function = {"name": "search", "arguments": {"query": "x"}}
    return {
        "messages": [
            {"role": "User", "content": "Who?"},
            {"role": "ASSISTANT", "tool_calls": [{"id": "1", "function": function}]},
            {"role": "Tool", "tool_call_id": "1", "content": "", **shown},
        ]
    }


@pytest.mark.parametrize(
    "results", [[["d1", 2]], ["d1", 2], [{"docid": "d1"}, {"docid": 2}], [[{"docid": "d1"}, {"id": "2"}]]]
)
def test_lists_of_a_reader_may_be_rows_or_ids_and_one_list_alone(tmp_path, results):
    source = write(tmp_path / "log.jsonl", [{}])
    (run,) = load_trajectories(source, reader=lambda _: chat_of(results=results), strict=True)
    assert [hit.docid for hit in run.steps[0].results] == ["d1", "2"]


@pytest.mark.parametrize(
    ("results", "reason"),
    [
        ({"docid": "d1"}, WRONG_RESULTS), ("d1", WRONG_RESULTS), ([["d1"], {"docid": "d2"}], WRONG_RESULTS),
        ([["d1"], ["d2"]], NOT_ONE_EACH), ([{"doc": "d1"}], "rows need `docid`, found the keys 'doc'"),
    ],
)  # fmt: skip
def test_wrong_lists_of_a_reader_are_counted_by_what_is_wrong_with_them(tmp_path, results, reason):
    accounts = Accounts()
    source = write(tmp_path / "log.jsonl", [{}])
    list(read_trajectories(source, accounts, reader=lambda _: chat_of(results=results)))
    (ledger,) = [ledger for ledger in accounts.ledgers() if reason in ledger.dropped + ledger.lost]
    assert "d1" in ledger.examples[reason]


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ("text", "the reader gave text: expected an object with a list `messages`"),
        ([1], "the reader gave number: expected an object"),
        ({"turns": []}, r"the reader gave an object with 'turns' \(a list of 0\): expected an object"),
        ({"messages": [{"role": "bot", "content": "x"}]}, "has the role 'bot': expected one of system, user"),
        ({"messages": []}, "expected an object with a list `messages`"),
    ],
)
def test_what_a_reader_should_have_given_is_said(tmp_path, made, message):
    with pytest.raises(LratError, match=message):
        list(load_trajectories(write(tmp_path / "log.jsonl", [{}]), reader=lambda _: made))


def test_messages_that_a_reader_gives_without_a_record_are_a_run(tmp_path):
    source = write(tmp_path / "log.jsonl", [{}])
    (run,) = load_trajectories(source, reader=lambda _: OPENAI["messages"])
    assert (run.question, run.final_answer) == (QUESTION, ANSWER)


def test_readers_and_mappings_may_be_named(tmp_path, monkeypatch):
    (tmp_path / "named_reader.py").write_text("def made(record):\n    return record['run']\nnumber = 7\n")
    (tmp_path / "tools.yaml").write_text("search: {tools: find}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    run = json.loads(json.dumps(OPENAI).replace('"search"', '"find"'))
    source = write(tmp_path / "log.jsonl", [{"run": run}])
    for mapping in ("tools.yaml", tmp_path / "tools.yaml", load_mapping("tools.yaml")):
        (read,) = load_trajectories(source, reader="named_reader:made", mapping=mapping, strict=True)
        assert read.steps[0].action == "search"
    for wrong, message in ((7, "found 7"), ("named_reader:number", "found 7"), ("nothing", "expected module:object")):
        with pytest.raises(LratError, match=message):
            list(load_trajectories(source, reader=wrong))
    with pytest.raises(LratError, match=r"`mapping`: expected the path of a mapping file.*found a dict"):
        list(load_trajectories(source, mapping={"search": {}}))
    with pytest.raises(LratError, match=r"Mapping missing\.yaml: expected a YAML file"):
        list(load_trajectories(source, mapping="missing.yaml"))


@pytest.mark.parametrize(
    ("records", "shape", "cure"),
    [
        (EVENTS, "'kind' (text)", "give `group_by` run, with a `reader`"),
        ([{"out": {"turns": OPENAI["messages"]}, "n": 1}], "'n' (number)", "`mapping` file (messages: out.turns)"),
        (
            [{"trail": [{"did": "x"}, {"did": "y"}]}], "'trail' (a list of 2",
            "which of their keys ('did') hold what (messages: trail; message: {role: ..., content: ...}; roles: {"
            "user: [...], assistant: [...], tool: [...]}); if they are steps of another kind, a `reader`",
        ),
        (
            [{"turns": [{"speaker": "Bot", "text": "a"}, {"speaker": "Client", "text": "b"}]}], "'turns' (a list of 2",
            "by 'Bot', 'Client', say so in a `mapping` file (messages: turns; message: {role: speaker, content: text}",
        ),
        (
            [{"对话": [{"角色": "用户", "内容": "谁？"}, {"角色": "助手", "内容": "她"}]}], "'对话' (a list of 2",
            "by '用户', '助手', say so in a `mapping` file (messages: 对话; message: {role: 角色, content: 内容}",
        ),
        (
            [{"episodes": [{"trace": {"calls": [{"op": "x"}, {"op": "y"}]}}] * 2}], "'episodes' (a list of 2",
            "If those under episodes are runs, write each as a record of its own (a JSON line), for which a `mapping`",
        ),
        (
            [{"stream": "<plan>a</plan><lookup>q</lookup><found>d1</found><reply>z</reply>"}], "'stream' (text)",
            "has the tags plan, lookup, found, reply: if they are what an agent did and saw, say so in a `mapping`",
        ),
        ([{"pairs": []}], "'pairs' (a list of 0)", "a `reader` of your own"),
    ],
)  # fmt: skip
def test_a_refusal_shows_the_shape_and_the_nearest_way_in(tmp_path, records, shape, cure):
    with pytest.raises(LratError) as refused:
        list(load_trajectories(write(tmp_path / "log.jsonl", records)))
    assert shape in str(refused.value)
    assert cure in str(refused.value)
    assert str(refused.value).index("`format`") < str(refused.value).index(cure)


def test_what_the_refusal_of_nested_records_says_is_enough_to_read_them(tmp_path):
    entries = [
        {"actor": "human", "payload": "Who wrote it?"},
        {"actor": "agent", "payload": "", "uses": [{"tool": "search", "with": {"query": "x"}, "number": "1"}]},
        {"actor": "world", "payload": json.dumps([{"docid": "d1", "title": "A"}]), "for": "1"},
        {"actor": "agent", "payload": "Ada"},
    ]
    source = write(tmp_path / "log.jsonl", [{"session": {"log": {"entries": entries}}}])
    with pytest.raises(
        LratError, match=r"`mapping` file which of their keys \('actor', 'payload'\) hold what \(messages: "
    ):
        list(load_trajectories(source))
    (tmp_path / "m.yaml").write_text(
        "messages: session.log.entries\n"
        "message: {role: actor, content: payload, call_id: for}\n"
        "roles: {user: [human], assistant: [agent], tool: [world]}\n"
        "calls: {list: uses, name: tool, arguments: with, id: number}\n"
    )
    (run,) = load_trajectories(source, mapping=tmp_path / "m.yaml", strict=True)
    assert (run.question, run.final_answer, run.steps[0].queries) == ("Who wrote it?", "Ada", ("x",))
    assert [hit.docid for hit in run.steps[0].results] == ["d1"]


THREAD = {"meta": {"by": ["a", "b"]}, "thread": {"said": [{"actor": "human", "payload": "Who?"}, {"actor": "bot"}]}}


def test_what_the_refusal_of_an_object_of_runs_says_reads_all_of_them(tmp_path):
    path = tmp_path / "threads.json"
    path.write_text(json.dumps({f"T{number}": THREAD for number in range(5)}))
    with pytest.raises(LratError, match=r"each of its 5 values is a run, this is for one.*messages: thread\.said;"):
        list(load_trajectories(path))
    with pytest.raises(LratError, match=r"KeyError: 'thread'; it was given an object with 'T0' \(an object"):
        list(load_trajectories(path, reader=lambda record: record["thread"]))


@pytest.mark.parametrize("wrap", [lambda runs: {"q1": runs[0], "q2": runs[1]}, lambda runs: {"data": runs, "n": 2}])
def test_objects_of_runs_in_a_form_that_a_mapping_says_are_taken_apart(tmp_path, wrap):
    path = tmp_path / "runs.json"
    path.write_text(json.dumps(wrap([{"log": {"said": OPENAI["messages"]}}] * 2)))
    (tmp_path / "m.yaml").write_text("messages: log.said\n")
    runs = list(load_trajectories(path, mapping=tmp_path / "m.yaml", strict=True))
    assert [run.trajectory_id for run in runs] in (["runs/q1", "runs/q2"], ["runs/1", "runs/2"])
    assert [run.question for run in runs] == [QUESTION] * 2


REACT = (
    "Question: Who?\nThought: I look.\nAction: Search KB\nAction Input: who\nObservation:\n- K1 | A\n- K2 | B\n"
    "Thought: K1.\nAction: Read It\nAction Input: K1\nObservation: Text.\nThought: I know.\nFinal Answer: Ada"
)


@pytest.mark.parametrize("question", ["", "question: {pattern: 'Question: (?P<question>.*)'}\n"])
def test_a_run_in_one_text_has_its_question_and_its_tools_as_the_log_spells_them(tmp_path, question):
    source = write(tmp_path / "log.jsonl", [{"written": REACT, "seconds": 3}])
    with pytest.raises(LratError, match=r"text under written is a run in ReAct.*\(messages: written\)"):
        list(load_trajectories(source))
    (tmp_path / "m.yaml").write_text(
        f"messages: written\n{question}"
        "search: {tools: [Search KB], results: {pattern: '^- (?P<docid>\\S+) \\| (?P<title>.*)$'}}\n"
        "browse: {tools: [Read It]}\n"
    )
    (run,) = load_trajectories(source, mapping=tmp_path / "m.yaml", strict=True)
    assert (run.question, run.final_answer) == ("Who?", "Ada")
    assert [hit.title for hit in run.steps[0].results] == ["A", "B"]
    assert run.steps[1].docid == "K1"


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
