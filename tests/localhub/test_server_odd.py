"""Odd things that somebody in good faith may push: each is served as it is, or refused by name, and none fails."""

from __future__ import annotations

import datetime
import decimal
import io
import os
import shutil
import subprocess
import unicodedata
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from requests_by_hand import commit, put

from lrat_hub.localhub import LocalHub
from lrat_hub.localhub.maintenance import verify

if TYPE_CHECKING:
    import httpx2
    from huggingface_hub import HfApi

_numbers = count()

ODD: dict[str, tuple[pa.Table, str, str]] = {
    "decimals": (pa.table({"a": [decimal.Decimal("1.75"), None]}), "1.75", "1.75"),
    "maps": (pa.table({"a": pa.array([[("key", 7)], []], pa.map_(pa.string(), pa.int64()))}), "key", "key"),
    "lists of a length": (pa.table({"a": pa.array([[1, 2], [3, 7]], pa.list_(pa.int8(), 2))}), "[3, 7]", "7"),
    "dates": (pa.table({"a": [datetime.date(2024, 2, 29)]}), "2024-02-29", "02-29"),
    "dates before Christ": (pa.table({"a": pa.array([-99_999_999, 7], pa.date32())}), "1970-01-08", "1970"),
    "zones that are nowhere": (
        pa.table({"a": pa.array([7], pa.timestamp("us", tz="No/Where")), "b": ["text"]}),
        "be shown",
        "text",
    ),
    "views of texts": (pa.table({"a": pa.array(["needle"], pa.string_view())}), "needle", "needle"),
    "uuids": (
        pa.table({"a": pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"7" * 16], pa.binary(16)))}),
        "37373737-3737",
        "3737-3737",
    ),
    "no UTF-8": (
        pa.table(
            {
                "a": pa.Array.from_buffers(
                    pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\3\0\0\0"), pa.py_buffer(b"\xed\xa0\x80")]
                ),
                "b": ["text"],
            }
        ),
        "be shown",
        "text",
    ),
    "5,000 columns": (pa.table({f"c{n}": [n] for n in range(5000)}), "4800 more are in the file", "199"),
    "a huge text": (pa.table({"a": ["x" * 2_000_000 + "end"]}), "more)", "xxend"),
    "names that are mark-up": (pa.table({"<b>": ["x"], "": ["y"], "{{7*7}}": ["z"]}), "{{7*7}}", "z"),
}


def pushed(http: httpx2.Client, api: HfApi, *tables: pa.Table) -> str:
    name = api.create_repo(f"lrat/odd-{next(_numbers)}", repo_type="dataset").repo_id
    for number, table in enumerate(tables):
        content = io.BytesIO()
        pq.write_table(table, content)
        path = f"train-{number:05d}-of-{len(tables):05d}.parquet"
        api.upload_file(repo_id=name, repo_type="dataset", path_in_repo=path, path_or_fileobj=content.getvalue())
    return f"/datasets/{name}"


@pytest.mark.parametrize("name", ODD)
def test_rows_of_odd_types_are_shown_and_found(http: httpx2.Client, api: HfApi, name: str) -> None:
    from html import unescape

    table, shown, search = ODD[name]
    page = pushed(http, api, table)
    for path in (page, f"{page}/rows/main", f"{page}/row/main/train"):
        assert http.get(path).status_code == 200, path
    assert shown in unescape(http.get(f"{page}/rows/main").text)
    assert "row/main" in http.get(f"{page}/rows/main", params={"search": search}).text
    assert "row/main" not in http.get(f"{page}/rows/main", params={"search": "not there"}).text


def test_a_split_without_rows_says_so(http: httpx2.Client, api: HfApi) -> None:
    page = pushed(http, api, pa.table({"a": pa.array([], pa.string())}))
    assert "0 rows" in http.get(f"{page}/rows/main").text
    assert http.get(f"{page}/row/main/train").status_code == 404


def test_shards_and_columns_that_do_not_fit_are_refused_by_name(http: httpx2.Client, api: HfApi) -> None:
    shards = http.get(f"{pushed(http, api, pa.table({'a': [1]}), pa.table({'b': [2]}))}/rows/main")
    assert (shards.status_code, "shard 2 of 2 lacks the column" in shards.text) == (422, True)
    columns = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    twice = http.get(f"{pushed(http, api, columns)}/rows/main")
    assert (twice.status_code, "different names" in twice.text) == (422, True)


def test_a_run_that_lacks_what_others_have_is_shown(http: httpx2.Client, api: HfApi) -> None:
    steps: list[Any] = [[{"action": "search", "queries": None, "results": [{"query_index": 99}]}]]
    page = pushed(http, api, pa.table({"trajectory_id": ["run-1"], "steps": steps}))
    shown = http.get(f"{page}/row/main/train")
    assert (shown.status_code, "run-1" in shown.text) == (200, True)


