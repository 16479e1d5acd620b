"""Clients that send or take next to nothing hold the server up for some time, and others not at all."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from requests_by_hand import commit, connect, put

from lrat_hub.localhub import LocalHub
from lrat_hub.localhub.access import CLONES_AT_ONCE
from lrat_hub.localhub.app import create_app, routes
from lrat_hub.localhub.connections import Connection
from lrat_hub.localhub.links import Links
from lrat_hub.localhub.objects import Pointer
from lrat_hub.localhub.root import Accounts, prepare_root, read_token
from tests.waiting import HANGS_AFTER_SECONDS, wait_until

if TYPE_CHECKING:
    import httpx2
    import uvicorn
    from huggingface_hub import HfApi

pytestmark = pytest.mark.slow
PATIENCE = 0.5
LARGE = os.urandom(1024) * 1024 * 24


class Served:
    """A Hub in this process, whose patience a test can choose, with a repository that has a large file."""

    def __init__(self, root: Path) -> None:
        import uvicorn

        self.root, self.token = prepare_root(root), read_token(prepare_root(root))
        config = uvicorn.Config(create_app(root, user="lrat"), http=Connection, lifespan="off", log_level="critical")
        self.server: uvicorn.Server = uvicorn.Server(config)
        listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = listener.getsockname()[1]
        threading.Thread(target=self.server.run, kwargs={"sockets": [listener]}, daemon=True).start()
        self.http = connect(f"http://127.0.0.1:{self.port}", self.token)
        self.http.post("/api/repos/create", json={"name": "r"}).raise_for_status()
        oid = hashlib.sha256(LARGE).hexdigest()
        self.http.put(self.link(LARGE), content=LARGE).raise_for_status()
        large = ("lfsFile", {"path": "large", "algo": "sha256", "oid": oid, "size": len(LARGE)})
        commit(self.http, "lrat/r", large).raise_for_status()

    def link(self, content: bytes) -> str:
        pointer = Pointer(hashlib.sha256(content).hexdigest(), len(content))
        return Links(Accounts(self.root, "lrat").link_key()).path("PUT", "lrat", pointer)

    def request(self, method: str, path: str, *headers: str) -> bytes:
        lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {self.token}", *headers]
        return "\r\n".join([*lines, "", ""]).encode()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=HANGS_AFTER_SECONDS)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    found = Served(tmp_path / "root")
    yield found
    found.http.close()
    found.server.should_exit = True


def writing_routes() -> Iterator[tuple[str, str]]:
    """Method and path of each endpoint that is not for reading."""
    values = {
        **{"kind:kind": "models", "kind:prefix": "", "namespace:encoded": "lrat", "namespace:namespace": "lrat"},
        **{"name:encoded": "r", "revision:encoded": "main", "branch:encoded": "new", "number:encoded": "1"},
        "comment": "0",
    }
    for route in routes():
        for method in sorted((route.methods or set()) - {"GET", "HEAD"}):
            path = route.path
            for name, value in values.items():
                path = path.replace(f"{{{name}}}", value)
            yield method, path


@pytest.mark.parametrize("framing", ["Content-Length: 1000000", "Transfer-Encoding: chunked"])
def test_a_body_that_drips_has_an_end_whatever_it_is_for(
    served: Served, monkeypatch: pytest.MonkeyPatch, framing: str
) -> None:
    from lrat_hub.localhub import wire

    monkeypatch.setattr(wire, "BODY_SECONDS", PATIENCE)
    monkeypatch.setattr(Connection, "header_seconds", PATIENCE)
    asks = [
        (method, served.link(b"x" * 1_000_000) if "lfs-objects" in path else path) for method, path in writing_routes()
    ]
    # Bodies that nobody reads are no way around it.
    asks += [("GET", "/api/models"), ("GET", "/lrat/r/resolve/main/large"), ("POST", "/nowhere/at/all")]
    assert len(asks) > 25
    assert [path for _, path in asks if "{" in path] == []
    connections = {}
    for method, path in asks:
        connection = served.connect()
        connection.sendall(served.request(method, path, framing))
        connection.setblocking(False)
        connections[f"{method} {path}"] = connection
    drop = b" " if "Length" in framing else b"1\r\n \r\n"
    answers: dict[str, bytes] = dict.fromkeys(connections, b"")

    def all_are_closed() -> bool:
        for name, connection in list(connections.items()):
            try:
                with contextlib.suppress(BlockingIOError):
                    connection.send(drop)
                with contextlib.suppress(BlockingIOError):
                    while portion := connection.recv(65536):
                        answers[name] += portion[: 1000 - len(answers[name])]
                    raise ConnectionResetError
            except ConnectionError:
                connections.pop(name).close()
        return not connections

    wait_until(all_are_closed, pause=0.05)
    given_up = [name for name, answer in answers.items() if answer.startswith(b"HTTP/1.1 408")]
    # Those that can be known to be wrong without their body are refused before it is there.
    assert len(given_up) >= 20
    assert any("lfs-objects" in name for name in given_up)
    assert any("/commit/main" in name for name in given_up)
    assert served.http.get("/api/whoami-v2").status_code == 200


def test_a_body_may_take_the_longer_the_more_has_come(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    from lrat_hub.localhub import wire

    monkeypatch.setattr(wire, "BODY_SECONDS", 5.0)
    monkeypatch.setattr(wire, "BODY_BYTES_PER_SECOND", 1)
    body = json.dumps({"name": "slowly", "visibility": "private"}).encode()
    with served.connect() as connection:
        connection.sendall(served.request("POST", "/api/repos/create", f"Content-Length: {len(body)}"))
        connection.sendall(body[:-12])
        for place in range(len(body) - 12, len(body)):
            time.sleep(0.5)
            connection.sendall(body[place : place + 1])
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("rest", ["", "Connection: close"])
@pytest.mark.parametrize("taken", [0, 100])
def test_who_takes_next_to_nothing_of_an_answer_is_cut_off(
    served: Served, monkeypatch: pytest.MonkeyPatch, rest: str, taken: int
) -> None:
    monkeypatch.setattr(Connection, "reader_seconds", PATIENCE)
    served.http.close()
    wait_until(lambda: not served.server.server_state.connections)
    with served.connect() as connection:
        connection.sendall(served.request("GET", "/lrat/r/resolve/main/large", *([rest] if rest else [])))
        wait_until(lambda: bool(served.server.server_state.connections))

        def is_cut_off() -> bool:
            if taken and served.server.server_state.connections:
                connection.recv(taken)
            return not served.server.server_state.connections

        wait_until(is_cut_off, pause=0.05)
        # Nothing goes on being prepared for it.
        wait_until(lambda: not served.server.server_state.tasks)


def test_who_takes_an_answer_slowly_gets_all_of_it(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Connection, "reader_seconds", 2.0)
    received = 0
    with served.connect() as connection:
        connection.sendall(served.request("GET", "/lrat/r/resolve/main/large", "Connection: close"))
        while portion := connection.recv(256 * 1024):
            received += len(portion)
            time.sleep(0.06)
    assert received > len(LARGE)


def git_processes(pid: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            name, _, fields = status.read_text().partition("(")[2].rpartition(")")
            if name.startswith("git") and int(fields.split()[1]) == pid and fields.split()[0] != "Z":
                found.append(int(status.parent.name))
    return found


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_clones_beyond_a_number_wait_for_their_turn_and_others_do_not(
    hub: LocalHub, api: HfApi, http: httpx2.Client, tmp_path: Path
) -> None:
    repo = api.create_repo("lrat/cloned-by-many").repo_id
    for number in range(4):
        commit(http, repo, put(f"{number}.txt", os.urandom(4 * 2**20).hex().encode())).raise_for_status()
    tip = api.model_info(repo).sha
    wanted = f"0032want {tip}\n00000009done\n".encode()
    head = f"POST /{repo}/git-upload-pack HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(wanted)}\r\n\r\n"
    address = urlsplit(hub.endpoint)
    with contextlib.ExitStack() as opened:
        connections = []
        for _ in range(3 * CLONES_AT_ONCE):
            connection = opened.enter_context(socket.create_connection((address.hostname, address.port)))
            connection.settimeout(HANGS_AFTER_SECONDS)
            # They take nothing of what they ask for.
            connection.sendall(head.encode() + wanted)
            connections.append(connection)
        wait_until(lambda: len(git_processes(hub.pid)) == CLONES_AT_ONCE)
        for _ in range(50):
            assert http.get("/api/whoami-v2").status_code == 200
            assert len(git_processes(hub.pid)) <= CLONES_AT_ONCE
        for connection in connections[:-1]:
            connection.close()
        # The last in line has its turn.
        assert connections[-1].recv(15) == b"HTTP/1.1 200 OK"
    wait_until(lambda: git_processes(hub.pid) == [])
    clones = [
        subprocess.Popen(["git", "clone", "--quiet", f"{hub.endpoint}/{repo}", str(tmp_path / str(number))])
        for number in range(CLONES_AT_ONCE + 4)
    ]
    while any(clone.poll() is None for clone in clones):
        assert http.get("/api/whoami-v2").status_code == 200
        assert len(git_processes(hub.pid)) <= CLONES_AT_ONCE
    assert [clone.returncode for clone in clones] == [0] * len(clones)


def test_idle_connections_make_room_for_others(tmp_path: Path) -> None:
    """More than the server could keep open, as the system lets it have 128 files."""
    import httpx2

    settings = {"root": str(tmp_path / "root"), "port": 0, "user": "lrat", "parent": os.getpid()}
    command = f"ulimit -n 128 && exec '{sys.executable}' -m lrat_hub.localhub '{json.dumps(settings)}'"
    with subprocess.Popen(["sh", "-c", command], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = json.loads(process.stdout.readline())["port"]
        with contextlib.ExitStack() as opened:
            for _ in range(300):
                opened.enter_context(socket.create_connection(("127.0.0.1", port)))
            for _ in range(5):
                assert httpx2.get(f"http://127.0.0.1:{port}/api/models", timeout=60).status_code == 200
        process.terminate()
