"""How far a run has moved a model: a run can end without an error and leave the model as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from lrat_hub.encoders import dtype_name
from lrat_hub.errors import LratError

if TYPE_CHECKING:
    from lrat_hub.encoders.encoding import Ranker

LEAST_CHANGED = 0.01
"""Share of the weights that has to change: outside embeddings, or of rows of embeddings that a batch has touched."""

LEAST_TURNED = 1e-6
"""How far the sampled documents' vectors have to turn, by 1 - cosine, or sampled pairs' scores to move, on average:
float32 itself can't tell less."""

SAMPLED = 32
"""Documents whose vectors, or pairs whose scores, are compared."""

ENDS = 5
"""The loss at the start and at the end of a run is the mean over this part of its log, a fifth."""


@dataclass(frozen=True)
class Movement:
    """What a run has changed of a model, as it is published.

    Args:
        changed: Share of the weights outside embeddings that changed; None where there are none.
        changed_embeddings: Share of the weights inside embeddings that changed; None where there are none.
        changed_rows: The same in those rows of embeddings of which anything changed: the other rows belong to tokens
            that no text had.
        turned: Mean, on a sample, of 1 - cosine between a document's vector before and after; for rerankers
            and late interaction, of the difference of a pair's scores.
        first_loss, last_loss: Means of the training loss over the first and the last fifth of the log.
        base_dtype, dtype: Types of the weights of the base and of what is published.
        scores: Whether `turned` is of scores.
    """

    changed: float | None
    changed_embeddings: float | None
    changed_rows: float | None
    turned: float
    first_loss: float
    last_loss: float
    base_dtype: str
    dtype: str
    scores: bool = False

    @property
    def unchanged(self) -> bool:
        """Whether the model is what it was, except for rounding."""
        share = self.changed_rows if self.changed is None else self.changed
        return not share or share < LEAST_CHANGED or self.turned < LEAST_TURNED

    def __str__(self) -> str:
        parts = [
            f"{share:.2%} {where}"
            for share, where in ((self.changed, "outside embeddings"), (self.changed_embeddings, "inside embeddings"))
            if share is not None
        ]
        turned = f"documents' vectors turned by {self.turned:.2g} (1 - cosine)"
        if self.scores:
            turned = f"scores of pairs moved by {self.turned:.2g}"
        return (
            f"weights that changed: {', '.join(parts)}; {turned}; loss {self.first_loss:.4g} -> {self.last_loss:.4g}"
        )

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"unchanged": self.unchanged}


def require_movement(movement: Movement, *, allowed: bool = False) -> None:
    """Raises LratError when a run has left a model as it was, unless that is allowed."""
    if movement.unchanged and not allowed:
        what = "scores" if movement.scores else "vectors"
        raise LratError(
            f"Training: unchanged: {movement}. Expected {LEAST_CHANGED:.0%} or more of the weights and "
            f"{LEAST_TURNED:g} or more of the {what} to change. Raise `learning_rate` or `max_steps`, keep fp32 when "
            "publishing (`published_dtype`), or publish it all the same with `allow_unchanged`."
        )


class Base:
    """A model before a run, kept in a file: memory holds one of its tensors at a time.

    Args:
        path: Where its weights go.
        dtype: The type that holds them exactly: that of the checkpoint.
        probe: What the model gives for a sample, now and at the end: vectors, shape (sample, dim), or scores,
            shape (sample,).

    Raises:
        LratError: What it gives is not finite.
    """

    def __init__(
        self,
        model: Ranker,
        path: Path,
        probe: Callable[[Any], np.ndarray],
        *,
        dtype: torch.dtype,
    ) -> None:
        self._path, self._probe = path, probe
        weights = {
            name: parameter.detach().to("cpu", dtype).contiguous()
            for name, parameter in model.named_parameters()
            if parameter.is_floating_point()
        }
        save_file(weights, path)
        self._before = self._probed(model)
        if not np.isfinite(self._before).all():
            raise LratError("Training: expected a base that gives finite numbers, found others. Is it damaged?")
        self.scores = self._before.ndim == 1

    def shares(self, model: Ranker) -> tuple[float | None, float | None, float | None]:
        """Shares of the weights that changed: outside embeddings, inside, and inside rows that changed at all."""
        embeddings = embedding_names(model)
        outside, inside, rows = [0, 0], [0, 0], [0, 0]
        with safe_open(self._path, framework="pt") as file:
            known = set(file.keys())
            for name, parameter in model.named_parameters():
                if name not in known:
                    continue
                differs = _differs(cast(Tensor, file.get_tensor(name)), parameter.detach().cpu())
                count = int(differs.sum())
                into = inside if name in embeddings else outside
                into[0] += count
                into[1] += differs.numel()
                if name in embeddings:
                    touched = differs.reshape(len(differs), -1).any(dim=1)
                    rows[0] += count
                    rows[1] += int(touched.sum()) * differs[0].numel()
        return _share(outside), _share(inside), _share(rows) if inside[1] else None

    @torch.no_grad()
    def interpolate(self, model: Ranker, share: float) -> None:
        """Sets every weight to `(1 - share)` of the base's and `share` of the model's."""
        with safe_open(self._path, framework="pt") as file:
            known = set(file.keys())
            for name, parameter in model.named_parameters():
                if name in known:
                    before = cast(Tensor, file.get_tensor(name)).to(parameter)
                    parameter.copy_(torch.lerp(before, parameter, share))

    def turned(self, model: Ranker) -> float:
        """Mean of 1 - cosine between the sample's vectors before and now, or of the difference of its scores."""
        before, after = self._before, self._probed(model)
        if self.scores:
            return float(np.abs(before - after).mean())
        lengths = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
        cosines = (before * after).sum(axis=1) / np.maximum(lengths, np.finfo(np.float64).tiny)
        return float(np.maximum(1 - cosines[lengths > 0], 0).mean()) if (lengths > 0).any() else 0.0

    def _probed(self, model: Ranker) -> np.ndarray:
        with evaluating(model):
            return self._probe(model).astype(np.float64)


def movement_of(
    base: Base,
    model: Ranker,
    log: Sequence[Mapping[str, float]],
    *,
    base_dtype: torch.dtype,
    dtype: torch.dtype,
) -> Movement:
    """What a run has changed, from the model as it is now and the log of the run.

    Args:
        base_dtype, dtype: Types of the weights in the base's file and in what is published; the model's are in fp32.
    """
    losses = [row["loss"] for row in log if "loss" in row]
    part = max(1, len(losses) // ENDS)
    return Movement(
        *base.shares(model), base.turned(model), float(np.mean(losses[:part])), float(np.mean(losses[-part:])),
        dtype_name(base_dtype), dtype_name(dtype), base.scores,
    )  # fmt: skip


def embedding_names(model: Ranker) -> set[str]:
    """Names of the parameters that are looked up by token: only those of tokens that occur ever change."""
    return {
        f"{name}.{own}" if name else own
        for name, module in model.named_modules()
        if isinstance(module, nn.Embedding | nn.EmbeddingBag)
        for own, _ in module.named_parameters(recurse=False)
    }


@contextmanager
def evaluating(model: Ranker) -> Iterator[None]:
    """Without dropout within the context."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def _differs(before: Tensor, after: Tensor) -> Tensor:
    # Compared as numbers: bf16 in fp32 is exact, and fp32 that was rounded to bf16 differs only where the model does.
    return before.to(torch.float32) != after.to(torch.float32)


def _share(counts: list[int]) -> float | None:
    return counts[0] / counts[1] if counts[1] else None
