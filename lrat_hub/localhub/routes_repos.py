"""Endpoints about repositories as a whole: the account, creating, moving, deleting, listing, information, settings."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from lrat_hub.localhub.access import (
    Hub,
    caller,
    damage_apart,
    hub_of,
    readable,
    repo_named,
    repo_of,
    require_namespace,
    require_user,
    settings_for,
    visible,
    writable,
)
from lrat_hub.localhub.cards import CardError, parse_card
from lrat_hub.localhub.metadata import SDKS, problems
from lrat_hub.localhub.protocol import MAIN, HubError, RepoId, not_here
from lrat_hub.localhub.repository import Repository
from lrat_hub.localhub.store import SettingsDamaged, check_new
from lrat_hub.localhub.summaries import (
    check_expand,
    config_of,
    expanded,
    is_wanted,
    ordered,
    siblings,
    storage_of,
    summary,
)
from lrat_hub.localhub.wire import endpoint_of, is_set, kind_field, page_of, takes_json, text_field, truth_field

LIST_PAGE = 1000
# Of a card that has more.
ERRORS_SHOWN = 20


def whoami(request: Request) -> JSONResponse:
    account = require_user(request)
    shared = sorted((account.namespaces or set()) - {account.name})
    orgs = [{"type": "org", "name": name, "fullname": name, "roleInOrg": account.role} for name in shared]
    # Beside what clients know: the owner writes in namespaces that no list has, as each is made when it is used.
    access = {"displayName": "lrat-hub", "role": account.role, "everyNamespace": account.namespaces is None}
    auth = {"type": "access_token", "accessToken": access}
    names = {"name": account.name, "fullname": account.name}
    return JSONResponse({"type": "user", **names, "orgs": orgs, "auth": auth})


def harnesses(request: Request) -> JSONResponse:
    """What the `hf` command asks for each time it runs, until it is told that there is nothing to know."""
    return JSONResponse({"standardEnvVars": [], "harnesses": {}})


# Of Spaces that run, and of huggingface.co's offers for organisations.
_LACKS = "hardware sleepTimeSeconds secrets variables volumes template resourceGroupId region"


@takes_json(require_user, fields="name organization type visibility private sdk", lacks=_LACKS)
def create(request: Request, data: dict[str, Any]) -> JSONResponse:
    repo, author = _place(request, _named(request, data)), require_user(request).name
    sdk = text_field(data, "sdk", "static") if repo.kind == "spaces" else None
    if sdk is not None and sdk not in SDKS:
        raise HubError(400, f"Invalid sdk: expected one of {', '.join(sorted(SDKS))}, found {sdk[:50]!r}")
    there = hub_of(request).store.create(repo, private=_visibility(data) or False, sdk=sdk, author=author)
    return _created(request, repo, there)


def _created(request: Request, repo: RepoId, there: RepoId | None) -> JSONResponse:
    # Clients that were told not to mind read the url from the refusal.
    named = there or repo
    fields = {"url": f"{endpoint_of(request)}/{named.url_path}", "name": str(named), "id": f"{named.kind}/{named}"}
    if there is not None:
        return JSONResponse({**fields, "error": f"You already created this repository: {there}"}, status_code=409)
    return JSONResponse(fields)


@takes_json(require_user, fields="name organization type")
def delete(request: Request, data: dict[str, Any]) -> JSONResponse:
    store = hub_of(request).store
    repo = store.find(_named(request, data))
    try:
        writable(request, repo)
    except SettingsDamaged:
        # Who may write there may also remove what can't be read any more.
        require_namespace(request, repo.namespace)
    store.delete(repo)
    return JSONResponse({})


@takes_json(require_user, fields="fromRepo toRepo type")
def move(request: Request, data: dict[str, Any]) -> JSONResponse:
    hub = hub_of(request)
    repo = writable(request, repo_named(request, text_field(data, "fromRepo"), kind_field(data, "type")))
    to = _place(request, RepoId.parse(repo.kind, text_field(data, "toRepo")))
    share = _sharing(hub, repo, to)
    # Nearly all of the work, before others have to wait for it.
    share(hub.store.open(repo))
    if not hub.store.move(repo, to, share):
        raise HubError(
            409, f"A {to.kind[:-1]} repository called {hub.store.find(to)} already exists: give another name"
        )
    return JSONResponse({"url": f"{endpoint_of(request)}/{to.url_path}"})


@takes_json(settings_for, fields="repository visibility private", lacks=_LACKS)
def duplicate(request: Request, data: dict[str, Any]) -> JSONResponse:
    """A repository with the branches and tags of another one; as visible as that, unless told."""
    hub, repo, settings = hub_of(request), repo_of(request), settings_for(request)
    to = _place(request, RepoId.parse(repo.kind, text_field(data, "repository")))
    visibility = _visibility(data)
    private = settings.private if visibility is None else visibility
    author, share = require_user(request).name, _sharing(hub, repo, to)
    there = hub.store.create(to, private=private, sdk=settings.sdk, author=author, like=repo, share=share)
    return _created(request, to, there)


def _sharing(hub: Hub, repo: RepoId, to: RepoId) -> Callable[[Repository], None]:
    """What gives the large files that a repository refers to from one namespace to another."""
    source, target = hub.objects.of(repo.namespace), hub.objects.of(to.namespace)

    def share(repository: Repository) -> None:
        for pointer in repository.pointers():
            # What is missing is missing there too, and both say so.
            with contextlib.suppress(FileNotFoundError):
                source.share(pointer, target)

    return share


@takes_json(
    writable,
    fields="private visibility gated",
    lacks="discussionsDisabled gatedNotificationsMode gatedNotificationsEmail xetEnabled",
)
def update_settings(request: Request, data: dict[str, Any]) -> JSONResponse:
    """Change what is named, and nothing else."""
    if data.get("gated") not in (None, False):
        raise not_here("gated repositories: make the repository private instead")
    private, repo, store = _visibility(data), repo_of(request), hub_of(request).store
    if private is not None:
        store.update(repo, private=private)
    return JSONResponse({"private": settings_for(request).private, "gated": False})


def auth_check(request: Request) -> JSONResponse:
    settings_for(request)
    return JSONResponse({})


def auth_check_write(request: Request) -> JSONResponse:
    writable(request)
    return JSONResponse({})


def list_repos(request: Request) -> JSONResponse:
    kind, query, store = request.path_params["kind"], request.query_params, hub_of(request).store
    names = check_expand(kind, query)
    full, config = is_set(query.get("full")), is_set(query.get("config"))
    found, opened = [], {}
    for settings, repository, tip in visible(request, [kind]):
        with damage_apart(store, repository.id):
            fields = summary(repository, settings, tip)
            if is_wanted(fields, query):
                found.append(fields)
                opened[fields["id"]] = repository, tip
    page, headers = page_of(request, ordered(found, query), size=LIST_PAGE, path=f"/api/{kind}")
    answer = []
    for fields in page:
        repository, tip = opened[fields["id"]]
        with damage_apart(store, repository.id):
            if names:
                fields = expanded(fields, names, repository, tip)
            if full:
                fields["siblings"] = siblings(repository, tip, blobs=False)
            if config:
                fields["config"] = config_of(repository, tip)
        answer.append(fields)
    return JSONResponse(answer, headers=headers)


def storage(request: Request) -> JSONResponse:
    """What `hf repos ls` lists: the repositories of a namespace, by default the caller's own, with their size."""
    namespace = request.path_params.get("namespace", require_user(request).name)
    described = []
    for settings, repository, tip in visible(request):
        if repository.id.namespace.lower() == namespace.lower():
            with damage_apart(hub_of(request).store, repository.id):
                described.append(storage_of(repository, settings, tip))
    page, headers = page_of(request, described, size=LIST_PAGE, path=request.scope["path"])
    return JSONResponse(page, headers=headers)


