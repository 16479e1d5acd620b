"""The figures of an analysis, each drawn from the rows that are published beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lrat_hub.analysis.actions import LAST_STEP
from lrat_hub.analysis.browses import AS_SHOWN
from lrat_hub.hub.figures import as_png, new_figure, new_panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = Mapping[str, Any]

COLORS = {"correct": "#1f6feb", "incorrect": "#d1495b", "unjudged": "#57606a", "all": "#24292f"}
DOCUMENT_LABELS = {"evidence": "evidence", "other": "not evidence", "unknown": "any document"}
OUTCOME_LABELS = {
    "correct": "right answer",
    "incorrect": "wrong answer",
    "unjudged": "answer not judged",
    "all": "all runs",
}
GREY = "#8c959f"


def draw_transitions(rows: Sequence[Row]) -> Figure:
    """Figure 4 (a): a table of probabilities for each outcome."""
    outcomes = _outcomes(rows)
    figure = new_figure(3.6 * len(outcomes) + 0.6, 2.9)
    for axes, outcome in zip(np.ravel(figure.subplots(1, len(outcomes), squeeze=False)), outcomes, strict=True):
        by_pair = {(row["after"], row["next"]): row for row in rows if row["outcome"] == outcome}
        firsts = [name for name in ("search", "browse") if (name, "end") in by_pair]
        following = ["search", "browse", "end"]
        values = np.array([[by_pair[first, after]["value"] for after in following] for first in firsts])
        axes.imshow(values, vmin=0, vmax=1, cmap="Blues", aspect="auto")
        for (down, across), value in np.ndenumerate(values):
            row = by_pair[firsts[down], following[across]]
            axes.text(
                across, down, f"{value:.2f}\n{interval_text(row)}", ha="center", va="center", fontsize=9,
                color="white" if value > 0.6 else "#24292f",
            )  # fmt: skip
        axes.set_xticks(range(3), following)
        axes.set_yticks(range(len(firsts)), [f"{name}\n(n = {by_pair[name, 'end']['n']:,})" for name in firsts])
        axes.set(xlabel="next step", title=OUTCOME_LABELS[outcome])
        if outcome == outcomes[0]:
            axes.set_ylabel("step")
    figure.suptitle("Probability of the next step, with 95 % intervals", fontsize=10)
    return figure


def draw_accuracy(rows: Sequence[Row]) -> Figure:
    """Figure 4 (b): the share of right answers by evidence documents opened, with a band of intervals."""
    figure = new_figure(5.4, 3.7)
    axes = figure.subplots()
    opened = [row["evidence_opened"] for row in rows]
    low, value, high = _limits(rows)
    axes.fill_between(opened, low, high, color=COLORS["correct"], alpha=0.18, linewidth=0)
    axes.errorbar(opened, value, yerr=errors_of(rows), fmt="o-", color=COLORS["correct"], capsize=3, markersize=5)
    for x, top, row in zip(opened, high, rows, strict=True):
        axes.annotate(f"n = {row['n']:,}", (x, top), (0, 4), textcoords="offset points", ha="center", fontsize=8)
    axes.set_xticks(opened, [f"{row['evidence_opened']}{'+' if row['and_more'] else ''}" for row in rows])
    axes.margins(x=0.08)
    axes.set(
        xlabel="different evidence documents opened in a run", ylabel="share of runs with the right answer",
        ylim=(-0.02, 1.12), title="Accuracy by evidence opened, 95 % Wilson intervals",
    )  # fmt: skip
    return figure


def draw_positions(rows: Sequence[Row]) -> Figure:
    """Figure 4 (c): shares of browses by position, beside people's clicks."""
    figure = new_figure(6.6, 3.8)
    axes = figure.subplots()
    shown = [row for row in rows if row["order"] == AS_SHOWN]
    orders = list(dict.fromkeys(row["order"] for row in rows))
    width = 0.8 / len(orders)
    for index, (order, color) in enumerate(zip(orders, (COLORS["correct"], "#c9a227"), strict=False)):
        bars = [row for row in rows if row["order"] == order]
        positions = np.array([row["position"] for row in bars]) + _offset(index, len(orders), width)
        axes.bar(
            positions, [row["value"] for row in bars], width * 0.94, yerr=errors_of(bars), capsize=2, color=color,
            alpha=0.85, error_kw={"elinewidth": 0.9}, label=f"agent, position {order} (n = {bars[0]['n']:,} browses)",
        )  # fmt: skip
    positions = [row["position"] for row in shown]
    people, uniform = ([row[name] for row in shown] for name in ("human", "uniform"))
    axes.plot(positions, people, "s--", color=COLORS["incorrect"], markersize=4, label="people's clicks")
    axes.plot(positions, uniform, ":", color=GREY, linewidth=1.2, label="all positions alike")
    axes.set_xticks(positions)
    axes.set(
        xlabel="position in the result list (1 = top)", ylabel="share of browses (or clicks)",
        title="Which positions are opened, 95 % intervals",
    )  # fmt: skip
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=8)
    return figure


