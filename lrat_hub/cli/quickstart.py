"""Runs the whole loop on an embedded Hub: a language model's logs, mined pairs, a trained retriever, its evaluation.

Each step runs a stage of the `lrat` command on the pinned output of the steps before it. The messages of the stages
are written to `log.txt`.
"""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from lrat_hub import cli
from lrat_hub.cli import following
from lrat_hub.cli.parser import CommandParser
from lrat_hub.cli.stage import say
from lrat_hub.cli.tables import show_table
from lrat_hub.errors import LratError
from lrat_hub.localhub import DEFAULT_PORT, LocalHub
from lrat_hub.localhub.process import listen

if TYPE_CHECKING:
    from lrat_hub.demo.bases import Base
    from lrat_hub.demo.report import Artifacts
    from lrat_hub.hub.refs import HubRef

NAMESPACE = "lrat"
STEPS = 10
JUDGE = "lrat_hub.demo.recorded:RecordedJudge"
READER_K = 3
"""Results a search of the reader: with ten there is nearly nothing that it would not find."""


def main(argv: list[str]) -> None:
    parser = CommandParser(prog="lrat quickstart", description=__doc__)
    parser.add_argument(
        "--base", choices=("minilm", "static"), default="minilm", help="Base model to train; default: %(default)s."
    )
    parser.add_argument(
        "--root",
        type=Path,
        default=Path("quickstart"),
        help="Folder for the Hub and the report; default: %(default)s.",
    )
    parser.add_argument(
        "--port",
        type=int,
        metavar="N",
        help=f"Port of the Hub; 0 picks a free one; default: {DEFAULT_PORT}, or a free one where that is taken.",
    )
    args = parser.parse_args(argv)

    started = time.monotonic()
    root = args.root.resolve()
    root.mkdir(parents=True, exist_ok=True)
    here = Path.cwd()

    def shown(path: Path) -> str:
        return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)

    with LocalHub(root / "hub", port=_port(args.port)) as hub, (root / "log.txt").open("w", encoding="utf-8") as log:
        # Hugging Face libraries read these when they are imported, which has not happened yet. The cache is the
        # quickstart's own: it must not mix with repositories of the same name on another Hub.
        exports = {**hub.env, "HF_HOME": str(root / "cache")}
        os.environ |= exports
        os.environ |= {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
        say(
            f"A language model's search logs train {args.base}; what each step says is in {shown(root / 'log.txt')}.\n"
        )

        if args.port is None and not hub.endpoint.endswith(f":{DEFAULT_PORT}"):
            say(f"Port {DEFAULT_PORT} is taken, so the Hub of this run is at {hub.endpoint}.\n")

        from lrat_hub.demo.report import (
            conclusions,
            read_findings,
            result_rows,
            write_consumer,
            write_env,
            write_report,
        )

        made = run_loop(args.base, root, log)
        findings = read_findings(made)
        report = write_report(root, args.base, made, findings)
        port = int(hub.endpoint.rpartition(":")[2])
        serve = f"lrat hub serve --root {shlex.quote(str(root / 'hub'))} --port {port}"
        env, consumer = write_env(root, made, exports, serve), write_consumer(root)

    say(f"\n{args.base} before and after, with paired 95 % intervals of the difference over test questions:\n")
    show_table(result_rows(findings))
    say("")
    for sentence in conclusions(findings, args.base):
        say(sentence)
    say("\nUse the results with plain datasets and sentence-transformers, in two shells:")
    python = Path(sys.executable)
    lrat = python.with_name("lrat")
    say(f"  {shown(lrat) if lrat.exists() else 'lrat'} hub serve --root {shown(root / 'hub')} --port {port}")
    say(f"  . {shown(env)} && {shown(python)} {shown(consumer)}")
    say(f'  SentenceTransformer("{made.model.repo_id}", revision="{made.model.revision}")')
    say(f'  load_dataset("{made.pairs.repo_id}", "triplets", split="train", revision="{made.pairs.revision}")')
    say(
        f"\nNext: {shown(report)} has figures, all tables and one run step by step; `lrat import YOUR_LOGS --look` "
        f"shows"
    )
    say("what your own logs would become, and docs/importing.md how they are read.")
    say(f"Done in {time.monotonic() - started:.0f} s.")
    # What follows its last stage needs its Hub, which stops now.
    following.take()


def _port(wanted: int | None) -> int:
    """The port that was asked for; without one the usual port, or 0, for a free one, where another program has it."""
    if wanted is not None:
        return wanted
    try:
        listen("127.0.0.1", DEFAULT_PORT, name="lrat quickstart").close()
    except LratError:
        return 0
    return DEFAULT_PORT


@dataclass
class Steps:
    """Says of each step in one line what it made; what the stages say themselves goes into a log."""

    log: TextIO
    seconds: dict[str, float] = field(default_factory=dict)

    def run(self, title: str, work: Callable[[], Any], says: Callable[[Any], str]) -> Any:
        print(f"[{len(self.seconds) + 1:>2}/{STEPS}] {title:<11}", end="", flush=True)
        started = time.monotonic()
        with redirect_stdout(self.log), redirect_stderr(self.log):
            made = work()
            line = says(made)
        self.seconds[title] = time.monotonic() - started
        say(f"{line} ({self.seconds[title]:.0f} s)")
        return made


def run_loop(base: Base, root: Path, log: TextIO) -> Artifacts:
    """Publishes corpus, base and logs, mines, trains, evaluates and reports.

    The Hub is the one that `HF_ENDPOINT` names.
    """
    from lrat_hub.demo.bases import publish_base
    from lrat_hub.demo.recorded import write_logs
    from lrat_hub.demo.report import Artifacts
    from lrat_hub.evaluation.tables import system_name
    from lrat_hub.hub.lineage import read_lineage

    steps = Steps(log)

    def lrat(*words: str | HubRef) -> Any:
        return cli.run([str(word) for word in words])

    def counts(ref: HubRef) -> dict[str, Any]:
        lineage = read_lineage(ref)
        assert lineage is not None  # this run published it
        return lineage.counts

    def said_of_corpus(ref: HubRef) -> str:
        made = counts(ref)
        asked = ", ".join(f"{made[f'questions_{split}']} {split}" for split in ("train", "dev", "test"))
        return f"{made['documents']:,} Wikipedia passages and natural questions about them: {asked}"

    def said_of_pairs(ref: HubRef) -> str:
        account = counts(ref)["pairs"]
        return f"{account['read']} opened passages with the reasoning after them, {account['kept']} to train on"

    corpus = steps.run(
        "corpus", lambda: lrat("corpus", "--recorded", "--to", f"{NAMESPACE}/wikipedia"), said_of_corpus
    )
    base_model = steps.run(
        "base model", lambda: publish_base(base, f"{NAMESPACE}/{base}"), lambda ref: f"{ref.repo_id}, not trained yet"
    )
    logs = steps.run("logs", lambda: write_logs(root / "logs"), lambda made: " and ".join(
        f"{runs} {split} runs of a language model" for split, runs in made.items()
    ))  # fmt: skip
    trajectories, test_runs = steps.run(
        "import",
        lambda: [lrat("import", str(root / "logs" / split), "--to", f"{NAMESPACE}/{split}-runs") for split in logs],
        lambda refs: " and ".join(ref.repo_id for ref in refs),
    )
    pairs = steps.run(
        "mine",
        lambda: lrat(
            "mine", "--trajectories", trajectories, "--corpus", corpus, "--held_out", f"{corpus}#held_out",
            "--judge", JUDGE, "--tokenizer", base_model, "--to", f"{NAMESPACE}/pairs",
        ),
        said_of_pairs,
    )  # fmt: skip
    trained = steps.run(
        "train",
        lambda: lrat(
            "train", "--config", f"training/quickstart_{base}", "--pairs", pairs, "--model", base_model,
            # The evaluation below has the forgetting check, too.
            "--check_passages", "0",
            "--to", f"{NAMESPACE}/{base}-lrat",
        ),
        lambda ref: f"{ref.repo_id}, anchored to its base",
    )  # fmt: skip
    vectors = str(root / "vectors")
    questions = ("--queries", f"{corpus}#queries:test", "--qrels", f"{corpus}#qrels_evidence:test")
    evaluation, _ = steps.run(
        "evaluate",
        lambda: lrat(
            "eval", "retrieval", "--models", base_model, trained, "--fusion", "--corpus", corpus, *questions,
            "--trajectories", test_runs, "--work_dir", vectors, "--keep_work",
            "--results_into", trained.repo_id, "--to", f"{NAMESPACE}/{base}-evaluation",
        ),
        lambda _: "both, BM25 and fusion, on test questions, replayed searches and controls",
    )  # fmt: skip
    base_index, index = steps.run(
        "index",
        # The vectors are there since the evaluation.
        lambda: [
            lrat("index", "--model", model, "--corpus", corpus, "--work_dir", vectors,
                 "--to", f"{NAMESPACE}/{model.repo_id.partition('/')[2]}-index")
            for model in (base_model, trained)
        ],
        lambda refs: " and ".join(ref.repo_id for ref in refs),
    )  # fmt: skip
    agents, (model,) = steps.run(
        "reader",
        lambda: lrat(
            "eval", "agents", "--agents", "reader", "--k", str(READER_K), "--corpus", corpus, *questions,
            "--retrievers", base_index, index, "bm25", f"bm25+{index}",
            "--names", "base", "trained", "BM25", "BM25 + trained",
            "--results_into", trained.repo_id, "--to", f"{NAMESPACE}/{base}-reader",
        ),
        lambda _: f"all of them inside an offline reader that sees {READER_K} results a search",
    )  # fmt: skip
    names = {
        "base": system_name(base_model),
        "trained": system_name(trained),
        "BM25": "bm25",
        "BM25 + base": f"bm25+{system_name(base_model)}",
        "BM25 + trained": f"bm25+{system_name(trained)}",
    }
    report = steps.run(
        "report",
        lambda: lrat(
            "eval", "report", "--evaluations", evaluation, agents, "--title", f"Quickstart: {base}",
            "--names", *(f"{name}={system}" for name, system in names.items()), "--to", f"{NAMESPACE}/{base}-report",
        ),
        lambda ref: ref.repo_id,
    )  # fmt: skip
    return Artifacts(
        corpus, base_model, trajectories, test_runs, pairs, trained, evaluation, index, agents, report, model,
        steps.seconds,
    )  # fmt: skip
