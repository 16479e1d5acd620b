"""The labels of a batch: the weights of its samples, and what is known of each document besides its text.

A data collator hands it over among the features of a column, under the names below; `lrat_hub.fitting.PairCollator`
does. Documents are numbered column by column: first the positives of all rows, then their first negatives, and so on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, get_args

import torch
from sentence_transformers.util import all_gather, get_rank
from torch import Tensor

from lrat_hub.losses import Reduction

DOCUMENT_IDS = "document_ids"
"""Feature of a column of documents: an integer for each document, shape (batch,)."""

NEGATIVE_WEIGHTS = "negative_weights"
"""Feature of a column of negatives: how much each counts in its own query's softmax, shape (batch,); 0 for none."""

BASE_EMBEDDINGS = "base_embeddings"
"""Feature of a column of documents: their vectors by the base model, shape (batch, dim)."""


TEACHER_SCORES = "teacher_scores"
"""Feature of a column of documents: scores of its documents by a teacher, shape (batch,)."""


@dataclass(frozen=True)
class BatchLabels:
    """What a loss is told of a batch, without its texts.

    Args:
        weights: One weight for every sample, shape (batch,).
        document_ids: Integers, shape (1 + negatives, batch). None: no document is known to be another.
        negative_weights: Shape (negatives, batch), 0 where a row has no such negative. None: all are 1.
        base_embeddings: Shape (1 + negatives, batch, dim), or None.
        teacher_scores: Shape (1 + negatives, batch), or None.
    """

    weights: Tensor
    document_ids: Tensor | None = None
    negative_weights: Tensor | None = None
    base_embeddings: Tensor | None = None
    teacher_scores: Tensor | None = None

    @property
    def present(self) -> Tensor | None:
        """Which documents there are, bool, shape (1 + negatives, batch); None when all are."""
        if self.negative_weights is None:
            return None
        positives = torch.ones_like(self.negative_weights[:1], dtype=torch.bool)
        return torch.cat([positives, self.negative_weights > 0])

    def gathered(self) -> BatchLabels:
        """The labels of the batches of all processes, one after the other.

        Base embeddings and a teacher's scores stay this process's.
        """

        def gather(rows: Tensor | None) -> Tensor | None:
            # Processes are joined along the first dimension, which has to be the batch.
            return None if rows is None else all_gather(rows.T.contiguous()).T

        return replace(
            self,
            weights=all_gather(self.weights),
            document_ids=gather(self.document_ids),
            negative_weights=gather(self.negative_weights),
        )


def split_labels(
    sentence_features: Iterable[dict[str, Any]], labels: Tensor | None
) -> tuple[list[dict[str, Any]], BatchLabels]:
    """Splits the features of a batch into those for the model and the labels for the loss.

    Raises:
        ValueError: There are no weights, or a feature is there for some columns of documents only.
    """
    features = [dict(column) for column in sentence_features]
    taken = {
        name: [column.pop(name, None) for column in features]
        for name in (DOCUMENT_IDS, NEGATIVE_WEIGHTS, BASE_EMBEDDINGS, TEACHER_SCORES)
    }
    known = {
        # The first column is the queries; positives have no weight among negatives.
        DOCUMENT_IDS: _stacked(DOCUMENT_IDS, taken[DOCUMENT_IDS][1:]),
        NEGATIVE_WEIGHTS: _stacked(NEGATIVE_WEIGHTS, taken[NEGATIVE_WEIGHTS][2:]),
        BASE_EMBEDDINGS: _stacked(BASE_EMBEDDINGS, taken[BASE_EMBEDDINGS][1:]),
        TEACHER_SCORES: _stacked(TEACHER_SCORES, taken[TEACHER_SCORES][1:]),
    }
    return features, as_labels(labels, **known)


def as_labels(labels: Tensor | BatchLabels | None, **known: Tensor | None) -> BatchLabels:
    """Labels of a batch, which the trainer gives as plain weights.

    Raises:
        ValueError: The labels are not one weight for every sample.
    """
    if isinstance(labels, BatchLabels):
        return labels
    if labels is None or labels.ndim != 1:
        found = "none" if labels is None else f"shape {tuple(labels.shape)}"
        raise ValueError(
            f"Weights: expected labels of shape (batch,), found {found}. "
            "Give the dataset a `label` column with one weight per row."
        )
    return BatchLabels(labels, **known)


