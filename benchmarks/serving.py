"""64 clients at once against `lrat serve`, beside the rate at which the same retriever searches batches by itself.

Needs the folder `twowiki` (corpus.jsonl, queries.tsv, qrels_evidence.txt)::

    python benchmarks/serving.py --data twowiki --kind minilm --seconds 300

Clients are of four kinds, as many each: HTTP's `/search`, Search-R1's `/retrieve`, MCP, and `RemoteRetriever`. Each
sends one query at a time and waits for its list, which is compared with the retriever's own. The rate of batches is
measured before and after, with the server idle; the memory is the server's.

Clients and server share the cores of this machine. What serving costs is therefore also told by CPU time: that of
the server's processes for each query, beside what the retriever itself takes for one in a batch.

With `--work DIR` the index stays there for the next run.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

from lrat_hub.localhub import LocalHub

K = 10
BATCH = 64
PARTS = 6
"""Parts of the time, with new clients each, after which the memory is measured."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--work", type=Path, metavar="DIR", help="default: a temporary folder")
    parser.add_argument("--kind", choices=("bm25", "minilm"), default="bm25")
    parser.add_argument("--index", metavar="REF", help="an index of the Hub in --work, in place of one that is made")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument(
        "--kinds", nargs="+", choices=KINDS, default=list(KINDS), help="kinds of clients; default: all"
    )
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--replicas", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = (args.work or Path(temporary)).resolve()
        with LocalHub(work / "hub") as hub:
            # Before any Hugging Face library is imported: they read their environment then.
            os.environ |= hub.env | {"HF_HOME": str(work / "hf")}
            measure(args, work)


