"""The weighted loss for late interaction with gradient caching (https://huggingface.co/papers/2101.06983)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.multi_vector_encoder.losses import CachedMultiVectorMultipleNegativesRankingLoss
from sentence_transformers.multi_vector_encoder.scoring import colbert_scores
from sentence_transformers.util import (
    all_gather_padded,
    cat_padded_token_embeddings,
    stack_padded_token_embeddings,
)
from torch import Tensor

from lrat_hub.losses import Reduction
from lrat_hub.losses.labels import BatchLabels, check_options, local_rows, split_labels
from lrat_hub.losses.multi_vector import column_major
from lrat_hub.losses.weighted import CITATION, divisor_of, sample_losses


class CachedMultiVectorWeightedMultipleNegativesRankingLoss(CachedMultiVectorMultipleNegativesRankingLoss):
    """`MultiVectorWeightedMultipleNegativesRankingLoss` for batches whose activations do not fit into memory.

    Every text is embedded twice: first without gradients, so that the loss of the whole batch and its gradient for
    each token vector can be computed, then mini-batch by mini-batch with gradients and the same dropout. Value and
    gradients are those of `MultiVectorWeightedMultipleNegativesRankingLoss` on the whole batch.

    Args:
        model, scale, reduction, similarity_fct, gather_across_devices: As for
            `MultiVectorWeightedMultipleNegativesRankingLoss`.
        mini_batch_size: Texts that are embedded at once.
        score_mini_batch_size: Queries that are compared at once with all documents of the batch; None for
            `mini_batch_size`.

    Requirements and Inputs:
        As for `MultiVectorWeightedMultipleNegativesRankingLoss`.

    Relations:
        - `CachedMultiVectorMultipleNegativesRankingLoss` is this loss with all weights 1.

    Example:
        ::

            loss = CachedMultiVectorWeightedMultipleNegativesRankingLoss(model, mini_batch_size=16)
            MultiVectorEncoderTrainer(model=model, train_dataset=triplets, loss=loss).train()
    """

    def __init__(
        self,
        model: MultiVectorEncoder,
        *,
        scale: float = 1.0,
        reduction: Reduction = "mean",
        similarity_fct: Callable[..., Tensor] = colbert_scores,
        mini_batch_size: int = 32,
        score_mini_batch_size: int | None = None,
        gather_across_devices: bool = False,
    ) -> None:
        check_options(reduction)
        super().__init__(
            model,
            scale=scale,
            similarity_fct=similarity_fct,
            mini_batch_size=mini_batch_size,
            score_mini_batch_size=score_mini_batch_size,
            gather_across_devices=gather_across_devices,
        )
        self.reduction: Reduction = reduction
        self._labels: BatchLabels | None = None

    def forward(self, sentence_features: Iterable[dict[str, Tensor]], labels: Tensor | None = None) -> Tensor:
        features, self._labels = split_labels(sentence_features, labels)
        try:
            return super().forward(features)
        finally:
            self._labels = None

    def calculate_loss(
        self, reps: list[list[Tensor]], masks_chunks: list[list[Tensor]], *, with_backward: bool = False
    ) -> Tensor:
        """The loss of token vectors that are given in mini-batches, column by column, with their masks.

        Args:
            reps: Of each column its mini-batches, each of shape (texts, tokens, dim).
            masks_chunks: Which of these tokens count, bool, each of shape (texts, tokens).
            with_backward: Propagate gradients back to `reps`.
        """
        assert self._labels is not None  # `forward` calls this
        own = self._labels
        columns = [cat_padded_token_embeddings(*column) for column in zip(reps, masks_chunks, strict=True)]
        (queries, query_mask), documents = columns[0], columns[1:]
        if self.gather_across_devices:
            documents = [all_gather_padded(*column, with_grad=True) for column in documents]
        stacked, stacked_mask = stack_padded_token_embeddings(*map(list, zip(*documents, strict=True)))
        gathered = own.gathered() if self.gather_across_devices else own
        rows = local_rows(len(queries), queries.device, gathered=self.gather_across_devices)
        divisor = divisor_of(own, gathered, self.reduction)
        terms = []
        for start in range(0, len(queries), self.score_mini_batch_size):
            part = slice(start, start + self.score_mini_batch_size)
            scores = self.similarity_fct(
                queries[part], stacked, queries_mask=query_mask[part], documents_mask=stacked_mask
            )
            losses = sample_losses(column_major(scores, len(documents)) * self.scale, gathered, rows[part])
            term = (own.weights[part].to(losses.dtype) * losses).sum() / divisor
            if with_backward:
                term.backward()
            terms.append(term.detach() if with_backward else term)
        return torch.stack(terms).sum()

    def get_config_dict(self) -> dict[str, Any]:
        return super().get_config_dict() | {"reduction": self.reduction}

    @property
    def citation(self) -> str:
        return CITATION + super().citation
