"""TRL's GRPO on search environments: an agent's model learns from what its own runs earn."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from lrat_hub.agent_training.environment import SearchEnv
from lrat_hub.agent_training.rewards import RewardFunctions
from lrat_hub.agent_training.rl_settings import GRPOSettings
from lrat_hub.agent_training.settings import AgentFitSettings
from lrat_hub.agent_training.sft import adapters, sample_weights, train_or_resume, trained_model, trainer_options
from lrat_hub.errors import LratError
from lrat_hub.fitting.runs import processes, shared_folder
from lrat_hub.hub.figures import as_png, new_panels

PEAK, PEAK_OF_ADAPTERS = 1e-6, 1e-5
"""Peak learning rates where none is given: for whole models, and for adapters."""


@dataclass(frozen=True)
class GRPOResult:
    """The outcome of a training.

    Args:
        model: The trained model, whole: adapters are merged.
        log: One row a step: `step`, `reward`, the mean of each part of the reward as `rewards/NAME/mean`, and what
            else TRL measures.
        changed: Share of the sampled weights that differ from the base's, as both are stored.
    """

    model: PreTrainedModel
    log: list[dict[str, float]]
    changed: float

    @property
    def rewards(self) -> tuple[float, float]:
        """The mean reward of the first and of the last fifth of the steps."""
        values = [row["reward"] for row in self.log]
        fifth = max(1, len(values) // 5)
        return sum(values[:fifth]) / fifth, sum(values[-fifth:]) / fifth

    def parts(self) -> dict[str, float]:
        """The mean of each part of the reward over the last fifth of the steps."""
        last = self.log[-max(1, len(self.log) // 5) :]
        return {name: sum(values) / len(values) for name, values in parts_of(last).items()}

    def __str__(self) -> str:
        first, last = self.rewards
        return (
            f"weights that changed: {self.changed:.2%} of a sample; mean reward {first:.4g} -> {last:.4g} "
            f"(first and last fifth of {len(self.log)} steps)"
        )

    def to_dict(self) -> dict[str, Any]:
        first, last = self.rewards
        return {"first_reward": first, "final_reward": last, "changed": self.changed, "steps": len(self.log)}


def fit_agent_by_rewards(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    questions: Dataset,
    environment: Callable[[], SearchEnv],
    rewards: RewardFunctions,
    settings: AgentFitSettings,
    sampling: GRPOSettings,
    *,
    work_dir: Path | None = None,
    base_dtype: torch.dtype = torch.float32,
    report_to: Literal["none", "tensorboard", "trackio"] = "none",
) -> GRPOResult:
    """Trains a model by GRPO: it searches, and what earned more than the other runs of its question becomes likelier.

    Args:
        tokenizer: From `prepare_tokenizer`.
        questions: From `question_rows`.
        environment: From `SearchEnv.over`, or a `SearchEnvFactory`, which alone goes to another process; without a
            `get_reward` of its own.
        rewards: Of the same prompt and limits.
        work_dir: Where checkpoints stay. A training that was killed goes on from its last one when it is called
            again. Without it nothing stays.
        base_dtype: The type of the checkpoint's weights.

    Raises:
        LratError: The numbers of runs don't fit together, something that generates is missing, or the training
            diverged or changed nothing.
    """
    dtype = base_dtype if settings.published_dtype == "base" else torch.float32
    require_generator(sampling)
    with shared_folder(work_dir) as folder:
        before = sample_weights(model, dtype)
        common = _common(folder, settings, sampling, rewards)
        common |= {"save_strategy": "steps" if work_dir else "no", "report_to": report_to}
        parts: dict[str, Any] = {
            "train_dataset": questions,
            "processing_class": tokenizer,
            "environment_factory": environment,
            "peft_config": adapters(settings) if settings.lora_rank else None,
        }
        if sampling.trainer == "async":
            trainer = _asynchronous(str(model.name_or_path), common, sampling, rewards, parts)
        else:
            trainer = _Trainer(
                tools=rewards.prompt.tools,
                model=model,
                args=_config(common, sampling, rewards),
                reward_funcs=rewards.functions(),
                **parts,
            )
        train_or_resume(trainer, folder if work_dir else None)
        log = [row for row in trainer.state.log_history if "reward" in row]
    if not any(row["reward_std"] for row in log):
        raise LratError(
            f"GRPO: expected runs of which some earn more than others, found that all earned the same in "
            f"{len(log)} steps, so that there was nothing to learn. Start from a model that finds something now and "
            "then, or give other parts of the reward a weight."
        )
    trained, changed = trained_model(trainer, settings, before, dtype)
    return GRPOResult(trained, log, changed)


class _Trainer(GRPOTrainer):
    """TRL's trainer, which shows the tools as rollouts do: as the prompt has them, in its order.

    TRL makes their schemas from the methods of the environment, in the order of the alphabet.
    """

    def __init__(self, *, tools: Sequence[Mapping[str, Any]], **options: Any) -> None:
        with warnings.catch_warnings():
            # That environments may still change is why tests hold what is used of them.
            warnings.filterwarnings("ignore", "You are using 'environment_factory'")
            super().__init__(**options)
        if set(getattr(self, "_env_tools", {})) != {None}:
            raise LratError(
                "GRPO: expected TRL 1.16, or a version that keeps the tools of an environment in the same way. "
                "Install trl==1.16."
            )
        self._env_tools = {None: [*tools]}


def require_generator(sampling: GRPOSettings) -> None:
    """Raises LratError where what generates is not installed, or this machine can't run it."""
    if sampling.vllm == "off":
        return
    if find_spec("vllm") is None:
        raise LratError(
            f"GRPO: vllm={sampling.vllm} needs vLLM, which is not installed. Install it with: pip install trl[vllm]"
        )
    if not torch.accelerator.is_available():
        raise LratError(
            f"GRPO: vllm={sampling.vllm} needs a GPU, to which trained weights are sent, found none. Take vllm=off."
        )


