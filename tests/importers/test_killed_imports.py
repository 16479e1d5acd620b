"""Imports of which a process is killed, as a system without memory does it: they end, say so, and publish nothing."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import HfApi

from tests.importers.fixtures import OPENAI
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

READER = """
import os, signal, time
from pathlib import Path

def kill(record):
    if record["question"] == "Question 90?":
        os.kill(os.getpid(), signal.SIGKILL)
    return record

def wait(record):
    Path(os.environ["STARTED"], str(os.getpid())).touch()
    time.sleep(3600)
"""


def begun(tmp_path, hub, reader):
    """An import of a hundred long runs on two processes."""
    (tmp_path / "own_readers.py").write_text(READER)
    (tmp_path / "started").mkdir()
    lines = (json.dumps({**OPENAI, "question": f"Question {number}?", "note": "x" * 50_000}) for number in range(100))
    (tmp_path / "runs.jsonl").write_text("\n".join(lines))
    words = ["import", "runs.jsonl", "--to", f"killed/{reader}", "--processes", "2"]
    environment = {
        **os.environ, **hub.env, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])]),
        "STARTED": str(tmp_path / "started"),
    }  # fmt: skip
    words += ["--reader", f"own_readers:{reader}"]
    # A file, as a pipe ends only with the last process that has it.
    with (tmp_path / "said").open("w") as said:
        return subprocess.Popen(
            [sys.executable, "-m", "lrat_hub.cli", *words], cwd=tmp_path, env=environment, stdout=said, stderr=said
        )


def is_published(hub, reader):
    return HfApi(hub.endpoint, hub.token).repo_exists(f"killed/{reader}", repo_type="dataset")


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_killed_process_ends_the_import_with_a_line_and_nothing_is_published(hub, tmp_path):
    code = begun(tmp_path, hub, "kill").wait()
    said = (tmp_path / "said").read_text()
    assert code == 1, said
    assert "one of them was killed, as a system without memory does. Nothing is published." in said
    assert "Traceback" not in said
    assert not is_published(hub, "kill")


@pytest.mark.skipif(not Path("/proc").exists(), reason="processes are looked for in /proc")
def test_further_processes_end_with_the_one_that_reads(hub, tmp_path):
    process, started = begun(tmp_path, hub, "wait"), tmp_path / "started"
    try:
        wait_until(lambda: len(list(started.iterdir())) == 2 or process.poll() is not None)
        pids = [int(file.name) for file in started.iterdir()]
        assert len(pids) == 2, (tmp_path / "said").read_text()
        process.send_signal(signal.SIGKILL)
        process.wait()
        wait_until(lambda: not any(map(is_running, pids)))
    finally:
        process.kill()
    assert not is_published(hub, "wait")
