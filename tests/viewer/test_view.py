"""`lrat view`: as a folder, as a server that gives its pages to nobody else's, and as a static Space."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
from datasets import Dataset
from huggingface_hub import HfApi, snapshot_download

from lrat_hub import HubRef, cli
from lrat_hub.artifacts.verification import verify
from lrat_hub.cli import following
from lrat_hub.errors import LratError
from lrat_hub.hub.lineage import Lineage, read_lineage
from lrat_hub.hub.publish import publish_dataset
from lrat_hub.importers.traces import trace_files
from lrat_hub.obfuscation import OBFUSCATED_WITH
from lrat_hub.schema import trajectory_features
from lrat_hub.viewer.bundle import page_files
from tests.hub.test_publish import CARD
from tests.viewer.pages import CANARY, read_data, read_index, run
from tests.waiting import HANGS_AFTER_SECONDS, wait_until

ROOT = Path(__file__).parents[2]
RUNS = [run(number) for number in range(6)]


def published(name, runs):
    table = Dataset.from_list([one.to_dict() for one in runs], features=trajectory_features())
    tables = {"trajectories": {"train": table}}
    return str(publish_dataset(HubRef(name, "dataset"), tables, card=CARD, lineage=Lineage("rollout", {}, {})))


@pytest.fixture(scope="module")
def runs(hub) -> str:
    return published("lrat/runs-to-view", RUNS)


@pytest.fixture
def qrels(tmp_path) -> str:
    path = tmp_path / "qrels.jsonl"
    path.write_text(json.dumps({"query_id": "q0", "docid": "c", "relevance": 1}))
    return str(path)


def test_a_page_is_written_from_a_dataset_with_judgements_and_pairs(runs, qrels, tmp_path, capsys):
    words = ["corpus", "--documents", str(tmp_path / "documents.jsonl"), "--to", "lrat/corpus-to-view"]
    rows = [{"docid": name, "title": f"Known as {name}", "text": f"Text of {name}."} for name in "abcde"]
    (tmp_path / "documents.jsonl").write_text("\n".join(map(json.dumps, rows)))
    corpus = str(cli.run(words))
    pairs = str(cli.run(["mine", "--trajectories", runs, "--corpus", corpus, "--to", "lrat/pairs-to-view"]))
    cli.run(["view", runs, "--qrels", qrels, "--pairs", pairs, "--bundle", str(tmp_path / "page")])
    meta, index = read_data(tmp_path / "page", "meta"), read_index(tmp_path / "page")
    assert (meta["title"], meta["inputs"]["trajectories"], meta["inputs"]["pairs"]) == (
        "lrat/runs-to-view",
        runs,
        pairs,
    )
    assert [row["evidence"] for row in index] == [1, 1, 1, 0, 0, 0]
    assert sum(row["pairs"] for row in index) > 0
    assert f"written: {tmp_path / 'page' / 'index.html'}" in capsys.readouterr().out


@pytest.mark.parametrize("option", ["qrels", "pairs"])
def test_what_is_of_other_runs_is_refused_with_what_to_do(option, runs, tmp_path):
    from lrat_hub.mining import mine_pairs
    from lrat_hub.mining.tables import pair_table

    other = replace(run(0), trajectory_id="another", query_id="another")
    tables = {"pairs": {"train": pair_table(mine_pairs([other]).pairs)}}
    given = {"pairs": "lrat/pairs-of-others", "qrels": str(tmp_path / "qrels.jsonl")}
    publish_dataset(HubRef(given["pairs"], "dataset"), tables, card=CARD, lineage=Lineage("mine", {}, {}))
    (tmp_path / "qrels.jsonl").write_text(json.dumps({"query_id": "another", "docid": "c", "relevance": 1}))
    with pytest.raises(LratError, match=rf"0 of \d .* are among the 1 .*Leave .*{option}.* out, or give those"):
        cli.run(["view", runs, f"--{option}", given[option], "--bundle", str(tmp_path / "page")])


def test_a_log_and_a_file_of_rows_are_sources_too(tmp_path):
    (tmp_path / "logs").mkdir()
    for name, text in trace_files(RUNS).items():
        (tmp_path / "logs" / Path(name).name).write_text(text)
    table = Dataset.from_list([one.to_dict() for one in RUNS], features=trajectory_features())
    table.to_parquet(tmp_path / "rows.parquet")
    for source in ("logs", "rows.parquet"):
        cli.run(["view", str(tmp_path / source), "--bundle", str(tmp_path / "page"), "--runs", "4"])
        assert sorted(row["id"] for row in read_index(tmp_path / "page")) == [f"run-{number}" for number in range(4)]


def test_a_page_of_a_log_holds_no_secret_of_it(tmp_path, capsys):
    key = "sk-ant-api03-" + "Zk3bQ9vT" * 11 + "-AAAAAAAA"
    log = tmp_path / "log.jsonl"
    ((_, text),) = trace_files([replace(RUNS[0], question=f"Who wrote it? My key is {key}")]).items()
    log.write_text(text)
    cli.run(["view", str(log), "--bundle", str(tmp_path / "page")])
    assert "1 secrets redacted" in capsys.readouterr().out
    files = [path for path in (tmp_path / "page").rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if key in path.read_text(encoding="utf-8", errors="replace")]


def test_a_space_has_the_page_its_card_and_its_lineage_in_one_commit(runs, capsys):
    pin = cli.run(["view", runs, "--to", "lrat/viewed"])
    assert str(pin) == f"spaces/lrat/viewed@{pin.revision}"
    assert HubRef.parse(str(pin)) == pin
    assert following.take() == [f"lrat lineage {pin}"]
    cli.run(["lineage", str(pin)])
    assert capsys.readouterr().out.endswith(f"{pin} <- lrat view\n└─ trajectories: {runs} <- lrat rollout\n")
    info = HfApi().space_info("lrat/viewed")
    assert (info.sha, info.sdk) == (pin.revision, "static")
    folder = Path(snapshot_download("lrat/viewed", repo_type="space", revision=pin.revision))
    for name, content in page_files().items():
        assert (folder / name).read_bytes() == content
    assert [row["id"] for row in read_index(folder)] == [one.trajectory_id for one in RUNS]
    lineage = read_lineage(pin)
    assert (lineage.stage, lineage.inputs) == ("view", {"trajectories": runs})
    assert lineage.counts["outcomes"] == {"correct": 2, "incorrect": 2, "unjudged": 2}
    with pytest.raises(LratError, match="can't be made again: it is a page and no data; give its inputs"):
        cli.run(["reproduce", str(pin), "--to", "lrat/viewed-again"])
    # The same runs again are the same commit, and others take their place.
    assert cli.run(["view", runs, "--to", "spaces/lrat/viewed"]) == pin
    assert cli.run(["view", runs, "--to", "lrat/viewed", "--runs", "2"]) != pin
    checks = [check for check in verify(pin) if check.artifact.startswith("spaces/")]
    assert {check.name for check in checks} >= {"pin", "files", "card"}
    assert {check.outcome for check in checks} == {"ok"}


def test_a_space_of_others_is_refused_before_anything_is_read(hub):
    HfApi().create_repo("lrat/app-of-others", repo_type="space", space_sdk="static")
    HfApi().upload_file(
        path_or_fileobj=b"theirs", path_in_repo="index.html", repo_id="lrat/app-of-others", repo_type="space"
    )
    with pytest.raises(LratError, match="expected nothing or an earlier publication there, found other files"):
        cli.run(["view", "lrat/nothing", "--to", "lrat/app-of-others"])


def test_obfuscated_questions_are_published_to_private_spaces_alone(hub):
    secret = replace(RUNS[0], metadata=json.dumps({OBFUSCATED_WITH: CANARY}))
    source = published("lrat/secret-runs-to-view", [secret])
    with pytest.raises(LratError, match="found 1 runs on questions that are published obfuscated"):
        cli.run(["view", source, "--to", "lrat/viewed-secrets"])
    pin = cli.run(["view", source, "--to", "lrat/viewed-in-private", "--private"])
    assert HfApi().space_info("lrat/viewed-in-private").private
    folder = Path(snapshot_download(pin.repo_id, repo_type="space", revision=pin.revision))
    assert secret.question not in "".join(path.read_text() for path in (folder / "data").rglob("*.js"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--to", "datasets/lrat/x"], "publishes a space, not a dataset"),
        (["--to", "lrat/x", "--bundle", "folder"], "expected --bundle or --to, found both"),
        (["--runs", "-1"], "expected --runs of 0 or more"),
        (["--private"], "expected --to for --private"),
        (["--private", "--bundle", "folder"], "expected --to for --private"),
        (["--port", "8972", "--bundle", "folder"], "expected no --port beside --bundle or --to"),
        (["--port=0", "--to", "lrat/x"], "expected no --port beside --bundle or --to"),
    ],
)
def test_command_lines_that_contradict_themselves_are_refused(words, message):
    with pytest.raises(LratError, match=message):
        cli.run(["view", "lrat/nothing", *words])


@pytest.mark.slow
def test_pages_from_elsewhere_can_not_load_the_data(address, browser, tmp_path):
    own, other = browser.new_page(), browser.new_page()
    own.goto(address)
    own.wait_for_selector("#rows a")
    assert own.locator("#rows a").count() == len(RUNS)
    (tmp_path / "other.html").write_text(
        "<script>const lrat = { take: () => { document.title = 'taken' } }; let refused = false</script>"
        f"<script src='{address}/data/meta.js' onerror='refused = true'></script>"
    )
    other.goto((tmp_path / "other.html").as_uri())
    assert other.evaluate("[document.title, refused]") == ["", True]


@contextmanager
def serving(source, **environment) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server, and its address once it answers."""
    words = [sys.executable, "-m", "lrat_hub.cli", "view", source, "--port", "0"]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=os.environ | environment) as process:
        assert process.stdout is not None
        try:
            yield process, next(line for line in process.stdout if "http" in line).split()[2]
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def address(runs) -> Iterator[str]:
    with serving(runs) as (_, address):
        yield address


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_server_that_is_stopped_takes_its_files_along(runs, tmp_path, sent):
    with serving(runs, TMPDIR=str(tmp_path)) as (process, address):
        httpx2.get(address, timeout=60).raise_for_status()
        assert len(list(tmp_path.glob("lrat-view-*"))) == 1
        process.send_signal(sent)
        assert process.wait(timeout=HANGS_AFTER_SECONDS) == 0
    assert not list(tmp_path.glob("lrat-view-*"))


