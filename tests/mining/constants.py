"""The constants that rows were weighed with, when nobody wrote them down."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lrat_hub.mining.weights import saturation


def recover_constants(
    lengths: Sequence[float], weights: Sequence[float], *, tolerance: float = 1e-9
) -> list[tuple[float, float, np.ndarray]]:
    """The (beta, mu_raw) that weights by Eq. 3 were made with, when nobody wrote them down.

    Rows of one group fix both: beta is a median of whole numbers, so a whole or a half, and only the right one gives
    rows of different lengths the same mu.

    Args:
        tolerance: How far a weight may be from Eq. 3.

    Returns:
        A triple for each group with rows of two different lengths or more, the largest first: beta, mu_raw, and the
        places of the group's rows, ascending. Rows that no group explains are in none.
    """
    tokens, given = np.asarray(lengths, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    left = np.flatnonzero((tokens > 0) & (given > 0))
    # Medians of groups that are not tiny are not among the extremes of all lengths.
    low, high = np.quantile(tokens[left], (0.05, 0.95)) if len(left) else (0, 0)
    betas = np.arange(2 * max(int(low), 1), 2 * int(high) + 3) / 2
    groups: list[tuple[float, float, np.ndarray]] = []
    while len(left):
        best: tuple[int, float, float] | None = None
        for beta in betas:
            means = saturation(tokens[left], beta) / given[left]
            order = np.argsort(means)
            edges = np.flatnonzero(np.diff(means[order]) > tolerance) + 1
            for members in np.split(order, edges):
                size = len(members)
                if (best is None or size > best[0]) and len(np.unique(tokens[left][members])) > 1:
                    best = (size, float(beta), float(np.median(means[members])))
        if best is None:
            break
        _, beta, mean_raw = best
        explained = np.abs(saturation(tokens[left], beta) / mean_raw - given[left]) <= tolerance
        groups.append((beta, mean_raw, left[explained]))
        left = left[~explained]
    return groups
