"""Memory and time of `lrat import` on one large JSONL file, published to an embedded Hub.

    python benchmarks/import_memory.py --megabytes 200

Anonymous memory is what the import itself needs. Resident memory also has the pages of its memory-mapped Arrow file,
which the system takes back when it needs them. Linux only: the figures are read from /proc.
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
from pathlib import Path

from lrat_hub import LocalHub

QUERIES, RESULTS, DOCUMENT_WORDS = 8, 10, 500
WORDS = [format(number, "x") for number in range(4096, 12288)]


def conversation(draw: random.Random) -> list[dict[str, object]]:
    """A run of 16 calls, 62 kB long."""

    def text(words: int) -> str:
        return " ".join(draw.choices(WORDS, k=words))

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


def write_source(path: Path, megabytes: int) -> int:
    """Writes conversations until the file has its size, and gives their number."""
    draw, count = random.Random(0), 0
    with path.open("w", encoding="utf-8") as stream:
        while stream.tell() < megabytes * 1_000_000:
            stream.write(json.dumps({"id": count, "messages": conversation(draw)}) + "\n")
            count += 1
    return count


def memory(process: int) -> dict[str, int]:
    """Resident and anonymous memory of a process, in MB."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except FileNotFoundError:
        return {}
    values = dict(line.split(":", 1) for line in status.splitlines())
    return {key: int(values[key].split()[0]) // 1000 for key in ("VmRSS", "RssAnon") if key in values}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("options", nargs="*", help="Options of lrat import, after --.")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, LocalHub(Path(folder) / "hub") as hub:
        source = Path(folder) / "runs.jsonl"
        count = write_source(source, args.megabytes)
        command = [sys.executable, "-m", "lrat_hub.cli", "import", str(source), "--to", "bench/runs", *args.options]
        started, peaks = time.perf_counter(), {"VmRSS": 0, "RssAnon": 0}
        with subprocess.Popen(command, env={**os.environ, **hub.env}) as process:
            while process.poll() is None:
                for key, value in memory(process.pid).items():
                    peaks[key] = max(peaks[key], value)
                time.sleep(0.05)
        if process.returncode:
            sys.exit(process.returncode)
        print(
            f"{count} trajectories, {source.stat().st_size / 1e6:.0f} MB: {time.perf_counter() - started:.0f} s, "
            f"peak anonymous {peaks['RssAnon']} MB, peak resident {peaks['VmRSS']} MB"
        )


if __name__ == "__main__":
    main()
