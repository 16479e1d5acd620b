"""What the Hub promises over HTTP beyond what its clients happen to ask for."""

from __future__ import annotations

import hashlib
import os
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from requests_by_hand import commit, put

from lrat_hub.localhub import LocalHub

if TYPE_CHECKING:
    import httpx2
    from huggingface_hub import HfApi


def upload_link(http: httpx2.Client, repo: str, content: bytes) -> tuple[dict[str, Any], str]:
    large = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content)}
    batch = {"operation": "upload", "objects": [large]}
    answer = http.post(f"/{repo}.git/info/lfs/objects/batch", json=batch).json()["objects"][0]
    return large, answer["actions"]["upload"]["href"]


@pytest.mark.parametrize("name", ["regular.txt", "large.bin"])
def test_ranges_and_unchanged_files(api: HfApi, http: httpx2.Client, repo: str, name: str) -> None:
    content = os.urandom(1000)
    sha = api.upload_file(repo_id=repo, path_in_repo=name, path_or_fileobj=content).oid
    url = f"/{repo}/resolve/{sha}/{name}"
    head = http.head(url)
    assert (head.headers["Content-Length"], head.headers["X-Repo-Commit"]) == ("1000", sha)

    def get(**headers: str) -> httpx2.Response:
        return http.get(url, headers={key.replace("_", "-"): value for key, value in headers.items()})

    expected = {"bytes=0-9": content[:10], "bytes=990-": content[990:], "bytes=-5": content[-5:]}
    for asked, part in expected.items():
        answer = get(Range=asked)
        assert (answer.status_code, answer.content) == (206, part)
    assert get(Range="bytes=10-20").headers["Content-Range"] == "bytes 10-20/1000"
    assert get(Range="bytes=990-5000").headers["Content-Range"] == "bytes 990-999/1000"
    assert get(Range="bytes=0-9", If_Range='"other"').content == content
    refused = get(Range="bytes=1000-")
    assert (refused.status_code, refused.headers["Content-Range"]) == (416, "bytes */1000")
    unchanged = get(If_None_Match=head.headers["ETag"])
    assert (unchanged.status_code, unchanged.content) == (304, b"")


def test_a_commit_on_an_outdated_parent_is_refused(api: HfApi, http: httpx2.Client, repo: str) -> None:
    start = api.model_info(repo).sha
    assert commit(http, repo, put("a"), parentCommit=start).status_code == 200
    assert commit(http, repo, put("b"), parentCommit=start).status_code == 412
    assert not api.file_exists(repo, "b")


def test_a_commit_that_changes_nothing_is_the_tip(http: httpx2.Client, repo: str) -> None:
    first, again = (commit(http, repo, put("a")).json()["commitOid"] for _ in range(2))
    assert first == again == commit(http, repo).json()["commitOid"]


def test_an_upload_is_visible_only_if_it_is_what_was_announced(hub: LocalHub, http: httpx2.Client, repo: str) -> None:
    import httpx2

    content = os.urandom(5000)
    large, link = upload_link(http, repo, content)
    path = f"/{repo}/resolve/main/x"
    point = ("lfsFile", {"path": "x", "algo": "sha256", **large})

    attempts = {content[:-1] + b"?": 400, content[:-1]: 400, content + b"?": 413}
    assert {data: httpx2.put(link, content=data, timeout=60).status_code for data in attempts} == attempts
    assert httpx2.put(link.replace("size=5000", "size=4999"), content=content[:-1], timeout=60).status_code == 403
    assert httpx2.put(link.replace(large["oid"], "0" * 64), content=content, timeout=60).status_code == 403
    assert http.post(f"/{repo}.git/info/lfs/objects/verify", json=large).status_code == 404
    assert commit(http, repo, point).status_code == 422
    assert http.get(path).status_code == 404
    assert not list((hub.root / "tmp").iterdir())
    assert not list((hub.root / "objects").rglob(large["oid"]))

    assert httpx2.put(link, content=content, timeout=60).status_code == 200
    assert commit(http, repo, point).status_code == 200
    assert http.get(f"/{repo}/resolve/main/x").content == content


