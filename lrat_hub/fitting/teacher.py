"""A teacher's scores of what a run will read: computed once, kept beside the checkpoints, shared by processes."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from torch.nn import Identity

from lrat_hub.errors import LratError
from lrat_hub.fitting.rows import TrainingRows
from lrat_hub.fitting.runs import processes
from lrat_hub.fitting.settings import FitSettings
from lrat_hub.queries import QueryStyle
from lrat_hub.storage import rows_of

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

SCORED_AT_ONCE = 1_024
"""Pairs of a query and a document that a call of the teacher gets."""


@dataclass(frozen=True)
class Teacher:
    """A reranker that a bi-encoder learns from.

    Args:
        model: A CrossEncoder with one score per pair. Its scores are taken before the activation behind them.
        name: Its pin, which tells its kept scores from others.
        query_style: The style of queries that it was trained with.

    Raises:
        LratError: The model scores no pairs.
    """

    model: CrossEncoder
    name: str
    query_style: QueryStyle = "plain"

    def __post_init__(self) -> None:
        if not callable(getattr(self.model, "predict", None)):
            raise LratError(f"Teacher {self.name}: expected a CrossEncoder, found {type(self.model).__name__}.")

    def require_style(self, settings: FitSettings) -> None:
        """Raises LratError when it reads queries in another style than a training has them."""
        if self.query_style != settings.query_style:
            raise LratError(
                f"Teacher {self.name}: expected one that reads queries in the style of the training, "
                f"{settings.query_style}, found {self.query_style}. Set query_style."
            )


def needed_scores(rows: TrainingRows, epochs: float) -> list[tuple[str, str]]:
    """Every (query, document id) that a run of so many epochs reads, once, in a stable order."""
    epoch, needed = rows.epoch, set[tuple[str, str]]()
    try:
        for rows.epoch in range(max(1, math.ceil(epochs))):
            for pair in rows_of(rows.pairs):
                query = rows.anchor(pair)
                drawn, _ = rows.draw(pair)
                needed.update((query, docid) for docid in (pair["positive_id"], *drawn))
    finally:
        rows.epoch = epoch
    return sorted(needed)


def teacher_scores(
    teacher: Teacher, rows: TrainingRows, needed: Sequence[tuple[str, str]], folder: Path, *, batch_size: int = 32
) -> dict[tuple[str, str], float]:
    """Scores by a teacher, each process its share.

    Args:
        needed: (query, document id); see `needed_scores`.
        folder: Where the scores stay; all processes have to see it. What is there already is not computed again.

    Raises:
        LratError: The teacher reads queries in another style than the model, or a score is not finite.
    """
    teacher.require_style(rows.settings)
    state = processes()
    folder.mkdir(parents=True, exist_ok=True)
    texts = [(query, rows.documents[docid].content) for query, docid in needed]
    digest = hashlib.sha256(json.dumps([teacher.name, texts]).encode()).hexdigest()[:16]
    parts = [folder / f"{digest}-{process}-of-{state.num_processes}.npy" for process in range(state.num_processes)]
    own = parts[state.process_index]
    if _kept(own, len(texts[state.process_index :: state.num_processes])) is None:
        scores = _scored(teacher, texts[state.process_index :: state.num_processes], batch_size)
        part = own.with_suffix(".part")
        with part.open("wb") as file:
            np.save(file, scores)
        part.replace(own)
    state.wait_for_everyone()
    known = np.empty(len(needed), dtype=np.float32)
    for process, file in enumerate(parts):
        share = _kept(file, len(known[process :: state.num_processes]))
        if share is None:
            raise LratError(f"Teacher {teacher.name}: expected its scores in {file}, which all processes have to see.")
        known[process :: state.num_processes] = share
    return dict(zip(needed, known.tolist(), strict=True))


def _kept(path: Path, count: int) -> np.ndarray | None:
    """So many scores of a file; None where it is not there, or damaged."""
    try:
        scores = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return scores if scores.shape == (count,) else None


def _scored(teacher: Teacher, texts: Sequence[tuple[str, str]], batch_size: int) -> np.ndarray:
    parts = [np.empty(0, dtype=np.float32)]
    for start in range(0, len(texts), SCORED_AT_ONCE):
        scores = teacher.model.predict(
            list(texts[start : start + SCORED_AT_ONCE]),
            batch_size=batch_size,
            activation_fn=Identity(),
            show_progress_bar=False,
        )
        parts.append(np.asarray(scores, dtype=np.float32))
    if not np.isfinite(scores := np.concatenate(parts)).all():
        raise LratError(f"Teacher {teacher.name}: expected finite scores, found others. Is it damaged?")
    return scores
