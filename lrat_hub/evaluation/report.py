"""The page of a report: tables and figures, with the explanations that they need."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lrat_hub.evaluation import paper_figures
from lrat_hub.evaluation.as_paper import DrawnFigure
from lrat_hub.evaluation.costs import QUALITY, measured_how
from lrat_hub.evaluation.figures import (
    agent_bars,
    colors_of,
    curves_over_k,
    quality_by_cost,
    recall_by_step,
    retrieval_bars,
)
from lrat_hub.evaluation.published import MAIN_TASKS, OPENED, Evaluations, RetrievalResults
from lrat_hub.evaluation.systems import in_table_order
from lrat_hub.evaluation.tables import (
    agent_rows,
    agreement_rows,
    difference_rows,
    interval_rows,
    outcome_rows,
    retrieval_difference_rows,
    retrieval_rows,
)
from lrat_hub.hub.cards import markdown_table

TASKS = {
    "gold": "The same queries, with the documents that contain the answer as relevant ones",
    "content": "Forgetting check, each passage searched for by one of its sentences without the words of its title",
    "titles": "Title check, each relevant document searched for by its title",
    "searches": "Replayed searches, the queries of trajectories sent to each system",
    "pairs": "The positives of mined pairs among their own candidates",
}
"""What the tasks of `lrat eval retrieval` ask beside the judged queries."""


@dataclass(frozen=True)
class Page:
    """A report: its text in Markdown, and the pictures it shows, by their names."""

    text: str
    figures: dict[str, bytes]

    def write_figures(self, folder: Path) -> None:
        """Writes the pictures into a folder, where the text expects them."""
        for name, content in self.figures.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)

    def write(self, folder: Path, title: str) -> Path:
        """Writes `report.md` and the pictures into a folder and gives its path."""
        self.write_figures(folder)
        path = folder / "report.md"
        path.write_text(f"# {title}\n\n{self.text}", encoding="utf-8")
        return path


def report_page(evaluations: Evaluations, *, as_paper: Sequence[DrawnFigure] = ()) -> Page:
    """Everything that there is to say of some evaluations, without a title.

    Args:
        as_paper: Tables and figures of the paper to show, too.
    """
    names = [system for one in evaluations.retrieval for system in one.scores]
    colors = colors_of([*names, *(cell.retriever for cell in evaluations.cells)])
    figures: dict[str, bytes] = {}
    parts: list[str] = []
    for number, one in enumerate(evaluations.retrieval, start=1):
        if one.task in MAIN_TASKS:
            picture = f"figures/retrieval_{number}.png"
            figures[picture] = retrieval_bars(one, colors)
            parts += _retrieval_section(one, picture)
            if by_cost := quality_by_cost(one):
                figures[f"figures/cost_{number}.png"] = by_cost
                parts += _cost_section(one, f"figures/cost_{number}.png")
        else:
            parts += [f"{TASKS.get(one.task, one.task)}:", markdown_table(retrieval_rows(one))]
    if evaluations.cells:
        parts += _agent_section(evaluations, colors, figures)
    if as_paper:
        parts += ["## As in the paper", paper_figures.ABOUT]
    for number, drawn in enumerate(as_paper, start=1):
        picture = f"figures/paper_{number}_{re.sub(r'[^a-z0-9]+', '_', drawn.figure.source.lower()).strip('_')}.png"
        figures[picture] = paper_figures.draw(drawn)
        parts.append(paper_figures.section(drawn, picture))
    return Page("\n\n".join(parts) + "\n", figures)


def _retrieval_section(one: RetrievalResults, picture: str) -> list[str]:
    questions = len(set(one.clusters.values()))
    parts = [
        "## Retrievers alone",
        f"On `{one.name}`: {len(one.clusters)} queries about {questions} questions, means with 95 % bootstrap "
        "intervals over questions. **Bold** is what beats every other retriever in the column significantly (paired "
        "randomisation tests, Holm); if nothing is bold, no retriever is significantly best.",
        markdown_table(retrieval_rows(one)),
        f"![Retrievers alone, and their differences from {one.baseline}, with 95 % intervals]({picture})",
    ]
    if one.task == OPENED:
        parts.insert(
            1, "Nobody has judged these queries: relevant is what agents opened out of their retriever's lists."
        )
    if one.seen:
        parts += [
            "What the models were trained on of this, by their lineages:",
            "\n".join(f"- {system}: {text}" for system, text in one.seen.items()),
        ]
    if len(one.scores) > 1:
        parts += [
            f"Differences from {one.baseline} with paired 95 % intervals. The p-values are of paired randomisation "
            "tests, corrected by Holm over the retrievers of a metric; `detectable` is the smallest true difference "
            "that this number of questions would show in 80 of 100 experiments.",
            markdown_table(retrieval_difference_rows(one)),
        ]
    return parts


def _cost_section(one: RetrievalResults, picture: str) -> list[str]:
    quality = next(metric for metric in (QUALITY, *one.shown) if metric in one.shown)
    rows = [
        {"retriever": system, quality: f"{one.intervals[system][quality].mean:.3f}", **cost.cells()}
        for system, cost in one.costs.items()
    ]
    return [
        f"What a search costs. {measured_how(one.costs)} Tokens are those that models read, of queries and, in "
        "rerankers, of documents; the index is without texts and ids; a dash is what is not known.",
        markdown_table(rows),
        f"![{quality} against the cost of a search]({picture})",
    ]


def _agent_section(evaluations: Evaluations, colors: dict[str, str], figures: dict[str, bytes]) -> list[str]:
    cells = evaluations.cells
    parts = ["## Retrievers inside agents", agent_tables(evaluations)]
    for number, benchmark in enumerate(dict.fromkeys(cell.benchmark for cell in cells), start=1):
        chosen = [cell for cell in cells if cell.benchmark == benchmark]
        ks = sorted({cell.k for cell in chosen if cell.k is not None})
        # Bars and steps of one K: the paper's, or the largest there is.
        k = 10 if 10 in ks else ks[-1] if ks else None
        shown = [cell for cell in chosen if cell.k in (k, None)]
        at = f"{benchmark}{f', K = {k}' if len(ks) > 1 else ''}"
        drawn = {
            f"figures/agents_{number}.png": (agent_bars(shown, colors), f"Agents on {at}, with 95 % intervals"),
            f"figures/steps_{number}.png": (recall_by_step(shown, colors), f"Evidence found by step on {at}"),
            f"figures/top_k_{number}.png": (curves_over_k(chosen, colors), f"Agents by K on {benchmark}"),
        }
        for picture, (content, title) in drawn.items():
            if content is not None:
                figures[picture] = content
                parts.append(f"![{title}]({picture})")
    return parts


def agent_tables(evaluations: Evaluations) -> str:
    """The tables about agents, with the explanations that they need."""
    cells = in_table_order(evaluations.cells)
    comparisons = evaluations.comparisons()
    parts = [
        markdown_table(agent_rows(cells, comparisons)),
        "Rates are percent of all questions of the set: a run that is missing, crashed or ended without an answer is "
        "a failure. Evidence counts when a search listed it: *any evidence* is the share of questions with at least "
        "one evidence document found (the paper's words), *evidence share* the mean share of a question's evidence "
        "(what BrowseComp-Plus and the released code compute). Steps are searches and browses, over the existing "
        "runs. In brackets: gain over the retriever's baseline, relative. **Bold** is what beats every other "
        "retriever in the same agent significantly, corrected by Holm over all such tests of the metric in the table.",
        "Outcomes of the questions:",
        markdown_table(outcome_rows(cells)),
        "With 95 % intervals (Wilson's for rates of questions, bootstrap over questions for means):",
        markdown_table(interval_rows(cells)),
    ]
    if comparisons:
        parts += [
            "Differences with paired 95 % bootstrap intervals. The p-values are of McNemar's exact test for rates of "
            "questions and of paired randomisation tests for means, corrected by Holm over all comparisons of the "
            "metric; `detectable` is the smallest true difference that this number of questions would show in 80 of "
            "100 experiments.",
            markdown_table(difference_rows(comparisons)),
        ]
    if evaluations.agreements:
        parts += ["Two judges of the same answers:", markdown_table(agreement_rows(evaluations.agreements))]
    return "\n\n".join(parts)
