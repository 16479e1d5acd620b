"""Which positions of a result list are opened: Figure 4 (c) of the paper, beside the clicks of people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lrat_hub.analysis.runs import Run
from lrat_hub.errors import LratError
from lrat_hub.significance.pooled import rate

POSITIONS = 20
"""Positions that are told apart; what was opened further down counts in the whole."""

MODELLED_POSITIONS = 1_000
"""As long as lists are taken to be, to tell what people and chance would open."""

SHUFFLED_SHARE = 0.5
"""From this share of lists on that are not in the order of their scores, lists were shuffled on purpose."""

AS_SHOWN, BY_SCORE = "as shown", "by the retriever's score"


def were_shuffled(runs: Sequence[Run]) -> bool | None:
    """Whether lists were shown in another order than the retriever's; None where no scores tell."""
    lists = sum(run.lists for run in runs)
    return sum(run.shuffled for run in runs) / lists > SHUFFLED_SHARE if lists else None


def position_rows(runs: Sequence[Run], human: Sequence[float]) -> list[dict[str, Any]]:
    """The share of browses at each position of the list they opened.

    Where lists were shuffled, positions by the retriever's score are the control: positions as shown are then free of
    how good the documents are, and show position bias alone.

    Args:
        human: Shares of people's clicks by position; see `human_curve`.

    Returns:
        Rows for positions from 1 to the longest list's length or 20. `uniform` is the share of browses there if all
        positions of a list were alike, and `human` if they were clicked as people do: both for lists as long as these.
    """
    browses = [
        (run.question, browse)
        for run in runs
        for browse in run.browses
        if browse.position is not None and not browse.is_repeat
    ]
    if not browses:
        return []
    lengths = [min(browse.length, MODELLED_POSITIONS) for _, browse in browses]
    longest = min(POSITIONS, max(lengths))
    uniform, people = expected_shares(lengths, np.ones(max(lengths))), expected_shares(lengths, human)
    orders = [AS_SHOWN, *([BY_SCORE] if were_shuffled(runs) else [])]
    rows = []
    for order in orders:
        places = [
            (question, (browse.position if order == AS_SHOWN else browse.position_by_score or browse.position))
            for question, browse in browses
        ]
        rows += [
            {
                "order": order,
                "position": position,
                **rate((question, place == position, 1) for question, place in places).to_dict(),
                "uniform": float(uniform[position - 1]),
                "human": float(people[position - 1]),
            }
            for position in range(1, longest + 1)
        ]
    return rows


def expected_shares(lengths: Sequence[int], weights: Sequence[float]) -> np.ndarray:
    """Share of opens at each position if every list were opened once, by the weights of its positions.

    Args:
        lengths: Of the lists.
        weights: By position; positions beyond them have none.
    """
    longest = max(lengths)
    padded = np.zeros(longest)
    padded[: len(weights)] = weights[:longest]
    shares = np.zeros(longest)
    for length, lists in Counter(lengths).items():
        shares[:length] += lists * padded[:length] / padded[:length].sum()
    return shares / len(lengths)


def distance_to(rows: Sequence[dict[str, Any]], reference: str) -> float:
    """Total variation distance of shares to those of a reference ("human", "uniform"): 0 for alike, 1 for disjoint.

    Args:
        rows: Of `position_rows`, of one order.
    """
    return 0.5 * sum(abs(row["value"] - row[reference]) for row in rows)


def human_curve(exponent: float = 1.0, clicks: Path | None = None) -> list[float]:
    """Shares of people's clicks by position, the first is the top one.

    Without measured clicks it is the usual model of position bias, (1 / position) ** exponent: people look at a
    position with this chance and click what they look at with the same one everywhere. The paper compares with
    Craswell et al. (2008) and does not give that curve in numbers.

    Args:
        clicks: A file with a line a position: its number of clicks, or its share.

    Raises:
        LratError: The file can't be read, or is not such a file; or the exponent is negative.
    """
    if exponent < 0:
        raise LratError(f"Human clicks: expected an exponent of 0 or more, found {exponent:g}.")
    if clicks is None:
        return [position**-exponent for position in range(1, MODELLED_POSITIONS + 1)]
    try:
        shares = [float(line) for line in clicks.read_text(encoding="utf-8").split()]
    except (OSError, ValueError) as error:
        raise LratError(f"Human clicks: expected a file with a number a line; {error}.") from error
    if not shares or not np.isfinite(shares).all() or min(shares) < 0 or shares[0] == 0:
        raise LratError(
            f"{clicks}: expected numbers of clicks from the top position on, none negative, the first above 0."
        )
    return shares
