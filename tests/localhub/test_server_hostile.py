"""Requests that nobody in good faith sends: each is refused with a 4xx, and nothing on the disk changes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from requests_by_hand import connect, put

from lrat_hub.localhub import LocalHub
from lrat_hub.localhub.links import Links
from lrat_hub.localhub.objects import Pointer
from lrat_hub.localhub.root import Accounts

if TYPE_CHECKING:
    import httpx2

CONTENT = b"what somebody uploads" * 50
OID = hashlib.sha256(CONTENT).hexdigest()
SHA = "a" * 40


@pytest.fixture
def target(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Iterator[tuple[LocalHub, httpx2.Client]]:
    """A Hub of its own with a repository that has a file, so that every change on the disk is seen.

    Its output goes to `capfd`, which therefore comes first.
    """
    with LocalHub(tmp_path / "root") as hub, connect(hub.endpoint, hub.token) as http:
        # A connection each: one that the server is about to close, after a refusal, must not fail the next request.
        http.headers["Connection"] = "close"
        http.post("/api/repos/create", json={"name": "r"}).raise_for_status()
        http.post("/api/models/lrat/r/commit/main", content=body([put("a.txt", b"hello")])).raise_for_status()
        http.post("/api/models/lrat/r/tag/main", json={"tag": "v1"}).raise_for_status()
        yield hub, http


def body(operations: list, **header: object) -> bytes:
    lines = [{"key": "header", "value": {"summary": "x", **header}}]
    lines += [{"key": key, "value": value} for key, value in operations]
    return "\n".join(map(json.dumps, lines)).encode()


def state(root: Path) -> dict[str, str]:
    """Every file of a Hub and its content. Blobs that a refused commit left, which nothing refers to, don't count."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and ".git/objects/" not in str(path)
    }


# An answer, its status, or None where the connection ended without one.
Ask = Callable[["httpx2.Client", LocalHub], "httpx2.Response | int | None"]
HOSTILE: dict[str, Ask] = {}


def commit(name: str, *operations: object, where: str = "main", **header: object) -> None:
    content = body(list(operations), **header)
    HOSTILE[f"commit: {name}"] = lambda http, hub: http.post(f"/api/models/lrat/r/commit/{where}", content=content)


def post(name: str, path: str, content: bytes | dict, **headers: str) -> None:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    HOSTILE[name] = lambda http, hub: http.post(path, content=data, headers=headers)


def get(path: str, **headers: str) -> None:
    HOSTILE[f"get {path[:60]} {headers or ''}"] = lambda http, hub: http.get(path, headers=headers)


def raw(name: str, *parts: bytes) -> None:
    """Bytes on a socket: what no client would send, or half of what one would."""

    def send(http: httpx2.Client, hub: LocalHub) -> int | None:
        address = urlsplit(hub.endpoint)
        answer = b""
        with socket.create_connection((address.hostname, address.port), timeout=60) as connection:
            # The server may refuse, and close, before it has everything; what it said first may still be there.
            with contextlib.suppress(ConnectionError):
                for part in parts:
                    connection.sendall(part.replace(b"TOKEN", hub.token.encode()))
            # No ConnectionError where the other side is gone: OSError, "transport endpoint is not connected".
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionError):
                while portion := connection.recv(65536):
                    answer += portion
        return int(answer.split(b" ", 2)[1]) if answer else None

    HOSTILE[f"raw: {name}"] = send


def upload(name: str, content: bytes, change: Callable[[str], str] = lambda link: link, **signed: object) -> None:
    """An upload by a link that is good before it is changed."""

    def send(http: httpx2.Client, hub: LocalHub) -> httpx2.Response:
        import httpx2

        links = Links(signed.get("key", Accounts(hub.root, "lrat").link_key()))
        link = links.path(signed.get("method", "PUT"), "lrat", Pointer(OID, len(CONTENT)))
        return httpx2.put(hub.endpoint + change(link), content=content, timeout=60)

    HOSTILE[f"upload: {name}"] = send


# Paths of files that would leave the repository, or be something else on some system.
for path in ["../x", "a/../../x", "/etc/x", "a//b", "./a", "", "a\\b", "a\0b", "a\nb", "..", "x" * 300, "x/" * 1100]:
    commit(f"file {path[:20]!r}", put(path))
for path in [".git/config", "a/.GIT/x", ".git. /x", ".g\u200cit/x", "git~1/x", ".git::$INDEX_ALLOCATION/x", "\ud800"]:
    commit(f"file {path!r}", put(path))
