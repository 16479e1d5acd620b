"""TRL's trainer on conversations: an agent's model learns to say what successful runs said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer, TrainerState
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from lrat_hub.agent_training.settings import AgentFitSettings
from lrat_hub.agent_training.tokens import TokenizedRuns
from lrat_hub.errors import LratError
from lrat_hub.fitting.movement import LEAST_CHANGED
from lrat_hub.fitting.runs import STATE_FILE, last_checkpoint, shared_folder

if TYPE_CHECKING:
    from lrat_hub.hub.inputs import Source

SAMPLED_WEIGHTS = 1_024
"""Weights of each tensor that are compared before and after."""

CURVE_POINTS = 20
CHECKPOINTS_PER_RUN = 10


@dataclass(frozen=True)
class AgentFitResult:
    """The outcome of a training.

    Args:
        model: The trained model, whole: adapters are merged.
        log: One row per measurement: `step`, and `loss` with `learning_rate`.
        changed: Share of the sampled weights that differ from the base's, as both are stored.
        validation: Mean loss per token on held-out runs, before and after; None without any.
    """

    model: PreTrainedModel
    log: list[dict[str, float]]
    changed: float
    validation: tuple[float, float] | None = None

    @property
    def losses(self) -> tuple[float, float]:
        """The first and the last loss that was logged."""
        losses = [row["loss"] for row in self.log if "loss" in row]
        return losses[0], losses[-1]

    def __str__(self) -> str:
        first, last = self.losses
        watched = f"; on held-out runs {self.validation[0]:.4g} -> {self.validation[1]:.4g}" if self.validation else ""
        return f"weights that changed: {self.changed:.2%} of a sample; loss {first:.4g} -> {last:.4g}{watched}"

    def to_dict(self) -> dict[str, Any]:
        first, last = self.losses
        values: dict[str, Any] = {"first_loss": first, "final_loss": last, "changed": self.changed}
        return values | ({"validation_loss": [*self.validation]} if self.validation else {})


def load_agent_model(source: Source, settings: AgentFitSettings) -> tuple[PreTrainedModel, torch.dtype]:
    """A language model at a pin, and the type of its weights in the checkpoint.

    Weights that are trained are loaded in fp32; with adapters the base keeps its own type.

    Raises:
        LratError: It can't be loaded, or needs code of its own.
    """
    from transformers import AutoModelForCausalLM

    from lrat_hub.hub.inputs import fetch_folder, first_line

    try:
        # Code that comes with a model never runs.
        model = AutoModelForCausalLM.from_pretrained(fetch_folder(source), dtype="auto", trust_remote_code=False)
    except LratError:
        raise
    except Exception as error:
        raise LratError(f"{source}: expected a language model; {first_line(error)}") from error
    dtype = model.dtype
    return (model if settings.lora_rank else model.float()), dtype


def fit_agent(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    runs: TokenizedRuns,
    settings: AgentFitSettings,
    *,
    validation: TokenizedRuns | None = None,
    work_dir: Path | None = None,
    base_dtype: torch.dtype = torch.float32,
    report_to: Literal["none", "tensorboard", "trackio"] = "none",
) -> AgentFitResult:
    """Trains a model on runs by supervised fine-tuning.

    Args:
        runs: From `tokenize_runs`; at least one.
        validation: Runs of other questions, whose loss is measured before and after.
        work_dir: Where checkpoints stay. A training that was killed goes on from its last one when it is called
            again. Without it nothing stays.
        base_dtype: The type of the checkpoint's weights.

    Raises:
        LratError: There is nothing to train on, peft is missing, or the training diverged or changed nothing.
    """
    if not runs.rows:
        raise LratError("Agent training: expected runs to learn from, found none.")
    dtype = base_dtype if settings.published_dtype == "base" else torch.float32
    with shared_folder(work_dir) as folder:
        arguments = SFTConfig(
            **trainer_options(folder, settings, settings.peak),
            per_device_eval_batch_size=settings.batch_size,
            use_cpu=not torch.accelerator.is_available(),
            # Conversations are tokenized, marked and cut before, where each of them is accounted for.
            max_length=None,
            save_strategy="steps" if work_dir else "no",
            logging_steps=1.0 / CURVE_POINTS,
            report_to=report_to,
        )
        before = sample_weights(model, dtype)
        trainer = SFTTrainer(
            model=model,
            args=arguments,
            train_dataset=Dataset.from_list(runs.rows),
            eval_dataset=Dataset.from_list(validation.rows) if validation and validation.rows else None,
            processing_class=tokenizer,
            peft_config=adapters(settings) if settings.lora_rank else None,
        )
        if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
            raise LratError(
                "Agent training: expected a whole model in each process, found one that is spread over devices. Train "
                "adapters (lora_rank), or start one process a device without FSDP and DeepSpeed."
            )
        held_out = [trainer.evaluate()["eval_loss"]] if trainer.eval_dataset is not None else []
        train_or_resume(trainer, folder if work_dir else None)
        if trainer.eval_dataset is not None:
            held_out.append(trainer.evaluate()["eval_loss"])
        log = [row for row in trainer.state.log_history if "loss" in row]
    trained, share = trained_model(trainer, settings, before, dtype, least_changed=LEAST_CHANGED)
    return AgentFitResult(trained, log, share, (held_out[0], held_out[1]) if held_out else None)


def trainer_options(folder: Path, settings: AgentFitSettings, peak: float) -> dict[str, Any]:
    """What every trainer of TRL is configured with; `peak` is the peak learning rate."""
    return {
        "output_dir": str(folder),
        "max_steps": settings.max_steps,
        "num_train_epochs": settings.epochs,
        "per_device_train_batch_size": settings.batch_size,
        "gradient_accumulation_steps": settings.gradient_accumulation_steps,
        "learning_rate": peak,
        "lr_scheduler_type": "linear",
        "warmup_steps": settings.warmup_ratio,
        "weight_decay": settings.weight_decay,
        "bf16": settings.precision == "bf16",
        "gradient_checkpointing": settings.gradient_checkpointing,
        "seed": settings.seed,
        "data_seed": settings.seed,
        "save_steps": settings.save_steps or 1.0 / CHECKPOINTS_PER_RUN,
        "save_total_limit": 2,
        "logging_strategy": "steps",
        "dataloader_pin_memory": torch.accelerator.is_available(),
        "disable_tqdm": None,
    }


def train_or_resume(trainer: Trainer, folder: Path | None) -> None:
    """Trains, from the last checkpoint in a folder where there is one."""
    checkpoint = last_checkpoint(folder) if folder else None
    if checkpoint and _is_finished(checkpoint):
        trainer.state = TrainerState.load_from_json(str(checkpoint / STATE_FILE))
        trainer._load_from_checkpoint(str(checkpoint))
    else:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)


def trained_model(
    trainer: Trainer,
    settings: AgentFitSettings,
    before: Mapping[str, torch.Tensor],
    dtype: torch.dtype,
    *,
    least_changed: float = 0.0,
) -> tuple[PreTrainedModel, float]:
    """The model of a trainer, whole and in the type it is published in, and the share of weights that changed.

    Args:
        before: From `sample_weights`, before the training.
        least_changed: The share of weights that have to have changed; some have to in any case.

    Raises:
        LratError: The training diverged, or changed too little.
    """
    trained: Any = trainer.accelerator.unwrap_model(trainer.model)
    trained = trained.merge_and_unload() if settings.lora_rank else trained
    trained.to(dtype)
    if not all(torch.isfinite(parameter).all() for parameter in trained.parameters()):
        raise LratError(
            "Agent training: expected finite parameters at its end, found others: it diverged. Lower learning_rate."
        )
    after = sample_weights(trained, dtype)
    changed = sum(int((before[name] != values).sum()) for name, values in after.items())
    share = changed / sum(values.numel() for values in after.values())
    if share < least_changed or not share:
        raise LratError(
            f"Agent training: unchanged: {share:.2%} of a sample of the weights differ from the base's in {dtype}, "
            f"expected {least_changed:.0%} or more. Raise learning_rate or max_steps, or publish in fp32 "
            "(published_dtype)."
        )
    return trained, share


def adapters(settings: AgentFitSettings) -> Any:
    """The configuration of adapters. Raises LratError where peft is not installed."""
    try:
        from peft import LoraConfig
    except ImportError as error:
        raise LratError('Adapters: peft is not installed. Install it with: pip install "lrat-hub[lora]"') from error
    return LoraConfig(
        task_type="CAUSAL_LM", r=settings.lora_rank, lora_alpha=2 * settings.lora_rank, lora_dropout=0.0,
        target_modules="all-linear",
    )  # fmt: skip


def sample_weights(model: PreTrainedModel, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Some weights of each tensor, as they are stored."""
    return {
        name: values.detach().flatten()[:: max(1, values.numel() // SAMPLED_WEIGHTS)].to("cpu", dtype).clone()
        for name, values in model.named_parameters()
        if values.is_floating_point()
    }


def _is_finished(checkpoint: Path) -> bool:
    state = TrainerState.load_from_json(str(checkpoint / STATE_FILE))
    return state.global_step >= state.max_steps
