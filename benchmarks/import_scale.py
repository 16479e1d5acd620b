"""Time and memory of `lrat import` as the number of runs grows, beside parsing their JSON alone.

    python benchmarks/import_scale.py --runs FOLDER --numbers 300 1200 4800 --processes 1 2

The runs of a folder (JSON files, one each) are repeated with other words, so that no text is like that of another run;
without a folder, runs of 62 kB are made up. They are redacted, written as session traces as far as these go, and
published to an embedded Hub.

`floor` is the CPU time of `json.loads` over the lines, without the start of Python. `ratio` is that of the whole
command, less the command with a single run, which is mostly the start of its libraries, over it; `runs per CPU second`
is of the same difference. The start of further processes counts as import. Python keeps its bytecode, as it does for
packages that are installed. Anonymous memory is what the import itself needs, resident memory also has the files that
are mapped; both are the largest sum over the processes. Linux only: the figures are read from /proc.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from lrat_hub import LocalHub

QUERIES, RESULTS, DOCUMENT_WORDS = 8, 10, 500
WORDS = [format(number, "x") for number in range(4096, 12288)]
FIELDS: tuple[str, ...] = ("VmRSS", "RssAnon")


def conversation(rng: random.Random) -> list[dict[str, object]]:
    """A run of 16 calls, 62 kB long."""

    def text(words: int) -> str:
        return " ".join(rng.choices(WORDS, k=words))

    def call(name: str, arguments: dict[str, str], result: str) -> list[dict[str, object]]:
        function = {"name": name, "arguments": json.dumps(arguments)}
        return [
            {"role": "assistant", "content": text(100), "tool_calls": [{"id": "0", "function": function}]},
            {"role": "tool", "tool_call_id": "0", "content": result},
        ]

    messages: list[dict[str, object]] = [{"role": "user", "content": text(30)}]
    for _ in range(QUERIES):
        rows = [{"docid": text(1), "title": text(4), "snippet": text(60)} for _ in range(RESULTS)]
        messages += call("search", {"query": text(6)}, json.dumps(rows))
        messages += call("get_document", {"docid": rows[0]["docid"]}, text(DOCUMENT_WORDS))
    return [*messages, {"role": "assistant", "content": text(20)}]


def write_source(path: Path, count: int, runs: list[str]) -> None:
    """Writes runs, a line each: the given ones with other words, or conversations that are made up."""
    rng = random.Random(0)
    with path.open("w", encoding="utf-8") as stream:
        for number in range(count):
            if runs:
                text = runs[number % len(runs)].replace(" the ", f" the {number} ").replace(" of ", f" of {number} ")
            else:
                text = json.dumps({"id": number, "messages": conversation(rng)})
            stream.write(f"{text}\n")


def memory(process: int) -> dict[str, int]:
    """Resident and anonymous memory of a process and its children, in MB."""
    total = dict.fromkeys(FIELDS, 0)
    try:
        # Not by a command such as ps, whose time would count.
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        children = []
    for pid in [str(process), *children]:
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        for line in status.splitlines():
            key, _, value = line.partition(":")
            if key in FIELDS:
                total[key] += int(value.split()[0]) // 1000
    return total


@dataclass
class Measured:
    """CPU and clock time in seconds, and peaks of memory in MB."""

    cpu: float
    wall: float
    peaks: dict[str, int]


def measure(source: Path, processes: int, options: list[str]) -> Measured:
    """One import, published to a Hub of its own, whose time does not count.

    The folder of the source also keeps the bytecode of Python's modules.
    """
    with tempfile.TemporaryDirectory() as folder, LocalHub(Path(folder) / "hub") as hub:
        command = [
            sys.executable, "-m", "lrat_hub.cli", "import", str(source), "--to", "bench/runs",
            "--processes", str(processes), *options,
        ]  # fmt: skip
        env = {
            **os.environ, **hub.env, "HF_HOME": f"{folder}/home", "OMP_NUM_THREADS": "1",
            "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(source.parent / "bytecode"),
        }  # fmt: skip
        before, started, peaks = os.times(), time.perf_counter(), dict.fromkeys(FIELDS, 0)
        output = subprocess.DEVNULL
        with subprocess.Popen(command, env=env, stdout=output, stderr=output) as process:
            while process.poll() is None:
                for key, value in memory(process.pid).items():
                    peaks[key] = max(peaks[key], value)
                time.sleep(0.1)
        if process.returncode:
            sys.exit(f"{' '.join(command)}: exit code {process.returncode}")
        wall, after = time.perf_counter() - started, os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Measured(cpu, wall, peaks)


def floor(source: Path) -> float:
    """CPU seconds of parsing every line."""
    started = time.process_time()
    with source.open("rb") as stream:
        for line in stream:
            json.loads(line.decode())
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description="Time and memory of lrat import.")
    parser.add_argument("--runs", help="A folder with a JSON file a run.")
    parser.add_argument("--numbers", type=int, nargs="+", default=[300, 1_200, 4_800])
    parser.add_argument("--processes", type=int, nargs="+", default=[1])
    parser.add_argument("options", nargs="*", help="Options of lrat import, after --.")
    args = parser.parse_args()
    files = sorted(Path(args.runs).glob("*.json")) if args.runs else []
    runs = [json.dumps(json.loads(file.read_text(encoding="utf-8"))) for file in files]
    print("| runs | MB | processes | floor, s | import, CPU s | ratio | runs per CPU second | whole command, s "
          "| anonymous, MB | resident, MB |")  # fmt: skip
    print("| ---: " * 10 + "|")
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "runs.jsonl"
        write_source(source, 1, runs)
        measure(source, 1, args.options)  # compiles the modules
        start = min(measure(source, 1, args.options).cpu for _ in range(3))
        for count in args.numbers:
            write_source(source, count, runs)
            lowest, size = floor(source), source.stat().st_size / 1e6
            for processes in args.processes:
                result = measure(source, processes, args.options)
                cpu = result.cpu - start
                print(
                    f"| {count} | {size:.0f} | {processes} | {lowest:.2f} | {result.cpu:.1f} | {cpu / lowest:.1f} "
                    f"| {count / cpu:.0f} | {result.wall:.1f} | {result.peaks['RssAnon']} | {result.peaks['VmRSS']} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
