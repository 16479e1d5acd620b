"""How much memory and time a corpus takes: built, published, indexed with BM25 and looked up at random.

    python benchmarks/corpus_scale.py [--documents 1000000] [--words 60] [--lookups 10000] [--root FOLDER]

Makes documents of words that are drawn by Zipf's law, then runs each stage in a process of its own against an
embedded Hub, and prints wall times and the largest resident memory, which includes pages of memory-mapped files.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from lrat_hub import LocalHub

REPO = "bench/corpus"
VOCABULARY = 200_000
STAGES = {
    "build": "`lrat corpus`: JSONL to a published dataset",
    "download": "`load_dataset`: Parquet to Arrow",
    "index": "`BM25Retriever` over all documents, 100 queries",
    "lookup": "`Documents`, opened and looked up at random",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--words", type=int, default=60, help="mean words of a document")
    parser.add_argument("--lookups", type=int, default=10_000)
    parser.add_argument("--root", type=Path, help="folder for the Hub and caches, kept; a temporary one if not given")
    parser.add_argument("--stage", choices=STAGES, help="run this stage alone, as the benchmark itself does")
    args = parser.parse_args()
    if args.stage:
        run_stage(args)
        return
    with tempfile.TemporaryDirectory() as folder:
        args.root = args.root or Path(folder)
        args.root.mkdir(parents=True, exist_ok=True)
        write_corpus(args.root / "documents.jsonl", args.documents, args.words)
        with LocalHub(args.root / "hub") as hub:
            environment = (
                os.environ | hub.env | {"HF_HOME": str(args.root / "hf"), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
            )
            print("| stage | seconds | peak memory, MB | |\n| --- | ---: | ---: | --- |", flush=True)
            for stage, what in STAGES.items():
                measure(stage, what, args, environment)


def write_corpus(path: Path, count: int, words: int) -> None:
    """Documents of `words` words on average, from half to one and a half times as many; the same at every run."""
    generator = np.random.default_rng(0)
    vocabulary = np.array([f"word{rank}" for rank in range(VOCABULARY)])
    shares = np.cumsum(1 / np.arange(1, VOCABULARY + 1))
    with path.open("w") as file:
        for docid in range(count):
            size = generator.integers(words // 2, words + words // 2 + 1)
            text = " ".join(vocabulary[np.searchsorted(shares, generator.random(size) * shares[-1])])
            file.write(json.dumps({"docid": f"doc-{docid}", "title": f"Title {docid}", "text": text}) + "\n")


def measure(stage: str, what: str, args: argparse.Namespace, environment: dict[str, str]) -> None:
    """Runs a stage in a process of its own and prints its row."""
    sizes = ["--documents", str(args.documents), "--lookups", str(args.lookups), "--root", str(args.root)]
    command = [sys.executable, __file__, "--stage", stage, *sizes]
    ended = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    found = json.loads(ended.stdout.splitlines()[-1])
    print(f"| {stage} | {found['seconds']:.1f} | {found['peak_mb']:,.0f} | {what}{found['note']} |", flush=True)


def run_stage(args: argparse.Namespace) -> None:
    # Heavy imports are part of the memory of every stage, and not of its time.
    import datasets

    import lrat_hub.corpora  # noqa: F401

    datasets.disable_progress_bars()
    started = time.perf_counter()
    note = {"build": build, "download": open_corpus, "index": index, "lookup": look_up}[args.stage](args)
    seconds = time.perf_counter() - started
    # Kilobytes on Linux, bytes on macOS.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e3 if sys.platform == "linux" else 1e6)
    print(json.dumps({"seconds": seconds, "peak_mb": peak, "note": note if isinstance(note, str) else ""}))


def build(args: argparse.Namespace) -> None:
    from lrat_hub import cli

    cli.run(["corpus", "--documents", str(args.root / "documents.jsonl"), "--to", REPO])


def open_corpus(args: argparse.Namespace):
    from lrat_hub.documents import Documents
    from lrat_hub.hub.inputs import load_table, resolve

    documents = Documents(load_table(resolve(REPO, repo_type="dataset"), "corpus", config="corpus"))
    assert len(documents) == args.documents
    return documents


def index(args: argparse.Namespace) -> str:
    from lrat_hub.retrieval.bm25 import BM25Retriever

    started = time.perf_counter()
    retriever = BM25Retriever(open_corpus(args).in_order())
    built = time.perf_counter() - started
    started = time.perf_counter()
    hits = retriever.search([f"word{rank} word{rank * 7} word{rank * 31}" for rank in range(100, 200)], 10)
    assert all(hits)
    return f"; built in {built:.0f} s, {(time.perf_counter() - started) * 10:.0f} ms a query"


def look_up(args: argparse.Namespace) -> str:
    documents = open_corpus(args)
    drawn = [f"doc-{number}" for number in random.Random(0).choices(range(args.documents), k=args.lookups)]
    started = time.perf_counter()
    assert all(documents[docid].docid == docid for docid in drawn)
    single = (time.perf_counter() - started) / len(drawn) * 1e6
    return f"; {args.lookups:,} times: {single:.0f} µs each"


if __name__ == "__main__":
    main()
