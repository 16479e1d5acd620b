"""A run in figures: what it is about to train on, what it will not read of that, and its loss curve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sentence_transformers import CrossEncoder

from lrat_hub.encoders import Cut, count_cut, is_late, scoring_prompt, served_prompts, text_limits
from lrat_hub.fitting.reranking import own_weights, pair_limit
from lrat_hub.fitting.rows import TrainingRows, content_number
from lrat_hub.fitting.runs import processes
from lrat_hub.fitting.settings import FitSettings
from lrat_hub.fitting.trainer import count_steps
from lrat_hub.hub.figures import as_png, new_panels
from lrat_hub.losses import NEGATIVE_WEIGHTS, BatchLabels
from lrat_hub.losses.labels import excluded_documents

if TYPE_CHECKING:
    from lrat_hub.encoders.encoding import Ranker

SAMPLED_BATCHES = 8


def count_cut_texts(model: Ranker, rows: TrainingRows) -> list[Cut]:
    """How many queries and positives of a run are longer than it reads; empty for models without a limit."""

    def positive(row: int) -> str:
        return rows.documents[rows.pairs[row]["positive_id"]].content

    if isinstance(model, CrossEncoder):

        def both(row: int) -> tuple[str, str]:
            return rows.anchor(rows.pairs[row]), positive(row)

        cut = count_cut(
            model, len(rows), both, name="queries with their positives", prompt=scoring_prompt(model),
            max_length=pair_limit(model, rows.settings),
        )  # fmt: skip
        return [cut] if cut else []
    query_prompt, document_prompt = served_prompts(model)
    query_length, document_length = rows.settings.query_length, rows.settings.document_length
    if is_late(model):
        own = text_limits(model)
        query_length, document_length = (
            min(length or limit or 0, limit or length)
            for length, limit in zip((query_length, document_length), own, strict=True)
        )

    cuts = (
        count_cut(model, len(rows), lambda row: rows.anchor(rows.pairs[row]), name="queries", prompt=query_prompt,
                  max_length=query_length),
        count_cut(model, len(rows), positive, name="positives", prompt=document_prompt,
                  max_length=document_length),
    )  # fmt: skip
    return [cut for cut in cuts if cut is not None]


@dataclass(frozen=True)
class RunSummary:
    """What a run is about to train on.

    Args:
        pairs, questions: Numbers of pairs and questions that are trained on.
        weight_mean, weight_min, weight_max: Weights of the pairs, as the loss takes them.
        own_negatives: Mined negatives per query, on average.
        counted_negatives: Documents that count as negatives of a query in its batch, on average: its own and other
            queries' documents, each once, without copies of its positive; for a reranker, its own alone. Estimated on
            a sample of batches.
        steps: Optimizer steps.
        batch: Queries per optimizer step, over all devices.
        alone: Pairs without negatives, of a reranker.
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
    alone: int | None = None

    def __str__(self) -> str:
        counted = f"{self.counted_negatives:.1f} with its batch"
        if self.alone is not None:
            counted = f"{self.counted_negatives:.1f} of them scored; {self.alone} pairs have none"
        return (
            f"{self.pairs} pairs of {self.questions} questions; weights mean {self.weight_mean:.3f}, "
            f"min {self.weight_min:.3f}, max {self.weight_max:.3f}; negatives per query: {self.own_negatives:.1f} of "
            f"its own, {counted}; {self.steps} steps of {self.batch} queries"
        )


def summarise(rows: TrainingRows, settings: FitSettings, *, reranks: bool = False) -> RunSummary:
    """Summarises what a run on these rows, in this number of processes, is about to train on.

    Args:
        reranks: Whether a reranker is trained, which compares a query's own documents alone.

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
        counted_negatives=_counted(rows, min(together, len(rows)), settings.seed, reranks=reranks),
        steps=count_steps(rows, settings),
        batch=settings.batch_size * settings.gradient_accumulation_steps * count,
        alone=int((rows.pool_sizes == 0).sum()) if reranks else None,
    )


def _counted(rows: TrainingRows, batch_size: int, seed: int, *, reranks: bool) -> float:
    order = np.random.default_rng(seed).permutation(len(rows))
    view = rows.view()
    means = []
    for start in range(0, min(len(order) - batch_size + 1, SAMPLED_BATCHES * batch_size), batch_size):
        batch: dict[str, Any] = view[order[start : start + batch_size].tolist()]
        if reranks:
            lists = [dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)]
            means.append(float(np.mean([np.count_nonzero(own_weights(row)) for row in lists])))
            continue
        numbers = [[content_number(text) for text in batch[column]] for column in rows.columns]
        weights = torch.tensor(batch[NEGATIVE_WEIGHTS]).T if rows.settings.num_negatives else None
        labels = BatchLabels(torch.ones(batch_size), torch.tensor(numbers), weights)
        excluded = excluded_documents(labels, torch.arange(batch_size))
        assert excluded is not None
        means.append(float((~excluded).sum(dim=1).float().mean()) - 1)
    return float(np.mean(means))


def loss_curve(log: Sequence[dict[str, Any]], best_step: int | None = None) -> bytes:
    """A PNG of the losses in the log of a `FitResult`: on the training pairs and, if any, on the validation pairs."""
    figure, (axes,) = new_panels(1, 1, 6.4, 3.6)
    for key, label in (("loss", "training"), ("eval_loss", "validation")):
        points = [(row["step"], row[key]) for row in log if key in row]
        if points:
            axes.plot(*zip(*points, strict=True), label=label, marker="o" if len(points) < 15 else None, markersize=3)
    if best_step is not None:
        axes.axvline(best_step, color="grey", linestyle=":", label=f"published: step {best_step}")
    axes.set(xlabel="step", ylabel="loss")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return as_png(figure)
