"""Settings of training agents; no heavy import, so that options can be read and shown quickly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lrat_hub.errors import LratError
from lrat_hub.option import option
from lrat_hub.schema import OUTCOMES, STATUSES


@dataclass(frozen=True, kw_only=True)
class ConversationSettings:
    """Which runs are learned from, and how they are told."""

    outcomes: list[str] = option(
        help="Runs to learn from: any of correct, incorrect, unjudged.",
        factory=lambda: ["correct"],
        group="essentials",
    )
    statuses: list[str] = option(
        help="How the runs to learn from ended: any of completed, limited, failed.",
        factory=lambda: ["completed", "limited"],
    )
    max_run_steps: int = option(0, "Maximum number of searches and browses of a run to learn from; 0 for no limit.")
    max_invalid: int = option(
        0,
        "Maximum number of calls of a run that could not be carried out; -1 for no limit. Such calls are "
        "left out of the conversation.",
    )
    min_evidence: float = option(
        0.0, "Minimum share of the question's evidence that a run has opened, from 0 to 1; above 0 it needs qrels."
    )
    max_runs: int = option(0, "Number of runs to learn from, the first that fit the rules; 0 takes all.")
    protocol: Literal["tongyi", "webexplorer", "agentcpm", "tools", "json"] = option(
        "tools", "How the model calls tools: a protocol of docs/rollouts.md.", group="essentials"
    )
    prompt: str = option(
        "",
        "Prompt of the agent, the same as in rollouts: a name or a YAML file; the prompt of the protocol if empty.",
        group="essentials",
    )
    chat_template: str = option(
        "",
        "Chat template that marks the replies of the assistant: a Jinja file, or `chatml`, which comes "
        "with the package. It is published with the model. By default the model's own, or TRL's variant of it "
        "for training.",
    )
    max_length: int = option(8_192, "Maximum number of tokens of a conversation.", group="essentials")
    over_length: Literal["drop", "cut"] = option(
        "drop",
        "What becomes of longer conversations: `drop` leaves them out, `cut` ends them after the last "
        "reply that fits.",
    )

    def __post_init__(self) -> None:
        for name, values, known in (
            ("outcomes", self.outcomes, OUTCOMES),
            ("statuses", self.statuses, STATUSES),
        ):
            if not values or not {*values} <= {*known}:
                raise LratError(f"Agent training: expected {name} out of {', '.join(known)}, found {values}.")
        if not 0 <= self.min_evidence <= 1:
            raise LratError(f"Agent training: expected min_evidence from 0 to 1, found {self.min_evidence}.")
        if self.max_length < 1 or min(self.max_run_steps, self.max_runs) < 0 or self.max_invalid < -1:
            raise LratError(
                "Agent training: expected max_length of 1 or more, max_run_steps and max_runs of 0 or more, and "
                f"max_invalid of -1 or more; found {self.max_length}, {self.max_run_steps}, {self.max_runs} and "
                f"{self.max_invalid}."
            )


@dataclass(frozen=True, kw_only=True)
class AgentFitSettings:
    """How an agent's model is fitted to conversations. Nothing of it is the paper's, which trains no agent."""

    epochs: float = option(2.0, "Number of passes over the runs.", group="essentials")
    max_steps: int = option(
        -1, "Number of optimizer steps, in place of `epochs`; -1 counts epochs.", group="essentials"
    )
    batch_size: int = option(1, "Conversations per device and forward pass.")
    gradient_accumulation_steps: int = option(8, "Batches per optimizer step.")
    learning_rate: float | None = option(
        None,
        "Peak learning rate, decayed linearly to 0; by default 2e-5 for whole models and 2e-4 for "
        "adapters, with grpo 1e-6 and 1e-5.",
        group="essentials",
    )
    warmup_ratio: float = option(
        0.1, "Share of the steps over which the learning rate rises linearly from 0 to its peak."
    )
    weight_decay: float = option(0.0, "AdamW weight decay.")
    lora_rank: int = option(
        0,
        "Rank of LoRA adapters on all linear layers, which are trained in place of the weights and merged "
        "at the end; 0 trains all weights.",
        group="essentials",
    )
    precision: Literal["fp32", "bf16"] = option(
        "fp32", "Precision of the computation. Weights that are trained are kept in fp32 whatever it is."
    )
    published_dtype: Literal["base", "fp32"] = option(
        "base", "Type of the published weights: `base` as the checkpoint holds them, or `fp32`."
    )
    gradient_checkpointing: bool = option(False, "Recompute activations in the backward pass, which saves memory.")
    validation_share: float = option(
        0.0, "Share of the questions whose runs are held out to measure the loss before and after."
    )
    save_steps: int = option(0, "Optimizer steps between checkpoints; 0 means a tenth of the run.")
    seed: int = option(0, "Random seed of the order of runs and of adapters.")

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "gradient_accumulation_steps", "learning_rate"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise LratError(f"Agent training: expected {name} above 0, found {value}.")
        if self.max_steps == 0 or self.max_steps < -1:
            raise LratError(
                f"Agent training: expected max_steps above 0, or -1 to count epochs, found {self.max_steps}."
            )
        for name in ("weight_decay", "lora_rank", "save_steps", "seed"):
            if not getattr(self, name) >= 0:
                raise LratError(f"Agent training: expected {name} of 0 or more, found {getattr(self, name)}.")
        for name in ("warmup_ratio", "validation_share"):
            if not 0 <= getattr(self, name) < 1:
                raise LratError(f"Agent training: expected {name} from 0 to below 1, found {getattr(self, name)}.")

    @property
    def peak(self) -> float:
        """The peak learning rate."""
        return self.learning_rate or (2e-4 if self.lora_rank else 2e-5)

    def __str__(self) -> str:
        what = f"adapters of rank {self.lora_rank}" if self.lora_rank else "all weights"
        return f"{what}, peak learning rate {self.peak:g}"
