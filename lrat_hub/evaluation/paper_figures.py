"""Pictures and tables of the paper's figures, out of their rows (`as_paper`). The paper's numbers are hollow marks."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lrat_hub.evaluation.as_paper import DrawnFigure, Row, paper_agent, trajectories_of
from lrat_hub.evaluation.figures import COLORS, TITLES, WIDEST, as_png, wrapped
from lrat_hub.evaluation.tables import PERCENT
from lrat_hub.hub.cards import markdown_table
from lrat_hub.hub.figures import new_panels
from lrat_hub.paper import MARK
from lrat_hub.significance import ends

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NARROWEST = 6.6
"""Inches of a figure whose title and legend are seen whole."""


def section(drawn: DrawnFigure, picture: str) -> str:
    """The text of a report about one figure, in Markdown."""
    figure, parts = drawn.figure, []
    parts.append(f"### {figure.source}: {figure.title}, on {drawn.benchmark}")
    if figure.note:
        parts.append(figure.note)
    if drawn.left_out:
        parts.append(f"Without retrievers that it has no place for: {', '.join(drawn.left_out)}.")
    parts += drawn.remarks
    parts.append(f"![{figure.source} on {drawn.benchmark}, with 95 % intervals]({picture})")
    parts.append(markdown_table(_table(drawn)))
    return "\n\n".join(parts)


ABOUT = (
    "In the readings that there are of each metric. *The release's* is what the authors' code computes: over the "
    "questions that have a run. *The benchmark's* is what BrowseComp-Plus's code computes: as before, and an answer "
    "that a limit made the agent give is wrong. *Ours* is over all questions. Intervals are 95 % (Wilson's for rates "
    "of questions, bootstrap over questions for means). Diamonds, and the columns of the paper, are the paper's own "
    "numbers, as it prints them or as its drawings show them; nothing here has measured those, and the paper gives no "
    "intervals for them."
)
"""What one has to know to read these figures."""


def draw(drawn: DrawnFigure) -> bytes:
    """The figure as a PNG file: a panel for each metric and each of its readings that differ."""
    panels = [
        (f"{TITLES[metric]} ({reading})", metric, rows)
        for metric in drawn.figure.metrics
        for reading, rows in drawn.readings(metric).items()
    ]
    forms = {"agents": _draw_agents, "sizes": _draw_sizes, "results": _draw_results}
    figure = forms[drawn.figure.form](drawn, panels)
    questions = sorted({row["questions"] for row in drawn.rows})
    counted = f"{questions[0]}" if len(questions) == 1 else f"{questions[0]} to {questions[-1]}"
    title = f"{drawn.figure.source}, on {drawn.benchmark}: n = {counted} questions a value, 95 % intervals"
    figure.suptitle(title, fontsize=10)
    return as_png(figure)


Panels = Sequence[tuple[str, str, Sequence[Row]]]


def _draw_agents(drawn: DrawnFigure, panels: Panels) -> Figure:
    names = _names(drawn)
    agents = list(names)
    variants = list(dict.fromkeys(row["variant"] for row in drawn.rows))
    variants.sort(key=list(drawn.figure.variants).index)
    colors = dict(zip(variants, COLORS, strict=False))
    wide = max(4.4, 0.42 * len(agents) * len(variants) + 1.4)
    columns = min(len(panels), max(1, int(WIDEST // wide)))
    figure, grid = new_panels(len(panels), columns, max(NARROWEST / columns, wide), 3.0, margin=0.8)
    width = 0.84 / len(variants)
    for axes, (title, metric, rows) in zip(grid, panels, strict=True):
        top = _top(metric, rows)
        for row in rows:
            at = agents.index(row["agent"]) + (variants.index(row["variant"]) - (len(variants) - 1) / 2) * width
            _bar(axes, at, 0.92 * width, metric, row, colors[row["variant"]], top)
        axes.set_xticks(range(len(agents)), wrapped(list(names.values()), wide / len(agents)), fontsize=8)
        # Also where a cell at the end is missing.
        axes.set_xlim(-0.5, len(agents) - 0.5)
        axes.set_title(title, fontsize=9)
        axes.set_ylim(0, top)
    _legend(figure, colors, drawn.rows)
    return figure


def _draw_sizes(drawn: DrawnFigure, panels: Panels) -> Figure:
    names = _names(drawn)
    colors = {agent: COLORS[(number + 1) % len(COLORS)] for number, agent in enumerate(names)}
    wide, high = max(NARROWEST / len(panels), 5.2), 3.9 + 0.2 * (len(names) // 6)
    figure, grid = new_panels(len(panels), len(panels), wide, high)
    sizes = sorted({trajectories_of(drawn.figure, row["retriever"]) or 0 for row in drawn.rows})
    for axes, (title, metric, rows) in zip(grid, panels, strict=True):
        for agent, color in colors.items():
            points = sorted(
                (trajectories_of(drawn.figure, row["retriever"]) or 0, row["value"], row)
                for row in rows
                if row["agent"] == agent
            )
            xs, ys = [point[0] for point in points], [_scaled(metric, point[1]) for point in points]
            axes.errorbar(xs, ys, yerr=_errors(metric, [point[2] for point in points]), fmt="o-", markersize=4,
                          capsize=2, elinewidth=0.8, color=color)  # fmt: skip
            marks = [(x, _scaled(metric, row["paper"])) for x, _, row in points if row["paper"] is not None]
            if marks:
                axes.plot(*zip(*marks, strict=True), ":", color=color, linewidth=0.8)
                axes.plot(*zip(*marks, strict=True), **{**MARK, "markeredgecolor": color})
        axes.set_xticks(sizes, ["base" if size == 0 else f"{size:,}" for size in sizes], fontsize=8)
        axes.set_title(title, fontsize=9)
        axes.set_xlabel("trajectories that the retriever was trained on")
    _legend(figure, {names[agent]: color for agent, color in colors.items()}, drawn.rows)
    return figure


def _draw_results(drawn: DrawnFigure, panels: Panels) -> Figure:
    names = _names(drawn)
    variants = [name for name in drawn.figure.variants if any(row["variant"] == name for row in drawn.rows)]
    results = sorted({row["k"] for row in drawn.rows})
    colors = dict(zip(variants, COLORS, strict=False))
    wide = max(NARROWEST / len(names), 3.6)
    figure, grid = new_panels(len(panels) * len(names), len(names), wide, 3.0, margin=0.8, sharey="row")
    width = 0.84 / len(variants)
    for line, (title, metric, rows) in enumerate(panels):
        top = _top(metric, rows)
        for number, (agent, axes) in enumerate(zip(names, grid[line * len(names) :], strict=False)):
            for row in rows:
                if row["agent"] == agent:
                    offset = (variants.index(row["variant"]) - (len(variants) - 1) / 2) * width
                    at, color = results.index(row["k"]) + offset, colors[row["variant"]]
                    _bar(axes, at, 0.92 * width, metric, row, color, top)
            axes.set_xticks(range(len(results)), [f"K = {k}" for k in results], fontsize=8)
            axes.set_xlim(-0.5, len(results) - 0.5)
            axes.set_title(names[agent], fontsize=9)
            axes.set_ylim(0, top)
            if number == 0:
                axes.set_ylabel("\n".join(textwrap.wrap(title, 32)))
    _legend(figure, colors, drawn.rows)
    return figure


def _names(drawn: DrawnFigure) -> dict[str, str]:
    """What each agent is called: as in the paper, unless two agents here are one there."""
    agents = list(dict.fromkeys(row["agent"] for row in drawn.rows))
    counted = Counter(map(paper_agent, agents))
    return {agent: name if (name := paper_agent(agent)) and counted[name] == 1 else agent for agent in agents}


def _top(metric: str, rows: Sequence[Row]) -> float:
    """The end of the axis: above all intervals and marks, with room for the numbers."""
    return 1.14 * max(_scaled(metric, max(_end(row, "high"), row["paper"] or 0)) for row in rows) or 1.0


def _bar(axes: Axes, at: float, width: float, metric: str, row: Row, color: str, top: float) -> None:
    """A bar with its interval and its number, and the paper's mark over it."""
    value, high = _scaled(metric, row["value"]), _scaled(metric, _end(row, "high"))
    axes.bar(at, value, width, color=color, yerr=_errors(metric, [row]), capsize=2,
             error_kw={"elinewidth": 0.8, "capthick": 0.8})  # fmt: skip
    mark = None if row["paper"] is None else _scaled(metric, row["paper"])
    # Above the interval, and above the mark where the two would hide each other.
    above = mark if mark is not None and high < mark < high + 0.09 * top else high
    axes.annotate(f"{value:.1f}", (at, above), (0, 5), textcoords="offset points", ha="center", fontsize=7)
    if mark is not None:
        axes.plot([at], [mark], **MARK)


