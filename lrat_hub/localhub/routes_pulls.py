"""Endpoints about pull requests: as much as it takes to see what a client proposed, and to merge it.

They are references `refs/pr/N` and nothing else: there are no discussions, and an unwanted one is just not merged.
"""

from __future__ import annotations

from typing import Any

import pygit2
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from lrat_hub.localhub.access import hub_of, readable, require_user, writable
from lrat_hub.localhub.errors import HubError
from lrat_hub.localhub.repository import MAIN, Repository
from lrat_hub.localhub.routes_git import iso_date, title_of

PULLS_PAGE = 50


def pulls(request: Request) -> JSONResponse:
    repository, query = readable(request), request.query_params
    wanted = {"type": query.get("type", "all"), "status": query.get("status", "all"), "author": query.get("author")}
    found = [_fields(repository, number) for number in sorted(map(int, repository.references("pr")), reverse=True)]
    found = [
        pull
        for pull in found
        if wanted["type"] in ("all", "pull_request")
        and wanted["status"] in ("all", pull["status"])
        and wanted["author"] in (None, pull["author"]["name"])
    ]
    page = query.get("p", "0")
    start = PULLS_PAGE * int(page) if page.isascii() and page.isdecimal() and len(page) < 9 else 0
    shown = found[start : start + PULLS_PAGE]
    return JSONResponse({"count": len(found), "start": start, "discussions": shown})


def details(request: Request) -> JSONResponse:
    fields = _fields(readable(request), _number(request))
    return JSONResponse({**fields, "changes": {"base": MAIN}, "filesWithConflicts": [], "events": []})


async def merge(request: Request) -> JSONResponse:
    repo, author = writable(request), require_user(request).name

    def merge_it() -> str:
        with hub_of(request).store.change(repo) as repository:
            return repository.merge_pull(_number(request), author=author)

    return JSONResponse({"mergeCommitId": await run_in_threadpool(merge_it)})


def refuse(request: Request) -> Response:
    writable(request)
    raise HubError(501, "This Hub has pull requests that can be merged, and no discussions: say it another way")


def page(request: Request) -> Response:
    """Where the link that a client prints leads."""
    number = _number(request)
    return RedirectResponse(f"{request.scope['path'].partition('/discussions/')[0]}/commits/refs%2Fpr%2F{number}")


def _number(request: Request) -> int:
    text = request.path_params["number"]
    if not (text.isascii() and text.isdecimal() and len(text) < 9):
        raise HubError(404, f"No pull request {text}", code="EntryNotFound")
    return int(text)


def _fields(repository: Repository, number: int) -> dict[str, Any]:
    tip: pygit2.Commit = repository.commit_at(f"refs/pr/{number}")
    return {
        "title": title_of(tip),
        "num": number,
        "author": {"name": tip.author.name},
        "createdAt": iso_date(tip),
        "status": "merged" if repository.pull_is_merged(tip) else "open",
        "repo": {"name": str(repository.id), "type": repository.id.kind[:-1]},
        "isPullRequest": True,
    }
