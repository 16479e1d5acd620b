"""The pages for people: repositories, cards, files, commits, discussions, lineage. Written by the server; no scripts.

A browser sends the token as a password, once somebody has followed `/login`. Pages only show, and change nothing.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

import pygit2
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from lrat_hub.localhub.access import caller, damage_apart, hub_of, may_see, visible
from lrat_hub.localhub.cards import card_data, render_card
from lrat_hub.localhub.discussions import Discussions
from lrat_hub.localhub.patches import Patch
from lrat_hub.localhub.protocol import HubError, RepoId, entry_not_found, iso_date
from lrat_hub.localhub.repository import Repository
from lrat_hub.localhub.routes_discussions import discussion_number
from lrat_hub.localhub.routes_files import IMAGE_TYPES, open_entry
from lrat_hub.localhub.routes_rows import preview
from lrat_hub.localhub.store import Settings
from lrat_hub.localhub.summaries import CARD, summary
from lrat_hub.localhub.trees import Entry
from lrat_hub.localhub.views import View, page
from lrat_hub.localhub.wire import endpoint_of, number

LINEAGE_FILE = "lineage.json"
# An input of a lineage: datasets/NAMESPACE/NAME@SHA#CONFIG:SPLIT, where all but the middle may be missing.
_PIN = re.compile(
    r"(?:(?P<kind>datasets|models)/)?(?P<namespace>[^/@\s]+)/(?P<name>[^/@\s]+)@(?P<sha>[0-9a-f]{40})"
    r"(?:#[\w.-]+)?(?::[\w.-]+)?"
)
FILES_PAGE = 500
COMMITS_PAGE = 100
CHANGES_SHOWN = 300
DIFF_SHOWN_CHARS = 300_000
TAGS_SHOWN = 8
DAMAGE_SHOWN = 20
TEXT_SHOWN_BYTES = 256 * 1024
# What the lines of a patch are, by their first character.
_LINES = {"+": "A", "-": "D", "@": "at"}


def index(request: Request) -> Response:
    """All repositories that the caller may see, those with the latest commits first."""
    search = request.query_params.get("search", "").strip()
    listed = []
    for settings, repository, commit in visible(request, password=True):
        with damage_apart(hub_of(request).store, repository.id):
            fields = summary(repository, settings, commit)
            words = f"{repository.id} {' '.join(fields['tags'])}".lower()
            if all(word in words for word in search.lower().split()):
                listed.append((commit.commit_time, _listed(settings, repository, commit, fields["tags"])))
    listed.sort(key=lambda item: (-item[0], item[1]["id"]))
    return page(request, "index", repositories=[row for _, row in listed], search=search)


def _listed(settings: Settings, repository: Repository, commit: pygit2.Commit, tags: list[str]) -> dict[str, Any]:
    repo, (files, size) = repository.id, repository.totals(commit)
    row = {"id": str(repo), "url": f"/{repo.url_path}", "kind": repo.kind[:-1], "private": settings.private}
    last = {key: _commit_fields(commit)[key] for key in ("title", "date")}
    return {**row, **last, "files": files, "size": size, "tags": tags[:TAGS_SHOWN]}


def login(request: Request) -> Response:
    """Makes a browser ask for a token, which it sends from then on."""
    if caller(request, password=True) is None:
        raise HubError(401, "Give any user name, and a token of this Hub as the password")
    return RedirectResponse("/")


def tree(request: Request) -> Response:
    """The files of a folder; for the root also the card, the lineage and what the repository is."""
    view = View(request)
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
    about = {"card": None} if path else _about(request, view)
    return view.render("tree", "files", entries=shown, more=more, **about)


def blob(request: Request) -> Response:
    """One file: its text, if it is one."""
    view = View(request)
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
    view = View(request)
    start = number(request, "cursor", 0)
    end = start + COMMITS_PAGE
    shown = [_commit_fields(commit) for commit in islice(view.repository.history(view.commit), start, end + 1)]
    return view.render(
        "commits", "commits", commits=shown[:COMMITS_PAGE], more=end if len(shown) > COMMITS_PAGE else None
    )


def commit(request: Request) -> Response:
    """What one commit changed."""
    view = View(request)
    parents = view.commit.parents
    patches = view.repository.patches(parents[0] if parents else None, view.commit)
    shown, cut = shown_patches(patches)
    return view.render("commit", "commits", commit=_commit_fields(view.commit), patches=shown, cut=cut)


def shown_patches(patches: Iterator[Patch]) -> tuple[list[dict[str, Any]], bool]:
    """Patches as a page shows them, line by line, and whether there are more of them."""
    shown, left = [], DIFF_SHOWN_CHARS
    for patch in islice(patches, CHANGES_SHOWN + 1):
        if len(shown) == CHANGES_SHOWN:
            return shown, True
        lines: list[tuple[str, str]] | None = None
        if patch.text is not None and len(patch.text) <= left:
            left -= len(patch.text)
            # What git says of the file stands above already.
            lines = [(_LINES.get(line[:1], ""), line) for line in patch.text.partition("\n@@")[2].splitlines()]
            if lines:
                lines[0] = "at", f"@@{lines[0][1]}"
        shown.append({"status": patch.status, "path": patch.path, "lines": lines, "is_text": patch.text is not None})
    return shown, False


def discussion(request: Request) -> Response:
    """A discussion, or a pull request with what it changes: where the link that a client prints leads."""
    view = View(request)
    known = Discussions(view.repository)
    found = known.read(discussion_number(request))
    proposed: dict[str, Any] = {"patches": [], "cut": False, "commits": [], "conflicts": []}
    if found.base is not None:
        patches, cut = shown_patches(view.repository.patches(known.start(found), known.tip(found)))
        commits = [_commit_fields(commit) for commit in known.commits(found)]
        proposed = {"patches": patches, "cut": cut, "commits": commits, "conflicts": known.conflicts(found)}
    return view.render("discussion", "discussions", discussion=found, **proposed)


def discussions(request: Request) -> Response:
    """The discussions and pull requests of a repository, the latest first."""
    view = View(request)
    known, start, shown = Discussions(view.repository), number(request, "cursor", 0), []
    numbers = known.numbers()
    for each in numbers[start : start + COMMITS_PAGE]:
        # One that is damaged says so on its own page.
        with contextlib.suppress(HubError):
            shown.append(known.read(each))
    more = start + COMMITS_PAGE if start + COMMITS_PAGE < len(numbers) else None
    return view.render("discussions", "discussions", discussions=shown, more=more)


def _use(view: View, card: Mapping[str, Any]) -> str:
    """The lines that load a repository, with the library that it is for."""
    files = {entry.path for entry in view.repository.walk(str(view.commit.tree_id), recursive=False)}
    name, sha = str(view.repo), view.sha
    if view.repo.kind == "datasets":
        configs = card.get("configs")
        names = (
            [each.get("config_name") for each in configs if isinstance(each, dict)]
            if isinstance(configs, list)
            else []
        )
        chosen = f', "{names[0]}"' if len(names) > 1 and isinstance(names[0], str) and names[0].isprintable() else ""
        return f'from datasets import load_dataset\n\nrows = load_dataset("{name}"{chosen}, revision="{sha}")'
    if view.repo.kind == "models" and "modules.json" in files:
        load = f'SentenceTransformer("{name}", revision="{sha}")'
        return f"from sentence_transformers import SentenceTransformer\n\nmodel = {load}"
    kind = "" if view.repo.kind == "models" else f', repo_type="{view.repo.kind[:-1]}"'
    load = f'snapshot_download("{name}"{kind}, revision="{sha}")'
    return f"from huggingface_hub import snapshot_download\n\nfolder = {load}"


def _about(request: Request, view: View) -> dict[str, Any]:
    repository, commit = view.repository, view.commit
    files, size = repository.totals(commit)
    card, lineage = _unless_damaged(view, CARD), _unless_damaged(view, LINEAGE_FILE)
    data = (card_data(card) if card is not None else None) or {}
    return {
        "files": files,
        "size": size,
        "damage": repository.damage(commit)[:DAMAGE_SHOWN],
        "revisions": [*repository.references("heads"), *repository.references("tags")],
        "tags": summary(repository, view.settings, commit)["tags"],
        "use": _use(view, data),
        "rows": preview(request, view) if view.has_rows else None,
        "clone": f"{endpoint_of(request)}{view.page}",
        "card": Markup(render_card(card.decode(errors="replace"), view.page, view.sha)) if card is not None else None,
        "lineage": _lineage(request, lineage) if lineage is not None else None,
    }


def _unless_damaged(view: View, path: str) -> bytes | None:
    try:
        return view.repository.read(view.commit, path)
    except HubError:
        # The page names it.
        return None


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
    try:
        settings = hub_of(request).store.settings(repo)
    except HubError:
        # That it is damaged is told on its own page.
        settings = None
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
        "date": iso_date(commit.commit_time),
        "parents": [str(parent) for parent in commit.parent_ids],
    }
