"""Who is calling, which repositories they may read and write, and links that stand for a permission.

There is one account, the owner, who may write in every namespace: so that a model can be mirrored under its own
name, and recipes that name it run unchanged. Anybody may read public repositories.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from dataclasses import dataclass

from starlette.requests import Request

from lrat_hub.hub.server.errors import HubError, repo_not_found
from lrat_hub.hub.server.names import RepoId
from lrat_hub.hub.server.objects import ObjectStore, Pointer
from lrat_hub.hub.server.repository import Repository
from lrat_hub.hub.server.store import Settings, Store

# Clients ask for the links of a whole commit, and then upload its files one after another.
UPLOAD_LINK_SECONDS = 24 * 3600


@dataclass(frozen=True)
class Hub:
    """What the endpoints work on."""

    store: Store
    objects: ObjectStore
    user: str
    token: str


def hub_of(request: Request) -> Hub:
    return request.app.state.hub


def caller(request: Request) -> str | None:
    """The name of the user who sends a request; None if it carries no token.

    Raises:
        HubError: 401 if the token is not one of this Hub.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if not scheme:
        return None
    hub = hub_of(request)
    if scheme.lower() != "bearer" or not hmac.compare_digest(token.strip().encode(), hub.token.encode()):
        raise HubError(401, "Invalid credentials in Authorization header")
    return hub.user


def require_user(request: Request) -> str:
    """The name of the user who sends a request.

    Raises:
        HubError: 401 if there is none.
    """
    user = caller(request)
    if user is None:
        raise HubError(401, "This needs a token of this Hub: set HF_TOKEN, see `lrat hub env`")
    return user


def repo_of(request: Request) -> RepoId:
    """The repository that the path of a request names."""
    params = request.path_params
    return RepoId(params["kind"], params["namespace"], params["name"])


def settings_for(request: Request) -> Settings:
    """The settings of the repository of a request.

    Raises:
        HubError: 404 if there is no such repository, or none that the caller may see.
    """
    user = caller(request)
    settings = hub_of(request).store.settings(repo_of(request))
    if settings is None or (settings.private and user is None):
        raise repo_not_found(repo_of(request))
    return settings


def readable(request: Request) -> Repository:
    """Open the repository of a request; raises as `settings_for` does."""
    settings_for(request)
    return hub_of(request).store.open(repo_of(request))


def writable(request: Request) -> RepoId:
    """The repository of a request that is going to change it.

    Raises:
        HubError: 404 if the caller may not see it, 401 if they may not write.
    """
    settings_for(request)
    require_user(request)
    return repo_of(request)


def sign_upload(hub: Hub, pointer: Pointer) -> dict[str, str]:
    """The query of a link by which whoever holds it may upload this object, and no other, for some time.

    Clients send no token with an upload, as they would send it to a storage service.
    """
    expires = str(int(time.time()) + UPLOAD_LINK_SECONDS)
    return {"size": str(pointer.size), "expires": expires, "signature": _signature(hub, pointer, expires)}


def check_upload(hub: Hub, oid: str, query: dict[str, str]) -> Pointer:
    """The object that an upload link is for.

    Raises:
        HubError: 403 if the link is forged or has expired.
    """
    size, expires = query.get("size", ""), query.get("expires", "")
    if not (size.isdecimal() and expires.isdecimal() and len(size + expires) < 40):
        raise HubError(403, "Upload link refused: it is incomplete")
    pointer = Pointer(oid, int(size))
    if not hmac.compare_digest(_signature(hub, pointer, expires).encode(), query.get("signature", "").encode()):
        raise HubError(403, "Upload link refused: its signature is wrong")
    if int(expires) < time.time():
        raise HubError(403, "Upload link refused: it has expired")
    return pointer


def _signature(hub: Hub, pointer: Pointer, expires: str) -> str:
    # Made from the token, so that links stay good when the server restarts.
    text = f"PUT {pointer.oid} {pointer.size} {expires}"
    return hmac.new(hub.token.encode(), text.encode(), hashlib.sha256).hexdigest()
