"""sentence-transformers' trainer around the weighted loss, in one process or several."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, cast

import torch
from datasets import Dataset
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.sampler import DefaultBatchSampler
from sentence_transformers.base.trainer import BaseTrainer
from torch.utils.data import SequentialSampler
from transformers import EarlyStoppingCallback, TrainerCallback, TrainerState

from lrat_hub.encoders import as_master_weights
from lrat_hub.errors import LratError
from lrat_hub.fitting.anchor import encode_base
from lrat_hub.fitting.choices import choose_settings, settled
from lrat_hub.fitting.kinds import kind_of
from lrat_hub.fitting.movement import Base, Movement, movement_of
from lrat_hub.fitting.parameters import choose_parameters, load_adapters, merge_adapters
from lrat_hub.fitting.rows import TrainingRows
from lrat_hub.fitting.runs import STATE_FILE, is_first, last_checkpoint, processes, shared_folder
from lrat_hub.fitting.settings import FitSettings
from lrat_hub.fitting.teacher import Teacher, needed_scores, teacher_scores

if TYPE_CHECKING:
    from lrat_hub.encoders.encoding import Ranker

ModelT = TypeVar("ModelT", bound="Ranker")

BASE_FILE = "base.safetensors"
"""The weights before the first step, beside the checkpoints while the run lasts."""

CURVE_POINTS = 20
"""Maximum number of points of the loss curve."""

CHECKPOINTS_PER_RUN = 10
"""Checkpoints, and validations, of a run whose settings don't say how often."""


@dataclass(frozen=True)
class FitResult(Generic[ModelT]):
    """The outcome of a run.

    Args:
        model: The trained model: the one that was given, unless its parameters were spread over devices.
        log: One row per measurement: `step`, and `loss` with `learning_rate`, or `eval_loss`.
        best_step: The step whose model it is, where it was chosen by its loss on the validation pairs.
        movement: What changed; None in all processes but the first.
    """

    model: ModelT
    log: list[dict[str, float]]
    best_step: int | None = None
    movement: Movement | None = None

    @property
    def final_loss(self) -> float:
        return next(row["loss"] for row in reversed(self.log) if "loss" in row)


