"""The application: which path leads to which endpoint, and how errors are told.

Names of branches and paths of files arrive percent-encoded, slashes included: `/tree/dev%2Fx/a%2Fb`. Routes are
therefore matched on the path as it was sent, and its parts decoded afterwards.
"""

from __future__ import annotations

import errno
import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lrat_hub.localhub import routes_commit, routes_files, routes_git, routes_pages, routes_repos
from lrat_hub.localhub.access import Hub
from lrat_hub.localhub.objects import Links
from lrat_hub.localhub.protocol import KINDS, HubError, repo_not_found
from lrat_hub.localhub.root import Accounts
from lrat_hub.localhub.store import adopt_old_objects, open_stores


class _Kind(Convertor[str]):
    regex = "|".join(KINDS)

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


class _Prefix(_Kind):
    """The kind as pages and files have it: models have none."""

    regex = "(?:datasets/|spaces/)?"

    def convert(self, value: str) -> str:
        return value.removesuffix("/") or "models"


class _Encoded(_Kind):
    """One segment of the path as it was sent, which may stand for several. Zeros would end names in git early."""

    regex = "(?:(?!%00)[^/])+"

    def convert(self, value: str) -> str:
        return unquote(value)


class _Namespace(_Encoded):
    regex = "(?!api/)" + _Encoded.regex


class _EncodedPath(_Encoded):
    regex = "(?:(?!%00).)+"


register_url_convertor("kind", _Kind())
register_url_convertor("prefix", _Prefix())
register_url_convertor("encoded", _Encoded())
register_url_convertor("namespace", _Namespace())
register_url_convertor("encoded_path", _EncodedPath())

_REPO = "/api/{kind:kind}/{namespace:encoded}/{name:encoded}"
_PAGE = "/{kind:prefix}{namespace:namespace}/{name:encoded}"
_REV = "{revision:encoded}"


def _routes() -> list[Route]:
    repos, git, content, files, pages = routes_repos, routes_git, routes_commit, routes_files, routes_pages
    return [
        # First, as most requests are for it, and routes are tried one after the other.
        Route(f"{_PAGE}/resolve/{_REV}/{{path:encoded_path}}", files.resolve),
        Route("/", pages.index),
        Route("/login", pages.login),
        Route("/api/style.css", pages.style),
        Route("/api/whoami-v2", repos.whoami),
        Route("/api/agent-harnesses", repos.harnesses),
        Route("/api/settings/repositories", repos.storage),
        Route("/api/organizations/{namespace:encoded}/settings/repositories", repos.storage),
        Route("/api/repos/create", repos.create, methods=["POST"]),
        Route("/api/repos/delete", repos.delete, methods=["DELETE"]),
        Route("/api/validate-yaml", repos.validate_yaml, methods=["POST"]),
        Route("/api/{kind:kind}", repos.list_repos),
        Route(_REPO, repos.info),
        Route(f"{_REPO}/revision/{_REV}", repos.info),
        Route(f"{_REPO}/settings", repos.update_settings, methods=["PUT"]),
        Route(f"{_REPO}/auth-check", repos.auth_check),
        Route(f"{_REPO}/auth-check/write", repos.auth_check_write),
        Route(f"{_REPO}/tree/{_REV}", git.tree),
        Route(f"{_REPO}/tree/{_REV}/{{path:encoded_path}}", git.tree),
        Route(f"{_REPO}/paths-info/{_REV}", git.paths_info, methods=["POST"]),
        Route(f"{_REPO}/refs", git.refs),
        Route(f"{_REPO}/commits/{_REV}", git.commits),
        Route(f"{_REPO}/branch/{{branch:encoded}}", git.create_branch, methods=["POST"]),
        Route(f"{_REPO}/branch/{{branch:encoded}}", git.delete_branch, methods=["DELETE"]),
        Route(f"{_REPO}/tag/{_REV}", git.create_tag, methods=["POST"]),
        Route(f"{_REPO}/tag/{_REV}", git.delete_tag, methods=["DELETE"]),
        Route(f"{_REPO}/preupload/{_REV}", content.preupload, methods=["POST"]),
        Route(f"{_REPO}/commit/{_REV}", content.commit, methods=["POST"]),
        Route(f"{_REPO}/discussions", git.pulls),
        Route(f"{_REPO}/discussions", git.refuse_discussion, methods=["POST"]),
        Route(f"{_REPO}/discussions/{{number:encoded}}", git.pull),
        Route(f"{_REPO}/discussions/{{number:encoded}}/merge", git.merge_pull, methods=["POST"]),
        Route(f"{_REPO}/discussions/{{number:encoded}}/{{what:encoded}}", git.refuse_discussion, methods=["POST"]),
        Route(f"{_REPO}/xet-write-token/{_REV}", content.xet_token),
        Route(content.XET_ADVICE, content.no_xet),
        Route("/api/lfs-objects/{namespace}/{oid}", files.upload, methods=["PUT"]),
        Route("/api/lfs-objects/{namespace}/{oid}", files.download),
        Route(f"{_PAGE}.git/info/lfs/objects/batch", files.batch, methods=["POST"]),
        Route(f"{_PAGE}.git/info/lfs/objects/verify", files.verify, methods=["POST"]),
        Route(f"{_PAGE}/info/refs", files.info_refs),
        Route(f"{_PAGE}/git-upload-pack", files.upload_pack, methods=["POST"]),
        Route(f"{_PAGE}/git-receive-pack", files.receive_pack, methods=["POST"]),
        Route(f"{_PAGE}/discussions/{{number:encoded}}", git.pull_page),
        Route(_PAGE, pages.tree),
        Route(f"{_PAGE}/tree/{_REV}", pages.tree),
        Route(f"{_PAGE}/tree/{_REV}/{{path:encoded_path}}", pages.tree),
        Route(f"{_PAGE}/blob/{_REV}/{{path:encoded_path}}", pages.blob),
        Route(f"{_PAGE}/commits/{_REV}", pages.commits),
        Route(f"{_PAGE}/commit/{_REV}", pages.commit),
    ]


