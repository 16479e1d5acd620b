"""Figures of cards and reports: panels of one size beside and below each other, and the PNG file of a figure."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

DOTS_PER_INCH = 130


def new_figure(width: float, height: float) -> Figure:
    """A figure of so many inches. It is one of its own: pyplot would keep it, and choose a backend for the process."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def new_panels(
    count: int,
    columns: int,
    width: float,
    height: float,
    *,
    margin: float = 0.0,
    sharey: bool | Literal["row"] = False,
) -> tuple[Figure, list[Axes]]:
    """A figure of panels, line by line.

    Args:
        columns: Panels side by side.
        width, height: Inches of a panel.
        margin: Inches of the figure's height beside its panels, for what they share.
        sharey: Which panels have the same axis, as matplotlib takes it.
    """
    lines = -(-count // columns)
    figure = new_figure(width * columns, height * lines + margin)
    panels: list[Axes] = list(figure.subplots(lines, columns, squeeze=False, sharey=sharey).ravel())
    for axes in panels[count:]:
        axes.remove()
    return figure, panels[:count]


def as_png(figure: Figure) -> bytes:
    """The figure as a PNG file, without frames around its panels."""
    from matplotlib.text import Text

    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            _plain_numbers(axis)
    # Names are people's own, and a dollar sign in them begins no formula.
    for text in figure.findobj(Text):
        text.set_parse_math(False)  # pyright: ignore[reportAttributeAccessIssue]
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    content = io.BytesIO()
    # Without the version of matplotlib in the file, the same figures are the same bytes for longer.
    figure.savefig(content, dpi=DOTS_PER_INCH, format="png", metadata={"Software": None})
    return content.getvalue()


def _plain_numbers(axis: Axis) -> None:
    """Numbers of a logarithmic axis as digits: matplotlib writes them as formulas, which are not read here."""
    from matplotlib.ticker import LogFormatter

    class Digits(LogFormatter):
        def __call__(self, x: float, pos: int | None = None) -> str:
            # The base class says which ticks have a number.
            return f"{x:,.10g}" if super().__call__(x, pos) else ""

    if isinstance(axis.get_major_formatter(), LogFormatter):
        axis.set_major_formatter(Digits())
        # Of few decades, more than the powers of ten.
        axis.set_minor_formatter(Digits(labelOnlyBase=False, minor_thresholds=(2, 0.5)))
