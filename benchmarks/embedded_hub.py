"""How fast the embedded Hub is, and what it needs: `python benchmarks/embedded_hub.py`. Prints a table in Markdown.

Each part uses the unmodified clients, a Hub of its own and an empty cache. For each step: seconds as the client sees
them, seconds of processor time of client and server, and the server's largest resident memory during the step.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lrat_hub import LocalHub

ROWS = 100_000
SMALL_FILES = 2_500
LISTED_FILES = 10_000
LARGE_BYTES = 1024**3
TEXTS, TEXT_BYTES = 12, 9 * 2**20
TICKS = os.sysconf("SC_CLK_TCK")


class Meter:
    """Measures steps against one server."""

    def __init__(self, hub: LocalHub) -> None:
        self._proc = Path("/proc") / str(hub.pid)

    @contextmanager
    def step(self, name: str, times: int = 1) -> Iterator[None]:
        # From here on the peak is that of this step.
        (self._proc / "clear_refs").write_text("5")
        wall, client, server = time.perf_counter(), time.process_time(), self._processor()
        yield
        wall, client, server = time.perf_counter() - wall, time.process_time() - client, self._processor() - server
        row = [name, *(f"{value / times:.3f}" for value in (wall, client, server)), f"{self._peak_mb():.0f}"]
        print("| " + " | ".join(row) + " |", flush=True)

    def _processor(self) -> float:
        fields = (self._proc / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def _peak_mb(self) -> float:
        line = next(line for line in (self._proc / "status").read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6


def rows(meter: Meter, work: Path) -> None:
    from datasets import Dataset, load_dataset

    columns = {"docid": [str(n) for n in range(ROWS)], "text": [f"document {n} " * 10 for n in range(ROWS)]}
    table = Dataset.from_dict(columns)
    with meter.step(f"push {ROWS:,} rows"):
        sha = table.push_to_hub("lrat/rows").oid
    with meter.step("push them again"):
        table.push_to_hub("lrat/rows")
    with meter.step("load them by sha"):
        loaded = load_dataset("lrat/rows", split="train", revision=sha)
    assert len(loaded) == ROWS


def model(meter: Meter, work: Path) -> None:
    import numpy as np
    from huggingface_hub import HfApi
    from sentence_transformers import SentenceTransformer

    from lrat_hub.demo.bases import minilm_folder

    base = SentenceTransformer(str(minilm_folder()), device="cpu")
    with meter.step("push a model of 90 MB"):
        base.push_to_hub("lrat/minilm")
    sha = HfApi().model_info("lrat/minilm").sha
    with meter.step("load it by sha"):
        loaded = SentenceTransformer("lrat/minilm", revision=sha, device="cpu")
    np.testing.assert_array_equal(loaded.encode("a query"), base.encode("a query"))


def large(meter: Meter, work: Path) -> None:
    from huggingface_hub import HfApi, hf_hub_download

    path = work / "large.bin"
    with path.open("wb") as file:
        for _ in range(LARGE_BYTES // 2**24):
            file.write(os.urandom(2**24))
    repo = HfApi().create_repo("lrat/large").repo_id
    with meter.step("upload a file of 1 GiB"):
        sha = HfApi().upload_file(repo_id=repo, path_in_repo="large.bin", path_or_fileobj=path).oid
    with meter.step("download it"):
        back = hf_hub_download(repo, "large.bin", revision=sha)
    assert os.path.getsize(back) == LARGE_BYTES


def small(meter: Meter, work: Path) -> None:
    from huggingface_hub import HfApi, snapshot_download

    folder = work / "small"
    folder.mkdir()
    for number in range(SMALL_FILES):
        (folder / f"{number:05d}.txt").write_bytes(os.urandom(500).hex().encode())
    repo = HfApi().create_repo("lrat/small").repo_id
    with meter.step(f"upload {SMALL_FILES:,} files of 1 kB"):
        sha = HfApi().upload_folder(repo_id=repo, folder_path=folder).oid
    with meter.step("snapshot of them"):
        back = Path(snapshot_download(repo, revision=sha))
    assert len(list(back.glob("*.txt"))) == SMALL_FILES


def listing(meter: Meter, work: Path) -> None:
    from huggingface_hub import CommitOperationAdd, HfApi, get_hf_file_metadata, hf_hub_url

    api = HfApi()
    repo = api.create_repo("lrat/many").repo_id
    files = [CommitOperationAdd(f"{n % 10}/{n:05d}.txt", b"%d" % n) for n in range(LISTED_FILES)]
    with meter.step(f"commit {LISTED_FILES:,} files"):
        api.create_commit(repo, files, commit_message="many")
    calls: dict[str, Callable[[], Any]] = {
        "list them, first": lambda: api.list_repo_files(repo),
        "list them again": lambda: api.list_repo_files(repo),
        "commit one more": lambda: api.upload_file(repo_id=repo, path_in_repo="0/new", path_or_fileobj=b"new"),
        "list them after that": lambda: api.list_repo_files(repo),
    }
    for name, call in calls.items():
        with meter.step(name):
            call()
    url = hf_hub_url(repo, "5/05005.txt")
    with meter.step("resolve one of them", times=200):
        for _ in range(200):
            get_hf_file_metadata(url)


def texts(meter: Meter, work: Path) -> None:
    """Commits of files that are just not large ones, and what hashing and writing them takes without a server."""
    import hashlib
    import random

    import pygit2
    from huggingface_hub import HfApi

    words, chance = [f"word{number}" for number in range(5000)], random.Random(0)
    contents = [" ".join(chance.choices(words, k=TEXT_BYTES // 5))[:TEXT_BYTES].encode() for _ in range(TEXTS)]
    name = f"{TEXTS} texts of {TEXT_BYTES // 2**20} MiB"
    with meter.step(f"hash and write {name}"):
        for number, content in enumerate(contents):
            hashlib.sha1(content).hexdigest()
            with (work / f"{number}.txt").open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
    git = pygit2.init_repository(str(work / "git"), bare=True)
    with meter.step("the same by libgit2"):
        for content in contents:
            git.create_blob(content)
    api = HfApi()
    repo = api.create_repo("lrat/texts").repo_id
    with meter.step("commit them, one by one"):
        for number, content in enumerate(contents):
            api.upload_file(repo_id=repo, path_in_repo=f"{number}.txt", path_or_fileobj=content)


PARTS = {part.__name__: part for part in (rows, model, large, small, listing, texts)}


def run(part: Callable[[Meter, Path], None]) -> None:
    with tempfile.TemporaryDirectory() as folder, LocalHub(Path(folder) / "hub") as hub:
        os.environ |= hub.env | {"HF_HOME": f"{folder}/cache", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        import datasets

        datasets.disable_progress_bars()
        part(Meter(hub), Path(folder))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS), help="default: all")
    args = parser.parse_args()
    print("| step | seconds | client, s of processor | server, s of processor | server, peak MB |")
    print("| --- | ---: | ---: | ---: | ---: |", flush=True)
    for name in args.parts:
        # Clients read the environment when they are imported: each part is a process.
        if os.fork() == 0:
            try:
                run(PARTS[name])
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        _, status = os.wait()
        if status:
            sys.exit(f"{name} failed")


if __name__ == "__main__":
    main()
