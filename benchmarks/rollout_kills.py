"""Kills a rollout at random moments, again and again, and compares what comes out with an undisturbed one.

    python benchmarks/rollout_kills.py [--kills 10] [--seed 0]

The stage runs as a process of its own against a scripted chat server and an embedded Hub. A kill comes up to 2 seconds
after the first run of its process has ended. Exits with 1 unless both datasets have exactly the same trajectories, but
for the seconds that each took.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))


def main() -> int:
    parser = argparse.ArgumentParser(description="Kills a rollout and resumes it.")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    from lrat_hub.localhub import LocalHub

    with tempfile.TemporaryDirectory() as folder, LocalHub(Path(folder) / "hub") as hub:
        os.environ |= hub.env | {"HF_HOME": str(Path(folder) / "cache"), "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
        return compare(Path(folder), args.kills, random.Random(args.seed))


def compare(folder: Path, kills: int, rng: random.Random) -> int:
    from lrat_hub import cli, load_trajectories
    from tests.agents.scripted import DOCUMENTS, timeless
    from tests.chat_server import Script, serve

    rows = [json.dumps({"docid": d.docid, "title": d.title, "text": d.text}) for d in DOCUMENTS.values()]
    (folder / "documents.jsonl").write_text("\n".join(rows))
    (folder / "queries.tsv").write_text("".join(f"q{n}\twhich is the thing {n}\tTitle {n}\n" for n in range(200)))
    files = ["--documents", str(folder / "documents.jsonl"), "--queries", str(folder / "queries.tsv")]
    corpus = str(cli.run(["corpus", *files, "--to", "me/things"]))
    with serve(Script(protocol="tools", delay=0.1, malformed=0.1, stubborn=0.05, endless=0.05)) as base_url:

        def words(name: str) -> list[str]:
            return [
                "rollout", "--agent", "llm", "--model", "scripted", "--url", base_url, "--protocol", "tools",
                "--corpus", corpus, "--queries", corpus, "--max_turns", "20", "--max_tokens", "500",
                "--concurrency", "4", "--journal", str(folder / name), "--to", f"me/{name}",
            ]  # fmt: skip

        calm = cli.run(words("calm"))
        done = []
        for _ in range(kills):
            process = subprocess.Popen(
                [sys.executable, "-m", "lrat_hub.cli", *words("killed")], cwd=ROOT, stderr=subprocess.DEVNULL
            )
            before = lines(folder / "killed")
            # Work begins when the first run ends; a kill may come at any time from then on, or a little before.
            while lines(folder / "killed") == before and process.poll() is None:
                time.sleep(0.005)
            time.sleep(rng.uniform(0, 2))
            process.send_signal(signal.SIGKILL)
            process.wait()
            done.append(lines(folder / "killed"))
        print(f"runs in the journal after each kill: {done}")
        killed = cli.run(words("killed"))
    first, second = ([timeless(run).to_dict() for run in load_trajectories(ref)] for ref in (calm, killed))
    names = [run["trajectory_id"] for run in second]
    print(f"{len(first)} runs undisturbed, {len(second)} with {kills} kills, {len(names) - len(set(names))} twice")
    print("the same trajectories" if first == second else "DIFFERENT trajectories")
    return int(first != second or len(names) != len(set(names)))


def lines(folder: Path) -> int:
    return sum(file.read_bytes().count(b"\n") for file in folder.rglob("shard-*.jsonl"))


if __name__ == "__main__":
    sys.exit(main())
