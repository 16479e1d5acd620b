"""sentence-transformers' trainer around the weighted loss, in one process or several."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import torch
from datasets import Dataset
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.base.sampler import DefaultBatchSampler
from torch.utils.data import SequentialSampler
from transformers import EarlyStoppingCallback, TrainerCallback, TrainerState

from lrat_hub.encoders import as_master_weights
from lrat_hub.errors import LratError
from lrat_hub.fitting.anchor import encode_base
from lrat_hub.fitting.choices import choose_settings, settled
from lrat_hub.fitting.movement import SAMPLED_DOCUMENTS, Base, Movement, movement_of
from lrat_hub.fitting.parameters import choose_parameters, merge_adapters
from lrat_hub.fitting.rows import TrainingRows, pair_collator, stable_order
from lrat_hub.fitting.runs import STATE_FILE, is_first, last_checkpoint, processes, shared_folder
from lrat_hub.fitting.settings import FitSettings
from lrat_hub.losses import CachedWeightedMultipleNegativesRankingLoss, WeightedMultipleNegativesRankingLoss

BASE_FILE = "base.safetensors"
"""The weights before the first step, beside the checkpoints while the run lasts."""

CURVE_POINTS = 20
"""Maximum number of points of the loss curve."""

CHECKPOINTS_PER_RUN = 10
"""Checkpoints, and validations, of a run whose settings don't say how often."""


@dataclass(frozen=True)
class FitResult:
    """The outcome of a run.

    Args:
        model: The trained model: the one that was given, unless its parameters were spread over devices.
        log: One row per measurement: `step`, and `loss` with `learning_rate`, or `eval_loss`.
        best_step: The step whose model it is, where it was chosen by its loss on the validation pairs.
        movement: What changed; None in all processes but the first.
    """

    model: SentenceTransformer
    log: list[dict[str, float]]
    best_step: int | None = None
    movement: Movement | None = None

    @property
    def final_loss(self) -> float:
        return next(row["loss"] for row in reversed(self.log) if "loss" in row)


