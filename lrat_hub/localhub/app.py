"""The application: which path leads to which endpoint, and how errors are told.

Names of branches and paths of files arrive percent-encoded, slashes included: `/tree/dev%2Fx/a%2Fb`. Routes are
therefore matched on the path as it was sent, and its parts decoded afterwards.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

import pygit2
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lrat_hub.localhub import (
    routes_commit,
    routes_discussions,
    routes_files,
    routes_git,
    routes_pages,
    routes_repos,
    routes_rows,
    views,
)
from lrat_hub.localhub.access import Hub, hub_of, repo_of, settings_for
from lrat_hub.localhub.links import Links
from lrat_hub.localhub.missing import refuse_path
from lrat_hub.localhub.protocol import KINDS, MAIN, RESERVED, HubError, damaged
from lrat_hub.localhub.root import Accounts
from lrat_hub.localhub.store import adopt_old_objects, open_stores
from lrat_hub.localhub.wire import DeclaredRoute


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
    """Never a word that begins the path of something else: `/datasets/me/rows/row/...` is of a dataset named rows."""

    regex = f"(?!(?:{'|'.join(sorted(RESERVED))})/)" + _Encoded.regex


class _EncodedPath(_Encoded):
    regex = "(?:(?!%00).)+"


register_url_convertor("kind", _Kind())
register_url_convertor("prefix", _Prefix())
register_url_convertor("encoded", _Encoded())
register_url_convertor("namespace", _Namespace())
register_url_convertor("encoded_path", _EncodedPath())

_REQUEST_NAME = re.compile(rb"[A-Za-z0-9=;:_.-]{1,128}")
# With less room than this, a write that failed without a reason has failed for want of room.
FREE_BYTES = 16 * 1024
# Of the files of a repository that are damaged, in an answer.
DAMAGE_NAMED = 5
# What git says of a disk that is full, or a quota.
FULL = (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT))
_REPO = "/api/{kind:kind}/{namespace:encoded}/{name:encoded}"
_PAGE = "/{kind:prefix}{namespace:namespace}/{name:encoded}"
_REV = "{revision:encoded}"

_LIST = "author search filter sort direction limit cursor full expand expand[] gated"
_LIST_LACKS = "apps inference inference_provider num_parameters linked datasets models emissions benchmark"


def routes() -> list[DeclaredRoute]:
    repos, git, content, files, pages = routes_repos, routes_git, routes_commit, routes_files, routes_pages
    talk, rows, route = routes_discussions, routes_rows, DeclaredRoute
    discussion = f"{_REPO}/discussions/{{number:encoded}}"
    return [
        # First, as most requests are for it, and routes are tried one after the other.
        route(f"{_PAGE}/resolve/{_REV}/{{path:encoded_path}}", files.resolve, "download"),
        route("/", pages.index, "search"),
        route("/login", pages.login),
        route("/api/style.css", views.style),
        route("/api/whoami-v2", repos.whoami),
        route("/api/agent-harnesses", repos.harnesses),
        route("/api/settings/repositories", repos.storage, "limit cursor"),
        route("/api/organizations/{namespace:encoded}/settings/repositories", repos.storage, "limit cursor"),
        route("/api/repos/create", repos.create, method="POST"),
        route("/api/repos/delete", repos.delete, method="DELETE"),
        route("/api/repos/move", repos.move, method="POST"),
        route("/api/validate-yaml", repos.validate_yaml, method="POST"),
        route("/api/{kind:kind}", repos.list_repos, f"{_LIST} pipeline_tag cardData config", _LIST_LACKS),
        route(_REPO, repos.info, "blobs expand expand[]", "securityStatus"),
        route(f"{_REPO}/revision/{_REV}", repos.info, "blobs expand expand[]", "securityStatus"),
        route(f"{_REPO}/settings", repos.update_settings, method="PUT"),
        route(f"{_REPO}/duplicate", repos.duplicate, method="POST"),
        route(f"{_REPO}/auth-check", repos.auth_check),
        route(f"{_REPO}/auth-check/write", repos.auth_check_write),
        route(f"{_REPO}/tree/{_REV}", git.tree, "recursive expand limit cursor"),
        route(f"{_REPO}/tree/{_REV}/{{path:encoded_path}}", git.tree, "recursive expand limit cursor"),
        route(f"{_REPO}/paths-info/{_REV}", git.paths_info, method="POST"),
        route(f"{_REPO}/refs", git.refs, "include_prs"),
        route(f"{_REPO}/commits/{_REV}", git.commits, "limit cursor expand[]"),
        route(f"{_REPO}/compare/{_REV}", git.compare, "raw"),
        route(f"{_REPO}/super-squash/{_REV}", git.squash, method="POST"),
        route(f"{_REPO}/lfs-files", git.lfs_files, "limit cursor"),
        route(f"{_REPO}/lfs-files/duplicate", git.duplicate_lfs_files, method="POST"),
        route(f"{_REPO}/branch/{{branch:encoded}}", git.create_branch, method="POST"),
        route(f"{_REPO}/branch/{{branch:encoded}}", git.delete_branch, method="DELETE"),
        route(f"{_REPO}/tag/{_REV}", git.create_tag, method="POST"),
        route(f"{_REPO}/tag/{_REV}", git.delete_tag, method="DELETE"),
        route(f"{_REPO}/preupload/{_REV}", content.preupload, "create_pr", method="POST"),
        route(f"{_REPO}/commit/{_REV}", content.commit, "create_pr", "hot_reload", method="POST"),
        route(f"{_REPO}/discussions", talk.listed, "type status author p"),
        route(f"{_REPO}/discussions", talk.create, method="POST"),
        route(discussion, talk.details, "diff"),
        route(f"{discussion}/comment", talk.comment, method="POST"),
        route(f"{discussion}/title", talk.rename, method="POST"),
        route(f"{discussion}/status", talk.set_status, method="POST"),
        route(f"{discussion}/merge", talk.merge, method="POST"),
        route(f"{discussion}/comment/{{comment}}/edit", talk.edit_comment, method="POST"),
        route(f"{discussion}/comment/{{comment}}/hide", talk.hide_comment, method="POST"),
        route(f"{_REPO}/xet-write-token/{_REV}", content.xet_token, "create_pr"),
        route(content.XET_ADVICE, content.no_xet, "create_pr"),
        route("/api/lfs-objects/{namespace}/{oid}", files.upload, "size expires signature by", method="PUT"),
        route("/api/lfs-objects/{namespace}/{oid}", files.download, "size expires signature"),
        route(f"{_PAGE}.git/info/lfs/objects/batch", files.batch, method="POST"),
        route(f"{_PAGE}.git/info/lfs/objects/verify", files.verify, method="POST"),
        route(f"{_PAGE}/info/refs", files.info_refs, "service"),
        route(f"{_PAGE}/git-upload-pack", files.fetch, method="POST"),
        route(f"{_PAGE}/git-receive-pack", files.receive_pack, method="POST"),
        route(f"{_PAGE}/raw/{_REV}/{{path:encoded_path}}", files.raw, "download"),
        route(f"{_PAGE}/discussions", pages.discussions, "cursor"),
        route(f"{_PAGE}/discussions/{{number:encoded}}", pages.discussion),
        route(f"{_PAGE}/rows/{_REV}", rows.rows, "cursor search"),
        route(f"{_PAGE}/rows/{_REV}/{{path:encoded_path}}", rows.rows, "cursor search"),
        route(f"{_PAGE}/row/{_REV}/{{path:encoded_path}}", rows.row, "row"),
        route(_PAGE, pages.tree, "cursor"),
        route(f"{_PAGE}/tree/{_REV}", pages.tree, "cursor"),
        route(f"{_PAGE}/tree/{_REV}/{{path:encoded_path}}", pages.tree, "cursor"),
        route(f"{_PAGE}/blob/{_REV}/{{path:encoded_path}}", pages.blob),
        route(f"{_PAGE}/commits/{_REV}", pages.commits, "cursor"),
        route(f"{_PAGE}/commit/{_REV}", pages.commit),
    ]


class _MatchRawPath:
    """Let routes see the path as it was sent."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app({**scope, "path": scope["raw_path"].decode("latin-1")}, receive, send)


