"""What the quickstart leaves behind: a report with pictures, and files to go on from."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from lrat_hub.evaluation.published import EVIDENCE, Evaluations, RetrievalResults
from lrat_hub.evaluation.report import report_page
from lrat_hub.hub.cards import markdown_table
from lrat_hub.hub.figures import as_png, new_panels
from lrat_hub.hub.inputs import load_table, resolve
from lrat_hub.hub.kinds import TableKind
from lrat_hub.hub.lineage import read_lineage
from lrat_hub.hub.refs import HubRef
from lrat_hub.schema import Trajectory
from lrat_hub.significance import Interval

MEASURES = (
    ("test questions, recall@5", EVIDENCE, "recall@5"),
    ("test questions, recall@10", EVIDENCE, "recall@10"),
    ("test questions, nDCG@10", EVIDENCE, "ndcg@10"),
    ("replayed runs, share of the evidence listed", "searches", "evidence_share@10"),
    ("replayed searches, MRR@10 of evidence", "searches", "evidence_mrr@10"),
    ("control: content, recall@10", "content", "recall@10"),
)
"""What the table at the end shows of retrievers alone: its title, the task and the metric."""

IN_READER = "offline reader, k = 3, share of the evidence"

SHOWN = ("base", "trained", "BM25", "BM25 + trained")


@dataclass(frozen=True)
class Artifacts:
    """Pins of everything that one run published, and the seconds each step took.

    Args:
        base, trained: The models that were compared.
        trajectories, test_runs: The imported logs, those to learn from and those whose searches are replayed.
        evaluation, agents: Retrievers alone, and inside the reader.
        model: The trained model with the results in its card: the same weights as `trained`, one commit later.
    """

    corpus: HubRef
    base: HubRef
    trajectories: HubRef
    test_runs: HubRef
    pairs: HubRef
    trained: HubRef
    evaluation: HubRef
    index: HubRef
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
        half_life: Of the weights, in tokens.
        evaluations: What the published report is about.
        example: The first of the training runs.
    """

    pairs: list[dict[str, Any]]
    half_life: float
    evaluations: Evaluations
    example: Trajectory

    def task(self, name: str) -> RetrievalResults:
        """The retrievers alone by one task of `lrat eval retrieval`."""
        return next(one for one in self.evaluations.retrieval if one.task == name)

    def mean_in_reader(self, system: str, metric: str) -> float:
        (cell,) = [cell for cell in self.evaluations.cells if cell.retriever == system]
        mean = cell.scores.mean(metric)
        assert mean is not None  # the questions have evidence, and answers that are compared
        return mean

    def difference_in_reader(self) -> Interval:
        """The trained model's share of the evidence against the base's, by question."""
        (found,) = [
            one.difference
            for one in self.evaluations.comparisons()
            if (one.retriever, one.baseline, one.metric) == ("trained", "base", "evidence_share")
        ]
        return found


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
    lineage = read_lineage(made.pairs)
    assert lineage is not None  # this run published it
    return Findings(
        pairs=pairs,
        half_life=lineage.counts["weights"]["all"]["half_life"],
        evaluations=evaluations,
        example=Trajectory.from_dict(load_table(made.trajectories, "trajectories")[0]),
    )


def result_rows(findings: Findings) -> list[dict[str, Any]]:
    """The table that a run ends with: a row a measure."""
    rows = []
    for title, name, metric in MEASURES:
        task = findings.task(name)
        means = {system: task.intervals[system][metric].mean for system in SHOWN}
        rows.append(_result_row(title, means, task.differences["trained"][metric]))
    shares = {system: findings.mean_in_reader(system, "evidence_share") for system in SHOWN}
    return [*rows, _result_row(IN_READER, shares, findings.difference_in_reader())]


def _result_row(title: str, means: Mapping[str, float], difference: Interval) -> dict[str, Any]:
    (_, base), (_, trained), *others = means.items()
    return {"measure": title, "base": base, "trained": trained, "difference": f"{difference:+.3f}", **dict(others)}


def conclusions(findings: Findings, base: str) -> list[str]:
    """Three sentences of what a run shows and what not, by its own intervals."""
    questions, searches = (findings.task(name) for name in (EVIDENCE, "searches"))
    content = findings.task("content").differences["trained"]["recall@10"]
    count = len(set(questions.clusters.values()))
    alone, ranked = (_outcome(questions.differences["trained"][metric]) for metric in ("recall@10", "ndcg@10"))
    listed, placed = (
        _outcome(searches.differences["trained"][f"evidence_{metric}@10"]) for metric in ("share", "mrr")
    )
    kind = ""
    if base == "static":
        kind = "averaged token embeddings, with which the loop works but which nobody would serve; "
    return [
        f"On {count} questions about articles that no training pair touches, training on the logs is {alone} in "
        f"recall@10 and {ranked} in nDCG@10.",
        f"On the searches that a language model made in other runs, asked again, it is {listed} in the share of the "
        f"evidence and {placed} in where it stands, and content retrieval, which no question shows, is "
        f"{_outcome(content)}.",
        f"It does not show more than this: {kind}one seed, the logs of one model on one encyclopedia, no wrong runs, "
        "and an offline reader whose rules were written for other questions: with the trained model it answers "
        f"{100 * findings.mean_in_reader('trained', 'success'):.0f} % of these.",
    ]