for path in [
    "../../../token",
    "%2e%2e/%2e%2e/token",
    "..%2f..%2ftoken",
    "%2Fetc%2Fpasswd",
    "a%00b",
    "%ff",
    "x" * 5000,
]:
    for start in ("/lrat/r/resolve/main", "/lrat/r/resolve", "/api/models/lrat/r/tree/main", "/lrat/r/blob/main"):
        get(f"{start}/{path}")
for path in ["/%2e%2e/etc", "/lrat%2f..%2f..%2ftoken/r", "/api/models/..%2f..%2f/token", "/.lock/x"]:
    get(path)
commit("a file in a file", put("a.txt/b"))
commit("a file over a folder", put("d/e"), put("d"))
commit("a file that is not there", ("deletedFile", {"path": "nope"}))
commit("a folder outside", ("deletedFolder", {"path": "../"}))
commit("a large file that was not uploaded", ("lfsFile", {"path": "x", "algo": "sha256", "oid": "0" * 64, "size": 1}))
commit("a large file named by a path", ("lfsFile", {"path": "x", "algo": "sha256", "oid": "../../token", "size": 1}))
commit("a large file with a size that is none", ("lfsFile", {"path": "x", "algo": "sha256", "oid": OID, "size": "1"}))
commit("no base64", ("file", {"path": "x", "content": "?", "encoding": "base64"}))
commit("an encoding that is none", ("file", {"path": "x", "content": "", "encoding": "rot13"}))
commit("an operation that is none", ("chmod", {"path": "a.txt"}))
commit("a parent that is none", put("x"), parentCommit=SHA)
commit("a parent that is no sha", put("x"), parentCommit="main")
commit("on a tag", put("x"), where="v1")
commit("on a branch that is not there", put("x"), where="nope")
commit("on a full reference name", put("x"), where="refs%2Fheads%2Fmain")
commit("on a pull request that is not there", put("x"), where="refs%2Fpr%2F7")
commit("on a reference of another kind", put("x"), where="refs%2Fpr%2F..%2F..%2Fheads%2Fmain")
commit("a summary that is no text", put("x"), summary=["x"])
for name, content in {
    "no header": b'{"key":"file","value":{"path":"x","content":""}}',
    "two headers": body([("header", {"summary": "y"})]),
    "no JSON": b"{{{",
    "a list": b"[1,2]",
    "half a line": body([put("x")])[:-10],
    "deep JSON": b"[" * 100_000,
    "nothing": b"",
    "no UTF-8": b'{"key":"header","value":{"summary":"\xff"}}',
    "a line beyond all limits": body([put("x", b"x" * (11 * 1024 * 1024))]),
}.items():
    post(f"commit: {name}", "/api/models/lrat/r/commit/main", content)
for name in ["-a", "..", "a..b", "a.lock", "refs/heads/b", SHA, "a b", "a~1", "a^", "a:b", "a?", "@{1}", "x" * 300]:
    quoted = "".join(f"%{byte:02x}" for byte in name.encode())
    post(f"branch {name[:20]!r}", f"/api/models/lrat/r/branch/{quoted}", {})
    post(f"tag {name[:20]!r}", "/api/models/lrat/r/tag/main", {"tag": name})
post("branch in a branch", "/api/models/lrat/r/branch/main%2Fx", {})
post("branch main again", "/api/models/lrat/r/branch/main", {})
for name in ["..", "a..b", ".git", "a.git", "a/b", "", "-a", "a--b", "x" * 97, "a b", "a%2fb", "ä", "a.lock", "\0"]:
    post(f"repository {name[:20]!r}", "/api/repos/create", {"name": name})
    post(f"namespace {name[:20]!r}", "/api/repos/create", {"name": "x", "organization": name or "/"})
for namespace in ["api", "models", "datasets", "spaces"]:
    post(f"namespace {namespace}", "/api/repos/create", {"name": "x", "organization": namespace})
