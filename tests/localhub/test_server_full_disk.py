"""A disk that is full: each request that needs room says so, and nothing is half done."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

DISK_FULL = """
import base64, hashlib, json, os, subprocess, sys
from pathlib import Path
import httpx2
from lrat_hub.localhub import LocalHub
from lrat_hub.localhub.maintenance import verify

root = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", root], check=True)

def commit(http, path, content):
    value = {"path": path, "content": base64.b64encode(content).decode(), "encoding": "base64"}
    lines = [{"key": "header", "value": {"summary": "x"}}, {"key": "file", "value": value}]
    return http.post("/api/models/lrat/r/commit/main", content="\\n".join(map(json.dumps, lines)))

def upload(http, content):
    large = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content)}
    batch = {"operation": "upload", "objects": [large]}
    answer = http.post("/lrat/r.git/info/lfs/objects/batch", json=batch).json()["objects"][0]
    return http.put(answer["actions"]["upload"]["href"], content=content)

with LocalHub(root) as hub:
    http = httpx2.Client(base_url=hub.endpoint, headers={"Authorization": f"Bearer {hub.token}"}, timeout=60)
    http.post("/api/repos/create", json={"name": "r"}).raise_for_status()
    commit(http, "a", b"kept").raise_for_status()
    statuses = {"content": commit(http, "b", os.urandom(7_000_000)).status_code}
    statuses["large"] = upload(http, os.urandom(8_000_000)).status_code
    # From here on there is no room for anything at all.
    free = os.statvfs(root).f_bavail * os.statvfs(root).f_frsize
    (root / "filler").write_bytes(b"x" * max(0, free - 4096))
    try:
        with (root / "filler2").open("wb") as file:
            while True:
                file.write(b"x" * 4096)
                file.flush()
    except OSError:
        pass
    statuses["reference"] = http.post("/api/models/lrat/r/branch/dev", json={}).status_code
    statuses["tag"] = http.post("/api/models/lrat/r/tag/main", json={"tag": "t", "message": "x"}).status_code
    statuses["tree"] = commit(http, "d/e/f", b"1").status_code
    statuses["create"] = http.post("/api/repos/create", json={"name": "s"}).status_code
    statuses["settings"] = http.put("/api/models/lrat/r/settings", json={"private": True}).status_code
    statuses["discussion"] = http.post("/api/models/lrat/r/discussions", json={"title": "x"}).status_code
    command = [sys.executable, "-m", "lrat_hub.cli", "hub", "token", "create", "--root", root, "--user", "a"]
    made = subprocess.run(command, capture_output=True, text=True)
    statuses["token"] = (made.returncode, "Traceback" in made.stderr, "nothing was changed" in made.stderr)
    for name in ("filler", "filler2"):
        (root / name).unlink()
    assert http.get("/lrat/r/resolve/main/a").content == b"kept"
    assert not http.get("/api/models/lrat/r").json()["private"]
    commit(http, "c", b"again").raise_for_status()
    assert not list((root / "tmp").iterdir())
assert verify(root).problems == []
print(json.dumps(statuses))
"""


@pytest.mark.slow
def test_a_full_disk_is_told_as_one_and_changes_nothing(tmp_path: Path) -> None:
    """On a file system of a few megabytes, in a name space of its own, where the machine lets one be made."""
    root = tmp_path / "root"
    root.mkdir()
    alone = ["unshare", "--mount", "--map-root-user"]
    if subprocess.run([*alone, "mount", "-t", "tmpfs", "tmpfs", root], capture_output=True).returncode != 0:
        pytest.skip("no file system can be mounted here")
    done = subprocess.run([*alone, sys.executable, "-c", DISK_FULL, str(root)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    statuses = json.loads(done.stdout.splitlines()[-1])
    assert statuses.pop("token") == [1, False, True]
    # What still fits into what is there may be done.
    assert {what: status for what, status in statuses.items() if status not in (200, 507)} == {}
    assert statuses["content"] == statuses["large"] == statuses["tree"] == statuses["create"] == 507
