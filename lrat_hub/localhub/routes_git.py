"""Endpoints about git: trees, paths, history, comparisons, branches, tags, and large files as git knows them."""

from __future__ import annotations

from html import escape
from itertools import islice
from typing import Any
from urllib.parse import quote

import pygit2
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse

from lrat_hub.localhub.access import hub_of, readable, repo_named, repo_of, require_user, writable
from lrat_hub.localhub.protocol import MAIN, HubError, entry_not_found, iso_date
from lrat_hub.localhub.repository import Repository, title_of
from lrat_hub.localhub.routes_discussions import diff_text
from lrat_hub.localhub.trees import Entry
from lrat_hub.localhub.wire import (
    check_known,
    is_set,
    kind_field,
    list_field,
    page_of,
    read_form,
    takes_json,
    text_field,
)

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
    check_known("field", form, ("paths", "expand"))
    return await run_in_threadpool(_paths_info, request, form)


def _paths_info(request: Request, form: dict[str, list[str]]) -> JSONResponse:
    repository = readable(request)
    commit = repository.commit_at(request.path_params["revision"])
    paths = [path.strip("/") for path in form.get("paths", [])]
    if len(paths) > PATHS_MAX:
        raise HubError(413, f"Too many paths: expected at most {PATHS_MAX}, found {len(paths)}")
    entries = [entry for path in dict.fromkeys(paths) if (entry := repository.find(commit, path))]
    expand = is_set(form.get("expand", [""])[0])
    described = _described(repository, commit, entries, expand)
    for fields in described:
        # Clients copy between repositories only what has such a hash, and give it back to us with the sha256. Not in
        # trees: there it would make them look for a Xet server.
        if "lfs" in fields:
            fields["xetHash"] = fields["lfs"]["oid"]
    return JSONResponse(described)


def refs(request: Request) -> JSONResponse:
    repository, folders = readable(request), {"branches": "heads", "tags": "tags"}
    if is_set(request.query_params.get("include_prs")):
        folders["pullRequests"] = "pr"
    answer: dict[str, Any] = {
        key: [
            {"name": name, "ref": f"refs/{folder}/{name}", "targetCommit": sha}
            for name, sha in repository.references(folder).items()
        ]
        for key, folder in folders.items()
    }
    return JSONResponse({**answer, "converts": []})


def commits(request: Request) -> JSONResponse:
    repository = readable(request)
    commit = repository.commit_at(request.path_params["revision"])
    here = f"/api/{repository.id.kind}/{repository.id}/commits/{commit.id}"
    page, headers = page_of(request, repository.history(commit), size=COMMITS_PAGE, path=here)
    described = [_commit_fields(item) for item in page]
    expand = request.query_params.getlist("expand[]")
    if set(expand) - {"formatted"}:
        raise HubError(400, f"Malformed request: expected formatted as expand, found {expand[0][:50]!r}")
    for fields in described if expand else []:
        fields["formatted"] = {key: escape(fields[key]) for key in ("title", "message")}
    return JSONResponse(described, headers=headers)


@takes_json(writable, fields="startingPoint", lacks="emptyBranch overwrite")
def create_branch(request: Request, data: dict[str, Any]) -> JSONResponse:
    start = text_field(data, "startingPoint", MAIN)
    with hub_of(request).store.change(repo_of(request)) as repository:
        repository.create_branch(request.path_params["branch"], repository.commit_at(start))
    return JSONResponse({})


def delete_branch(request: Request) -> JSONResponse:
    with hub_of(request).store.change(writable(request)) as repository:
        repository.delete_branch(request.path_params["branch"])
    return JSONResponse({})


@takes_json(writable, fields="tag message")
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


def _described(
    repository: Repository, commit: pygit2.Commit, entries: list[Entry], expand: bool
) -> list[dict[str, Any]]:
    described = []
    for entry in entries:
        fields: dict[str, Any] = {"type": "file", "oid": entry.oid, "size": entry.size, "path": entry.path}
        if entry.is_folder:
            fields["type"] = "directory"
        elif entry.pointer:
            fields["lfs"] = {"oid": entry.etag, "size": entry.size, "pointerSize": entry.blob_size}
        described.append(fields)
    if expand:
        last = repository.last_commits(commit, [entry.path for entry in entries])
        for fields in described:
            changed = last.get(fields["path"], commit)
            date = iso_date(changed.commit_time)
            fields["lastCommit"] = {"id": str(changed.id), "title": title_of(changed.message), "date": date}
    return described


