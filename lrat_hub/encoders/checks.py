"""Whether a wrapped checkpoint encodes as its family does: each check compares it with something outside itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lrat_hub.encoders.encoding import end_token
from lrat_hub.encoders.families import Family
from lrat_hub.errors import LratError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

QUESTION = "what is the capital of Australia?"
ANSWER = "Canberra\nCanberra is the capital city of Australia, founded as a compromise between Sydney and Melbourne."
OTHER = "Sourdough\nSourdough is bread made by the fermentation of dough with wild yeast and lactic acid bacteria."
SHORT = "Bread"

TOLERANCE = {"float32": 1e-4, "bfloat16": 2e-2, "float16": 5e-3}
"""Difference of 1 - cosine below which two vectors are the same, by the type of the weights."""


@dataclass(frozen=True)
class Check:
    """One check of a checkpoint.

    Args:
        name: What was compared.
        passed: Whether it holds; None where there is nothing to compare with.
        expected: What it takes to pass; empty where there is nothing to compare with.
        found: What there is.
    """

    name: str
    passed: bool | None
    expected: str
    found: str

    def __str__(self) -> str:
        if self.passed is False:
            return f"{self.name}: failed: expected {self.expected}, found {self.found}"
        return f"{self.name}: {self.found}{'' if self.passed else ' (not checked)'}"


def check_checkpoint(
    folder: Path, family: Family, model: SentenceTransformer, published: SentenceTransformer
) -> list[Check]:
    """Checks a checkpoint against what others say of it, and against what it does with the same text elsewhere.

    Args:
        folder: The checkpoint as it came.
        model: The checkpoint, wrapped by the family.
        published: What a process that knows nothing of families loads of it.
    """
    return [
        _last_token(model, family),
        _own_pooling(folder, family),
        _alone_and_in_a_batch(published),
        _after_saving(model, published),
        _known_pair(published),
    ]


def require_checks(checks: Sequence[Check], name: str, *, allowed: bool = False) -> None:
    """Raises LratError when a check failed, unless that is allowed."""
    failed = [check for check in checks if check.passed is False]
    if failed and not allowed:
        raise LratError(
            f"{name}: {'; '.join(map(str, failed))}. Is this the right family, and is its tokenizer complete? "
            "To publish it all the same, set `allow_failed_checks`."
        )


def checks_record(checks: Sequence[Check]) -> list[dict[str, Any]]:
    return [asdict(check) for check in checks]


def _last_token(model: SentenceTransformer, family: Family) -> Check:
    actual = end_token(getattr(model[0], "tokenizer", None))
    shown = f"`{actual}`" if actual else "none"
    if not family.end_tokens:
        return Check("last token", None, "", shown)
    expected = " or ".join(f"`{token}`" for token in family.end_tokens)
    return Check("last token", actual in family.end_tokens, f"{expected} behind every text", shown)


def _own_pooling(folder: Path, family: Family) -> Check:
    """Against the pooling that the checkpoint's own repository names, where it does."""
    from sentence_transformers.sentence_transformer.modules import Pooling

    own = next(iter(sorted(folder.glob("*_Pooling"))), None)
    if own is None or not (own / "config.json").is_file():
        return Check("pooling", None, "", f"{family.pooling}, and none in the checkpoint's own repository")
    named = Pooling.load(str(own)).pooling_mode
    named = named if isinstance(named, str) else ", ".join(named)
    return Check("pooling", named == family.pooling, f"{named}, as the repository itself has it", family.pooling)


def _alone_and_in_a_batch(model: SentenceTransformer) -> Check:
    """A short text alone, and among longer ones that it is padded to the length of."""
    alone = _vectors(model, [SHORT])
    together = _vectors(model, [SHORT, ANSWER, OTHER])[:1]
    gap = _gap(alone, together)
    return Check(
        "alone and in a batch",
        bool(np.isfinite(gap) and gap <= _tolerance(model)),
        "one vector for a text, alone and in a batch",
        f"a cosine of {1 - gap:.4f} between them",
    )


def _after_saving(model: SentenceTransformer, published: SentenceTransformer) -> Check:
    gap = _gap(*(_vectors(encoder, [ANSWER, OTHER]) for encoder in (model, published)))
    return Check(
        "after saving",
        bool(np.isfinite(gap) and gap <= _tolerance(model)),
        "the same finite vectors",
        f"a cosine of {1 - gap:.4f} with those before",
    )


def _known_pair(model: SentenceTransformer) -> Check:
    scores = model.similarity(model.encode_query(QUESTION), model.encode_document([ANSWER, OTHER]))[0].tolist()
    right, wrong = scores
    return Check(
        "known pair",
        right > wrong,
        "a question nearer to the passage that answers it than to another",
        f"similarity {right:.3f} with the passage that answers, {wrong:.3f} with another",
    )


def _vectors(model: SentenceTransformer, texts: list[str]) -> np.ndarray:
    return np.asarray(model.encode_document(texts, batch_size=len(texts)), dtype=np.float64)


def _gap(first: np.ndarray, second: np.ndarray) -> float:
    """The largest 1 - cosine of vectors in the same place."""
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return float(np.max(1 - (first * second).sum(axis=1) / np.where(lengths > 0, lengths, np.nan)))


def _tolerance(model: SentenceTransformer) -> float:
    return TOLERANCE.get(str(model.dtype).removeprefix("torch."), 1e-4)
