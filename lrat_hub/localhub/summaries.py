"""What lists and information say of a repository: filtered, sorted, and cut to what is asked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import pygit2
from starlette.datastructures import QueryParams

from lrat_hub.localhub.cards import card_data, without_front_matter
from lrat_hub.localhub.metadata import library_of, tags_of
from lrat_hub.localhub.protocol import HubError, RepoId, iso_date, not_here
from lrat_hub.localhub.repository import Repository
from lrat_hub.localhub.store import Settings
from lrat_hub.localhub.trees import Entry
from lrat_hub.localhub.wire import is_set

CARD = "README.md"
CONFIG_MAX_BYTES = 1024 * 1024
# To know what formats a dataset has.
FILES_LOOKED_AT = 1000

# Ours first, then what only huggingface.co counts or computes: nobody likes or downloads anything here.
_SORTS = ("lastModified", "createdAt")
_COUNTED = ("downloads", "likes", "trendingScore")
# What `expand` can ask of each kind, and what else huggingface.co has.
_EXPANDED = {
    kind: frozenset(names.split())
    for kind, names in {
        "models": """author baseModels cardData config createdAt disabled downloads downloadsAllTime gated lastModified
            library_name likes model-index pipeline_tag private sha siblings spaces tags trendingScore usedStorage
            widgetData""",
        "datasets": """author cardData citation createdAt description disabled downloads downloadsAllTime gated
            lastModified likes private sha siblings tags trendingScore usedStorage""",
        "spaces": """author cardData createdAt datasets disabled lastModified likes models private sdk sha siblings
            tags trendingScore usedStorage""",
    }.items()
}
_LACKS = """
    childrenModelCount evalResults gguf inference inferenceProviderMapping mask_token mainSize paperswithcode_id region
    resourceGroup runtime safetensors subdomain transformersInfo xetEnabled