def fit_retriever(
    model: ModelT,
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
    teacher: Teacher | None = None,
) -> FitResult[ModelT]:
    """Trains a model, in place, with weights in fp32: a SentenceTransformer, a MultiVectorEncoder or a CrossEncoder.

    In every process of a distributed run it is called with the same arguments.

    Args:
        model: The model to train, a SentenceTransformer or a CrossEncoder.
        rows: The training rows, made with the same settings.
        settings: The hyperparameters.
        validation: Pairs whose loss is measured during training, made with the same settings.
        work_dir: Where checkpoints stay. A run that was killed goes on from its last one when it is called again, and
            ends with the weights of one that was not. All processes have to see the folder. Without it nothing stays.
        on_checkpoint: Called in the first process with the folder and step of every checkpoint.
        run_name: What Trackio calls the run, in its project "lrat-hub".
        workers: Processes that read and tokenise; 0 for none besides this one.
        base_dtype: What the checkpoint holds, where `as_master_weights` has been called before.
        teacher: Whose scores a loss of distillation learns from. They are computed before the first step, for what
            the run will read, and stay in `work_dir`.

    Raises:
        LratError: The model, the rows and the settings don't fit together, or the training diverged.
    """
    kind = kind_of(model)
    for given in (rows, validation):
        if given is not None:
            given.require_settings(settings)
    settings, _ = choose_settings(model, settings)
    base_dtype = base_dtype or as_master_weights(model)
    steps = count_steps(rows, settings)
    kind.require_rows(rows, settings)
    if teacher is not None and not isinstance(teacher, Teacher):
        raise LratError(f"Training: expected a Teacher, as Teacher(model, name), found {type(teacher).__name__}.")
    if settings.distils != (teacher is not None):
        given = "one" if teacher else "none"
        raise LratError(
            f"Training: expected a teacher with the losses kl and margin_mse alone, found {given} with "
            f"{settings.loss}. Give both, or neither."
        )
    if validation is not None and processes().num_processes > 1:
        # Several processes leave out what does not fill a batch each, here as well.
        count_steps(validation, settings)
    with shared_folder(work_dir) as folder:
        arguments = kind.arguments(
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
            base = Base(model, folder / BASE_FILE, kind.make_probe(rows, settings), dtype=base_dtype)
        collator = kind.make_collator(model, rows, settings)
        if settings.document_anchor:
            assert isinstance(model, SentenceTransformer)  # others are refused it
            docids = rows.docids()
            if validation is not None:
                docids = sorted({*docids, *validation.docids()})
            collator.base_vectors = encode_base(
                model, rows.documents, docids, folder / "base_vectors", max_length=settings.document_length
            )
        if teacher is not None:
            needed = needed_scores(rows, steps / steps_per_epoch(rows, settings))
            if validation is not None:
                needed = sorted({*needed, *needed_scores(validation, 1)})
            collator.teacher_scores = teacher_scores(teacher, rows, needed, folder / "teacher")
        choose_parameters(model, settings)
        trainer = kind.trainer(
            model=model,
            args=arguments,
            train_dataset=rows.view(),
            eval_dataset=validation.view() if validation is not None else None,
            data_collator=collator,
            loss=kind.make_loss(model, settings),
            callbacks=_callbacks(rows, settings, on_checkpoint),
        )
        if settings.lora_rank:
            _keep_exact(trainer, model)
        checkpoint = last_checkpoint(folder) if work_dir else None
        if checkpoint and _is_finished(checkpoint, steps):
            _load_finished(trainer, checkpoint)
        else:
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        # Accelerate leaves a model computing in the precision of its training, and the base was measured in fp32.
        trainer.accelerator.unwrap_model(model, keep_fp32_wrapper=False)
        if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
            trainer.save_model(str(folder / "whole"))
            trainer.accelerator.wait_for_everyone()
            model = type(model)(str(folder / "whole"))
        if settings.lora_rank:
            merge_adapters(model)
        if base is not None and settings.interpolate < 1:
            base.interpolate(model, settings.interpolate)
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


def count_steps(rows: TrainingRows, settings: FitSettings) -> int:
    """Optimiser steps of a run in this number of processes.

    Raises:
        LratError: There are too few pairs for a single one.
    """
    updates = steps_per_epoch(rows, settings)
    return settings.max_steps if settings.max_steps > 0 else math.ceil(updates * settings.epochs)


def steps_per_epoch(rows: TrainingRows, settings: FitSettings) -> int:
    """Optimiser steps of a pass over the rows; raises as `count_steps`."""
    count = processes().num_processes
    batch = settings.batch_size * count
    # Several processes must have the same number of batches: what is left at the end of an epoch waits for the next.
    batches = len(rows) // batch if count > 1 else -(-len(rows) // batch)
    if not batches:
        raise LratError(
            f"Training: expected {batch} pairs or more, a batch for each of {count} processes, found {len(rows)}. "
            "Lower batch_size."
        )
    return -(-batches // settings.gradient_accumulation_steps)


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


def _keep_exact(trainer: BaseTrainer, model: Ranker) -> None:
    """Has checkpoints of adapters loaded exactly, on the base that the run has: by name, it may be another by now."""
    load = trainer._load_from_checkpoint

    def exactly(path: str) -> None:
        frozen = {name: values.clone() for name, values in model.named_parameters() if not values.requires_grad}
        load(path)
        with torch.no_grad():
            for name, values in model.named_parameters():
                if name in frozen:
                    values.copy_(frozen[name])
        load_adapters(model, Path(path))

    trainer._load_from_checkpoint = exactly  # type: ignore[method-assign]


def _is_finished(checkpoint: Path, steps: int) -> bool:
    return TrainerState.load_from_json(str(checkpoint / STATE_FILE)).global_step >= steps


def _load_finished(trainer: BaseTrainer, checkpoint: Path) -> None:
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
