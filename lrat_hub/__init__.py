"""LRAT-Hub: the logs of search agents into better retrievers, natively on the Hugging Face Hub.

The names below are the library's public ones. They are imported on first use: `import lrat_hub` alone loads
neither torch nor faiss.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "BM25Retriever": "lrat_hub.retrieval.bm25",
    "CachedWeightedMultipleNegativesRankingLoss": "lrat_hub.losses",
    "DenseRetriever": "lrat_hub.retrieval.dense",
    "DocumentJudge": "lrat_hub.judges.documents",
    "FusionRetriever": "lrat_hub.retrieval.fusion",
    "FitSettings": "lrat_hub.settings",
    "HubRef": "lrat_hub.hub.refs",
    "LocalHub": "lrat_hub.hub.server",
    "MultiVectorWeightedMultipleNegativesRankingLoss": "lrat_hub.losses",
    "RemoteRetriever": "lrat_hub.retrieval.remote",
    "RuleJudge": "lrat_hub.judges",
    "Weighting": "lrat_hub.weights",
    "Pair": "lrat_hub.schema",
    "Step": "lrat_hub.schema",
    "TrainingRows": "lrat_hub.fitting",
    "Trajectory": "lrat_hub.schema",
    "WeightedMultipleNegativesRankingLoss": "lrat_hub.losses",
    "evaluate_agents": "lrat_hub.agent_evaluation",
    "evaluate_retrieval": "lrat_hub.evaluation.metrics",
    "fit_retriever": "lrat_hub.fitting",
    "intensity_weights": "lrat_hub.weights",
    "load_index": "lrat_hub.retrieval.indexes",
    "load_trajectories": "lrat_hub.importers",
    "mine_pairs": "lrat_hub.mining",
    "QueryState": "lrat_hub.queries",
    "render_query": "lrat_hub.queries",
}

__all__ = sorted(_HOMES)

if TYPE_CHECKING:
    from lrat_hub.agent_evaluation import evaluate_agents as evaluate_agents
    from lrat_hub.evaluation.metrics import evaluate_retrieval as evaluate_retrieval
    from lrat_hub.fitting import TrainingRows as TrainingRows
    from lrat_hub.fitting import fit_retriever as fit_retriever
    from lrat_hub.hub.refs import HubRef as HubRef
    from lrat_hub.hub.server import LocalHub as LocalHub
    from lrat_hub.importers import load_trajectories as load_trajectories
    from lrat_hub.judges import RuleJudge as RuleJudge
    from lrat_hub.judges.documents import DocumentJudge as DocumentJudge
    from lrat_hub.losses import (
        CachedWeightedMultipleNegativesRankingLoss as CachedWeightedMultipleNegativesRankingLoss,
    )
    from lrat_hub.losses import (
        MultiVectorWeightedMultipleNegativesRankingLoss as MultiVectorWeightedMultipleNegativesRankingLoss,
    )
    from lrat_hub.losses import WeightedMultipleNegativesRankingLoss as WeightedMultipleNegativesRankingLoss
    from lrat_hub.mining import mine_pairs as mine_pairs
    from lrat_hub.queries import QueryState as QueryState
    from lrat_hub.queries import render_query as render_query
    from lrat_hub.retrieval.bm25 import BM25Retriever as BM25Retriever
    from lrat_hub.retrieval.dense import DenseRetriever as DenseRetriever
    from lrat_hub.retrieval.fusion import FusionRetriever as FusionRetriever
    from lrat_hub.retrieval.indexes import load_index as load_index
    from lrat_hub.retrieval.remote import RemoteRetriever as RemoteRetriever
    from lrat_hub.schema import Pair as Pair
    from lrat_hub.schema import Step as Step
    from lrat_hub.schema import Trajectory as Trajectory
    from lrat_hub.settings import FitSettings as FitSettings
    from lrat_hub.weights import Weighting as Weighting
    from lrat_hub.weights import intensity_weights as intensity_weights


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