def _outcome(difference: Interval) -> str:
    """What an interval of a difference lets one say."""
    return "better" if difference.low > 0 else "worse" if difference.high < 0 else "not surely different"


def judge_rows(findings: Findings) -> list[dict[str, Any]]:
    """The mined pairs against the questions' evidence, which neither the agent nor the judge has seen."""
    rows = []
    for name, chosen in (
        ("positive is evidence", [pair for pair in findings.pairs if pair["is_gold"]]),
        ("positive is not", [pair for pair in findings.pairs if not pair["is_gold"]]),
    ):
        kept = [pair for pair in chosen if pair["weight"] is not None]
        rows.append(
            {
                "pairs": name,
                "naive": len(chosen),
                "trained on": f"{len(kept)} ({len(kept) / max(1, len(chosen)):.0%})",
                "median words of the reasoning": int(
                    np.median([len(pair["reasoning"].split()) for pair in chosen] or [0])
                ),
                "mean weight": float(np.mean([pair["weight"] for pair in kept])) if kept else 0.0,
            }
        )
    return rows


def run_as_it_reads(run: Trajectory) -> Iterator[str]:
    """A run in Markdown: what the agent thought, did and saw, in order."""
    yield f"> **{run.question}**"
    for step in run.steps:
        yield f"*{' '.join((step.reasoning or '').split())}*"
        if step.action == "search":
            listed = [f"{hit.rank}. {hit.title}: {hit.snippet}" for hit in step.results[:3]]
            yield "\n".join([f"**searches** {' | '.join(step.queries)}", "", *listed])
        elif step.action == "browse":
            yield f"**opens** {step.docid}"
    yield f"**answers** {run.final_answer}"


def write_report(root: Path, base: str, made: Artifacts, findings: Findings) -> Path:
    """Writes `report.md` and its pictures and gives its path: pictures first, all tables folded after them."""
    page = report_page(findings.evaluations)
    page.write_figures(root)
    (root / "weights.png").write_bytes(_draw_weights(findings))
    trained_on = sum(pair["weight"] is not None for pair in findings.pairs)
    pictures = "\n\n".join(line for line in page.text.splitlines() if line.startswith("!["))
    artifacts = [{"artifact": name, "pin": f"`{ref}`"} for name, ref in made.refs().items()]
    text = f"""# Quickstart report: {base}

A large language model answered questions about Wikipedia articles by searching and opening passages. What it opened
and left, and what it reasoned right after, became {trained_on} training pairs;
they trained the base model, which is compared with itself on questions about other articles.

{markdown_table(result_rows(findings))}

{chr(10).join(f"- {sentence}" for sentence in conclusions(findings, base))}

{pictures}

![Weight by length of reasoning, and how long reasonings are](weights.png)

## A run as it reads

{(chr(10) * 2).join(run_as_it_reads(findings.example))}

## All tables

<details><summary>Evaluations</summary>

{page.text}
</details>

<details><summary>Mined pairs</summary>

{markdown_table(judge_rows(findings))}

</details>

<details><summary>Artifacts and seconds</summary>

{markdown_table(artifacts)}

| step | seconds |
| --- | --- |
{chr(10).join(f"| {step} | {seconds:.0f} |" for step, seconds in made.seconds.items())}

</details>
"""
    path = root / "report.md"
    path.write_text(text, encoding="utf-8")
    return path


def write_env(root: Path, made: Artifacts, exports: Mapping[str, str], serve: str) -> Path:
    """Writes `env.sh`: exports that point a shell at the Hub of this run, and its pins. It holds the Hub's token.

    Args:
        serve: The command that serves this Hub.
    """
    lines = [
        "# The Hub of this run must be up for what is not in the cache yet:",
        f"#   {serve}",
        *(f"export {name}={shlex.quote(value)}" for name, value in exports.items()),
        *(f"export {name.upper()}={ref.repo_id}@{ref.revision}" for name, ref in made.refs().items()),
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


def _draw_weights(findings: Findings) -> bytes:
    figure, (curve, histogram) = new_panels(2, 2, 5.0, 3.8)
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
    half_life = findings.half_life
    curve.axvline(half_life, color="#57606a", linewidth=0.8, linestyle="--", label=f"half-life {half_life:g}")
    curve.set(xlabel="reasoning right after the browse, tokens", ylabel="weight (Eq. 3)", title="Pairs trained on")
    histogram.set(xlabel="reasoning right after the browse, tokens", ylabel="pairs", title="All naive pairs")
    for axes in (curve, histogram):
        axes.legend(frameon=False, fontsize=8)
    return as_png(figure)
