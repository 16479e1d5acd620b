"""Time and memory of a BM25 index of made-up documents, whose words are as unevenly frequent as those of a language.

python benchmarks/bm25_memory.py --documents 1000000 --words 70
"""

from __future__ import annotations

import argparse
import random
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from lrat_hub.retrieval.bm25 import BM25Retriever
from lrat_hub.retrieval.indexes import DocidFile, write_docids
from lrat_hub.schema import Document

VOCABULARY = [f"w{number:x}" for number in range(300_000)]
QUERIES, QUERY_WORDS, K = 20, 8, 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=1_000_000, metavar="N")
    parser.add_argument("--words", type=int, default=70, metavar="N", help="words a document; default: %(default)s")
    args = parser.parse_args()
    rng = random.Random(0)
    started = time.perf_counter()

    def report(step: str) -> None:
        nonlocal started
        # Linux counts in kilobytes.
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
        print(f"{step}: {time.perf_counter() - started:.1f} s, at most {peak:.2f} GB so far", flush=True)
        started = time.perf_counter()

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        BM25Retriever(documents(args.documents, args.words, rng)).save(folder)
        write_docids(folder / "docids", (f"d{number}" for number in range(args.documents)))
        report("build and save")
        retriever = BM25Retriever.load(folder, DocidFile(folder / "docids"))
        report("load")
        retriever.search([text(QUERY_WORDS, rng) for _ in range(QUERIES)], K)
        report(f"{QUERIES} queries of {QUERY_WORDS} words")


def documents(count: int, words: int, rng: random.Random) -> Iterator[Document]:
    return (Document(f"d{number}", "", text(words, rng)) for number in range(count))


def text(words: int, rng: random.Random) -> str:
    return " ".join(VOCABULARY[int(len(VOCABULARY) * rng.random() ** 4)] for _ in range(words))


if __name__ == "__main__":
    main()