def draw_lengths(rows: Sequence[Row], unit: str) -> Figure:
    """Figure 4 (d): boxes of reasoning lengths."""
    figure = new_figure(7.4, 1.3 + 0.55 * len(rows))
    axes = figure.subplots()
    parts = {"whislo": "q05", "q1": "q25", "med": "q50", "q3": "q75", "whishi": "q95"}
    boxes = [{"fliers": [], **{part: row[quantile] for part, quantile in parts.items()}} for row in rows]
    drawn = axes.bxp(
        boxes, orientation="horizontal", showfliers=False, patch_artist=True, widths=0.55, manage_ticks=False,
        medianprops={"color": "#24292f"},
    )  # fmt: skip
    for box, row in zip(drawn["boxes"], rows, strict=True):
        box.set(facecolor=COLORS[row["outcome"]], alpha=0.75 if row["document"] == "evidence" else 0.35)
    lines = np.arange(1, len(rows) + 1)
    means = [{"value": row["mean"], "low": row["mean_low"], "high": row["mean_high"]} for row in rows]
    axes.errorbar(
        [row["mean"] for row in rows], lines, xerr=errors_of(means), fmt="D", color="#24292f", markersize=4, capsize=3
    )
    axes.set_yticks(
        lines, [f"{OUTCOME_LABELS[row['outcome']]},\n{DOCUMENT_LABELS[row['document']]}" for row in rows], fontsize=8
    )
    edge = max(row["q95"] for row in rows)
    for line, row in zip(lines, rows, strict=True):
        axes.annotate(f"n = {row['n']:,}", (edge * 1.03, line), va="center", fontsize=8)
    axes.set(
        xlabel=f"{unit} of the reasoning right after a browse", xlim=(0, edge * 1.2), ylim=(len(rows) + 0.6, 0.4),
        title="Quartiles, 5th to 95th percentile, and the mean (diamond) with its 95 % interval",
    )  # fmt: skip
    return figure


def draw_half_life(bins: Sequence[Row], fits: Sequence[Row], unit: str) -> Figure:
    """Figure 6: the distribution of reasoning lengths, and the share that is longer, with the fitted decay."""
    figure = new_figure(9.4, 3.8)
    histogram, survival = figure.subplots(1, 2)
    edges = np.array([row["from"] for row in bins] + [bins[-1]["to"]])
    counts = np.array([row["browses"] for row in bins])
    total = counts.sum()
    width = edges[1] - edges[0]
    by_name = {row["estimate"]: row for row in fits}
    middle, decay = by_name["median"], by_name["decay"]
    histogram.bar(edges[:-1], counts, width, align="edge", color=COLORS["correct"], alpha=0.5, linewidth=0)
    label = f"fitted decay: half-life {decay['value']:.0f} {interval_text(decay, '.0f')}"
    grid = np.linspace(decay["start"], edges[-1], 200)
    left = 0.5 ** ((grid - decay["start"]) / decay["value"]) if decay["value"] > 0 else np.zeros_like(grid)
    rate = math.log(2) / decay["value"] if decay["value"] > 0 else 0
    histogram.plot(grid, decay["n"] * rate * width * left, color=COLORS["incorrect"], label=label)
    histogram.axvline(
        middle["value"], color="#24292f", linestyle="--", linewidth=0.9,
        label=f"median (β of Eq. 3): {middle['value']:.0f} {interval_text(middle, '.0f')}",
    )  # fmt: skip
    histogram.set(
        xlabel=f"{unit} of the reasoning right after a browse", ylabel="browses",
        title=f"n = {total:,} browses; the last bar has all longer ones",
    )  # fmt: skip
    longer = counts[::-1].cumsum()[::-1] / total
    survival.plot(edges[:-1], longer, ".-", color=COLORS["correct"], label="observed")
    survival.plot(grid, decay["n"] / total * left, color=COLORS["incorrect"], label="fitted decay")
    survival.set_yscale("log")
    survival.set(
        xlabel=f"{unit}", ylabel="share of browses with as many or more", title="Exponential decay is a straight line",
        ylim=(0.5 * longer[longer > 0].min(), 1.3),
    )  # fmt: skip
    for axes in (histogram, survival):
        axes.legend(frameon=False, fontsize=8)
    return figure