@pytest.mark.slow
def test_a_client_that_never_reads_its_answers_keeps_no_server_from_ending(tmp_path):
    log, temporary = tmp_path / "log.jsonl", tmp_path / "temporary"
    log.write_text("".join(trace_files([run(number, final_answer="x" * 15_000) for number in range(80)]).values()))
    temporary.mkdir()
    with serving(str(log), TMPDIR=str(temporary)) as (process, address), socket.socket() as client:
        # Forty megabytes are more than the buffers on the way take.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(HANGS_AFTER_SECONDS)
        client.connect(("127.0.0.1", int(address.rpartition(":")[2])))
        client.sendall(b"GET /data/runs/0.js HTTP/1.1\r\nHost: localhost\r\n\r\n" * 40)
        assert client.recv(1) == b"H"
        process.terminate()
        assert process.wait(timeout=HANGS_AFTER_SECONDS) == 0
    assert not list(temporary.glob("lrat-view-*"))


@pytest.mark.slow
def test_a_build_that_is_stopped_leaves_the_earlier_page_and_nothing_else(tmp_path):
    def words(source):
        return ["view", str(source), "--bundle", str(tmp_path / "to" / "page")]

    log = tmp_path / "log.jsonl"
    log.write_text("\n".join(trace_files(RUNS[:1]).values()))
    cli.run(words(log))
    # A source that never ends: it is stopped in its midst.
    ready = tmp_path / "ready"
    code = (
        "import pathlib, sys, time\n"
        "from lrat_hub import cli\n"
        "from lrat_hub.cli import view\n"
        "from tests.viewer.pages import run\n"
        "def endless(source):\n"
        "    yield run(0)\n"
        f"    pathlib.Path({str(ready)!r}).touch()\n"
        "    while True: time.sleep(0.05)\n"
        "view._runs = endless\n"
        "cli.run(sys.argv[1:])\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, *words(log)], cwd=ROOT) as process:
        try:
            wait_until(ready.exists)
            assert len(list((tmp_path / "to").iterdir())) == 2
            process.terminate()
            assert process.wait(timeout=HANGS_AFTER_SECONDS) == 128 + signal.SIGTERM
        finally:
            process.kill()
    assert [path.name for path in (tmp_path / "to").iterdir()] == ["page"]
    assert len(read_index(tmp_path / "to" / "page")) == 1


def test_a_port_that_is_taken_is_refused_before_anything_is_read():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with pytest.raises(LratError, match=f"lrat view: expected 127.0.0.1:{port} to be free"):
            cli.run(["view", "lrat/nothing", "--port", port])
    for port in ("65536", "-1"):
        with pytest.raises(LratError, match=f"expected a port from 0 to 65535, found {port}"):
            cli.run(["view", "lrat/nothing", "--port", port])


@pytest.mark.slow
def test_the_server_gives_the_page_to_this_machine_alone(address):
    page = httpx2.get(address, timeout=60)
    assert page.content == page_files()["index.html"]
    # Scripts of data could be included by any page that is open in the same browser.
    data = httpx2.get(f"{address}/data/meta.js", timeout=60)
    assert data.headers["cross-origin-resource-policy"] == "same-origin"
    assert data.headers["content-type"].startswith("text/javascript")
    assert httpx2.get(f"{address}/data/meta.js", headers={"Host": "elsewhere.example"}, timeout=60).status_code == 400
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert httpx2.request(method, f"{address}/data/meta.js", timeout=60).status_code == 405
    for path in ("/data", "/data/", "/../page/index.html", "/%2e%2e/%2e%2e/etc/passwd", "/data/runs/9.js"):
        assert httpx2.get(address + path, timeout=60).status_code == 404
    # At another address than its own, a page's relative links lead nowhere.
    for path in ("/index.html/", "//index.html", "/data/meta.js/", "/data//meta.js", "/data/%2e/meta.js", "//"):
        assert httpx2.get(address + path, timeout=60).status_code == 404
