"""Settings of training; no heavy import, so that options can be read and shown quickly."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from lrat_hub.errors import LratError

Reduction = Literal["mean", "weighted_mean"]


@dataclass(frozen=True)
class FitSettings:
    """How a retriever is fitted; each field says what it means. The defaults are the paper's (section 6.1.4)."""

    epochs: float = field(default=2.0, metadata={"help": "Passes over the pairs."})
    max_steps: int = field(default=-1, metadata={"help": "Optimiser steps, in place of epochs when above 0."})
    batch_size: int = field(default=32, metadata={"help": "Queries a step and device."})
    learning_rate: float = field(default=1e-6, metadata={"help": "Its highest value; it falls linearly to 0."})
    warmup_ratio: float = field(
        default=0.1, metadata={"help": "Share of the steps in which the learning rate rises from 0."}
    )
    weight_decay: float = field(default=0.0, metadata={"help": "AdamW's."})
    num_negatives: int = field(
        default=9, metadata={"help": "Mined negatives a query: the paper's group size of 10, less the positive."}
    )
    temperature: float = field(default=0.02, metadata={"help": "tau of the loss."})
    reduction: Reduction = field(
        default="mean", metadata={"help": "What the weighted sum is divided by: the batch size, or the weights' sum."}
    )
    use_weights: bool = field(
        default=True, metadata={"help": "Whether pairs count by their weights; if not, all count 1."}
    )
    query_length: int = field(
        default=512, metadata={"help": "Tokens of a query in training, at most the model's limit; 0 for that limit."}
    )
    document_length: int = field(default=512, metadata={"help": "Tokens of a document in training, as above."})
    frozen_layers: int = field(
        default=0, metadata={"help": "Lowest transformer layers that keep their values, and the embeddings with them."}
    )
    seed: int = field(default=0, metadata={"help": "Of the draw of negatives, the order of pairs and dropout."})

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "learning_rate", "temperature"):
            if not getattr(self, name) > 0:
                raise LratError(f"Training: expected {name} above 0, found {getattr(self, name)}.")
        for name in ("weight_decay", "num_negatives", "query_length", "document_length", "frozen_layers", "seed"):
            if not getattr(self, name) >= 0:
                raise LratError(f"Training: expected {name} of 0 or more, found {getattr(self, name)}.")
        if not 0 <= self.warmup_ratio < 1:
            raise LratError(f"Training: expected warmup_ratio from 0 to below 1, found {self.warmup_ratio}.")
