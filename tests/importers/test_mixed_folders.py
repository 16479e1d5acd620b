"""Folders in which runs are among other files: the runs are found, and what holds none is counted."""

import json
import zipfile

import pytest

from lrat_hub import cli
from lrat_hub.errors import LratError
from lrat_hub.importers import Accounts, load_trajectories, read_trajectories, recognise_format
from lrat_hub.importers import bulk as bulk_module
from lrat_hub.importers.accounts import OTHER_FORMAT, FilesWithoutRuns
from lrat_hub.importers.bulk import RecordImport, import_records
from tests.importers.fixtures import OPENAI
from tests.importers.test_public_logs import LOGS

VERCEL = LOGS / "vercel_ai_sdk" / "v.jsonl"


@pytest.fixture
def mix(tmp_path):
    """A folder of somebody's experiment: settings, forty lines of metrics, and a log of the Vercel AI SDK."""
    folder = tmp_path / "mix"
    folder.mkdir()
    (folder / "config.json").write_text('{"model": "m", "k": 10}')
    (folder / "metrics.jsonl").write_text(
        "".join(json.dumps({"step": n, "loss": 1 / (n + 1)}) + "\n" for n in range(40))
    )
    (folder / "runs.jsonl").write_bytes(VERCEL.read_bytes())
    return folder


def zipped(folder):
    path = folder.parent / "mix.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, file.name)
    return path


@pytest.mark.parametrize("source_of", [lambda folder: folder, zipped], ids=["folder", "zip"])
def test_runs_behind_other_files_are_recognised(mix, source_of):
    source = source_of(mix)
    recognised = recognise_format(source)
    assert recognised is not None
    assert recognised.format == "vercel"
    assert recognised.why.startswith("runs/1 is ")
    assert [run.steps for run in load_trajectories(source)] == [run.steps for run in load_trajectories(VERCEL)]


def test_a_record_of_a_run_far_down_a_file_is_found(tmp_path):
    lines = [json.dumps({"event": "tick", "padding": "x" * 900}) for _ in range(600)]
    path = tmp_path / "log.jsonl"
    path.write_text("\n".join([*lines, *([json.dumps(OPENAI)] * 600)]))
    recognised = recognise_format(path)
    assert recognised is not None
    assert recognised.format == "chat"


def test_how_many_files_hold_no_runs_is_said_with_their_names(mix, capsys):
    cli.run(["import", str(mix), "--look"])
    page = " ".join(capsys.readouterr().out.split())
    assert "2 of 3 files hold no runs that were read: 'config', 'metrics'" in page


def test_the_count_of_files_is_the_same_on_several_processes(mix, tmp_path, monkeypatch):
    monkeypatch.setattr(bulk_module, "TASK_ITEMS", 1)
    for number in range(3):
        (mix / f"z{number}.json").write_text(json.dumps(OPENAI if number == 1 else {"n": number}))
    for processes in (1, 2):
        (folder := tmp_path / str(processes)).mkdir()
        made = import_records(mix, folder, RecordImport(format="vercel"), processes=processes)
        assert list(made.accounts.without_runs.names) == ["config", "metrics", "z0", "z1", "z2"]
        assert made.accounts.files.kept == 6


@pytest.fixture
def two_formats(tmp_path):
    """A folder of two logs: one is a chat, and the other of a format that is a special case of it."""
    folder = tmp_path / "two"
    folder.mkdir()
    (folder / "a_chat.jsonl").write_text(json.dumps(OPENAI))
    (folder / "b_gemini.jsonl").write_bytes((LOGS / "gemini_contents" / "g.jsonl").read_bytes())
    return folder


LEFT_OUT = (
    "1 of 2 records were left out because they are in another format: 1 in chat, such as 'a_chat/1'; an import reads "
    "one format, so import them apart with --format chat, into a repository of their own"
)


def test_records_in_another_format_are_counted_said_and_refused_where_nothing_may_be_lost(two_formats, capsys):
    cli.run(["import", str(two_formats), "--look"])
    assert LEFT_OUT in " ".join(capsys.readouterr().out.split())
    with pytest.raises(LratError, match="allows no loss"):
        cli.run(["import", str(two_formats), "--look", "--strict"])
    # What the warning says to do reads the rest.
    cli.run(["import", str(two_formats), "--look", "--format", "chat"])
    page = " ".join(capsys.readouterr().out.split())
    assert "RUN 1: a_chat/1" in page
    assert "1 in gemini, such as 'b_gemini/1" in page


def test_records_in_another_format_are_counted_within_a_file(tmp_path):
    path = tmp_path / "runs.jsonl"
    path.write_text(VERCEL.read_text().strip() + "\n" + json.dumps(OPENAI) + "\n" + json.dumps({"loss": 1}) + "\n")
    accounts = Accounts()
    assert len(list(read_trajectories(path, accounts))) == 1
    assert accounts.records.notes[f"{OTHER_FORMAT}chat"] == 1
    assert accounts.records.num_dropped == 2


def test_a_file_that_is_in_two_tasks_has_runs_if_one_of_them_has():
    whole = FilesWithoutRuns()
    for records in (
        [("a", False), ("b", False)],
        [("b", True), ("b", False), ("c", True)],
        [("c", False), ("d", False)],
    ):
        part = FilesWithoutRuns()
        for name, has_run in records:
            part.see(name, has_run=has_run)
        whole.add(part)
    assert list(whole.names) == ["a", "d"]


def test_a_folder_of_nothing_but_other_files_is_refused_by_what_comes_nearest(mix):
    (mix / "runs.jsonl").write_text(json.dumps({"turns": [{"who": "Bot", "text": "a"}, {"who": "Me", "text": "b"}]}))
    with pytest.raises(LratError) as refused:
        list(load_trajectories(mix))
    assert "of the records of 3 files, one, runs/1, is an object with 'turns'" in str(refused.value)
    assert "message: {role: who, content: text}" in str(refused.value)


def test_records_are_grouped_by_a_key_that_only_later_files_have(mix):
    (mix / "runs.jsonl").write_text("\n".join(json.dumps({"run": "r1", **message}) for message in OPENAI["messages"]))
    (run,) = load_trajectories(mix, group_by="run")
    assert run.query_id == "r1"
