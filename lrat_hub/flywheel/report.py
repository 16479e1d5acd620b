"""The report of a flywheel: Figure 9b of the paper with intervals and decisions, and what the rounds fed back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lrat_hub.evaluation.figures import COLORS, as_png
from lrat_hub.evaluation.report import Page
from lrat_hub.flywheel.feedback import TOP, RoundFeedback
from lrat_hub.flywheel.figures import FIGURES, Measured
from lrat_hub.flywheel.gate import Decision
from lrat_hub.hub.cards import markdown_table
from lrat_hub.hub.figures import new_panels
from lrat_hub.paper import paper_values
from lrat_hub.significance import Interval, ends, mean_interval
from lrat_hub.significance.pooled import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CURVES = ("success", "evidence_any", "evidence_share", "steps", "recall@10")
"""Figures that are drawn over the rounds, those that were measured."""

CHECKS = ("content", "titles", "out_of_domain")

IN_PAPER = {"success": "success", "evidence_any": "evidence", "evidence_share": "evidence"}
"""Our figures to the paper's metrics in Figure 9 (b). It doesn't say which reading of evidence recall is drawn."""

GREY = "#57606a"
CHAMPION, PROMOTED, STOPPED = COLORS[0], COLORS[1], COLORS[4]


@dataclass(frozen=True)
class RoundResult:
    """What there is to say of a round.

    Args:
        name: "start" for the starting retriever, then "round-1" and so on.
        measured: The starting retriever, or the challenger of the round, on the held-out set.
        decision: None for the starting retriever.
        feedback: What the round's own runs and pairs say; None where there are none.
    """

    name: str
    measured: Measured
    decision: Decision | None = None
    feedback: RoundFeedback | None = None

    @property
    def verdict(self) -> str:
        if self.decision is None:
            return ""
        if not self.decision.complete:
            return "data missing"
        return "promoted" if self.decision.promoted else "stopped"

    def interval(self, figure: str) -> Interval | None:
        """The mean with its 95 % interval over what is known; None where nothing is."""
        values = self.measured.figures.get(figure, {})
        known = {item: value for item, value in values.items() if value is not None}
        return mean_interval(known) if known else None


def curve_rows(rounds: Sequence[RoundResult]) -> list[dict[str, Any]]:
    """A row for each round: its figures with 95 % intervals, in percent but for steps, and what the gate decided."""
    names = [name for name in (*CURVES, *CHECKS) if any(one.interval(name) for one in rounds)]
    rows = []
    for one in rounds:
        sizes = {len(one.measured.figures[name]) for name in names if name in one.measured.figures and name in CURVES}
        rows.append(
            {"round": one.name}
            | {name: _percent(one.interval(name)) if FIGURES[name].is_share else _plain(one.interval(name))
               for name in names}
            | {"questions": max(sizes, default=0), "decision": one.verdict}
        )  # fmt: skip
    return rows


def decision_rows(rounds: Sequence[RoundResult]) -> list[dict[str, Any]]:
    """A row for each test of each round."""
    return [
        {
            "round": one.name,
            "test": row.figure + (" since the start" if row.against == "start" else ""),
            "difference": f"{row.difference:+.3f} {ends(row.low, row.high, '+.3f')}",
            "p": "" if row.p_value is None else f"{row.p_value:.2g}",
            "needed": f"p ≤ {one.decision.level:.2g}"
            if row.limit is None
            else f"{FIGURES[row.figure].harm} < {row.limit:.3f}",
            "measured": f"{row.measured} of {row.asked}",
            "passed": "yes" if row.passed else "no",
        }
        for one in rounds
        if one.decision is not None
        for row in sorted(one.decision.figures, key=lambda row: row.role != "primary")
        if row.passed is not None
    ]


def feedback_rows(rounds: Sequence[RoundResult]) -> list[dict[str, Any]]:
    """A row for each round with feedback; shares as n of m, those of pairs with 95 % intervals over questions."""
    return [
        {
            "round": found.round,
            "questions": found.questions,
            "lists": found.lists,
            "documents listed": f"{found.listed} of {found.documents}",
            "for the first time": f"{found.first_listed} of {found.listed}",
            "gini": found.gini,
            f"listings of the top {100 * TOP:.0f} %": found.top_share,
            "positives": found.positives,
            "listed the round before": _share(found.listed_before),
            "never listed before": _share(found.novel),
            "positives before": _share(found.repeated),
            "judged relevant": _share(found.relevant),
            "unjudged": found.unjudged,
        }
        for one in rounds
        if (found := one.feedback) is not None
    ]


def report_page(rounds: Sequence[RoundResult], *, benchmark: str = "") -> Page:
    """The report in Markdown with its pictures, without a title.

    Args:
        rounds: The starting retriever and every round after it, in their order.
        benchmark: The name of the held-out set. On the paper's, Figure 9 (b) of the paper is drawn beside ours.
    """
    pictures = {"figures/rounds.png": draw_rounds(rounds, benchmark=benchmark)}
    parts = [
        "## The rounds (Figure 9b)",
        "Each challenger on the same held-out questions, with 95 % intervals over questions. The line is the champion "
        "that served after the round. Intervals of two rounds may overlap although a paired test tells them apart: "
        "the gate tests pairs.",
        "![Success, evidence and steps by round, with 95 % intervals and decisions](figures/rounds.png)",
        markdown_table(curve_rows(rounds)),
    ]
    if decided := decision_rows(rounds):
        parts += [
            "## Decisions",
            "Differences are challenger - champion, with one-sided bounds at the level of the round.",
            markdown_table(decided),
            *(f"**{one.name}: {one.verdict}.** {' '.join(one.decision.reasons)}" for one in rounds if one.decision),
        ]
    if found := feedback_rows(rounds):
        pictures["figures/feedback.png"] = draw_feedback(rounds)
        parts += [
            "## What the rounds fed back",
            "How much of the corpus was listed, how far listings gather on few documents (Gini coefficient: 0 where "
            "all are listed alike, near 1 where few have all listings), how much of what is learned from was listed "
            "before, and how often the judge says relevant. Coverage depends on the number of lists.",
            "![Feedback by round](figures/feedback.png)",
            markdown_table(found),
        ]
    return Page("\n\n".join(parts) + "\n", pictures)


def draw_rounds(rounds: Sequence[RoundResult], *, benchmark: str = "") -> bytes:
    """Figure 9b as a PNG file: a panel for each figure that was measured."""
    names = [name for name in CURVES if any(one.interval(name) for one in rounds)]
    figure, panels = _panels(len(names))
    for axes, name in zip(panels, names, strict=True):
        scale = 100 if FIGURES[name].is_share else 1
        _draw_champion(axes, rounds, name, scale)
        for at, one in enumerate(rounds):
            if (interval := one.interval(name)) is not None:
                is_champion = one.verdict in ("", "promoted")
                axes.errorbar(
                    at, scale * interval.mean, yerr=_reach(interval, scale), capsize=3, elinewidth=0.9,
                    fmt="o" if is_champion else "X", markersize=6 if is_champion else 7,
                    color=PROMOTED if is_champion else STOPPED,
                )  # fmt: skip
        marks = [
            (int(value.column.split()[-1]), value.value)
            for value in paper_values("Figure 9 (b)")
            if value.benchmark == benchmark and value.metric == IN_PAPER.get(name)
        ]
        if marks:
            axes.plot(*zip(*marks, strict=True), "D", markerfacecolor="none", markeredgecolor=GREY, markersize=6)
        asked = max((len(one.measured.figures.get(name, {})) for one in rounds), default=0)
        unit = ", %" if scale == 100 else ""
        axes.set_title(f"{_capital(FIGURES[name].title)}{unit} (n = {asked})", fontsize=9)
        later = [f"round-{at}" for at in range(len(rounds), 1 + max((at for at, _ in marks), default=0))]
        _label_rounds(axes, [*(one.name for one in rounds), *later])
    shapes = {"start, or promoted": ("o", PROMOTED, PROMOTED)}
    if any(one.verdict in ("stopped", "data missing") for one in rounds):
        shapes["not promoted"] = ("X", STOPPED, STOPPED)
    if benchmark and any(value.benchmark == benchmark for value in paper_values("Figure 9 (b)")):
        shapes["the paper's (Figure 9b)"] = ("D", "none", GREY)
    _legend(figure, shapes, "champion after the round")
    return as_png(figure)


def draw_feedback(rounds: Sequence[RoundResult]) -> bytes:
    """What the rounds fed back, as a PNG file."""
    found = [one.feedback for one in rounds if one.feedback is not None]
    figure, panels = _panels(4)
    at = np.arange(len(found))
    panels[0].bar(at, [100 * one.coverage for one in found], 0.6, color=COLORS[0], label="listed")
    panels[0].bar(
        at, [100 * one.first_listed / one.documents for one in found], 0.6, color=COLORS[1],
        label="for the first time",
    )  # fmt: skip
    panels[0].set_title(f"Documents listed, % of {max(one.documents for one in found):,}", fontsize=9)
    for name, values, color in [
        ("Gini coefficient", [one.gini for one in found], COLORS[2]),
        (f"share of the top {100 * TOP:.0f} %", [one.top_share for one in found], COLORS[6]),
    ]:
        panels[1].plot(at, [math.nan if value is None else value for value in values], "o-", color=color, label=name)
    panels[1].set_title("How listings gather on few documents", fontsize=9)
    shares = {
        "listed the round before": "listed_before",
        "never listed before": "novel",
        "positives before": "repeated",
    }
    for number, (label, name) in enumerate(shares.items()):
        _draw_shares(panels[2], [getattr(one, name) for one in found], COLORS[3 + number], label, 0.06 * (number - 1))
    panels[2].set_title("Documents of positives, % of positives", fontsize=9)
    _draw_shares(panels[3], [one.relevant for one in found], COLORS[7], "relevant", 0.0)
    panels[3].set_title("Judged relevant, % of judged pairs", fontsize=9)
    for axes in panels:
        _label_rounds(axes, [one.round for one in found])
        # Room for the legend above what is drawn.
        axes.set_ylim(0, 1.25 if axes is panels[1] else 1.25 * axes.get_ylim()[1])
        axes.legend(fontsize=7, frameon=False, loc="upper left", ncols=3, columnspacing=0.9, handlelength=1.2)
    return as_png(figure)


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    return new_panels(count, min(count, 3) if count != 4 else 2, 4.4, 3.1, margin=0.4)


def _draw_champion(axes: Axes, rounds: Sequence[RoundResult], name: str, scale: int) -> None:
    """The figure of whoever is champion after each round, as steps."""
    values, last = list[float](), math.nan
    for one in rounds:
        if one.verdict in ("", "promoted"):
            interval = one.interval(name)
            last = math.nan if interval is None else scale * interval.mean
        values.append(last)
    axes.step(range(len(rounds)), values, where="post", color=CHAMPION, linewidth=1.6, zorder=0)


def _draw_shares(axes: Axes, shares: Sequence[Estimate | None], color: str, label: str, shift: float) -> None:
    points = [(at, share) for at, share in enumerate(shares) if share is not None]
    axes.errorbar(
        [at + shift for at, _ in points], [100 * share.value for _, share in points],
        yerr=np.array([[100 * (share.value - (share.value if share.low is None else share.low)),
                        100 * ((share.value if share.high is None else share.high) - share.value)]
                       for _, share in points]).reshape(-1, 2).T,
        fmt="o-", markersize=4, capsize=2, elinewidth=0.8, color=color, label=label,
    )  # fmt: skip


def _label_rounds(axes: Axes, names: Sequence[str]) -> None:
    axes.set_xticks(range(len(names)), names, fontsize=8)
    axes.set_xlim(-0.4, len(names) - 0.6)


def _legend(figure: Figure, shapes: Mapping[str, tuple[str, str, str]], line: str) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], linestyle="none", marker=marker, markerfacecolor=face, markeredgecolor=edge, label=name)
        for name, (marker, face, edge) in shapes.items()
    ]
    handles.append(Line2D([], [], color=CHAMPION, linewidth=1.6, label=line))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, fontsize=8)


def _reach(interval: Interval, scale: float) -> list[list[float]] | None:
    """Lengths of an error bar; None for an interval without an end."""
    lengths = [scale * (interval.mean - interval.low), scale * (interval.high - interval.mean)]
    return [[length] for length in lengths] if all(map(math.isfinite, lengths)) else None


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _percent(interval: Interval | None) -> str:
    if interval is None:
        return ""
    return f"{100 * interval.mean:.1f} {ends(100 * interval.low, 100 * interval.high, '.1f')}"


def _plain(interval: Interval | None) -> str:
    return "" if interval is None else f"{interval:.2f}"


def _share(share: Estimate | None) -> str:
    """A share as n of m, with its interval."""
    return "" if share is None else f"{round(share.value * share.n)} of {share.n}: {share:.2f}"
