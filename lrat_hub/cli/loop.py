"""The loop itself: the same stages that anyone runs, each reading what the one before published, by its pin."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from lrat_hub import cli
from lrat_hub.cli.stage import say
from lrat_hub.demo.bases import Base, publish_base
from lrat_hub.demo.report import Artifacts
from lrat_hub.hub.refs import HubRef

NAMESPACE = "lrat"
COLLECTED_WITH = "bm25"
"""The retriever the agent searches with while trajectories are collected: it needs no base model, and its clean
lists train both bases at least as well as their own (chosen on dev)."""


def run_loop(base: Base) -> Artifacts:
    """Builds the corpus and questions, lets the agent work, mines, trains and evaluates.

    The Hub is the one that `HF_ENDPOINT` names.
    """
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
        "base": shown(base_model),
        "trained": shown(trained),
        "BM25": COLLECTED_WITH,
        "BM25 + base": f"{COLLECTED_WITH}+{shown(base_model)}",
        "BM25 + trained": f"{COLLECTED_WITH}+{shown(trained)}",
    }
    report = stage(
        "report",
        lambda: lrat(
            "eval", "report", "--evaluations", evaluation, agents, "--title", f"Quickstart: {base}",
            "--names", *(f"{name}={system}" for name, system in names.items()), "--to", f"{NAMESPACE}/{base}-report",
        ),
    )  # fmt: skip
    return Artifacts(corpus, base_model, trajectories, pairs, trained, evaluation, agents, report, model, seconds)


def shown(model: HubRef) -> str:
    """A model as evaluations call it."""
    return f"{model.repo_id}@{model.revision[:7]}"
