"""Progress bars: for people at a terminal, and no lines of them in a log."""

import os
import pty
import subprocess
import sys
import termios

import pytest

BARS = {"HF_HUB_DISABLE_PROGRESS_BARS", "HF_DATASETS_DISABLE_PROGRESS_BARS"}


def publish(folder, to, **options):
    """Runs `lrat corpus` as a process of its own, without what this process was told about bars."""
    (folder / "documents.jsonl").write_text('{"docid": "d1", "title": "One", "text": "A passage."}\n')
    words = [sys.executable, "-m", "lrat_hub.cli", "corpus", "--documents", str(folder / "documents.jsonl")]
    words += ["--to", to]
    environment = {name: value for name, value in os.environ.items() if name not in BARS}
    return subprocess.run(words, env=environment, **options)


@pytest.mark.slow
def test_a_log_has_no_bars(hub, tmp_path):
    ended = publish(tmp_path, "lrat/logged-progress", capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert "%|" not in ended.stderr
    assert "it/s" not in ended.stderr


@pytest.mark.slow
def test_a_terminal_has_them(hub, tmp_path):
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))  # a bar at a terminal without a width is empty
    ended = publish(tmp_path, "lrat/shown-progress", stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 4096):
            shown += piece
    except OSError:  # the other end is closed: all has been read
        pass
    os.close(ours)
    assert ended.returncode == 0
    assert b"%|" in shown
