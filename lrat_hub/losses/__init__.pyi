import typing

from .cached import CachedWeightedMultipleNegativesRankingLoss as CachedWeightedMultipleNegativesRankingLoss
from .distillation import WeightedDistillKLDivLoss as WeightedDistillKLDivLoss
from .distillation import WeightedMarginMSELoss as WeightedMarginMSELoss
from .labels import BASE_EMBEDDINGS as BASE_EMBEDDINGS
from .labels import DOCUMENT_IDS as DOCUMENT_IDS
from .labels import NEGATIVE_WEIGHTS as NEGATIVE_WEIGHTS
from .labels import TEACHER_SCORES as TEACHER_SCORES
from .labels import BatchLabels as BatchLabels
from .multi_vector import (
    MultiVectorWeightedMultipleNegativesRankingLoss as MultiVectorWeightedMultipleNegativesRankingLoss,
)
from .multi_vector_cached import (
    CachedMultiVectorWeightedMultipleNegativesRankingLoss as CachedMultiVectorWeightedMultipleNegativesRankingLoss,
)
from .reranking import WeightedBinaryCrossEntropyLoss as WeightedBinaryCrossEntropyLoss
from .reranking import WeightedListNetLoss as WeightedListNetLoss
from .weighted import WeightedMultipleNegativesRankingLoss as WeightedMultipleNegativesRankingLoss

Reduction = typing.Literal["mean", "weighted_mean"]
