"""Small language models as agents of their own, through llama.cpp's server (docs/agent_training.md).

On 2WikiMultihopQA, as in language_model_loop.py and agent_sft.py:

1. SmolLM2-135M learns from the offline reader's runs, and serves the small loop: its own runs with MiniLM are mined, a
   retriever of averaged token embeddings is trained on the pairs, and evaluated by itself and inside the agent.
2. The same model learns from a large language model's recorded runs in place of the reader's, and both and the
   untrained one answer the same questions.
3. Qwen2.5-Coder-0.5B-Instruct, untrained, with BM25, with MiniLM, and with MiniLM trained on the large model's runs.

Everything is kept in the work folder, and the same command goes on where it was stopped::

    python benchmarks/small_agents.py --data twowiki --work work --smollm smollm2 --smollm-gguf FILE --qwen FILE \
        --llama-python PYTHON

`smollm2` is the folder that tests/smollm.py makes, `--smollm-gguf` the file that it was made from, and `--qwen` a GGUF
of Qwen2.5-Coder. PYTHON has `xllamacpp`, `gguf` and `safetensors`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from agent_sft import LEARNED_FROM, SHOWN, carried_out, figures
from agent_sft import PROMPT as TAGS
from language_model_loop import Loop

from lrat_hub import LocalHub, cli

JSON = Path(__file__).with_suffix(".yaml")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("data", "work", "smollm", "smollm-gguf", "qwen"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--llama-python", required=True, metavar="PYTHON")
    parser.add_argument("--learned-runs", type=int, default=40, help="runs that SmolLM2 learns from, of each kind")
    parser.add_argument("--loop-runs", type=int, default=40, help="of SmolLM2 that are mined")
    parser.add_argument("--questions", type=int, default=30, help="of the other 100 to ask")
    parser.add_argument("--only", nargs="*", choices=PIECES, default=PIECES, help="what to make")
    args = parser.parse_args()
    work = args.work.resolve()
    (work / "loop").mkdir(parents=True, exist_ok=True)
    with LocalHub(work / "hub") as hub:
        os.environ |= hub.env | {"HF_HOME": str(work / "cache")}
        agents = SmallAgents(args, work)
        for piece in args.only:
            getattr(agents, piece)()
        agents.report()


class SmallAgents:
    """What is made, each once, by name: pins are kept in the work folder."""

    def __init__(self, args: argparse.Namespace, work: Path) -> None:
        self.args, self.work = args, work
        self.journal = work / "made.json"
        self.pins: dict[str, str] = json.loads(self.journal.read_text()) if self.journal.exists() else {}
        self.lines = (args.data / "queries.tsv").read_text(encoding="utf-8").splitlines(keepends=True)

    def once(self, name: str, make: Callable[[], Any]) -> str:
        """What was made before, or what is made now, by pin."""
        if name not in self.pins:
            started = time.monotonic()
            self.pins[name] = str(make())
            print(f"{name}: {self.pins[name]}, {time.monotonic() - started:.0f} s", flush=True)
            self.journal.write_text(json.dumps(self.pins, indent=1), encoding="utf-8")
        return self.pins[name]

    def stage(self, name: str, *words: object) -> str:
        """What a command of `lrat` publishes."""

        def run() -> Any:
            made = cli.run([*map(str, words), "--to", f"lrat/{name}"])
            return made[0] if isinstance(made, tuple) else made

        return self.once(name, run)

    # Questions, models and retrievers

    def questions(self, name: str, lines: list[str]) -> str:
        file, data = self.work / f"{name}.tsv", self.args.data
        file.write_text("".join(lines), encoding="utf-8")
        given = ["--documents", data / "corpus.jsonl", "--queries", file, "--qrels", data / "qrels_evidence.txt"]
        return self.stage(f"twowiki-{name}", "corpus", *given)

    @cached_property
    def learned(self) -> str:
        return self.questions("learned", self.lines[:LEARNED_FROM])

    @cached_property
    def others(self) -> str:
        """Questions of those 300 behind the ones whose runs SmolLM2 learns from (the first 40 that fit)."""
        return self.questions("others", self.lines[LEARNED_FROM // 2 : LEARNED_FROM])

    @cached_property
    def asked(self) -> str:
        return self.questions("asked", self.lines[LEARNED_FROM:])

    @cached_property
    def smollm(self) -> str:
        def publish() -> str:
            from huggingface_hub import HfApi

            HfApi().create_repo("lrat/smollm2", exist_ok=True)
            return f"lrat/smollm2@{HfApi().upload_folder(repo_id='lrat/smollm2', folder_path=self.args.smollm).oid}"

        return self.once("smollm2", publish)

    @cached_property
    def corpus(self) -> str:
        return self.questions("all", self.lines)

    @cached_property
    def minilm(self) -> str:
        from lrat_hub.demo.bases import publish_base

        return self.once("minilm", lambda: publish_base("minilm", "lrat/minilm"))

    def index(self, name: str, model: str, *more: object) -> str:
        return self.stage(f"index-{name}", "index", "--corpus", self.corpus, "--model", model, *more)

    @cached_property
    def recorded(self) -> Loop:
        """The large model's recorded runs."""
        options = argparse.Namespace(recorded=True, model="", model_url="", judge_url="")
        loop = Loop(self.args.data, self.work / "loop", options)
        loop.collect("train", "train", "")
        return loop

    def sft(self, name: str, runs: str, *more: object) -> str:
        return self.stage(
            name, "train-agent", "--config", "training/agent_smollm2", "--model", self.smollm, "--trajectories", runs,
            "--prompt", TAGS, "--max_run_steps", 4, "--max_length", 2048, "--lora_rank", 32,
            "--learning_rate", 1e-3, "--gradient_accumulation_steps", 1, "--max_runs", self.args.learned_runs,
            "--work_dir", self.work / name, "--save_steps", 4, *more,
        )  # fmt: skip

    # Runs of small models

    def ask(self, name: str, file: Path, model: str, questions: str, limit: int, *more: object) -> str:
        """Runs of a model that llama.cpp serves, one at a time, greedy."""
        name = f"{name}-{limit}"
        if name in self.pins:
            return self.pins[name]
        served_name = model.partition("@")[0]
        with served(self.args.llama_python, file, served_name, self.work / "llama.log") as url:
            return self.stage(
                name, "rollout", "--agent", "llm", "--model", model, "--url", url, "--corpus", self.corpus,
                "--queries", questions, *SHOWN, "--limit", limit, "--max_turns", 8, "--max_tokens", 200,
                "--temperature", 0, "--top_p", 1, "--presence_penalty", 0, "--concurrency", 1, *more,
            )  # fmt: skip

    def ask_smollm(self, name: str, model: str, questions: str, limit: int, *retriever: object) -> str:
        """Runs of SmolLM2, in the protocol that it is trained in and without a schema."""
        file = self.work / f"{model.partition('@')[0].partition('/')[2]}.gguf"
        if not file.is_file():
            from huggingface_hub import snapshot_download

            repo_id, _, revision = model.partition("@")
            weights = Path(snapshot_download(repo_id, revision=revision)) / "model.safetensors"
            made, script = file.with_suffix(".unfinished"), Path(__file__).with_name("llama_server.py")
            words = [self.args.llama_python, script, "convert", self.args.smollm_gguf, weights, made]
            subprocess.run([*map(str, words)], check=True)
            made.rename(file)
        told = ["--protocol", "tongyi", "--prompt", TAGS, "--max_repeats", 3]
        return self.ask(name, file, model, questions, limit, *told, *retriever)

    # What is made, in this order

    def reader(self) -> None:
        """SmolLM2 learns from the reader's runs."""
        words = ["rollout", "--agent", "reader", "--corpus", self.learned, "--queries", self.learned, *SHOWN]
        self.agent = self.sft("agent-of-reader", self.stage("reader-runs", *words))

    def small_loop(self) -> dict[str, str]:
        """It searches with MiniLM, its runs are mined, and a retriever learns from them.

        So small a model seldom answers correctly: what incorrect runs opened is mined as well, and judged.
        """
        self.reader()
        index = self.index("minilm", self.minilm, *CUT)
        runs = self.ask_smollm("smollm-runs", self.agent, self.others, self.args.loop_runs, "--index", index)
        evidence = ["--qrels", f"{self.others}#qrels_evidence:test"]
        pairs = self.stage("smollm-pairs", "mine", "--trajectories", runs, "--corpus", self.corpus,
                           "--judge", "rule", "--outcomes", "correct", "incorrect", *evidence)  # fmt: skip
        from lrat_hub.demo.bases import publish_base

        base = self.once("static", lambda: publish_base("static", "lrat/static"))
        recipe = ["--config", "training/static"]
        trained = self.stage("static-trained", "train", *recipe, "--pairs", pairs, "--model", base)
        indexes = {name: self.index(f"static-{name}", model) for name, model in (("base", base), ("trained", trained))}
        self.stage(
            "smollm-retrieval", "eval", "retrieval", "--corpus", self.corpus, "--index", *indexes.values(),
            "--queries", f"{self.asked}#queries:test", "--qrels", f"{self.asked}#qrels_evidence:test",
        )  # fmt: skip
        return indexes

    def inside(self) -> None:
        """SmolLM2 with the base and with the retriever that it has trained."""
        for name, index in self.small_loop().items():
            self.ask_smollm(f"smollm-static-{name}", self.agent, self.asked, self.args.questions, "--index", index)

    def qwen(self) -> None:
        """Qwen2.5-Coder without a schema, and with one and an example also with BM25 and the trained retriever."""
        minilm = self.index("minilm", self.minilm, *CUT)
        ask = ("lrat/qwen2.5-coder-0.5b", self.asked, self.args.questions)
        tags = ["--protocol", "tongyi", "--prompt", TAGS, "--max_repeats", 3]
        schema = ["--protocol", "json", "--prompt", JSON, "--max_repeats", 2, "--queries_per_search", 1]
        self.ask("qwen-tags", self.args.qwen, *ask, *tags, "--index", minilm)
        self.ask("qwen-bm25", self.args.qwen, *ask, *schema, "--retriever", "bm25")
        self.ask("qwen-minilm", self.args.qwen, *ask, *schema, "--index", minilm)
        self.recorded.mine()
        recipe = ["--config", "training/quickstart_minilm", "--model", self.minilm]
        learned = self.stage("trained", "train", *recipe, "--pairs", self.recorded.pins["pairs"])
        self.ask("qwen-trained", self.args.qwen, *ask, *schema, "--index", self.index("trained", learned, *CUT))

    def model(self) -> None:
        """SmolLM2 learns from the large model's runs; both and the untrained one are asked the same with BM25."""
        self.reader()
        runs = self.recorded.pins["runs-train"]
        other = self.sft("agent-of-model", runs, "--corpus", self.corpus, *SHOWN[: SHOWN.index(JUDGED)])
        for name, agent in (("of-reader", self.agent), ("of-model", other), ("untrained", self.smollm)):
            self.ask_smollm(f"smollm-{name}", agent, self.asked, self.args.questions, "--retriever", "bm25")

    def report(self) -> None:
        """The runs that are there, and paired differences on the same questions."""
        from lrat_hub import load_qrels, load_trajectories
        from lrat_hub.hub.cards import markdown_table
        from lrat_hub.significance import paired_difference

        qrels, limit = load_qrels(self.asked), self.args.questions
        names = ("smollm-static-base", "smollm-static-trained", "smollm-of-reader", "smollm-of-model",
                 "smollm-untrained", "qwen-tags", "qwen-bm25", "qwen-minilm", "qwen-trained")  # fmt: skip
        there = [name for name in names if f"{name}-{limit}" in self.pins]
        runs = {name: list(load_trajectories(self.pins[f"{name}-{limit}"])) for name in there}
        for name, own in runs.items():
            statuses = dict(Counter(run.status for run in own))
            print(f"{name}: {statuses}, {carried_out(own):.3f} of all calls can be carried out")
        values = {name: figures(own, qrels) for name, own in runs.items()}
        pairs = [("smollm-static-base", "smollm-static-trained"), ("smollm-of-reader", "smollm-of-model"),
                 ("smollm-untrained", "smollm-of-reader"), ("smollm-untrained", "smollm-of-model"),
                 ("smollm-of-reader", "qwen-bm25"), ("qwen-tags", "qwen-minilm"),
                 ("qwen-minilm", "qwen-trained")]  # fmt: skip
        for first, second in pairs:
            if {first, second} <= values.keys():
                print(f"\n{first}, {second}: {limit} questions")
                print(markdown_table([
                    {
                        "per question": what,
                        first: sum(before.values()) / len(before),
                        second: sum(values[second][what].values()) / len(before),
                        "difference": str(paired_difference(values[second][what], before)),
                    }
                    for what, before in values[first].items()
                ]))  # fmt: skip


PIECES = ("reader", "small_loop", "inside", "qwen", "model")
JUDGED = "--answer_judge"
CUT = ("--max_length", 128)


@contextmanager
def served(python: str, file: Path, name: str, log: Path) -> Iterator[str]:
    """The URL of llama.cpp's server of a model, while inside `with`."""
    from lrat_hub.llm.processes import ServerProcess, free_port

    port = free_port()
    command = [python, "llama_server", "serve", str(file), "--name", name, "--port", str(port)]
    here = {"PYTHONPATH": str(Path(__file__).parent)}
    with ServerProcess(
        "llama.cpp", command, f"http://127.0.0.1:{port}/health", log=log, timeout=600, environment=here
    ):
        yield f"http://127.0.0.1:{port}/v1"


if __name__ == "__main__":
    main()