def measure(args: argparse.Namespace, work: Path) -> None:
    from lrat_hub.retrieval.opening import open_retriever

    index, corpus = published(args, work)
    lines = (args.data / "queries.tsv").read_text(encoding="utf-8").splitlines()
    queries = [line.split("\t")[1] for line in lines]
    retriever = open_retriever(f"index:{index}", corpus)
    lists = retriever.search(queries, K)
    expected = {query: [hit.docid for hit in hits] for query, hits in zip(queries, lists, strict=True)}

    def own(seconds: float) -> tuple[float, float]:
        """Queries a second, and CPU seconds a query."""
        started, cpu, searched = time.perf_counter(), time.process_time(), 0
        while (spent := time.perf_counter() - started) < seconds:
            batch = [queries[(searched + number) % len(queries)] for number in range(BATCH)]
            retriever.search(batch, K)
            searched += BATCH
        return searched / spent, (time.process_time() - cpu) / searched

    words = ["serve", "--index", index, "--corpus", corpus, "--port", "0", "--replicas", str(args.replicas)]
    server = subprocess.Popen([sys.executable, "-m", "lrat_hub.cli", *words], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        address = re.search(r" at (http://\S+)\n", server.stdout.readline())
        assert address is not None
        url = address[1]
        kinds = [args.kinds[number % len(args.kinds)] for number in range(args.clients)]
        asyncio.run(load(url, queries, expected, kinds, 2.0))
        before, idle = own(10), memory(server)
        cpu, clients_cpu = cpu_seconds(server), time.process_time()
        counts, seconds, held = Counter[str](), 0.0, [idle]
        for _ in range(PARTS):
            asked, spent = asyncio.run(load(url, queries, expected, kinds, args.seconds / PARTS))
            counts, seconds, held = counts + asked, seconds + spent, [*held, memory(server)]
        cpu, clients_cpu = cpu_seconds(server) - cpu, time.process_time() - clients_cpu
        after = own(10)
        numbers = asyncio.run(metrics(url))
    finally:
        server.terminate()
        server.wait()
    answered, own_cpu = counts["answered"], (before[1] + after[1]) / 2
    served, alone = answered / seconds, (before[0] + after[0]) / 2
    print(f"{args.kind}: {args.clients} clients for {seconds:.0f} s, {answered} answers, {counts['failed']} failed")
    print("answers: " + ", ".join(f"{kind} {counts[kind]}" for kind in args.kinds))
    print(f"{counts['other']} lists differ from those of a batch of all queries (the last digits of a vector may)")
    print(f"{served:.0f} queries a second; alone {before[0]:.0f} before, {after[0]:.0f} after: {served / alone:.0%}")
    print(
        f"CPU a query: server {1e3 * cpu / answered:.3f} ms, of which the search alone {1e3 * own_cpu:.3f} ms "
        f"({own_cpu * answered / cpu:.0%}); clients {1e3 * clients_cpu / answered:.3f} ms"
    )
    batches = numbers["lrat_batch_queries_count"]
    print(f"{batches:.0f} batches of {numbers['lrat_batch_queries_sum'] / batches:.1f} queries")
    print("MiB that the server held before and after each part: " + ", ".join(f"{part / 2**20:.0f}" for part in held))


def published(args: argparse.Namespace, work: Path) -> tuple[str, str]:
    """The pins of the index and of its corpus."""
    from lrat_hub import cli
    from lrat_hub.demo.bases import publish_base
    from lrat_hub.hub.inputs import resolve
    from lrat_hub.retrieval.indexes import IndexManifest

    if args.index:
        pin = resolve(args.index, repo_type="model")
        return str(pin), IndexManifest.of(pin).corpus
    files = {"documents": "corpus.jsonl", "queries": "queries.tsv", "qrels": "qrels_evidence.txt"}
    words = [f"--{option}={args.data / name}" for option, name in files.items()]
    corpus = str(cli.run(["corpus", *words, "--to", "lrat/twowiki"]))
    how = ["--bm25"]
    if args.kind == "minilm":
        model = str(publish_base("minilm", "lrat/minilm"))
        how = ["--model", model, "--max_length", "128", "--work_dir", str(work / "shards"), "--keep_work"]
    return str(cli.run(["index", "--corpus", corpus, *how, "--to", f"lrat/twowiki-{args.kind}"])), corpus


Search = Callable[[str], Awaitable[list[str]]]


@asynccontextmanager
async def by_search(url: str) -> AsyncIterator[Search]:
    import aiohttp

    async with aiohttp.ClientSession() as session:

        async def search(query: str) -> list[str]:
            async with session.post(f"{url}/search", json={"queries": [query], "k": K}) as response:
                response.raise_for_status()
                (hits,) = (await response.json())["results"]
            return [hit["docid"] for hit in hits]

        yield search


@asynccontextmanager
async def by_retrieve(url: str) -> AsyncIterator[Search]:
    import aiohttp

    async with aiohttp.ClientSession() as session:

        async def search(query: str) -> list[str]:
            async with session.post(f"{url}/retrieve", json={"queries": [query], "topk": K}) as response:
                response.raise_for_status()
                (documents,) = (await response.json())["result"]
            return [document["id"] for document in documents]

        yield search


@asynccontextmanager
async def by_mcp(url: str) -> AsyncIterator[Search]:
    from mcp import Client

    async with Client(f"{url}/mcp") as client:

        async def search(query: str) -> list[str]:
            found = await client.call_tool("search", {"query": query, "k": K})
            assert not found.is_error
            assert found.structured_content is not None
            return [hit["id"] for hit in found.structured_content["results"]]

        yield search


@asynccontextmanager
async def by_remote(url: str) -> AsyncIterator[Search]:
    from lrat_hub.retrieval.remote import RemoteRetriever

    with ThreadPoolExecutor(1) as thread:
        remote = await asyncio.get_running_loop().run_in_executor(thread, RemoteRetriever, url)

        async def search(query: str) -> list[str]:
            (hits,) = await asyncio.get_running_loop().run_in_executor(thread, remote.search, [query], K)
            return [hit.docid for hit in hits]

        yield search


KINDS = {"search": by_search, "retrieve": by_retrieve, "mcp": by_mcp, "remote": by_remote}


async def load(
    url: str, queries: list[str], expected: dict[str, list[str]], kinds: list[str], seconds: float
) -> tuple[Counter[str], float]:
    """Searches for some time, with a client of each kind; gives counts, of answers by kind, too, and the time."""
    counts: Counter[str] = Counter()
    started = time.perf_counter()

    async def client(kind: str, number: int) -> None:
        turn = number * 7
        async with KINDS[kind](url) as search:
            while time.perf_counter() - started < seconds:
                query = queries[turn % len(queries)]
                turn += 1
                try:
                    docids = await search(query)
                except Exception as error:
                    counts["failed"] += 1
                    print(f"{kind}: {error!r}", file=sys.stderr)
                    continue
                counts[kind] += 1
                counts["answered"] += 1
                counts["other"] += docids != expected[query]

    await asyncio.gather(*(client(kind, number) for number, kind in enumerate(kinds)))
    return counts, time.perf_counter() - started


async def metrics(url: str) -> dict[str, float]:
    import aiohttp

    async with aiohttp.ClientSession() as session, session.get(f"{url}/metrics") as response:
        lines = (await response.text()).splitlines()
    values = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in values}


def cpu_seconds(server: subprocess.Popen) -> float:
    """CPU time that the server's processes have taken."""
    process = psutil.Process(server.pid)
    times = [part.cpu_times() for part in [process, *process.children(recursive=True)]]
    return sum(one.user + one.system for one in times)


def memory(server: subprocess.Popen) -> int:
    """Bytes that the server's processes hold for themselves."""
    process = psutil.Process(server.pid)
    return sum(part.memory_full_info().uss for part in [process, *process.children(recursive=True)])


if __name__ == "__main__":
    main()
