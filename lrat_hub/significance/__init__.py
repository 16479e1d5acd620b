"""What figures may claim: intervals, paired tests, corrections for many of them, and what n could have shown."""

from __future__ import annotations

from lrat_hub.significance.intervals import Interval, clusters_of, mean_interval, wilson_interval
from lrat_hub.significance.paired import (
    Difference,
    McNemar,
    clear_winner,
    holm,
    mcnemar,
    paired_difference,
    randomisation_test,
)
from lrat_hub.significance.power import detectable_difference, power_of, questions_needed

__all__ = [
    "Difference",
    "Interval",
    "McNemar",
    "clear_winner",
    "clusters_of",
    "detectable_difference",
    "holm",
    "mcnemar",
    "mean_interval",
    "paired_difference",
    "power_of",
    "questions_needed",
    "randomisation_test",
    "wilson_interval",
]
