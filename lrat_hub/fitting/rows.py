"""Mined pairs as rows and batches for the trainer.

Texts are joined by id, and negatives drawn, when a row is read; the collator hands the loss what it is told of each
document.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sentence_transformers.sentence_transformer.data_collator import SentenceTransformerDataCollator

from lrat_hub.encoders import served_prompts
from lrat_hub.errors import LratError
from lrat_hub.fitting.settings import FitSettings
from lrat_hub.losses import BASE_EMBEDDINGS, DOCUMENT_IDS, NEGATIVE_WEIGHTS
from lrat_hub.mining.tables import require_documents
from lrat_hub.queries import QueryState, render_query
from lrat_hub.schema import Document

if TYPE_CHECKING:
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer

NO_DOCUMENT = "."
"""The text of a negative that a row lacks. Some models can't take an empty one; the loss masks it."""


class TrainingRows:
    """The pairs that have a weight, as rows with columns anchor, positive, negative_1 ... negative_n and label.

    The label is the weight. Two lists for the loss go with each row, in the order of its documents: `document_ids`,
    and `negative_weights`, which is 0 for the negatives that a small pool lacks.

    Args:
        pairs: Config `pairs`.
        documents: Those that the pairs name, at least.
        settings: How many negatives a row has, what their kinds weigh, and how queries are rendered.

    Raises:
        LratError: No pair has a weight, a weight is not finite or below 0, all are 0, or documents are missing.
    """

    def __init__(self, pairs: Dataset, documents: Mapping[str, Document], settings: FitSettings) -> None:
        trained = [row for row, weight in enumerate(pairs["weight"]) if weight is not None]
        if not trained:
            raise LratError(
                f"Pairs: expected some with a weight, found none among {len(pairs)}. Was every pair judged irrelevant?"
            )
        self.pairs, self.documents, self.settings = pairs.select(trained), documents, settings
        self.epoch = 0
        weights = np.array(self.pairs["weight"], dtype=np.float64)
        if not np.isfinite(weights).all() or (weights < 0).any() or not weights.any():
            raise LratError("Pairs: expected weights that are finite, 0 or more and not all 0. Mine them again.")
        self.weights = weights if settings.use_weights else np.ones_like(weights)
        self.pool_sizes = np.array([len(pool) for pool in self.pairs["negative_ids"]])
        require_documents(self.docids(), documents)

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def columns(self) -> list[str]:
        """Columns of documents, in order."""
        return ["positive", *(f"negative_{number}" for number in range(1, self.settings.num_negatives + 1))]

    def docids(self) -> list[str]:
        """Every document that a row can have, once, ordered by id."""
        return sorted({*self.pairs["positive_id"], *chain.from_iterable(self.pairs["negative_ids"])})

    def view(self) -> Dataset:
        """The rows as the trainer takes them. Reading one draws its negatives for the epoch that is set then."""
        return self.pairs.with_transform(self.read)

    def draw(self, pair: Mapping[str, Any]) -> tuple[list[str], list[float]]:
        """Ids of a row's negatives and what each weighs, drawn from its pool by (seed, epoch, row).

        The row goes into the seed as its `pair_id`, so that a pair's draws don't depend on the others.
        """
        pool = list(pair["negative_ids"])
        kinds = pair.get("negative_kinds") or [""] * len(pool)
        rng = random.Random(f"{self.settings.seed}/{self.epoch}/{pair['pair_id']}")
        drawn = rng.sample(range(len(pool)), min(self.settings.num_negatives, len(pool)))
        return [pool[index] for index in drawn], [self.settings.kind_weight(kinds[index]) for index in drawn]

    def read(self, batch: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        """Rows of config `pairs` as rows for the trainer, both by column."""
        pairs = [dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)]
        draws = [self.draw(pair) for pair in pairs]
        rows: dict[str, list[Any]] = {
            "anchor": [render_query(QueryState.from_dict(pair), self.settings.query_style) for pair in pairs]
        }
        documents = [
            [self.documents[docid] for docid in (pair["positive_id"], *drawn)]
            for pair, (drawn, _) in zip(pairs, draws, strict=True)
        ]
        for index, column in enumerate(self.columns):
            rows[column] = [own[index].content if index < len(own) else NO_DOCUMENT for own in documents]
        missing = [len(self.columns) - len(own) for own in documents]
        rows["label"] = [pair["weight"] if self.settings.use_weights else 1.0 for pair in pairs]
        rows[DOCUMENT_IDS] = [
            [document.docid for document in own] + [""] * gap for own, gap in zip(documents, missing, strict=True)
        ]
        rows[NEGATIVE_WEIGHTS] = [weights + [0.0] * gap for (_, weights), gap in zip(draws, missing, strict=True)]
        return rows


