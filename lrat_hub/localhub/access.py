"""Who is calling, and which repositories they may read and write.

Anybody may read public repositories. The owner may read and write in every namespace: so that a model can be mirrored
under its own name, and recipes that name it run unchanged. Others may do so in their own namespaces only.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

import pygit2
from anyio import CapacityLimiter, Semaphore
from starlette.requests import Request

from lrat_hub.localhub.links import Links
from lrat_hub.localhub.objects import NamespaceObjects, ObjectStore, Pointer
from lrat_hub.localhub.protocol import KINDS, MAIN, HubError, RepoId, repo_not_found
from lrat_hub.localhub.repository import Repository
from lrat_hub.localhub.root import Account, Accounts
from lrat_hub.localhub.store import Settings, SettingsDamaged, Store

# Of users in namespaces of others, until the server stops; forgotten ones are uploaded again.
UPLOADS_NOTED = 100_000
# Each takes a processor for a while.
CLONES_AT_ONCE = 8
COMMITS_AT_ONCE = 16

logger = logging.getLogger("uvicorn.error")


@dataclass(frozen=True)
class Hub:
    """What the endpoints work on."""

    store: Store
    objects: ObjectStore
    accounts: Accounts
    links: Links
    # What users have uploaded to namespaces of others: user, namespace and sha256. Knowing a hash is no proof of
    # having the content.
    uploaded: set[tuple[str, str, str]] = field(default_factory=set)
    # What is limited by how many there are at once.
    clones: Semaphore = field(default_factory=lambda: Semaphore(CLONES_AT_ONCE))
    commits: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(COMMITS_AT_ONCE))

    def note_uploaded(self, user: str, namespace: str, pointer: Pointer) -> None:
        if len(self.uploaded) >= UPLOADS_NOTED:
            self.uploaded.clear()
        self.uploaded.add((user, namespace, pointer.oid))


def hub_of(request: Request) -> Hub:
    return request.app.state.hub


def caller(request: Request, *, password: bool = False) -> Account | None:
    """Who sends a request; None if it carries no token.

    Args:
        password: Whether the token may also come as a password, as git and browsers send it. A browser adds it to
            whatever any page makes it send: never allow that where something is changed.

    Raises:
        HubError: 401 if the token is not one of this Hub; 400 if there are several: a proxy may have gone by another
            one than this server would.
    """
    given = request.headers.getlist("authorization")
    if len(given) > 1:
        raise HubError(400, f"Authorization: expected one header, found {len(given)}")
    scheme, _, credentials = (given or [""])[0].partition(" ")
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
    """The repository that the path of a request names, in any case."""
    params = request.path_params
    return hub_of(request).store.find(RepoId(params["kind"], params["namespace"], params["name"]))


def repo_named(request: Request, name: str, kind: str) -> RepoId:
    """The repository of a kind that the body of a request names: `namespace/name`."""
    return hub_of(request).store.find(RepoId.parse(kind, name))


def may_see(account: Account | None, repo: RepoId, settings: Settings) -> bool:
    return not settings.private or (account is not None and account.reads(repo.namespace))


def settings_for(
    request: Request, repo: RepoId | None = None, *, password: bool = False, follow: bool | None = None
) -> Settings:
    """The settings of a repository, by default of the one that the path names.

    Args:
        follow: Whether the path of the request leads to where a repository has moved; by default if it names it.

    Raises:
        HubError: 404 if there is no such repository, or none that the caller may see; 307 if it has another id now;
            500 if its settings are damaged.
    """
    account, store = caller(request, password=password), hub_of(request).store
    follow = repo is None if follow is None else follow
    repo = repo or repo_of(request)
    try:
        settings = store.settings(repo)
    except SettingsDamaged:
        # Nobody knows whether it is private.
        if account is not None and account.reads(repo.namespace):
            raise
        raise repo_not_found() from None
    if settings is None and follow:
        _redirect_moved(request, account, repo)
    if settings is None or not may_see(account, repo, settings):
        raise repo_not_found()
    return settings


def _redirect_moved(request: Request, account: Account | None, repo: RepoId) -> None:
    """Send the request for a repository that has moved to where it is, if the caller may see it there."""
    store = hub_of(request).store
    moved = store.moved(repo)
    if moved is None:
        return
    try:
        settings = store.settings(moved)
    except SettingsDamaged:
        return
    if settings is None or not may_see(account, moved, settings):
        return
    parts = request.scope["path"].split("/")
    for place in range(len(parts) - 1):
        namespace, name = (unquote(part) for part in parts[place : place + 2])
        suffix = ".git" if name.endswith(".git") else ""
        if repo.same(RepoId(repo.kind, namespace, name.removesuffix(suffix))):
            location = "/".join([*parts[:place], moved.namespace, moved.name + suffix, *parts[place + 2 :]])
            query = request.scope["query_string"].decode("latin-1")
            raise HubError(307, f"{repo} is {moved} now", headers={"Location": f"{location}?{query}".rstrip("?")})


def visible(
    request: Request, kinds: Sequence[str] = KINDS, *, password: bool = False
) -> Iterator[tuple[Settings, Repository, pygit2.Commit]]:
    """Every repository that the caller may see, with its settings and the tip of main.

    One that is damaged is left out, and named in the output of the server: it must not hide the others.
    """
    account, store = caller(request, password=password), hub_of(request).store
    for repo in store.repositories(kinds):
        with damage_apart(store, repo):
            settings = store.settings(repo)
            if settings is None or not may_see(account, repo, settings):
                continue
            repository = store.open(repo)
            tip = repository.commit_at(MAIN)
            yield settings, repository, tip


@contextlib.contextmanager
def damage_apart(store: Store, repo: RepoId) -> Iterator[None]:
    """Leave one repository out of what is done for many if it can't be read, and name it in the server's output."""
    try:
        yield
    except (pygit2.GitError, HubError, KeyError, ValueError, OSError) as error:
        if isinstance(error, HubError) and error.status == 400:
            # It is the request that is wrong.
            raise
        # Unless somebody has deleted it meanwhile.
        if store.path(repo).exists():
            logger.error("%s/%s can't be read, see `lrat hub verify`: %s", repo.kind, repo, error)


def git_access(request: Request, repo: RepoId | None = None) -> None:
    """Make sure that git, or git-lfs, may read a repository for the caller; by default the one that the path names.

    Raises:
        HubError: 401, on which git asks for a user and password, if the token is wrong, or there is none and the
            repository is private or missing; 404 if the user of the token may not see it.
    """
    ask = {"WWW-Authenticate": 'Basic realm="lrat hub: the token as password"'}
    try:
        settings_for(request, repo, password=True, follow=True)
    except HubError as error:
        if error.status == 307 or (error.status == 404 and request.headers.get("authorization")):
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
    settings_for(request, repo)
    repo = repo or repo_of(request)
    require_namespace(request, repo.namespace)
    return repo


def may_write(request: Request, repo: RepoId | None = None) -> bool:
    """Whether the caller may write in the repository of a request."""
    account = caller(request)
    return account is not None and account.writes((repo or repo_of(request)).namespace)


def participant(request: Request) -> RepoId:
    """The repository of a request that proposes or discusses something, and changes no branch.

    Raises:
        HubError: 404 if the caller may not see it, 401 without a token, 403 if their token is for reading only.
    """
    settings_for(request)
    _require_writer(request)
    return repo_of(request)


def require_namespace(request: Request, namespace: str) -> Account:
    """Who sends a request that writes in a namespace.

    Raises:
        HubError: 401 if it is nobody with a token, 403 if that may not write there.
    """
    account = _require_writer(request)
    if not account.writes(namespace):
        raise HubError(403, f"The token of {account.name} is not for writing in the namespace {namespace}")
    return account


def _require_writer(request: Request) -> Account:
    account = require_user(request)
    if account.role != "write":
        raise HubError(403, f"The token of {account.name} is for reading only")
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
