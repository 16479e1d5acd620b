"""What fitting a reranker has of its own: checks, the collator, the loss, and what shows that it changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from sentence_transformers import CrossEncoder
from sentence_transformers.cross_encoder.data_collator import CrossEncoderDataCollator
from torch import nn

from lrat_hub.encoders import cut_to, scoring_prompt, token_limit
from lrat_hub.errors import LratError
from lrat_hub.fitting.choices import settled
from lrat_hub.fitting.movement import SAMPLED
from lrat_hub.fitting.rows import TrainingRows
from lrat_hub.fitting.settings import FitSettings
from lrat_hub.losses import DOCUMENT_IDS, NEGATIVE_WEIGHTS, WeightedBinaryCrossEntropyLoss, WeightedListNetLoss


class ListCollator(CrossEncoderDataCollator):
    """Collates rows of `TrainingRows` for a reranker: columns of texts, and what negatives weigh behind them.

    Copies of a row's positive, and further copies of a negative, weigh 0, as do the negatives that it lacks.
    """

    def __call__(self, features: list[dict[str, Any]]) -> dict[str, Any]:
        known = (DOCUMENT_IDS, NEGATIVE_WEIGHTS)
        batch = super().__call__([{key: value for key, value in row.items() if key not in known} for row in features])
        weights = [own_weights(row) for row in features]
        batch[NEGATIVE_WEIGHTS] = torch.tensor(weights).reshape(len(features), -1)
        return batch


def own_weights(row: Mapping[str, Any]) -> list[float]:
    """What a row's negatives weigh, in their order, without copies."""
    seen, weights = {row["positive"]}, []
    for number, weight in enumerate(row[NEGATIVE_WEIGHTS], start=1):
        text = row[f"negative_{number}"]
        weights.append(0.0 if text in seen else weight)
        if weight:
            seen.add(text)
    return weights


def list_collator(model: CrossEncoder, rows: TrainingRows, settings: FitSettings) -> ListCollator:
    """The collator with the prompt that `predict` uses. Texts are cut by the loss, which reads both together."""
    return ListCollator(preprocess_fn=model.preprocess, prompts=scoring_prompt(model) or None)


def make_reranking_loss(
    model: CrossEncoder, settings: FitSettings
) -> WeightedListNetLoss | WeightedBinaryCrossEntropyLoss:
    """The loss that the settings describe."""
    kind = WeightedListNetLoss if settings.loss == "listwise" else WeightedBinaryCrossEntropyLoss
    return kind(
        model,
        scale=1 / settled(settings.temperature, "temperature"),
        reduction=settings.reduction,
        mini_batch_size=settings.mini_batch_size,
        max_length=pair_limit(model, settings),
    )


def score_probe(rows: TrainingRows, settings: FitSettings) -> Callable[[CrossEncoder], np.ndarray]:
    """Gives the scores of some queries with their positives, cut to their length in training."""
    pairs = [rows.pairs[row] for row in range(min(len(rows), SAMPLED))]
    texts = [(rows.anchor(pair), rows.documents[pair["positive_id"]].content) for pair in pairs]

    def probe(model: CrossEncoder) -> np.ndarray:
        with cut_to(model, settings.pair_length):
            return np.asarray(model.predict(texts, activation_fn=nn.Identity(), show_progress_bar=False))

    return probe


def pair_limit(model: CrossEncoder, settings: FitSettings) -> int:
    """Tokens of a query and a document together in training; 0 for the model's own limit."""
    limit = token_limit(model)
    return 0 if limit is not None and settings.pair_length >= limit else settings.pair_length


def require_lists(rows: TrainingRows, settings: FitSettings) -> None:
    """Raises LratError when the settings do nothing for a reranker, or no pair has negatives to be compared with."""
    if settings.distils:
        raise LratError(f"Training: loss {settings.loss} teaches retrievers, found a reranker. Leave it out.")
    for name in ("document_anchor", "gather_across_devices"):
        if getattr(settings, name):
            raise LratError(f"Training: {name} is for retrievers, found a reranker. Leave it out.")
    if not settings.num_negatives or not rows.pool_sizes.any():
        raise LratError(
            f"Training: expected negatives to compare positives with, found lists of one document in all {len(rows)} "
            "pairs. Raise num_negatives, mine pairs with negatives, or take them from a first stage."
        )
