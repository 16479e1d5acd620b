"""Weighted losses that teach a bi-encoder the scores of a teacher, such as a reranker (soft targets)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.losses.merged_forward import embed_columns
from torch import Tensor, nn

from lrat_hub.encoders import similarity_function
from lrat_hub.losses import Reduction
from lrat_hub.losses.labels import BatchLabels, as_labels, check_options, split_labels
from lrat_hub.losses.reranking import over_processes
from lrat_hub.losses.weighted import CITATION, drift


class _WeightedDistillationLoss(nn.Module, ABC):
    def __init__(
        self,
        model: SentenceTransformer,
        scale: float = 20.0,
        reduction: Reduction = "mean",
        similarity_fct: Callable[[Tensor, Tensor], Tensor] | None = None,
        document_anchor: float = 0.0,
    ) -> None:
        super().__init__()
        check_options(reduction, document_anchor)
        self.model, self.scale, self.document_anchor = model, scale, document_anchor
        self.reduction: Reduction = reduction
        self.similarity_fct = similarity_fct or similarity_function(model)
        self.truncate_dim = model.truncate_dim

    def forward(self, sentence_features: Iterable[dict[str, Tensor]], labels: Tensor | None) -> Tensor:
        features, own = split_labels(sentence_features, labels)
        return self.compute_loss_from_embeddings(embed_columns(self.model, features), own)

    def compute_loss_from_embeddings(self, embeddings: list[Tensor], labels: Tensor | BatchLabels | None) -> Tensor:
        """The loss of embeddings that are already computed.

        Args:
            embeddings: Queries, positives and each column of negatives, each of shape (batch, dim).
            labels: All that is known of the batch, a teacher's scores among it.

        Raises:
            ValueError: Fewer than three columns, or weights or a teacher's scores that are missing or misshapen.
        """
        name, own = type(self).__name__, as_labels(labels)
        if len(embeddings) < 3:
            raise ValueError(f"{name}: expected queries, positives and negatives, found {len(embeddings)} columns.")
        queries, *columns = (column[:, : self.truncate_dim] for column in embeddings)
        expected = (len(columns), len(queries))
        if len(own.weights) != len(queries):
            raise ValueError(f"Weights: expected {len(queries)}, one per query, found {len(own.weights)}.")
        if own.teacher_scores is None or own.teacher_scores.shape != expected:
            found = "none" if own.teacher_scores is None else f"shape {tuple(own.teacher_scores.shape)}"
            raise ValueError(f"teacher_scores: expected shape {expected}, documents by queries, found {found}.")
        # Half precision has no more than three digits: differences of scores would be lost.
        precise = torch.promote_types(queries.dtype, torch.float32)
        documents = torch.stack(columns, dim=1).to(precise)
        with torch.autocast(queries.device.type, enabled=False):
            rows = [
                self.similarity_fct(query[None], own_documents)[0]
                for query, own_documents in zip(queries.to(precise), documents, strict=True)
            ]
            scores = torch.stack(rows) * self.scale
        present = torch.ones_like(scores, dtype=torch.bool) if own.present is None else own.present.T
        loss = self.compute_loss_from_scores(scores, own.teacher_scores.T.to(scores), present, own.weights.to(scores))
        if self.document_anchor:
            loss = loss + self.document_anchor * drift(columns, own, own)
        return loss

    @abstractmethod
    def compute_loss_from_scores(self, scores: Tensor, teacher: Tensor, present: Tensor, weights: Tensor) -> Tensor:
        """The loss of scores that are already computed.

        Args:
            scores, teacher: Of each query's own documents, the positive first, shape (batch, 1 + negatives).
            present: Which documents there are, bool, of the same shape.
            weights: One weight for every query, shape (batch,).
        """

    def get_config_dict(self) -> dict[str, Any]:
        names = ("scale", "reduction", "document_anchor")
        return {name: getattr(self, name) for name in names} | {
            "similarity_fct": getattr(self.similarity_fct, "__name__", str(self.similarity_fct))
        }

    @property
    def citation(self) -> str:
        return CITATION


class WeightedDistillKLDivLoss(_WeightedDistillationLoss):
    """`DistillKLDivLoss` in which every query has a weight, taken from the `label` column.

    For a batch of N queries q_i with weights w_i, each with its own positive and negatives d, a teacher's scores t,
    similarities s and temperature tau = 1 / scale::

        L = 1/N * sum_i w_i * sum_d p_i(d) * log( p_i(d) / r_i(d) )
        p_i = softmax_d t(q_i, d)        r_i = softmax_d ( s(q_i, d) / tau )

    The bi-encoder learns how the teacher spreads its belief over the agent's real candidates, where the hard label
    says that the positive is everything (https://huggingface.co/papers/2010.11386).

    Args:
        model: SentenceTransformer model.
        scale: 1 / temperature of the similarities. The teacher's scores are taken as they are: logits.
        reduction: What the weighted sum is divided by: "mean" by the batch size N, "weighted_mean" by the sum of the
            weights. Under several processes it is the mean of what they have, so that the mean over processes of the
            loss is the loss of one process with all rows.
        similarity_fct: Similarity of two batches of embeddings, shapes (a, dim) and (b, dim) to (a, b). By default the
            model's own, by which it is searched later.
        document_anchor: As in `WeightedMultipleNegativesRankingLoss`.

    Requirements:
        1. (anchor, positive, negative_1, ..., negative_n) columns, n of 1 or more. A query without negatives that are
           there has the loss 0.
        2. A `label` column with the weights: finite, 0 or more.
        3. A feature `teacher_scores` of each column of documents, shape (batch,): `lrat_hub.fitting.PairCollator`
           adds it.

    Inputs:
        +-------------------------------------------------+--------+
        | Texts                                           | Labels |
        +=================================================+========+
        | (anchor, positive, negative_1, ..., negative_n) | weight |
        +-------------------------------------------------+--------+

        A feature `negative_weights` of 0 marks padding, as in `WeightedMultipleNegativesRankingLoss`. Tiers do nothing
        else here: how far a negative is to be pushed away is what the teacher says.

    Relations:
        - `DistillKLDivLoss` is this loss with all weights 1, for `teacher_temperature=1` and
          `student_temperature=1 / scale`, divided by `scale ** 2`.
        - `WeightedMarginMSELoss` takes the same inputs, and looks at the sizes of margins.
        - `WeightedMultipleNegativesRankingLoss` learns from the hard labels.

    Example:
        ::

            from lrat_hub import WeightedDistillKLDivLoss

            loss = WeightedDistillKLDivLoss(model)
    """

    def compute_loss_from_scores(self, scores: Tensor, teacher: Tensor, present: Tensor, weights: Tensor) -> Tensor:
        hidden = ~present
        # A document that is not there has the logarithm -inf, whose difference from another one is not a number.
        targets, found = (
            torch.log_softmax(given.masked_fill(hidden, -torch.inf), dim=1).masked_fill(hidden, 0.0)
            for given in (teacher, scores)
        )
        losses = (targets.exp() * (targets - found)).masked_fill(hidden, 0.0).sum(dim=1)
        divisor = weights.sum() if self.reduction == "weighted_mean" else weights.new_tensor(len(losses))
        return (weights * losses).sum() / over_processes(divisor)


class WeightedMarginMSELoss(_WeightedDistillationLoss):
    """`MarginMSELoss` in which every query has a weight, taken from the `label` column.

    For queries q_i with weights w_i, positives d_i and own negatives d, a teacher's scores t, similarities s and
    temperature tau = 1 / scale, with M negatives in the batch::

        L = 1/M * sum_i w_i * sum_d ( (s(q_i, d_i) - s(q_i, d)) / tau - (t(q_i, d_i) - t(q_i, d)) )^2

    The bi-encoder learns by how much the teacher prefers the positive (https://huggingface.co/papers/2010.02666).
    Cosine similarities differ by less than 2, logits of rerankers by 10 and more: `scale` bridges the two.

    Args:
        model, similarity_fct, document_anchor: As for `WeightedDistillKLDivLoss`.
        scale: What similarities are multiplied by before margins are compared.
        reduction: What the weighted sum is divided by: "mean" by the number of negatives M, "weighted_mean" by the sum
            of the weights of all negatives, each that of its query. Under several processes as for
            `WeightedDistillKLDivLoss`.

    Requirements and Inputs:
        As for `WeightedDistillKLDivLoss`.

    Relations:
        - `MarginMSELoss` is this loss with all weights 1 and `scale=1`, for margins as labels.

    Example:
        ::

            from lrat_hub import WeightedMarginMSELoss

            loss = WeightedMarginMSELoss(model)
    """

    def compute_loss_from_scores(self, scores: Tensor, teacher: Tensor, present: Tensor, weights: Tensor) -> Tensor:
        margins, targets = (given[:, :1] - given[:, 1:] for given in (scores, teacher))
        # A document that is not there has the weight 0.
        shared = weights[:, None] * present[:, 1:]
        divisor = shared.sum() if self.reduction == "weighted_mean" else present[:, 1:].sum().to(weights.dtype)
        return (shared * (margins - targets) ** 2).sum() / over_processes(divisor)
