"""Runs the whole loop on an embedded Hub: trajectories, mined pairs, a trained retriever and its evaluation.

The stages are those that anyone runs, and each reads by its pin what the one before published.
"""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrat_hub import cli
from lrat_hub.cli.parser import CommandParser
from lrat_hub.cli.stage import say
from lrat_hub.cli.tables import show_table
from lrat_hub.localhub import DEFAULT_PORT, LocalHub

if TYPE_CHECKING:
    from lrat_hub.demo.bases import Base
    from lrat_hub.demo.report import Artifacts
    from lrat_hub.hub.refs import HubRef

NAMESPACE = "lrat"
COLLECTED_WITH = "bm25"
"""The retriever the agent searches with while trajectories are collected: it needs no base model, and its clean
lists train both bases at least as well as their own (chosen on dev)."""


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
        "--port", type=int, default=DEFAULT_PORT, help="Port of the Hub; 0 picks a free one; default: %(default)s."
    )
    args = parser.parse_args(argv)

    started = time.monotonic()
    root = args.root.resolve()
    with LocalHub(root / "hub", port=args.port) as hub:
        # Hugging Face libraries read these when they are imported, which has not happened yet. The cache is the
        # quickstart's own: it must not mix with repositories of the same name on another Hub.
        exports = {**hub.env, "HF_HOME": str(root / "cache")}
        os.environ |= exports
        # Everything here is small; bars are left to encoding and training.
        os.environ |= {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}

        from lrat_hub.demo.report import (
            caveats,
            read_findings,
            result_rows,
            write_consumer,
            write_env,
            write_report,
        )
        from lrat_hub.evaluation.tables import agent_rows

        made = run_loop(args.base)
        findings = read_findings(made)
        report = write_report(root, args.base, made, findings)
        port = int(hub.endpoint.rpartition(":")[2])
        serve = f"lrat hub serve --root {shlex.quote(str(root / 'hub'))} --port {port}"
        env, consumer = write_env(root, made, exports, serve), write_consumer(root)

    queries = len(findings.retrieval.clusters)
    say(f"\n{queries} queries about held-out articles, {args.base} before and after training on mined pairs:\n")
    show_table(result_rows(findings))
    say("\nRetrievers inside the agent, in percent of the held-out questions, with the gain over the base:\n")
    show_table(agent_rows(findings.evaluations.cells, findings.evaluations.comparisons()))
    say("\nWhat this does not show:")
    for line in caveats(findings):
        say(f"- {line}")
    say("\nPublished, by pin:")
    for name, ref in made.refs().items():
        say(f"  {name:<13} {ref}")
    here = Path.cwd()

    def shown(path: Path) -> str:
        return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)

    say(f"\nReport with pictures: {shown(report)}")
    say("To use the artifacts with plain datasets and sentence-transformers, serve their Hub in one shell:")
    say(f"  .venv/bin/lrat hub serve --root {shown(root / 'hub')} --port {port}")
    say("and in another:")
    say(f"  . {shown(env)}")
    say(f"  .venv/bin/python {shown(consumer)}")
    say("or, in Python:")
    say(f'  load_dataset("{made.pairs.repo_id}", split="train", revision="{made.pairs.revision}")')
    say(f'  SentenceTransformer("{made.model.repo_id}", revision="{made.model.revision}")')
    say(f"\nDone in {time.monotonic() - started:.0f} s.")


def run_loop(base: Base) -> Artifacts:
    """Builds the corpus and questions, lets the agent work, mines, trains and evaluates.

    The Hub is the one that `HF_ENDPOINT` names.
    """
    from lrat_hub.demo.bases import publish_base
    from lrat_hub.demo.report import Artifacts

    seconds: dict[str, float] = {}

    def stage(title: str, run: Callable[[], Any]) -> Any:
        say(f"\n[{len(seconds) + 1}/8] {title}")
        started = time.monotonic()
        result = run()
        seconds[title] = time.monotonic() - started
        return result

    def lrat(*words: str | HubRef) -> Any:
        return cli.run([str(word) for word in words])

    corpus = stage("corpus and questions", lambda: lrat("corpus", "--clues", "--to", f"{NAMESPACE}/clues"))
    base_model = stage("base model", lambda: publish_base(base, f"{NAMESPACE}/{base}"))
    say(f"  published: {base_model}")
    trajectories = stage(
        "trajectories of the offline agent on the training questions",
        lambda: lrat(
            "rollout", "--agent", "clue-reader", "--retriever", COLLECTED_WITH, "--corpus", corpus,
            "--queries", f"{corpus}#queries:train", "--to", f"{NAMESPACE}/clue-trajectories",
        ),
    )  # fmt: skip
    pairs = stage(
        "mined pairs",
        lambda: lrat(
            "mine", "--trajectories", trajectories, "--corpus", corpus, "--held_out", f"{corpus}#held_out",
            "--profile", "paper", "--judge", "rule",
            "--tokenizer", base_model, "--to", f"{NAMESPACE}/clue-pairs",
        ),
    )  # fmt: skip
    trained = stage(
        "training",
        lambda: lrat(
            "train", "--config", f"training/quickstart_{base}", "--pairs", pairs, "--model", base_model,
            "--corpus", corpus, "--queries", f"{corpus}#clue_queries:dev", "--qrels", f"{corpus}#clue_qrels:dev",
            "--to", f"{NAMESPACE}/{base}-lrat",
        ),
    )  # fmt: skip
    evaluation, _ = stage(
        "evaluation of retrievers on held-out questions",
        lambda: lrat(
            "eval", "retrieval", "--models", base_model, trained, "--fusion", "--corpus", corpus,
            "--queries", f"{corpus}#clue_queries:test", "--qrels", f"{corpus}#clue_qrels:test",
            "--results_into", trained.repo_id, "--to", f"{NAMESPACE}/{base}-evaluation",
        ),
    )  # fmt: skip
    fusion = f"{COLLECTED_WITH}+{trained.repo_id}@{trained.revision}"
    agents, (model,) = stage(
        "evaluation of retrievers inside the agent",
        lambda: lrat(
            "eval", "agents", "--agents", "clue-reader", "--corpus", corpus, "--queries", f"{corpus}#queries:test",
            "--qrels", f"{corpus}#qrels_evidence:test", "--retrievers", base_model, trained, COLLECTED_WITH, fusion,
            "--results_into", trained.repo_id, "--to", f"{NAMESPACE}/{base}-agents",
        ),
    )  # fmt: skip
    names = {
        "base": model_name(base_model),
        "trained": model_name(trained),
        "BM25": COLLECTED_WITH,
        "BM25 + base": f"{COLLECTED_WITH}+{model_name(base_model)}",
        "BM25 + trained": f"{COLLECTED_WITH}+{model_name(trained)}",
    }
    report = stage(
        "report",
        lambda: lrat(
            "eval", "report", "--evaluations", evaluation, agents, "--title", f"Quickstart: {base}",
            "--names", *(f"{name}={system}" for name, system in names.items()), "--to", f"{NAMESPACE}/{base}-report",
        ),
    )  # fmt: skip
    return Artifacts(corpus, base_model, trajectories, pairs, trained, evaluation, agents, report, model, seconds)


def model_name(model: HubRef) -> str:
    """The name of a model in evaluations."""
    return f"{model.repo_id}@{model.revision[:7]}"