def test_an_upload_link_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    from urllib.parse import parse_qsl

    from lrat_hub.localhub import links
    from lrat_hub.localhub.objects import Pointer
    from lrat_hub.localhub.protocol import HubError

    keeper, pointer = links.Links(b"key"), Pointer("0" * 64, 1)
    query = dict(parse_qsl(urlsplit(keeper.path("PUT", "lrat", pointer)).query))
    assert keeper.check("PUT", "lrat", pointer.oid, query) == pointer
    for method, namespace in (("GET", "lrat"), ("PUT", "other")):
        with pytest.raises(HubError, match="signature"):
            keeper.check(method, namespace, pointer.oid, query)
    later = int(query["expires"]) + 1
    monkeypatch.setattr(links.time, "time", lambda: later)
    with pytest.raises(HubError, match="expired"):
        keeper.check("PUT", "lrat", pointer.oid, query)


def test_a_private_repository_looks_missing_to_others(api: HfApi, http: httpx2.Client, repo: str) -> None:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError

    api.upload_file(repo_id=repo, path_in_repo="a", path_or_fileobj=b"secret")
    api.update_repo_settings(repo, private=True)
    anonymous = HfApi(token=False)
    assert api.model_info(repo).private
    assert repo not in [model.id for model in anonymous.list_models()]
    with pytest.raises(RepositoryNotFoundError):
        anonymous.model_info(repo)
    paths = (f"/api/models/{repo}", f"/api/models/{repo}/refs", f"/{repo}/resolve/main/a")
    for path in paths:
        private, missing = (http.get(p, headers={"Authorization": ""}) for p in (path, path.replace(repo, "no/where")))
        assert (private.status_code, private.headers["X-Error-Code"]) == (404, "RepoNotFound")
        assert private.text.replace(repo, "no/where") == missing.text


def test_writing_needs_the_token(http: httpx2.Client, repo: str) -> None:
    requests = [
        ("POST", "/api/repos/create"),
        ("DELETE", "/api/repos/delete"),
        ("PUT", f"/api/models/{repo}/settings"),
        ("POST", f"/api/models/{repo}/preupload/main"),
        ("POST", f"/api/models/{repo}/commit/main"),
        ("POST", f"/api/models/{repo}/branch/b"),
        ("DELETE", f"/api/models/{repo}/branch/b"),
        ("POST", f"/api/models/{repo}/tag/main"),
        ("DELETE", f"/api/models/{repo}/tag/t"),
        ("POST", f"/{repo}.git/info/lfs/objects/batch"),
    ]
    for header in ("", "Bearer hf_wrong"):
        for method, path in requests:
            answer = http.request(method, path, headers={"Authorization": header}, json={"operation": "upload"})
            assert answer.status_code == 401, path


HOSTILE = [
    *("../x", "a/../../x", "/etc/x", "a//b", "a/", "./a", "", "a\\b", "a\0b", "a\nb"),
    *(".git/config", "a/.GIT/x", ".git. /x", ".g\u200cit/x", "git~1/x", ".git::$INDEX_ALLOCATION/x", "\ud800"),
    *("x" * 300, "x/" * 1100 + "x"),
]


def test_hostile_paths_are_not_committed(api: HfApi, http: httpx2.Client, repo: str) -> None:
    before = api.model_info(repo).sha
    for path in HOSTILE:
        assert commit(http, repo, put(path)).status_code in (400, 422), path
    for name in ("..", "a..b", ".git", "a.git", "a/b", "", "-a", "a--b"):
        assert http.post("/api/repos/create", json={"name": name}).status_code == 400, name
    assert api.model_info(repo).sha == before