class _NameRequest:
    """Give each answer the name of its request, which clients show, and refuse bodies that have two lengths."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = {name: value for name, value in scope["headers"] if name in (b"x-request-id", b"x-amzn-trace-id")}
        name = next((value for value in given.values() if _REQUEST_NAME.fullmatch(value)), uuid4().hex.encode())

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", []), (b"x-request-id", name)]}
            await send(message)

        # Whoever passes requests on might read them by the other one.
        if {b"content-length", b"transfer-encoding"} <= {header for header, _ in scope["headers"]}:
            refusal = JSONResponse({"error": "A body has a length, or comes in chunks"}, 400, {"Connection": "close"})
            await refusal(scope, receive, named)
            return
        await self._app(scope, receive, named)


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
    handlers: dict[Any, Any] = {
        HubError: _hub_error,
        HTTPException: _unmatched,
        OSError: _storage_error,
        pygit2.GitError: _git_error,
    }
    app = Starlette(
        routes=routes(),
        # A page from elsewhere, whose name its owner lets point to this machine, must not read what is here.
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False),
            Middleware(_NameRequest),
            Middleware(_ReportDefects),
            Middleware(_MatchRawPath),
        ],
        exception_handlers=handlers,
    )
    # Starlette would answer /a/b/ by sending the client to /a/b, losing the encoding on the way.
    app.router.redirect_slashes = False
    app.state.hub = Hub(store, objects, accounts, Links(accounts.link_key()))
    return app


async def _git_error(request: Request, error: pygit2.GitError) -> Response:
    free = (await run_in_threadpool(shutil.disk_usage, hub_of(request).store.root)).free
    # For some writes, libgit2 gives no reason.
    if any(reason in str(error) for reason in FULL) or free < FREE_BYTES:
        return await _storage_error(request, OSError(errno.ENOSPC, str(error)))
    gone = await run_in_threadpool(_has_gone, request)
    if gone is None:
        logging.getLogger("uvicorn.error").error("A %s request found damage: %s", request.method, error)
        named = await run_in_threadpool(_damaged_files, request)
        gone = damaged(
            f"{named or 'Something in the repository'} is damaged ({error}): "
            "publish it again, or see `lrat hub verify`"
        )
    return await _hub_error(request, gone)


def _damaged_files(request: Request) -> str:
    """The files that can't be read at the revision that a request is about."""
    try:
        repository = hub_of(request).store.open(repo_of(request))
        revision = request.path_params.get("revision") or MAIN
        return ", ".join(repository.damage(repository.commit_at(revision))[:DAMAGE_NAMED])
    except (HubError, KeyError, pygit2.GitError):
        return ""


