"""Figures of reports, as PNG: bars as in Figure 1 of the paper, curves over K as in Figure 8b, recall by step."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from lrat_hub.evaluation.costs import QUALITY
from lrat_hub.evaluation.published import RetrievalResults
from lrat_hub.evaluation.systems import AgentSystem
from lrat_hub.evaluation.tables import AGENT_COLUMNS, PERCENT
from lrat_hub.hub import figures
from lrat_hub.hub.figures import new_figure, new_panels
from lrat_hub.significance import Interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLORS = ("#9aa5b1", "#1f6feb", "#c9a227", "#2da44e", "#d1495b", "#8250df", "#bf5b04", "#1b7c83", "#57606a", "#db61a2")
"""Of retrievers, by their place in the report; after the last one they begin again."""

MARKERS = "osD^v<>pP*Xhd8"
"""Of retrievers in figures that do without colours; after the last one they begin again."""

WIDEST = 16
"""Inches of a figure."""

TITLES = {
    "success": "Success rate, %",
    "evidence_any": "Any evidence found, % of questions",
    "evidence_share": "Evidence found, mean share in %",
    "steps": "Searches and browses a question",
}


def colors_of(names: Sequence[str]) -> dict[str, str]:
    """A colour for each retriever, the same one in all figures of a report."""
    return {name: COLORS[index % len(COLORS)] for index, name in enumerate(dict.fromkeys(names))}


def agent_bars(cells: Sequence[AgentSystem], colors: Mapping[str, str]) -> bytes:
    """Success, evidence and steps of every agent with every retriever on one benchmark, with 95 % intervals."""
    metrics = [metric for metric in AGENT_COLUMNS if any(cell.scores.values(metric) for cell in cells)]
    agents = list(dict.fromkeys(cell.agent for cell in cells))
    retrievers = list(dict.fromkeys(cell.retriever for cell in cells))
    by_name = {(cell.agent, cell.retriever): cell for cell in cells}
    # Wide enough for the numbers above the bars; panels that don't fit side by side stand below each other.
    panel = max(3.0, 0.42 * len(agents) * len(retrievers) + 1.2)
    columns = min(len(metrics), max(1, int(WIDEST // panel)))
    figure, panels = new_panels(len(metrics), columns, panel, 3.6, margin=0.3)
    width = 0.82 / len(retrievers)
    for axes, metric in zip(panels, metrics, strict=True):
        scale = 100 if metric in PERCENT else 1
        top = 0.0
        for index, retriever in enumerate(retrievers):
            for group, agent in enumerate(agents):
                cell = by_name.get((agent, retriever))
                interval = cell.intervals.get(metric) if cell else None
                if interval is None:
                    continue
                at = group + (index - (len(retrievers) - 1) / 2) * width
                axes.bar(
                    at, scale * interval.mean, 0.9 * width, color=colors[retriever],
                    yerr=_errors([interval], scale), capsize=2, error_kw={"elinewidth": 0.8, "capthick": 0.8},
                )  # fmt: skip
                high = scale * (interval.high if np.isfinite(interval.high) else interval.mean)
                axes.text(at, high, f"{scale * interval.mean:.1f}", ha="center", va="bottom", fontsize=7)
                top = max(top, high)
        axes.set_xticks(range(len(agents)), wrapped(agents, panel / len(agents)), fontsize=8)
        axes.set_ylim(0, 1.1 * top or 1)
        axes.set_title(TITLES[metric], fontsize=9)
    _legend(figure, {name: colors[name] for name in retrievers})
    return as_png(figure)


def recall_by_step(cells: Sequence[AgentSystem], colors: Mapping[str, str]) -> bytes | None:
    """The mean share of the evidence found by each step, a panel an agent; None where no evidence is annotated."""
    cells = [cell for cell in cells if cell.scores.values("evidence_share")]
    steps = [question.steps or 0 for cell in cells for question in cell.scores.questions]
    if not any(steps):
        return None
    agents = list(dict.fromkeys(cell.agent for cell in cells))
    # Runs have long tails in which little happens.
    last = max(3, round(float(np.quantile(steps, 0.98))))
    figure, panels = new_panels(len(agents), min(len(agents), 3), 4.6, 3.4, margin=0.3, sharey=True)
    for axes, agent in zip(panels, agents, strict=True):
        for cell in cells:
            if cell.agent == agent:
                shares = [100 * share for share in cell.scores.recall_by_step(last)]
                axes.plot(range(1, last + 1), shares, color=colors[cell.retriever], linewidth=1.8)
        axes.set_title(agent, fontsize=9)
        axes.set(xlabel="step (searches and browses)", xlim=(1, last), ylim=(0, 102))
        axes.locator_params("x", integer=True)
    figure.axes[0].set_ylabel("evidence found so far, mean share in %")
    _legend(figure, {cell.retriever: colors[cell.retriever] for cell in cells})
    return as_png(figure)


def curves_over_k(cells: Sequence[AgentSystem], colors: Mapping[str, str]) -> bytes | None:
    """Success and evidence by the results of a search, a row of panels an agent; None without several values of k."""
    cells = [cell for cell in cells if cell.k is not None]
    if len({cell.k for cell in cells}) < 2:
        return None
    agents = list(dict.fromkeys(cell.agent for cell in cells))
    metrics = [
        name for name in ("success", "evidence_share", "steps") if any(cell.scores.values(name) for cell in cells)
    ]
    figure = new_figure(3.9 * len(metrics), 3.2 * len(agents) + 0.4)
    panels = figure.subplots(len(agents), len(metrics), squeeze=False)
    retrievers, ticks = (
        list(dict.fromkeys(cell.retriever for cell in cells)),
        sorted({cell.k for cell in cells if cell.k is not None}),
    )
    for row, agent in zip(panels, agents, strict=True):
        for axes, metric in zip(row, metrics, strict=True):
            scale = 100 if metric in PERCENT else 1
            for index, retriever in enumerate(retrievers):
                chosen = sorted(
                    (cell for cell in cells if (cell.agent, cell.retriever) == (agent, retriever)),
                    key=lambda cell: cell.k or 0,
                )
                points = [(cell.k, interval) for cell in chosen if (interval := cell.intervals.get(metric))]
                if points:
                    ks, intervals = zip(*points, strict=True)
                    # Side by side, or intervals would hide each other.
                    shift = 0.012 * (ticks[-1] - ticks[0]) * (index - (len(retrievers) - 1) / 2)
                    axes.errorbar(
                        [k + shift for k in ks], [scale * interval.mean for interval in intervals],
                        yerr=_errors(intervals, scale), fmt="o-", markersize=4, capsize=2, elinewidth=0.8,
                        color=colors[retriever],
                    )  # fmt: skip
            axes.set_xticks(ticks)
            axes.set_title(f"{TITLES[metric]} ({agent})" if len(agents) > 1 else TITLES[metric], fontsize=9)
            axes.set_xlabel("results of a search, K")
    _legend(figure, {cell.retriever: colors[cell.retriever] for cell in cells})
    return as_png(figure)


def retrieval_bars(evaluation: RetrievalResults, colors: Mapping[str, str]) -> bytes:
    """Retrievers alone with their 95 % intervals, and beside them the differences from the baseline with theirs."""
    metrics, others = evaluation.shown, list(evaluation.differences)
    # Wide enough for the numbers above the bars.
    wide, narrow = max(6.0, 0.36 * len(metrics) * len(evaluation.scores)), 4.5 if others else 0.0
    figure = new_figure(wide + narrow, 4.4)
    panels = figure.subplots(1, 2, width_ratios=(wide, narrow)) if others else [figure.subplots()]
    width = 0.84 / len(evaluation.scores)
    for index, (system, by_metric) in enumerate(evaluation.intervals.items()):
        intervals = list(by_metric.values())
        at = np.arange(len(metrics)) + (index - (len(evaluation.scores) - 1) / 2) * width
        panels[0].bar(
            at, [interval.mean for interval in intervals], 0.92 * width, color=colors[system],
            yerr=_errors(intervals, 1), capsize=2, error_kw={"elinewidth": 0.8, "capthick": 0.8},
        )  # fmt: skip
        for x, interval in zip(at, intervals, strict=True):
            high = interval.high if np.isfinite(interval.high) else interval.mean
            panels[0].text(x, high, f"{interval.mean:.2f}", ha="center", va="bottom", fontsize=7)
    panels[0].set_xticks(range(len(metrics)), metrics)
    panels[0].set_ylim(0, 1.05)
    panels[0].set_ylabel(f"mean over {len(evaluation.clusters)} queries", fontsize=9)
    for index, system in enumerate(others):
        differences = list(evaluation.differences[system].values())
        panels[1].errorbar(
            [difference.mean for difference in differences],
            np.arange(len(metrics)) + (index - (len(others) - 1) / 2) * 0.16,
            xerr=_errors(differences, 1), fmt="o", markersize=4, capsize=2, color=colors[system],
        )  # fmt: skip
    if others:
        panels[1].axvline(0, color="#57606a", linewidth=0.8)
        panels[1].set_yticks(range(len(metrics)), metrics)
        panels[1].invert_yaxis()
        panels[1].set_title(f"Difference from {evaluation.baseline}", fontsize=9)
    _legend(figure, {name: colors[name] for name in evaluation.scores})
    return as_png(figure)


def quality_by_cost(evaluation: RetrievalResults) -> bytes | None:
    """Quality against milliseconds a query and against the size of the index; None where no cost is known.

    Systems are told apart by their markers and names, not by colours, so that the figure can be printed in grey.
    """
    metric = QUALITY if QUALITY in evaluation.shown else evaluation.shown[0]
    axes_of = {
        "milliseconds a query": {system: cost.milliseconds for system, cost in evaluation.costs.items()},
        "index, MB": {
            system: cost.num_bytes / 1e6 for system, cost in evaluation.costs.items() if cost.num_bytes is not None
        },
    }
    axes_of = {title: values for title, values in axes_of.items() if values}
    if not axes_of:
        return None
    markers = {system: MARKERS[index % len(MARKERS)] for index, system in enumerate(evaluation.costs)}
    figure, panels = new_panels(len(axes_of), len(axes_of), 5.2, 3.8, margin=0.3, sharey=True)
    for axes, (title, values) in zip(panels, axes_of.items(), strict=True):
        for system, value in values.items():
            interval = evaluation.intervals[system][metric]
            axes.errorbar(
                [value], [interval.mean], yerr=_errors([interval], 1), fmt=markers[system], markersize=7, capsize=2,
                elinewidth=0.8, color="#24292f", markerfacecolor="#d0d7de",
            )  # fmt: skip
        axes.set_xscale("log")
        axes.set_xlabel(f"{title} (logarithmic)")
    figure.axes[0].set_ylabel(f"{metric}, 95 % intervals")
    _marker_legend(figure, markers)
    return as_png(figure)


def _marker_legend(figure: Figure, markers: Mapping[str, str]) -> None:
    from matplotlib.lines import Line2D

    style = {"linestyle": "", "color": "#24292f", "markerfacecolor": "#d0d7de", "markersize": 7}
    handles = [Line2D([], [], marker=marker, label=name, **style) for name, marker in markers.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(3, len(handles)), frameon=False, fontsize=8)


def _errors(intervals: Sequence[Interval], scale: float) -> np.ndarray:
    """Lengths of error bars, shape (2, intervals); none for an interval without an end."""
    low, high, mean = (
        np.array([getattr(interval, name) for interval in intervals], dtype=float) for name in ("low", "high", "mean")
    )
    lengths = scale * np.array([mean - low, high - mean])
    return np.where(np.isfinite(lengths), np.maximum(lengths, 0), 0)


def _legend(figure: Figure, colors: Mapping[str, str]) -> None:
    from matplotlib.patches import Patch

    handles = [Patch(color=color, label=name) for name, color in colors.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(6, len(handles)), frameon=False, fontsize=8)


def wrapped(names: Sequence[str], inches: float) -> list[str]:
    """Names of models under an axis that has so many inches for each, broken where they would run into each other."""
    return [textwrap.fill(name, max(6, int(12 * inches))) for name in names]


def as_png(figure: Figure) -> bytes:
    """The figure as a PNG file, with the sizes of text that figures of reports have."""
    for axes in figure.axes:
        axes.tick_params(labelsize=8)
        axes.xaxis.label.set_fontsize(9)
        axes.yaxis.label.set_fontsize(9)
    return figures.as_png(figure)