def test_no_request_leaves_the_repositories(hub: LocalHub, repo: str) -> None:
    """Raw requests: clients tidy up paths before they send them."""
    address = urlsplit(hub.endpoint)
    ups = ("../../../token", "%2e%2e/%2e%2e/%2e%2e/token", "..%2f..%2f..%2ftoken", "%2Fetc%2Fpasswd", "a%00b")
    ups += ("%20", "%0d%0aX-Injected:1", "%ff", "x" * 5000)
    prefixes = (f"/{repo}/resolve/main/", f"/{repo}/resolve/", f"/api/models/{repo}/tree/main/", "/api/models/", "/")
    for path in [prefix + up for prefix in prefixes for up in ups]:
        with socket.create_connection((address.hostname, address.port)) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        assert answer.split(b" ", 2)[1] in (b"400", b"404"), path
        assert hub.token.encode() not in answer
        assert b"\r\nX-Injected" not in answer


def test_a_name_cannot_be_both_a_file_and_a_folder(http: httpx2.Client, repo: str) -> None:
    assert commit(http, repo, put("a/b")).status_code == 200
    assert commit(http, repo, put("a/b/c")).status_code == 400
    assert commit(http, repo, put("a")).status_code == 400
    assert commit(http, repo, ("deletedFolder", {"path": "a/"}), put("a")).status_code == 200


def test_every_404_says_what_is_missing(http: httpx2.Client, repo: str) -> None:
    missing = {
        "/api/models/no/where": "RepoNotFound",
        "/api/datasets/imdb": "RepoNotFound",
        "/datasets/imdb/resolve/main/imdb.py": "RepoNotFound",
        f"/api/models/{repo}/revision/nope": "RevisionNotFound",
        f"/api/models/{repo}/tree/main/nope": "EntryNotFound",
        f"/{repo}/resolve/main/nope": "EntryNotFound",
        "/api/no-such-endpoint": "NotFound",
    }
    answers = {path: http.get(path) for path in missing}
    assert {path: answer.status_code for path, answer in answers.items()} == dict.fromkeys(missing, 404)
    assert {path: answer.headers["X-Error-Code"] for path, answer in answers.items()} == missing
    assert len(answers[f"/{repo}/resolve/main/nope"].headers["X-Repo-Commit"]) == 40


def test_pages_of_a_tree_stay_at_their_commit(http: httpx2.Client, repo: str) -> None:
    commit(http, repo, *(put(f"d/{n}") for n in range(5)))
    page, seen = http.get(f"/api/models/{repo}/tree/main/d", params={"limit": 2, "expand": True}), []
    commit(http, repo, put("d/00"), put("d/1", b"newer"))
    while True:
        seen += page.json()
        if "next" not in page.links:
            break
        page = http.get(page.links["next"]["url"])
    assert [entry["path"] for entry in seen] == [f"d/{n}" for n in range(5)]
    assert len({entry["lastCommit"]["id"] for entry in seen}) == 1


def test_a_pull_request_stays_apart_until_it_is_merged(api: HfApi, repo: str) -> None:
    from huggingface_hub.errors import HfHubHTTPError

    def propose(content: bytes, **where: str) -> Any:
        return api.upload_file(repo_id=repo, path_in_repo="a", path_or_fileobj=content, **where)

    first, second = propose(b"one", create_pr=True), propose(b"other", create_pr=True)
    assert [pull.pr_revision for pull in (first, second)] == ["refs/pr/1", "refs/pr/2"]
    propose(b"two", revision="refs/pr/1")
    assert not api.file_exists(repo, "a")
    with open(api.hf_hub_download(repo, "a", revision="refs/pr/1")) as file:
        assert file.read() == "two"
    assert {ref.ref for ref in api.list_repo_refs(repo, include_pull_requests=True).pull_requests} == {
        "refs/pr/1",
        "refs/pr/2",
    }

    api.merge_pull_request(repo, 1)
    with open(api.hf_hub_download(repo, "a")) as file:
        assert file.read() == "two"
    assert {pull.num: pull.status for pull in api.get_repo_discussions(repo)} == {2: "open", 1: "merged"}
    with pytest.raises(HfHubHTTPError, match="in conflict with main: a"):
        api.merge_pull_request(repo, 2)
    assert api.get_discussion_details(repo, 2).status == "open"
