"""Real kills while garbage is collected, and while the server looks for damage: nothing acknowledged is lost."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from requests_by_hand import commit, put
from test_server_kill import Servers

from lrat_hub.errors import LratError
from lrat_hub.localhub.maintenance import verify
from lrat_hub.localhub.root import owned, read_token
from tests.waiting import wait_until

if TYPE_CHECKING:
    import httpx2

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")]

KILLS = int(os.environ.get("LRAT_HUB_MAINTENANCE_KILLS", "20"))
# The search for damage begins at once, is over soon, and begins again.
SCRUBBING = """
from lrat_hub.localhub import process
process.SCRUB_FIRST_SECONDS = process.SCRUB_EVERY_SECONDS = 0.01
process.SCRUB_BYTES_PER_SECOND = 10**9
"""


def is_free(root: Path) -> bool:
    try:
        with owned(root):
            return True
    except LratError:
        return False


def publish(http: httpx2.Client, number: int, chance: random.Random) -> tuple[str, str, bytes]:
    """A commit of a small and a large file, and an upload that nothing refers to. Returns what was acknowledged."""
    contents = [chance.randbytes(chance.choice([200, 20_000, 300_000])) for _ in range(2)]
    large = [{"oid": hashlib.sha256(each).hexdigest(), "size": len(each)} for each in contents]
    batch = {"operation": "upload", "objects": large}
    answer = http.post("/lrat/r.git/info/lfs/objects/batch", json=batch).raise_for_status().json()
    for each, content in zip(answer["objects"], contents, strict=True):
        http.put(each["actions"]["upload"]["href"], content=content).raise_for_status()
    path = f"d{number % 7}/{number}"
    point: tuple[str, dict[str, Any]] = ("lfsFile", {"path": f"{path}.bin", "algo": "sha256", **large[0]})
    done = commit(http, "lrat/r", put(f"{path}.txt", path.encode() * 50), point).raise_for_status()
    return done.json()["commitOid"], path, contents[0]


def test_kills_during_maintenance_lose_nothing(tmp_path: Path) -> None:
    import httpx2

    root, chance, kills = tmp_path / "root", random.Random(1), Counter[str]()
    servers, acknowledged, number = Servers(root, SCRUBBING), [], 0
    # A fast machine has collected sooner, and is interrupted sooner the next time.
    longest = 0.2
    try:
        servers.start()
        headers = {"Authorization": f"Bearer {read_token(root)}"}
        httpx2.post(
            f"{servers.endpoint}/api/repos/create", json={"name": "r"}, headers=headers, timeout=60
        ).raise_for_status()
        while kills.total() < KILLS or kills["while garbage is collected"] < KILLS // 4:
            with httpx2.Client(base_url=servers.endpoint, headers=headers, timeout=60) as http:
                for _ in range(chance.randint(1, 4)):
                    acknowledged.append(publish(http, number, chance))
                    number += 1
            time.sleep(chance.uniform(0, 0.05))
            servers.kill()
            kills["while it looks for damage"] += 1
            # What keeps garbage from being collected, as long as it is young, is left out.
            command = [sys.executable, "-m", "lrat_hub.cli", "hub", "gc", "--root", str(root), "--keep-hours", "0"]
            collecting = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            # Who holds the root writes its id there; asking for the lock might keep it from it.
            pid, ended = str(collecting.pid), collecting.poll
            wait_until(
                lambda pid=pid, ended=ended: (root / ".lock").read_text().split()[:1] == [pid] or ended() is not None,
                pause=0.001,
            )
            time.sleep(chance.uniform(0, longest))
            collecting.send_signal(signal.SIGKILL)
            killed = collecting.wait() == -signal.SIGKILL
            assert killed or collecting.returncode == 0
            kills["while garbage is collected"] += killed
            longest = longest if killed else longest / 2
            # Git goes on without its parent, and holds the root until it is done.
            wait_until(lambda: is_free(root))
            servers.start()
        with httpx2.Client(base_url=servers.endpoint, headers=headers, timeout=60) as http:
            for sha, path, content in acknowledged:
                assert http.get(f"/lrat/r/resolve/{sha}/{path}.bin").content == content
                assert http.get(f"/lrat/r/resolve/main/{path}.txt").text == path * 50
        servers.kill(signal.SIGTERM)
    finally:
        servers.close()
    print(f"{dict(kills)}; {len(acknowledged)} commits")
    assert verify(root).problems == []
    assert not (root / "damaged").exists()
    for git in root.glob("repos/*/*/*.git"):
        checked = subprocess.run(["git", "-C", git, "fsck", "--full", "--strict"], capture_output=True, text=True)
        complaints = [line for line in checked.stdout.splitlines() if not line.startswith("dangling")]
        assert (checked.returncode, complaints) == (0, []), checked.stderr


def test_a_collection_that_is_killed_keeps_the_root_until_git_is_done(tmp_path: Path) -> None:
    """A slow git in place of the real one: it is there until it is told to end."""
    from lrat_hub.localhub import LocalHub

    root, tools = tmp_path / "root", tmp_path / "bin"
    with LocalHub(root) as hub:
        import httpx2

        header = {"Authorization": f"Bearer {hub.token}"}
        httpx2.post(
            f"{hub.endpoint}/api/repos/create", json={"name": "r"}, headers=header, timeout=60
        ).raise_for_status()
    tools.mkdir()
    started, end = tmp_path / "started", tmp_path / "end"
    (tools / "git").write_text(f"#!/bin/sh\ntouch {started}\nwhile [ ! -e {end} ]; do sleep 0.05; done\n")
    (tools / "git").chmod(0o755)
    command = [sys.executable, "-m", "lrat_hub.cli", "hub", "gc", "--root", str(root)]
    collecting = subprocess.Popen(command, env=os.environ | {"PATH": f"{tools}:{os.environ['PATH']}"})
    wait_until(started.exists)
    collecting.kill()
    collecting.wait()
    try:
        with pytest.raises(LratError, match="already serving"):
            LocalHub(root).start()
    finally:
        end.touch()
    wait_until(lambda: is_free(root))
    LocalHub(root).start().stop()


def test_what_a_killed_collection_left_in_a_repository_stops_no_later_one(tmp_path: Path) -> None:
    from lrat_hub.localhub import LocalHub
    from lrat_hub.localhub.maintenance import collect

    root = tmp_path / "root"
    with LocalHub(root) as hub:
        import httpx2

        header = {"Authorization": f"Bearer {hub.token}"}
        httpx2.post(
            f"{hub.endpoint}/api/repos/create", json={"name": "r"}, headers=header, timeout=60
        ).raise_for_status()
    git = root / "repos/models/lrat/r.git"
    left = [
        "objects/info/commit-graph.lock",
        "packed-refs.new",
        "packed-refs.lock",
        "gc.pid",
        "objects/pack/tmp_pack_1",
    ]
    left += ["objects/info/commit-graphs/commit-graph-chain.lock", "objects/pack/.tmp-1-pack-2.pack"]
    for name in left:
        (git / name).parent.mkdir(parents=True, exist_ok=True)
        (git / name).write_text("left behind")
    assert collect(root, keep_seconds=0).packed == 1
    assert [name for name in left if (git / name).exists()] == []
