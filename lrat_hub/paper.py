"""The numbers of the paper (https://huggingface.co/papers/2604.04949), to be set beside what is measured here.

`paper.csv` has what its tables and figures print, and what their drawings in the published PDF show to a tenth. These
are results of its authors and not of this library: figures show them as marks of their own.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

Read = Literal["printed", "read from the figure"]

PERCENT = frozenset({"success", "evidence", "share"})
"""Metrics whose numbers are in percent."""

INK = "#24292f"
MARK = {"marker": "D", "markerfacecolor": "none", "markeredgecolor": INK, "markersize": 6, "linestyle": "none"}
"""How a number of the paper is drawn, wherever it stands: matplotlib's options of a line."""


@dataclass(frozen=True)
class PaperValue:
    """One number of the paper.

    Args:
        source: The table or figure, as "Table 2" or "Figure 8 (a)".
        benchmark: What it was measured on; InfoSeekQA are the questions that trajectories were collected for.
        row: The agent; the retriever in Table 1; the runs or documents in Figures 4 and 6.
        column: What rows are compared by there: a retriever, an amount of data, an outcome, a bin.
        k: Results of a search.
        metric: What it is; those of `PERCENT` are in percent.
        low, high: The ends of its interval, where the paper draws one.
        read: Whether the paper prints the number, or its drawing shows it.
    """

    source: str
    benchmark: str
    row: str
    column: str
    k: int
    metric: str
    value: float
    low: float | None
    high: float | None
    read: Read

    @property
    def scale(self) -> float:
        """What its numbers are divided by to be in the units of this library, where rates are shares."""
        return 100 if self.metric in PERCENT else 1

    @classmethod
    def of(cls, row: dict[str, str]) -> PaperValue:
        numbers = {name: float(row[name]) if row[name] else None for name in ("low", "high")}
        return cls(**{**row, **numbers, "k": int(row["k"]), "value": float(row["value"])})  # pyright: ignore[reportArgumentType]


@cache
def paper_values(source: str | None = None) -> tuple[PaperValue, ...]:
    """The numbers of a table or figure in their order; all of them without a name."""
    lines = (files("lrat_hub") / "paper.csv").read_text(encoding="utf-8").splitlines()
    values = tuple(map(PaperValue.of, csv.DictReader(lines)))
    return tuple(value for value in values if source in (None, value.source))
