"""Figures about trajectories: section 4 and Figure 6 of https://huggingface.co/papers/2604.04949, and more.

`measure_runs` turns trajectories into a few numbers per step; `analyze_runs` turns these into tables, each figure with
its interval and n; `lrat_hub.analysis.report.write_report` draws and describes them.
"""

from lrat_hub.analysis.browses import human_curve, were_shuffled
from lrat_hub.analysis.runs import Run, measure_runs, system_labels
from lrat_hub.analysis.tables import TABLES, account_of, analyze_runs, dataset_of

__all__ = [
    "TABLES", "Run", "account_of", "analyze_runs", "dataset_of", "human_curve", "measure_runs", "system_labels",
    "were_shuffled",
]  # fmt: skip