STEP_PANELS = {
    "new results": ("Documents listed for the first time", "share of listed", "documents"),
    "repeated browses": ("Documents opened again", "share of browses", "browses"),
    "repeated queries": ("Queries asked again", "share of searches", "searches"),
    "query distance": ("Distance to the query before", "Jaccard distance", "searches"),
}


def draw_steps(rows: Sequence[Row]) -> Figure:
    """How searching goes on by step: one panel for each measure, one line for each outcome."""
    figure = new_figure(9.4, 6.4)
    ticks = {(row["first"], row["last"]) for row in rows}
    order = {span: index for index, span in enumerate(sorted(ticks))}
    outcomes = _outcomes(rows)
    for axes, (measure, texts) in zip(figure.subplots(2, 2).flat, STEP_PANELS.items(), strict=True):
        title, label, unit = texts
        for index, outcome in enumerate(outcomes):
            points = [row for row in rows if row["measure"] == measure and row["outcome"] == outcome]
            if not points:
                continue
            bins = np.array([order[row["first"], row["last"]] for row in points])
            total = sum(row["n"] for row in points)
            axes.errorbar(
                bins + _offset(index, len(outcomes), 0.12), [row["value"] for row in points], yerr=errors_of(points),
                fmt="o-", markersize=4, capsize=2, linewidth=1.2, color=COLORS[outcome],
                label=f"{OUTCOME_LABELS[outcome]} (n = {total:,} {unit})",
            )  # fmt: skip
        axes.set_xticks(range(len(order)), [_span(*span) for span in sorted(ticks)], fontsize=8)
        # Room for the legend above all values.
        axes.set(
            xlabel="step (searches and browses)", ylabel=label, ylim=(-0.03, 1.08 + 0.1 * len(outcomes)), title=title
        )
        axes.set_yticks(np.linspace(0, 1, 6))
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False, fontsize=8, loc="upper left")
    figure.suptitle("How searching goes on, 95 % intervals", fontsize=10)
    return figure


def draw_distances(rows: Sequence[Row]) -> Figure:
    """Distances of queries to those of the previous search, by outcome."""
    figure = new_figure(6.2, 3.7)
    axes = figure.subplots()
    outcomes = _outcomes(rows)
    width = 0.09 / len(outcomes)
    for index, outcome in enumerate(outcomes):
        bars = [row for row in rows if row["outcome"] == outcome]
        centres = np.array([(row["from"] + row["to"]) / 2 for row in bars]) + _offset(index, len(outcomes), width)
        # Intervals of empty bars would hide the others.
        errors = np.where([row["value"] > 0 for row in bars], errors_of(bars), np.nan)
        axes.bar(
            centres, [row["value"] for row in bars], width * 0.94, yerr=errors, color=COLORS[outcome], alpha=0.8,
            capsize=2, error_kw={"elinewidth": 0.9},
            label=f"{OUTCOME_LABELS[outcome]} (n = {bars[0]['n']:,} searches)",
        )  # fmt: skip
    axes.set_xticks(np.linspace(0, 1, 11))
    axes.set(
        xlabel="distance to the query before: 0 the same words, 1 none in common", ylabel="share of searches",
        title="How queries are reformulated, 95 % intervals",
    )  # fmt: skip
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=8)
    return figure


