"""What figures may claim: intervals, comparisons of systems with corrected tests, and what n could have shown.

Statistics over systems and items in clusters; nothing here knows of records, retrievers or agents.
"""

from __future__ import annotations

from lrat_hub.significance.comparison import (
    Comparison,
    Difference,
    McNemar,
    Scores,
    clear_winner,
    clear_winners,
    compare,
    compare_with_baseline,
    detectable_difference,
    holm,
    mcnemar,
    paired_difference,
    power_of,
    questions_needed,
    randomisation_test,
)
from lrat_hub.significance.intervals import (
    Interval,
    clusters_of,
    ends,
    mean_interval,
    paired_bounds,
    wilson_interval,
)

__all__ = [
    "Comparison",
    "Difference",
    "Interval",
    "McNemar",
    "Scores",
    "clear_winner",
    "clear_winners",
    "clusters_of",
    "compare",
    "compare_with_baseline",
    "detectable_difference",
    "ends",
    "holm",
    "mcnemar",
    "mean_interval",
    "paired_bounds",
    "paired_difference",
    "power_of",
    "questions_needed",
    "randomisation_test",
    "wilson_interval",
]
