"""Exact search through shards on disk against a plain FAISS flat index of the same vectors: time, memory, results.

python benchmarks/streamed_search.py --documents 1000000 --dimension 384

Each search runs in a process of its own, in turns, so that what else the machine does hits both. Where that is much,
the CPU's time says more than the clock, with one thread (`--threads 1`): threads that wait for others take it, too.
The peak is the process's largest resident memory. The flat index is given its vectors in memory and timed for the
search alone; the streamed one reads its files in that time; and "scored again" is how this project searches, flat or
streamed: what was found is scored once more in double precision, so that equal documents tie on every machine.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

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
        results: dict[str, list[Result]] = {"flat": [], "streamed": [], "streamed, scored again": []}
        for number in range(args.rounds):
            for name in results:
                search = search_flat if name == "flat" else search_streamed
                again = (name.endswith("again"),) if name != "flat" else ()
                result = pool.apply(search, (folder, queries, args.threads, *again))
                results[name].append(result)
                print(f"round {number + 1}, {name}: {result}", flush=True)
    flat = results["flat"]
    for name in list(results)[1:]:
        for measure in ("seconds", "cpu_seconds"):
            theirs, mine = ([getattr(one, measure) for one in chosen] for chosen in (flat, results[name]))
            ratio = statistics.median(ours / other for ours, other in zip(mine, theirs, strict=True))
            best = f"{min(mine):.2f} / {min(theirs):.2f} = {min(mine) / min(theirs):.3f}"
            print(f"{name} / flat, {measure}: median of the rounds {ratio:.3f}; the best ones {best}")
        peaks = (max(one.peak for one in chosen) for chosen in (results[name], flat))
        print(f"{name} / flat: {next(peaks):.0f} / {next(peaks):.0f} MB at most")
    same = all((one.places == results["flat"][0].places).all() for rounds in results.values() for one in rounds)
    print(f"the top {K} of {len(queries)} queries: {'identical' if same else 'DIFFERENT'}")


class Result(NamedTuple):
    seconds: float
    cpu_seconds: float
    peak: float
    places: np.ndarray

    def __str__(self) -> str:
        return f"{self.seconds:.2f} s, of the CPU {self.cpu_seconds:.2f} s, peak {self.peak:.0f} MB"


def measured(search: Callable[[], np.ndarray]) -> Result:
    started, cpu_started = time.perf_counter(), time.process_time()
    places = search()
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    # Linux counts in kilobytes.
    return Result(seconds, cpu_seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6, places)


def write_shards(folder: Path, documents: int, dimension: int) -> None:
    rng = np.random.default_rng(0)
    for start in range(0, documents, SHARD):
        vectors = unit_vectors(rng, min(SHARD, documents - start), dimension)
        np.save(folder / f"shard-{start // SHARD:06d}.npy", vectors)


def unit_vectors(rng: np.random.Generator, count: int, dimension: int) -> np.ndarray:
    vectors = rng.standard_normal((count, dimension), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def search_flat(folder: Path, queries: np.ndarray, threads: int) -> Result:
    import faiss

    if threads:
        faiss.omp_set_num_threads(threads)
    index = faiss.IndexFlatIP(queries.shape[1])
    for path in sorted(folder.glob("*.npy")):
        index.add(np.load(path))
    return measured(lambda: index.search(queries, K)[1])


def search_streamed(folder: Path, queries: np.ndarray, threads: int, again: bool) -> Result:
    import faiss

    from lrat_hub.retrieval.indexes import DocidFile, write_docids
    from lrat_hub.retrieval.shards import StreamedVectors
    from lrat_hub.retrieval.vectors import VectorIndex

    if threads:
        faiss.omp_set_num_threads(threads)
    vectors = StreamedVectors([np.load(path, mmap_mode="r") for path in sorted(folder.glob("*.npy"))])
    if not again:
        return measured(lambda: vectors.search(queries, K)[1])
    write_docids(folder / "docids", map(str, range(vectors.ntotal)))
    index = VectorIndex(vectors, DocidFile(folder / "docids"))
    return measured(lambda: np.array([[int(hit.docid) for hit in found] for found in index.search(queries, K)]))


if __name__ == "__main__":
    main()
