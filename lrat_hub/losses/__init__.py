"""Losses for pairs that have a weight (section 5.2.2 of https://huggingface.co/papers/2604.04949)."""

from lrat_hub.losses.cached import CachedWeightedMultipleNegativesRankingLoss
from lrat_hub.losses.multi_vector import MultiVectorWeightedMultipleNegativesRankingLoss
from lrat_hub.losses.targets import BASE_EMBEDDINGS, DOCUMENT_IDS, NEGATIVE_WEIGHTS, Targets
from lrat_hub.losses.weighted import WeightedMultipleNegativesRankingLoss

__all__ = [
    "BASE_EMBEDDINGS",
    "DOCUMENT_IDS",
    "NEGATIVE_WEIGHTS",
    "CachedWeightedMultipleNegativesRankingLoss",
    "MultiVectorWeightedMultipleNegativesRankingLoss",
    "Targets",
    "WeightedMultipleNegativesRankingLoss",
]
