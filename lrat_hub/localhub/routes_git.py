"""Endpoints about git: trees, paths, history, branches, tags, and pull requests."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pygit2
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from lrat_hub.localhub.access import hub_of, readable, repo_of, require_user, writable
from lrat_hub.localhub.objects import Pointer
from lrat_hub.localhub.protocol import HubError, entry_not_found, iso_date, parse_number
from lrat_hub.localhub.repository import MAIN, Repository
from lrat_hub.localhub.trees import Entry
from lrat_hub.localhub.wire import is_set, page_of, read_form, takes_json, text_field

# As on huggingface.co; clients follow the links.
TREE_PAGE = 1000
TREE_PAGE_EXPANDED = 50
COMMITS_PAGE = 1000
PATHS_MAX = 1000
PULLS_PAGE = 50


def tree(request: Request) -> JSONResponse:
    repository = readable(request)
    commit = repository.commit_at(request.path_params["revision"])
    path = request.path_params.get("path", "").strip("/")
    tree_id, prefix = str(commit.tree_id), ""
    if path:
        folder = repository.entry(commit, path)
        if not folder.is_folder:
            raise entry_not_found(path, str(commit.id))
        tree_id, prefix = folder.oid, f"{path}/"
    query = request.query_params
    expand = is_set(query.get("expand"))
    entries = repository.walk(tree_id, prefix=prefix, recursive=is_set(query.get("recursive")))
    here = f"/api/{repository.id.kind}/{repository.id}/tree/{commit.id}/{quote(path, safe='')}".rstrip("/")
    page, headers = page_of(request, entries, size=TREE_PAGE_EXPANDED if expand else TREE_PAGE, path=here)
    return JSONResponse(_described(repository, commit, page, expand), headers=headers)


async def paths_info(request: Request) -> JSONResponse:
    form = await read_form(request)
    return await run_in_threadpool(_paths_info, request, form)


def _paths_info(request: Request, form: dict[str, list[str]]) -> JSONResponse:
    repository = readable(request)
    commit = repository.commit_at(request.path_params["revision"])
    paths = [path.strip("/") for path in form.get("paths", [])]
    if len(paths) > PATHS_MAX:
        raise HubError(413, f"Too many paths: expected at most {PATHS_MAX}, found {len(paths)}")
    entries = [entry for path in dict.fromkeys(paths) if (entry := repository.find(commit, path))]
    expand = is_set(form.get("expand", [""])[0])
    return JSONResponse(_described(repository, commit, entries, expand))


def refs(request: Request) -> JSONResponse:
    repository = readable(request)
    answer: dict[str, Any] = {
        key: [
            {"name": name, "ref": f"refs/{folder}/{name}", "targetCommit": sha}
            for name, sha in repository.references(folder).items()
        ]
        for key, folder in (("branches", "heads"), ("tags", "tags"), ("pullRequests", "pr"))
    }
    return JSONResponse({**answer, "converts": []})


def commits(request: Request) -> JSONResponse:
    repository = readable(request)
    commit = repository.commit_at(request.path_params["revision"])
    here = f"/api/{repository.id.kind}/{repository.id}/commits/{commit.id}"
    page, headers = page_of(request, repository.history(commit), size=COMMITS_PAGE, path=here)
    return JSONResponse([_commit_fields(item) for item in page], headers=headers)


@takes_json(writable)
def create_branch(request: Request, data: dict[str, Any]) -> JSONResponse:
    start = text_field(data, "startingPoint", MAIN)
    with hub_of(request).store.change(repo_of(request)) as repository:
        repository.create_branch(request.path_params["branch"], repository.commit_at(start))
    return JSONResponse({})


def delete_branch(request: Request) -> JSONResponse:
    with hub_of(request).store.change(writable(request)) as repository:
        repository.delete_branch(request.path_params["branch"])
    return JSONResponse({})


@takes_json(writable)
def create_tag(request: Request, data: dict[str, Any]) -> JSONResponse:
    name, message = text_field(data, "tag"), text_field(data, "message", "")
    with hub_of(request).store.change(repo_of(request)) as repository:
        target = repository.commit_at(request.path_params["revision"])
        repository.create_tag(name, target, message=message, author=require_user(request).name)
    return JSONResponse({})


def delete_tag(request: Request) -> JSONResponse:
    with hub_of(request).store.change(writable(request)) as repository:
        repository.delete_tag(request.path_params["revision"])
    return JSONResponse({})


def lfs_fields(entry: Entry, pointer: Pointer, oid_key: str) -> dict[str, Any]:
    return {oid_key: pointer.oid, "size": pointer.size, "pointerSize": entry.blob_size}


def _described(
    repository: Repository, commit: pygit2.Commit, entries: list[Entry], expand: bool
) -> list[dict[str, Any]]:
    described = []
    for entry in entries:
        fields: dict[str, Any] = {"type": "file", "oid": entry.oid, "size": entry.size, "path": entry.path}
        if entry.is_folder:
            fields["type"] = "directory"
        elif entry.pointer:
            fields["lfs"] = lfs_fields(entry, entry.pointer, "oid")
        described.append(fields)
    if expand:
        last = repository.last_commits(commit, [entry.path for entry in entries])
        for fields in described:
            changed = last[fields["path"]]
            date = iso_date(changed.commit_time)
            fields["lastCommit"] = {"id": str(changed.id), "title": title_of(changed), "date": date}
    return described


def title_of(commit: pygit2.Commit) -> str:
    return commit.message.partition("\n")[0]


def _commit_fields(commit: pygit2.Commit) -> dict[str, Any]:
    return {
        "id": str(commit.id),
        "title": title_of(commit),
        "message": commit.message.partition("\n")[2].strip(),
        "date": iso_date(commit.commit_time),
        "authors": [{"user": commit.author.name}],
    }


# Pull requests are references `refs/pr/N` and nothing else: as much as it takes to see what a client proposed, and to
# merge it. There are no discussions, and an unwanted pull request is just not merged.


def pulls(request: Request) -> JSONResponse:
    repository, query = readable(request), request.query_params
    kind, status, author = query.get("type", "all"), query.get("status", "all"), query.get("author")
    numbers = sorted(map(int, repository.references("pr")), reverse=True) if kind in ("all", "pull_request") else []
    wanted = [
        pull
        for pull in (_pull_fields(repository, number) for number in numbers)
        if status in ("all", pull["status"]) and author in (None, pull["author"]["name"])
    ]
    start = PULLS_PAGE * (parse_number(query.get("p", "0")) or 0)
    shown = wanted[start : start + PULLS_PAGE]
    return JSONResponse({"count": len(wanted), "start": start, "discussions": shown})


def pull(request: Request) -> JSONResponse:
    fields = _pull_fields(readable(request), _pull_number(request))
    return JSONResponse({**fields, "changes": {"base": MAIN}, "filesWithConflicts": [], "events": []})


def merge_pull(request: Request) -> JSONResponse:
    repo, author = writable(request), require_user(request).name
    with hub_of(request).store.change(repo) as repository:
        return JSONResponse({"mergeCommitId": repository.merge_pull(_pull_number(request), author=author)})


def refuse_discussion(request: Request) -> Response:
    writable(request)
    raise HubError(501, "This Hub has pull requests that can be merged, and no discussions: say it another way")


def pull_page(request: Request) -> Response:
    """Where the link that a client prints leads."""
    number = _pull_number(request)
    return RedirectResponse(f"{request.scope['path'].partition('/discussions/')[0]}/commits/refs%2Fpr%2F{number}")


def _pull_number(request: Request) -> int:
    text = request.path_params["number"]
    number = parse_number(text)
    if number is None:
        raise HubError(404, f"No pull request {text}", code="EntryNotFound")
    return number


def _pull_fields(repository: Repository, number: int) -> dict[str, Any]:
    tip = repository.commit_at(f"refs/pr/{number}")
    return {
        "title": title_of(tip),
        "num": number,
        "author": {"name": tip.author.name},
        "createdAt": iso_date(tip.commit_time),
        "status": "merged" if repository.pull_is_merged(tip) else "open",
        "repo": {"name": str(repository.id), "type": repository.id.kind[:-1]},
        "isPullRequest": True,
    }
