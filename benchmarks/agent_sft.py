"""What fine-tuning on the offline reader's runs does to a small language model as an agent (docs/agent_training.md).

SmolLM2-135M-Instruct learns from the reader's runs on the first 300 questions of 2WikiMultihopQA, and is then run on
some of the other 100, before and after, by the same protocol, prompt, retriever and limits, without a schema. The
questions are paired. Needs the folder `twowiki` (corpus.jsonl, queries.tsv, qrels_evidence.txt), a folder with the
model (tests/smollm.py makes it) and an interpreter with vLLM; everything is kept in the work folder, and the same
command goes on where it was stopped::

    nice -n 10 python benchmarks/agent_sft.py --data twowiki --model smollm2 --vllm-python PYTHON --work work
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrat_hub import LocalHub, cli

if TYPE_CHECKING:
    from lrat_hub.schema import Trajectory

LEARNED_FROM = 300
PROMPT = Path(__file__).with_suffix(".yaml")
SHOWN = ["--k", "3", "--snippet_tokens", "20", "--browse_tokens", "60", "--answer_judge", "containment"]
"""What both the reader and the models are shown: short lists, so that a run fits into few tokens."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--model", type=Path, required=True, metavar="DIR")
    parser.add_argument("--vllm-python", required=True, metavar="PYTHON")
    parser.add_argument("--work", type=Path, required=True, metavar="DIR")
    parser.add_argument("--runs", type=int, default=0, help="of the reader to learn from; 0 for all that fit")
    parser.add_argument("--questions", type=int, default=100, help="of the other 100 to ask")
    parser.add_argument("--learning-rate", default="1e-3")
    args = parser.parse_args()
    root = args.work.resolve()
    with LocalHub(root / "hub") as hub:
        os.environ |= hub.env | {"HF_HOME": str(root / "cache"), "VLLM_CPU_KVCACHE_SPACE": "1"}
        os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "1")
        run(args, root)


def run(args: argparse.Namespace, root: Path) -> None:
    from huggingface_hub import HfApi

    made: dict[str, Any] = {}
    journal = root / "made.json"
    if journal.exists():
        made = json.loads(journal.read_text(encoding="utf-8"))

    def once(name: str, make: Callable[[], Any]) -> str:
        """What was made before, or what is made now, by pin."""
        if name not in made:
            started = time.monotonic()
            made[name] = str(make())
            print(f"{name}: {made[name]}, {time.monotonic() - started:.0f} s", flush=True)
            journal.write_text(json.dumps(made, indent=1), encoding="utf-8")
        return made[name]

    def publish_base() -> str:
        HfApi().create_repo("lrat/smollm2", exist_ok=True)
        return f"lrat/smollm2@{HfApi().upload_folder(repo_id='lrat/smollm2', folder_path=args.model).oid}"

    lines = (args.data / "queries.tsv").read_text(encoding="utf-8").splitlines(keepends=True)
    parts = {"learned": lines[:LEARNED_FROM], "asked": lines[LEARNED_FROM:]}
    corpora = {}
    for part, questions in parts.items():
        file = root / f"{part}.tsv"
        file.write_text("".join(questions), encoding="utf-8")
        words = ["corpus", "--documents", args.data / "corpus.jsonl", "--queries", file,
                 "--qrels", args.data / "qrels_evidence.txt", "--to", f"lrat/twowiki-{part}"]  # fmt: skip
        corpora[part] = once(part, lambda words=words: cli.run([str(word) for word in words]))
    base = once("base", publish_base)
    learned = corpora["learned"]
    words = ["rollout", "--agent", "reader", "--corpus", learned, "--queries", learned, *SHOWN, "--to", "lrat/runs"]
    runs = once("runs", lambda: cli.run(words))
    asked = corpora["asked"]

    def ask(name: str, model: str) -> subprocess.Popen[bytes] | None:
        """Starts the runs of a model on the other questions, unless they are there."""
        words = [
            "rollout", "--agent", "llm", "--protocol", "tongyi", "--prompt", PROMPT, "--model", model,
            "--vllm-python", args.vllm_python, "--corpus", asked, "--queries", asked, *SHOWN,
            "--limit", args.questions, "--max-turns", "8", "--max-tokens", "200", "--max_repeats", "3",
            "--temperature", "0", "--top_p", "1", "--presence_penalty", "0", "--concurrency", "16",
            "--journal", root / f"journal-{name}", "--to", f"lrat/runs-{name}@questions-{args.questions}",
            "--vllm-args=--dtype=bfloat16 --enforce-eager --gpu-memory-utilization=0.4 --max-model-len=4096",
        ]  # fmt: skip
        command = [sys.executable, "-m", "lrat_hub.cli", *map(str, words)]
        return None if _runs_of(name, args) in made else subprocess.Popen(command)

    def asked_to_the_end(name: str, process: subprocess.Popen[bytes] | None) -> str:
        def pin() -> str:
            assert process is not None
            if process.wait():
                raise SystemExit(f"the runs of the {name} model ended with {process.returncode}")
            branch = f"questions-{args.questions}"
            sha = HfApi().dataset_info(f"lrat/runs-{name}", revision=branch).sha
            return f"datasets/lrat/runs-{name}@{sha}"

        return once(_runs_of(name, args), pin)

    # One waits for the server most of the time, and the other computes.
    untrained = ask("untrained", base)
    trained = once("trained", lambda: cli.run([
        "train-agent", "--config", "training/agent_smollm2", "--model", base, "--trajectories", runs,
        "--prompt", str(PROMPT), "--max_runs", str(args.runs), "--max_run_steps", "4", "--max_length", "2048",
        "--lora_rank", "32", "--learning_rate", args.learning_rate, "--gradient_accumulation_steps", "1",
        "--work_dir", str(root / "train"), "--to", "lrat/smollm2-agent",
    ]))  # fmt: skip
    pins = {"untrained": asked_to_the_end("untrained", untrained)}
    pins["trained"] = asked_to_the_end("trained", ask("trained", trained))
    report(pins, asked)


