"""The picture of Figures 4 and 6 as the paper counts them, with its own numbers as hollow marks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lrat_hub.analysis.figures import COLORS, GREY, Row, errors_of
from lrat_hub.hub.figures import new_panels
from lrat_hub.paper import INK, MARK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS = {
    "4 (a)": ("(a) what follows", "share of such steps", "step and the next, S search, B browse"),
    "4 (b)": ("(b) right answers by evidence opened", "share of runs with the right answer", "evidence documents"),
    "4 (c)": ("(c) positions opened", "share of browses", "rank in the result list"),
    "4 (d)": ("(d) reasoning after a browse", "mean length", ""),
    "6": ("Figure 6: reasoning after a browse", "share of browses", ""),
}
DOCUMENTS = {"evidence": "#2da44e", "non-evidence": "#8250df"}


def draw_as_paper(rows: Sequence[Row], unit: str) -> Figure:
    """A panel for each part there is. Lengths in other units than tokens stand without the paper's.

    Args:
        unit: The unit of lengths.
    """
    from matplotlib.lines import Line2D

    present = [name for name in PANELS if any(row["figure"] == name for row in rows)]
    figure, grid = new_panels(len(present), min(3, len(present)), 4.9, 3.3, margin=0.5)
    for axes, name in zip(grid, present, strict=True):
        members = [row for row in rows if row["figure"] == name]
        is_length = name in ("4 (d)", "6")
        _panel(axes, name, members, marked=not is_length or unit.startswith("tokens"))
        title, ylabel, xlabel = PANELS[name]
        count = f"n = {_count(members):,} {'runs' if name == '4 (b)' else 'steps' if name == '4 (a)' else 'browses'}"
        axes.set_title(f"{title}, {count}", fontsize=9)
        axes.set_ylabel(f"{ylabel}, {unit}" if name == "4 (d)" else ylabel)
        axes.set_xlabel(f"{unit}, from" if name == "6" else xlabel)
        axes.set_ylim(bottom=0)
    handles = [Line2D([], [], label="the paper's number", **MARK)]
    figure.legend(handles=handles, loc="outside lower center", frameon=False, fontsize=8)
    return figure


def _panel(axes: Axes, name: str, rows: Sequence[Row], *, marked: bool) -> None:
    groups, measures = (list(dict.fromkeys(row[column] for row in rows)) for column in ("group", "measure"))
    if name == "4 (d)":
        # One bar for each group.
        places = {(group, measure): at for at, group in enumerate(groups) for measure in measures}
        labels, width = groups, 0.7
    else:
        width = 0.8 / len(groups)
        places = {
            (group, measure): at + (place - (len(groups) - 1) / 2) * width
            for at, measure in enumerate(measures)
            for place, group in enumerate(groups)
        }
        labels = [measure.removeprefix("rank ") for measure in measures]
        # Forty bins: where they begin.
        labels = [label.partition("-")[0] for label in labels] if name == "6" else labels
    for group in groups:
        members = [row for row in rows if row["group"] == group]
        xs = [places[group, row["measure"]] for row in members]
        # Intervals of empty bins would hide the marks.
        errors = np.where([row["value"] > 0 or name != "6" for row in members], errors_of(members), np.nan)
        axes.bar(xs, [row["value"] for row in members], 0.94 * width, yerr=errors, capsize=2,
                 color=DOCUMENTS.get(group) or COLORS.get(group, GREY), alpha=0.75, error_kw={"elinewidth": 0.9},
                 label=group)  # fmt: skip
        theirs = [(x, row) for x, row in zip(xs, members, strict=True) if row["paper"] is not None]
        if marked and theirs:
            values = np.array([row["paper"] for _, row in theirs])
            ends = [[row[end] if row[end] is not None else row["paper"] for _, row in theirs]
                    for end in ("paper_low", "paper_high")]  # fmt: skip
            axes.errorbar([x for x, _ in theirs], values, yerr=np.maximum([values - ends[0], ends[1] - values], 0),
                          ecolor=INK, elinewidth=0.7, **{**MARK, "markersize": 4 if name == "6" else 6})  # fmt: skip
    if any(row["reference"] is not None for row in rows):
        axes.plot([places[row["group"], row["measure"]] for row in rows], [row["reference"] for row in rows], "s--",
                  color=COLORS["incorrect"], markersize=3, linewidth=1, label="people, in the paper")  # fmt: skip
        axes.legend(frameon=False, fontsize=8)
    elif name == "4 (a)":
        axes.legend(frameon=False, fontsize=8)
    step = 5 if len(labels) > 12 else 1
    axes.set_xticks(range(len(labels))[::step], labels[::step], fontsize=8)


def _count(rows: Sequence[Row]) -> int:
    """What the values of a panel are of, all together; every bin of a distribution is of all of it."""
    if rows[0]["figure"] in ("4 (c)", "6"):
        return rows[0]["n"]
    if rows[0]["figure"] == "4 (d)":
        return max(sum(row["n"] for row in rows if row["group"] in groups)
                   for groups in (("correct", "incorrect"), ("evidence", "non-evidence")))  # fmt: skip
    counted = {(row["group"], row["measure"].partition(" to ")[0]): row["n"] for row in rows}
    return sum(counted.values())
