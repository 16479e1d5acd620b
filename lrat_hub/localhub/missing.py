"""What is not here: paths that lead nowhere are told whether it is the repository, or what is asked of it."""

from __future__ import annotations

from typing import NoReturn
from urllib.parse import unquote

from starlette.requests import Request

from lrat_hub.localhub.access import settings_for
from lrat_hub.localhub.protocol import KINDS, HubError, not_here, repo_not_found

# The words below a repository that need a revision, or more.
PAGES = frozenset({"resolve", "raw", "tree", "blob", "commits", "commit", "discussions", "revision", "rows", "row"})
# What huggingface.co has and this Hub has not, by the beginning of its path; the documentation has the same table.
LACKS = {
    "/api/collections": "collections",
    "/api/jobs": "Jobs",
    "/api/scheduled-jobs": "scheduled Jobs",
    "/api/buckets": "buckets",
    "/api/kernels": "kernels",
    "/api/settings/webhooks": "webhooks",
    "/api/papers": "papers",
    "/api/daily_papers": "papers",
    "/api/users": "pages and likes of users",
    "/api/organizations": "pages and roles of organisations",
    "/api/models-tags-by-type": "catalogue of tags",
    "/api/datasets-tags-by-type": "catalogue of tags",
    "/api/resolve-cache": "cache of resolved files",
    "/api/inference": "inference",
}
# The same for what is below a repository.
REPO_LACKS = {
    "like": "likes",
    "likers": "likes",
    "user-access-request": "gated repositories",
    "ask-access": "gated repositories",
    "lfs-files": "removal of single large files: delete them, squash, and run `lrat hub gc`",
    "resource-group": "resource groups",
    "secrets": "Spaces that run",
    "variables": "Spaces that run",
    "runtime": "Spaces that run",
    "hardware": "Spaces that run",
    "sleeptime": "Spaces that run",
    "pause": "Spaces that run",
    "restart": "Spaces that run",
    "dev-mode": "Spaces that run",
    "logs": "Spaces that run",
    "volumes": "Spaces that run",
    "leaderboard": "leaderboards",
    "safetensors-metadata": "metadata of safetensors files",
    "xet-read-token": "Xet storage",
    "parquet": "conversion to Parquet: files are what was pushed",
    "croissant": "Croissant metadata",
    "scan": "scans of files",
    "treesize": "sizes of folders",
}


def refuse_path(request: Request) -> NoReturn:
    """Say what it is that is not here: an endpoint, or a repository."""
    path: str = request.scope["path"]
    if "%00" in path:
        raise HubError(400, "Malformed path: names end with zeros in git, and hold none")
    if not path.startswith("/"):
        # `*`, which stands for the server as a whole.
        raise HubError(400, f"Malformed path: expected one that starts with /, found {path[:200]!r}")
    parts = [unquote(part) for part in path.split("/")[1:]]
    below_api = parts[0] == "api"
    kind = parts[1] if below_api and len(parts) > 1 else parts[0]
    if below_api and kind not in KINDS:
        for start, name in LACKS.items():
            if f"{path}/".startswith(f"{start}/"):
                raise not_here(name)
        raise HubError(404, f"This Hub has no {path[:200]}", code="NotFound")
    rest = parts[2:] if below_api else parts[1:] if kind in KINDS else parts
    if len(rest) > 2:
        request.scope["path_params"] = {
            "kind": kind if kind in KINDS else "models",
            "namespace": rest[0],
            "name": rest[1].removesuffix(".git"),
        }
        # Raises if there is none, or none that the caller may see: that looks the same whatever is below it.
        settings_for(request, password=not below_api)
        if path.endswith("/") and request.method in ("GET", "HEAD"):
            # As people write addresses of folders; below a repository that is here, so never one of another host.
            query = request.scope["query_string"].decode("latin-1")
            raise HubError(307, "No path ends with /", headers={"Location": f"{path.rstrip('/')}?{query}".rstrip("?")})
        what = rest[2]
        if what in PAGES:
            raise HubError(404, f"There is nothing at {path[:200]}", code="EntryNotFound")
        raise not_here(REPO_LACKS.get(what, f"{request.method} /{'/'.join(rest[2:])[:200]} of repositories"))
    if below_api and kind == "spaces" and rest and rest[0] in ("templates", "hardware", "semantic-search", "zero-gpu"):
        raise not_here(f"{rest[0]} of Spaces")
    # Most often an id without namespace: `load_dataset("imdb")`.
    raise repo_not_found()
