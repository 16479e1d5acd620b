"""A language model through the whole loop: `lrat serve` collects its calls, which are mined and trained on.

Needs the folder `twowiki` (corpus.jsonl, queries.tsv, qrels_evidence.txt), a language model that calls tools, and one
that judges, both behind an OpenAI-compatible server, or somebody who works through the served search in their place::

    python benchmarks/language_model_loop.py --data twowiki --work work --model NAME --model_url URL/v1

1. The model answers 150 of the first 300 questions with MiniLM, and 60 of the other 100, reasoning before each call.
2. `lrat import`, and `lrat mine` with the model as judge of every opened passage.
3. `lrat train`, and the model answers the 60 questions again with the trained retriever.
4. `lrat sweep --vary ladder`: naive pairs, the judge's filter, the weights, with three seeds.
5. `lrat sweep --vary pairs`: naive pairs of incorrect runs, and as many of correct runs, with a small static model.
6. Everything is compared: retrievers by themselves and on the searches of the 60 runs, agents by success, evidence and
   steps, and what section 4 of the paper says of runs.

Without `--model` the command serves, prints the address, and waits until every question has been answered there with
the question's id as `session_id` (docs/serving.md). The same command goes on where it was stopped. What a large
language model left in November 2026 lies beside this file, and makes the same artifacts without one::

    python benchmarks/language_model_loop.py --data twowiki --work work --recorded
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.request import urlopen

from lrat_hub.demo.recorded import RecordedJudge
from lrat_hub.localhub import LocalHub

RECORDS = Path(__file__).parent / "language_model_loop"
"""What was collected: calls by the runs they belong to, and verdicts. Passages are there by their docids alone."""

TRAIN, TEST = 150, 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--work", type=Path, required=True, metavar="DIR", help="keeps the Hub and what was collected")
    parser.add_argument("--model", default="", help="name of the language model at its server")
    parser.add_argument("--model_url", default="", help="its URL, up to and including /v1")
    parser.add_argument("--judge_url", default="", help="URL of the judge, where it isn't the model")
    parser.add_argument(
        "--recorded", action="store_true", help="take the calls and verdicts that lie beside this file"
    )
    parser.add_argument("--port", type=int, default=8971)
    parts = ("train", "test", "pairs", "trained", "ladder", "outcomes", "all")
    parser.add_argument("--until", choices=parts, default="all")
    args = parser.parse_args()
    work = args.work.resolve()
    with LocalHub(work / "hub") as hub:
        # Before any Hugging Face library is imported: they read their environment then.
        os.environ |= hub.env | {"HF_HOME": str(work / "cache")}
        Loop(args.data, work, args).run()


class Loop:
    """The loop's artifacts by name, each made once: their pins are kept in the work folder."""

    def __init__(self, data: Path, work: Path, args: argparse.Namespace) -> None:
        self.data, self.work, self.args = data, work, args
        self.pins_file = work / "pins.json"
        self.pins: dict[str, str] = json.loads(self.pins_file.read_text()) if self.pins_file.exists() else {}
        self.questions = self.read_questions()

    def run(self) -> None:
        for name, step in {
            "train": self.collect_training_runs,
            "test": self.collect_test_runs,
            "pairs": self.mine,
            "trained": self.collect_with_the_trained,
            "ladder": self.climb,
            "outcomes": self.compare_outcomes,
            "all": self.compare,
        }.items():
            step()
            if name == self.args.until:
                break

    def read_questions(self) -> dict[str, dict[str, str]]:
        """Questions by split and id: every second of the first 300, and the first 60 of the others."""
        lines = (self.data / "queries.tsv").read_text(encoding="utf-8").splitlines()
        rows = [line.split("\t") for line in lines]
        parts = {"train": rows[:300:2][:TRAIN], "test": rows[300:][:TEST]}
        for split, part in parts.items():
            text = "".join("\t".join(row) + "\n" for row in part)
            (self.work / f"{split}.tsv").write_text(text, encoding="utf-8")
        return {split: {row[0]: row[1] for row in part} for split, part in parts.items()}

    def made(self, name: str, *words: object) -> str:
        """The pin of what a command of `lrat` makes, made now if it isn't there."""
        if name not in self.pins:
            from lrat_hub import cli

            made = cli.run([*map(str, words), "--to", f"lrat/{name}"])
            self.keep(name, made[0] if isinstance(made, tuple) else made)
        return self.pins[name]

    def keep(self, name: str, pin: object) -> str:
        self.pins[name] = str(pin)
        self.pins_file.write_text(json.dumps(self.pins, indent=1))
        return self.pins[name]

    @property
    def corpus(self) -> str:
        given = ["--qrels", self.data / "qrels_evidence.txt"]
        self.made("twowiki-test", "corpus", "--queries", self.work / "test.tsv", *given)
        documents = ["--documents", self.data / "corpus.jsonl", "--queries", self.work / "train.tsv"]
        return self.made("twowiki", "corpus", *documents, *given, "--split", "train")

    @property
    def base(self) -> str:
        from lrat_hub.demo.bases import publish_base

        return self.pins.get("minilm") or self.keep("minilm", publish_base("minilm", "lrat/minilm"))

    def index(self, model: str, name: str) -> str:
        return self.made(name, "index", "--corpus", self.corpus, "--model", model, "--max_length", 128)

    # 1 and 3: runs

    def collect_training_runs(self) -> None:
        self.collect("train", "train", self.index(self.base, "minilm-index"))

    def collect_test_runs(self) -> None:
        self.collect("test-base", "test", self.index(self.base, "minilm-index"))

    def collect_with_the_trained(self) -> None:
        recipe = ["--config", "training/quickstart_minilm"]
        trained = self.made("trained", "train", *recipe, "--pairs", self.pins["pairs"], "--model", self.base)
        self.collect("test-trained", "test", self.index(trained, "trained-index"))

    def collect(self, name: str, split: str, index: str) -> str:
        """The runs on the questions of a split, which are collected by the served search, as trajectories."""
        if f"runs-{name}" in self.pins:
            return self.pins[f"runs-{name}"]
        calls = self.work / "calls" / name
        if self.args.recorded:
            calls.mkdir(parents=True, exist_ok=True)
            (calls / "calls.jsonl").write_bytes(gzip.decompress((RECORDS / f"{name}.jsonl.gz").read_bytes()))
        else:
            self.serve(name, calls, self.questions[split], index)
        queries = f"{self.pins['twowiki-test']}#queries:test" if split == "test" else f"{self.corpus}#queries:train"
        return self.made(f"runs-{name}", "import", calls, "--queries", queries, "--answer_judge", "containment")

    def serve(self, name: str, calls: Path, asked: Mapping[str, str], index: str) -> None:
        command = [sys.executable, "-m", "lrat_hub.cli", "serve", "--index", index, "--corpus", self.corpus]
        command += ["--collect", str(calls), "--port", str(self.args.port)]
        log_file = self.work / f"serve-{name}.log"
        with open(log_file, "a") as log, subprocess.Popen(command, stdout=log, stderr=log) as server:
            try:
                self.wait_for_answers(name, calls, asked, server)
            finally:
                server.terminate()

    def wait_for_answers(
        self, name: str, calls: Path, asked: Mapping[str, str], server: subprocess.Popen[bytes]
    ) -> None:
        url, told = f"http://127.0.0.1:{self.args.port}", -1
        while not is_up(url):
            if server.poll() is not None:
                raise SystemExit(f"lrat serve ended, see {self.work / f'serve-{name}.log'}")
            time.sleep(1)
        print(
            f"{name}: {url} searches for sessions that are named by {self.work}/{name.partition('-')[0]}.tsv",
            flush=True,
        )
        while missing := [query_id for query_id in asked if query_id not in answered(calls)]:
            if self.args.model:
                self.ask_model(url, missing[0], asked[missing[0]])
            elif len(asked) - len(missing) != told:
                told = len(asked) - len(missing)
                print(f"{name}: {told} of {len(asked)} questions are answered", flush=True)
            if server.poll() is not None:
                raise SystemExit(f"lrat serve ended, see {self.work / f'serve-{name}.log'}")
            time.sleep(0 if self.args.model else 5)

    def ask_model(self, url: str, query_id: str, question: str) -> None:
        """One run of examples/chat_agent.py; a run that fails ends here, so that it is seen."""
        agent = Path(__file__).parent.parent / "examples" / "chat_agent.py"
        words = [question, "--model", self.args.model, "--server", url, "--session", query_id]
        environment = os.environ | {"OPENAI_BASE_URL": self.args.model_url}
        environment.setdefault("OPENAI_API_KEY", "none")
        subprocess.run([sys.executable, agent, *words], check=True, env=environment)

    # 2: pairs

    def mine(self) -> None:
        judge: list[object] = ["--judge", "llm", "--judge_model", self.args.model or "a-large-language-model"]
        judge += ["--judge_url", self.args.judge_url or self.args.model_url]
        # Whoever rules by hand takes the time that it takes.
        judge += ["--judge_concurrency", 500, "--judge_request_timeout", 86_400, "--judge_attempts", 1]
        if self.args.recorded:
            judge = ["--judge", f"{Path(__file__).stem}:Verdicts"]
        self.made(
            "pairs", "mine", "--trajectories", self.pins["runs-train"], "--corpus", self.corpus, *judge,
            "--qrels", f"{self.corpus}#qrels_evidence:train", "--tokenizer", self.base,
        )  # fmt: skip

    # 4: the ladder

    def climb(self) -> None:
        self.made(
            "ladder", "sweep", "--config", "training/quickstart_minilm", "--vary", "ladder", "--seeds", 3,
            "--pairs", self.pins["pairs"], "--model", self.base, "--corpus", self.corpus,
            "--queries", f"{self.pins['twowiki-test']}#queries:test",
            "--qrels", f"{self.pins['twowiki-test']}#qrels_evidence:test",
        )  # fmt: skip

    # 5: correct and incorrect runs

    def compare_outcomes(self) -> None:
        """Naive pairs of both kinds of runs, the same number of each, drawn for each seed."""
        from lrat_hub.demo.bases import publish_base

        base = self.pins.get("static") or self.keep("static", publish_base("static", "lrat/static"))
        kinds = ("correct", "incorrect")
        pairs = [
            self.made(f"pairs-{kind}", "mine", "--trajectories", self.pins["runs-train"], "--corpus", self.corpus,
                      "--judge", "none", "--outcomes", kind, "--tokenizer", self.base)
            for kind in kinds
        ]  # fmt: skip
        self.made(
            "outcomes", "sweep", "--config", "training/static", "--vary", "pairs", "--seeds", 3, "--pairs", *pairs,
            "--names", *kinds, "--models_to", "none", "--model", base, "--corpus", self.corpus,
            "--queries", f"{self.pins['twowiki-test']}#queries:test",
            "--qrels", f"{self.pins['twowiki-test']}#qrels_evidence:test",
        )  # fmt: skip

    # 6: what came of it

    def compare(self) -> None:
        questions = f"{self.pins['twowiki-test']}#queries:test"
        evidence = f"{self.pins['twowiki-test']}#qrels_evidence:test"
        asked = ["--queries", questions, "--qrels", evidence]
        indexes = [self.pins["minilm-index"], self.pins["trained-index"]]
        alone = self.made("retrieval", "eval", "retrieval", "--corpus", self.corpus, *asked, "--index", *indexes,
                          "--trajectories", self.pins["runs-test-base"])  # fmt: skip
        inside = self.made("agents", "eval", "agents", *asked, "--names", "MiniLM", "trained",
                           "--trajectories", self.pins["runs-test-base"], self.pins["runs-test-trained"],
                           "--second_judge", "match", "--benchmark", "2Wiki")  # fmt: skip
        for name, split in (("train", "train"), ("test-base", "test"), ("test-trained", "test")):
            qrels = evidence if split == "test" else f"{self.corpus}#qrels_evidence:train"
            self.made(f"analysis-{name}", "analyze", "--trajectories", self.pins[f"runs-{name}"], "--qrels", qrels,
                      "--report", self.work / f"analysis-{name}")  # fmt: skip
        self.made("report", "eval", "report", "--evaluations", alone, inside, "--folder", self.work / "report")


class Verdicts(RecordedJudge):
    """The verdicts that a large language model gave on these runs."""

    def __init__(self) -> None:
        lines = gzip.decompress((RECORDS / "verdicts.jsonl.gz").read_bytes()).decode().splitlines()
        super().__init__([json.loads(line) for line in lines])


def is_up(url: str) -> bool:
    try:
        with urlopen(f"{url}/health", timeout=10):
            return True
    except OSError:
        return False


def answered(calls: Path) -> set[str]:
    """Sessions that have told their answer."""
    lines = (line for file in calls.glob("**/*.jsonl") for line in file.read_text(encoding="utf-8").splitlines())
    return {record["session"] for record in map(json.loads, lines) if record["kind"] == "answer"}


if __name__ == "__main__":
    main()
