"""Figures about trajectories: section 4 and Figure 6 of https://huggingface.co/papers/2604.04949, and what it lacks.

`measure_runs` turns trajectories into a few numbers a step; `analyze_runs` turns these into tables, each figure with
its interval and the n behind it; `write_report` draws and describes them.
"""

from lrat_hub.analysis.outcomes import outcome_table
from lrat_hub.analysis.positions import human_curve, were_shuffled
from lrat_hub.analysis.runs import Run, measure_runs, system_labels
from lrat_hub.analysis.tables import account_of, analyze_runs, dataset_of

__all__ = [
    "Run", "account_of", "analyze_runs", "dataset_of", "human_curve", "measure_runs", "outcome_table", "system_labels",
    "were_shuffled",
]  # fmt: skip