def _commit_fields(commit: pygit2.Commit) -> dict[str, Any]:
    return {
        "id": str(commit.id),
        "title": title_of(commit.message),
        "message": commit.message.partition("\n")[2].strip(),
        "date": iso_date(commit.commit_time),
        "authors": [{"user": commit.author.name}],
    }


def compare(request: Request) -> JSONResponse | PlainTextResponse:
    """What one revision has over another: `BASE..HEAD`, or `BASE...HEAD` from the commit that they have in common."""
    repository, text = readable(request), request.path_params["revision"]
    dots = "..." if "..." in text else ".."
    base, found, head = text.partition(dots)
    if not found:
        raise HubError(400, f"Malformed comparison: expected BASE..HEAD, found {text[:100]!r}")
    old: pygit2.Commit | None = repository.commit_at(base or MAIN)
    new = repository.commit_at(head or MAIN)
    if dots == "...":
        old = repository.common(old, new)
    if is_set(request.query_params.get("raw")):
        return PlainTextResponse(diff_text(repository.patches(old, new)))
    files = [{"path": patch.path, "status": patch.status} for patch in islice(repository.patches(old, new), PATHS_MAX)]
    commits = [_commit_fields(commit) for commit in repository.commits_since(old, new, COMMITS_PAGE)]
    return JSONResponse(
        {"base": str(old.id) if old else None, "head": str(new.id), "commits": commits, "files": files}
    )


@takes_json(writable, fields="message")
def squash(request: Request, data: dict[str, Any]) -> JSONResponse:
    branch = request.path_params["revision"]
    message = text_field(data, "message", f"Squash {branch}")
    with hub_of(request).store.change(repo_of(request)) as repository:
        sha = repository.squash(branch, message, require_user(request).name)
    return JSONResponse({"commitId": sha})


def lfs_files(request: Request) -> JSONResponse:
    """The large files that the branches, tags and pull requests of a repository have now, each object once."""
    repository, found = readable(request), {}
    for folder in ("heads", "tags", "pr"):
        for name, sha in repository.references(folder).items():
            commit = repository.commit_at(sha)
            for entry in repository.files(commit):
                if entry.pointer:
                    fields = {
                        "fileOid": entry.pointer.oid,
                        "oid": entry.pointer.oid,
                        "filename": entry.path,
                        "size": entry.pointer.size,
                        "pushedAt": iso_date(commit.commit_time),
                        "ref": f"refs/{folder}/{name}",
                    }
                    found.setdefault(entry.pointer.oid, fields)
    here = f"/api/{repository.id.kind}/{repository.id}/lfs-files"
    page, headers = page_of(request, found.values(), size=TREE_PAGE, path=here)
    return JSONResponse(page, headers=headers)


@takes_json(readable, fields="target files")
def duplicate_lfs_files(request: Request, data: dict[str, Any]) -> JSONResponse:
    """Give large files of a repository to the namespace of another, for a commit that copies them there."""
    target = data.get("target")
    if not isinstance(target, dict):
        raise HubError(400, "Malformed request: expected an object as target")
    check_known("field", target, ("type", "name"))
    to = writable(request, repo_named(request, text_field(target, "name"), kind_field(target, "type")))
    files = list_field(data, "files")
    if len(files) > PATHS_MAX:
        raise HubError(413, f"Too many files: expected at most {PATHS_MAX}, found {len(files)}")
    repository, objects = readable(request), hub_of(request).objects
    source = objects.of(repository.id.namespace)
    known = {pointer.oid: pointer for pointer in repository.pointers(lenient=True)}
    answer: dict[str, list[dict[str, str]]] = {"success": [], "failed": []}
    for file in files:
        check_known("field", file, ("sha256", "xetHash", "filename"))
        oid = text_field(file, "sha256")
        try:
            source.share(known[oid], objects.of(to.namespace))
            answer["success"].append({"sha256": oid})
        except (KeyError, FileNotFoundError):
            answer["failed"].append({"sha256": oid, "error": "no such object in this repository"})
    return JSONResponse(answer)
