"""Indexes that a stage serves to itself while they are searched."""

import os
import sys

import psutil
import pytest

from lrat_hub import cli, load_trajectories
from lrat_hub.errors import LratError
from lrat_hub.hub.lineage import read_lineage
from lrat_hub.llm.processes import ServerProcess, free_port
from tests.agents.scripted import publish_things


@pytest.fixture(scope="module")
def corpus(hub, tmp_path_factory):
    return publish_things(tmp_path_factory.mktemp("corpus"), "lrat/served-things")


@pytest.fixture(scope="module")
def index(corpus):
    return str(cli.run(["index", "--bm25", "--corpus", corpus, "--to", "lrat/served-index"]))


def rollout(corpus, to, *words):
    return cli.run(["rollout", "--agent", "reader", "--corpus", corpus, "--queries", corpus, "--to", to, *words])


@pytest.mark.slow
def test_runs_with_a_served_index_are_those_with_the_same_index_in_the_process(corpus, index, tmp_path):
    here = rollout(corpus, "lrat/served-here", "--index", index, "--journal", str(tmp_path / "here"))
    served = rollout(
        corpus, "lrat/served-there", "--index", index, "--retriever_devices", "cpu", "--journal", str(tmp_path / "no")
    )
    assert [run.to_dict() for run in load_trajectories(served)] == [run.to_dict() for run in load_trajectories(here)]
    first, second = read_lineage(here), read_lineage(served)
    assert (first.inputs, first.recipe) == (second.inputs, second.recipe)
    assert not [child for child in psutil.Process().children() if "serve" in child.cmdline()]


def test_what_is_no_index_is_not_served(corpus):
    with pytest.raises(LratError, match="`retriever_devices` serves indexes, found none"):
        rollout(corpus, "lrat/served-no", "--retriever_devices", "cpu")
    with pytest.raises(LratError, match="expected an index to serve on"):
        rollout(corpus, "lrat/served-no", "--retriever_devices", "cpu", "--index", "http://127.0.0.1:9")


@pytest.mark.parametrize(("devices", "seen"), [("", "all"), ("cpu", ""), ("6,7", "6,7")])
def test_a_server_sees_the_devices_it_is_given(devices, seen, tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "all")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    port = free_port()
    (tmp_path / "seeing.py").write_text(
        "import http.server, os\nprint('sees', os.environ['CUDA_VISIBLE_DEVICES'], flush=True)\n"
        f"http.server.HTTPServer(('127.0.0.1', {port}), http.server.SimpleHTTPRequestHandler).serve_forever()\n"
    )
    log = tmp_path / "log"
    with ServerProcess(
        "seeing", [sys.executable, "seeing"], f"http://127.0.0.1:{port}", log=log, timeout=60, devices=devices
    ):
        assert log.read_text().splitlines()[0] == f"sees {seen}"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "all"
