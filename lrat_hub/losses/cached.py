"""The weighted loss with gradient caching (https://huggingface.co/papers/2101.06983)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import CachedMultipleNegativesRankingLoss
from torch import Tensor

from lrat_hub.losses import Reduction
from lrat_hub.losses.labels import BatchLabels, split_labels
from lrat_hub.losses.weighted import WeightedMultipleNegativesRankingLoss


class CachedWeightedMultipleNegativesRankingLoss(CachedMultipleNegativesRankingLoss):
    """`WeightedMultipleNegativesRankingLoss` for batches whose activations do not fit into memory.

    Every text is embedded twice: first without gradients, so that the loss of the whole batch and its gradient for
    each embedding can be computed, then mini-batch by mini-batch with gradients and the same dropout. Value and
    gradients are those of `WeightedMultipleNegativesRankingLoss` on the whole batch.

    Args:
        model, scale, reduction, similarity_fct, gather_across_devices, document_anchor: As for
            `WeightedMultipleNegativesRankingLoss`.
        mini_batch_size: Texts that are embedded at once, and queries that are compared at once: it bounds the memory.
        mini_batch_num_tokens: Pack texts by their number of tokens instead, when they are embedded.
        show_progress_bar: Show bars for the mini-batches of every step.

    Requirements:
        1. As for `WeightedMultipleNegativesRankingLoss`, with the same features from the collator.
        2. A model whose inputs can be cut into mini-batches: not a StaticEmbedding, which needs no caching either.

    Inputs:
        +-------------------------------------------------+--------+
        | Texts                                           | Labels |
        +=================================================+========+
        | (anchor, positive, negative_1, ..., negative_n) | weight |
        +-------------------------------------------------+--------+

    Recommendations:
        - Choose the batch size for its negatives, and the mini-batch size as large as the memory allows.

    Relations:
        - `CachedMultipleNegativesRankingLoss` is this loss with all weights 1 and `scale=20`.

    Example:
        ::

            loss = CachedWeightedMultipleNegativesRankingLoss(model, mini_batch_size=64)
            SentenceTransformerTrainer(model=model, train_dataset=triplets, loss=loss).train()
    """

    def __init__(
        self,
        model: SentenceTransformer,
        scale: float = 50.0,
        reduction: Reduction = "mean",
        similarity_fct: Callable[[Tensor, Tensor], Tensor] | None = None,
        mini_batch_size: int = 32,
        mini_batch_num_tokens: int | None = None,
        gather_across_devices: bool = False,
        document_anchor: float = 0.0,
        show_progress_bar: bool = False,
    ) -> None:
        super().__init__(
            model,
            mini_batch_size=mini_batch_size,
            mini_batch_num_tokens=mini_batch_num_tokens,
            show_progress_bar=show_progress_bar,
        )
        # The loss that the caching is wrapped around owns and checks its settings.
        self.loss = WeightedMultipleNegativesRankingLoss(
            model,
            scale=scale,
            reduction=reduction,
            similarity_fct=similarity_fct,
            gather_across_devices=gather_across_devices,
            document_anchor=document_anchor,
        )

    def forward(self, sentence_features: Iterable[dict[str, Tensor]], labels: Tensor | None) -> Tensor:
        features, own = split_labels(sentence_features, labels)
        # The caching hands on to `calculate_loss` whatever it gets in the place of the labels.
        return super().forward(features, own)  # type: ignore[arg-type]

    def calculate_loss(
        self, reps: list[list[Tensor]], labels: Tensor | BatchLabels | None = None, *, with_backward: bool = False
    ) -> Tensor:
        """The loss of embeddings that are given in mini-batches; see `CachedLossMixin.calculate_loss`."""
        terms = []
        for term in self.loss.terms([torch.cat(column) for column in reps], labels, self.mini_batch_size):
            if with_backward:
                term.backward()
            terms.append(term.detach() if with_backward else term)
        return torch.stack(terms).sum()

    def get_config_dict(self) -> dict[str, Any]:
        return self.loss.get_config_dict() | {
            "mini_batch_size": self.mini_batch_size,
            "mini_batch_num_tokens": self.mini_batch_num_tokens,
        }

    @property
    def citation(self) -> str:
        return self.loss.citation + super().citation
