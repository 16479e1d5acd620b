"""Tables 2 and 3 and Figures 1, 7 and 8 out of published evaluations, beside the numbers that the paper has there.

Every metric is given in the readings that exist of it: what the authors' code computes, what the benchmark's does, and
ours. They differ by the questions that have no run and by answers that a limit made the agent give.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from lrat_hub.errors import LratError, did_you_mean
from lrat_hub.evaluation.agents import QuestionScores
from lrat_hub.evaluation.systems import AgentSystem
from lrat_hub.paper import PaperValue, paper_values
from lrat_hub.significance import mean_interval

Row = dict[str, Any]
Value = Callable[[QuestionScores], float | None]
BASE = ("base", "baseline", "qwen3emb", "qwen3embedding06b")
OURS = ("ours", "lrat", "qwen3emblrat", "reweight", "naivefilterreweight", "weighted")
PAPER_K = 10


@dataclass(frozen=True)
class PaperFigure:
    """What a table or figure of the paper shows.

    Args:
        source: Its name among the paper's numbers.
        title: What it is about.
        variants: The paper's name of each retriever, to the names that it may have here: without capitals and signs.
        form: What is along its axis: agents, trajectories of the training, or results of a search.
        note: What one has to know of the paper's numbers.
    """

    source: str
    title: str
    variants: Mapping[str, Sequence[str]]
    form: Literal["agents", "sizes", "results"] = "agents"
    metrics: Sequence[str] = ("success",)
    note: str = ""

    @property
    def values(self) -> Sequence[PaperValue]:
        return paper_values(self.source)


FIGURES = {
    "1": PaperFigure(
        "Figure 1",
        "six agents before and after the training of their retriever",
        {"Baseline": BASE, "+ LRAT": OURS},
        note="The caption calls the right half evidence recall; its axis and its numbers are the success of Table 2.",
    ),
    "7": PaperFigure(
        "Figure 7",
        "the steps of the method, one after the other",
        {
            "Base": BASE,
            "+Naive": ("naive",),
            "+Filter": ("filter", "naivefilter", "filtered"),
            "+Reweight": OURS,
        },
        note="The paper trains on 120,579, 91,713 and 91,713 pairs. Its success of GPT-OSS with all steps is 12.2 in "
        "this figure and 12.1 in Table 2.",
    ),
    "8a": PaperFigure(
        "Figure 8 (a)", "trajectories that the retriever was trained on", {"Baseline": BASE}, form="sizes"
    ),
    "8b": PaperFigure(
        "Figure 8 (b)",
        "results of a search",
        {"Base": BASE, "Ours": OURS},
        form="results",
    ),
    "table2": PaperFigure(
        "Table 2",
        "six agents with two retrievers, each before and after the training",
        {
            "Qwen3-Emb": BASE,
            "Qwen3-Emb + LRAT": OURS,
            "E5-Large": ("e5large", "multilinguale5largeinstruct"),
            "E5-Large + LRAT": ("e5largelrat",),
        },
        metrics=("success", "evidence_share", "evidence_any", "steps"),
        note="The paper's words define recall as any evidence (6.1.3), and the authors' code computes the share: the "
        "one printed number stands beside both.",
    ),
    "table3": PaperFigure(
        "Table 3",
        "training on runs with right and with wrong answers",
        {
            "Base": BASE,
            "Incorrect": ("incorrect", "wrong", "pairsincorrect", "incorrectpairs"),
            "Correct": ("correct", "right", "pairscorrect", "correctpairs"),
        },
    ),
}
"""By the names that they are asked for."""

AGENTS = {
    "AgentCPM-Explore": r"agentcpm",
    "WebExplorer": r"webexplore",
    "Tongyi-DeepResearch": r"tongyi",
    "GPT-OSS": r"gpt-?oss(?!.?20b)",
    "MiniMax-M2.1": r"minimax-?m2\.1",
    "GLM-4.7": r"glm-?4\.7(?!.?flash)",
}
"""The paper's agents, and how their names are told in others', such as `openai/gpt-oss-120b`."""


def _of_runs(value: Value) -> Value:
    """The value of questions that have a run, as the authors' and the benchmark's code see no others."""
    return lambda question: None if question.outcome == "missing" else value(question)


READINGS: dict[str, dict[str, Value]] = {
    "success": {
        "the release's": _of_runs(lambda question: question.success),
        "the benchmark's": _of_runs(lambda question: float(question.outcome == "completed" and question.success > 0)),
        "ours": lambda question: question.success,
    },
    "evidence_share": {
        "the release's": _of_runs(lambda question: question.evidence_share),
        "ours": lambda question: question.evidence_share,
    },
    "evidence_any": {
        "the paper's words": _of_runs(lambda question: question.evidence_any),
        "ours": lambda question: question.evidence_any,
    },
    "steps": {"the release's": lambda question: None if question.steps is None else float(question.steps)},
}
"""Metric to what is made of a question, by the name of the reading; the first stands nearest to the paper's numbers.

