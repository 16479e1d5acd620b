"""How time and memory of encoding and mining depend on the number of workers of `--executor local`.

    python benchmarks/scaled_stages.py --documents 1000000 --trajectories 100000 --workers 1 2 1 2

Documents are words drawn by Zipf's law, encoded by a static model of 256 numbers a word; trajectories are the
quickstart's recorded runs, repeated with fresh ids and questions. Each row is a command of its own against an embedded
Hub. `seconds` are those of the work that workers share: from the first shard's beginning to the last one's end for
encoding, both passes for mining. CPU seconds are those of the workers and of the process that runs the command.
Anonymous memory is the largest sum over all processes, sampled every quarter of a second. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
from corpus_scale import VOCABULARY, write_corpus
from mining_scale import write_repeated

from lrat_hub import LocalHub, load_trajectories

MODEL = """
import sys
import numpy as np
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

words = ["[UNK]", *(f"word{number}" for number in range(int(sys.argv[2])))]
tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
tokenizer.pre_tokenizer = Whitespace()
weights = np.random.default_rng(0).normal(size=(len(words), 256)).astype("float32")
SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=weights)], device="cpu").save(sys.argv[1])
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=1_000_000, help="0 leaves encoding out")
    parser.add_argument("--trajectories", type=int, default=100_000, help="0 leaves mining out")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 1, 2])
    parser.add_argument("--root", type=Path, help="folder for the Hub and caches, kept; a temporary one if not given")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = args.root or Path(folder)
        with LocalHub(root / "hub") as hub:
            environment = os.environ | hub.env | {
                "HF_HOME": str(root / "hf"), "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false",
            }  # fmt: skip
            print("| stage | workers | seconds | CPU of workers, s | CPU of the command, s | anonymous memory, MB |")
            print("| --- | ---: | ---: | ---: | ---: | ---: |", flush=True)
            for stage, words in (("index", index_words(root, args)), ("mine", mine_words(root, args))):
                if words:
                    for workers in args.workers:
                        measure(stage, words, workers, root / "work", environment)


def index_words(root: Path, args: argparse.Namespace) -> list[str]:
    if not args.documents:
        return []
    corpus, model = root / "corpus", root / "model"
    corpus.mkdir(parents=True)
    write_corpus(corpus / "documents.jsonl", args.documents, 60)
    subprocess.run([sys.executable, "-c", MODEL, str(model), str(VOCABULARY)], check=True)
    return ["--corpus", f"{corpus}#default", "--model", str(model), "--threads", "1", "--to", "bench/index"]


def mine_words(root: Path, args: argparse.Namespace) -> list[str]:
    if not args.trajectories:
        return []
    from lrat_hub.demo.recorded import write_logs

    runs = root / "runs"
    runs.mkdir(parents=True)
    write_logs(root / "logs")
    write_repeated(list(load_trajectories(root / "logs")), args.trajectories, runs)
    return ["--trajectories", str(runs), "--judge", "rule", "--negatives", "tiers", "--to", "bench/pairs"]


def measure(stage: str, words: Sequence[str], workers: int, work: Path, environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "lrat_hub.cli", stage, *words, "--work_dir", str(work)]
    command += ["--executor", "local", "--workers", str(workers)]
    cpu: dict[int, float] = {}
    peak = 0
    said: list[str] = []
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        listener = threading.Thread(target=lambda: said.extend(process.stdout or ()))
        listener.start()
        started: dict[str, float] = {}
        ended: dict[str, float] = {}
        while process.poll() is None:
            total = 0
            parent = psutil.Process(process.pid)
            for each in [parent, *parent.children(recursive=True)]:
                try:
                    times, status = each.cpu_times(), Path(f"/proc/{each.pid}/status").read_text()
                except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
                    continue
                cpu[each.pid] = times.user + times.system
                found = re.search(r"RssAnon:\s+(\d+)", status)
                total += int(found[1]) // 1000 if found else 0
            peak = max(peak, total)
            # Unlike a glob, it doesn't mind that folders go while it looks.
            for folder, _, names in os.walk(work):
                if "executor.json" in names:
                    started.setdefault(folder, time.perf_counter())
                    if "stats.json" in names:
                        ended.setdefault(folder, time.perf_counter())
            time.sleep(0.25)
        listener.join()
    if process.returncode:
        sys.exit(process.returncode)
    seconds = sum(ended.get(name, time.perf_counter()) - begin for name, begin in started.items())
    of_workers = sum(spent for pid, spent in cpu.items() if pid != process.pid)
    print(
        f"| {stage} | {workers} | {seconds:.1f} | {of_workers:.1f} | {cpu[process.pid]:.1f} | {peak:,} |", flush=True
    )
    print(json.dumps({"load": os.getloadavg()}), file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