post("a kind that is none", "/api/repos/create", {"name": "x", "type": "../models"})
post("a visibility that is none", "/api/repos/create", {"name": "x", "visibility": "secret"})
post("a body beyond all limits", "/api/repos/create", b'{"name":"' + b"x" * (9 * 1024 * 1024) + b'"}')
post("preupload without files", "/api/models/lrat/r/preupload/main", {})
post(
    "preupload of no size", "/api/models/lrat/r/preupload/main", {"files": [{"path": "x", "sample": "", "size": "1"}]}
)
post(
    "preupload of no sample", "/api/models/lrat/r/preupload/main", {"files": [{"path": "x", "sample": "?", "size": 1}]}
)
post("paths beyond number", "/api/models/lrat/r/paths-info/main", b"&".join([b"paths=a"] * 1001))
batch = "/lrat/r.git/info/lfs/objects/batch"
post("batch of a path", batch, {"operation": "upload", "objects": [{"oid": "../../token", "size": 1}]})
post("batch of a negative size", batch, {"operation": "upload", "objects": [{"oid": OID, "size": -1}]})
post("batch of a truth as size", batch, {"operation": "upload", "objects": [{"oid": OID, "size": True}]})
post("batch of an operation that is none", batch, {"operation": "delete", "objects": []})
post("a push", "/lrat/r.git/git-receive-pack", b"0000")
post("a forged zip to git", "/lrat/r.git/git-upload-pack", b"no zip", **{"Content-Encoding": "gzip"})
upload("other content of the same size", CONTENT[:-1] + b"?")
upload("too little", CONTENT[:-1])
upload("too much", CONTENT + b"?")
upload("a forged size", CONTENT, lambda link: link.replace(f"size={len(CONTENT)}", "size=1"))
upload("another hash", CONTENT, lambda link: link.replace(OID, "0" * 64))
upload("another namespace", CONTENT, lambda link: link.replace("/lrat/", "/other/"))
upload("a namespace that is a path", CONTENT, lambda link: link.replace("/lrat/", "/..%2f..%2frepos/"))
upload("a later expiry", CONTENT, lambda link: link.replace("expires=", "expires=9"))
upload("no signature", CONTENT, lambda link: link.partition("&signature")[0])
upload("a signature by another key", CONTENT, key=b"guess")
upload("a link for reading", CONTENT, method="GET")
for value in [
    "Bearer hf_wrong",
    "Bearer",
    "Bearer \xe9".encode("latin-1").decode("latin-1"),
    "Basic !!!",
    "Digest x",
    "x",
]:
    get("/api/whoami-v2", Authorization=value.encode("latin-1"))
get("/lrat/r/resolve/main/a.txt", Range="bytes=5-")
get("/lrat/r/resolve/main/a.txt", Range="bytes=999999999999999-9999999999999999")
get("/lrat/r/resolve/main/a.txt", Range="bytes=-0")
for query in ["limit=-1", "limit=x", "cursor=99999999999999999999", "cursor=\u0661"]:
    get(f"/api/models/lrat/r/tree/main?{query}")