UNITS = {
    "accuracy": "share of judged runs",
    "evidence listed": "share of a question's evidence",
    "evidence opened": "share of a question's evidence",
    "searches": "a run",
    "browses": "a run",
    "B/S": "browses a search",
    "browse after search": "share of searches",
    "new results": "share of listed documents",
    "repeated browses": "share of browses",
    "repeated queries": "share of searches",
    "query distance": "Jaccard distance, mean",
    "opened at position 1": "share of browses",
    "reasoning after a browse": "length, median",
}


def draw_agents(rows: Sequence[Row]) -> Figure:
    """Agents compared: one panel for each measure, one interval for each agent."""
    measures = list(dict.fromkeys(row["measure"] for row in rows))
    agents = list(dict.fromkeys(row["agent"] for row in rows))
    columns = min(5, len(measures))
    longest = max(len(text) for agent in agents for text in _wrapped(agent).splitlines())
    wide, high = 2.3 + 0.06 * min(longest, 60) / columns, 1.0 + 0.42 * len(agents)
    figure, grid = new_panels(len(measures), columns, wide, high, margin=0.4, sharey=True)
    for axes, measure in zip(grid, measures, strict=True):
        by_agent = {row["agent"]: row for row in rows if row["measure"] == measure}
        for line, agent in enumerate(agents):
            if agent in by_agent:
                row = by_agent[agent]
                axes.errorbar(
                    row["value"], line, xerr=errors_of([row]), fmt="o", markersize=4, capsize=3, color=f"C{line}"
                )
        axes.set_title(measure, fontsize=8)
        axes.set_xlabel(UNITS[measure], fontsize=7)
        axes.tick_params(labelsize=7)
        axes.margins(x=0.15)
        axes.locator_params(axis="x", nbins=4)
        axes.grid(axis="x", linewidth=0.4, alpha=0.5)
        axes.set_yticks(
            range(len(agents)), [f"{_wrapped(agent)}\nn = {_runs(rows, agent):,} runs" for agent in agents]
        )
        axes.set_ylim(len(agents) - 0.5, -0.5)
    figure.suptitle("Agents compared, 95 % intervals", fontsize=9)
    return figure


def _runs(rows: Sequence[Row], agent: str) -> int:
    return next(row["n"] for row in rows if row["agent"] == agent and row["measure"] == "searches")


def _wrapped(name: str) -> str:
    return name.replace(" + ", "\n+ ").replace(" (", "\n(")


def png(figure: Figure) -> bytes:
    """The figure as a PNG file."""
    for axes in figure.axes:
        axes.title.set_fontsize(min(10, axes.title.get_fontsize()))
    return as_png(figure)


def _outcomes(rows: Sequence[Row]) -> list[str]:
    """The outcomes that occur; "all" only where there is no other."""
    present = [outcome for outcome in COLORS if any(row["outcome"] == outcome for row in rows)]
    return [outcome for outcome in present if outcome != "all" or len(present) == 1]


def _offset(index: int, count: int, width: float) -> float:
    """Where one of several bars or points of a group stands beside the group's centre."""
    return (index - (count - 1) / 2) * width


def _limits(rows: Sequence[Row]) -> tuple[list[float], list[float], list[float]]:
    """Low, value and high of each row; the value itself where there is no interval."""
    value = [row["value"] for row in rows]
    low = [row["value"] if row["low"] is None else row["low"] for row in rows]
    high = [row["value"] if row["high"] is None else row["high"] for row in rows]
    return low, value, high


def errors_of(rows: Sequence[Row]) -> np.ndarray:
    """Lengths of error bars, shape (2, rows)."""
    low, value, high = map(np.array, _limits(rows))
    return np.maximum([value - low, high - value], 0)


def interval_text(row: Row, spec: str = ".2f") -> str:
    """The interval of a row in brackets; empty where it has none."""
    return "" if row["low"] is None else f"[{row['low']:{spec}}, {row['high']:{spec}}]"


def _span(first: int, last: int) -> str:
    return f"{first}" if first == last else f"{first}+" if last == LAST_STEP else f"{first}-{last}"
