"""The figures of an analysis, each drawn from the rows that are published beside it."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lrat_hub.analysis.browses import AS_SHOWN

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
DOTS_PER_INCH = 130


def draw_transitions(rows: Sequence[Row]) -> Figure:
    """Figure 4 (a): a table of probabilities for each outcome."""
    outcomes = _outcomes(rows)
    figure = _figure(3.6 * len(outcomes) + 0.6, 2.9)
    for axes, outcome in zip(np.ravel(figure.subplots(1, len(outcomes), squeeze=False)), outcomes, strict=True):
        of = {(row["after"], row["next"]): row for row in rows if row["outcome"] == outcome}
        firsts = [name for name in ("search", "browse") if any(after == name for after, _ in of)]
        following = ["search", "browse", "end"]
        values = np.array([[of[first, after]["value"] for after in following] for first in firsts])
        axes.imshow(values, vmin=0, vmax=1, cmap="Blues", aspect="auto")
        for (down, across), value in np.ndenumerate(values):
            row = of[firsts[down], following[across]]
            axes.text(
                across, down, f"{value:.2f}\n{_range(row)}", ha="center", va="center", fontsize=9,
                color="white" if value > 0.6 else "#24292f",
            )  # fmt: skip
        axes.set_xticks(range(3), following)
        axes.set_yticks(range(len(firsts)), [f"{name}\n(n = {of[name, 'end']['n']:,})" for name in firsts])
        axes.set(xlabel="next step", title=OUTCOME_LABELS[outcome])
        if outcome == outcomes[0]:
            axes.set_ylabel("step")
    figure.suptitle("Probability of the next step, with 95 % intervals", fontsize=10)
    return figure


def draw_accuracy(rows: Sequence[Row]) -> Figure:
    """Figure 4 (b): right answers by evidence documents opened, with a band of intervals."""
    figure = _figure(5.4, 3.7)
    axes = figure.subplots()
    places = [row["evidence_opened"] for row in rows]
    low, value, high = _limits(rows)
    axes.fill_between(places, low, high, color=COLORS["correct"], alpha=0.18, linewidth=0)
    axes.errorbar(places, value, yerr=_errors(rows), fmt="o-", color=COLORS["correct"], capsize=3, markersize=5)
    for place, top, row in zip(places, high, rows, strict=True):
        axes.annotate(f"n = {row['n']:,}", (place, top), (0, 4), textcoords="offset points", ha="center", fontsize=8)
    axes.set_xticks(places, [f"{row['evidence_opened']}{'+' if row['and_more'] else ''}" for row in rows])
    axes.margins(x=0.08)
    axes.set(
        xlabel="different evidence documents opened in a run", ylabel="share of runs with the right answer",
        ylim=(-0.02, 1.12), title="Accuracy by evidence opened, 95 % Wilson intervals",
    )  # fmt: skip
    return figure


def draw_positions(rows: Sequence[Row]) -> Figure:
    """Figure 4 (c): shares of browses by position, beside people's clicks."""
    figure = _figure(6.6, 3.8)
    axes = figure.subplots()
    shown = [row for row in rows if row["order"] == AS_SHOWN]
    orders = list(dict.fromkeys(row["order"] for row in rows))
    width = 0.8 / len(orders)
    for place, (order, color) in enumerate(zip(orders, (COLORS["correct"], "#c9a227"), strict=False)):
        of = [row for row in rows if row["order"] == order]
        positions = np.array([row["position"] for row in of]) + (place - (len(orders) - 1) / 2) * width
        axes.bar(
            positions, [row["value"] for row in of], width * 0.94, yerr=_errors(of), capsize=2, color=color,
            alpha=0.85, error_kw={"elinewidth": 0.9}, label=f"agent, position {order} (n = {of[0]['n']:,} browses)",
        )  # fmt: skip
    positions = [row["position"] for row in shown]
    axes.plot(
        positions,
        [row["human"] for row in shown],
        "s--",
        color=COLORS["incorrect"],
        markersize=4,
        label="people's clicks",
    )
    axes.plot(
        positions,
        [row["uniform"] for row in shown],
        color=GREY,
        linewidth=1.2,
        linestyle=":",
        label="all positions alike",
    )
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
    figure = _figure(7.4, 1.3 + 0.55 * len(rows))
    axes = figure.subplots()
    boxes = [
        {
            "whislo": row["q05"],
            "q1": row["q25"],
            "med": row["q50"],
            "q3": row["q75"],
            "whishi": row["q95"],
            "fliers": [],
        }
        for row in rows
    ]
    drawn = axes.bxp(
        boxes, orientation="horizontal", showfliers=False, patch_artist=True, widths=0.55, manage_ticks=False,
        medianprops={"color": "#24292f"},
    )  # fmt: skip
    for box, row in zip(drawn["boxes"], rows, strict=True):
        box.set(facecolor=COLORS[row["outcome"]], alpha=0.75 if row["document"] == "evidence" else 0.35)
    places = np.arange(1, len(rows) + 1)
    means = [row["mean"] for row in rows]
    errors = [
        [row["mean"] - (row["mean_low"] if row["mean_low"] is not None else row["mean"]) for row in rows],
        [(row["mean_high"] if row["mean_high"] is not None else row["mean"]) - row["mean"] for row in rows],
    ]
    axes.errorbar(means, places, xerr=errors, fmt="D", color="#24292f", markersize=4, capsize=3)
    axes.set_yticks(
        places, [f"{OUTCOME_LABELS[row['outcome']]},\n{DOCUMENT_LABELS[row['document']]}" for row in rows], fontsize=8
    )
    edge = max(row["q95"] for row in rows)
    for place, row in zip(places, rows, strict=True):
        axes.annotate(f"n = {row['n']:,}", (edge * 1.03, place), va="center", fontsize=8)
    axes.set(
        xlabel=f"{unit} of the reasoning right after a browse", xlim=(0, edge * 1.2), ylim=(len(rows) + 0.6, 0.4),
        title="Quartiles, 5th to 95th percentile, and the mean (diamond) with its 95 % interval",
    )  # fmt: skip
    return figure


