"""How far a run has moved a model: a run can end without an error and leave the model as it was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer
from torch import Tensor, nn

from lrat_hub.encoders import cut_to, dtype_name
from lrat_hub.errors import LratError
from lrat_hub.retrieval.dense import encode_documents
from lrat_hub.schema import Document

LEAST_CHANGED = 0.01
"""Share of the weights that has to change: outside embeddings, or of rows of embeddings that a batch has touched."""

LEAST_TURNED = 1e-6
"""1 - cosine, on average, by which the sampled documents' vectors have to turn: float32 itself can't tell less."""

SAMPLED_DOCUMENTS = 32

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
        turned: Mean of 1 - cosine between a document's vector before and after, on a sample.
        first_loss, last_loss: Means of the training loss over the first and the last fifth of the log.
        base_dtype, dtype: Types of the weights of the base and of what is published.
    """

    changed: float | None
    changed_embeddings: float | None
    changed_rows: float | None
    turned: float
    first_loss: float
    last_loss: float
    base_dtype: str
    dtype: str

    @property
    def unchanged(self) -> bool:
        """Whether the model is what it was, but for rounding."""
        share = self.changed_rows if self.changed is None else self.changed
        return not share or share < LEAST_CHANGED or self.turned < LEAST_TURNED

    def __str__(self) -> str:
        parts = [
            f"{share:.2%} {where}"
            for share, where in ((self.changed, "outside embeddings"), (self.changed_embeddings, "inside embeddings"))
            if share is not None
        ]
        return (
            f"weights that changed: {', '.join(parts)}; documents' vectors turned by {self.turned:.2g} (1 - cosine); "
            f"loss {self.first_loss:.4g} -> {self.last_loss:.4g}"
        )

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"unchanged": self.unchanged}


def require_movement(movement: Movement, *, allowed: bool = False) -> None:
    """Raises LratError when a run has left a model as it was, unless that is allowed."""
    if movement.unchanged and not allowed:
        raise LratError(
            f"Training: unchanged: {movement}. Expected {LEAST_CHANGED:.0%} or more of the weights and "
            f"{LEAST_TURNED:g} or more of the vectors to change. Raise `learning_rate` or `max_steps`, keep fp32 when "
            "publishing (`published_dtype`), or publish it all the same with `allow_unchanged`."
        )


class Base:
    """A model before a run, kept in a file: memory holds one of its tensors at a time.

    Args:
        path: Where its weights go.
        dtype: The type that holds them exactly: that of the checkpoint.
        documents: A sample; they are encoded now and at the end.
        max_length: Tokens of a document, as in training.
    """

    def __init__(
        self,
        model: SentenceTransformer,
        path: Path,
        documents: Sequence[Document],
        *,
        dtype: torch.dtype,
        max_length: int = 0,
    ) -> None:
        self._path, self._documents, self._max_length = path, documents[:SAMPLED_DOCUMENTS], max_length
        weights = {
            name: parameter.detach().to("cpu", dtype).contiguous()
            for name, parameter in model.named_parameters()
            if parameter.is_floating_point()
        }
        save_file(weights, path)
        self._vectors = self._encoded(model)

    def shares(self, model: SentenceTransformer) -> tuple[float | None, float | None, float | None]:
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

    def turned(self, model: SentenceTransformer) -> float:
        """Mean of 1 - cosine between the sampled documents' vectors before and now."""
        before, after = self._vectors, self._encoded(model)
        lengths = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
        cosines = (before * after).sum(axis=1) / np.maximum(lengths, np.finfo(np.float64).tiny)
        return float(np.maximum(1 - cosines[lengths > 0], 0).mean()) if (lengths > 0).any() else 0.0

    def _encoded(self, model: SentenceTransformer) -> np.ndarray:
        with cut_to(model, self._max_length), evaluating(model):
            return encode_documents(model, self._documents).astype(np.float64)


def movement_of(
    base: Base,
    model: SentenceTransformer,
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
        dtype_name(base_dtype), dtype_name(dtype),
    )  # fmt: skip


def embedding_names(model: SentenceTransformer) -> set[str]:
    """Names of the parameters that are looked up by token: only those of tokens that occur ever change."""
    return {
        f"{name}.{own}" if name else own
        for name, module in model.named_modules()
        if isinstance(module, nn.Embedding | nn.EmbeddingBag)
        for own, _ in module.named_parameters(recurse=False)
    }


@contextmanager
def evaluating(model: SentenceTransformer) -> Iterator[None]:
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
