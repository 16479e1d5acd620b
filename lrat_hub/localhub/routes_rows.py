"""The pages of a dataset's rows: split by split, a row in full, and a trajectory as a run that people can read."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from lrat_hub.localhub.access import hub_of, objects_of
from lrat_hub.localhub.parquet import read_rows
from lrat_hub.localhub.protocol import HubError, entry_not_found
from lrat_hub.localhub.repository import Repository
from lrat_hub.localhub.routes_files import open_entry
from lrat_hub.localhub.trees import Entry
from lrat_hub.localhub.views import View
from lrat_hub.localhub.wire import number

ROWS_PAGE = 25
ROWS_PREVIEW = 5
SPLITS_SHOWN = 200
SHARDS_MAX = 10_000
SEARCH_MAX_CHARS = 200
FOLDED_CHARS = 160
# What the page of a run shows first, where the row has it.
RUN_FIELDS = ("trajectory_id", "query_id", "question", "gold_answer", "final_answer", "status", "correct")
TYPE_CHARS = 40
# Of files that are in git: larger ones are large files.
SMALL_MAX_BYTES = 64 * 1024 * 1024
_SHARD = re.compile(r"(?P<split>.+?)(-\d{5}-of-\d{5})?(-[0-9a-f]{16})?\.parquet")


def splits_of(repository: Repository, files: Iterator[Entry]) -> dict[str, list[Entry]]:
    """The Parquet files of a commit by their split: the path without the number of the shard."""
    found: dict[str, list[Entry]] = {}
    for entry in files:
        match = _SHARD.fullmatch(entry.path)
        if match and (match["split"] in found or len(found) < SPLITS_SHOWN):
            shards = found.setdefault(match["split"], [])
            if len(shards) < SHARDS_MAX:
                shards.append(entry)
    return found


def rows(request: Request) -> Response:
    """The rows of a split, or those in which a text is found."""
    view = View(request)
    splits = splits_of(view.repository, view.repository.files(view.commit))
    if not splits:
        raise HubError(404, f"{view.repo} has no Parquet files at {view.revision}", code="EntryNotFound")
    split = view.path or next(iter(splits))
    if split not in splits:
        raise entry_not_found(split, view.sha)
    search = request.query_params.get("search", "").strip()[:SEARCH_MAX_CHARS]
    start = number(request, "cursor", 0)
    answer = _read(request, view, splits[split], start, ROWS_PAGE, search or None)
    numbers = [place for place, _ in answer["rows"]]
    return view.render(
        "rows",
        "rows",
        splits=list(splits),
        split=split,
        search=search,
        start=start,
        numbers=numbers,
        table=table_of(answer),
        total=answer["total"],
        more=answer["next"],
    )


def row(request: Request) -> Response:
    """One row in full; a trajectory as its steps."""
    view = View(request)
    splits = splits_of(view.repository, view.repository.files(view.commit))
    if view.path not in splits:
        raise entry_not_found(view.path, view.sha)
    place = number(request, "row", 0)
    answer = _read(request, view, splits[view.path], place, 1, None)
    if not answer["rows"]:
        raise HubError(
            404, f"{view.path} has {answer['total']} rows, and none with number {place}", code="EntryNotFound"
        )
    values: dict[str, Any] = answer["rows"][0][1]
    types = {column["name"]: column["type"] for column in answer["columns"]}
    steps = values.get("steps") if _is_run(values) else None
    fields = [
        {"name": name, "type": types[name], "cell": cell(value, open_up=True)}
        for name, value in values.items()
        if steps is None or name != "steps"
    ]
    return view.render(
        "row",
        "rows",
        split=view.path,
        place=place,
        total=answer["total"],
        fields=fields,
        steps=[_step(step) for step in steps] if steps is not None else None,
        run=dict.fromkeys(RUN_FIELDS) | values if steps is not None else None,
    )


def preview(request: Request, view: View) -> dict[str, Any] | None:
    """The first rows of a dataset, for its page; None if there are none that can be read."""
    splits = splits_of(view.repository, view.repository.files(view.commit))
    if not splits:
        return None
    split = next(iter(splits))
    try:
        answer = _read(request, view, splits[split], 0, ROWS_PREVIEW, None)
    except HubError as error:
        return {"split": split, "splits": list(splits), "error": error.message}
    return {"split": split, "splits": list(splits), "table": table_of(answer), "total": answer["total"]}


def table_of(answer: dict[str, Any]) -> dict[str, Any]:
    """What the rows of an answer look like as a table."""
    names = [column["name"] for column in answer["columns"]]
    columns = [{**column, "type": _short(column["type"])} for column in answer["columns"]]
    rows = [{"number": place, "cells": [_of_row(values, name) for name in names]} for place, values in answer["rows"]]
    return {"columns": columns, "rows": rows, "left_out": answer["width"] - len(columns)}


def _of_row(values: dict[str, Any], name: str) -> Markup:
    if name == "steps" and _is_run(values):
        # Its row has all of them.
        actions = ", ".join(str(step.get("action")) for step in values[name])
        return cell(f"{len(values[name])} steps: {actions}")
    return cell(values[name])


def _short(kind: str) -> str:
    return kind if len(kind) <= TYPE_CHARS else f"{kind[:TYPE_CHARS]}…"


def cell(value: Any, *, open_up: bool = False) -> Markup:
    """A value as HTML: what is long is folded; a list or mapping shows as JSON."""
    if value is None:
        return Markup('<span class="soft">null</span>')
    if isinstance(value, str):
        text, kind = value, "text"
    elif isinstance(value, dict | list):
        text, kind = json.dumps(value, ensure_ascii=False, indent=1 if open_up else None), "json"
    else:
        return Markup('<span class="value">{}</span>').format(json.dumps(value))
    if len(text) <= FOLDED_CHARS:
        return Markup('<span class="{}">{}</span>').format(kind, text)
    if kind == "json" and not open_up:
        text = json.dumps(value, ensure_ascii=False, indent=1)
    head, state = " ".join(text[:FOLDED_CHARS].split()), Markup(" open") if open_up and kind == "text" else ""
    return Markup("<details{}><summary>{}…</summary><pre>{}</pre></details>").format(state, head, text)


def _is_run(values: dict[str, Any]) -> bool:
    steps = values.get("steps")
    return "trajectory_id" in values and isinstance(steps, list) and all(isinstance(step, dict) for step in steps)


def _step(step: dict[str, Any]) -> dict[str, Any]:
    """A step of a run: what it did, and the results of each of its queries."""
    queries = step.get("queries") if isinstance(step.get("queries"), list) else []
    lists: list[dict[str, Any]] = [{"query": query, "results": []} for query in queries or []]
    results = step.get("results")
    for result in results if isinstance(results, list) else []:
        place = result.get("query_index") if isinstance(result, dict) else None
        if isinstance(place, int) and 0 <= place < len(lists):
            lists[place]["results"].append({**result, "snippet": cell(result.get("snippet") or "")})
    texts = {key: step.get(key) for key in ("turn", "action", "docid", "error")}
    folded = {key: cell(step[key]) if step.get(key) else None for key in ("reasoning", "observation")}
    return {**texts, **folded, "lists": lists}


def _read(
    request: Request, view: View, shards: list[Entry], start: int, count: int, search: str | None
) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir=hub_of(request).objects.tmp) as copies:
        paths = [_on_disk(request, view.repository, entry, Path(copies)) for entry in shards]
        try:
            answer = read_rows(paths, start, count, search)
        except HubError:
            _check(request, view.repository, shards)
            raise
    # Only of what is shown: reading all shards of a split takes minutes, once a start of the Hub.
    _check(request, view.repository, [shards[number] for number in answer["read"]])
    return answer


def _on_disk(request: Request, repository: Repository, entry: Entry, copies: Path) -> Path:
    """A file of a repository by a path on the disk; closed, as a split may have more than a process may open."""
    if entry.pointer is not None:
        if not objects_of(request).has(entry.pointer):
            # Says what is missing.
            open_entry(request, repository, entry).close()
        return objects_of(request).path(entry.pointer.oid)
    if entry.size > SMALL_MAX_BYTES:
        raise HubError(422, f"{entry.path} is too long to be shown: download it")
    copy = copies / entry.oid
    copy.write_bytes(repository.content(entry))
    return copy


def _check(request: Request, repository: Repository, shards: list[Entry]) -> None:
    """Compare large files with their hashes, as every download does. Raises HubError for one that is damaged."""
    for entry in shards:
        open_entry(request, repository, entry).close()