def _common(
    folder: Path, settings: AgentFitSettings, sampling: GRPOSettings, rewards: RewardFunctions
) -> dict[str, Any]:
    """What both trainers of TRL are configured with."""
    generated = settings.batch_size * settings.gradient_accumulation_steps * processes().num_processes
    if generated % sampling.num_generations:
        raise LratError(
            f"GRPO: expected batch_size x gradient_accumulation_steps x processes ({generated}) to be a multiple of "
            f"num_generations ({sampling.num_generations}), so that all runs of a question are in one step."
        )
    return {
        **trainer_options(folder, settings, peak_of(settings)),
        "num_generations": sampling.num_generations,
        "max_completion_length": sampling.max_completion_length,
        "max_tool_calling_iterations": rewards.max_turns,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "chat_template_kwargs": sampling.template_options(),
        "logging_steps": 1,
    }


def _config(common: Mapping[str, Any], sampling: GRPOSettings, rewards: RewardFunctions) -> GRPOConfig:
    return GRPOConfig(
        **common,
        beta=sampling.beta,
        loss_type=sampling.loss_type,
        scale_rewards=sampling.scale_rewards,
        mask_truncated_completions=sampling.mask_truncated,
        reward_weights=rewards.weights,
        use_vllm=sampling.vllm != "off",
        vllm_mode=sampling.vllm if sampling.vllm != "off" else "server",
        vllm_server_base_url=sampling.vllm_url or None,
        vllm_gpu_memory_utilization=sampling.vllm_memory,
        vllm_tensor_parallel_size=sampling.vllm_tensor_parallel,
    )


def _asynchronous(
    model: str, common: Mapping[str, Any], sampling: GRPOSettings, rewards: RewardFunctions, parts: Mapping[str, Any]
) -> Trainer:
    """TRL's trainer that makes runs in another process meanwhile; rewards have their weights in them there."""
    from trl.experimental.async_grpo.async_grpo_trainer import AsyncGRPOTrainer

    functions: list[Any] = [*rewards.functions(scaled=True)]
    return AsyncGRPOTrainer(model, args=_async_config(common, sampling), reward_funcs=functions, **parts)


def _async_config(common: Mapping[str, Any], sampling: GRPOSettings) -> Any:
    from trl.experimental.async_grpo.async_grpo_config import AsyncGRPOConfig

    return AsyncGRPOConfig(**common, vllm_server_base_url=sampling.vllm_url)


def peak_of(settings: AgentFitSettings) -> float:
    """The peak learning rate."""
    return settings.learning_rate or (PEAK_OF_ADAPTERS if settings.lora_rank else PEAK)


def parts_of(log: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """Each part of the reward by its name: its mean at every step."""
    logged = {key: key.split("/")[1] for key in log[-1] if key.startswith("rewards/") and key.endswith("/mean")}
    return {name: [row[key] for row in log] for key, name in logged.items()}


def reward_curve(log: Sequence[Mapping[str, float]]) -> bytes:
    """A PNG of the mean reward at every step, and of its parts."""
    figure, (axes,) = new_panels(1, 1, 6.4, 3.6)
    steps = [row["step"] for row in log]
    axes.plot(steps, [row["reward"] for row in log], label="reward", color="black")
    for name, values in parts_of(log).items():
        axes.plot(steps, values, label=name.replace("_", " "), linewidth=1)
    axes.set(xlabel="step", ylabel="mean")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return as_png(figure)
