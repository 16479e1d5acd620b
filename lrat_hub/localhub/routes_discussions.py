"""Endpoints of discussions and pull requests.

Whoever has a token that may write somewhere can open and comment them where they may read; merging, and closing those
of others, is for those who may write in the repository.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from lrat_hub.localhub.access import (
    hub_of,
    may_write,
    participant,
    readable,
    repo_of,
    require_user,
    writable,
)
from lrat_hub.localhub.discussions import TITLE_MAX_CHARS, Discussion, Discussions, check_text
from lrat_hub.localhub.patches import Patch
from lrat_hub.localhub.protocol import MAIN, HubError, iso_date, parse_number
from lrat_hub.localhub.repository import Repository, title_of
from lrat_hub.localhub.wire import endpoint_of, is_set, number, takes_json, text_field, truth_field

PULLS_PAGE = 50
DIFF_MAX_CHARS = 1024 * 1024


def listed(request: Request) -> JSONResponse:
    repository, query = readable(request), request.query_params
    kind, status, author = (query.get(key) for key in ("type", "status", "author"))
    _check_choice("type", kind, ("all", "discussion", "pull_request"))
    _check_choice("status", status, ("all", "open", "closed"))
    known = Discussions(repository)
    wanted = []
    for each in known.numbers():
        try:
            discussion = known.read(each)
        except HubError:
            # It is damaged, and says so on its own page.
            continue
        is_open = discussion.status in ("open", "draft")
        if (
            kind in (None, "all", "pull_request" if discussion.base else "discussion")
            and status in (None, "all", "open" if is_open else "closed")
            and author in (None, discussion.author)
        ):
            wanted.append(discussion)
    start = PULLS_PAGE * number(request, "p", 0)
    shown = [_fields(repository, each) for each in wanted[start : start + PULLS_PAGE]]
    return JSONResponse({"count": len(wanted), "start": start, "discussions": shown})


def details(request: Request) -> JSONResponse:
    repository = readable(request)
    known = Discussions(repository)
    discussion = known.read(discussion_number(request))
    return JSONResponse(_details(known, repository, discussion, with_diff=is_set(request.query_params.get("diff"))))


@takes_json(participant, fields="title description pullRequest")
def create(request: Request, data: dict[str, Any]) -> JSONResponse:
    author, is_pull = require_user(request).name, bool(truth_field(data, "pullRequest"))
    repo = repo_of(request)
    with hub_of(request).store.change(repo) as repository:
        known = Discussions(repository)
        opened = known.begin(
            text_field(data, "title"),
            author,
            description=text_field(data, "description", ""),
            base=MAIN if is_pull else None,
            status="draft" if is_pull else "open",
        )
        if is_pull:
            repository.begin_pull(opened.number, MAIN)
        known.save(opened)
        page = f"{endpoint_of(request)}/{repo.url_path}/discussions/{opened.number}"
        return JSONResponse({**_fields(repository, opened), "url": page, "pullRequest": is_pull})


@takes_json(participant, fields="comment", lacks="replyTo parentId")
def comment(request: Request, data: dict[str, Any]) -> JSONResponse:
    with _changed(request) as (discussion, _):
        return JSONResponse(
            {"newMessage": discussion.comment(require_user(request).name, text_field(data, "comment"))}
        )


@takes_json(participant, fields="title")
def rename(request: Request, data: dict[str, Any]) -> JSONResponse:
    title = check_text(text_field(data, "title"), TITLE_MAX_CHARS)
    with _changed(request, by_author=True) as (discussion, _):
        change = {"from": discussion.title, "to": title}
        discussion.title = title
        return JSONResponse({"newTitle": discussion.add("title-change", require_user(request).name, change)})


@takes_json(participant, fields="status comment")
def set_status(request: Request, data: dict[str, Any]) -> JSONResponse:
    status = text_field(data, "status")
    if status not in ("open", "closed"):
        raise HubError(400, f"Malformed request: expected open or closed as status, found {status[:50]!r}")
    with _changed(request, by_author=True) as (discussion, _):
        if discussion.status == "merged":
            raise HubError(409, f"Pull request {discussion.number} is merged: its status stays")
        if discussion.status == status:
            raise HubError(409, f"Discussion {discussion.number} is {status} already")
        user = require_user(request).name
        _add_comment(discussion, user, data)
        discussion.status = status
        return JSONResponse({"newStatus": discussion.add("status-change", user, {"status": status})})


@takes_json(writable, fields="comment")
def merge(request: Request, data: dict[str, Any]) -> JSONResponse:
    user = require_user(request).name
    with _changed(request) as (discussion, known):
        if discussion.base is None:
            raise HubError(400, f"Discussion {discussion.number} is no pull request: it has nothing to merge")
        before = discussion.status
        merged = known.merge(discussion, author=user)
        if before != "merged":
            _add_comment(discussion, user, data)
            discussion.add("status-change", user, {"status": "merged"})
        return JSONResponse({"mergeCommitId": merged})


@takes_json(participant, fields="content")
def edit_comment(request: Request, data: dict[str, Any]) -> JSONResponse:
    user, text = require_user(request).name, check_text(text_field(data, "content"))
    with _changed(request) as (discussion, _):
        found = discussion.find_comment(request.path_params["comment"])
        if found["author"]["name"] != user:
            raise HubError(403, "A comment can be edited by who wrote it")
        if found["data"]["hidden"]:
            raise HubError(409, "A hidden comment can't be edited")
        found["data"]["latest"] |= {"raw": text}
        found["data"] |= {"edited": True, "numEdits": found["data"]["numEdits"] + 1}
        return JSONResponse({"updatedComment": found})


@takes_json(participant)
def hide_comment(request: Request, data: dict[str, Any]) -> JSONResponse:
    user = require_user(request).name
    with _changed(request) as (discussion, _):
        found = discussion.find_comment(request.path_params["comment"])
        if found["author"]["name"] != user and not may_write(request):
            raise HubError(403, "A comment can be hidden by who wrote it, and by those who may write here")
        # Its text is gone: this can't be undone.
        found["data"] |= {"hidden": True, "hiddenBy": user, "history": []}
        found["data"]["latest"] |= {"raw": "This comment has been hidden"}
        return JSONResponse({"updatedComment": found})


@contextlib.contextmanager
def _changed(request: Request, *, by_author: bool = False) -> Iterator[tuple[Discussion, Discussions]]:
    """The discussion that the path names, with the lock of its repository held; saved afterwards.

    Args:
        by_author: Whether only its author, and those who may write in the repository, may do this.
    """
    with hub_of(request).store.change(repo_of(request)) as repository:
        known = Discussions(repository)
        discussion = known.read(discussion_number(request))
        if by_author and discussion.author != require_user(request).name and not may_write(request):
            raise HubError(403, "This is for who opened the discussion, and for those who may write here")
        yield discussion, known
        known.save(discussion)


def _add_comment(discussion: Discussion, author: str, data: dict[str, Any]) -> None:
    text = text_field(data, "comment", "")
    if text.strip():
        discussion.comment(author, text)


def _check_choice(key: str, value: str | None, choices: tuple[str, ...]) -> None:
    if value is not None and value not in choices:
        raise HubError(400, f"Malformed request: expected one of {', '.join(choices)} as {key}, found {value[:50]!r}")


def discussion_number(request: Request) -> int:
    """The number of the discussion that the path names."""
    text = request.path_params["number"]
    parsed = parse_number(text)
    if not parsed:
        raise HubError(404, f"No discussion {text[:50]}", code="EntryNotFound")
    return parsed


def _fields(repository: Repository, discussion: Discussion) -> dict[str, Any]:
    return {
        "title": discussion.title,
        "num": discussion.number,
        "author": {"name": discussion.author},
        "createdAt": discussion.created_at,
        "status": discussion.status,
        "repo": {"name": str(repository.id), "type": repository.id.kind[:-1]},
        "isPullRequest": discussion.base is not None,
        "numComments": sum(event["type"] == "comment" for event in discussion.events),
    }


def _details(known: Discussions, repository: Repository, discussion: Discussion, *, with_diff: bool) -> dict[str, Any]:
    fields = {**_fields(repository, discussion), "events": discussion.events}
    if discussion.base is None:
        return fields
    commits = [
        {
            "id": str(commit.id)[:24],
            "type": "commit",
            "createdAt": iso_date(commit.commit_time),
            "author": {"name": commit.author.name},
            "data": {"subject": title_of(commit.message), "oid": str(commit.id)},
        }
        for commit in known.commits(discussion)
    ]
    # Those of one second keep their order: the description of a pull request comes before its commits.
    fields["events"] = sorted([*discussion.events, *commits], key=lambda event: event["createdAt"])
    fields["filesWithConflicts"] = known.conflicts(discussion)
    fields["changes"] = {"base": f"refs/heads/{discussion.base}"}
    if discussion.merge_commit:
        fields["changes"]["mergeCommitId"] = discussion.merge_commit
    if with_diff:
        fields["diff"] = diff_text(repository.patches(known.start(discussion), known.tip(discussion)))
    return fields


def diff_text(patches: Iterator[Patch]) -> str:
    """Patches as git writes them, up to a length; what is no text is named."""
    parts, left = [], DIFF_MAX_CHARS
    for patch in patches:
        text = patch.text
        if text is None:
            path = patch.path
            text = f"diff --git a/{path} b/{path}\nBinary files a/{path} and b/{path} differ\n"
        parts.append(text[:left])
        left -= len(text)
        if left <= 0:
            parts.append("\n(the rest is left out)\n")
            break
    return "".join(parts)
