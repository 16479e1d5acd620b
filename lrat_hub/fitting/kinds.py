"""What a kind of model brings to its training: retrievers, whose own is here, late interaction (`late.py`), and
rerankers (`reranking.py`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sentence_transformers import (
    CrossEncoder,
    MultiVectorEncoderTrainer,
    MultiVectorEncoderTrainingArguments,
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.base.trainer import BaseTrainer
from sentence_transformers.cross_encoder import CrossEncoderTrainer, CrossEncoderTrainingArguments
from torch import nn

from lrat_hub.encoders import cut_to, is_late
from lrat_hub.errors import LratError
from lrat_hub.fitting.choices import settled
from lrat_hub.fitting.late import late_collator, late_probe, make_late_loss, require_tokens
from lrat_hub.fitting.movement import SAMPLED
from lrat_hub.fitting.reranking import list_collator, make_reranking_loss, require_lists, score_probe
from lrat_hub.fitting.rows import TrainingRows, pair_collator, stable_order
from lrat_hub.fitting.runs import processes
from lrat_hub.fitting.settings import FitSettings
from lrat_hub.losses import (
    CachedWeightedMultipleNegativesRankingLoss,
    WeightedDistillKLDivLoss,
    WeightedMarginMSELoss,
    WeightedMultipleNegativesRankingLoss,
)
from lrat_hub.retrieval.dense import encode_documents

if TYPE_CHECKING:
    from lrat_hub.encoders.encoding import Ranker


@dataclass(frozen=True)
class Kind:
    """What a kind of model brings to its training.

    Args:
        trainer, arguments: sentence-transformers' classes for it.
        require_rows: Raises LratError where settings do nothing for it, or nothing can be learned from the rows.
        make_collator: The collator of rows.
        make_loss: The loss that the settings describe.
        make_probe: Gives vectors or scores of a sample, by which a run shows that it has changed the model.
    """

    trainer: type[BaseTrainer]
    arguments: Callable[..., Any]
    require_rows: Callable[[TrainingRows, FitSettings], None]
    make_collator: Callable[[Any, TrainingRows, FitSettings], Any]
    make_loss: Callable[[Any, FitSettings], nn.Module]
    make_probe: Callable[[TrainingRows, FitSettings], Callable[[Any], np.ndarray]]


def kind_of(model: Ranker) -> Kind:
    """The kind of a model; raises LratError for what is none of the three."""
    if is_late(model):
        return LATE
    if isinstance(model, CrossEncoder):
        return RERANKERS
    if not isinstance(model, SentenceTransformer):
        raise LratError(
            "Training: expected a SentenceTransformer, a MultiVectorEncoder or a CrossEncoder, found "
            f"{type(model).__name__}."
        )
    return RETRIEVERS


def require_negatives(rows: TrainingRows, settings: FitSettings) -> None:
    """Raises LratError for a loss of rerankers, or when batches have nothing to compare their positives with."""
    if settings.loss == "pointwise":
        raise LratError(f"Training: loss {settings.loss} is for rerankers, found a retriever. Leave it out.")
    if settings.distils and not (settings.num_negatives and rows.pool_sizes.any()):
        raise LratError(
            f"Training: expected negatives for a teacher to compare positives with, found none in all {len(rows)} "
            "pairs. Raise num_negatives, mine pairs with negatives, or take them from a first stage."
        )
    alone = settings.batch_size * (processes().num_processes if settings.gather_across_devices else 1) == 1
    if alone and not (settings.num_negatives and rows.pool_sizes.any()):
        raise LratError(
            "Training: expected negatives in every batch, found batches of one pair without mined negatives. "
            "Raise batch_size, or num_negatives for pairs that have some."
        )


def require_late_rows(rows: TrainingRows, settings: FitSettings) -> None:
    if settings.distils:
        raise LratError(
            f"Training: loss {settings.loss} teaches a SentenceTransformer, found late interaction. Leave it out."
        )
    require_tokens(settings)
    require_negatives(rows, settings)


def make_retriever_loss(model: SentenceTransformer, settings: FitSettings) -> nn.Module:
    """The loss that the settings describe.

    Raises:
        LratError: The model can't be trained with it.
    """
    options: dict[str, Any] = {
        "scale": 1 / settled(settings.temperature, "temperature"),
        "reduction": settings.reduction,
        "gather_across_devices": settings.gather_across_devices,
        "document_anchor": settings.document_anchor,
    }
    if settings.distils:
        del options["gather_across_devices"]
        kind = WeightedDistillKLDivLoss if settings.loss == "kl" else WeightedMarginMSELoss
        return kind(model, **options)
    if not settings.mini_batch_size:
        return WeightedMultipleNegativesRankingLoss(model, **options)
    try:
        return CachedWeightedMultipleNegativesRankingLoss(model, mini_batch_size=settings.mini_batch_size, **options)
    except ValueError as error:
        raise LratError(f"Training: {' '.join(str(error).split())} Set mini_batch_size to 0.") from error


def vector_probe(rows: TrainingRows, settings: FitSettings) -> Callable[[SentenceTransformer], np.ndarray]:
    """Gives the vectors of some documents, cut to their length in training."""
    documents = [rows.documents[docid] for docid in stable_order(rows.docids(), settings.seed)[:SAMPLED]]

    def probe(model: SentenceTransformer) -> np.ndarray:
        with cut_to(model, settings.document_length):
            return encode_documents(model, documents)

    return probe


RETRIEVERS = Kind(
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
    require_rows=require_negatives,
    make_collator=pair_collator,
    make_loss=make_retriever_loss,
    make_probe=vector_probe,
)
LATE = Kind(
    MultiVectorEncoderTrainer,
    MultiVectorEncoderTrainingArguments,
    require_rows=require_late_rows,
    make_collator=late_collator,
    make_loss=make_late_loss,
    make_probe=late_probe,
)
RERANKERS = Kind(
    CrossEncoderTrainer,
    CrossEncoderTrainingArguments,
    require_rows=require_lists,
    make_collator=list_collator,
    make_loss=make_reranking_loss,
    make_probe=score_probe,
)