def _has_gone(request: Request) -> HubError | None:
    """The answer if somebody has deleted, or moved, the repository that a request is about since it began."""
    if not {"kind", "namespace", "name"} <= set(request.path_params):
        return None
    try:
        settings_for(request, password=True)
    except HubError as error:
        return error
    return None


async def _hub_error(request: Request, error: HubError) -> Response:
    # Messages repeat what clients sent; in a header, only a short text of printable ASCII is safe.
    message = re.sub(r"[^ -~]", "?", error.message)[:500].strip()
    headers = {**error.headers, "X-Error-Message": message}
    if error.code is not None:
        headers["X-Error-Code"] = error.code
    error.headers = headers
    if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
        return await run_in_threadpool(views.error_page, request, error)
    if request.headers.get("user-agent", "").startswith("git/"):
        # Git shows its user an answer in this form only.
        return PlainTextResponse(f"{error.message}\n", error.status, headers)
    return JSONResponse({"error": error.message}, error.status, headers)


async def _storage_error(request: Request, error: OSError) -> Response:
    if isinstance(error, FileNotFoundError) and (gone := await run_in_threadpool(_has_gone, request)):
        return await _hub_error(request, gone)
    # libgit2 gives the reason as text alone.
    if error.errno not in (errno.ENOSPC, errno.EDQUOT) and not any(reason in str(error) for reason in FULL):
        raise error
    return await _hub_error(request, HubError(507, "The disk of this Hub is full: nothing was changed"))


async def _unmatched(request: Request, error: HTTPException) -> Response:
    if error.status_code != 404:
        return await _hub_error(request, HubError(error.status_code, error.detail, headers=dict(error.headers or {})))
    try:
        await run_in_threadpool(refuse_path, request)
    except HubError as refusal:
        return await _hub_error(request, refusal)
    raise error
