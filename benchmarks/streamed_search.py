"""Exact search through shards on disk against a plain FAISS flat index of the same vectors: time, memory, results.

python benchmarks/streamed_search.py --documents 1000000 --dimension 384

Each search runs in a process of its own, in turns, so that what else the machine does hits both; the peak is the
process's largest resident memory. The flat index is given its vectors in memory and timed for the search alone; the
streamed one reads its files in that time, and scores what it finds again in double precision.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

SHARD = 2_048
K = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=1_000_000, metavar="N")
    parser.add_argument("--dimension", type=int, default=384, metavar="N")
    parser.add_argument("--queries", type=int, default=830, metavar="N", help="as many as BrowseComp-Plus has")
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="0 for FAISS's choice")
    args = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as temporary, context.Pool(1, maxtasksperchild=1) as pool:
        folder = Path(temporary)
        pool.apply(write_shards, (folder, args.documents, args.dimension))
        queries = unit_vectors(np.random.default_rng(1), args.queries, args.dimension)
        results = {"flat": [], "streamed": []}
        for number in range(args.rounds):
            for name, search in (("flat", search_flat), ("streamed", search_streamed)):
                result = pool.apply(search, (folder, queries, args.threads))
                results[name].append(result)
                print(f"round {number + 1}, {name}: {result[0]:.2f} s, peak {result[1]:.0f} MB", flush=True)
    seconds = {name: min(result[0] for result in rounds) for name, rounds in results.items()}
    peaks = {name: max(result[1] for result in rounds) for name, rounds in results.items()}
    same = all((result[2] == results["flat"][0][2]).all() for rounds in results.values() for result in rounds)
    print(f"streamed / flat: {seconds['streamed'] / seconds['flat']:.3f} of the time (best rounds), "
          f"{peaks['streamed']:.0f} / {peaks['flat']:.0f} MB")  # fmt: skip
    print(f"the top {K} of {len(queries)} queries: {'identical' if same else 'DIFFERENT'}")


def write_shards(folder: Path, documents: int, dimension: int) -> None:
    rng = np.random.default_rng(0)
    for start in range(0, documents, SHARD):
        vectors = unit_vectors(rng, min(SHARD, documents - start), dimension)
        np.save(folder / f"shard-{start // SHARD:06d}.npy", vectors)


def unit_vectors(rng: np.random.Generator, count: int, dimension: int) -> np.ndarray:
    vectors = rng.standard_normal((count, dimension), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def search_flat(folder: Path, queries: np.ndarray, threads: int) -> tuple[float, float, np.ndarray]:
    import faiss

    if threads:
        faiss.omp_set_num_threads(threads)
    index = faiss.IndexFlatIP(queries.shape[1])
    for path in sorted(folder.glob("*.npy")):
        index.add(np.load(path))
    started = time.perf_counter()
    places = index.search(queries, K)[1]
    return time.perf_counter() - started, peak_memory(), places


def search_streamed(folder: Path, queries: np.ndarray, threads: int) -> tuple[float, float, np.ndarray]:
    import faiss

    from lrat_hub.retrieval.docids import DocidFile, write_docids
    from lrat_hub.retrieval.streaming import StreamedVectors
    from lrat_hub.retrieval.vectors import VectorIndex

    if threads:
        faiss.omp_set_num_threads(threads)
    vectors = StreamedVectors([np.load(path, mmap_mode="r") for path in sorted(folder.glob("*.npy"))])
    write_docids(folder / "docids", map(str, range(vectors.ntotal)))
    index = VectorIndex(vectors, DocidFile(folder / "docids"))
    started = time.perf_counter()
    hits = index.search(queries, K)
    seconds = time.perf_counter() - started
    return seconds, peak_memory(), np.array([[int(hit.docid) for hit in found] for found in hits])


def peak_memory() -> float:
    """In MB; Linux counts in kilobytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


if __name__ == "__main__":
    main()
