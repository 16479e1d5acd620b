"""Time and memory of `lrat mine` as the number of trajectories grows, published to an embedded Hub.

    python benchmarks/mining_scale.py --trajectories 6620 13241 26482 --runs FOLDER

The trajectories of a folder are repeated with fresh ids and questions until there are enough; reasonings are counted
with MiniLM's tokenizer. 26,482 is the number the paper mined. `mining` is the time from the inputs to the finished
tables, loading the tokenizer included; CPU seconds are those of the whole command, publication included. Anonymous
memory is what mining itself needs; resident memory also has the pages of memory-mapped files, which the system takes
back when it needs them. Both are the largest sum over the processes. Linux only: the figures are read from /proc.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lrat_hub import LocalHub, Trajectory, load_trajectories
from lrat_hub.demo.bases import minilm_folder
from lrat_hub.storage import trajectory_table

FIELDS = ("VmRSS", "RssAnon")


ROWS_PER_FILE = 3_000


def write_repeated(runs: list[Trajectory], count: int, folder: Path) -> None:
    """Writes as many trajectories as Parquet; their texts are repeated as Arrow columns, which takes seconds."""
    rows = trajectory_table([replace(run, correct=True) for run in runs]).with_format("arrow")[:]
    for start in range(0, count, ROWS_PER_FILE):
        numbers = range(start, min(start + ROWS_PER_FILE, count))
        part = pa.concat_tables([rows] * -(-len(numbers) // len(runs))).slice(0, len(numbers))
        for name in ("trajectory_id", "query_id", "question"):
            place = part.schema.get_field_index(name)
            values = [f"{name} {number}" for number in numbers]
            part = part.set_column(place, part.schema.field(name), pa.array(values, part.schema.field(name).type))
        pq.write_table(part, folder / f"train-{start:09d}.parquet")


def memory(process: int) -> dict[str, int]:
    """Resident and anonymous memory of a process and its children, in MB."""
    total = dict.fromkeys(FIELDS, 0)
    children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process)], capture_output=True, text=True).stdout
    for pid in [str(process), *children.split()]:
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        for line in status.splitlines():
            key, _, value = line.partition(":")
            if key in FIELDS:
                total[key] += int(value.split()[0]) // 1000
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", required=True, help="A folder of trajectories that lrat import reads.")
    parser.add_argument("--trajectories", type=int, nargs="+", default=[6_620, 13_241, 26_482])
    parser.add_argument("--processes", type=int, default=1)
    args = parser.parse_args()
    runs = list(load_trajectories(args.runs))
    print("| trajectories | pairs | mining, s | trajectories/s | CPU, s | per CPU second | whole command, s "
          "| anonymous, MB | resident, MB |")  # fmt: skip
    print("| ---: " * 9 + "|")
    for count in args.trajectories:
        with tempfile.TemporaryDirectory() as folder, LocalHub(Path(folder) / "hub") as hub:
            source = Path(folder) / "runs"
            source.mkdir()
            write_repeated(runs, count, source)
            measure(args, count, source, {**os.environ, **hub.env, "HF_HOME": f"{folder}/home"})


def measure(args: argparse.Namespace, count: int, source: Path, env: dict[str, str]) -> None:
    """Mines once to have the table in the cache of `datasets`, which is no part of mining, and once to measure."""
    command = [
        sys.executable, "-m", "lrat_hub.cli", "mine", "--trajectories", str(source),
        "--tokenizer", str(minilm_folder()), "--processes", str(args.processes), "--to",
    ]  # fmt: skip
    subprocess.run(
        [sys.executable, "-c", f"import datasets; datasets.load_dataset({str(source)!r})"], env=env, check=True
    )
    env |= {"TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}
    before = os.times()
    started, peaks = time.perf_counter(), dict.fromkeys(FIELDS, 0)
    said: list[tuple[float, str]] = []
    with subprocess.Popen([*command, "bench/pairs"], env=env, stdout=subprocess.PIPE, text=True) as process:
        listener = threading.Thread(
            target=lambda: said.extend((time.perf_counter(), line.strip()) for line in process.stdout)
        )
        listener.start()
        while process.poll() is None:
            for key, value in memory(process.pid).items():
                peaks[key] = max(peaks[key], value)
            time.sleep(0.05)
        listener.join()
    if process.returncode:
        sys.exit(process.returncode)
    whole, after = time.perf_counter() - started, os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    times = {line.partition(":")[0]: (moment, line) for moment, line in said}
    mining = times["weights of all"][0] - times["tokenizer"][0]
    pairs = times["pairs"][1].split()[1]
    print(
        f"| {count} | {pairs} | {mining:.1f} | {count / mining:.0f} | {cpu:.1f} | {count / cpu:.0f} | {whole:.1f} "
        f"| {peaks['RssAnon']} | {peaks['VmRSS']} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
