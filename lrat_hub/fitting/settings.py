"""Settings of training; no heavy import, so that options can be read and shown quickly."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from lrat_hub.errors import LratError
from lrat_hub.losses import Reduction
from lrat_hub.queries import QueryStyle


@dataclass(frozen=True)
class FitSettings:
    """How a retriever is fitted; each field says what it means. The defaults are the paper's (section 6.1.4).

    `choose_settings` fills in what is left open (None) by the kind of the model.
    """

    epochs: float = field(default=2.0, metadata={"group": "essentials", "help": "Number of passes over the pairs."})
    max_steps: int = field(
        default=-1,
        metadata={"group": "essentials", "help": "Number of optimizer steps, in place of `epochs`; -1 counts epochs."},
    )
    batch_size: int = field(
        default=32, metadata={"group": "essentials", "help": "Queries per device and forward pass."}
    )
    gradient_accumulation_steps: int = field(
        default=1,
        metadata={
            "help": "Batches per optimizer step. Unlike mini-batches, they don't share their in-batch negatives."
        },
    )
    learning_rate: float | None = field(
        default=None,
        metadata={
            "group": "essentials",
            "help": "Peak learning rate, decayed linearly to 0; by default one that fits the kind of the model, which "
            "is printed with the reason.",
        },
    )
    warmup_ratio: float = field(
        default=0.1,
        metadata={"help": "Share of the steps over which the learning rate rises linearly from 0 to its peak."},
    )
    weight_decay: float = field(default=0.0, metadata={"help": "AdamW weight decay."})
    num_negatives: int = field(
        default=9,
        metadata={
            "group": "essentials",
            "help": "Mined negatives per query, drawn anew each epoch. The paper's group of 10 is one "
            "positive and 9 negatives.",
        },
    )
    temperature: float | None = field(
        default=None,
        metadata={
            "group": "essentials",
            "help": "Temperature of the softmax (tau in the paper); similarities are divided by it. By default the "
            "paper's 0.02, and 1 for dot products of vectors of any length.",
        },
    )
    reduction: Reduction = field(
        default="mean",
        metadata={
            "help": "Divisor of the weighted sum over a batch: `mean` is the batch size, `weighted_mean` "
            "the sum of the weights."
        },
    )
    use_weights: bool = field(
        default=True,
        metadata={
            "help": "Whether to weight pairs by their intensity weights; if false, every pair weighs 1.",
            "off": "Give every pair the weight 1, in place of its intensity weight.",
        },
    )
    redundant_weight: float = field(
        default=3.0,
        metadata={"help": "Weight in the softmax of negatives that the agent had read before and that were relevant."},
    )
    hard_weight: float = field(
        default=1.0,
        metadata={"help": "Weight in the softmax of negatives that the agent had read and that were irrelevant."},
    )
    weak_weight: float = field(
        default=0.3, metadata={"help": "Weight in the softmax of negatives that the agent never opened."}
    )
    document_anchor: float = field(
        default=0.0,
        metadata={
            "help": "Coefficient of the term that keeps document vectors close to those of the base "
            "model; 0 turns it off."
        },
    )
    gather_across_devices: bool = field(
        default=False,
        metadata={"help": "Whether the documents of all devices serve as in-batch negatives of every query."},
    )
    mini_batch_size: int = field(
        default=0,
        metadata={
            "group": "essentials",
            "help": "Texts per forward pass with gradient caching, which saves memory; 0 embeds the "
            "whole batch at once.",
        },
    )
    query_style: QueryStyle = field(
        default="plain",
        metadata={
            "group": "essentials",
            "help": "What the retriever reads of the agent's state besides its query; see docs/training.md.",
        },
    )
    query_length: int = field(
        default=512,
        metadata={
            "help": "Maximum number of tokens of a query in training; 0 uses the model's limit.",
        },
    )
    document_length: int = field(
        default=512,
        metadata={
            "help": "Maximum number of tokens of a document in training; 0 uses the model's limit.",
        },
    )
    frozen_layers: int = field(
        default=0,
        metadata={
            "help": "Number of transformer layers to freeze, from the lowest; above 0, the token "
            "embeddings are frozen too."
        },
    )
    lora_rank: int = field(
        default=0,
        metadata={
            "help": "Rank of LoRA adapters, which are trained in place of the weights and merged at the "
            "end; 0 trains all weights."
        },
    )
    precision: Literal["fp32", "bf16", "fp16"] = field(
        default="fp32",
        metadata={
            "group": "essentials",
            "help": "Precision of the computation. Weights are kept, and changed, in fp32 whatever it is and whatever "
            "the checkpoint holds.",
        },
    )
    published_dtype: Literal["fp32", "base"] = field(
        default="fp32",
        metadata={
            "help": "Type of the published weights: `fp32` as they were trained, or `base` as the checkpoint holds "
            "them, which for bf16 and fp16 rounds small changes away."
        },
    )
    gradient_checkpointing: bool = field(
        default=False, metadata={"help": "Recompute activations in the backward pass, which saves memory."}
    )
    validation_share: float = field(
        default=0.0,
        metadata={"help": "Share of the questions whose pairs are held out to measure the validation loss."},
    )
    save_steps: int = field(
        default=0,
        metadata={"help": "Optimizer steps between checkpoints and between validations; 0 means a tenth of the run."},
    )
    patience: int = field(
        default=0,
        metadata={
            "help": "Stop after this many validations without a lower loss and keep the best checkpoint; "
            "0 never stops early."
        },
    )
    seed: int = field(
        default=0,
        metadata={
            "group": "essentials",
            "help": "Random seed of the draw of negatives, the order of pairs, and dropout.",
        },
    )

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "gradient_accumulation_steps", "learning_rate", "temperature"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise LratError(f"Training: expected {name} above 0, found {getattr(self, name)}.")
        if self.max_steps == 0 or self.max_steps < -1:
            raise LratError(f"Training: expected max_steps above 0, or -1 to count epochs, found {self.max_steps}.")
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
            raise LratError("Training: patience needs validation pairs. Set validation_share, such as 0.1.")
        if self.frozen_layers and self.lora_rank:
            raise LratError("Training: adapters freeze all layers already. Leave out frozen_layers or lora_rank.")

    def kind_weight(self, kind: str) -> float:
        """Weight in the softmax of a negative of this kind; kinds without a tier weigh 1."""
        tiers = {"redundant": self.redundant_weight, "hard": self.hard_weight, "weak": self.weak_weight}
        return tiers.get(kind, 1.0)
