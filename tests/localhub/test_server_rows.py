"""The pages of rows: Parquet that datasets has written, and Parquet that nobody should have."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import re
import resource
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from test_server_pages import Page

from lrat_hub.localhub import LocalHub

if TYPE_CHECKING:
    import httpx2
    from huggingface_hub import HfApi

_names = itertools.count()
BROWSER = next((path for name in ("chromium", "google-chrome", "chrome") if (path := shutil.which(name))), None)
LONG = "a long passage about nothing " * 200


@pytest.fixture
def dataset() -> str:
    return f"lrat/rows-{next(_names)}"


def rows_of(page: Page) -> list[int]:
    return [int(match[1]) for link in page.links if (match := re.search(r"/row/.*\?row=(\d+)$", link))]


def push(dataset: str, rows: list[dict[str, Any]], config: str = "default", **how: Any) -> None:
    from datasets import Dataset

    Dataset.from_list(rows).push_to_hub(dataset, config, **how)


def test_rows_are_read_page_by_page_over_all_shards(http: httpx2.Client, dataset: str) -> None:
    push(dataset, [{"docid": f"d{n}", "text": LONG if n == 3 else f"text {n}"} for n in range(70)], num_shards=3)
    page, seen = Page(http.get(f"/datasets/{dataset}/rows/main")), []
    while True:
        seen += rows_of(page)
        following = [attrs["href"] for tag, attrs in page.tags if tag == "a" and attrs.get("rel") == "next"]
        if not following:
            break
        page = Page(http.get(f"/datasets/{dataset}/rows/main/data%2Ftrain{following[0]}"))
    assert seen == list(range(70))
    first = Page(http.get(f"/datasets/{dataset}/rows/main"))
    assert "Rows 0 to 24 of 70" in first.text
    assert "string" in first.text
    # What is long is folded, and there.
    assert ("details", {}) in first.tags
    assert LONG in first.text
    assert rows_of(Page(http.get(f"/datasets/{dataset}"))) == [0, 1, 2, 3, 4]
    assert "from 500 on" in Page(http.get(f"/datasets/{dataset}/rows/main?cursor=500")).text
    assert http.get(f"/datasets/{dataset}/rows/main/nowhere").status_code == 404
    assert http.get(f"/datasets/{dataset}/row/main/data%2Ftrain?row=70").status_code == 404


def test_a_text_is_found_in_a_split_however_deep_it_is(http: httpx2.Client, dataset: str) -> None:
    rows = [
        {
            "id": n,
            "text": f"Text {n}",
            "tags": [f"tag-{n}", None],
            "deep": [{"list": [{"word": f"Word{n}"}]}],
            "none": None,
        }
        for n in range(40)
    ]
    push(dataset, rows)

    def found(text: str) -> list[int]:
        return rows_of(Page(http.get(f"/datasets/{dataset}/rows/main", params={"search": text})))

    assert found("text 31") == [31]
    assert found("TAG-7") == [7]
    assert found("word2") == [2, *range(20, 30)]
    assert found("no such text") == []
    assert found("39") == [39]
    assert found(".*") == []


def test_the_splits_of_all_configurations_are_there(http: httpx2.Client, dataset: str) -> None:
    for config, split in (("one", "train"), ("one", "test"), ("two", "train")):
        push(dataset, [{"text": f"{config} {split}"}], config, split=split)
    page = Page(http.get(f"/datasets/{dataset}/rows/main"))
    assert {"one/train", "one/test", "two/train"} <= set(page.text.split())
    assert "two train" in Page(http.get(f"/datasets/{dataset}/rows/main/two%2Ftrain")).text
    sha = http.get(f"/api/datasets/{dataset}").json()["sha"]
    shown = Page(http.get(f"/datasets/{dataset}")).text
    line = re.search(r"load_dataset\(.*\)", shown)
    assert line is not None
    assert sha in line[0]
    from datasets import load_dataset

    assert list(eval(line[0], {"load_dataset": load_dataset})) != []


def test_a_trajectory_is_shown_as_a_run(http: httpx2.Client, dataset: str) -> None:
    """Published by the library, as stages publish them."""
    from lrat_hub import Step, Trajectory
    from lrat_hub.schema import Candidate

    step = Step(
        turn=0,
        action="search",
        reasoning="I look for <it>",
        queries=("first query", "second query"),
        results=(Candidate(1, 1, "d1", "A title", "a snippet", 1.0),),
    )
    run = Trajectory(
        trajectory_id="t", query_id="q", question="Where is it?", final_answer="Here", status="answered", steps=(step,)
    )
    push(dataset, [json.loads(json.dumps(run.to_dict()))], "agent")
    page = Page(http.get(f"/datasets/{dataset}/row/main/agent%2Ftrain?row=0"))
    for text in (
        "Where is it?",
        "Here",
        "I look for <it>",
        "first query",
        "second query",
        "A title",
        "a snippet",
        "d1",
    ):
        assert text in page.text, text
    assert page.text.index("second query") < page.text.index("A title")
    assert "1 steps: search" in Page(http.get(f"/datasets/{dataset}/rows/main/agent%2Ftrain")).text


def parquet(table: Any, **how: Any) -> bytes:
    import pyarrow.parquet as pq

    file = io.BytesIO()
    pq.write_table(table, file, **how)
    return file.getvalue()


def bad_files() -> dict[str, bytes]:
    import pyarrow as pa

    good = parquet(pa.table({"text": ["a", "b"]}))
    # A gigabyte in a few kilobytes.
    bomb = parquet(pa.table({"text": pa.array(["x" * 1_000_000] * 1_000).dictionary_encode()}), compression="zstd")
    wide = parquet(pa.table({f"c{n}": [n] for n in range(3000)}))
    deep = pa.array([None], type=pa.int8())
    for _ in range(30):
        deep = pa.array([[None]], type=pa.list_(deep.type))
    return {
        "empty": b"",
        "no Parquet": b"PAR1 nothing of this kind PAR1",
        "cut": good[: len(good) // 2],
        "a footer of zeros": good[:-200] + b"\0" * 192 + good[-8:],
        "a length beyond the file": good[:-8] + b"\xff\xff\xff\x7f" + b"PAR1",
        "noise": good[:4] + bytes(byte ^ 0x55 for byte in good[4:-8]) + good[-8:],
        "a bomb": bomb,
        "wide": wide,
        "deep": parquet(pa.table({"deep": deep})),
        "no rows": parquet(pa.table({"text": pa.array([], pa.string())})),
    }


@pytest.mark.parametrize("name", list(bad_files()))
def test_parquet_that_nobody_should_have_ends_its_reader_and_nothing_else(
    api: HfApi, http: httpx2.Client, dataset: str, name: str
) -> None:
    api.create_repo(dataset, repo_type="dataset")
    content = bad_files()[name]
    api.upload_file(repo_id=dataset, repo_type="dataset", path_in_repo="x.parquet", path_or_fileobj=content)
    for path in ("rows/main", "rows/main/x?search=a", "row/main/x?row=0"):
        answer = http.get(f"/datasets/{dataset}/{path}", timeout=120)
        assert answer.status_code in (200, 404, 422), answer.text[:200]
        assert len(answer.content) < 40_000_000
    assert http.get(f"/datasets/{dataset}", timeout=120).status_code == 200
    assert http.get("/api/whoami-v2").status_code == 200


@pytest.mark.parametrize("large", [True, False])
def test_a_split_of_more_files_than_a_process_may_open_has_rows(tmp_path: Path, large: bool) -> None:
    import httpx2
    import pyarrow as pa
    from huggingface_hub import CommitOperationAdd, HfApi

    with LocalHub(tmp_path / "hub") as hub:
        api = HfApi(hub.endpoint, hub.token)
        api.create_repo("lrat/shards", repo_type="dataset")
        if not large:
            # Then they are regular files of git: its rules alone say what is large.
            rules = CommitOperationAdd(".gitattributes", b"# none\n")
            api.create_commit("lrat/shards", [rules], commit_message="small", repo_type="dataset")
        shards = [
            CommitOperationAdd(f"data/train-{n:05d}-of-00120.parquet", parquet(pa.table({"n": [n]})))
            for n in range(120)
        ]
        api.create_commit("lrat/shards", shards, commit_message="shards", repo_type="dataset")
        resource.prlimit(hub.pid, resource.RLIMIT_NOFILE, (100, 100))
        page = Page(httpx2.get(f"{hub.endpoint}/datasets/lrat/shards/rows/main?cursor=100", timeout=60))
        assert rows_of(page) == list(range(100, 120))
        assert rows_of(Page(httpx2.get(f"{hub.endpoint}/datasets/lrat/shards", timeout=60))) == [0, 1, 2, 3, 4]
        assert rows_of(Page(httpx2.get(f"{hub.endpoint}/datasets/lrat/shards/rows/main?search=77", timeout=60))) == [
            77
        ]


def test_rows_of_a_damaged_shard_are_not_shown_and_those_of_others_are(tmp_path: Path) -> None:
    import httpx2
    import pyarrow as pa
    from huggingface_hub import CommitOperationAdd, HfApi

    with LocalHub(tmp_path / "hub") as hub:
        api = HfApi(hub.endpoint, hub.token)
        api.create_repo("lrat/shards", repo_type="dataset")
        plain: dict[str, Any] = {"compression": "none", "use_dictionary": False}
        contents = [parquet(pa.table({"n": range(n * 100, n * 100 + 100)}), **plain) for n in range(3)]
        shards = [
            CommitOperationAdd(f"train-0000{n}-of-00002.parquet", content) for n, content in enumerate(contents[:2])
        ]
        api.create_commit("lrat/shards", shards, commit_message="shards", repo_type="dataset")
        # As readable as before, with other rows.
        (damaged,) = (hub.root / "objects").rglob(hashlib.sha256(contents[1]).hexdigest())
        damaged.write_bytes(contents[2])
        assert damaged.stat().st_size == len(contents[1])
        rows = f"{hub.endpoint}/datasets/lrat/shards/rows/main"
        assert rows_of(Page(httpx2.get(rows, timeout=60))) == list(range(25))
        refused = httpx2.get(f"{rows}?cursor=100", timeout=60)
        assert (refused.status_code, "is damaged" in refused.text) == (500, True)
        hub.stop()
        # What a killed server left of its copies of small files.
        (hub.root / "tmp" / "copies").mkdir()
        (hub.root / "tmp" / "copies" / "x").write_bytes(b"")
        with LocalHub(hub.root):
            assert not list((hub.root / "tmp").iterdir())


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
@pytest.mark.parametrize("width", [390, 1280])
def test_pages_fit_a_screen(hub: LocalHub, http: httpx2.Client, dataset: str, width: int, tmp_path: Path) -> None:
    """Chromium lays the pages out in a frame as wide as the screen: none is wider, and no text is cut to letters."""
    push(dataset, [{"docid": f"document-with-a-long-id-{n}", "text": LONG, "list": [1, 2, 3]} for n in range(3)])
    table = (
        b"| dataset | ndcg@10 | recall@100 | mrr@10 | interval |\n| - | - | - | - | - |\n"
        + b"| BrowseComp-Plus | 0.412 | 0.771 | 0.301 | [0.012, 0.044] |\n"
    )
    from requests_by_hand import commit, put

    model = f"lrat/model-with-a-long-name-{next(_names)}-{width}"
    http.post("/api/repos/create", json={"name": model.partition("/")[2]}).raise_for_status()
    commit(http, model, put("README.md", b"# Results\n\n" + table), put("modules.json", b"[]")).raise_for_status()
    sha = http.get(f"/api/models/{model}").json()["sha"]
    paths = [
        "/",
        f"/datasets/{dataset}",
        f"/datasets/{dataset}/rows/main",
        f"/datasets/{dataset}/row/main/data%2Ftrain?row=1",
    ]
    paths += [f"/{model}", f"/{model}/commit/{sha}", f"/{model}/commits/main", f"/{model}/blob/main/README.md"]
    style = http.get("/api/style.css").text
    for number, path in enumerate(paths):
        # The pages run no scripts and let none in: the measure is taken in a copy.
        text = http.get(path).text.replace('<link rel="stylesheet" href="/api/style.css">', f"<style>{style}</style>")
        measure = (
            "<script>const d = document.documentElement; const narrow = [...document.querySelectorAll('td, th, dd')]"
            ".filter(e => e.textContent.trim().length > 8 && e.getBoundingClientRect().width > 0"
            " && e.getBoundingClientRect().width < 40).length;"
            "document.title = JSON.stringify([d.scrollWidth, window.innerWidth, narrow]);</script>"
        )
        page = tmp_path / f"{number}.html"
        page.write_text(text.replace("</body>", f"{measure}</body>"))
        frame = tmp_path / f"frame-{number}.html"
        frame.write_text(
            f'<iframe id="f" width="{width}" height="900" src="{page.as_uri()}"></iframe>'
            "<script>addEventListener('load', () => document.title = f.contentDocument.title)</script>"
        )
        command = [BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]
        command += [
            f"--user-data-dir={tmp_path / 'profile'}",
            "--virtual-time-budget=5000",
            "--dump-dom",
            frame.as_uri(),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        match = re.search(r"<title>(\[.*?\])</title>", done.stdout)
        assert match is not None, (path, done.stdout[-2000:], done.stderr[-500:])
        whole, screen, narrow = json.loads(match[1])
        assert whole <= screen, path
        assert narrow == 0, path
