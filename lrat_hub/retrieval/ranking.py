"""Scores to ranked hits, ties included."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lrat_hub.retrieval import Hit


def ranked(docids: Sequence[str], scores: np.ndarray, k: int, *, above: float = -np.inf) -> list[Hit]:
    """The `k` best of `docids` by `scores`; equal scores in the order of `docids`.

    Args:
        scores: Shape (number of documents,), or empty for nothing found.
        above: Only documents that score more than this.
    """
    candidates = np.flatnonzero(scores > above)
    if len(candidates) > k:
        # Keep everything that ties with the k-th score, so that the stable sort below decides.
        threshold = np.partition(scores[candidates], -k)[-k]
        candidates = candidates[scores[candidates] >= threshold]
    best = candidates[np.argsort(-scores[candidates], kind="stable")][:k]
    return [Hit(docids[index], float(scores[index]), rank) for rank, index in enumerate(best, start=1)]
