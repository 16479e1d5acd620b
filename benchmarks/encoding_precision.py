"""Encoding in fp32, bf16 and fp16: texts a second of the CPU, and what becomes of the ranking.

    python benchmarks/encoding_precision.py --data twowiki --documents 6119

MiniLM encodes the passages with 128 tokens each and the 400 questions, in the same precision, each in a process of its
own on one thread (OMP_NUM_THREADS=1). `of fp32's first ten` is the share of the ten best in fp32 that are among the
ten best; recall is that of the evidence passages among all that are encoded.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from lrat_hub.hub.cards import markdown_table

PRECISIONS = ("fp32", "bf16", "fp16")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--documents", type=int, default=6_119, metavar="N")
    parser.add_argument("--precisions", nargs="+", default=list(PRECISIONS), choices=PRECISIONS)
    args = parser.parse_args()
    rows, exact = [], None
    for precision in args.precisions:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            row, lists, vectors = pool.apply(measure, (args.data, args.documents, precision))
        exact = exact or (lists, vectors)
        shares = [len({*found} & {*best}) / len(best) for found, best in zip(lists, exact[0], strict=True)]
        row["of fp32's first ten"] = float(np.mean(shares))
        row["least cosine to fp32"] = float((vectors * exact[1]).sum(axis=1).min())
        rows.append(row)
        print(row, flush=True)
    print(markdown_table(rows))


def measure(data: Path, count: int, precision: Any) -> tuple[dict[str, Any], list[list[str]], np.ndarray]:
    from lrat_hub import load_corpus, load_qrels, load_queries
    from lrat_hub.demo.bases import minilm_folder
    from lrat_hub.encoders import load_encoder, set_token_limit
    from lrat_hub.hub.inputs import LocalSource
    from lrat_hub.retrieval.dense import encode_documents, encode_queries
    from lrat_hub.retrieval.settings import IndexSettings
    from lrat_hub.retrieval.vectors import VectorIndex, build_index

    model = load_encoder(LocalSource(minilm_folder(), ""), precision=precision, device="cpu")
    set_token_limit(model, 128)
    documents = list(islice(load_corpus(str(data / "corpus.jsonl")).in_order(), count))
    queries, qrels = load_queries(str(data / "queries.tsv")), load_qrels(str(data / "qrels_evidence.txt"))
    encode_documents(model, documents[:64])
    started = time.process_time()
    vectors = encode_documents(model, documents)
    seconds = time.process_time() - started
    index = VectorIndex(build_index([vectors], IndexSettings()), [document.docid for document in documents])
    lists = [[hit.docid for hit in hits] for hits in index.search(encode_queries(model, list(queries.values())), 10)]
    found = [
        len({*docids} & qrels[query].keys()) / len(qrels[query]) for query, docids in zip(queries, lists, strict=True)
    ]
    row = {
        "precision": precision,
        "texts per CPU second": len(documents) / seconds,
        "recall@10": float(np.mean(found)),
    }
    return row, lists, vectors


if __name__ == "__main__":
    main()