The release's success (`scripts_evaluation/evaluate.py` of Yuqi-Zhou/LRAT, 274d0ab) leaves questions without a run out;
the benchmark's (`scripts_evaluation/evaluate_run.py` of texttron/BrowseComp-Plus, 97c637c) does, too, and counts
answers at a limit as wrong; ours counts all questions.
"""


@dataclass
class DrawnFigure:
    """One table or figure on one benchmark: its rows, by which it is drawn.

    Args:
        rows: A row for each cell, metric and reading, with the paper's number where it has one.
        left_out: Retrievers that the figure has no place for.
        remarks: Sentences about other cells that are not shown.
    """

    figure: PaperFigure
    benchmark: str
    rows: list[Row] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def readings(self, metric: str) -> dict[str, list[Row]]:
        """The rows of each reading; those that agree in every cell are one, under both names."""
        by_reading: dict[str, list[Row]] = {}
        for row in self.rows:
            if row["metric"] == metric:
                by_reading.setdefault(row["reading"], []).append(row)
        merged: dict[tuple[tuple[float, int], ...], tuple[list[str], list[Row]]] = {}
        for name, rows in by_reading.items():
            # Of other numbers of questions, equal values have other intervals.
            merged.setdefault(tuple((row["value"], row["questions"]) for row in rows), ([], rows))[0].append(name)
        return {" and ".join(names): rows for names, rows in merged.values()}


def paper_figures(names: Sequence[str], cells: Sequence[AgentSystem]) -> list[DrawnFigure]:
    """The tables and figures of the paper that are asked for, on each benchmark that suits them.

    Raises:
        LratError: There is none of that name, or the cells don't show what it is about.
    """
    drawn = []
    for name in names:
        if name not in FIGURES:
            end = did_you_mean(name, list(FIGURES)) or "."
            raise LratError(f"Figures of the paper: expected {', '.join(FIGURES)}, found {name!r}{end}")
        found = [
            _figure(FIGURES[name], benchmark, [cell for cell in cells if cell.benchmark == benchmark])
            for benchmark in dict.fromkeys(cell.benchmark for cell in cells)
        ]
        made = [one for one in found if one.rows]
        if not made:
            remarks = [remark for one in found for remark in one.remarks]
            raise LratError(f"{FIGURES[name].source}: {' '.join(remarks) or _wanted(FIGURES[name])}")
        drawn += made
    return drawn


def paper_agent(name: str) -> str | None:
    """The paper's name of an agent; None for one that it doesn't have."""
    return next((ours for ours, form in AGENTS.items() if re.search(form, name, re.IGNORECASE)), None)


def variant_of(figure: PaperFigure, retriever: str) -> str | None:
    """The paper's name of a retriever; None for one that the figure doesn't have, as further seeds of a training."""
    if re.search(r"(?<![a-z])seed[\W_]*\d", retriever, re.IGNORECASE):
        return None
    if figure.form == "sizes" and (trained := trajectories_of(figure, retriever)):
        return f"{trained:,}" if trained % 1000 else f"{trained // 1000}k"
    plain = _plain(retriever)
    return next((name for name, forms in figure.variants.items() if plain in (*forms, _plain(name))), None)


def trajectories_of(figure: PaperFigure, retriever: str) -> int | None:
    """How many trajectories a retriever was trained on, by its name: "10k", "10,000 trajectories"; 0 for the base."""
    if any(_plain(retriever) in (*forms, _plain(name)) for name, forms in figure.variants.items()):
        return 0
    match = re.search(r"(\d[\d,]*(?:\.\d+)?)\s*(k\b|trajectories)", retriever, re.IGNORECASE)
    return round(float(match[1].replace(",", "")) * (1000 if match[2].lower() == "k" else 1)) if match else None


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.rpartition("/")[2].partition("@")[0].lower())


def _wanted(figure: PaperFigure) -> str:
    if figure.form == "results":
        return "expected cells with several numbers of results of a search (k), found none."
    if figure.form == "sizes":
        return (
            "expected retrievers named by the trajectories they were trained on, such as 10k, and the base, found "
            "neither. Give them such names."
        )
    return f"expected retrievers named {', '.join(figure.variants)}, found none of them. Give them these names."


def _figure(figure: PaperFigure, benchmark: str, cells: Sequence[AgentSystem]) -> DrawnFigure:
    others = [cell.retriever for cell in cells if not variant_of(figure, cell.retriever)]
    drawn = DrawnFigure(figure, benchmark, left_out=list(dict.fromkeys(others)))
    cells = [cell for cell in cells if variant_of(figure, cell.retriever)]
    results = sorted({cell.k for cell in cells if cell.k is not None})
    if figure.form == "results":
        cells = [cell for cell in cells if cell.k is not None] if len(results) > 1 else []
    elif results:
        kept = PAPER_K if PAPER_K in results else results[-1]
        known = {(cell.agent, cell.retriever) for cell in cells if cell.k == kept}
        # Where nobody has noted the number of results, it may be any.
        cells = [
            cell for cell in cells if cell.k == kept or (cell.k is None and (cell.agent, cell.retriever) not in known)
        ]
        if others := [str(k) for k in results if k != kept]:
            drawn.remarks.append(f"With {kept} results of a search; cells with {', '.join(others)} are not shown.")
    _require_distinct(figure, cells)
    order = list(figure.variants)
    cells = sorted(
        cells,
        key=lambda cell: (
            (cell.k or 0) if figure.form == "results" else 0,
            trajectories_of(figure, cell.retriever)
            if figure.form == "sizes"
            else order.index(str(variant_of(figure, cell.retriever))),
        ),
    )
    agents = [*AGENTS, *dict.fromkeys(cell.agent for cell in cells)]
    cells.sort(key=lambda cell: agents.index(paper_agent(cell.agent) or cell.agent))
    if unjudged := [f"{cell.agent} with {cell.retriever}" for cell in cells if not cell.scores.values("success")]:
        drawn.remarks.append(f"Nobody has judged the answers of {', '.join(unjudged)}.")
    for cell in cells:
        for metric in figure.metrics:
            if cell.scores.values(metric):
                drawn.rows += _rows(figure, cell, metric)
    return drawn


def _require_distinct(figure: PaperFigure, cells: Sequence[AgentSystem]) -> None:
    """Raises LratError where two cells would stand in one place: nobody but the user knows which is meant."""
    places: dict[tuple[Any, ...], AgentSystem] = {}
    for cell in cells:
        variant = variant_of(figure, cell.retriever)
        place = (cell.agent, variant, cell.k if figure.form == "results" else None)
        if (other := places.setdefault(place, cell)) is not cell:
            raise LratError(
                f"{figure.source} on {cell.benchmark}: expected one retriever of {cell.agent} as {variant}, found "
                f"{other.retriever!r} and {cell.retriever!r}. Give all but one another name."
            )


def _rows(figure: PaperFigure, cell: AgentSystem, metric: str) -> list[Row]:
    variant = variant_of(figure, cell.retriever)
    name = "evidence" if metric.startswith("evidence") else metric
    printed = next(
        (
            value
            for value in figure.values
            if (_plain(value.benchmark), value.row, value.column, value.metric, value.k)
            == (_plain(cell.benchmark), paper_agent(cell.agent), variant, name, cell.k or PAPER_K)
        ),
        None,
    )
    rows = []
    for reading, value in READINGS[metric].items():
        values = {
            question.query_id: number for question in cell.scores.questions if (number := value(question)) is not None
        }
        if values:
            interval = mean_interval(values)
            rows.append(
                {
                    "figure": figure.source,
                    **cell.names,
                    "variant": variant,
                    "metric": metric,
                    "reading": reading,
                    "value": interval.mean,
                    "low": interval.low,
                    "high": interval.high,
                    "questions": len(values),
                    "paper": None if printed is None else round(printed.value / printed.scale, 6),
                    "paper_read": None if printed is None else printed.read,
                }
            )
    return rows
