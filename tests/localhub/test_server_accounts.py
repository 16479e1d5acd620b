"""Tokens: what each role may do, and that nobody gets at what is another's."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest
from requests_by_hand import commit, connect, put

from lrat_hub.errors import LratError
from lrat_hub.localhub import LocalHub
from lrat_hub.localhub.root import create_token, list_tokens, prepare_root, read_token, revoke_token

if TYPE_CHECKING:
    import httpx2
    from huggingface_hub import HfApi

Login = Callable[..., "httpx2.Client"]


@pytest.fixture
def login(hub: LocalHub) -> Iterator[Login]:
    """A client with a new token of somebody."""
    with contextlib.ExitStack() as clients:

        def client(user: str, role: Literal["read", "write"] = "write", *namespaces: str) -> httpx2.Client:
            return clients.enter_context(connect(hub.endpoint, create_token(hub.root, user, role, namespaces)))

        yield client


def test_a_user_writes_in_their_own_and_shared_namespaces_only(login: Login, api: HfApi, repo: str) -> None:
    alice = login("alice", "write", "lab")
    for namespace, status in (("alice", 200), ("lab", 200), ("bob", 403), ("lrat", 403)):
        wanted = {"name": "mine", "organization": namespace, "visibility": "private"}
        created = alice.post("/api/repos/create", json=wanted)
        assert created.status_code == status, namespace
    who = alice.get("/api/whoami-v2").json()
    assert (who["name"], [org["name"] for org in who["orgs"]]) == ("alice", ["lab"])
    assert commit(alice, "lab/mine", put("a")).status_code == 200
    for method, path in (
        ("POST", f"/api/models/{repo}/commit/main"),
        ("POST", f"/api/models/{repo}/preupload/main"),
        ("POST", f"/api/models/{repo}/branch/b"),
        ("POST", f"/api/models/{repo}/tag/main"),
        ("PUT", f"/api/models/{repo}/settings"),
        ("GET", f"/api/models/{repo}/auth-check/write"),
    ):
        assert alice.request(method, path, json={}).status_code == 403, path
    assert (
        alice.request(
            "DELETE", "/api/repos/delete", json={"name": repo.partition("/")[2], "organization": "lrat"}
        ).status_code
        == 403
    )
    assert alice.get(f"/api/models/{repo}").status_code == 200
    # The owner sees and changes everything.
    assert {"alice/mine", "lab/mine"} <= {model.id for model in api.list_models()}


def test_a_reader_reads_what_is_private_in_their_namespaces_and_changes_nothing(login: Login) -> None:
    writer, reader, stranger = login("carol"), login("dave", "read", "carol"), login("eve")
    writer.post("/api/repos/create", json={"name": "secret", "visibility": "private"})
    commit(writer, "carol/secret", put("a", b"secret"))
    assert reader.get("/carol/secret/resolve/main/a").content == b"secret"
    assert commit(reader, "carol/secret", put("b")).status_code == 403
    assert reader.post("/api/repos/create", json={"name": "new"}).status_code == 403
    for path in (
        "/api/models/carol/secret",
        "/carol/secret/resolve/main/a",
        "/carol/secret",
        "/carol/secret/info/refs?service=git-upload-pack",
    ):
        private, missing = stranger.get(path), stranger.get(path.replace("carol/secret", "no/where"))
        assert (private.status_code, private.text.replace("carol/secret", "no/where")) == (404, missing.text), path
    assert not [model for model in stranger.get("/api/models").json() if model["private"]]
    deletion = {"name": "secret", "organization": "carol"}
    assert stranger.request("DELETE", "/api/repos/delete", json=deletion).status_code == 404
    assert [repo["id"] for repo in writer.get("/api/settings/repositories").json()] == ["carol/secret"]


def test_the_hash_of_anothers_private_file_opens_nothing(login: Login) -> None:
    import httpx2

    frank, grace = login("frank"), login("grace")
    content = os.urandom(2000)
    large = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content)}
    point = ("lfsFile", {"path": "x", "algo": "sha256", **large})
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{large['oid']}\nsize {large['size']}\n".encode()

    def link(http: httpx2.Client, repo: str) -> str | None:
        batch = {"operation": "upload", "objects": [large]}
        answer = http.post(f"/{repo}.git/info/lfs/objects/batch", json=batch).json()["objects"][0]
        return answer["actions"]["upload"]["href"] if "actions" in answer else None

    for http in (frank, grace):
        http.post("/api/repos/create", json={"name": "r", "visibility": "private"})
    assert httpx2.put(link(frank, "frank/r"), content=content, timeout=60).status_code == 200
    assert commit(frank, "frank/r", point).status_code == 200
    assert link(frank, "frank/r") is None

    upload = link(grace, "grace/r")
    assert upload is not None
    assert grace.post("/grace/r.git/info/lfs/objects/verify", json=large).status_code == 404
    assert commit(grace, "grace/r", point).status_code == 422
    assert commit(grace, "grace/r", put("x", pointer)).status_code == 422
    assert httpx2.put(upload, content=os.urandom(2000), timeout=60).status_code == 400
    assert httpx2.put(upload.replace("/grace/", "/frank/"), content=content, timeout=60).status_code == 403
    # Who has the content may upload it.
    assert httpx2.put(upload, content=content, timeout=60).status_code == 200
    assert commit(grace, "grace/r", point).status_code == 200
    assert grace.get("/grace/r/resolve/main/x").content == content


def test_tokens_count_from_when_they_are_made_until_they_are_revoked(hub: LocalHub, login: Login) -> None:
    henry = login("henry")
    assert henry.get("/api/whoami-v2").json()["name"] == "henry"
    (record,) = [record for record in list_tokens(hub.root) if record.user == "henry"]
    revoke_token(hub.root, record.id)
    assert henry.get("/api/whoami-v2").status_code == 401
    with pytest.raises(LratError, match="expected the id of a token"):
        revoke_token(hub.root, record.id)
    for name in ("../x", "a b", "", "api"):
        with pytest.raises(LratError, match="name that a namespace may have"):
            create_token(hub.root, name, "write")


def test_token_files_are_private_and_hold_no_token_of_others(tmp_path: Path) -> None:
    root = tmp_path / "root"
    read_token(prepare_root(root))
    token = create_token(root, "alice", "read")
    kept = (root / "tokens.json").read_text()
    assert token not in kept
    assert json.loads(kept)[0]["sha256"] == hashlib.sha256(token.encode()).hexdigest()
    for name in ("token", "tokens.json"):
        assert stat.S_IMODE((root / name).stat().st_mode) == 0o600
        (root / name).chmod(0o640)
    with pytest.raises(LratError, match=r"expected a file that only you can read \(mode 0600\), found mode 0640"):
        read_token(root)
    with pytest.raises(LratError, match="mode 0600"):
        list_tokens(root)
    with pytest.raises(LratError, match="mode 0600"):
        LocalHub(root).start()


@pytest.mark.slow
def test_no_token_is_written_to_the_output_of_the_server(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    import base64

    with LocalHub(tmp_path / "root") as hub:
        other = create_token(hub.root, "ivan", "write")
        basic = base64.b64encode(f"u:{other}".encode()).decode()
        with connect(hub.endpoint) as http:
            http.post("/api/repos/create", json={"name": "r"}, headers={"Authorization": f"Bearer {other}"})
            # A repository that can't be read makes the server say all it knows.
            (hub.root / "repos/models/ivan/r.git/refs/heads/main").write_text("nonsense")
            for header in (f"Bearer {hub.token}", f"Bearer {other}", f"Basic {basic}", f"Bearer {other}\t{hub.token}"):
                for path in ("/ivan/r", "/api/models/ivan/r", f"/api/models/ivan/r/revision/{other}", "/login"):
                    http.get(path, headers={"Authorization": header, "Accept": "text/html"})
            broken = http.get("/api/models/ivan/r", headers={"Authorization": f"Bearer {other}"})
    output = "".join(capfd.readouterr())
    assert broken.status_code == 500
    assert "found damage" in output
    assert not [secret for secret in (hub.token, other, basic) if secret in output or secret in broken.text]


def test_a_hub_of_this_machine_answers_to_no_other_name(http: httpx2.Client) -> None:
    """A page from elsewhere can make a browser connect here under a name of its own, and would read the answer."""
    assert http.get("/", headers={"Host": "evil.example"}).status_code == 400
    assert http.get("/api/models", headers={"Host": "evil.example:80", "Authorization": ""}).status_code == 400


def test_passwords_change_nothing(hub: LocalHub, http: httpx2.Client, repo: str) -> None:
    """A browser adds a password it once was given to whatever another page makes it send."""
    with connect(hub.endpoint, auth=("anybody", hub.token)) as browser:
        assert browser.get("/login", follow_redirects=True).status_code == 200
        assert commit(browser, repo, put("a")).status_code == 401
        for path in ("/api/repos/create", f"/api/models/{repo}/branch/b", f"/api/models/{repo}/preupload/main"):
            assert browser.post(path, content=b'{"name": "x"}').status_code == 401
        batch = {"operation": "upload", "objects": []}
        assert browser.post(f"/{repo}.git/info/lfs/objects/batch", json=batch).status_code == 401
