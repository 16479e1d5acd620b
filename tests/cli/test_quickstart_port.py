"""The quickstart where another program has its port."""

import os
import signal
import socket
import subprocess
import sys
from contextlib import closing, suppress

import pytest

from lrat_hub import cli
from lrat_hub.localhub import DEFAULT_PORT


@pytest.fixture
def taken():
    with suppress(OSError), closing(socket.create_server(("127.0.0.1", DEFAULT_PORT))):
        yield
        return
    yield  # another program has it already


@pytest.mark.slow
def test_it_takes_a_free_one_and_says_so_in_a_line(taken, tmp_path):
    command = [sys.executable, "-u", "-m", "lrat_hub.cli", "quickstart", "--root", str(tmp_path / "quickstart")]
    environment = os.environ | {"HF_HOME": str(tmp_path / "home")}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as quickstart:
        try:
            line = next(line for line in quickstart.stdout if "taken" in line)
        finally:
            quickstart.send_signal(signal.SIGINT)
            quickstart.communicate()
    said = f"Port {DEFAULT_PORT} is taken, so the Hub of this run is at "
    assert line.startswith(said)
    address = line.strip().removeprefix(said).rstrip(".")
    assert address.startswith("http://127.0.0.1:")
    assert not address.endswith(f":{DEFAULT_PORT}")


def test_a_port_that_was_asked_for_is_taken_or_refused_in_one_line(taken, tmp_path, capsys):
    words = ["quickstart", "--root", str(tmp_path / "quickstart"), "--port", str(DEFAULT_PORT)]
    assert cli.main(words) == 1
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert f"expected 127.0.0.1:{DEFAULT_PORT} to be free" in line
