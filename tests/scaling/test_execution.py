"""Work by datatrove's executors: what is done, what the engine keeps, and what is refused in one line."""

import json
import os
import subprocess
import sys

import pytest

from lrat_hub.errors import LratError
from lrat_hub.scaling.execution import execute
from lrat_hub.scaling.settings import ExecutionSettings
from lrat_hub.scaling.work import WorkFolder
from tests.documentation import ROOT
from tests.scaling.squares import Squares


def run(folder, count=10, *, told=None, fails_at=-1, **settings):
    work = Squares(folder.path, count, fails_at)
    execute(
        work, ExecutionSettings(executor="local", **settings), folder, parts=count, has=work.has,
        on_shard=(told if told is not None else []).append,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    return WorkFolder.open(tmp_path, {"work": "squares"})


@pytest.mark.slow
def test_each_shard_is_done_once_and_the_engine_counts_it(folder):
    pytest.importorskip("datatrove")
    told = []
    run(folder, told=told, workers=2, shards=3)
    assert [int((folder.path / f"{number}.txt").read_text()) for number in range(10)] == [n * n for n in range(10)]
    assert sum(told) == 3
    logs = folder.path / "squares-3"
    assert sorted(os.listdir(logs / "completions")) == ["00000", "00001", "00002"]
    assert sorted(os.listdir(logs / "logs")) == [f"task_0000{number}.log" for number in range(3)]
    (step,) = json.loads((logs / "stats.json").read_text())
    assert step["stats"]["items"]["total"] == 10
    # What is done stays done, also by another number of shards.
    times = {path: path.stat().st_mtime_ns for path in folder.path.glob("*.txt")}
    run(folder, workers=1, shards=7)
    assert {path: path.stat().st_mtime_ns for path in folder.path.glob("*.txt")} == times


@pytest.mark.slow
def test_what_the_work_refuses_is_told_as_it_is_and_the_rest_is_kept(folder, capfd):
    pytest.importorskip("datatrove")
    with pytest.raises(LratError, match=r"^Squares: expected another number, found 7\.$"):
        run(folder, workers=1, shards=5, fails_at=7)
    assert "Traceback" not in capfd.readouterr().err
    assert "found 7" in (folder.path / "squares-5" / "workers.log").read_text()
    assert (folder.path / "5.txt").exists()
    run(folder, workers=1, shards=5)
    assert (folder.path / "7.txt").read_text() == "49"


@pytest.mark.slow
def test_workers_that_are_done_give_back_the_semaphores_that_libraries_made_in_them(tmp_path):
    """tqdm makes one for each process, and multiprocessing warns of those that are left at the end of a command."""
    pytest.importorskip("datatrove")
    script = f"""
from pathlib import Path
from lrat_hub.scaling.execution import execute
from lrat_hub.scaling.settings import ExecutionSettings
from lrat_hub.scaling.work import WorkFolder
from tests.scaling.squares import WithBars

if __name__ == "__main__":
    folder = WorkFolder.open(Path({str(tmp_path)!r}), {{"work": "squares"}})
    work = WithBars(folder.path, 6)
    execute(work, ExecutionSettings(executor="local", workers=2, shards=3), folder, parts=6, has=work.has)
"""
    (tmp_path / "main.py").write_text(script)
    ended = subprocess.run(
        [sys.executable, str(tmp_path / "main.py")], capture_output=True, text=True, cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True,
    )  # fmt: skip
    assert "leaked" not in ended.stderr


def test_without_datatrove_the_extra_is_named(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "datatrove", None)
    with pytest.raises(LratError, match=r"Install lrat-hub\[scale\]"):
        run(folder)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"executor": "local", "workers": 0}, "expected `workers` of 1 or more"),
        ({"executor": "local", "shards": -1}, "`shards` of 0 or more"),
        ({"workers": 2}, "expected `executor` of local"),
    ],
)
def test_settings_that_say_nothing_are_refused(settings, message):
    with pytest.raises(LratError, match=message):
        ExecutionSettings(**settings)


def test_a_folder_of_other_work_is_refused(folder):
    (folder.path / "stamp.json").write_text("{}")
    with pytest.raises(LratError, match="found another stamp"):
        WorkFolder.open(folder.path.parent, {"work": "squares"})
