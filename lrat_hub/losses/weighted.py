"""InfoNCE with a weight for every sample (section 5.2.2 of https://huggingface.co/papers/2604.04949)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.losses.merged_forward import embed_columns
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from sentence_transformers.util import all_gather_with_grad
from torch import Tensor

from lrat_hub.encoders import similarity_function
from lrat_hub.losses import Reduction
from lrat_hub.losses.labels import (
    BatchLabels,
    as_labels,
    check_options,
    excluded_documents,
    local_rows,
    own_log_weights,
    split_labels,
)

CITATION = """
@inproceedings{zhou2026lrat,
    title={Learning to Retrieve from Agent Trajectories},
    author={Yuqi Zhou and Sunhao Dai and Changle Qu and Liang Pang and Jun Xu and Ji-Rong Wen},
    booktitle={SIGIR},
    year={2026},
    url={https://huggingface.co/papers/2604.04949},
}
"""


class WeightedMultipleNegativesRankingLoss(MultipleNegativesRankingLoss):
    """`MultipleNegativesRankingLoss` in which every sample has a weight, taken from the `label` column.

    For a batch of N queries q_i with positives d_i, mined negatives and weights w_i, with similarities s and
    temperature tau = 1 / scale::

        L = -1/N * sum_i w_i * log( exp(s(q_i, d_i) / tau) / sum_d v_id * exp(s(q_i, d) / tau) )

    where d runs over the query's own positive, and the positives and negatives of all queries in the batch. With all
    weights 1 it is `MultipleNegativesRankingLoss` in its default form, with the model's similarity. With intensity
    weights (Eq. 3) it is the objective of LRAT, section 5.2.2.

    Args:
        model: SentenceTransformer model.
        scale: 1 / temperature. 50 is the paper's temperature of 0.02 (section 6.1.4).
        reduction: What the weighted sum is divided by. "mean" divides by the batch size N, as the paper writes it.
            "weighted_mean" divides by the sum of the weights, as the authors' released code does: a batch of small
            weights then moves the model as far as any other.
        similarity_fct: Similarity of two batches of embeddings, shapes (a, dim) and (b, dim) to (a, b). By default the
            model's own, by which it is searched later: cosine or dot product. Embeddings are cut to the model's
            `truncate_dim` first, as `encode` does.
        gather_across_devices: Whether the documents of all processes are negatives of each query. The mean over
            processes of the loss is then the loss of one process with all rows, with both reductions. If not, it is
            the mean of the processes' own losses.
        document_anchor: a in the term a * mean_d (1 - cos(d, d_0)), added to the loss, over the documents of the
            batch, where d_0 is a document's vector by the base model. It keeps what the base knows of the documents'
            content, which training on the queries of agents alone can halve. 0 leaves it out.

    Requirements:
        1. (anchor, positive, negative_1, ..., negative_n) columns, n may be 0.
        2. A `label` column with the weights: finite, 0 or more. Give them mean 1 to keep the learning rate's meaning.

    Inputs:
        +-------------------------------------------------+--------+
        | Texts                                           | Labels |
        +=================================================+========+
        | (anchor, positive, negative_1, ..., negative_n) | weight |
        +-------------------------------------------------+--------+

        A collator such as `lrat_hub.fitting.PairCollator` can add features to the columns of documents:

        - `document_ids`, integers of 0 or more, shape (batch,): every document then counts once for a query, and
          copies of its positive, which would be false negatives, not at all. Without them nothing is masked.
        - `negative_weights`, shape (batch,), to every column of negatives: v of a negative in the softmax of its own
          query; it is 1 for everything else. It says how strongly a kind of negative is pushed away, whatever the
          sample weighs. 0 marks padding, in a row with fewer than n negatives: the text there counts for
          no query.
        - `base_embeddings`, shape (batch, dim): d_0, needed with `document_anchor`.

    Recommendations:
        - Without document ids, use `BatchSamplers.NO_DUPLICATES`, which keeps duplicate texts out of a batch.
        - With gradient accumulation the negatives of a query are those of its own part of the batch, so that k parts
          are not one batch k times as large; use `CachedWeightedMultipleNegativesRankingLoss` for that. With "mean",
          k equal parts give the mean of their losses. With "weighted_mean" each part is divided by its own weights;
          to divide by those of the whole, rescale the weights beforehand and use "mean".

    Relations:
        - `MultipleNegativesRankingLoss` is this loss with all weights 1 and `scale=20`.
        - `CachedWeightedMultipleNegativesRankingLoss` has the same value and gradients, in less memory.

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
        similarity_fct: Callable[[Tensor, Tensor], Tensor] | None = None,
        gather_across_devices: bool = False,
        document_anchor: float = 0.0,
    ) -> None:
        super().__init__(
            model,
            scale=scale,
            similarity_fct=similarity_fct or similarity_function(model),
            gather_across_devices=gather_across_devices,
        )
        check_options(reduction, document_anchor)
        self.reduction: Reduction = reduction
        self.document_anchor = document_anchor
        self.truncate_dim = model.truncate_dim

    def forward(self, sentence_features: Iterable[dict[str, Tensor]], labels: Tensor | None) -> Tensor:
        features, own = split_labels(sentence_features, labels)
        return self.compute_loss_from_embeddings(embed_columns(self.model, features), own)

    def compute_loss_from_embeddings(self, embeddings: list[Tensor], labels: Tensor | BatchLabels | None) -> Tensor:
        """The loss of embeddings that are already computed.

        Args:
            embeddings: Queries, positives and each column of negatives, each of shape (batch, dim).
            labels: Weights, shape (batch,), or all that is known of the batch.

        Raises:
            ValueError: As for `terms`.
        """
        return torch.stack(list(self.terms(embeddings, labels))).sum()

    def terms(
        self, embeddings: list[Tensor], labels: Tensor | BatchLabels | None, mini_batch_size: int | None = None
    ) -> Iterator[Tensor]:
        """The terms whose sum is the loss. Each can be propagated back before the next is asked for.

        Args:
            mini_batch_size: Queries per term, which bounds the memory of similarities; None takes all of them.

        Raises:
            ValueError: Fewer than two columns, weights that are missing or not one per query, or an anchor without
                base embeddings.
        """
        if len(embeddings) < 2:
            raise ValueError(f"Expected embeddings of queries and documents, found {len(embeddings)} columns.")
        embeddings = [column[:, : self.truncate_dim] for column in embeddings]
        queries, columns = embeddings[0], embeddings[1:]
        own = as_labels(labels)
        if len(own.weights) != len(queries):
            raise ValueError(f"Weights: expected {len(queries)}, one per query, found {len(own.weights)}.")
        gathered = own.gathered() if self.gather_across_devices else own
        if self.document_anchor:
            yield self.document_anchor * drift(columns, own, gathered)
        if self.gather_across_devices:
            columns = [all_gather_with_grad(column) for column in columns]
        documents = torch.cat(columns)
        rows = local_rows(len(queries), queries.device, gathered=self.gather_across_devices)
        divisor = divisor_of(own, gathered, self.reduction)
        step = mini_batch_size or len(queries)
        for start in range(0, len(queries), step):
            part = slice(start, start + step)
            losses = self._sample_losses(queries[part], documents, gathered, rows[part])
            yield (own.weights[part].to(losses.dtype) * losses).sum() / divisor

    def _sample_losses(self, queries: Tensor, documents: Tensor, labels: BatchLabels, rows: Tensor) -> Tensor:
        # Half precision has no more than three digits: differences of logits of up to 50 would be lost.
        precise = torch.promote_types(queries.dtype, torch.float32)
        with torch.autocast(queries.device.type, enabled=False):
            logits = self.similarity_fct(queries.to(precise), documents.to(precise)) * self.scale
        return sample_losses(logits, labels, rows)

    def get_config_dict(self) -> dict[str, Any]:
        shared = super().get_config_dict()
        return {name: shared[name] for name in ("scale", "similarity_fct", "gather_across_devices")} | {
            "reduction": self.reduction,
            "document_anchor": self.document_anchor,
        }

    @property
    def citation(self) -> str:
        return CITATION


