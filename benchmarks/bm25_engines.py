"""BM25 by bm25s, as `lrat index --bm25` builds and maps it, beside tantivy (`pip install tantivy`), as a corpus grows.

    python benchmarks/bm25_engines.py --documents 15625 62500 250000 1000000
    python benchmarks/bm25_engines.py --data twowiki

Documents are made up, of 70 words that are as unevenly frequent as those of a language. Each engine builds and
searches in processes of their own, on one thread. Seconds are those of the CPU, and memory is the process's largest
resident memory, of which mapped files are a part. tantivy splits texts at blanks after they were split as for bm25s,
stop words left out, and has k1 = 1.2 and b = 0.75 alone; with `--data`, both rank the passages for natural questions.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bm25_memory import documents, text

from lrat_hub.hub.cards import markdown_table
from lrat_hub.retrieval.bm25 import BM25Retriever, words
from lrat_hub.retrieval.indexes import DocidFile, write_docids
from lrat_hub.schema import Document

WORDS, QUERY_WORDS, QUERIES = 70, 8, 100
DEPTHS = (10, 1_000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, nargs="+", default=[15_625, 62_500, 250_000], metavar="N")
    parser.add_argument("--engines", nargs="+", default=["bm25s", "tantivy"], choices=["bm25s", "tantivy"])
    parser.add_argument("--data", type=Path, metavar="DIR", help="rank natural questions instead")
    args = parser.parse_args()
    rows = []
    for count in [0] if args.data else args.documents:
        for engine in args.engines:
            with tempfile.TemporaryDirectory() as folder:
                row = {"engine": engine, "documents": count}
                row |= apart(build, engine, Path(folder), count, args.data)
                row["MB on disk"] = sum(path.stat().st_size for path in Path(folder).rglob("*")) / 1e6
                row |= apart(recall if args.data else search, engine, Path(folder), args.data)
            rows.append(row)
            print(row, flush=True)
    print(markdown_table(rows))


def apart(work: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, arguments)


def peak() -> float:
    # Linux counts in kilobytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def corpus(count: int, data: Path | None) -> Iterator[Document]:
    if data is None:
        return documents(count, WORDS, random.Random(0))
    from lrat_hub import load_corpus

    return iter(load_corpus(str(data / "corpus.jsonl")).in_order())


def build(engine: str, folder: Path, count: int, data: Path | None) -> dict[str, Any]:
    texts = list(corpus(count, data))  # Making them up takes as long as indexing them.
    before, started = peak(), time.process_time()
    if engine == "bm25s":
        BM25Retriever(iter(texts)).save(folder)
        write_docids(folder / "docids", (one.docid for one in texts))
    else:
        import tantivy

        writer = tantivy.Index(schema(), str(folder)).writer(heap_size=200_000_000, num_threads=1)
        for position, one in enumerate(texts):
            writer.add_document(tantivy.Document(position=position, text=tokens(one.content)))
        writer.commit()
        writer.wait_merging_threads()
    return {"build, s": time.process_time() - started, "more memory, MB": peak() - before}


def tokens(content: str) -> str:
    from bm25s.stopwords import STOPWORDS_EN

    return " ".join(word for word in words(content.lower()) if word not in STOPWORDS_EN)


def schema() -> Any:
    import tantivy

    builder = tantivy.SchemaBuilder()
    builder.add_integer_field("position", stored=True, fast=True)
    builder.add_text_field("text", tokenizer_name="whitespace", index_option="freq")
    return builder.build()


def opened(engine: str, folder: Path) -> Callable[[list[str], int], list[list[str]]]:
    if engine == "bm25s":
        retriever = BM25Retriever.load(folder, DocidFile(folder / "docids"))
        return lambda queries, k: [[hit.docid for hit in hits] for hits in retriever.search(queries, k)]
    import tantivy

    index = tantivy.Index.open(str(folder))
    searcher = index.searcher()

    def find(queries: list[str], k: int) -> list[list[str]]:
        found = []
        for query in queries:
            terms = [
                (tantivy.Occur.Should, tantivy.Query.term_query(index.schema, "text", word, "freq"))
                for word in tokens(query).split()
            ]
            # What isn't counted needs not be scored.
            hits = searcher.search(tantivy.Query.boolean_query(terms), k, count=False).hits
            found.append(list(map(str, searcher.fast_field_values("position", [address for _, address in hits]))))
        return found

    return find


def search(engine: str, folder: Path, data: Path | None) -> dict[str, Any]:
    rng = random.Random(1)
    queries = [text(QUERY_WORDS, rng) for _ in range(QUERIES)]
    find = opened(engine, folder)
    find(queries[:1], DEPTHS[0])
    row: dict[str, Any] = {}
    for k in DEPTHS:
        started = time.process_time()
        find(queries, k)
        row[f"ms a query, k = {k}"] = 1_000 * (time.process_time() - started) / QUERIES
    return row | {"memory of search, MB": peak()}


def recall(engine: str, folder: Path, data: Path) -> dict[str, Any]:
    from lrat_hub import load_qrels, load_queries

    queries, qrels = load_queries(str(data / "queries.tsv")), load_qrels(str(data / "qrels_evidence.txt"))
    docids = [one.docid for one in corpus(0, data)]
    lists = opened(engine, folder)(list(queries.values()), 10)
    if engine == "tantivy":
        lists = [[docids[int(position)] for position in found] for found in lists]
    shares = [
        len({*found} & qrels[query].keys()) / len(qrels[query]) for query, found in zip(queries, lists, strict=True)
    ]
    return {"recall@10": sum(shares) / len(shares), "questions": len(shares)}


if __name__ == "__main__":
    main()
