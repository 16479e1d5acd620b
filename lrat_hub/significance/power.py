"""What a comparison could have shown: detectable differences, power, and how many questions it would take."""

from __future__ import annotations

import math

ALPHA = 0.05
POWER = 0.8


def detectable_difference(standard_error: float, *, alpha: float = ALPHA, power: float = POWER) -> float:
    """The smallest true difference that a two-sided test finds with the given power: (z_alpha/2 + z_power) x error.

    By the normal approximation, which is good from some 30 questions on.

    Args:
        standard_error: Of the mean difference.
    """
    from scipy.stats import norm

    return float((norm.isf(alpha / 2) + norm.isf(1 - power)) * standard_error)


def power_of(difference: float, standard_error: float, *, alpha: float = ALPHA) -> float:
    """The chance that a two-sided test finds a true difference, by the same approximation."""
    from scipy.stats import norm

    shift, bound = abs(difference) / standard_error, norm.isf(alpha / 2)
    return float(norm.sf(bound - shift) + norm.cdf(-bound - shift))


def questions_needed(difference: float, deviation: float, *, alpha: float = ALPHA, power: float = POWER) -> int:
    """Independent questions for a true difference to be found with the given power.

    Args:
        deviation: Standard deviation of the difference per question. For successes it is at most the root of the share
            of questions that only one of the systems answers.
    """
    return math.ceil((detectable_difference(deviation, alpha=alpha, power=power) / difference) ** 2)
