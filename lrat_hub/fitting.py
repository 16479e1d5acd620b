"""Fitting a retriever to mined pairs with sentence-transformers' trainer (sections 5.2.2 and 6.1.4)."""

from __future__ import annotations

import hashlib
import random
import re
import tempfile
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.sentence_transformer.data_collator import SentenceTransformerDataCollator

from lrat_hub.errors import LratError
from lrat_hub.losses import DOCUMENT_IDS, WeightedMultipleNegativesRankingLoss
from lrat_hub.schema import Document
from lrat_hub.settings import FitSettings
from lrat_hub.tables import require_documents

if TYPE_CHECKING:
    from datasets import Dataset


DOCUMENT_PROMPTS = ("document", "passage", "corpus")
"""Names under which `encode_document` looks for its prompt, in its order."""


class PairCollator(SentenceTransformerDataCollator):
    """sentence-transformers' collator, which also hands the documents' ids to the loss.

    Rows carry their ids in a `document_ids` list: the positive's, then one for each column of negatives. They reach
    `WeightedMultipleNegativesRankingLoss` as integers among the features of their column.
    """

    def __call__(self, features: list[dict[str, Any]]) -> dict[str, Any]:
        rows = [{key: value for key, value in row.items() if key != DOCUMENT_IDS} for row in features]
        batch = super().__call__(rows)
        if DOCUMENT_IDS in features[0]:
            columns = [name for name in rows[0] if name not in (*self.valid_label_columns, "anchor", "dataset_name")]
            for place, column in enumerate(columns):
                batch[f"{column}_{DOCUMENT_IDS}"] = torch.tensor([row[DOCUMENT_IDS][place] for row in features])
        return batch


def document_number(docid: str) -> int:
    """A document id as a 63-bit integer, the same in every process."""
    return int.from_bytes(hashlib.blake2b(docid.encode(), digest_size=8).digest(), "big") >> 1


