"""What the quickstart leaves behind: a report with pictures, and files to go on from."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from lrat_hub.evaluation.metrics import METRICS
from lrat_hub.evaluation.published import EVIDENCE, Evaluations, RetrievalResults
from lrat_hub.evaluation.report import report_page
from lrat_hub.hub.cards import markdown_table
from lrat_hub.hub.inputs import load_table, resolve
from lrat_hub.hub.kinds import TableKind
from lrat_hub.hub.lineage import read_lineage
from lrat_hub.hub.refs import HubRef


@dataclass(frozen=True)
class Artifacts:
    """Pins of everything that one run published, and the seconds each stage took.

    Args:
        base, trained: The models that were compared.
        evaluation, agents: Retrievers alone, and inside the agent.
        model: The trained model with the results in its card: the same weights as `trained`, one commit later.
    """

    corpus: HubRef
    base: HubRef
    trajectories: HubRef
    pairs: HubRef
    trained: HubRef
    evaluation: HubRef
    agents: HubRef
    report: HubRef
    model: HubRef
    seconds: dict[str, float]

    def refs(self) -> dict[str, HubRef]:
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "seconds"}


@dataclass(frozen=True)
class Findings:
    """The figures of a run, all read back from what it published.

    Args:
        pairs: Rows of config `pairs`, with `is_gold`: whether the positive is evidence of the question.
        counts: From the lineage of the pairs.
        outcomes: Trajectories by outcome.
        evaluations: What the published report is about.
    """

    pairs: list[dict[str, Any]]
    counts: dict[str, Any]
    outcomes: list[dict[str, Any]]
    evaluations: Evaluations

    @property
    def retrieval(self) -> RetrievalResults:
        """The retrievers alone, on the test queries."""
        return next(one for one in self.evaluations.retrieval if one.task == EVIDENCE)

    def mean(self, system: str, metric: str) -> float:
        return self.retrieval.intervals[system][metric].mean


def read_findings(made: Artifacts) -> Findings:
    """Reads a run's figures from its artifacts, by pin."""

    def table(ref: HubRef, view: str, kind: TableKind) -> Any:
        return load_table(resolve(f"{ref}#{view}", repo_type="dataset"), kind)

    gold = defaultdict(set)
    for row in table(made.corpus, "qrels_evidence:train", "qrels"):
        gold[row["query_id"]].add(row["docid"])
    pairs = [
        {**row, "is_gold": row["positive_id"] in gold[row["query_id"]]} for row in table(made.pairs, "pairs", "pairs")
    ]
    evaluations = Evaluations()
    evaluations.add(made.report)
    return Findings(
        pairs=pairs,
        counts=_counts(made.pairs),
        outcomes=_counts(made.trajectories)["outcomes"],
        evaluations=evaluations,
    )


def _counts(ref: HubRef) -> dict[str, Any]:
    lineage = read_lineage(ref)
    assert lineage is not None  # this run published it
    return lineage.counts


def result_rows(findings: Findings) -> list[dict[str, Any]]:
    """The table that a run ends with: a row a metric."""
    return [
        {
            "metric": metric,
            "base": findings.mean("base", metric),
            "trained": findings.mean("trained", metric),
            "difference": f"{findings.retrieval.differences['trained'][metric]:+.3f}",
            "BM25": findings.mean("BM25", metric),
        }
        for metric in METRICS
    ]


def judge_rows(findings: Findings) -> list[dict[str, Any]]:
    """How good the judge is, against the questions' evidence, which it has not seen."""
    rows = []
    for name, chosen in (
        ("positive is evidence", [pair for pair in findings.pairs if pair["is_gold"]]),
        ("positive is not", [pair for pair in findings.pairs if not pair["is_gold"]]),
    ):
        kept = [pair for pair in chosen if pair["verdict"] == "relevant"]
        rows.append(
            {
                "pairs": name,
                "naive": len(chosen),
                "kept by the judge": f"{len(kept)} ({len(kept) / max(1, len(chosen)):.0%})",
                "median words": int(np.median([len(pair["reasoning"].split()) for pair in chosen] or [0])),
                "mean weight of kept": float(np.mean([pair["weight"] for pair in kept])) if kept else 0.0,
            }
        )
    return rows


def caveats(findings: Findings) -> list[str]:
    """What a run does not show, with its own figures where it has them."""
    trained, bm25 = (findings.mean(system, "recall@10") for system in ("trained", "BM25"))
    position = "ahead of" if bm25 > trained else "behind"
    return [
        f"BM25 is {position} the trained model on these clues (recall@10 {bm25:.3f} against {trained:.3f}): they are "
        "keywords. The run shows that the loop works, not that dense retrieval beats lexical retrieval.",
        "The agent is a rule-based stand-in. It reads with the same synonym list that the clues were written with, so "
        "it is a good reader of them by construction; a language model's logs are noisier.",
        "Training and test questions come from one generator. No article is in both, and passages of held-out "
        "articles are neither positives nor negatives, but other corpora and natural questions are not tested.",
        "Neither the judge's filter nor the weights by reasoning length make a difference that could be told from "
        "noise: all naive pairs, weighted alike, train as well (docs/quickstart.md). The agent's naive pairs are "
        "clean already, and templates make its reasoning about equally long.",
        "The interval covers the choice of questions, not the noise of training: this is one seed.",
    ]


