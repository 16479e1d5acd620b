"""A real vLLM judges opened documents in Ray Data, killed in the middle, as it does behind its server.

    python -m tests.bulk_judging_stage --python VLLM_PYTHON --model FOLDER --root FOLDER

Both runs of SmolLM2-135M are at temperature 0 and in float32: the replies have to be the same, to the letter.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

RUNS = 24

CONTEXT = 456
"""Tokens of the model's context; of the 39 prompts about the documents that these runs opened, one is longer."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Judges documents by vLLM in Ray Data.")
    parser.add_argument("--python", required=True, help="Interpreter that has vLLM and Ray.")
    parser.add_argument("--model", type=Path, required=True, help="Folder of the model.")
    parser.add_argument("--root", type=Path, required=True, help="Folder for the Hub and what it publishes.")
    args = parser.parse_args()

    from lrat_hub.localhub import LocalHub

    with LocalHub(args.root / "hub") as hub:
        os.environ |= hub.env
        os.environ |= {"HF_HOME": str(args.root / "cache"), "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
        # vLLM's pages; half of the machine's memory by itself.
        os.environ |= {
            "VLLM_CPU_KVCACHE_SPACE": "1",
            "TOKENIZERS_PARALLELISM": "false",
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        check(args.python, args.model, args.root)


def check(python: str, folder: Path, root: Path) -> None:
    import yaml
    from datasets import load_dataset
    from huggingface_hub import HfApi

    from lrat_hub import cli
    from lrat_hub.demo.recorded import read_runs
    from lrat_hub.demo.wikipedia import read_documents
    from lrat_hub.hub.lineage import read_lineage
    from lrat_hub.judges.llm import NO_REPLY
    from lrat_hub.llm.prompts import read_prompt
    from lrat_hub.storage import trajectory_table
    from tests.mining.test_bulk import publish

    api = HfApi()
    api.create_repo("lrat/smollm2")
    sha = api.upload_folder(repo_id="lrat/smollm2", folder_path=folder).oid
    runs = publish(trajectory_table(read_runs(read_documents())[:RUNS]), "lrat/runs")
    # Few words of its own, so that a reply takes no time and is another one for another prompt.
    schema = {
        "type": "object",
        "properties": {
            "why": {"type": "string", "pattern": "^[a-z]+ [a-z]+ [a-z]+ [a-z]+$"},
            "verdict": {"type": "string", "enum": ["irrelevant", "relevant"]},
        },
        "required": ["why", "verdict"],
    }
    prompt = root / "prompt.yaml"
    prompt.write_text(yaml.safe_dump(read_prompt("lrat_hub.judges", "document") | {"schema": schema}))
    words = [
        "mine", "--trajectories", str(runs), "--outcomes", "unjudged", "--to", "lrat/pairs", "--judge", "llm",
        "--judge_model", f"lrat/smollm2@{sha}", "--judge_vllm_python", python, "--judge_prompt", str(prompt),
        "--judge_max_tokens", "32", "--judge_concurrency", "16",
        f"--judge_vllm_args=--dtype=float32 --enforce-eager --gpu-memory-utilization=0.4 --max-model-len={CONTEXT}",
    ]  # fmt: skip
    bulk = [*words, "--judge_executor", "ray", "--judge_cache", str(root / "ray.sqlite")]

    started = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "lrat_hub.cli", *bulk])
    while not (before := replies(root / "ray.sqlite")) and process.poll() is None:
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert before, "it was killed before any reply, or ended"
    print(f"killed after {len(before)} replies and {time.monotonic() - started:.0f} s")
    deadline = time.monotonic() + 60
    while left := left_of({"HF_HOME": os.environ["HF_HOME"]}):
        assert time.monotonic() < deadline, f"these are left of it: {left}"
        time.sleep(0.2)
    before = replies(root / "ray.sqlite")

    started = time.monotonic()
    in_bulk = cli.run(bulk)
    after = replies(root / "ray.sqlite")
    print(f"went on to {len(after)} replies in {time.monotonic() - started:.0f} s")
    # A reply that is asked for again has another number.
    assert before.items() < after.items()
    started = time.monotonic()
    by_server = cli.run([*words, "--judge_cache", str(root / "server.sqlite")])
    print(f"the server made {len(after)} replies in {time.monotonic() - started:.0f} s, with its start")
    assert set(after.values()) == set(replies(root / "server.sqlite").values())
    verdicts = [
        load_dataset(pin.repo_id, "pairs", split="train", revision=pin.revision)["verdict"]
        for pin in (in_bulk, by_server)
    ]
    lineage, servers = read_lineage(in_bulk), read_lineage(by_server)
    assert lineage is not None
    assert servers is not None
    assert lineage.recipe["judge_executor"] == "ray"
    assert lineage.inputs["judge"] == f"lrat/smollm2@{sha}"
    assert lineage.counts["unjudged"] == servers.counts["unjudged"] == {NO_REPLY: 1}
    assert len(after) > 20
    assert verdicts[0] == verdicts[1]
    print(f"Ray Data gives the verdicts of the server: {dict(Counter(verdicts[0]))}")


def replies(cache: Path) -> dict[int, tuple[str, str]]:
    """What a cache of replies has, by the numbers of its rows."""
    if not cache.exists():
        return {}
    try:
        with sqlite3.connect(cache) as connection:
            return {
                number: (key, reply)
                for number, key, reply in connection.execute("SELECT rowid, key, reply FROM replies")
            }
    except sqlite3.OperationalError:
        return {}  # its table is being made


def left_of(environment: Mapping[str, str]) -> list[str]:
    """Processes with the environment that is given to what is started here, other than this one."""
    import psutil

    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and environment.items() <= process.environ().items():
                found.append(" ".join(process.cmdline()) or process.name())
    return found


if __name__ == "__main__":
    main()
