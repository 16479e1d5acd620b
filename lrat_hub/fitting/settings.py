"""Settings of training; no heavy import, so that options can be read and shown quickly."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from lrat_hub.errors import LratError
from lrat_hub.losses import Reduction
from lrat_hub.queries import QueryStyle


@dataclass(frozen=True)
class FitSettings:
    """How a retriever is fitted; each field says what it means. The defaults are the paper's (section 6.1.4)."""

    epochs: float = field(default=2.0, metadata={"help": "Passes over the pairs."})
    max_steps: int = field(default=-1, metadata={"help": "Optimiser steps, in place of epochs when above 0."})
    batch_size: int = field(default=32, metadata={"help": "Queries a step and device."})
    gradient_accumulation_steps: int = field(
        default=1, metadata={"help": "Batches an optimiser step. They don't share negatives, as mini-batches do."}
    )
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
    redundant_weight: float = field(
        default=3.0, metadata={"help": "In the softmax: of negatives that were read earlier and relevant."}
    )
    hard_weight: float = field(default=1.0, metadata={"help": "The same, of those that were read and irrelevant."})
    weak_weight: float = field(default=0.3, metadata={"help": "The same, of those that were never opened."})
    document_anchor: float = field(
        default=0.0,
        metadata={"help": "How strongly documents are held to their vectors by the base model; 0 for not at all."},
    )
    gather_across_devices: bool = field(
        default=False, metadata={"help": "Whether documents of all devices are negatives of each query."}
    )
    mini_batch_size: int = field(
        default=0, metadata={"help": "Texts embedded at once, with cached gradients, to save memory; 0: the batch."}
    )
    query_style: QueryStyle = field(
        default="plain", metadata={"help": "What the retriever is shown of the agent's state besides its query."}
    )
    query_length: int = field(
        default=512, metadata={"help": "Tokens of a query in training, at most the model's limit; 0 for that limit."}
    )
    document_length: int = field(default=512, metadata={"help": "Tokens of a document in training, as above."})
    frozen_layers: int = field(
        default=0, metadata={"help": "Lowest transformer layers that keep their values, and the embeddings with them."}
    )
    lora_rank: int = field(
        default=0, metadata={"help": "Train adapters of this rank, merged at the end, and no other weight; 0: all."}
    )
    precision: Literal["fp32", "bf16", "fp16"] = field(default="fp32", metadata={"help": "Of the computation."})
    gradient_checkpointing: bool = field(
        default=False, metadata={"help": "Compute activations again in the backward pass, to save memory."}
    )
    validation_share: float = field(
        default=0.0, metadata={"help": "Share of the questions whose pairs are kept aside to watch the loss on."}
    )
    save_steps: int = field(
        default=0,
        metadata={"help": "Optimiser steps between checkpoints, and validations; 0 for a tenth of the run."},
    )
    patience: int = field(
        default=0,
        metadata={"help": "Stop after so many validations without a lower loss, and keep the best; 0: don't."},
    )
    seed: int = field(default=0, metadata={"help": "Of the draw of negatives, the order of pairs and dropout."})

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "gradient_accumulation_steps", "learning_rate", "temperature"):
            if not getattr(self, name) > 0:
                raise LratError(f"Training: expected {name} above 0, found {getattr(self, name)}.")
        for name in ("redundant_weight", "hard_weight", "weak_weight"):
            if not 0 < getattr(self, name) < float("inf"):
                raise LratError(f"Training: expected a finite {name} above 0, found {getattr(self, name)}.")
        for name in ("weight_decay", "num_negatives", "document_anchor", "mini_batch_size", "query_length",
                     "document_length", "frozen_layers", "lora_rank", "save_steps", "patience", "seed"):  # fmt: skip
            if not getattr(self, name) >= 0:
                raise LratError(f"Training: expected {name} of 0 or more, found {getattr(self, name)}.")
        for name in ("warmup_ratio", "validation_share"):
            if not 0 <= getattr(self, name) < 1:
                raise LratError(f"Training: expected {name} from 0 to below 1, found {getattr(self, name)}.")
        if self.patience and not self.validation_share:
            raise LratError("Training: patience needs pairs to watch. Set validation_share, such as 0.1.")
        if self.frozen_layers and self.lora_rank:
            raise LratError("Training: adapters freeze all layers already. Leave out frozen_layers or lora_rank.")

    def kind_weight(self, kind: str) -> float:
        """What a negative of a kind weighs in the softmax; kinds without a tier weigh 1."""
        tiers = {"redundant": self.redundant_weight, "hard": self.hard_weight, "weak": self.weak_weight}
        return tiers.get(kind, 1.0)
