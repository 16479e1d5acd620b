"""A server that is killed again and again under load loses nothing that it acknowledged, and needs no help to go on.

`LRAT_HUB_KILLS=500 pytest tests/localhub/test_server_kill.py` runs it for longer.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from requests_by_hand import put

from lrat_hub.localhub.maintenance import verify
from lrat_hub.localhub.root import read_token
from tests.waiting import HANGS_AFTER_SECONDS, wait_until

if TYPE_CHECKING:
    import httpx2

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("LRAT_HUB_KILLS", "50"))
WRITERS = 4
# A commit is these files, or none of them.
PARTS = ("a.txt", "b/c.txt", "large.bin")

# Everything is imported once, and each server is a fork: a real process, that is there in a few milliseconds.
NURSERY = """
import os, sys
from pathlib import Path
from lrat_hub.localhub import serve
import uvicorn, lrat_hub.localhub.app
for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        serve(sys.argv[1], port=0, on_ready=lambda port: print(os.getpid(), port, flush=True))
        os._exit(0)
    os.waitpid(pid, 0)
    print("ended", flush=True)
"""


class Servers:
    """One server after the other on the same root."""

    def __init__(self, root: Path, setup: str = "") -> None:
        command = [sys.executable, "-c", setup + NURSERY, str(root)]
        self._nursery = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.endpoint = ""

    def start(self) -> None:
        self._nursery.stdin.write("start\n")
        self._nursery.stdin.flush()
        pid, port = self._nursery.stdout.readline().split()
        self._pid, self.endpoint = int(pid), f"http://127.0.0.1:{port}"

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        os.kill(self._pid, how)
        assert self._nursery.stdout.readline() == "ended\n"

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        self._nursery.kill()
        self._nursery.communicate()


class Writer(threading.Thread):
    """Commits and uploads in a loop, and remembers what was acknowledged."""

    def __init__(self, servers: Servers, token: str, name: str, seed: int) -> None:
        super().__init__(daemon=True)
        self.acknowledged: list[tuple[str, str, bytes]] = []
        self.created: list[str] = []
        self.lost = 0
        self.refused: Counter[int] = Counter()
        self.done = threading.Event()
        self._servers, self._name, self._random = servers, name, random.Random(seed)
        self._headers = {"Authorization": f"Bearer {token}"}

    def run(self) -> None:
        import httpx2

        number = 0
        while not self.done.is_set():
            try:
                with httpx2.Client(base_url=self._servers.endpoint, headers=self._headers, timeout=20) as http:
                    while not self.done.is_set():
                        number += 1
                        self._write(http, number)
            except httpx2.TransportError:
                self.lost += 1
                time.sleep(0.01)

    def _write(self, http: httpx2.Client, number: int) -> None:
        folder = f"{self._name}/{number}"
        content = self._random.randbytes(self._random.choice([100, 3_000, 700_000]))
        large = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content)}
        batch = {"operation": "upload", "objects": [large]}
        answer = self._expect(http.post("/lrat/r.git/info/lfs/objects/batch", json=batch)).json()["objects"][0]
        self._expect(http.put(answer["actions"]["upload"]["href"], content=content))
        operations = [
            put(f"{folder}/a.txt", folder.encode()),
            put(f"{folder}/b/c.txt", folder.encode()),
            ("lfsFile", {"path": f"{folder}/large.bin", "algo": "sha256", **large}),
        ]
        lines = [{"key": "header", "value": {"summary": folder}}]
        lines += [{"key": key, "value": value} for key, value in operations]
        body = "\n".join(map(json.dumps, lines)).encode()
        done = self._expect(http.post("/api/models/lrat/r/commit/main", content=body))
        self.acknowledged.append((done.json()["commitOid"], folder, content))
        if number % 7 == 0:
            name = f"{self._name}-{number}"
            self._expect(http.post("/api/repos/create", json={"name": name}))
            self._expect(http.post("/api/models/lrat/r/tag/main", json={"tag": name, "message": "x"}))
            self.created.append(name)

    def _expect(self, answer: httpx2.Response) -> httpx2.Response:
        if answer.status_code != 200:
            self.refused[answer.status_code] += 1
        return answer.raise_for_status()


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    servers = Servers(tmp_path / "root")
    servers.start()
    yield servers
    servers.close()


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_nothing_acknowledged_is_lost_however_often_the_server_is_killed(servers: Servers, tmp_path: Path) -> None:
    import httpx2

    root = tmp_path / "root"
    token = read_token(root)
    headers = {"Authorization": f"Bearer {token}"}
    httpx2.post(
        f"{servers.endpoint}/api/repos/create", json={"name": "r"}, headers=headers, timeout=60
    ).raise_for_status()
    writers = [Writer(servers, token, name, seed) for seed, name in enumerate("abcdefgh"[:WRITERS])]
    for writer in writers:
        writer.start()
    chance, leftovers = random.Random(0), Counter()
    for _ in range(KILLS):
        # Moments that depend on the work done, as a machine under load would else do none between two kills.
        enough = sum(len(writer.acknowledged) for writer in writers) + chance.choice([0, 1, 1, 2, 4])
        wait_until(lambda enough=enough: sum(len(writer.acknowledged) for writer in writers) >= enough, pause=0.002)
        time.sleep(chance.uniform(0, 0.1))
        servers.kill()
        leftovers.update("lock" for _ in root.glob("repos/**/*.lock"))
        leftovers.update("upload" for _ in (root / "tmp").iterdir())
        servers.start()
    for writer in writers:
        writer.done.set()
        writer.join(HANGS_AFTER_SECONDS)
        assert not writer.is_alive()
        assert not writer.refused
    acknowledged = [item for writer in writers for item in writer.acknowledged]
    lost = sum(writer.lost for writer in writers)
    print(f"{KILLS} kills, {len(acknowledged)} commits, {lost} requests lost; left behind: {dict(leftovers)}")
    assert len(acknowledged) > KILLS
    assert lost >= KILLS

    with httpx2.Client(base_url=servers.endpoint, headers=headers, timeout=60) as http:
        history: set[str] = set()
        page = http.get("/api/models/lrat/r/commits/main")
        while True:
            history |= {commit["id"] for commit in page.json()}
            if "next" not in page.links:
                break
            page = http.get(page.links["next"]["url"])
        files = {sibling["rfilename"] for sibling in http.get("/api/models/lrat/r").json()["siblings"]}
        tags = {tag["name"] for tag in http.get("/api/models/lrat/r/refs").json()["tags"]}
        repositories = {model["id"] for model in http.get("/api/models").json()}
        for sha, folder, content in acknowledged:
            assert sha in history
            assert {f"{folder}/{part}" for part in PARTS} <= files
            # Every tenth in full: the rest is in the hashes that are verified below.
            if int(folder.partition("/")[2]) % 10 == 0:
                assert http.get(f"/lrat/r/resolve/{sha}/{folder}/large.bin").content == content
                assert http.get(f"/lrat/r/resolve/{sha}/{folder}/a.txt").text == folder
        for writer in writers:
            assert set(writer.created) <= tags
            assert {f"lrat/{name}" for name in writer.created} <= repositories
    # What was not acknowledged may have arrived, but never by half.
    parts = Counter(path.split("/", 2)[0] + "/" + path.split("/", 2)[1] for path in files - {".gitattributes"})
    assert set(parts.values()) == {len(PARTS)}

    servers.kill(signal.SIGTERM)
    assert not list(root.glob("repos/**/*.lock"))
    assert not list((root / "tmp").iterdir())
    found = verify(root)
    assert found.problems == []
    assert found.large_files >= len(acknowledged)
    for git in root.glob("repos/*/*/*.git"):
        checked = subprocess.run(["git", "-C", git, "fsck", "--full", "--strict"], capture_output=True, text=True)
        complaints = [line for line in checked.stdout.splitlines() if not line.startswith("dangling")]
        assert (checked.returncode, complaints) == (0, []), checked.stderr
