"""Work on several processes ends, whenever one of them is killed."""

import subprocess
import sys

import pytest

from tests.scaling import idle_kills
from tests.waiting import HANGS_AFTER_SECONDS


@pytest.mark.slow
def test_processes_that_are_killed_when_all_is_done_keep_nobody_waiting():
    command = [sys.executable, "-m", idle_kills.__name__]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=HANGS_AFTER_SECONDS)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == ["0 1 4 9 16 25 36 49 64 81"] * idle_kills.PROCESSES
