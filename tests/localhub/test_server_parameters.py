"""Nothing that a request asks for is passed over: what a route does not know it refuses, by name."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from requests_by_hand import commit, put
from starlette.routing import Match

from lrat_hub.localhub.app import routes
from lrat_hub.localhub.missing import LACKS, REPO_LACKS
from lrat_hub.localhub.protocol import KINDS
from lrat_hub.localhub.wire import DeclaredRoute

if TYPE_CHECKING:
    import httpx2
    from huggingface_hub import HfApi

ROUTES = [(route, method) for route in routes() for method in sorted(route.methods or ()) if method != "HEAD"]
# The stores of large files take no body of fields: their content is content.
BODIES = [(route, method) for route, method in ROUTES if hasattr(route.endpoint, "fields")]
DOCUMENTATION = Path(__file__).parents[2] / "docs" / "embedded_hub.md"


def path_of(route: DeclaredRoute, repo: str, kind: str = "models") -> str:
    """A path of the route in a repository."""
    namespace, _, name = repo.partition("/")
    values = {"kind": kind, "namespace": namespace, "name": name, "revision": "main", "path": "a.txt"}
    values |= {"branch": "b", "number": "1", "comment": "0" * 24, "oid": "0" * 64}
    values["prefix"] = "" if kind == "models" else f"{kind}/"
    path = re.sub(
        r"\{(\w+)(?::(\w+))?\}", lambda match: values[match[2] if match[2] == "prefix" else match[1]], route.path
    )
    return "/" + path.lstrip("/")


def names(routes: list[tuple[DeclaredRoute, str]]) -> list[str]:
    return [f"{method} {route.path}" for route, method in routes]


@pytest.mark.parametrize("kind", KINDS)
def test_repositories_may_be_named_by_any_word_of_a_path(kind: str) -> None:
    """`/datasets/me/rows/row/main/a` is a row of a dataset named rows, not of `datasets/me`."""
    words = {word for route, _ in ROUTES for word in re.findall(r"[a-z][\w-]*(?![^{]*\})", route.path)} | {"main"}
    assert {"resolve", "rows", "api", "discussions"} <= words
    for word in words:
        for route, method in ROUTES:
            scope = {"type": "http", "path": path_of(route, f"lrat/{word}", kind), "method": method}
            found = next(each for each, _ in ROUTES if each.matches(scope)[0] is Match.FULL)
            assert found.endpoint is route.endpoint, scope


@pytest.mark.parametrize(("route", "method"), ROUTES, ids=names(ROUTES))
def test_every_route_refuses_a_parameter_that_it_does_not_know(
    http: httpx2.Client, repo: str, route: DeclaredRoute, method: str
) -> None:
    for name in ("no_such_parameter", *route.lacks):
        answer = http.request(method, path_of(route, repo), params={name: "1"})
        assert answer.status_code == (501 if name in route.lacks else 400)
        assert name in answer.json()["error"]


@pytest.mark.parametrize(("route", "method"), BODIES, ids=names(BODIES))
def test_every_route_refuses_a_field_that_it_does_not_know(
    http: httpx2.Client, repo: str, route: DeclaredRoute, method: str
) -> None:
    http.post(f"/api/models/{repo}/discussions", json={"title": "x"}).raise_for_status()
    answer = http.request(method, path_of(route, repo), json={"no_such_field": 1})
    assert (answer.status_code, "no_such_field" in answer.text) == (400, True)


@pytest.mark.parametrize("key", ["header", "file", "lfsFile", "deletedFile", "deletedFolder"])
def test_a_commit_refuses_a_field_that_it_does_not_know(http: httpx2.Client, repo: str, key: str) -> None:
    lines = [] if key == "header" else [{"key": "header", "value": {"summary": "x"}}]
    lines.append({"key": key, "value": {"summary": "x", "path": "x", "no_such_field": 1}})
    answer = http.post(f"/api/models/{repo}/commit/main", content="\n".join(map(json.dumps, lines)))
    assert (answer.status_code, "Unknown field" in answer.text) == (400, True)


# What each route that writes is asked to do, with all its fields. What is private, gated or shared is in none of them,
# but where it is named.
WRITES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "settings": ("PUT", "/api/{kind}/{repo}/settings", {"gated": False}),
    "create again": ("POST", "/api/repos/create", {"name": "{name}", "type": "{type}", "sdk": "static"}),
    "branch": ("POST", "/api/{kind}/{repo}/branch/b{n}", {"startingPoint": "main"}),
    "tag": ("POST", "/api/{kind}/{repo}/tag/main", {"tag": "t{n}", "message": "x"}),
    "squash": ("POST", "/api/{kind}/{repo}/super-squash/main", {"message": "x"}),
    "preupload": ("POST", "/api/{kind}/{repo}/preupload/main", {"files": [], "gitIgnore": "x", "gitAttributes": "x"}),
    "discussion": ("POST", "/api/{kind}/{repo}/discussions", {"title": "x", "description": "x", "pullRequest": True}),
    "comment": ("POST", "/api/{kind}/{repo}/discussions/1/comment", {"comment": "x"}),
    "title": ("POST", "/api/{kind}/{repo}/discussions/1/title", {"title": "x"}),
    "status": ("POST", "/api/{kind}/{repo}/discussions/1/status", {"status": "open", "comment": "x"}),
    "merge": ("POST", "/api/{kind}/{repo}/discussions/1/merge", {"comment": "x"}),
    "duplicate": ("POST", "/api/{kind}/{repo}/duplicate", {"repository": "lrat/copy-{n}"}),
    "copy": ("POST", "/api/{kind}/{repo}/lfs-files/duplicate", {"target": {"type": "x"}, "files": []}),
    "batch": ("POST", "/{prefix}{repo}.git/info/lfs/objects/batch", {"operation": "upload", "objects": []}),
    "verify": ("POST", "/{prefix}{repo}.git/info/lfs/objects/verify", {"oid": "0" * 64, "size": 1}),
    "move": ("POST", "/api/repos/move", {"fromRepo": "{repo}", "toRepo": "lrat/moved-{n}", "type": "{type}"}),
}


def test_the_writes_below_are_all_there_are(http: httpx2.Client) -> None:
    """A new route that changes something is tried for what it does to who may see a repository."""
    known = {
        re.sub(r"\{\w+\}|[0-9]", "", path.replace("{kind}/{repo}", "K/N/R").replace("{prefix}{repo}", "N/R"))
        for _, path, _ in WRITES.values()
    }

    def shape(route: DeclaredRoute) -> str:
        path = re.sub(r"\{kind:prefix\}\{namespace:namespace\}/\{name:encoded\}", "N/R", route.path)
        path = re.sub(r"\{kind:kind\}/\{namespace:encoded\}/\{name:encoded\}", "K/N/R", path)
        return re.sub(r"\{[\w:]+\}", "", path)

    asked = {re.sub(r"(branch/b|tag/main|super-squash/main|preupload/main)", lambda m: m[1].split("/")[0] + "/", path)
             for path in known}  # fmt: skip
    # These say what they are about in their path, or are about no repository, or end it.
    others = ("validate-yaml", "paths-info", "/commit/", "comment//", "delete", "git-", "lfs-objects")
    writing = {shape(route) for route, method in ROUTES if method in ("POST", "PUT")}
    assert {path for path in writing if not any(other in path for other in others)} == asked


SLOW = [pytest.param(kind, private, marks=pytest.mark.slow) for kind in KINDS for private in (True, False)]


@pytest.mark.parametrize(("kind", "private"), [pytest.param("models", True), *SLOW[1:]])
def test_no_subset_of_the_fields_of_any_write_changes_who_may_see_a_repository(
    http: httpx2.Client, kind: str, private: bool
) -> None:
    number = itertools.count()
    for write, (method, path, fields) in WRITES.items():
        for size in range(len(fields) + 1):
            for chosen in itertools.combinations(fields, size):
                n = next(number)
                name = f"privacy-{kind}-{private}-{n}".lower()
                words = {"kind": kind, "type": kind[:-1], "name": name, "repo": f"lrat/{name}", "n": f"{name}"}
                words["prefix"] = "" if kind == "models" else f"{kind}/"
                made = {"name": name, "type": kind[:-1], "visibility": "private" if private else "public"}
                http.post("/api/repos/create", json=made).raise_for_status()
                http.post(f"/api/{kind}/lrat/{name}/discussions", json={"title": "x"})
                body = json.dumps({field: fields[field] for field in chosen})
                for key, value in words.items():
                    body = body.replace("{" + key + "}", value)
                http.request(method, path.format(**words), content=body)
                for now in (name, f"copy-{name}", f"moved-{name}"):
                    seen = http.get(f"/api/{kind}/lrat/{now}", follow_redirects=True)
                    if seen.status_code == 200:
                        assert (seen.json()["private"], seen.json()["gated"]) == (private, False), (write, chosen)
                anonymous = http.get(f"/api/{kind}/lrat/{name}", headers={"Authorization": ""}, follow_redirects=True)
                assert anonymous.status_code == (404 if private else 200), (write, chosen)


def test_settings_change_what_they_name(api: HfApi, http: httpx2.Client, repo: str) -> None:
    api.update_repo_settings(repo, private=True)
    api.update_repo_settings(repo, gated=False)
    assert http.put(f"/api/models/{repo}/settings", json={}).json()["private"]
    assert api.model_info(repo).private
    api.update_repo_settings(repo, private=False)
    assert not api.model_info(repo).private
    refused = {
        501: [{"gated": "auto"}, {"discussionsDisabled": True}, {"visibility": "protected"}],
        400: [{"visibility": "x"}, {"private": "yes"}, {"visibility": "public", "private": True}],
    }
    for status, bodies in refused.items():
        for body in bodies:
            assert http.put(f"/api/models/{repo}/settings", json=body).status_code == status, body
    assert not api.model_info(repo).private


def test_what_is_not_here_says_so_and_stands_in_the_documentation(http: httpx2.Client, repo: str) -> None:
    documentation = DOCUMENTATION.read_text()
    for path, what in LACKS.items():
        answer = http.get(f"{path}/x")
        assert (answer.status_code, what in answer.json()["error"]) == (501, True), path
    for path, what in REPO_LACKS.items():
        for method in ("GET", "POST"):
            answer = http.request(method, f"/api/models/{repo}/{path}")
            if answer.status_code != 405 and (method, path) != ("GET", "lfs-files"):
                assert (answer.status_code, what in answer.json()["error"]) == (501, True), path
    missing = {what.partition(":")[0] for what in (*LACKS.values(), *REPO_LACKS.values())}
    assert [what for what in sorted(missing) if what not in documentation] == []


def test_an_endpoint_that_is_not_here_does_not_say_that_the_repository_is_not(http: httpx2.Client, repo: str) -> None:
    http.put(f"/api/models/{repo}/settings", json={"private": True}).raise_for_status()
    for path in (f"/api/models/{repo}/no-such", f"/{repo}/no-such", f"/api/models/{repo}/no/such"):
        assert http.get(path).status_code == 501
        # For who may not see it, it looks as if there were none.
        hidden = http.get(path, headers={"Authorization": ""})
        nowhere = http.get(path.replace(repo, "no/where"))
        assert (hidden.status_code, hidden.headers["X-Error-Code"]) == (404, "RepoNotFound")
        assert nowhere.status_code == 404


def test_requests_have_names(http: httpx2.Client, repo: str) -> None:
    assert http.get(f"/api/models/{repo}", headers={"X-Request-Id": "abc-1"}).headers["X-Request-Id"] == "abc-1"
    one, other = (http.get("/api/models/no/where").headers["X-Request-Id"] for _ in range(2))
    assert one != other


def test_next_pages_ask_for_the_same_as_the_first(api: HfApi, http: httpx2.Client) -> None:
    for n in range(3):
        api.create_repo(f"lrat/paged-{n}")
        card = b"---\ntags: [paged-one, paged-two]\n---\n"
        assert commit(http, f"lrat/paged-{n}", put("README.md", card)).status_code == 200
    api.create_repo("lrat/paged-other")
    page = http.get("/api/models", params={"filter": ["paged-one", "paged-two"], "limit": 1})
    seen = page.json()
    while "next" in page.links:
        page = http.get(page.links["next"]["url"])
        seen += page.json()
    assert [each["id"] for each in seen] == [f"lrat/paged-{n}" for n in range(3)]
