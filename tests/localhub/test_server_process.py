"""The life of the server: who may start it, how it ends, and what survives when it is killed."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from requests_by_hand import commit, connect, put

from lrat_hub.errors import LratError
from lrat_hub.localhub import LocalHub, hub_env
from lrat_hub.localhub.root import prepare_root
from tests.waiting import HANGS_AFTER_SECONDS, wait_until

if TYPE_CHECKING:
    from huggingface_hub import HfApi


def client(hub: LocalHub) -> HfApi:
    from huggingface_hub import HfApi

    return HfApi(endpoint=hub.endpoint, token=hub.token)


def gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody has waited for counts as ended too."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_second_server_on_the_same_root_is_refused_and_names_the_first(hub: LocalHub) -> None:
    with pytest.raises(LratError, match=rf"process {hub.pid} is already serving it") as error, LocalHub(hub.root):
        pass
    assert "\n" not in str(error.value)


def test_roots_and_ports_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LratError, match="expected a folder, found a file"):
        LocalHub(tmp_path / "file").start()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(LratError, match=f"127.0.0.1:{port} to be free, found: Address already in use"):
            LocalHub(tmp_path / "root", port=port).start()


def test_the_token_is_private_and_stays_the_same(tmp_path: Path) -> None:
    prepare_root(tmp_path / "root").joinpath("repos").mkdir()
    env = hub_env(tmp_path / "root", 1234)
    assert env["HF_ENDPOINT"] == "http://127.0.0.1:1234"
    assert stat.S_IMODE((tmp_path / "root" / "token").stat().st_mode) == 0o600
    with LocalHub(tmp_path / "root") as hub:
        assert hub.token == env["HF_TOKEN"]


@pytest.mark.slow
def test_acknowledged_commits_survive_kill_and_stale_locks_do_not(tmp_path: Path) -> None:
    import httpx2

    first = LocalHub(tmp_path / "root").start()
    api = client(first)
    api.create_repo("lrat/m")
    api.upload_file(repo_id="lrat/m", path_in_repo="large.bin", path_or_fileobj=b"large")
    acknowledged: list[str] = []

    def write(name: str) -> None:
        with connect(first.endpoint, first.token) as http:
            for n in range(1000):
                path = f"{name}/{n}"
                if commit(http, "lrat/m", put(path, path.encode())).status_code == 200:
                    acknowledged.append(path)

    with ThreadPoolExecutor(3) as pool:
        writers = [pool.submit(write, name) for name in "abc"]
        wait_until(lambda: len(acknowledged) >= 20)
        os.kill(first.pid, signal.SIGKILL)
        first.stop()
    assert all(isinstance(writer.exception(), httpx2.TransportError) for writer in writers)

    git = tmp_path / "root" / "repos" / "models" / "lrat" / "m.git"
    leftovers = [git / "refs" / "heads" / "main.lock", git / "config.lock", tmp_path / "root" / "tmp" / "part"]
    for leftover in leftovers:
        leftover.touch()
    with LocalHub(tmp_path / "root") as second:
        api = client(second)
        assert not [leftover for leftover in leftovers if leftover.exists()]
        assert set(acknowledged) <= set(api.list_repo_files("lrat/m"))
        for path in (acknowledged[0], acknowledged[-1]):
            assert Path(api.hf_hub_download("lrat/m", path)).read_text() == path
        assert Path(api.hf_hub_download("lrat/m", "large.bin")).read_text() == "large"
        api.upload_file(repo_id="lrat/m", path_in_repo="after", path_or_fileobj=b"")


@pytest.mark.slow
def test_the_server_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    # A worker that the parent forked outlives it, and with it everything that workers inherit.
    parent = (
        "import os, sys, time; from lrat_hub.localhub import LocalHub; hub = LocalHub(sys.argv[1]).start()\n"
        "worker = os.fork()\n"
        "if worker: print(hub.pid, worker, flush=True)\n"
        "time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", parent, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    with process:
        server, worker = map(int, process.stdout.readline().split())
        assert not gone(server)
        process.kill()
        wait_until(lambda: gone(server))
        os.kill(worker, signal.SIGKILL)


@pytest.mark.slow
def test_concurrent_writers_all_land(api: HfApi, repo: str) -> None:
    def write(n: int) -> list[str]:
        return [
            api.upload_file(repo_id=repo, path_in_repo=f"{n}/{k}", path_or_fileobj=f"{n} {k}".encode()).oid
            for k in range(4)
        ]

    with ThreadPoolExecutor(8) as pool:
        shas = {sha for written in pool.map(write, range(8)) for sha in written}
    history = {commit.commit_id for commit in api.list_repo_commits(repo)}
    assert len(shas) == 32
    assert shas < history
    assert {f"{n}/{k}" for n in range(8) for k in range(4)} < set(api.list_repo_files(repo))


def test_one_of_several_commits_on_the_same_parent_wins(api: HfApi, repo: str) -> None:
    from huggingface_hub import CommitOperationAdd
    from huggingface_hub.errors import HfHubHTTPError

    start = api.model_info(repo).sha

    def write(n: int) -> int:
        operation = CommitOperationAdd(f"{n}", b"")
        try:
            api.create_commit(repo, [operation], commit_message="race", parent_commit=start)
        except HfHubHTTPError as error:
            return error.response.status_code
        return 200

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(write, range(8))) == [200] + [412] * 7


def test_importing_the_package_is_cheap() -> None:
    heavy = "torch datasets huggingface_hub starlette uvicorn pygit2 yaml"
    check = f"import sys, lrat_hub.localhub, lrat_hub.cli.hub; print(set(sys.modules) & set({heavy.split()}))"
    assert subprocess.check_output([sys.executable, "-c", check], text=True).strip() == "set()"


@pytest.mark.slow
def test_the_command_serves_until_it_is_told_to_stop(tmp_path: Path) -> None:
    root = tmp_path / "a root"
    run = "import sys; from lrat_hub.cli.hub import main; sys.exit(main(sys.argv[1:]))"
    lrat_hub = [sys.executable, "-c", run]
    for stop in (signal.SIGINT, signal.SIGTERM):
        with subprocess.Popen(
            [*lrat_hub, "serve", "--root", str(root), "--port", "0"], stdout=subprocess.PIPE, text=True
        ) as process:
            line = process.stdout.readline()
            hint = line[line.index("$(lrat hub ") + len("$(lrat hub ") : line.rindex(")")]
            shell = f'eval "$("$@" {hint})"; echo $HF_ENDPOINT $HF_TOKEN $HF_HUB_DISABLE_XET'
            endpoint, token, xet = subprocess.check_output(["sh", "-c", shell, "sh", *lrat_hub], text=True).split()
            from huggingface_hub import HfApi

            assert HfApi(endpoint=endpoint, token=token).whoami()["name"] == "lrat"
            assert (endpoint in line, xet) == (True, "1")
            process.send_signal(stop)
            assert process.wait(HANGS_AFTER_SECONDS) == 0


def environment_of(root: Path, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    from lrat_hub.cli import main

    assert main(["hub", "env", "--root", str(root), *more]) == 0
    return capsys.readouterr().out


def test_the_environment_has_the_port_that_is_served_and_names_this_machine_to_proxies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from lrat_hub.cli import hub as command

    monkeypatch.setattr(command, "START_SECONDS", 0.0)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("NO_PROXY", "intranet, localhost")
    with LocalHub(tmp_path / "root") as hub:
        shown = environment_of(hub.root, capsys)
        assert f"export HF_ENDPOINT={hub.endpoint}\n" in shown
        assert "export NO_PROXY=intranet,localhost,127.0.0.1\n" in shown
        assert hub.env["NO_PROXY"] == hub.env["no_proxy"] == "intranet,localhost,127.0.0.1"
    assert ":8970\n" in environment_of(hub.root, capsys)
    assert ":1234\n" in environment_of(hub.root, capsys, "--port", "1234")


@pytest.mark.parametrize("words", [["env"], ["token", "list"], ["token", "create", "--user", "a"]])
def test_a_mistyped_root_is_refused_and_not_made(
    tmp_path: Path, words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from lrat_hub.cli import hub as command
    from lrat_hub.cli import main

    monkeypatch.setattr(command, "START_SECONDS", 0.0)
    root = tmp_path / "mistyped"
    assert main(["hub", *words, "--root", str(root)]) == 1
    assert "check its name" in capsys.readouterr().err.splitlines()[-1]
    assert not root.exists()
