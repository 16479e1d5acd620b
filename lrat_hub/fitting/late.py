"""What fitting a late-interaction model has of its own: checks, collator, loss, and what shows that it changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.multi_vector_encoder.scoring import colbert_scores, mean_colbert_scores

from lrat_hub.encoders import cut_to, text_limits
from lrat_hub.errors import LratError
from lrat_hub.fitting.choices import settled
from lrat_hub.fitting.movement import SAMPLED
from lrat_hub.fitting.rows import PairCollator, TrainingRows, pair_collator
from lrat_hub.fitting.settings import FitSettings
from lrat_hub.losses import (
    CachedMultiVectorWeightedMultipleNegativesRankingLoss,
    MultiVectorWeightedMultipleNegativesRankingLoss,
)


def require_tokens(settings: FitSettings) -> None:
    """Raises LratError for settings that do nothing for late interaction."""
    if settings.document_anchor:
        raise LratError(
            "Training: document_anchor holds documents' single vectors to the base model's, found a late-interaction "
            "model, whose documents have none. Leave it out."
        )


def late_collator(model: MultiVectorEncoder, rows: TrainingRows, settings: FitSettings) -> PairCollator:
    """The collator that cuts texts to their lengths, as long as the model's own allow, with the model's prompts."""
    collator = pair_collator(model, rows, settings)
    lengths = dict(zip(("query", "document"), text_limits(model), strict=True))
    asked = {"query": settings.query_length, "document": settings.document_length}
    # What is not given here has the model's own length, and queries of a fixed width always do.
    collator.max_length = {
        task: min(asked[task], limit or asked[task])
        for task, limit in lengths.items()
        if asked[task] and not (task == "query" and getattr(model[0], "query_expansion", None))
    }
    return collator


def make_late_loss(
    model: MultiVectorEncoder, settings: FitSettings
) -> MultiVectorWeightedMultipleNegativesRankingLoss | CachedMultiVectorWeightedMultipleNegativesRankingLoss:
    """The loss that the settings describe, with the model's own similarity."""
    options: dict[str, Any] = {
        "scale": 1 / settled(settings.temperature, "temperature"),
        "reduction": settings.reduction,
        "similarity_fct": mean_colbert_scores if model.similarity_fn_name == "meanmaxsim" else colbert_scores,
        "gather_across_devices": settings.gather_across_devices,
    }
    if settings.mini_batch_size:
        return CachedMultiVectorWeightedMultipleNegativesRankingLoss(
            model, mini_batch_size=settings.mini_batch_size, **options
        )
    return MultiVectorWeightedMultipleNegativesRankingLoss(model, **options)


def late_probe(rows: TrainingRows, settings: FitSettings) -> Callable[[MultiVectorEncoder], np.ndarray]:
    """Gives the scores of some queries with their positives, whose documents are cut to their length in training."""
    pairs = [rows.pairs[row] for row in range(min(len(rows), SAMPLED))]
    queries = [rows.anchor(pair) for pair in pairs]
    documents = [rows.documents[pair["positive_id"]].content for pair in pairs]

    def probe(model: MultiVectorEncoder) -> np.ndarray:
        with cut_to(model, settings.document_length):
            encoded = model.encode_query(queries), model.encode_document(documents)
            return np.asarray(model.similarity_pairwise(*encoded).cpu())

    return probe