def write_report(root: Path, base: str, made: Artifacts, findings: Findings) -> Path:
    """Writes `report.md` and its pictures and gives its path."""
    page = report_page(findings.evaluations)
    page.write_figures(root)
    _draw_weights(findings, root / "weights.png")
    trained_on = sum(pair["weight"] is not None for pair in findings.pairs)
    artifacts = [{"artifact": name, "pin": f"`{ref}`"} for name, ref in made.refs().items()]
    text = f"""# Quickstart report: {base}

An offline agent answered two-hop questions about Wikipedia articles with BM25 as its search engine. What it opened and
left, and what it reasoned right after, became {trained_on} training pairs; they trained the base model, which was then
compared with itself on {len(findings.retrieval.clusters)} queries about articles that no training pair touches.

## Result

{markdown_table(result_rows(findings))}

Differences are trained - base, with paired 95 % intervals from {len(set(findings.retrieval.clusters.values()))}
resampled questions.

{page.text}
## What it does not show

{chr(10).join(f"- {line}" for line in caveats(findings))}

## Trajectories

{markdown_table(findings.outcomes)}

## Mined pairs

{markdown_table(judge_rows(findings))}

![Weight by length of reasoning, and how long reasonings are](weights.png)

Only pairs judged relevant, from trajectories with the right answer, have a weight and are trained on.

## Artifacts

{markdown_table(artifacts)}

| stage | seconds |
| --- | --- |
{chr(10).join(f"| {stage} | {seconds:.0f} |" for stage, seconds in made.seconds.items())}
"""
    path = root / "report.md"
    path.write_text(text, encoding="utf-8")
    return path


def write_env(root: Path, made: Artifacts, exports: Mapping[str, str], serve: str) -> Path:
    """Writes `env.sh`: exports that point a shell at the Hub of this run, and its pins. It holds the Hub's token.

    Args:
        serve: The command that serves this Hub.
    """
    names = {
        "CORPUS": made.corpus,
        "BASE": made.base,
        "TRAJECTORIES": made.trajectories,
        "PAIRS": made.pairs,
        "MODEL": made.model,
        "EVALUATION": made.evaluation,
        "AGENTS": made.agents,
        "REPORT": made.report,
    }
    lines = [
        "# The Hub of this run must be up for what is not in the cache yet:",
        f"#   {serve}",
        *(f"export {name}={shlex.quote(value)}" for name, value in exports.items()),
        *(f"export {name}={ref.repo_id}@{ref.revision}" for name, ref in names.items()),
    ]
    path = root / "env.sh"
    path.touch(mode=0o600)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_consumer(root: Path) -> Path:
    """Writes `consume.py`: the artifacts used with nothing but datasets and sentence-transformers."""
    path = root / "consume.py"
    path.write_text(resources.files("lrat_hub.demo").joinpath("consume.py.txt").read_text(), encoding="utf-8")
    return path


def _draw_weights(findings: Findings, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.8), layout="constrained")
    curve, histogram = figure.subplots(1, 2)
    groups = (("evidence", True, "#1f6feb"), ("not evidence", False, "#d1495b"))
    for label, is_gold, color in groups:
        chosen = [pair for pair in findings.pairs if pair["is_gold"] is is_gold]
        trained = [pair for pair in chosen if pair["weight"] is not None]
        curve.scatter(
            [pair["reasoning_length"] for pair in trained],
            [pair["weight"] for pair in trained],
            s=10, alpha=0.5, color=color, label=f"positive is {label} (n = {len(trained)})",
        )  # fmt: skip
        histogram.hist(
            [pair["reasoning_length"] for pair in chosen],
            bins=np.linspace(0, max(pair["reasoning_length"] for pair in findings.pairs), 40),
            alpha=0.6, color=color, label=f"positive is {label} (n = {len(chosen)})",
        )  # fmt: skip
    half_life = findings.counts["weights"]["all"]["half_life"]
    curve.axvline(half_life, color="#57606a", linewidth=0.8, linestyle="--", label=f"half-life {half_life:g}")
    curve.set(xlabel="reasoning right after the browse, tokens", ylabel="weight (Eq. 3)", title="Pairs trained on")
    histogram.set(xlabel="reasoning right after the browse, tokens", ylabel="pairs", title="All naive pairs")
    for axes in (curve, histogram):
        axes.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=130)
