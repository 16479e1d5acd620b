"""Settings of training; no heavy import, so that options can be read and shown quickly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lrat_hub.errors import LratError
from lrat_hub.losses import Reduction
from lrat_hub.option import option
from lrat_hub.queries import QueryStyle


@dataclass(frozen=True)
class FitSettings:
    """How a retriever is fitted; each field says what it means. The defaults are the paper's (section 6.1.4).

    `choose_settings` fills in what is left open (None) by the kind of the model.
    """

    epochs: float = option(2.0, "Number of passes over the pairs.", group="essentials")
    max_steps: int = option(
        -1, "Number of optimizer steps, in place of `epochs`; -1 counts epochs.", group="essentials"
    )
    batch_size: int = option(32, "Queries per device and forward pass.", group="essentials")
    gradient_accumulation_steps: int = option(
        1, "Batches per optimizer step. Unlike mini-batches, they don't share their in-batch negatives."
    )
    learning_rate: float | None = option(
        None,
        "Peak learning rate, decayed linearly to 0; by default one that fits the kind of the model, which "
        "is printed with the reason.",
        group="essentials",
    )
    warmup_ratio: float = option(
        0.1, "Share of the steps over which the learning rate rises linearly from 0 to its peak."
    )
    weight_decay: float = option(0.0, "AdamW weight decay.")
    num_negatives: int = option(
        9,
        "Mined negatives per query, drawn again in each epoch. The paper's group of 10 is one "
        "positive and 9 negatives.",
        group="essentials",
    )
    temperature: float | None = option(
        None,
        "Temperature of the softmax (tau in the paper); similarities are divided by it. By default the "
        "paper's 0.02, and 1 for dot products of vectors of any length.",
        group="essentials",
    )
    loss: Literal["listwise", "pointwise", "kl", "margin_mse"] = option(
        "listwise",
        "How documents are compared: `listwise` sets the positive against the negatives (softmax), "
        "`pointwise`, for rerankers alone, looks at each document by itself (binary cross-entropy). For "
        "retrievers with a teacher: `kl` learns how its scores are spread over a pair's documents, `margin_mse` "
        "by how much it prefers the positive.",
    )
    reduction: Reduction = option(
        "mean",
        "Divisor of the weighted sum over a batch: `mean` is the batch size, `weighted_mean` the sum of the weights.",
    )
    use_weights: bool = option(
        True,
        "Whether to weight pairs by their intensity weights; if false, every pair weighs 1.",
        off="Give every pair the weight 1, in place of its intensity weight.",
    )
    redundant_weight: float = option(
        3.0, "Weight in the softmax of negatives that the agent had read before and that were relevant."
    )
    hard_weight: float = option(
        1.0, "Weight in the softmax of negatives that the agent had read and that were irrelevant."
    )
    weak_weight: float = option(0.3, "Weight in the softmax of negatives that the agent never opened.")
    document_anchor: float = option(
        0.0, "Coefficient of the term that keeps document vectors close to those of the base model; 0 turns it off."
    )
    gather_across_devices: bool = option(
        False, "Whether the documents of all devices serve as in-batch negatives of every query."
    )
    mini_batch_size: int = option(
        0,
        "Texts, or pairs of a reranker, per forward pass with gradient caching, which saves memory; 0 "
        "takes the whole batch at once.",
        group="essentials",
    )
    query_style: QueryStyle = option(
        "plain",
        "What the retriever reads of the agent's state besides its query; see docs/training.md.",
        group="essentials",
    )
    question_share: float = option(
        0.0,
        "Probability that a pair is trained with the question of its run instead of the agent's query, "
        "drawn again in each epoch, for retrievers that are asked questions as well as agents' queries.",
    )
    query_length: int = option(
        512,
        "Maximum number of tokens of a query in training; 0 uses the model's limit. A reranker reads the "
        "tokens of `query_length` and `document_length` together.",
    )
    document_length: int = option(512, "Maximum number of tokens of a document in training; 0 uses the model's limit.")
    frozen_layers: int = option(
        0, "Number of transformer layers to freeze, from the lowest; above 0, the token embeddings are frozen too."
    )
    lora_rank: int = option(
        0,
        "Rank of LoRA adapters, which are trained in place of the weights and merged at the "
        "end; 0 trains all weights.",
    )
    precision: Literal["fp32", "bf16", "fp16"] = option(
        "fp32",
        "Precision of the computation. Weights are kept, and changed, in fp32 whatever it is and whatever "
        "the checkpoint holds.",
        group="essentials",
    )
    interpolate: float = option(
        1.0,
        "Share of the trained weights in the published ones, the rest being the base's (weight "
        "averaging); 1 publishes the trained weights as they are.",
    )
    published_dtype: Literal["fp32", "base"] = option(
        "fp32",
        "Type of the published weights: `fp32` as they were trained, or `base` as the checkpoint holds "
        "them, which for bf16 and fp16 rounds small changes away.",
    )
    gradient_checkpointing: bool = option(False, "Recompute activations in the backward pass, which saves memory.")
    validation_share: float = option(
        0.0, "Share of the questions whose pairs are held out to measure the validation loss."
    )
    save_steps: int = option(
        0, "Optimizer steps between checkpoints and between validations; 0 means a tenth of the run."
    )
    patience: int = option(
        0, "Stop after this many validations without a lower loss and keep the best checkpoint; 0 never stops early."
    )
    seed: int = option(0, "Random seed of the draw of negatives, the order of pairs, and dropout.", group="essentials")

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "gradient_accumulation_steps", "learning_rate", "temperature"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise LratError(f"Training: expected a finite {name} above 0, found {value}.")
        if self.max_steps == 0 or self.max_steps < -1:
            raise LratError(f"Training: expected max_steps above 0, or -1 to count epochs, found {self.max_steps}.")
        for name in ("redundant_weight", "hard_weight", "weak_weight"):
            if not 0 < getattr(self, name) < float("inf"):
                raise LratError(f"Training: expected a finite {name} above 0, found {getattr(self, name)}.")
        for name in ("weight_decay", "num_negatives", "document_anchor", "mini_batch_size", "query_length",
                     "document_length", "frozen_layers", "lora_rank", "save_steps", "patience", "seed"):  # fmt: skip
            if not 0 <= getattr(self, name) < float("inf"):
                raise LratError(f"Training: expected a finite {name} of 0 or more, found {getattr(self, name)}.")
        if not 0 <= self.question_share <= 1:
            raise LratError(f"Training: expected question_share from 0 to 1, found {self.question_share}.")
        if not 0 < self.interpolate <= 1:
            raise LratError(f"Training: expected interpolate above 0, and 1 at most, found {self.interpolate}.")
        for name in ("warmup_ratio", "validation_share"):
            if not 0 <= getattr(self, name) < 1:
                raise LratError(f"Training: expected {name} from 0 to below 1, found {getattr(self, name)}.")
        if self.patience and not self.validation_share:
            raise LratError("Training: patience needs validation pairs. Set validation_share, such as 0.1.")
        if self.distils and (self.mini_batch_size or self.gather_across_devices):
            raise LratError(
                f"Training: loss {self.loss} compares a query with its own documents alone, and has neither gradient "
                "caching nor documents of other devices. Leave out mini_batch_size and gather_across_devices."
            )
        if self.frozen_layers and self.lora_rank:
            raise LratError("Training: adapters freeze all layers already. Leave out frozen_layers or lora_rank.")

    @property
    def distils(self) -> bool:
        """Whether the loss learns from a teacher's scores."""
        return self.loss in ("kl", "margin_mse")

    @property
    def pair_length(self) -> int:
        """Tokens of a query and a document together, for a reranker; 0 for the model's limit."""
        return self.query_length + self.document_length if self.query_length and self.document_length else 0

    def kind_weight(self, kind: str) -> float:
        """Weight in the softmax of a negative of this kind; kinds without a tier weigh 1."""
        tiers = {"redundant": self.redundant_weight, "hard": self.hard_weight, "weak": self.weak_weight}
        return tiers.get(kind, 1.0)