class PairCollator(SentenceTransformerDataCollator):
    """Collates rows of `TrainingRows`; their lists for the loss become features of the columns of documents.

    Args:
        base_vectors: Id to a document's vector by the base model, when the loss is anchored to them. Negatives that a
            row lacks get zeros, which the loss leaves out.
    """

    base_vectors: Mapping[str, np.ndarray] | None = None

    def __call__(self, features: list[dict[str, Any]]) -> dict[str, Any]:
        known = (DOCUMENT_IDS, NEGATIVE_WEIGHTS)
        texts = [{key: value for key, value in row.items() if key not in known} for row in features]
        batch = super().__call__(texts)
        columns = [name for name in texts[0] if name not in (*self.valid_label_columns, "anchor", "dataset_name")]
        for index, column in enumerate(columns):
            docids = [row[DOCUMENT_IDS][index] for row in features]
            # Two documents of one text are one document: neither is a negative where the other is the positive.
            batch[f"{column}_{DOCUMENT_IDS}"] = torch.tensor([content_number(row[column]) for row in features])
            if index:
                weights = [row[NEGATIVE_WEIGHTS][index - 1] for row in features]
                batch[f"{column}_{NEGATIVE_WEIGHTS}"] = torch.tensor(weights)
            if self.base_vectors is not None:
                vectors = np.stack([self.base_vectors[docid] for docid in docids])
                batch[f"{column}_{BASE_EMBEDDINGS}"] = torch.from_numpy(vectors)
        return batch


def pair_collator(model: SentenceTransformer, rows: TrainingRows, settings: FitSettings) -> PairCollator:
    """The collator that cuts texts to their lengths and puts the model's prompts before them."""
    query_prompt, document_prompt = served_prompts(model)
    prompts = {"anchor": query_prompt, **dict.fromkeys(rows.columns, document_prompt)}
    asked, limit = {"query": settings.query_length, "document": settings.document_length}, model.max_seq_length
    return PairCollator(
        preprocess_fn=model.preprocess,
        router_mapping={"anchor": "query", **dict.fromkeys(rows.columns, "document")},
        prompts={column: prompt for column, prompt in prompts.items() if prompt},
        max_length={
            task: int(min(length, limit)) if limit else length for task, length in asked.items() if length > 0
        },
    )


def split_questions(pairs: Dataset, share: float, *, seed: int = 0) -> tuple[Dataset, Dataset | None]:
    """Splits pairs into those to train on and those to validate on, so that they share neither questions nor queries.

    Questions are compared without case and blanks. The side of a question depends on the question and the seed
    alone, so that it stays when pairs are added. Pairs of the validation side with a query that is trained on are left
    out of both.

    Args:
        share: Share of the questions that go to validation, from 0 (none, and no second side) to below 1.

    Raises:
        LratError: One side is empty.
    """
    if not share:
        return pairs, None
    queries = [_normalised(query) for query in pairs["query"]]
    questions = pairs["question"] if "question" in pairs.column_names else queries
    keys = [_normalised(question) or query for question, query in zip(questions, queries, strict=True)]
    held_out = [_number(f"{seed}/{key}") < share * 2**63 for key in keys]
    trained = {query for query, out in zip(queries, held_out, strict=True) if not out}
    sides = (
        [row for row, out in enumerate(held_out) if not out],
        [row for row, out in enumerate(held_out) if out and queries[row] not in trained],
    )
    if not all(sides):
        raise LratError(
            f"Validation: expected questions on both sides of the split, found {len(sides[0])} pairs to train on and "
            f"{len(sides[1])} to validate on. Change validation_share ({share}), or set it to 0."
        )
    return pairs.select(sides[0]), pairs.select(sides[1])


def stable_order(texts: Iterable[str], seed: int) -> list[str]:
    """Texts in an order given by the seed; the order of two texts does not depend on the others."""
    return sorted(texts, key=lambda text: (_number(f"{seed}/{_normalised(text)}"), text))


def content_number(text: str) -> int:
    """A document's text as a 63-bit integer that tells it from others, the same in every process."""
    return _number(text)


def _number(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def _normalised(text: str) -> str:
    return " ".join(text.casefold().split())
