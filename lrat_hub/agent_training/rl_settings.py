"""Settings of reinforcement learning; no heavy import, so that options can be read and shown quickly."""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import isfinite
from typing import Literal

from lrat_hub.errors import LratError
from lrat_hub.option import option

Rewards = dict[str, float | None]
"""Parts of a reward by name, each from 0 to 1; None where nobody can tell."""


@dataclass(frozen=True, kw_only=True)
class RewardSettings:
    """How much each part of the reward counts."""

    answer: float = option(1.0, "Weight of the reward for the answer: 1 if right, 0 if wrong.", group="essentials")
    evidence_found: float = option(0.2, "Weight of the share of evidence documents that a search has listed.")
    evidence_opened: float = option(0.2, "Weight of the share of evidence documents that the agent has opened.")
    steps: float = option(
        0.0, "Weight of the share of turns that a run with a right answer has left; 0 for a wrong one."
    )
    format: float = option(
        0.2,
        "Weight of the share of actions, the answer among them, that could be carried out; 0 for a run "
        "without a search.",
    )

    def __post_init__(self) -> None:
        if not all(map(isfinite, self.weights.values())):
            raise LratError(f"Rewards: expected finite weights, found {self.weights}.")
        if not any(self.weights.values()):
            raise LratError("Rewards: expected a weight that is not 0, found none. Give one.")

    @property
    def weights(self) -> dict[str, float]:
        return {part.name: getattr(self, part.name) for part in fields(self)}

    def total(self, rewards: Rewards) -> float:
        """The weighted sum; parts that nobody can tell count nothing."""
        return sum(weight * (rewards.get(name) or 0.0) for name, weight in self.weights.items())


@dataclass(frozen=True, kw_only=True)
class GRPOSettings:
    """How runs are sampled and what is learned from them (GRPO, https://huggingface.co/papers/2402.03300)."""

    trainer: Literal["grpo", "async"] = option(
        "grpo",
        "Trainer of TRL: grpo alternates between making runs and learning from them; async makes runs at "
        "the same time on a vLLM server, which needs GPUs.",
    )
    num_generations: int = option(8, "Runs per question, which are compared with one another.", group="essentials")
    max_completion_length: int = option(
        8_192, "Maximum number of tokens of a run after its prompt: replies and results together.", group="essentials"
    )
    result_tokens: int = option(
        0,
        "Number of tokens of results that a run is shown before it is asked for its answer; 0 for three "
        "quarters of `max_completion_length`.",
    )
    temperature: float = option(1.0, "Sampling temperature.")
    top_p: float = option(1.0, "Probability mass of nucleus sampling.")
    beta: float = option(0.0, "Weight of the divergence from the model at the start; 0 needs no copy of that.")
    loss_type: Literal["dapo", "grpo", "dr_grpo", "bnpo"] = option(
        "dapo", "How the loss is averaged over tokens; see TRL's GRPOConfig."
    )
    scale_rewards: Literal["group", "batch", "none"] = option(
        "group", "Standard deviation that advantages are divided by."
    )
    mask_truncated: bool = option(False, "Learn nothing from runs that were cut off at `max_completion_length`.")
    thinking: Literal["template", "on", "off"] = option(
        "template", "Whether the chat template lets the model think, where it has `enable_thinking`."
    )
    vllm: Literal["off", "server", "colocate"] = option(
        "off",
        "Engine that generates replies: off, the model itself; server, `trl vllm-serve` at `vllm_url`; "
        "colocate, a vLLM in the training processes.",
        group="essentials",
    )
    vllm_url: str = option("", "Address of the vLLM server, such as http://127.0.0.1:8000.", recipe=False)
    vllm_memory: float = option(0.3, "Share of a GPU's memory that a colocated vLLM takes.", recipe=False)
    vllm_tensor_parallel: int = option(1, "Number of GPUs that a colocated vLLM is spread over.", recipe=False)

    def __post_init__(self) -> None:
        if self.num_generations < 2:
            raise LratError(
                "GRPO: expected num_generations of 2 or more, which are compared with one another, found "
                f"{self.num_generations}."
            )
        for name in ("max_completion_length", "vllm_tensor_parallel"):
            if getattr(self, name) < 1:
                raise LratError(f"GRPO: expected {name} of 1 or more, found {getattr(self, name)}.")
        if not self.temperature > 0 or not 0 < self.top_p <= 1 or self.beta < 0 or not 0 < self.vllm_memory < 1:
            raise LratError(
                "GRPO: expected temperature above 0, top_p above 0 and up to 1, beta of 0 or more, and vllm_memory "
                f"between 0 and 1; found {self.temperature}, {self.top_p}, {self.beta} and {self.vllm_memory}."
            )
        if not 0 <= self.result_tokens < self.max_completion_length:
            raise LratError(
                f"GRPO: expected result_tokens of 0 or more and below max_completion_length "
                f"({self.max_completion_length}), found {self.result_tokens}."
            )
        serves = self.vllm == "server" or self.trainer == "async"
        if serves != bool(self.vllm_url):
            found = repr(self.vllm_url) if self.vllm_url else "none"
            raise LratError(
                f"GRPO: expected vllm_url where a vLLM server generates (vllm=server or trainer=async), and only "
                f"there, found {found} with vllm={self.vllm} and trainer={self.trainer}."
            )
        if self.trainer == "async" and self.vllm != "server":
            raise LratError(
                f"GRPO: the trainer async generates on a vLLM server, found vllm={self.vllm}. Take vllm=server."
            )
        if self.trainer == "async" and (self.beta or self.mask_truncated or self.scale_rewards != "group"):
            raise LratError(
                "GRPO: TRL's asynchronous trainer has neither beta nor mask_truncated nor another scale_rewards than "
                "group. Leave them out, or take trainer=grpo."
            )

    @property
    def shown_tokens(self) -> int:
        """Tokens of results that a run is shown."""
        return self.result_tokens or max(1, self.max_completion_length * 3 // 4)

    def template_options(self) -> dict[str, bool]:
        return {} if self.thinking == "template" else {"enable_thinking": self.thinking == "on"}
