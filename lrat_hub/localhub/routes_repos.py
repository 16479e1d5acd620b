"""Endpoints about repositories as a whole: the account, creating, deleting, listing, information, settings."""

from __future__ import annotations

from typing import Any

import pygit2
from starlette.requests import Request
from starlette.responses import JSONResponse

from lrat_hub.localhub.access import (
    hub_of,
    readable,
    repo_of,
    require_namespace,
    require_user,
    settings_for,
    visible,
    writable,
)
from lrat_hub.localhub.cards import CardError, card_data, parse_card
from lrat_hub.localhub.protocol import KINDS, HubError, RepoId, iso_date
from lrat_hub.localhub.repository import MAIN, Repository
from lrat_hub.localhub.root import Account
from lrat_hub.localhub.routes_git import lfs_fields
from lrat_hub.localhub.store import Settings, check_new
from lrat_hub.localhub.trees import Entry
from lrat_hub.localhub.wire import endpoint_of, is_set, page_of, takes_json, text_field

LIST_PAGE = 1000
CARD = "README.md"


def whoami(request: Request) -> JSONResponse:
    account = require_user(request)
    shared = sorted((account.namespaces or set()) - {account.name})
    orgs = [{"type": "org", "name": name, "fullname": name, "roleInOrg": account.role} for name in shared]
    auth = {"type": "access_token", "accessToken": {"displayName": "lrat-hub", "role": account.role}}
    names = {"name": account.name, "fullname": account.name}
    return JSONResponse({"type": "user", **names, "orgs": orgs, "auth": auth})


def harnesses(request: Request) -> JSONResponse:
    """What the `hf` command asks for each time it runs, until it is told that there is nothing to know."""
    return JSONResponse({"standardEnvVars": [], "harnesses": {}})


@takes_json(require_user)
def create(request: Request, data: dict[str, Any]) -> JSONResponse:
    repo = _repo_in(data, require_user(request))
    check_new(repo)
    author = require_namespace(request, repo.namespace).name
    private = _is_private(data)
    sdk = text_field(data, "sdk", "static") if repo.kind == "spaces" else None
    created = hub_of(request).store.create(repo, private=private, sdk=sdk, author=author)
    # Clients that were told not to mind read the url from the refusal.
    fields = {"url": f"{endpoint_of(request)}/{repo.url_path}", "name": str(repo)}
    if not created:
        return JSONResponse({**fields, "error": f"You already created this repository: {repo}"}, status_code=409)
    return JSONResponse(fields)


@takes_json(require_user)
def delete(request: Request, data: dict[str, Any]) -> JSONResponse:
    repo = writable(request, _repo_in(data, require_user(request)))
    hub_of(request).store.delete(repo)
    return JSONResponse({})


@takes_json(writable)
def update_settings(request: Request, data: dict[str, Any]) -> JSONResponse:
    if data.get("gated"):
        raise HubError(501, "This Hub has no gated repositories; make the repository private instead")
    private = _is_private(data)
    hub_of(request).store.update(repo_of(request), private=private)
    return JSONResponse({"private": private})


def auth_check(request: Request) -> JSONResponse:
    settings_for(request)
    return JSONResponse({})


def auth_check_write(request: Request) -> JSONResponse:
    writable(request)
    return JSONResponse({})


def list_repos(request: Request) -> JSONResponse:
    kind, query = request.path_params["kind"], request.query_params
    author, searches, tags = query.get("author"), query.getlist("search"), set(query.getlist("filter"))
    summaries = []
    for settings, repository, tip in visible(request, [kind]):
        name = str(repository.id).lower()
        if author in (None, "", repository.id.namespace) and all(search.lower() in name for search in searches):
            summary = _summary(repository, settings, tip)
            if tags <= set(summary["tags"]):
                summaries.append(summary)
    page, headers = page_of(request, summaries, size=LIST_PAGE, path=f"/api/{kind}")
    return JSONResponse(page, headers=headers)


def storage(request: Request) -> JSONResponse:
    """What `hf repos ls` lists: the repositories of a namespace, by default the caller's own, with their size."""
    namespace = request.path_params.get("namespace", require_user(request).name)
    described = []
    for settings, repository, tip in visible(request):
        repo = repository.id
        if repo.namespace == namespace:
            visibility = "private" if settings.private else "public"
            fields = {
                "id": str(repo),
                "type": repo.kind[:-1],
                "visibility": visibility,
                "updatedAt": iso_date(tip.commit_time),
            }
            described.append({**fields, "storage": repository.totals(tip)[1]})
    page, headers = page_of(request, described, size=LIST_PAGE, path=request.scope["path"])
    return JSONResponse(page, headers=headers)


def info(request: Request) -> JSONResponse:
    settings, repository = settings_for(request), readable(request)
    commit = repository.commit_at(request.path_params.get("revision", MAIN))
    blobs = is_set(request.query_params.get("blobs"))
    siblings = [_sibling(entry, blobs) for entry in repository.files(commit)]
    return JSONResponse({**_summary(repository, settings, commit), "siblings": siblings})


@takes_json()
def validate_yaml(request: Request, data: dict[str, Any]) -> JSONResponse:
    try:
        card = parse_card(text_field(data, "content"))
    except CardError as error:
        return JSONResponse({"errors": [{"message": str(error)}], "warnings": []}, status_code=400)
    warnings = [] if card is not None else [{"message": "empty or missing yaml metadata in repo card"}]
    return JSONResponse({"errors": [], "warnings": warnings})


def _repo_in(data: dict[str, Any], account: Account) -> RepoId:
    kind = text_field(data, "type", "model") + "s"
    if kind not in KINDS:
        raise HubError(400, f"Invalid repository type: expected model, dataset or space, found {kind[:-1]!r}")
    return RepoId(kind, text_field(data, "organization", account.name), text_field(data, "name"))


def _is_private(data: dict[str, Any]) -> bool:
    visibility = text_field(data, "visibility", "private" if data.get("private") else "public")
    if visibility not in ("public", "private"):
        raise HubError(400, f"Invalid visibility: expected public or private, found {visibility!r}")
    return visibility == "private"


def _summary(repository: Repository, settings: Settings, commit: pygit2.Commit) -> dict[str, Any]:
    """What a list and the information about one repository have in common."""
    repo = repository.id
    readme = repository.read(commit, CARD)
    card = card_data(readme) if readme is not None else None
    tags = card.get("tags") if card else None
    summary = {
        "_id": f"{repo.kind}/{repo}",
        "id": str(repo),
        "author": repo.namespace,
        "sha": str(commit.id),
        "createdAt": settings.created_at,
        "lastModified": iso_date(commit.commit_time),
        "private": settings.private,
        "gated": False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": tags if isinstance(tags, list) else [],
    }
    if repo.kind == "models":
        summary["modelId"] = str(repo)
    if settings.sdk is not None:
        summary["sdk"] = settings.sdk
    if card is not None:
        summary["cardData"] = card
        summary |= {key: card[key] for key in ("library_name", "pipeline_tag") if key in card}
    return summary


def _sibling(entry: Entry, blobs: bool) -> dict[str, Any]:
    if not blobs:
        return {"rfilename": entry.path}
    sibling = {"rfilename": entry.path, "blobId": entry.oid, "size": entry.size}
    if entry.pointer:
        sibling["lfs"] = lfs_fields(entry, entry.pointer, "sha256")
    return sibling
