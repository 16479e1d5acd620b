"""The weighted loss for late interaction: models that keep a vector for every token."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.multi_vector_encoder.losses import MultiVectorMultipleNegativesRankingLoss
from sentence_transformers.multi_vector_encoder.scoring import colbert_scores
from sentence_transformers.util import similarity_fct_name
from torch import Tensor

from lrat_hub.losses import Reduction
from lrat_hub.losses.labels import check_options, local_rows, split_labels
from lrat_hub.losses.weighted import CITATION, divisor_of, sample_losses


class MultiVectorWeightedMultipleNegativesRankingLoss(MultiVectorMultipleNegativesRankingLoss):
    """`WeightedMultipleNegativesRankingLoss` with MaxSim, for `MultiVectorEncoder` models such as ColBERT.

    Weights, reductions, tiers, masks of copies and ragged negatives are the same. There is no anchor, as documents
    have no single vector to be held to.

    Args:
        model: MultiVectorEncoder model.
        scale: 1 / temperature. MaxSim is a sum over the query's tokens, so start with 1 rather than 50.
        reduction: As for `WeightedMultipleNegativesRankingLoss`.
        similarity_fct, mini_batch_size, score_mini_batch_size, gather_across_devices: As for
            `MultiVectorMultipleNegativesRankingLoss`.

    Requirements and Inputs:
        As for `WeightedMultipleNegativesRankingLoss`.

    Relations:
        - `MultiVectorMultipleNegativesRankingLoss` is this loss with all weights 1.
        - `CachedMultiVectorWeightedMultipleNegativesRankingLoss` is this loss with gradient caching.

    Example:
        ::

            model = MultiVectorEncoder("lightonai/GTE-ModernColBERT-v1")
            loss = MultiVectorWeightedMultipleNegativesRankingLoss(model)
            MultiVectorEncoderTrainer(model=model, train_dataset=triplets, loss=loss).train()
    """

    def __init__(
        self,
        model: MultiVectorEncoder,
        *,
        scale: float = 1.0,
        reduction: Reduction = "mean",
        similarity_fct: Callable[..., Tensor] = colbert_scores,
        mini_batch_size: int | None = None,
        score_mini_batch_size: int | None = None,
        gather_across_devices: bool = False,
    ) -> None:
        check_options(reduction)
        # sentence-transformers' loss reduces its scores itself; its similarity function is where they can be read.
        recorder = _ScoreRecorder(similarity_fct)
        super().__init__(
            model,
            scale=scale,
            similarity_fct=recorder,
            mini_batch_size=mini_batch_size,
            score_mini_batch_size=score_mini_batch_size,
            gather_across_devices=gather_across_devices,
        )
        self._recorder = recorder
        self.reduction: Reduction = reduction

    def forward(self, sentence_features: Iterable[dict[str, Tensor]], labels: Tensor | None = None) -> Tensor:
        features, own = split_labels(sentence_features, labels)
        self._recorder.scores.clear()
        super().forward(features)
        scores = torch.cat(self._recorder.scores)
        self._recorder.scores.clear()
        gathered = own.gathered() if self.gather_across_devices else own
        rows = local_rows(len(scores), scores.device, gathered=self.gather_across_devices)
        losses = sample_losses(column_major(scores, len(features) - 1) * self.scale, gathered, rows)
        return (own.weights.to(losses.dtype) * losses).sum() / divisor_of(own, gathered, self.reduction)

    def get_config_dict(self) -> dict[str, Any]:
        name = similarity_fct_name(self._recorder.function)
        return super().get_config_dict() | {"similarity_fct": name, "reduction": self.reduction}

    @property
    def citation(self) -> str:
        return CITATION


def column_major(scores: Tensor, columns: int) -> Tensor:
    """Scores of documents in sentence-transformers' order, query by query, in that of `BatchLabels`, in float32.

    Args:
        scores: Shape (queries, batch * columns).
        columns: Documents of each row of the batch.
    """
    return scores.float().unflatten(1, (-1, columns)).transpose(1, 2).flatten(1)


class _ScoreRecorder:
    """A similarity function that records the scores it returned."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        self.function = function
        self.scores: list[Tensor] = []

    def __call__(self, *args: Any, **options: Any) -> Tensor:
        self.scores.append(self.function(*args, **options))
        return self.scores[-1]
