"""The pages for people: repositories, their files and cards, commits, lineage. Written by the server; no scripts.

A browser sends the token as a password, once somebody has followed `/login`. Pages only show, and change nothing.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

import jinja2
import pygit2
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from lrat_hub.localhub.access import caller, damage_apart, hub_of, may_see, repo_of, settings_for, visible
from lrat_hub.localhub.cards import card_data, render_card
from lrat_hub.localhub.protocol import HubError, RepoId, entry_not_found
from lrat_hub.localhub.repository import MAIN, Repository
from lrat_hub.localhub.routes_files import IMAGE_TYPES, open_entry
from lrat_hub.localhub.store import Settings
from lrat_hub.localhub.trees import Entry
from lrat_hub.localhub.wire import endpoint_of, number

CARD = "README.md"
LINEAGE_FILE = "lineage.json"
# An input of a lineage: datasets/NAMESPACE/NAME@SHA#CONFIG:SPLIT, where all but the middle may be missing.
_PIN = re.compile(
    r"(?:(?P<kind>datasets|models)/)?(?P<namespace>[^/@\s]+)/(?P<name>[^/@\s]+)@(?P<sha>[0-9a-f]{40})"
    r"(?:#[\w.-]+)?(?::[\w.-]+)?"
)
FILES_PAGE = 500
COMMITS_PAGE = 100
CHANGES_SHOWN = 1000
TEXT_SHOWN_BYTES = 256 * 1024
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def index(request: Request) -> Response:
    """All repositories that the caller may see, those with the latest commits first."""
    search = request.query_params.get("search", "").strip()
    listed = []
    for settings, repository, commit in visible(request, password=True):
        repo = repository.id
        if search.lower() not in str(repo).lower():
            continue
        with damage_apart(hub_of(request).store, repo):
            listed.append(_listed(settings, repository, commit))
    listed.sort(key=lambda item: (-item[0], item[1]["id"]))
    return _page(request, "index", repositories=[row for _, row in listed], search=search)


def _listed(settings: Settings, repository: Repository, commit: pygit2.Commit) -> tuple[int, dict[str, Any]]:
    repo, (files, size) = repository.id, repository.totals(commit)
    row = {"id": str(repo), "url": f"/{repo.url_path}", "kind": repo.kind[:-1], "private": settings.private}
    last = {key: _commit_fields(commit)[key] for key in ("title", "date")}
    return commit.commit_time, {**row, **last, "files": files, "size": size}


def login(request: Request) -> Response:
    """Makes a browser ask for a token, which it sends from then on."""
    if caller(request, password=True) is None:
        raise HubError(401, "Give any user name, and a token of this Hub as the password")
    return RedirectResponse("/")


def tree(request: Request) -> Response:
    """The files of a folder; for the root also the card, the lineage and what the repository is."""
    view = _View(request)
    repository, commit, path = view.repository, view.commit, view.path
    tree_id = str(commit.tree_id)
    if path:
        folder = repository.entry(commit, path)
        if not folder.is_folder:
            return RedirectResponse(f"{view.page}/blob/{quote(view.revision, safe='')}/{quote(path)}")
        tree_id = folder.oid
    entries = sorted(repository.walk(tree_id, recursive=False), key=lambda entry: not entry.is_folder)
    start = number(request, "cursor", 0)
    shown = [_entry_fields(entry, path) for entry in entries[start : start + FILES_PAGE]]
    more = start + FILES_PAGE if start + FILES_PAGE < len(entries) else None
    return view.render(
        "tree", "files", entries=shown, more=more, **({"card": None} if path else _about(request, view))
    )


def blob(request: Request) -> Response:
    """One file: its text, if it is one."""
    view = _View(request)
    entry = view.repository.entry(view.commit, view.path)
    if entry.is_folder:
        raise entry_not_found(view.path, view.sha)
    picture = PurePosixPath(view.path).suffix.lower() in IMAGE_TYPES
    text, cut, card = None, False, None
    if not picture:
        with open_entry(request, view.repository, entry) as content:
            text, cut = _text(content.read(TEXT_SHOWN_BYTES + 1))
        if text is not None and not cut and view.path.lower().endswith(".md"):
            card = Markup(render_card(text, view.page, view.sha))
    raw = f"{view.page}/resolve/{view.sha}/{quote(view.path)}"
    return view.render("blob", "files", entry=entry, raw=raw, text=text, cut=cut, picture=picture, card=card)


def commits(request: Request) -> Response:
    """The history of a revision."""
    view = _View(request)
    start = number(request, "cursor", 0)
    end = start + COMMITS_PAGE
    shown = [_commit_fields(commit) for commit in islice(view.repository.history(view.commit), start, end + 1)]
    return view.render(
        "commits", "commits", commits=shown[:COMMITS_PAGE], more=end if len(shown) > COMMITS_PAGE else None
    )


def commit(request: Request) -> Response:
    """What one commit changed."""
    view = _View(request)
    parents = view.commit.parents
    patches = view.repository.patches(parents[0] if parents else None, view.commit)
    changes = [(patch.status, patch.path) for patch in islice(patches, CHANGES_SHOWN + 1)]
    shown, cut = changes[:CHANGES_SHOWN], len(changes) > CHANGES_SHOWN
    return view.render("commit", "commits", commit=_commit_fields(view.commit), changes=shown, cut=cut)


def discussion(request: Request) -> Response:
    """Where the link that a client prints leads."""
    number = request.path_params["number"]
    return RedirectResponse(f"{request.scope['path'].partition('/discussions/')[0]}/commits/refs%2Fpr%2F{number}")


def style(request: Request) -> Response:
    return Response(_style(), media_type="text/css", headers={"Cache-Control": "max-age=600"})


def error_page(request: Request, error: HubError) -> Response:
    """An error for somebody at a browser."""
    headers = dict(error.headers)
    if error.status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="lrat hub: the token as password"'
    return _page(request, "error", error.status, headers, status=error.status, message=error.message)


class _View:
    """A repository at the revision of a request, and what every page about it shows."""

    def __init__(self, request: Request) -> None:
        self.settings = settings_for(request, password=True)
        params = request.path_params
        self.repo = repo_of(request)
        self.repository: Repository = hub_of(request).store.open(self.repo)
        self.revision: str = params.get("revision", MAIN)
        self.commit: pygit2.Commit = self.repository.commit_at(self.revision)
        self.sha = str(self.commit.id)
        self.path: str = params.get("path", "").strip("/")
        self.page = f"/{self.repo.url_path}"
        self._request = request

    def render(self, template: str, tab: str, **values: Any) -> Response:
        parts = self.path.split("/") if self.path else []
        folders = [{"name": part, "path": "/".join(parts[: depth + 1])} for depth, part in enumerate(parts)]
        return _page(
            self._request,
            template,
            **{"repo": self.repo, "kind": self.repo.kind[:-1], "private": self.settings.private, "tab": tab},
            **{"page": self.page, "path": self.path, "folders": folders},
            **{"revision": self.revision, "sha": self.sha, **values},
        )


def _about(request: Request, view: _View) -> dict[str, Any]:
    repository, commit = view.repository, view.commit
    files, size = repository.totals(commit)
    card, lineage = repository.read(commit, CARD), repository.read(commit, LINEAGE_FILE)
    tags = ((card_data(card) if card is not None else None) or {}).get("tags")
    use = {"datasets": 'load_dataset("{}", revision="{}")', "models": 'snapshot_download("{}", revision="{}")'}
    return {
        "files": files,
        "size": size,
        "revisions": [*repository.references("heads"), *repository.references("tags")],
        "tags": tags if isinstance(tags, list) else [],
        "use": use[view.repo.kind].format(view.repo, view.sha) if view.repo.kind in use else None,
        "clone": f"{endpoint_of(request)}{view.page}",
        "card": Markup(render_card(card.decode(errors="replace"), view.page, view.sha)) if card is not None else None,
        "lineage": _lineage(request, lineage) if lineage is not None else None,
    }


def _lineage(request: Request, content: bytes) -> dict[str, Any] | None:
    """The stage that made an artifact, and its inputs, with links to those that the caller may see here."""
    try:
        lineage = json.loads(content)
    except (ValueError, RecursionError):
        return None
    match lineage:
        case {"stage": str(stage), "inputs": dict(inputs)} if all(isinstance(text, str) for text in inputs.values()):
            described = [{"name": name, "text": text, **_link(request, text)} for name, text in inputs.items()]
            return {"stage": stage, "inputs": described}
    return None


def _link(request: Request, text: str) -> dict[str, Any]:
    """Where an input of a lineage can be seen; `missing` if it is a pin of what is not here, or not for the caller."""
    pin = _PIN.fullmatch(text)
    repo = RepoId(pin["kind"] or "models", pin["namespace"], pin["name"]) if pin else None
    if pin is None or repo is None or not repo.valid:
        return {"url": None, "missing": False}
    settings = hub_of(request).store.settings(repo)
    seen = settings is not None and may_see(caller(request, password=True), repo, settings)
    return {"url": f"/{repo.url_path}/tree/{pin['sha']}" if seen else None, "missing": not seen}


def _text(content: bytes) -> tuple[str | None, bool]:
    """The text that content is, up to what is shown, and whether it goes on; None if it is no text."""
    shown, cut = content[:TEXT_SHOWN_BYTES], len(content) > TEXT_SHOWN_BYTES
    if b"\0" in shown:
        return None, cut
    try:
        # The last character may be cut in two.
        return shown.decode(errors="ignore" if cut else "strict"), cut
    except UnicodeDecodeError:
        return None, cut


def _entry_fields(entry: Entry, folder: str) -> dict[str, Any]:
    path = f"{folder}/{entry.path}" if folder else entry.path
    return {"name": entry.path, "path": path, "is_folder": entry.is_folder, "size": entry.size}


def _commit_fields(commit: pygit2.Commit) -> dict[str, Any]:
    title, _, body = commit.message.partition("\n")
    return {
        "id": str(commit.id),
        "title": title,
        "body": body.strip(),
        "author": commit.author.name,
        "date": datetime.fromtimestamp(commit.commit_time, UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "parents": [str(parent) for parent in commit.parent_ids],
    }


def _page(
    request: Request, template: str, code: int = 200, headers: dict[str, str] | None = None, /, **values: Any
) -> Response:
    try:
        account = caller(request, password=True)
    except HubError:
        account = None
    text = _templates().get_template(f"{template}.html").render(account=account, **values)
    return HTMLResponse(text, code, {**HEADERS, **(headers or {})})


@lru_cache(maxsize=1)
def _templates() -> jinja2.Environment:
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("lrat_hub.localhub", "pages"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    templates.filters["bytes"] = _readable_size
    templates.filters["segment"] = lambda text: quote(text, safe="")
    return templates


@lru_cache(maxsize=1)
def _style() -> str:
    loader = _templates().loader
    assert loader is not None
    return loader.get_source(_templates(), "style.css")[0]


def _readable_size(size: int) -> str:
    value, units = float(size), ["B", "kB", "MB", "GB", "TB"]
    while value >= 999.5 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{value:.0f} {units[0]}" if units[0] == "B" or value >= 100 else f"{value:.1f} {units[0]}"