def _legend(figure: Figure, colors: Mapping[str, str], rows: Sequence[Row]) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [Patch(color=color, label=name) for name, color in colors.items()]
    read = list(dict.fromkeys(row["paper_read"] for row in rows if row["paper_read"]))
    handles += [Line2D([], [], label=f"the paper's number, {name}", **MARK) for name in read]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(6, len(handles)), frameon=False, fontsize=8)


def _scaled(metric: str, value: float) -> float:
    return 100 * value if metric in PERCENT else value


def _end(row: Row, name: str) -> float:
    """An end of the interval; the value where there is none, as of a single question."""
    return row[name] if np.isfinite(row[name]) else row["value"]


def _errors(metric: str, rows: Sequence[Row]) -> np.ndarray:
    """Lengths of error bars, shape (2, rows)."""
    scale = 100 if metric in PERCENT else 1
    ends = [[row["value"] - _end(row, "low") for row in rows], [_end(row, "high") - row["value"] for row in rows]]
    return scale * np.maximum(np.array(ends), 0)


def _table(drawn: DrawnFigure) -> list[dict[str, Any]]:
    """A row for each cell and metric, a column for each reading; gains are of the first one."""
    names = _names(drawn)
    table: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in drawn.rows:
        key = tuple(row[name] for name in ("agent", "retriever", "k", "metric"))
        value, low, high = (_scaled(row["metric"], row[name]) for name in ("value", "low", "high"))
        text = f"{value:.1f} {ends(low, high, '.1f')}"
        if key in table:
            table[key][row["reading"]] = text
            continue
        base, paper_base = _base(drawn, row)
        paper = "" if row["paper"] is None else f"{_scaled(row['metric'], row['paper']):.1f} ({row['paper_read']})"
        table[key] = {
            "agent": names[row["agent"]],
            "retriever": row["variant"],
            **({"K": row["k"]} if drawn.figure.form == "results" else {}),
            **({"metric": TITLES[row["metric"]]} if len(drawn.figure.metrics) > 1 else {}),
            "the paper": paper,
            "gain there": _gain(row["paper"], paper_base),
            "gain here": _gain(row["value"], base),
            row["reading"]: text,
        }
    columns = list(dict.fromkeys(name for row in table.values() for name in row))
    return [{name: row.get(name, "") for name in columns} for row in table.values()]


def _base(drawn: DrawnFigure, row: Row) -> tuple[float | None, float | None]:
    """What the gain of a row is over: the base of its agent, here and in the paper; None for the base itself."""
    names = list(drawn.figure.variants)
    # Of the four retrievers of Table 2 the last two are one model before and after its training.
    first = names[names.index(row["variant"]) // 2 * 2] if drawn.figure.source == "Table 2" else names[0]
    same = ("agent", "k", "metric", "reading")
    for other in drawn.rows:
        if other["variant"] == first != row["variant"] and all(other[name] == row[name] for name in same):
            return other["value"], other["paper"]
    return None, None


def _gain(value: float | None, base: float | None) -> str:
    return "" if value is None or not base else f"{value / base - 1:+.1%}"