auth = b"Host: 127.0.0.1\r\nAuthorization: Bearer TOKEN\r\n"
raw("no HTTP", b"hello\r\n\r\n")
raw("a header beyond all limits", b"GET / HTTP/1.1\r\nX: " + b"x" * 200_000 + b"\r\n\r\n")
raw("two lengths", b"POST /api/repos/create HTTP/1.1\r\n" + auth + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}")
raw("a bad chunk", b"POST /api/repos/create HTTP/1.1\r\n" + auth + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n")
commit_start = b"POST /api/models/lrat/r/commit/main HTTP/1.1\r\n" + auth + b"Content-Length: 9000\r\n\r\n"
raw("a commit cut off", commit_start, body([put("half.txt", b"x" * 5000)])[:3000])
raw("a path with a space", b"GET /lrat/r/../../token x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
raw("a line break in a header", b"GET /lrat/r/resolve/main/%0d%0aX-Injected:1 HTTP/1.1\r\n" + auth + b"\r\n")

# Each endpoint that takes JSON, with what it would take, and with what it must not.
TAKES: dict[str, tuple[str, str, dict[str, object]]] = {
    "create": ("POST", "/api/repos/create", {"name": "x"}),
    "delete": ("DELETE", "/api/repos/delete", {"name": "x"}),
    "move": ("POST", "/api/repos/move", {"fromRepo": "lrat/r", "toRepo": "lrat/x"}),
    "settings": ("PUT", "/api/models/lrat/r/settings", {"visibility": "private"}),
    "duplicate": ("POST", "/api/models/lrat/r/duplicate", {"repository": "lrat/x"}),
    "squash": ("POST", "/api/models/lrat/r/super-squash/main", {"message": "x"}),
    "branch": ("POST", "/api/models/lrat/r/branch/x", {"startingPoint": "main"}),
    "tag": ("POST", "/api/models/lrat/r/tag/main", {"tag": "x"}),
    "preupload": ("POST", "/api/models/lrat/r/preupload/main", {"files": [{"path": "x", "size": 1}]}),
    "copy": ("POST", "/api/models/lrat/r/lfs-files/duplicate", {"target": {"name": "lrat/r"}, "files": []}),
    "discussion": ("POST", "/api/models/lrat/r/discussions", {"title": "x", "description": "x"}),
    "comment": ("POST", "/api/models/lrat/r/discussions/1/comment", {"comment": "x"}),
    "title": ("POST", "/api/models/lrat/r/discussions/1/title", {"title": "x"}),
    "status": ("POST", "/api/models/lrat/r/discussions/1/status", {"status": "closed"}),
    "edit": ("POST", "/api/models/lrat/r/discussions/1/comment/0/edit", {"content": "x"}),
    "yaml": ("POST", "/api/validate-yaml", {"content": "x"}),
    "batch": ("POST", "/lrat/r.git/info/lfs/objects/batch", {"operation": "upload", "objects": []}),
    "verify": ("POST", "/lrat/r.git/info/lfs/objects/verify", {"oid": OID, "size": 1}),
}
MALFORMED = {
    "a list": b"[]",
    "a text": b'"x"',
    "half of it": b'{"x":',
    "no UTF-8": b'{"\xff": 1}',
    "depth": b'{"a":' * 50_000,
    "a number of a million digits": b'{"name": ' + b"9" * 1_000_000 + b"}",
}
WRONG = {"a number": 7, "a list": [["x"]], "a mapping": {"a": {}}, "half a character": "\ud800", "a zero": "a\0b"}


def send(name: str, method: str, path: str, content: bytes) -> None:
    HOSTILE[name] = lambda http, hub: http.request(method, path, content=content)


for what, (method, path, fields) in TAKES.items():
    for name, content in MALFORMED.items():
        send(f"{what}: {name}", method, path, content)
    send(f"{what}: an unknown field", method, path, json.dumps({**fields, "no_such": 1}).encode())
    for field in fields:
        for name, value in WRONG.items():
            # Any text may be a card; a list is what `files` and `objects` are.
            if (what, name) != ("yaml", "a zero") and not (isinstance(fields[field], list) and name == "a list"):
                send(f"{what}: {name} as {field}", method, path, json.dumps({**fields, field: value}).encode())
for name in ["..", "a..b", ".moved", "../../x", "x.git", "-x", "lrat", "lrat/", "/x", "lrat/a/b", "lrat/ä", "x" * 200]:
    place = name if "/" in name or name == "lrat" else f"lrat/{name}"
    moved = {"fromRepo": "lrat/r", "toRepo": place}
    post(f"move to {name[:20]!r}", "/api/repos/move", moved)
    post(f"move from {name[:20]!r}", "/api/repos/move", {"fromRepo": name, "toRepo": "lrat/x"})
    post(f"duplicate to {name[:20]!r}", "/api/models/lrat/r/duplicate", {"repository": place})
for query in ["sort=x", "sort=__class__", "direction=0", "full=maybe", "expand=x", "expand=__dict__", "limit=1e9"]:
    get(f"/api/models?{query}")
get("/api/models?" + "&".join(["filter=a"] * 2000))
get("/api/models?gated=" + "x" * 5000)
for revision in ["main..", "..", "main..nope", "a..b..c", "%2e%2e", "main", "main...%00", "x" * 3000]:
    # Both ends are main by default: what is left of these is refused.
    if revision not in ("main..", "..", "%2e%2e"):
        get(f"/api/models/lrat/r/compare/{revision}")
for number in ["0", "-1", "1e3", "99999999999", "a", "..%2f..%2fhub", "\u0661"]:
    get(f"/api/models/lrat/r/discussions/{number}")
    get(f"/lrat/r/discussions/{number}")
for path in [
    "rows/main",
    "rows/main/..%2f..%2ftoken",
    "row/main/a.txt?row=1",
    "row/main/x?row=-1",
    "rows/main?cursor=x",
]:
    get(f"/lrat/r/{path}")
for path in ["../token", "..%2f..%2ftoken", "%2e%2e%2ftoken", "x%00", "nope"]:
    get(f"/lrat/r/raw/main/{path}")
for value in ["999999999999999999999", "-1", "x", "0x10"]:
    raw(
        f"a length of {value}",
        f"POST /api/repos/create HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {value}\r\n\r\n".encode(),
    )
both = b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
raw("two ways to end", b"POST /api/repos/create HTTP/1.1\r\n" + auth + both)
raw("an old folded header", b"GET /api/whoami-v2 HTTP/1.1\r\n" + auth + b"X: a\r\n b\r\nAuthorization: x\r\n\r\n")
HOSTILE["get two tokens"] = lambda http, hub: http.get(
    "/api/whoami-v2", headers=[("Authorization", f"Bearer {hub.token}"), ("Authorization", "Bearer x")]
)
raw("the server as a whole", b"GET * HTTP/1.1\r\n" + auth + b"\r\n")
upload("a name of somebody else", CONTENT, lambda link: f"{link}&by=alice")
commit("a field that is unknown", ("file", {"path": "x", "content": "", "mode": "755"}))
commit("a proposal to a commit", put("x"), where=f"{SHA}?create_pr=1")
commit("a proposal to a tag", put("x"), where="v1?create_pr=1")
commit("a proposal, maybe", put("x"), where="main?create_pr=maybe")
post("rules without end", "/api/models/lrat/r/preupload/main", {"files": [], "gitIgnore": "a\n" * 100_000})
post("many files", "/api/models/lrat/r/preupload/main", {"files": [{"path": "x", "size": 1}] * 1001})
post("many objects", batch, {"operation": "upload", "objects": [{"oid": OID, "size": 1}] * 1001})


@pytest.mark.slow
def test_hostile_requests_are_refused_and_change_nothing(
    target: tuple[LocalHub, httpx2.Client], capfd: pytest.CaptureFixture[str]
) -> None:
    import httpx2

    hub, http = target
    assert len(HOSTILE) >= 210
    before, tip = state(hub.root), http.get("/api/models/lrat/r").json()["sha"]
    wrong: dict[str, int | None] = {}
    for name, ask in HOSTILE.items():
        try:
            answer = ask(http, hub)
        except (httpx2.NetworkError, httpx2.RemoteProtocolError):
            answer = None
        status = answer.status_code if isinstance(answer, httpx2.Response) else answer
        if status is None:
            # Closing on somebody who is still sending is a refusal too, and the only way to tell them may be lost
            # with it. It is none if the server has crashed: then it can't answer, or says so in its output.
            if name.startswith("get ") or http.get("/api/whoami-v2").status_code != 200:
                wrong[name] = None
        elif not 400 <= status < 500 and status != 501:
            wrong[name] = status
        # It is still there for others.
        assert http.get("/api/whoami-v2").status_code == 200, name
        if isinstance(answer, httpx2.Response):
            assert hub.token not in answer.text + str(answer.headers), name
            assert "x-injected" not in answer.headers
    assert wrong == {}
    assert http.get("/api/models/lrat/r").json()["sha"] == tip
    # A server that stops has first dealt with every request, also with those whose sender is gone.
    hub.stop()
    assert "Traceback" not in "".join(capfd.readouterr())
    assert state(hub.root) == before
    assert not list((hub.root / "tmp").iterdir())
    with LocalHub(hub.root) as again:
        assert httpx2.get(f"{again.endpoint}/lrat/r/resolve/main/a.txt", timeout=60).text == "hello"


def test_an_expired_link_is_refused(target: tuple[LocalHub, httpx2.Client], monkeypatch: pytest.MonkeyPatch) -> None:
    import httpx2

    from lrat_hub.localhub import links

    hub, _ = target
    yesterday = time.time() - links.LINK_SECONDS - 1
    with monkeypatch.context() as past:
        past.setattr(links.time, "time", lambda: yesterday)
        link = Links(Accounts(hub.root, "lrat").link_key()).path("PUT", "lrat", Pointer(OID, len(CONTENT)))
    refused = httpx2.put(hub.endpoint + link, content=CONTENT, timeout=60)
    assert (refused.status_code, "expired" in refused.text) == (403, True)
    assert not list((hub.root / "objects").rglob(OID))


def test_a_link_in_the_place_of_an_object_leads_nowhere(target: tuple[LocalHub, httpx2.Client]) -> None:
    """Names from requests never become paths but through ids: whatever lies beside the repositories is not served."""
    hub, http = target
    (hub.root / "repos/models/lrat/secret.git").symlink_to(hub.root)
    try:
        assert http.get("/lrat/secret/resolve/main/token").status_code == 404
        assert http.get("/api/models/lrat/secret").status_code == 404
    finally:
        os.unlink(hub.root / "repos/models/lrat/secret.git")
