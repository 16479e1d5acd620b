"""Memory of writing a flat index from shards on disk: as the shards are read, and by FAISS out of an index in memory.

    python benchmarks/flat_memory.py [--documents 1000000] [--dimension 256]

Each way runs in a process of its own; anonymous memory is that above what the process had before, sampled every 20 ms.
Exits with 1 where the two files differ. Linux only.
"""

from __future__ import annotations

import argparse
import filecmp
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import faiss
import numpy as np

from lrat_hub.retrieval.flat import write_flat_index
from lrat_hub.retrieval.settings import IndexSettings
from lrat_hub.retrieval.vectors import build_index

SHARD = 16_384


def write(folder: Path, way: str) -> None:
    shards = [np.load(path, mmap_mode="r") for path in sorted(folder.glob("shard-*.npy"))]
    before = peak = anonymous()
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.02):
            peak = max(peak, anonymous())

    watcher = threading.Thread(target=watch)
    watcher.start()
    cpu = time.process_time()
    if way == "streamed":
        write_flat_index(folder / way, shards)
    else:
        faiss.write_index(build_index(shards, IndexSettings()), str(folder / way))
    cpu = time.process_time() - cpu
    done.set()
    watcher.join()
    print(f"| {way} | {cpu:.1f} | {(max(peak, anonymous()) - before) / 1e6:,.0f} |", flush=True)


def anonymous() -> int:
    """Bytes of this process's anonymous memory."""
    found = re.search(r"RssAnon:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--dimension", type=int, default=256)
    parser.add_argument("--write", nargs=2, metavar=("FOLDER", "WAY"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.write:
        return write(Path(args.write[0]), args.write[1])
    with tempfile.TemporaryDirectory() as folder:
        for number, start in enumerate(range(0, args.documents, SHARD)):
            rng = np.random.default_rng(number)
            vectors = rng.standard_normal((min(SHARD, args.documents - start), args.dimension), dtype=np.float32)
            np.save(Path(folder) / f"shard-{number:06d}.npy", vectors)
        print("| way | CPU, s | anonymous memory, MB |\n| --- | ---: | ---: |", flush=True)
        for way in ("streamed", "in memory"):
            subprocess.run([sys.executable, __file__, "--write", folder, way], check=True)
        if not filecmp.cmp(Path(folder) / "streamed", Path(folder) / "in memory", shallow=False):
            sys.exit("The files differ.")


if __name__ == "__main__":
    main()