def draw_half_life(bins: Sequence[Row], fits: Sequence[Row], unit: str) -> Figure:
    """Figure 6: the distribution of reasoning lengths, and the share that is longer, with the fitted decay."""
    figure = _figure(9.4, 3.8)
    histogram, survival = figure.subplots(1, 2)
    edges = np.array([row["from"] for row in bins] + [bins[-1]["to"]])
    counts = np.array([row["browses"] for row in bins])
    total = counts.sum()
    width = edges[1] - edges[0]
    by_name = {row["estimate"]: row for row in fits}
    middle, decay = by_name["median"], by_name["decay"]
    histogram.bar(edges[:-1], counts, width, align="edge", color=COLORS["correct"], alpha=0.5, linewidth=0)
    label = f"fitted decay: half-life {decay['value']:.0f} {_range(decay, '.0f')}"
    grid = np.linspace(decay["start"], edges[-1], 200)
    left = 0.5 ** ((grid - decay["start"]) / decay["value"]) if decay["value"] > 0 else np.zeros_like(grid)
    rate = math.log(2) / decay["value"] if decay["value"] > 0 else 0
    histogram.plot(grid, decay["n"] * rate * width * left, color=COLORS["incorrect"], label=label)
    histogram.axvline(
        middle["value"], color="#24292f", linestyle="--", linewidth=0.9,
        label=f"median (β of Eq. 3): {middle['value']:.0f} {_range(middle, '.0f')}",
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
    """How searching goes on, a panel a measure, a line an outcome."""
    figure = _figure(9.4, 6.4)
    ticks = {(row["first"], row["last"]) for row in rows}
    order = {span: place for place, span in enumerate(sorted(ticks))}
    outcomes = _outcomes(rows)
    for axes, (measure, texts) in zip(figure.subplots(2, 2).flat, STEP_PANELS.items(), strict=True):
        title, label, unit = texts
        for place, outcome in enumerate(outcomes):
            of = [row for row in rows if row["measure"] == measure and row["outcome"] == outcome]
            if not of:
                continue
            at = np.array([order[row["first"], row["last"]] for row in of]) + (place - (len(outcomes) - 1) / 2) * 0.12
            total = sum(row["n"] for row in of)
            axes.errorbar(
                at, [row["value"] for row in of], yerr=_errors(of), fmt="o-", markersize=4, capsize=2, linewidth=1.2,
                color=COLORS[outcome], label=f"{OUTCOME_LABELS[outcome]} (n = {total:,} {unit})",
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
    """How far queries are from the ones before them."""
    figure = _figure(6.2, 3.7)
    axes = figure.subplots()
    outcomes = _outcomes(rows)
    width = 0.09 / len(outcomes)
    for place, outcome in enumerate(outcomes):
        of = [row for row in rows if row["outcome"] == outcome]
        centres = np.array([(row["from"] + row["to"]) / 2 for row in of]) + (place - (len(outcomes) - 1) / 2) * width
        # Where there is nothing, an interval at every tenth would hide what there is.
        errors = np.where([row["value"] > 0 for row in of], _errors(of), np.nan)
        axes.bar(
            centres, [row["value"] for row in of], width * 0.94, yerr=errors, color=COLORS[outcome], alpha=0.8,
            capsize=2, error_kw={"elinewidth": 0.9}, label=f"{OUTCOME_LABELS[outcome]} (n = {of[0]['n']:,} searches)",
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
    """Every agent in every measure, a panel a measure, an interval an agent."""
    measures = list(dict.fromkeys(row["measure"] for row in rows))
    agents = list(dict.fromkeys(row["agent"] for row in rows))
    columns = min(5, len(measures))
    lines = math.ceil(len(measures) / columns)
    longest = max(len(line) for agent in agents for line in _wrapped(agent).splitlines())
    figure = _figure(2.3 * columns + 0.06 * min(longest, 60), lines * (1.0 + 0.42 * len(agents)) + 0.4)
    grid = figure.subplots(lines, columns, squeeze=False, sharey=True)
    for place, axes in enumerate(grid.flat):
        if place >= len(measures):
            axes.set_axis_off()
            continue
        of = {row["agent"]: row for row in rows if row["measure"] == measures[place]}
        for down, agent in enumerate(agents):
            if agent in of:
                axes.errorbar(
                    of[agent]["value"], down, xerr=_errors([of[agent]]), fmt="o", markersize=4, capsize=3,
                    color=f"C{down}",
                )  # fmt: skip
        axes.set_title(measures[place], fontsize=8)
        axes.set_xlabel(UNITS[measures[place]], fontsize=7)
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


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def png(figure: Figure) -> bytes:
    """The figure as a picture."""
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.title.set_fontsize(min(10, axes.title.get_fontsize()))
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=DOTS_PER_INCH)
    return content.getvalue()


def _outcomes(rows: Sequence[Row]) -> list[str]:
    """The outcomes to tell apart; "all" of them says nothing more beside them."""
    found = [outcome for outcome in COLORS if any(row["outcome"] == outcome for row in rows)]
    return [outcome for outcome in found if outcome != "all" or len(found) == 1]


def _limits(rows: Sequence[Row]) -> tuple[list[float], list[float], list[float]]:
    """Low, value and high of each row; the value itself where there is no interval."""
    value = [row["value"] for row in rows]
    low = [row["value"] if row["low"] is None else row["low"] for row in rows]
    high = [row["value"] if row["high"] is None else row["high"] for row in rows]
    return low, value, high


def _errors(rows: Sequence[Row]) -> np.ndarray:
    low, value, high = map(np.array, _limits(rows))
    return np.maximum([value - low, high - value], 0)


def _range(row: Row, spec: str = ".2f") -> str:
    return "" if row["low"] is None else f"[{row['low']:{spec}}, {row['high']:{spec}}]"


def _span(first: int, last: int) -> str:
    return f"{first}" if first == last else f"{first}+" if last >= 10**6 else f"{first}-{last}"
