"""`lrat import --executor local`: the trajectories of one process, whatever belongs together in the source."""

import json

import pytest

from lrat_hub import cli
from lrat_hub.importers import bulk
from lrat_hub.scaling.work import WorkFolder
from tests.scaling.kills import kill_half_way

pytestmark = pytest.mark.slow

RUNS = 8_000
PARTS = -(-RUNS // bulk.TASK_ITEMS)


def conversation(number):
    """A run as messages, in the format of OpenAI's clients."""
    call = {"id": "c", "type": "function", "function": {"name": "search", "arguments": json.dumps({"query": "who"})}}
    found = json.dumps([{"docid": f"d{number}", "text": f"It was built in {number}. " * 20}])
    return {
        "messages": [
            {"role": "user", "content": f"Who built tower {number}?"},
            {"role": "assistant", "content": "I search.", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "content": found},
            {"role": "assistant", "content": f"Somebody, with the key sk-proj-{'a1B2' * 12}."},
        ]
    }


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("logs")
    for name, numbers in (("first.jsonl", range(2_000)), ("second.jsonl", range(2_000, RUNS))):
        (folder / name).write_text("".join(json.dumps(conversation(number)) + "\n" for number in numbers))
    # What can't be read is counted by whoever comes upon it.
    (folder / "third.jsonl").write_text("no JSON\n" + json.dumps(conversation(RUNS)) + "\n")
    return folder


def words(source, *more):
    return ["import", str(source), "--traces", "250", "--to", "lrat/executors-import", *map(str, more)]


@pytest.fixture(scope="module")
def whole(source):
    return cli.run(words(source))


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_any_number_of_workers_imports_what_one_process_does(source, whole, tmp_path, workers):
    pytest.importorskip("datatrove")
    assert cli.run(words(source, "--executor", "local", "--workers", workers, "--work_dir", tmp_path)) == whole


def test_an_import_in_which_a_worker_was_killed_goes_on(source, whole, tmp_path):
    pytest.importorskip("datatrove")
    scaled = words(source, "--executor", "local", "--workers", 2, "--work_dir", tmp_path)
    code, said, _ = kill_half_way(scaled, tmp_path, "import/*/*/part-*", count=2, whole=PARTS, victim="worker")
    assert code == 1
    assert "one of its workers was killed" in said
    assert cli.run(scaled) == whole


def test_messages_that_belong_together_behind_conversations_that_stand_alone_are_imported_as_by_one_process(
    tmp_path, monkeypatch
):
    pytest.importorskip("datatrove")
    messages = [{"conversation_id": "apart", **message} for message in conversation(RUNS)["messages"]]
    lines = [*map(conversation, range(3_000)), *messages]
    (tmp_path / "runs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    alone = cli.run(words(tmp_path / "runs.jsonl"))
    monkeypatch.setattr(WorkFolder, "remove", lambda self: None)
    scaled = ["--executor", "local", "--workers", "2", "--work_dir", tmp_path / "work"]
    assert cli.run(words(tmp_path / "runs.jsonl", *scaled)) == alone
    assert list((tmp_path / "work").glob("import/*/items_of/not-apart"))
    assert len(list((tmp_path / "work").glob("import/*/records_of/part-*"))) == 31
