import typing

from .cached import CachedWeightedMultipleNegativesRankingLoss as CachedWeightedMultipleNegativesRankingLoss
from .labels import BASE_EMBEDDINGS as BASE_EMBEDDINGS
from .labels import DOCUMENT_IDS as DOCUMENT_IDS
from .labels import NEGATIVE_WEIGHTS as NEGATIVE_WEIGHTS
from .labels import BatchLabels as BatchLabels
from .multi_vector import (
    MultiVectorWeightedMultipleNegativesRankingLoss as MultiVectorWeightedMultipleNegativesRankingLoss,
)
from .weighted import WeightedMultipleNegativesRankingLoss as WeightedMultipleNegativesRankingLoss

Reduction = typing.Literal["mean", "weighted_mean"]
