"""What several processes that serve together leave on the disk."""

import os
import subprocess
import sys
import tempfile
import time

import pytest

from lrat_hub.serving import replicas
from lrat_hub.serving.replicas import server_folder


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def made_long_ago(path):
    past = time.time() - 2 * replicas.LEFT_SECONDS
    os.utime(path, (past, past))


def test_a_folder_goes_with_its_server(temporary):
    with server_folder("lrat-test-") as folder:
        (folder / "gauge.db").touch()
        assert list(temporary.iterdir()) == [folder]
    assert list(temporary.iterdir()) == []


def test_the_folder_of_a_killed_server_is_removed_at_the_next_start_and_that_of_one_that_runs_stays(temporary):
    code = (
        "import os, sys\nfrom lrat_hub.serving.replicas import server_folder\n"
        "with server_folder('lrat-test-') as folder:\n"
        "    (folder / 'gauge.db').touch()\n    print(folder, flush=True)\n    sys.stdin.read()\n"
    )
    servers = [
        subprocess.Popen(
            [sys.executable, "-c", code], env=os.environ | {"TMPDIR": str(temporary)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    try:
        killed, runs = (temporary / os.path.basename(server.stdout.readline().strip()) for server in servers)
        servers[0].kill()
        servers[0].wait()
        assert (killed / "gauge.db").exists()
        with server_folder("lrat-test-"):
            assert killed.exists()  # it is so young that its server may not hold it yet
        others = temporary / "lrat-other"
        others.mkdir()
        link = temporary / "lrat-test-link"
        link.symlink_to(others)
        for path in (killed, runs, others):
            made_long_ago(path)
        with server_folder("lrat-test-") as folder:
            assert {*temporary.iterdir()} == {folder, runs, others, link}
        servers[1].communicate("")
        assert {*temporary.iterdir()} == {others, link}
    finally:
        for server in servers:
            server.kill()
            server.communicate()
