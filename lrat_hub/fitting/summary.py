"""A run in figures: what it is about to train on, and its loss curve."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lrat_hub.fitting.rows import TrainingRows, content_number
from lrat_hub.fitting.runs import processes
from lrat_hub.fitting.settings import FitSettings
from lrat_hub.fitting.trainer import count_steps
from lrat_hub.losses import NEGATIVE_WEIGHTS, BatchLabels
from lrat_hub.losses.labels import excluded_documents

SAMPLED_BATCHES = 8


@dataclass(frozen=True)
class RunSummary:
    """What a run is about to train on.

    Args:
        pairs, questions: Numbers of pairs and questions that are trained on.
        weight_mean, weight_min, weight_max: Weights of the pairs, as the loss takes them.
        own_negatives: Mined negatives per query, on average.
        counted_negatives: Documents that count as negatives of a query in its batch, on average: its own and other
            queries' documents, each once, without copies of its positive. Estimated on a sample of batches.
        steps: Optimizer steps.
        batch: Queries per optimizer step, over all devices.
    """

    pairs: int
    questions: int
    weight_mean: float
    weight_min: float
    weight_max: float
    own_negatives: float
    counted_negatives: float
    steps: int
    batch: int

    def __str__(self) -> str:
        return (
            f"{self.pairs} pairs of {self.questions} questions; weights mean {self.weight_mean:.3f}, "
            f"min {self.weight_min:.3f}, max {self.weight_max:.3f}; negatives per query: {self.own_negatives:.1f} of "
            f"its own, {self.counted_negatives:.1f} with its batch; {self.steps} steps of {self.batch} queries"
        )


def summarise(rows: TrainingRows, settings: FitSettings) -> RunSummary:
    """Summarises what a run on these rows, in this number of processes, is about to train on.

    Raises:
        LratError: There are too few pairs for a step.
    """
    count = processes().num_processes
    questions = rows.pairs["question"] if "question" in rows.pairs.column_names else rows.pairs["query"]
    together = settings.batch_size * (count if settings.gather_across_devices else 1)
    return RunSummary(
        pairs=len(rows),
        questions=len(set(questions)),
        weight_mean=float(rows.weights.mean()),
        weight_min=float(rows.weights.min()),
        weight_max=float(rows.weights.max()),
        own_negatives=float(np.minimum(rows.pool_sizes, settings.num_negatives).mean()),
        counted_negatives=_counted(rows, min(together, len(rows)), settings.seed),
        steps=count_steps(rows, settings),
        batch=settings.batch_size * settings.gradient_accumulation_steps * count,
    )


def _counted(rows: TrainingRows, batch_size: int, seed: int) -> float:
    order = np.random.default_rng(seed).permutation(len(rows))
    view = rows.view()
    means = []
    for start in range(0, min(len(order) - batch_size + 1, SAMPLED_BATCHES * batch_size), batch_size):
        batch: dict[str, Any] = view[order[start : start + batch_size].tolist()]
        numbers = [[content_number(text) for text in batch[column]] for column in rows.columns]
        weights = torch.tensor(batch[NEGATIVE_WEIGHTS]).T if rows.settings.num_negatives else None
        labels = BatchLabels(torch.ones(batch_size), torch.tensor(numbers), weights)
        excluded = excluded_documents(labels, torch.arange(batch_size))
        assert excluded is not None
        means.append(float((~excluded).sum(dim=1).float().mean()) - 1)
    return float(np.mean(means))


def loss_curve(log: Sequence[dict[str, Any]], best_step: int | None = None) -> bytes:
    """A PNG of the losses in the log of a `FitResult`: on the training pairs and, if any, on the validation pairs."""
    from matplotlib.figure import Figure

    # A figure of its own: pyplot would keep it, and choose a backend for the whole process.
    figure = Figure(figsize=(6.4, 3.6), dpi=150, layout="constrained")
    axes = figure.subplots()
    for key, label in (("loss", "training"), ("eval_loss", "validation")):
        points = [(row["step"], row[key]) for row in log if key in row]
        if points:
            axes.plot(*zip(*points, strict=True), label=label, marker="o" if len(points) < 15 else None, markersize=3)
    if best_step is not None:
        axes.axvline(best_step, color="grey", linestyle=":", label=f"published: step {best_step}")
    axes.set(xlabel="step", ylabel="loss")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    with io.BytesIO() as stream:
        # Without the library's version in it, the same run makes the same bytes.
        figure.savefig(stream, format="png", metadata={"Software": None})
        return stream.getvalue()