def info(request: Request) -> JSONResponse:
    settings, repository = settings_for(request), readable(request)
    names = check_expand(repository.id.kind, request.query_params)
    commit = repository.commit_at(request.path_params.get("revision", MAIN))
    fields = summary(repository, settings, commit)
    if names:
        return JSONResponse(expanded(fields, names, repository, commit))
    blobs = is_set(request.query_params.get("blobs"))
    return JSONResponse({**fields, "siblings": siblings(repository, commit, blobs=blobs)})


@takes_json(fields="content repoType")
def validate_yaml(request: Request, data: dict[str, Any]) -> JSONResponse:
    """Whether huggingface.co would take a card. Clients ask without a token too: `cards` has bounds."""
    caller(request)
    kind = kind_field(data, "repoType")
    try:
        card = parse_card(text_field(data, "content"))
        errors = problems(card, kind) if card is not None else []
    except CardError as error:
        card, errors = {}, [str(error)]
    if errors:
        described = [{"message": message} for message in errors[:ERRORS_SHOWN]]
        return JSONResponse({"errors": described, "warnings": [], "error": errors[0]}, status_code=400)
    warnings = [] if card is not None else [{"message": "empty or missing yaml metadata in repo card"}]
    return JSONResponse({"errors": [], "warnings": warnings})


def _named(request: Request, data: dict[str, Any]) -> RepoId:
    """The repository that a body is about; by default in the namespace of the caller."""
    namespace = text_field(data, "organization", require_user(request).name)
    return RepoId(kind_field(data, "type"), namespace, text_field(data, "name"))


def _place(request: Request, repo: RepoId) -> RepoId:
    """The id of a repository that a request is going to make, in its namespace as that is written already.

    Raises:
        HubError: 400 for an id that no repository may have, 401 or 403 if the caller may not write there.
    """
    place = replace(repo, namespace=hub_of(request).store.namespace(repo.namespace))
    check_new(place)
    require_namespace(request, place.namespace)
    return place


def _visibility(data: dict[str, Any]) -> bool | None:
    """Whether a request makes something private; None if it says nothing of it."""
    visibility, private = text_field(data, "visibility", ""), truth_field(data, "private")
    if visibility == "protected":
        raise not_here("visibility protected")
    if visibility not in ("", "public", "private"):
        raise HubError(400, f"Invalid visibility: expected public or private, found {visibility[:50]!r}")
    if visibility and private is not None and private != (visibility == "private"):
        raise HubError(400, f"Invalid visibility: private={private} contradicts {visibility}")
    return visibility == "private" if visibility else private