@pytest.mark.parametrize(
    "names",
    [
        ["caf\u00e9.txt", unicodedata.normalize("NFD", "caf\u00e9.txt")],
        ["README.md", "readme.md", "Readme.MD"],
        ["a#b?c%41.txt", "a b&c=d;e.txt", "'\"<x>.txt"],
        ["con", "nul.txt", "-rf", "~", "$HOME"],
    ],
    ids=["forms", "case", "addresses", "shells"],
)
def test_names_that_are_nearly_the_same_or_mean_something_elsewhere_stay_what_they_are(
    http: httpx2.Client, api: HfApi, repo: str, names: list[str]
) -> None:
    commit(http, repo, *(put(name, name.encode()) for name in names)).raise_for_status()
    assert set(names) <= set(api.list_repo_files(repo))
    for name in names:
        assert http.get(f"/{repo}/resolve/main/{quote(name, safe='')}").content == name.encode()
        assert http.get(f"/{repo}/blob/main/{quote(name, safe='')}").status_code == 200
    assert http.get(f"/{repo}").status_code == 200


def test_what_a_commit_says_twice_counts_in_order(http: httpx2.Client, api: HfApi, repo: str) -> None:
    commit(http, repo, put("a", b"1"), put("a", b"2"), put("d/x", b"x")).raise_for_status()
    assert http.get(f"/{repo}/resolve/main/a").content == b"2"
    gone = ("deletedFile", {"path": "a"})
    # A file becomes a folder, and a folder a file, whichever is said first.
    commit(http, repo, put("a/b", b"3"), gone, ("deletedFolder", {"path": "d/"}), put("d", b"4")).raise_for_status()
    assert sorted(api.list_repo_files(repo)) == [".gitattributes", "a/b", "d"]
    refused = commit(http, repo, put("d/x"))
    assert (refused.status_code, "both a file and a folder" in refused.text) == (400, True)


@pytest.mark.parametrize("name", ["HEAD", "@"])
def test_a_branch_is_not_called_what_git_takes_for_another(http: httpx2.Client, repo: str, name: str) -> None:
    assert http.post(f"/api/models/{repo}/branch/{quote(name)}", json={}).status_code == 400
    assert http.post(f"/api/models/{repo}/tag/main", json={"tag": name}).status_code == 400


@pytest.mark.parametrize(
    ("asked", "status", "content"),
    [
        ("bytes=0-0", 206, b"h"),
        ("bytes=-5", 206, b"world"),
        ("bytes=-500", 206, b"hello world"),
        ("bytes=0-" + "9" * 30, 206, b"hello world"),
        ("bytes=5-2", 200, b"hello world"),
        ("bytes=0-0,2-3", 200, b"hello world"),
        ("items=0-3", 200, b"hello world"),
        ("bytes=11-", 416, None),
    ],
)
def test_odd_ranges(http: httpx2.Client, repo: str, asked: str, status: int, content: bytes | None) -> None:
    commit(http, repo, put("a.txt", b"hello world")).raise_for_status()
    answer = http.get(f"/{repo}/resolve/main/a.txt", headers={"Range": asked})
    assert answer.status_code == status
    if content is not None:
        assert answer.content == content


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_what_git_has_and_clients_do_not_is_shown_or_left_out(
    hub: LocalHub, http: httpx2.Client, api: HfApi, repo: str, tmp_path: Path
) -> None:
    """Symbolic links, submodules, and names that are no text, which somebody pushes into the folder of the Hub."""
    who = {f"GIT_{role}_{part}": "x@x" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
    bare = hub.root / "repos" / "models" / f"{repo}.git"

    def git(*words: str) -> None:
        subprocess.run(["git", *words], cwd=tmp_path, env=os.environ | who, check=True, capture_output=True)

    git("clone", "--quiet", str(bare), ".")
    (tmp_path / "link").symlink_to("/etc/passwd")
    (tmp_path / "run.sh").write_text("#!/bin/sh\n")
    Path(os.fsdecode(bytes(tmp_path) + b"/latin\xe9.txt")).write_bytes(b"latin")
    (tmp_path / "line\nbreak.txt").write_bytes(b"break")
    git("add", "--all")
    git("update-index", "--add", "--cacheinfo", f"160000,{'5' * 40},submodule")
    git("commit", "--quiet", "--message", "odd")
    git("push", "--quiet", "origin", "HEAD:main")
    listed = api.list_repo_files(repo)
    assert set(listed) == {".gitattributes", "link", "run.sh", "latin\ufffd.txt", "line\nbreak.txt"}
    assert http.get(f"/{repo}/resolve/main/link").text == "/etc/passwd"
    assert http.get(f"/{repo}/resolve/main/submodule").status_code == 404
    for path in ("", "/commits/main", "/commit/main", "/tree/main"):
        assert http.get(f"/{repo}{path}").status_code == 200, path
    for path in (f"/{repo}/tree/main?expand=1", f"/{repo}?blobs=1", "?full=1"):
        assert http.get(f"/api/models{path}").status_code == 200, path
    commit(http, repo, put("new.txt")).raise_for_status()
    assert [problem for problem in verify(hub.root).problems if repo in problem] == []
    git("pull", "--quiet", "origin", "main")
    assert (tmp_path / "link").is_symlink()
