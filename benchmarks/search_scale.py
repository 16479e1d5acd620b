"""Every kind of index as a corpus grows: what it takes to build, what a search takes, and what of the best it finds.

    python benchmarks/search_scale.py --data twowiki --work FOLDER --documents 10000 40000 100000

Documents are windows of 25 words of real passages, which begin every third word: neighbours are nearly the same, and
hard to tell apart. MiniLM encodes them in bf16, once, into FOLDER. Queries are the 400 natural questions. Each index
is built and searched in a process of its own on one thread (OMP_NUM_THREADS=1). Seconds are those of the CPU, and
memory is what the process holds more at its largest, without pages of mapped files. Recall is the share of what exact
search finds.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from lrat_hub.hub.cards import markdown_table
from lrat_hub.retrieval.settings import IndexSettings

WINDOW, STEP, BLOCK = 25, 3, 2_000
KINDS: dict[str, dict[str, Any]] = {
    "flat": {},
    "hnsw": {"kind": "hnsw"},
    "ivf": {"kind": "ivf"},
    "ivfpq": {"kind": "ivfpq"},
    "ivfpq, 1,000 candidates": {"kind": "ivfpq", "pq_candidates": 1_000},
    "ivfpq, a quarter of the clusters": {"kind": "ivfpq", "ivf_probes": -4},
    "lancedb": {"kind": "lancedb"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--work", type=Path, required=True, metavar="DIR")
    parser.add_argument("--documents", type=int, nargs="+", default=[10_000, 40_000, 100_000], metavar="N")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    encode(args.data, args.work, max(args.documents))
    rows = []
    for count in args.documents:
        for kind in args.kinds:
            rows.append({"kind": kind, "documents": count} | apart(measure, args.work, count, kind))
            print(rows[-1], flush=True)
    print(markdown_table(rows))


def apart(work: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, arguments)


def encode(data: Path, folder: Path, count: int) -> None:
    """Writes the vectors of windows in files of 2,000, and those of the queries; what is there stays."""
    if len(list(folder.glob("vectors-*.npy"))) * BLOCK >= count:
        return
    from lrat_hub.demo.bases import minilm_folder
    from lrat_hub.encoders import load_encoder
    from lrat_hub.hub.inputs import LocalSource
    from lrat_hub.retrieval.dense import encode_queries

    model = load_encoder(LocalSource(minilm_folder(), ""), precision="bf16", device="cpu")
    queries = [line.split("\t")[1] for line in (data / "queries.tsv").read_text().splitlines()]
    np.save(folder / "queries.npy", encode_queries(model, queries))
    windows = []
    for line in (data / "corpus.jsonl").read_text().splitlines():
        words = json.loads(line)["text"].split()
        windows += [" ".join(words[at : at + WINDOW]) for at in range(0, max(1, len(words) - WINDOW + 1), STEP)]
    random.Random(0).shuffle(windows)
    print(f"{len(windows)} windows", flush=True)
    for start in range(0, min(count, len(windows)), BLOCK):
        path = folder / f"vectors-{start // BLOCK:06d}.npy"
        if not path.exists():
            vectors = encode_queries(model, windows[start : start + BLOCK])
            np.save(folder / "part.npy", vectors)
            (folder / "part.npy").replace(path)


def measure(work: Path, count: int, kind: str) -> dict[str, Any]:
    from lrat_hub.retrieval.coded import measured_recall
    from lrat_hub.retrieval.indexes import write_vector_index
    from lrat_hub.retrieval.vectors import ivf_lists

    # MiniLM's prompt for queries is none: windows were encoded as documents are.
    shards: list[Any] = [np.load(path, mmap_mode="r") for path in sorted(work.glob("vectors-*.npy"))]
    shards = shards[: -(-count // BLOCK)]
    queries = np.load(work / "queries.npy")
    count = sum(map(len, shards))
    with tempfile.TemporaryDirectory() as temporary:
        options = dict(KINDS[kind])
        if options.get("kind") == "lancedb":
            options["store"] = f"{temporary}/store/table.lance"
        if options.get("ivf_probes", 0) < 0:
            options["ivf_probes"] = -(-ivf_lists(count, IndexSettings()) // -options["ivf_probes"])
        settings = IndexSettings(**options)
        with Memory() as memory:
            started = time.process_time()
            index, _ = write_vector_index(Path(temporary), shards, settings, list(map(str, range(count))))
            built = time.process_time() - started
        index.search(queries[:2], 10)
        row: dict[str, Any] = {"build, s": built, "memory, MB": memory.peak, "index, MB": index.num_bytes / 1e6}
        for k in (10, 100):
            started = time.process_time()
            index.search(queries, k)
            row[f"ms a query, k = {k}"] = 1_000 * (time.process_time() - started) / len(queries)
        if kind != "flat":
            recall = measured_recall(index, shards, queries)
            row |= {name: value for name, value in recall.items() if name != "queries"}
        else:
            row |= {"recall@10": 1.0, "recall@100": 1.0}
        return row


class Memory:
    """The largest anonymous memory of this process within the context, less what it held before, in MB."""

    peak = 0.0

    def __enter__(self) -> Memory:
        self._before, self._stop = anonymous(), threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(0.02):
            self.peak = max(self.peak, anonymous() - self._before)


def anonymous() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) * 1024 / 1e6


if __name__ == "__main__":
    main()