def fit_retriever(
    model: SentenceTransformer,
    rows: TrainingRows,
    settings: FitSettings,
    *,
    validation: TrainingRows | None = None,
    work_dir: Path | None = None,
    on_checkpoint: Callable[[Path, int], Any] | None = None,
    report_to: Literal["none", "tensorboard", "trackio"] = "none",
    run_name: str | None = None,
    workers: int = 0,
    base_dtype: torch.dtype | None = None,
) -> FitResult:
    """Trains a model, in place, with weights in fp32.

    In every process of a distributed run it is called with the same arguments.

    Args:
        rows: Made with the same settings.
        validation: Pairs whose loss is watched, made with the same settings.
        work_dir: Where checkpoints stay. A run that was killed goes on from its last one when it is called again, and
            ends with the weights of one that was not. All processes have to see the folder. Without it nothing stays.
        on_checkpoint: Called in the first process with the folder and step of every checkpoint.
        run_name: What Trackio calls the run, in its project "lrat-hub".
        workers: Processes that read and tokenise; 0 for none besides this one.
        base_dtype: What the checkpoint holds, where `as_master_weights` has been called before.

    Raises:
        LratError: The model, the rows and the settings don't fit together, or the training diverged.
    """
    settings, _ = choose_settings(model, settings)
    base_dtype = base_dtype or as_master_weights(model)
    steps = count_steps(rows, settings)
    _require_negatives(rows, settings)
    if validation is not None and processes().num_processes > 1:
        # Several processes leave out what does not fill a batch each, here as well.
        count_steps(validation, settings)
    with shared_folder(work_dir) as folder:
        arguments = SentenceTransformerTrainingArguments(
            output_dir=str(folder),
            max_steps=settings.max_steps,
            num_train_epochs=settings.epochs,
            per_device_train_batch_size=settings.batch_size,
            per_device_eval_batch_size=settings.batch_size,
            gradient_accumulation_steps=settings.gradient_accumulation_steps,
            learning_rate=settled(settings.learning_rate, "learning_rate"),
            warmup_steps=settings.warmup_ratio,
            weight_decay=settings.weight_decay,
            seed=settings.seed,
            batch_sampler=_EpochBatches,
            report_to=report_to,
            run_name=run_name,
            **({"project": "lrat-hub"} if report_to == "trackio" else {}),
            dataloader_num_workers=workers,
            dataloader_pin_memory=torch.cuda.is_available(),
            **_computation(settings),
            **_saving(settings, steps, validation=validation, keeps=bool(work_dir or on_checkpoint)),
        )
        # They are for sentence-transformers' own card, which ours replaces.
        model.model_card_data.generate_widget_examples = False
        base = None
        if is_first():
            sample = stable_order(rows.docids(), settings.seed)[:SAMPLED_DOCUMENTS]
            base = Base(
                model, folder / BASE_FILE, [rows.documents[docid] for docid in sample],
                dtype=base_dtype, max_length=settings.document_length,
            )  # fmt: skip
        base_vectors = None
        if settings.document_anchor:
            documents, docids = rows.documents, rows.docids()
            if validation is not None:
                docids = sorted({*docids, *validation.docids()})
            base_vectors = encode_base(
                model, documents, docids, folder / "base_vectors", max_length=settings.document_length
            )
        choose_parameters(model, settings)
        collator = pair_collator(model, rows, settings)
        collator.base_vectors = base_vectors
        trainer = SentenceTransformerTrainer(
            model=model,
            args=arguments,
            train_dataset=rows.view(),
            eval_dataset=validation.view() if validation is not None else None,
            data_collator=collator,
            loss=make_loss(model, settings),
            callbacks=_callbacks(rows, settings, on_checkpoint),
        )
        checkpoint = last_checkpoint(folder) if work_dir else None
        if checkpoint and _is_finished(checkpoint, steps):
            _load_finished(trainer, checkpoint)
        else:
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
            trainer.save_model(str(folder / "whole"))
            trainer.accelerator.wait_for_everyone()
            model = SentenceTransformer(str(folder / "whole"))
        if settings.lora_rank:
            merge_adapters(model)
        if not all(torch.isfinite(parameter).all() for parameter in model.parameters()):
            raise LratError(
                "Training: expected finite parameters at its end, found others: it diverged. Lower learning_rate."
            )
        dtype = base_dtype if settings.published_dtype == "base" else torch.float32
        # What is published, rounded to its type, is compared with the base by the same arithmetic.
        model.to(dtype).float()
        movement = None
        if base is not None:
            movement = movement_of(base, model, trainer.state.log_history, base_dtype=base_dtype, dtype=dtype)
            (folder / BASE_FILE).unlink()
        model.to(dtype)
    state = trainer.state
    best = state.best_model_checkpoint if settings.patience else None
    return FitResult(
        model,
        [row for row in state.log_history if "loss" in row or "eval_loss" in row],
        int(best.rpartition("-")[2]) if best else None,
        movement,
    )


def make_loss(
    model: SentenceTransformer, settings: FitSettings
) -> WeightedMultipleNegativesRankingLoss | CachedWeightedMultipleNegativesRankingLoss:
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
    if not settings.mini_batch_size:
        return WeightedMultipleNegativesRankingLoss(model, **options)
    try:
        return CachedWeightedMultipleNegativesRankingLoss(model, mini_batch_size=settings.mini_batch_size, **options)
    except ValueError as error:
        raise LratError(f"Training: {' '.join(str(error).split())} Set mini_batch_size to 0.") from error


