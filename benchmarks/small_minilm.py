"""MiniLM in two of its six layers, for machines on which six are too slow for many trainings.

Its first and its last layer are kept, and learn MiniLM's vectors of the texts that are given: passages, their titles,
and questions without their answers or evidence (distillation on vectors, no labels).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer
from torch.nn import ModuleList

from lrat_hub.demo.bases import minilm_folder

LAYERS = (0, 5)
BATCH = 64
LENGTH = 64
"""Tokens of a text."""


def small_minilm(texts: Sequence[str], folder: Path, *, steps: int = 150, learning_rate: float = 3e-4) -> Path:
    """The folder of the model, made there if it isn't there yet: in three minutes of one core's time."""
    if (folder / "modules.json").is_file():
        return folder
    torch.manual_seed(0)
    teacher = SentenceTransformer(str(minilm_folder()), device="cpu")
    student = SentenceTransformer(str(minilm_folder()), device="cpu")
    teacher.max_seq_length = student.max_seq_length = LENGTH
    transformer = student[0].auto_model
    transformer.encoder.layer = ModuleList([transformer.encoder.layer[number] for number in LAYERS])
    transformer.config.num_hidden_layers = len(LAYERS)
    optimizer = torch.optim.AdamW(student.parameters(), lr=learning_rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, steps)
    rng = random.Random(0)
    for step in range(steps):
        # Of like length, so that little is padded.
        batch = sorted(rng.sample(texts, min(4 * BATCH, len(texts))), key=len)
        start = rng.randrange(max(1, len(batch) - BATCH + 1))
        batch = batch[start : start + BATCH]
        with torch.no_grad():
            target = teacher(teacher.preprocess(batch))["sentence_embedding"]
        found = student(student.preprocess(batch))["sentence_embedding"]
        loss = (1 - torch.cosine_similarity(found, target)).mean()
        loss.backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if not step % 10:
            print(f"  MiniLM in {len(LAYERS)} layers, step {step}: 1 - cosine {loss.item():.3f}", flush=True)
    student.save_pretrained(str(folder))
    return folder
