"""Endpoints about git: trees, paths, history, branches, tags."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pygit2
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse

from lrat_hub.localhub.access import hub_of, readable, require_user, writable
from lrat_hub.localhub.errors import HubError, entry_not_found
from lrat_hub.localhub.names import RepoId
from lrat_hub.localhub.objects import Pointer
from lrat_hub.localhub.repository import MAIN, Repository
from lrat_hub.localhub.trees import Entry
from lrat_hub.localhub.wire import is_set, page_of, read_form, read_json, text_field

# As on huggingface.co; clients follow the links.
TREE_PAGE = 1000
TREE_PAGE_EXPANDED = 50
COMMITS_PAGE = 1000
PATHS_MAX = 1000


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


async def create_branch(request: Request) -> JSONResponse:
    repo = writable(request)
    start = text_field(await read_json(request), "startingPoint", MAIN)
    return await run_in_threadpool(_create_branch, request, repo, start)


def _create_branch(request: Request, repo: RepoId, start: str) -> JSONResponse:
    with hub_of(request).store.change(repo) as repository:
        repository.create_branch(request.path_params["branch"], repository.commit_at(start))
    return JSONResponse({})


def delete_branch(request: Request) -> JSONResponse:
    with hub_of(request).store.change(writable(request)) as repository:
        repository.delete_branch(request.path_params["branch"])
    return JSONResponse({})


async def create_tag(request: Request) -> JSONResponse:
    repo = writable(request)
    data = await read_json(request)
    name, message = text_field(data, "tag"), text_field(data, "message", "")
    return await run_in_threadpool(_create_tag, request, repo, name, message)


def _create_tag(request: Request, repo: RepoId, name: str, message: str) -> JSONResponse:
    with hub_of(request).store.change(repo) as repository:
        target = repository.commit_at(request.path_params["revision"])
        repository.create_tag(name, target, message=message, author=require_user(request).name)
    return JSONResponse({})


def delete_tag(request: Request) -> JSONResponse:
    with hub_of(request).store.change(writable(request)) as repository:
        repository.delete_tag(request.path_params["revision"])
    return JSONResponse({})


def iso_date(commit: pygit2.Commit) -> str:
    return datetime.fromtimestamp(commit.commit_time, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


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
            found = last[fields["path"]]
            fields["lastCommit"] = {"id": str(found.id), "title": title_of(found), "date": iso_date(found)}
    return described


def title_of(commit: pygit2.Commit) -> str:
    return commit.message.partition("\n")[0]


def _commit_fields(commit: pygit2.Commit) -> dict[str, Any]:
    return {
        "id": str(commit.id),
        "title": title_of(commit),
        "message": commit.message.partition("\n")[2].strip(),
        "date": iso_date(commit),
        "authors": [{"user": commit.author.name}],
    }