"""
_NOT_EXPANDED = frozenset(_LACKS.split())


def summary(repository: Repository, settings: Settings, commit: pygit2.Commit) -> dict[str, Any]:
    """What a list and the information about one repository have in common."""
    repo = repository.id
    try:
        content = _of_commit(repository.path, repo, str(commit.id), settings.sdk)
    except HubError:
        # What a damaged card says is told by its own page alone.
        content = _of_commit(repository.path, repo, str(commit.id), settings.sdk, with_card=False)
    fields = {
        "_id": f"{repo.kind}/{repo}",
        "id": str(repo),
        "author": repo.namespace,
        "sha": str(commit.id),
        "createdAt": settings.created_at,
        "lastModified": iso_date(commit.commit_time),
        "private": settings.private,
        "gated": False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "trendingScore": 0,
    }
    if repo.kind == "models":
        fields["modelId"] = str(repo)
    if settings.sdk is not None:
        fields["sdk"] = settings.sdk
    return {**fields, **content}


@lru_cache(maxsize=4096)
def _of_commit(path: str, repo: RepoId, sha: str, sdk: str | None, *, with_card: bool = True) -> Mapping[str, Any]:
    repository = Repository(Path(path), repo)
    commit = repository.commit_at(sha)
    readme = repository.read(commit, CARD) if with_card else None
    card = (card_data(readme) if readme is not None else None) or {}
    text = without_front_matter(readme.decode(errors="replace")) if readme is not None else ""
    files = frozenset(entry.path for entry in islice(repository.files(commit), FILES_LOOKED_AT))
    fields: dict[str, Any] = {"tags": tags_of(repo, card, text, files, sdk)}
    if card:
        fields["cardData"] = card
    if repo.kind == "models":
        libraries, task = library_of(card, files), card.get("pipeline_tag")
        if libraries and libraries[0] != "safetensors":
            fields["library_name"] = libraries[0]
        if isinstance(task, str):
            fields["pipeline_tag"] = task
    return fields


def siblings(repository: Repository, commit: pygit2.Commit, *, blobs: bool) -> list[dict[str, Any]]:
    """The files of a commit, with their hashes and sizes if `blobs`."""
    return [_sibling(entry, blobs) for entry in repository.files(commit)]


def _sibling(entry: Entry, blobs: bool) -> dict[str, Any]:
    if not blobs:
        return {"rfilename": entry.path}
    fields: dict[str, Any] = {"rfilename": entry.path, "blobId": entry.oid, "size": entry.size}
    if entry.pointer:
        fields["lfs"] = {"sha256": entry.etag, "size": entry.size, "pointerSize": entry.blob_size}
    return fields


def is_wanted(fields: Mapping[str, Any], query: QueryParams) -> bool:
    """Whether a list that is asked for with a query has this repository."""
    name, tags = fields["id"].lower(), {tag.lower() for tag in fields["tags"]}
    author, task, gated = query.get("author"), query.get("pipeline_tag"), query.get("gated")
    filters = [part for text in query.getlist("filter") for part in text.lower().split(",") if part]
    return (
        (not author or author.lower() == fields["author"].lower())
        and (not task or task == fields.get("pipeline_tag"))
        # Nothing here is gated.
        and (gated is None or not is_set(gated))
        and all(text.lower() in name for text in query.getlist("search"))
        and all(tag in tags for tag in filters)
    )


def ordered(listed: list[dict[str, Any]], query: QueryParams) -> list[dict[str, Any]]:
    """A list in the order that is asked for; by name if none is.

    Raises:
        HubError: 400 for an order that there is none.
    """
    sort, direction = query.get("sort"), query.get("direction")
    if direction not in (None, "-1", "1"):
        raise HubError(400, f"Malformed request: expected -1 or 1 as direction, found {direction[:50]!r}")
    if sort is None:
        return sorted(listed, key=lambda fields: fields["id"])
    if sort not in _SORTS and sort not in _COUNTED:
        known = ", ".join((*_SORTS, *_COUNTED))
        raise HubError(400, f"Malformed request: expected one of {known} as sort, found {sort[:50]!r}")
    # Counts are all zero, and the latest is first among equals.
    key = sort if sort in _SORTS else "lastModified"
    return sorted(
        sorted(listed, key=lambda fields: fields["id"]), key=lambda fields: fields[key], reverse=direction != "1"
    )


def check_expand(kind: str, query: QueryParams) -> list[str]:
    """The properties that `expand` asks for.

    Raises:
        HubError: 501 for what only huggingface.co has, 400 for what is unknown, or together with what it replaces.
    """
    names = query.getlist("expand") + query.getlist("expand[]")
    for name in names:
        if name in _NOT_EXPANDED:
            raise not_here(f"{name} of repositories")
        if name not in _EXPANDED[kind]:
            known = ", ".join(sorted(_EXPANDED[kind]))
            raise HubError(400, f"Malformed request: expected one of {known} as expand, found {name[:50]!r}")
    if names and any(is_set(query.get(other)) for other in ("full", "cardData", "config", "blobs")):
        raise HubError(400, "Malformed request: expand says all that is wanted, and goes with nothing else")
    return names


def expanded(
    fields: dict[str, Any], names: list[str], repository: Repository, commit: pygit2.Commit
) -> dict[str, Any]:
    """Only what `expand` asks for, and the id."""
    card = fields.get("cardData", {})
    everything = {
        **fields,
        "downloadsAllTime": 0,
        "spaces": [],
        **{key: card[key] for key in ("datasets", "models", "citation", "model-index") if key in card},
    }
    for name in names:
        match name:
            case "siblings":
                everything[name] = siblings(repository, commit, blobs=False)
            case "usedStorage":
                everything[name] = used_storage(repository, commit)
            case "config":
                everything[name] = config_of(repository, commit)
            case "widgetData":
                everything[name] = card.get("widget")
            case "baseModels":
                tags = [tag.removeprefix("base_model:") for tag in fields["tags"] if tag.startswith("base_model:")]
                everything[name] = {"models": [{"id": tag} for tag in tags if ":" not in tag]} if tags else None
            case "description":
                everything[name] = card.get("pretty_name")
    kept = {"_id", "id", "modelId", *names}
    return {key: value for key, value in everything.items() if key in kept}


def used_storage(repository: Repository, commit: pygit2.Commit) -> int:
    """The bytes of the large files of all revisions, and of the other files of one."""
    small = sum(entry.size for entry in repository.files(commit) if not entry.pointer)
    return small + sum(pointer.size for pointer in repository.pointers(lenient=True))


def config_of(repository: Repository, commit: pygit2.Commit) -> dict[str, Any] | None:
    """What lists tell of a `config.json`."""
    entry = repository.find(commit, "config.json")
    if entry is None or entry.is_folder or entry.pointer or entry.size > CONFIG_MAX_BYTES:
        return None
    try:
        config = json.loads(repository.content(entry))
    except (ValueError, RecursionError, HubError):
        return None
    if not isinstance(config, dict):
        return None
    return {key: config[key] for key in ("architectures", "model_type") if key in config}


def storage_of(repository: Repository, settings: Settings, commit: pygit2.Commit) -> dict[str, Any]:
    """What `hf repos ls` shows of a repository."""
    repo = repository.id
    return {
        "id": str(repo),
        "type": repo.kind[:-1],
        "visibility": "private" if settings.private else "public",
        "updatedAt": iso_date(commit.commit_time),
        "storage": repository.totals(commit)[1],
    }
