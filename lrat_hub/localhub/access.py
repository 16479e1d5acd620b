"""Who is calling, and which repositories they may read and write.

Anybody may read public repositories. The owner may read and write in every namespace: so that a model can be mirrored
under its own name, and recipes that name it run unchanged. Others may do so in their own namespaces only.
"""

from __future__ import annotations

import base64
import binascii
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pygit2
from starlette.requests import Request

from lrat_hub.localhub.objects import Links, NamespaceObjects, ObjectStore
from lrat_hub.localhub.protocol import KINDS, HubError, RepoId, repo_not_found
from lrat_hub.localhub.repository import MAIN, Repository
from lrat_hub.localhub.root import Account, Accounts
from lrat_hub.localhub.store import Settings, Store

logger = logging.getLogger("uvicorn.error")


@dataclass(frozen=True)
class Hub:
    """What the endpoints work on."""

    store: Store
    objects: ObjectStore
    accounts: Accounts
    links: Links


def hub_of(request: Request) -> Hub:
    return request.app.state.hub


def caller(request: Request, *, password: bool = False) -> Account | None:
    """Who sends a request; None if it carries no token.

    Args:
        password: Whether the token may also come as a password, as git and browsers send it. A browser adds it to
            whatever any page makes it send: never allow that where something is changed.

    Raises:
        HubError: 401 if the token is not one of this Hub.
    """
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    if not scheme:
        return None
    token: str | None = None
    if scheme.lower() == "bearer":
        token = credentials.strip()
    elif scheme.lower() == "basic" and password:
        token = _password(credentials)
    account = hub_of(request).accounts.find(token) if token else None
    if account is None:
        raise HubError(401, "Invalid credentials in Authorization header")
    return account


def require_user(request: Request) -> Account:
    """Who sends a request.

    Raises:
        HubError: 401 if it is nobody with a token.
    """
    account = caller(request)
    if account is None:
        raise HubError(401, "This needs a token of this Hub: set HF_TOKEN, see `lrat hub env`")
    return account


def repo_of(request: Request) -> RepoId:
    """The repository that the path of a request names."""
    params = request.path_params
    return RepoId(params["kind"], params["namespace"], params["name"])


def may_see(account: Account | None, repo: RepoId, settings: Settings) -> bool:
    return not settings.private or (account is not None and account.reads(repo.namespace))


def settings_for(request: Request, repo: RepoId | None = None, *, password: bool = False) -> Settings:
    """The settings of a repository, by default of the one that the path names.

    Raises:
        HubError: 404 if there is no such repository, or none that the caller may see.
    """
    account = caller(request, password=password)
    repo = repo or repo_of(request)
    settings = hub_of(request).store.settings(repo)
    if settings is None or not may_see(account, repo, settings):
        raise repo_not_found(repo)
    return settings


def visible(
    request: Request, kinds: Sequence[str] = KINDS, *, password: bool = False
) -> Iterator[tuple[Settings, Repository, pygit2.Commit]]:
    """Every repository that the caller may see, with its settings and the tip of main.

    One that is damaged is left out, and named in the output of the server: it must not hide the others.
    """
    account, store = caller(request, password=password), hub_of(request).store
    for repo in store.repositories(kinds):
        settings = store.settings(repo)
        if settings is None or not may_see(account, repo, settings):
            continue
        try:
            repository = store.open(repo)
            tip = repository.commit_at(MAIN)
        except (pygit2.GitError, HubError, KeyError) as error:
            if store.settings(repo) is not None:
                logger.error("%s/%s can't be read, see `lrat hub verify`: %s", repo.kind, repo, error)
            continue
        yield settings, repository, tip


def git_access(request: Request, repo: RepoId | None = None) -> None:
    """Make sure that git, or git-lfs, may read a repository for the caller; by default the one that the path names.

    Raises:
        HubError: 401, on which git asks for a user and password, if the token is wrong, or there is none and the
            repository is private or missing; 404 if the user of the token may not see it.
    """
    ask = {"WWW-Authenticate": 'Basic realm="lrat hub: the token as password"'}
    try:
        settings_for(request, repo, password=True)
    except HubError as error:
        if error.status == 404 and request.headers.get("authorization"):
            raise
        raise HubError(401, error.message, error.code, ask) from None


def readable(request: Request, *, password: bool = False) -> Repository:
    """Open the repository of a request; raises as `settings_for` does."""
    settings_for(request, password=password)
    return hub_of(request).store.open(repo_of(request))


def writable(request: Request, repo: RepoId | None = None) -> RepoId:
    """The repository of a request that is going to change it, by default the one that the path names.

    Raises:
        HubError: 404 if the caller may not see it, 401 or 403 if they may not write.
    """
    repo = repo or repo_of(request)
    settings_for(request, repo)
    require_namespace(request, repo.namespace)
    return repo


def require_namespace(request: Request, namespace: str) -> Account:
    """Who sends a request that writes in a namespace.

    Raises:
        HubError: 401 if it is nobody with a token, 403 if that may not write there.
    """
    account = require_user(request)
    if account.role != "write":
        raise HubError(403, f"The token of {account.name} is for reading only")
    if not account.writes(namespace):
        raise HubError(403, f"The token of {account.name} is not for writing in the namespace {namespace}")
    return account


def objects_of(request: Request) -> NamespaceObjects:
    """The large files of the namespace that the path of a request names."""
    return hub_of(request).objects.of(repo_of(request).namespace)


def _password(credentials: str) -> str | None:
    """The token in the credentials of basic authentication, whatever the user name is."""
    try:
        name, _, password = base64.b64decode(credentials, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return password or name
