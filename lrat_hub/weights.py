"""Intensity weights from reasoning lengths (Eq. 3 of https://huggingface.co/papers/2604.04949)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lrat_hub.errors import LratError


@dataclass(frozen=True)
class WeightFit:
    """Weights of a set of pairs and the two constants that make them.

    Args:
        weights: Shape (pairs,), float64, with mean 1.
        half_life: beta, in tokens: the length at which half of the greatest utility is reached.
        mean_raw: mu_raw, the mean of the scores before they are normalised, in [0, 1].
    """

    weights: np.ndarray
    half_life: float
    mean_raw: float

    def weigh(self, lengths: Sequence[float] | np.ndarray) -> np.ndarray:
        """Weights of other lengths (tokens) by the same constants. Shape and order of `lengths`, float64."""
        return saturation(lengths, self.half_life) / self.mean_raw


def saturation(lengths: Sequence[float] | np.ndarray, half_life: float) -> np.ndarray:
    """Utility of a reasoning of so many tokens before normalisation: 1 - exp(-ln 2 * l / beta), in [0, 1).

    The factor beta / ln 2 of Eq. 2 is left out, as in Eq. 3: the normalisation cancels it.
    """
    # expm1 keeps the digits that 1 - exp(x) loses for lengths that are small beside the half-life.
    return -np.expm1(-np.log(2.0) * np.asarray(lengths, dtype=np.float64) / half_life)


def intensity_weights(lengths: Sequence[float] | np.ndarray, *, half_life: float | None = None) -> WeightFit:
    """Weighs pairs by the length of the reasoning right after their browse (Eq. 3).

    w = (1 - exp(-ln 2 * l / beta)) / mu_raw, with mu_raw the mean of the numerator over all `lengths`, so that the
    weights have mean 1. A length of 0 weighs 0.

    Args:
        lengths: Tokens of each pair's reasoning, shape (pairs,). Only pairs that are trained on belong here.
        half_life: beta in tokens; the median of `lengths` when None, as in the paper.

    Raises:
        LratError: There are no lengths, one is negative or not finite, or the half-life is not above 0.
    """
    values = np.asarray(lengths, dtype=np.float64)
    if values.size == 0:
        raise LratError("Weights: expected the lengths of at least one pair, found none. Nothing is left to weigh.")
    if not np.isfinite(values).all() or (values < 0).any():
        raise LratError("Weights: expected lengths of 0 tokens or more, found negative or non-finite ones.")
    beta = float(np.median(values)) if half_life is None else float(half_life)
    if not (np.isfinite(beta) and beta > 0):
        raise LratError(
            f"Weights: expected a half-life above 0 tokens, found {beta:g}. "
            "Half or more of the reasonings are empty, or a wrong value was given; pass half_life."
        )
    raw = saturation(values, beta)
    mean_raw = float(raw.mean())
    if mean_raw == 0.0:
        raise LratError("Weights: all reasonings are empty, so every weight would be 0 / 0. Train unweighted instead.")
    return WeightFit(weights=raw / mean_raw, half_life=beta, mean_raw=mean_raw)