def count_steps(rows: TrainingRows, settings: FitSettings) -> int:
    """Optimiser steps of a run in this number of processes.

    Raises:
        LratError: There are too few pairs for a single one.
    """
    count = processes().num_processes
    batch = settings.batch_size * count
    # Several processes must have the same number of batches: what is left at the end of an epoch waits for the next.
    batches = len(rows) // batch if count > 1 else -(-len(rows) // batch)
    if not batches:
        raise LratError(
            f"Training: expected {batch} pairs or more, a batch for each of {count} processes, found {len(rows)}. "
            "Lower batch_size."
        )
    updates = -(-batches // settings.gradient_accumulation_steps)
    return settings.max_steps if settings.max_steps > 0 else math.ceil(updates * settings.epochs)


class _EpochBatches(DefaultBatchSampler):
    """Batches of all rows in an order that depends on the seed and the epoch alone, so that a run can go on anywhere.

    The epoch is that of the rows: the trainer's own calls of `set_epoch` don't reach a sampler that skips batches.
    """

    def __init__(self, dataset: Dataset, batch_size: int, drop_last: bool, seed: int = 0, **_: Any) -> None:
        # torch's base class takes a sampler where sentence-transformers' signature says dataset.
        sampler = cast(Dataset, SequentialSampler(dataset))
        super().__init__(sampler, batch_size=batch_size, drop_last=drop_last, seed=seed)
        self._size = len(dataset)
        self._rows: TrainingRows = dataset.format["format_kwargs"]["transform"].__self__

    def __iter__(self) -> Iterator[list[int]]:
        rng = torch.Generator().manual_seed(self.seed * 1_000_003 + self._rows.epoch)
        order = torch.randperm(self._size, generator=rng).tolist()
        for start in range(0, len(order), self.batch_size):
            batch = order[start : start + self.batch_size]
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch


class _EpochOfRows(TrainerCallback):
    def __init__(self, rows: TrainingRows) -> None:
        self.rows = rows

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        # A run that goes on within an epoch starts with a fraction of it.
        self.rows.epoch = int(state.epoch or 0)


class _OnCheckpoint(TrainerCallback):
    def __init__(self, call: Callable[[Path, int], Any]) -> None:
        self.call = call

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.is_world_process_zero:
            self.call(Path(args.output_dir) / f"checkpoint-{state.global_step}", state.global_step)


def _is_finished(checkpoint: Path, steps: int) -> bool:
    return TrainerState.load_from_json(str(checkpoint / STATE_FILE)).global_step >= steps


def _load_finished(trainer: SentenceTransformerTrainer, checkpoint: Path) -> None:
    """Ends a run with its last checkpoint: going on from there, the trainer would make one step too many."""
    trainer.state = TrainerState.load_from_json(str(checkpoint / STATE_FILE))
    best = trainer.state.best_model_checkpoint if trainer.args.load_best_model_at_end else None
    trainer._load_from_checkpoint(best or str(checkpoint))


def _callbacks(
    rows: TrainingRows, settings: FitSettings, on_checkpoint: Callable[[Path, int], Any] | None
) -> list[TrainerCallback]:
    callbacks: list[TrainerCallback] = [_EpochOfRows(rows)]
    if settings.patience:
        callbacks.append(EarlyStoppingCallback(early_stopping_patience=settings.patience))
    if on_checkpoint:
        callbacks.append(_OnCheckpoint(on_checkpoint))
    return callbacks


def _saving(settings: FitSettings, steps: int, *, validation: TrainingRows | None, keeps: bool) -> dict[str, Any]:
    """When the trainer writes checkpoints and watches the validation pairs."""
    if settings.patience and validation is None:
        raise LratError("Training: patience needs pairs to watch, found none.")
    every = settings.save_steps or max(1, steps // CHECKPOINTS_PER_RUN)
    options: dict[str, Any] = {
        "save_strategy": "steps" if keeps or settings.patience else "no",
        "save_steps": every,
        # A run that is stopped early has a loss to show as well.
        "logging_steps": max(1, min(steps // CURVE_POINTS, every)),
    }
    if validation is not None:
        options |= {"eval_strategy": "steps", "eval_steps": every}
    if settings.patience:
        options |= {"load_best_model_at_end": True, "metric_for_best_model": "eval_loss", "greater_is_better": False}
    return options | {"save_total_limit": 2}


def _computation(settings: FitSettings) -> dict[str, Any]:
    """Where and how exactly is computed."""
    on_cpu = not torch.accelerator.is_available()
    if settings.precision == "fp16" and on_cpu:
        raise LratError("Training: fp16 needs a GPU, found none. Use bf16 or fp32.")
    options: dict[str, Any] = {"bf16": settings.precision == "bf16", "fp16": settings.precision == "fp16"}
    if settings.gradient_checkpointing:
        options |= {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": False}}
    if on_cpu:
        options |= {"use_cpu": True} | ({"ddp_backend": "gloo"} if processes().num_processes > 1 else {})
    return options


def _require_negatives(rows: TrainingRows, settings: FitSettings) -> None:
    alone = settings.batch_size * (processes().num_processes if settings.gather_across_devices else 1) == 1
    if alone and not (settings.num_negatives and rows.pool_sizes.any()):
        raise LratError(
            "Training: expected negatives in every batch, found batches of one pair without mined negatives. "
            "Raise batch_size, or num_negatives for pairs that have some."
        )
