"""What the pages for people have in common: their templates, and a repository at the revision that a page is about."""

from __future__ import annotations

from functools import cached_property, lru_cache
from itertools import islice
from typing import Any
from urllib.parse import quote

import jinja2
import pygit2
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from lrat_hub.localhub.access import caller, hub_of, repo_of, settings_for
from lrat_hub.localhub.protocol import MAIN, HubError
from lrat_hub.localhub.repository import Repository

# To know whether a dataset has rows.
FILES_LOOKED_AT = 1000
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class View:
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

    @cached_property
    def has_rows(self) -> bool:
        """Whether there are rows to show."""
        looked_at = islice(self.repository.files(self.commit), FILES_LOOKED_AT)
        return self.repo.kind == "datasets" and any(entry.path.endswith(".parquet") for entry in looked_at)

    def render(self, template: str, tab: str, **values: Any) -> Response:
        parts = self.path.split("/") if self.path else []
        folders = [{"name": part, "path": "/".join(parts[: depth + 1])} for depth, part in enumerate(parts)]
        return page(
            self._request,
            template,
            **{"repo": self.repo, "kind": self.repo.kind[:-1], "private": self.settings.private, "tab": tab},
            **{"page": self.page, "path": self.path, "folders": folders, "has_rows": self.has_rows},
            **{"revision": self.revision, "sha": self.sha, **values},
        )


def style(request: Request) -> Response:
    return Response(_style(), media_type="text/css", headers={"Cache-Control": "max-age=600"})


def error_page(request: Request, error: HubError) -> Response:
    """An error for somebody at a browser."""
    headers = dict(error.headers)
    if error.status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="lrat hub: the token as password"'
    return page(request, "error", error.status, headers, status=error.status, message=error.message)


def page(
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
    templates.filters["minute"] = lambda date: f"{date[:10]} {date[11:16]} UTC"
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