class _MatchRawPath:
    """Let routes see the path as it was sent."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app({**scope, "path": scope["raw_path"].decode("latin-1")}, receive, send)


class _ReportDefects:
    """Answer requests that failed for no fault of theirs. The server would close their connection as well."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watch(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except ClientDisconnect:
            return
        except Exception:
            if started:
                raise
            # Without the path: people have put tokens into one.
            logging.getLogger("uvicorn.error").exception("A %s request failed", scope.get("method"))
            error = HubError(500, "This Hub failed: its output says on what, and `lrat hub verify` looks for damage")
            await (await _hub_error(Request(scope, receive), error))(scope, receive, send)


def create_app(root: Path, *, user: str, hosts: Sequence[str] = ("*",)) -> Starlette:
    """The Hub in a folder that this process owns; what a killed server left behind is removed first.

    Args:
        root: The folder.
        user: The name of the Hub's owner.
        hosts: Names by which clients may call it; `*` for any.
    """
    store, objects = open_stores(root)
    store.recover()
    objects.recover()
    adopt_old_objects(root, store, objects)
    accounts = Accounts(root, user)
    # Starlette's type for them is that of handlers of any exception.
    handlers: dict[Any, Any] = {HubError: _hub_error, HTTPException: _unmatched, OSError: _storage_error}
    app = Starlette(
        routes=_routes(),
        # A page from elsewhere, whose name its owner lets point to this machine, must not read what is here.
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False),
            Middleware(_ReportDefects),
            Middleware(_MatchRawPath),
        ],
        exception_handlers=handlers,
    )
    # Starlette would answer /a/b/ by sending the client to /a/b, losing the encoding on the way.
    app.router.redirect_slashes = False
    app.state.hub = Hub(store, objects, accounts, Links(accounts.link_key()))
    return app


async def _hub_error(request: Request, error: HubError) -> Response:
    # Messages repeat what clients sent; in a header, only a short text of printable ASCII is safe.
    message = re.sub(r"[^ -~]", "?", error.message)[:500].strip()
    headers = {**error.headers, "X-Error-Message": message}
    if error.code is not None:
        headers["X-Error-Code"] = error.code
    error.headers = headers
    if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
        return await run_in_threadpool(routes_pages.error_page, request, error)
    return JSONResponse({"error": error.message}, error.status, headers)


async def _storage_error(request: Request, error: OSError) -> Response:
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        raise error
    return await _hub_error(request, HubError(507, "The disk of this Hub is full: nothing was changed"))


async def _unmatched(request: Request, error: HTTPException) -> Response:
    """A path that is no route, most often an id without namespace: `load_dataset("imdb")`."""
    path = request.scope["path"]
    if error.status_code != 404:
        return await _hub_error(request, HubError(error.status_code, error.detail, headers=dict(error.headers or {})))
    if path.startswith("/api/") and not path.startswith(tuple(f"/api/{kind}/" for kind in KINDS)):
        return await _hub_error(request, HubError(404, f"This Hub has no {path}", code="NotFound"))
    return await _hub_error(request, repo_not_found(unquote(path)))