def _stacked(name: str, columns: list[Tensor | None]) -> Tensor | None:
    given = [column for column in columns if column is not None]
    if given and len(given) < len(columns):
        raise ValueError(
            f"{name}: expected it for {len(columns)} columns, found it for {len(given)}. Give it for all or for none."
        )
    return torch.stack(given) if given else None


def check_options(reduction: str, document_anchor: float = 0.0) -> None:
    """Raises ValueError for an option that all losses have and that is none of theirs."""
    if reduction not in get_args(Reduction):
        raise ValueError(f"reduction: expected 'mean' or 'weighted_mean', found {reduction!r}.")
    if document_anchor < 0:
        raise ValueError(f"document_anchor: expected 0 or more, found {document_anchor}.")


def excluded_documents(labels: BatchLabels, rows: Tensor) -> Tensor | None:
    """Which documents of a batch must not count as negatives of which query.

    Every document that is there counts once for a query, and its positive not at all: other copies of the positive
    would be false negatives. Where a document is among the query's own negatives, that copy counts, with the weight
    it has there.

    Args:
        labels: The labels of the whole batch.
        rows: Indices of the queries in the batch, shape (rows,).

    Returns:
        Bool, shape (rows, (1 + negatives) * batch), True where the logit must be masked; None when none must. The
        positive of the query itself is never masked.
    """
    present = labels.present
    if labels.document_ids is None and present is None:
        return None
    if labels.document_ids is None:
        assert present is not None
        return (~present.flatten())[None, :].expand(len(rows), -1)
    columns, batch = labels.document_ids.shape
    ids = labels.document_ids.flatten()
    position = torch.arange(len(ids), device=ids.device)
    if present is not None:
        # The text that pads a row with fewer negatives is no copy of anything.
        ids = torch.where(present.flatten(), ids, -1 - position)
    row = torch.arange(len(rows), device=ids.device)
    own = rows[:, None] + batch * torch.arange(columns, device=ids.device)[None, :]
    own_ids = ids[own]
    # Own documents go before all others, and among them the earlier ones.
    repeats = _is_repeat(ids)[None, :].repeat(len(rows), 1)
    for column in range(columns):
        repeats |= ids[None, :] == own_ids[:, column, None]
    for column in range(columns):
        repeats[row, own[:, column]] = (own_ids[:, :column] == own_ids[:, column, None]).any(dim=1)
    if present is not None:
        repeats |= ~present.flatten()[None, :]
    return repeats


def _is_repeat(ids: Tensor) -> Tensor:
    """Whether the same id occurs earlier, bool, shape of `ids`."""
    position = torch.arange(len(ids), device=ids.device)
    _, group = torch.unique(ids, return_inverse=True)
    first = torch.full_like(position, len(ids)).scatter_reduce(0, group, position, "amin")
    return first[group] != position


def own_log_weights(labels: BatchLabels, rows: Tensor) -> Tensor | None:
    """Logarithms of the weights that queries' own negatives have in the softmax.

    Returns:
        Float, shape (rows, (1 + negatives) * batch), 0 for all but a query's own negatives; None when all are 0.
    """
    if labels.negative_weights is None:
        return None
    negatives, batch = labels.negative_weights.shape
    values = torch.zeros(len(rows), (1 + negatives) * batch, device=rows.device)
    own = rows[:, None] + batch * torch.arange(1, 1 + negatives, device=rows.device)[None, :]
    # Padding is masked, and needs no -inf here, whose gradient would not be a number.
    weights = labels.negative_weights[:, rows].T.float()
    return values.scatter(1, own, torch.where(weights > 0, weights, 1.0).log())


def local_rows(batch_size: int, device: torch.device, *, gathered: bool) -> Tensor:
    """Indices of this process's rows in the batch, or in the batch of all processes."""
    start = get_rank() * batch_size if gathered else 0
    return torch.arange(start, start + batch_size, device=device)
