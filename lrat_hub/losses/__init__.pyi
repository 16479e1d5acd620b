import typing

from .cached import CachedWeightedMultipleNegativesRankingLoss as CachedWeightedMultipleNegativesRankingLoss
from .multi_vector import (
    MultiVectorWeightedMultipleNegativesRankingLoss as MultiVectorWeightedMultipleNegativesRankingLoss,
)
from .targets import BASE_EMBEDDINGS as BASE_EMBEDDINGS
from .targets import DOCUMENT_IDS as DOCUMENT_IDS
from .targets import NEGATIVE_WEIGHTS as NEGATIVE_WEIGHTS
from .targets import Targets as Targets
from .weighted import WeightedMultipleNegativesRankingLoss as WeightedMultipleNegativesRankingLoss

Reduction = typing.Literal["mean", "weighted_mean"]
