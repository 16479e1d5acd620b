"""InfoNCE with a weight for every sample (section 5.2.2 of https://huggingface.co/papers/2604.04949)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.losses.merged_forward import embed_columns
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from sentence_transformers.util import cos_sim
from torch import Tensor

from lrat_hub.settings import Reduction

DOCUMENT_IDS = "document_ids"
"""Key under which `lrat_hub.fitting.PairCollator` adds the hashed document ids to a column's features."""


def duplicate_mask(document_ids: Tensor) -> Tensor:
    """Which documents of a batch must not count as negatives of which query.

    Every distinct document counts once for a query: copies of its positive, which would be false negatives, are
    masked, and so is every copy of another document after the first.

    Args:
        document_ids: Shape (1 + negatives, batch): ids of the positives, then of each column of negatives.

    Returns:
        Bool, shape (batch, (1 + negatives) * batch), True where the logit must be masked. A query's own positive
        (column i of row i) is never masked.
    """
    ids = document_ids.flatten()
    batch_size = document_ids.shape[1]
    is_repeat = (ids[:, None] == ids[None, :]).tril(diagonal=-1).any(dim=1)
    mask = (ids[:batch_size, None] == ids[None, :]) | is_repeat[None, :]
    rows = torch.arange(batch_size, device=ids.device)
    mask[rows, rows] = False
    return mask


class WeightedMultipleNegativesRankingLoss(MultipleNegativesRankingLoss):
    """`MultipleNegativesRankingLoss` in which every sample has a weight, taken from the `label` column.

    For a batch of N queries q_i with positives d_i, mined negatives and weights w_i, with similarities s and
    temperature tau = 1 / scale::

        L = -1/N * sum_i w_i * log( exp(s(q_i, d_i) / tau) / sum_d exp(s(q_i, d) / tau) )

    where d runs over the query's own positive, and the positives and negatives of all queries in the batch. With all
    weights 1 it is `MultipleNegativesRankingLoss` in its default form. With intensity weights (Eq. 3) it is the
    objective of LRAT, section 5.2.2.

    Args:
        model: SentenceTransformer model.
        scale: 1 / temperature. 50 is the paper's temperature of 0.02 (section 6.1.4).
        reduction: What the weighted sum is divided by. "mean" divides by the batch size N, as the paper writes it.
            "weighted_mean" divides by the sum of the weights, as the authors' released code does: a batch of small
            weights then moves the model as far as any other.
        similarity_fct: Similarity of two batches of embeddings, shapes (a, dim) and (b, dim) to (a, b).

    Requirements:
        1. (anchor, positive, negative_1, ..., negative_n) columns, n may be 0.
        2. A `label` column with the weights: finite, 0 or more. Give them mean 1 to keep the learning rate's meaning.

    Inputs:
        +-------------------------------------------------+--------+
        | Texts                                           | Labels |
        +=================================================+========+
        | (anchor, positive, negative_1, ..., negative_n) | weight |
        +-------------------------------------------------+--------+

    Recommendations:
        - Use `lrat_hub.fitting.PairCollator` with the documents' ids: it lets the loss mask in-batch documents that
          are the positive itself, and count every document once. Without ids nothing is masked.
        - Otherwise use `BatchSamplers.NO_DUPLICATES`, which keeps duplicate texts out of a batch.

    Relations:
        - `MultipleNegativesRankingLoss` is this loss with all weights 1 and `scale=20`.

    Example:
        ::

            from datasets import load_dataset
            from lrat_hub import WeightedMultipleNegativesRankingLoss
            from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer

            model = SentenceTransformer("sentence-transformers/all-MiniLM-L6-v2")
            triplets = load_dataset("ns/pairs", "triplets", split="train", revision="<sha>")
            loss = WeightedMultipleNegativesRankingLoss(model)
            SentenceTransformerTrainer(model=model, train_dataset=triplets, loss=loss).train()
    """

    def __init__(
        self,
        model: SentenceTransformer,
        scale: float = 50.0,
        reduction: Reduction = "mean",
        similarity_fct: Callable[[Tensor, Tensor], Tensor] = cos_sim,
    ) -> None:
        super().__init__(model, scale=scale, similarity_fct=similarity_fct)
        if reduction not in ("mean", "weighted_mean"):
            raise ValueError(f"reduction: expected 'mean' or 'weighted_mean', found {reduction!r}.")
        self.reduction = reduction

    def forward(self, sentence_features: Iterable[dict[str, Tensor]], labels: Tensor | None) -> Tensor:
        features = [dict(column) for column in sentence_features]
        column_ids = [column.pop(DOCUMENT_IDS, None) for column in features]
        embeddings = embed_columns(self.model, features)
        # The first column is the queries, which have no document id.
        known = [ids for ids in column_ids[1:] if ids is not None]
        document_ids = torch.stack(known) if len(known) == len(embeddings) - 1 else None
        return self.compute_loss_from_embeddings(embeddings, labels, document_ids)

    def compute_loss_from_embeddings(
        self, embeddings: list[Tensor], labels: Tensor | None, document_ids: Tensor | None = None
    ) -> Tensor:
        """The loss of embeddings that are already computed.

        Args:
            embeddings: Queries, positives and each column of negatives, each of shape (batch, dim).
            labels: Weights, shape (batch,).
            document_ids: Integer ids of the documents, shape (1 + negatives, batch), for `duplicate_mask`.

        Raises:
            ValueError: Fewer than two columns, or labels that are missing or not of shape (batch,).
        """
        if len(embeddings) < 2:
            raise ValueError(f"Expected embeddings of queries and documents, found {len(embeddings)} column(s).")
        queries, documents = embeddings[0], torch.cat(embeddings[1:])
        if labels is None or labels.shape != queries.shape[:1]:
            found = "none" if labels is None else f"shape {tuple(labels.shape)}"
            raise ValueError(
                f"Weights: expected labels of shape ({len(queries)},), found {found}. "
                "Give the dataset a `label` column with one weight a row."
            )
        logits = self.similarity_fct(queries, documents) * self.scale
        if document_ids is not None:
            logits = logits.masked_fill(duplicate_mask(document_ids), -torch.inf)
        rows = torch.arange(len(queries), device=logits.device)
        losses = torch.logsumexp(logits, dim=1) - logits[rows, rows]
        weights = labels.to(losses.dtype)
        total = (weights * losses).sum()
        if self.reduction == "mean":
            return total / len(losses)
        # Empty reasonings weigh 0, and a whole batch of them has no gradient: not 0 / 0.
        return total / weights.sum().clamp_min(torch.finfo(weights.dtype).tiny)

    def get_config_dict(self) -> dict[str, Any]:
        shared = super().get_config_dict()
        return {name: shared[name] for name in ("scale", "similarity_fct")} | {"reduction": self.reduction}

    @property
    def citation(self) -> str:
        return """
@inproceedings{zhou2026lrat,
    title={Learning to Retrieve from Agent Trajectories},
    author={Yuqi Zhou and Sunhao Dai and Changle Qu and Liang Pang and Jun Xu and Ji-Rong Wen},
    booktitle={SIGIR},
    year={2026},
    url={https://huggingface.co/papers/2604.04949},
}
"""