def training_view(
    pairs: Dataset, documents: Mapping[str, Document], *, num_negatives: int, use_weights: bool = True, seed: int = 0
) -> Dataset:
    """The pairs that have a weight, as rows for the trainer: texts are joined by id when a row is read.

    Columns: anchor, positive, negative_1 ... negative_n, label (the weight) and document_ids. Each pair's negatives
    are drawn from its pool, seeded by (seed, pair_id). A pool that is too small is filled up with the positive
    itself, which the loss masks by its id, so that no document counts twice.

    Raises:
        LratError: No pair has a weight, a weight is not finite or below 0, or documents are missing.
    """
    trained = [row for row, weight in enumerate(pairs["weight"]) if weight is not None]
    if not trained:
        raise LratError(
            f"Pairs: expected some with a weight, found none among {len(pairs)}. Was every pair judged irrelevant?"
        )
    chosen = pairs.select(trained)
    weights = np.array(chosen["weight"])
    if not np.isfinite(weights).all() or (weights < 0).any() or not weights.any():
        raise LratError("Pairs: expected weights that are finite, 0 or more and not all 0. Mine them again.")
    require_documents([*chosen["positive_id"], *chain.from_iterable(chosen["negative_ids"])], documents)

    def to_training_rows(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        rows: dict[str, list[Any]] = {"anchor": list(batch["query"])}
        drawn = [
            [positive, *_draw(pool, num_negatives, f"{seed}/{pair_id}", positive)]
            for positive, pool, pair_id in zip(
                batch["positive_id"], batch["negative_ids"], batch["pair_id"], strict=True
            )
        ]
        for place in range(1 + num_negatives):
            column = f"negative_{place}" if place else "positive"
            rows[column] = [documents[docids[place]].content for docids in drawn]
        rows["label"] = list(batch["weight"]) if use_weights else [1.0] * len(drawn)
        rows[DOCUMENT_IDS] = [[document_number(docid) for docid in docids] for docids in drawn]
        return rows

    return chosen.with_transform(to_training_rows)


def _draw(pool: Sequence[str], count: int, seed: str, filler: str) -> list[str]:
    drawn = random.Random(seed).sample(list(pool), min(count, len(pool)))
    return drawn + [filler] * (count - len(drawn))


def freeze_lower_layers(model: SentenceTransformer, layers: int) -> int:
    """Freezes the token embeddings and the lowest transformer layers; gives the number of frozen parameters.

    Raises:
        LratError: The model has no such layers.
    """
    if layers <= 0:
        return 0
    numbers = {name: re.search(r"\blayers?\.(\d+)\.", name) for name, _ in model.named_parameters()}
    if not any(match and int(match[1]) >= layers for match in numbers.values()):
        raise LratError(f"Frozen layers: expected a transformer with more than {layers} layers, found none such.")
    frozen = 0
    for name, parameter in model.named_parameters():
        match = numbers[name]
        if (match and int(match[1]) < layers) or (match is None and "embeddings." in name):
            parameter.requires_grad_(False)
            frozen += parameter.numel()
    return frozen


def fit_retriever(model: SentenceTransformer, view: Dataset, settings: FitSettings) -> list[dict[str, float]]:
    """Trains a model in place.

    Args:
        view: From `training_view`, drawn with the same `num_negatives`.

    Returns:
        The trainer's log: one row each time it logged, with `step`, `loss` and `learning_rate`.

    Raises:
        LratError: The training diverged.
    """
    freeze_lower_layers(model, settings.frozen_layers)
    # They are for sentence-transformers' own card, which ours replaces.
    model.model_card_data.generate_widget_examples = False
    columns = ["positive", *(f"negative_{place}" for place in range(1, settings.num_negatives + 1))]
    query_prompt, document_prompt = served_prompt(model, "query"), served_prompt(model, *DOCUMENT_PROMPTS)
    prompts = {"anchor": query_prompt, **dict.fromkeys(columns, document_prompt)}
    collator = PairCollator(
        preprocess_fn=model.preprocess,
        router_mapping={"anchor": "query", **dict.fromkeys(columns, "document")},
        prompts={column: prompt for column, prompt in prompts.items() if prompt},
        max_length=_lengths(model, settings),
    )
    loss = WeightedMultipleNegativesRankingLoss(model, scale=1 / settings.temperature, reduction=settings.reduction)
    steps = settings.max_steps if settings.max_steps > 0 else -(-len(view) * settings.epochs // settings.batch_size)
    with tempfile.TemporaryDirectory() as folder:
        trainer = SentenceTransformerTrainer(
            model=model,
            args=SentenceTransformerTrainingArguments(
                output_dir=folder,
                max_steps=settings.max_steps,
                num_train_epochs=settings.epochs,
                per_device_train_batch_size=settings.batch_size,
                learning_rate=settings.learning_rate,
                warmup_steps=settings.warmup_ratio,
                weight_decay=settings.weight_decay,
                seed=settings.seed,
                logging_steps=max(1, int(steps // 10)),
                save_strategy="no",
                report_to="none",
                dataloader_pin_memory=torch.cuda.is_available(),
            ),
            train_dataset=view,
            data_collator=collator,
            loss=loss,
        )
        trainer.train()
    if not all(torch.isfinite(parameter).all() for parameter in model.parameters()):
        raise LratError(
            "Training: expected finite parameters at its end, found others: it diverged. Lower learning_rate."
        )
    return [entry for entry in trainer.state.log_history if "loss" in entry]


def served_prompt(model: SentenceTransformer, *names: str) -> str | None:
    """The prompt that `encode_query` or `encode_document` would use: of the first of its names that the model has."""
    found = next((model.prompts[name] for name in names if name in model.prompts), None)
    return found if found is not None else model.prompts.get(model.default_prompt_name)


def _lengths(model: SentenceTransformer, settings: FitSettings) -> dict[str, int]:
    asked = {"query": settings.query_length, "document": settings.document_length}
    limit = model.max_seq_length
    return {task: int(min(length, limit)) if limit else length for task, length in asked.items() if length > 0}
