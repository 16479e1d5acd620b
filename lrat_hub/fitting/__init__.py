"""Fitting a retriever to mined pairs with sentence-transformers' trainer (sections 5.2.2 and 6.1.4)."""

from lrat_hub.fitting.collation import PairCollator
from lrat_hub.fitting.curve import loss_curve
from lrat_hub.fitting.rows import TrainingRows, split_questions
from lrat_hub.fitting.summary import RunSummary, summarise
from lrat_hub.fitting.trainer import Fitted, fit_retriever

__all__ = [
    "Fitted",
    "PairCollator",
    "RunSummary",
    "TrainingRows",
    "fit_retriever",
    "loss_curve",
    "split_questions",
    "summarise",
]