def sample_losses(logits: Tensor, labels: BatchLabels, rows: Tensor) -> Tensor:
    """-log softmax of each query's positive, without the sample's weight, shape (rows,).

    Args:
        logits: Similarities by the temperature, shape (rows, (1 + negatives) * batch), in the order of `BatchLabels`.
        labels: The labels of the whole batch.
        rows: Indices of the queries in the batch, shape (rows,).
    """
    log_weights = own_log_weights(labels, rows)
    if log_weights is not None:
        logits = logits + log_weights
    excluded = excluded_documents(labels, rows)
    if excluded is not None:
        logits = logits.masked_fill(excluded, -torch.inf)
    return torch.logsumexp(logits, dim=1) - logits.gather(1, rows[:, None]).squeeze(1)


def divisor_of(own: BatchLabels, gathered: BatchLabels, reduction: Reduction) -> Tensor | int:
    """What the weighted sum over this process's rows is divided by.

    Args:
        own, gathered: Labels of this process, and of all processes whose documents are negatives: the mean over
            processes is then the mean, or the weighted mean, over all their rows.
    """
    if reduction == "mean":
        return len(own.weights)
    processes = len(gathered.weights) / len(own.weights)
    # Empty reasonings weigh 0, and a whole batch of them has no gradient: not 0 / 0.
    return (gathered.weights.sum() / processes).clamp_min(torch.finfo(gathered.weights.dtype).tiny)


def drift(columns: list[Tensor], own: BatchLabels, gathered: BatchLabels) -> Tensor:
    """Mean of 1 - cos(document now, document by the base model) over the documents that are there.

    Args:
        own, gathered: Labels of this process's batch, and of all processes whose documents are negatives: the mean
            over processes is the mean over all their documents.
    """
    if own.base_embeddings is None:
        raise ValueError(
            "document_anchor: expected base_embeddings with every column of documents, found none. "
            "Use a collator that adds them, or set document_anchor=0."
        )
    documents = torch.stack(columns)
    # A loss around this one, such as MatryoshkaLoss, may have cut the vectors shorter than the model does.
    base = own.base_embeddings[..., : documents.shape[-1]].to(documents.dtype)
    distances = 1 - torch.cosine_similarity(documents, base, dim=-1)
    if own.present is None or gathered.present is None:
        return distances.mean()
    processes = len(gathered.weights) / len(own.weights)
    return distances[own.present].sum() * processes / gathered.present.sum()
