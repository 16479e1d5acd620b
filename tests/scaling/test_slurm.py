"""`--executor slurm`: datatrove's job array, submitted and waited for, by commands that run its script here."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lrat_hub.errors import LratError
from lrat_hub.scaling.execution import execute
from lrat_hub.scaling.settings import ExecutionSettings
from lrat_hub.scaling.work import WorkFolder
from tests.scaling.slurm_commands import write_commands
from tests.scaling.squares import Squares

pytest.importorskip("datatrove")

OPTIONS = ["partition=cpu", "time=00:10:00", "mem_per_cpu_gb=3"]


@pytest.fixture
def folder(tmp_path):
    return WorkFolder.open(tmp_path / "work", {"work": "squares"})


@pytest.fixture
def commands(tmp_path, monkeypatch):
    commands = tmp_path / "slurm"
    commands.mkdir()
    write_commands(commands)
    path = os.pathsep.join([str(commands), os.path.dirname(sys.executable), os.environ["PATH"]])
    monkeypatch.setenv("PATH", path)
    monkeypatch.setenv("PYTHONPATH", os.getcwd())
    monkeypatch.setattr("lrat_hub.scaling.slurm.POLL_SECONDS", 0.1)
    return commands


def run(folder, options=OPTIONS, *, fails_at=-1):
    """Runs the shards; gives the numbers of shards that were told of."""
    work, told = Squares(folder.path, 10, fails_at), []
    settings = ExecutionSettings(executor="slurm", workers=2, shards=4, executor_options=options)
    execute(work, settings, folder, parts=10, has=work.has, on_shard=told.append)
    return told


@pytest.mark.slow
def test_the_shards_are_a_job_array_and_what_failed_is_submitted_again(folder, commands):
    with pytest.raises(LratError, match=r"3 of 4 shards are done.*The same command goes on"):
        run(folder, fails_at=7)
    calls = list(map(json.loads, (commands / "calls.txt").read_text().splitlines()))
    # The second job puts statistics together.
    assert [words[:-1] for words in calls] == [["--export=ALL,RUN_OFFSET=0"], []]
    script = (commands / "script-1001").read_text()
    for line in ("--partition=cpu", "--time=00:10:00", "--mem-per-cpu=3G", "--array=0-3%2", "--job-name=lrat-squares"):
        assert f"#SBATCH {line}\n" in script
    assert f"source {sys.prefix}/bin/activate" in script
    times = {path: path.stat().st_mtime_ns for path in folder.path.glob("*.txt")}
    assert sum(run(folder)) == 4
    assert [int((folder.path / f"{number}.txt").read_text()) for number in range(10)] == [n * n for n in range(10)]
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert "#SBATCH --array=0-0%2\n" in (commands / "script-1003").read_text()


def partition():
    """The first partition of the Slurm that this machine belongs to; None where it belongs to none."""
    if shutil.which("sinfo") is None:
        return None
    said = subprocess.run(["sinfo", "--noheader", "--format=%R"], capture_output=True, text=True, check=False)
    return (said.stdout.split() or [None])[0]


@pytest.mark.slow
@pytest.mark.skipif(partition() is None, reason="no Slurm here")
def test_a_real_slurm_does_the_shards_and_what_failed_or_was_cancelled_again(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.getcwd())
    # Where the nodes see it; tmp_path is enough where they are this machine.
    folder = WorkFolder.open(Path(os.environ.get("SHARED_FOLDER", tmp_path)) / "work", {"work": "squares"})
    options = [f"partition={partition()}", "time=00:10:00", "mem_per_cpu_gb=1"]
    with pytest.raises(LratError, match="expected sbatch to take the job, found that it refused it"):
        run(folder, ["partition=nobody-has-this", *options[1:]])
    with pytest.raises(LratError, match=r"3 of 4 shards are done.*The same command goes on"):
        run(folder, options, fails_at=7)
    for path in folder.path.glob("[012].txt"):
        path.unlink()
    cancel = threading.Timer(1, lambda: subprocess.run(["scancel", "--name=lrat-squares"], check=True))
    cancel.start()
    with contextlib.suppress(LratError):  # or the job was quicker
        run(folder, options)
    cancel.join()
    run(folder, options)
    assert [int((folder.path / f"{number}.txt").read_text()) for number in range(10)] == [n * n for n in range(10)]


def test_a_job_that_slurm_refuses_is_one_line(folder, commands):
    (commands / "sbatch").write_text("#!/bin/sh\necho 'sbatch: error: invalid partition specified: cpu' >&2\nexit 1\n")
    with pytest.raises(LratError, match=r"refused it, for the reason above\. Correct `executor_options`"):
        run(folder)


def test_without_slurm_or_what_it_needs_the_command_says_so_at_once(folder, commands, monkeypatch):
    with pytest.raises(LratError, match="expected time and partition among `executor_options`, as time=VALUE"):
        run(folder, [])
    with pytest.raises(LratError, match="found partitio; did you mean partition"):
        run(folder, [*OPTIONS, "partitio=gpu"])
    with pytest.raises(LratError, match="NAME=VALUE"):
        run(folder, ["partition"])
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(LratError, match="expected sbatch and squeue on the PATH"):
        run(folder)
