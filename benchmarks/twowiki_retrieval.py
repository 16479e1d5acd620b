"""What one search with the question finds on 6,119 Wikipedia passages: BM25, MiniLM in every kind of index, fusion.

Needs the folder `twowiki` (corpus.jsonl, queries.tsv, qrels_evidence.txt) and a few minutes to encode it once::

    python benchmarks/twowiki_retrieval.py --data twowiki

Everything runs on a Hub of its own; with `--work DIR` it stays there, and a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from lrat_hub.localhub import LocalHub

INDEXES = {
    "bm25": ["--bm25"],
    "flat": ["--kind", "flat"],
    "flat-fp16": ["--kind", "flat", "--fp16"],
    "hnsw": ["--kind", "hnsw"],
    "ivf": ["--kind", "ivf"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--work", type=Path, metavar="DIR", help="default: a temporary folder")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = (args.work or Path(temporary)).resolve()
        with LocalHub(work / "hub") as hub:
            # Before any Hugging Face library is imported: they read their environment then.
            os.environ |= hub.env | {"HF_HOME": str(work / "hf")}
            compare(args.data, work)


def compare(data: Path, work: Path) -> None:
    from datasets import load_dataset
    from huggingface_hub import HfApi

    from lrat_hub import cli
    from lrat_hub.demo.bases import publish_base
    from lrat_hub.hub.cards import markdown_table

    corpus = str(
        cli.run(
            [
                *("corpus", "--documents", str(data / "corpus.jsonl"), "--queries", str(data / "queries.tsv")),
                *("--qrels", str(data / "qrels_evidence.txt"), "--to", "lrat/twowiki"),
            ]
        )
    )
    model = str(publish_base("minilm", "lrat/minilm"))
    dense = ["--model", model, "--max_length", "128", "--work_dir", str(work / "shards"), "--keep_work"]
    pins = {
        name: cli.run(
            [
                *("index", "--corpus", corpus, "--to", f"lrat/twowiki-{name}", *words),
                *([] if name == "bm25" else dense),
            ]
        )
        for name, words in INDEXES.items()
    }
    vectors = [str(pin) for name, pin in pins.items() if name != "bm25"]
    evaluation, _ = cli.run(
        [
            *("eval", "retrieval", "--corpus", corpus, "--queries", corpus, "--qrels", corpus),
            *("--index", *vectors, str(pins["bm25"]), "--fusion", "--to", "lrat/twowiki-evaluation"),
        ]
    )
    print(
        markdown_table(list(load_dataset(evaluation.repo_id, "summary", revision=evaluation.revision, split="test")))
    )
    sizes = {
        pin.repo_id: sum(file.size for file in HfApi().model_info(pin.repo_id, files_metadata=True).siblings)
        for pin in pins.values()
    }
    print(markdown_table([{"index": name, "MB": size / 1e6} for name, size in sizes.items()]))


if __name__ == "__main__":
    main()