def _runs_of(name: str, args: argparse.Namespace) -> str:
    return f"runs of the {name} model on {args.questions} questions"


def report(pins: Mapping[str, str], asked: str) -> None:
    """Both models on the same questions, and the paired differences."""
    from lrat_hub import load_qrels, load_trajectories
    from lrat_hub.hub.cards import markdown_table
    from lrat_hub.significance import paired_difference

    runs = {name: list(load_trajectories(pin)) for name, pin in pins.items()}
    for name, own in runs.items():
        print(f"{name}: {len(own)} runs, {carried_out(own):.3f} of all calls can be carried out")
    values = {name: figures(own, load_qrels(asked)) for name, own in runs.items()}
    print(markdown_table([
        {
            "per question": what,
            "untrained": sum(before.values()) / len(before),
            "trained": sum(values["trained"][what].values()) / len(before),
            "difference": str(paired_difference(values["trained"][what], before)),
        }
        for what, before in values["untrained"].items()
    ]))  # fmt: skip


def figures(runs: Sequence[Trajectory], qrels: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, float]]:
    """What an agent did on each question, by figure and question."""
    from lrat_hub import evaluate_agents

    scores = evaluate_agents(runs, [one.query_id for one in runs], qrels)
    return {
        "calls that can be carried out": {one.query_id: carried_out([one]) for one in runs},
        "evidence listed": dict(scores.values("evidence_share")),
        "evidence opened": dict(scores.values("opened_share")),
        "right answers": {one.query_id: float(bool(one.correct)) for one in runs},
        "answered by itself": {one.query_id: float(one.status == "completed") for one in runs},
        "searches": dict(scores.values("searches")),
        "browses": dict(scores.values("browses")),
    }


def carried_out(runs: Sequence[Trajectory]) -> float:
    """The share of the messages' calls and answers that were searches, browses or an answer with a text."""
    steps = [(step, one) for one in runs for step in one.steps]
    good = sum(
        step.action in ("search", "browse") or (step.action == "answer" and bool(one.final_answer))
        for step, one in steps
    )
    return good / len(steps) if steps else 0.0


if __name__ == "__main__":
    main()
