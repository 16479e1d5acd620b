"""Mined pairs as rows and batches for the trainer.

Texts are joined by id, and negatives drawn, when a row is read; the collator hands the loss what it is told of each
document.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sentence_transformers.sentence_transformer.data_collator import SentenceTransformerDataCollator

from lrat_hub.encoders import served_prompts
from lrat_hub.errors import LratError
from lrat_hub.fitting.settings import FitSettings
from lrat_hub.losses import BASE_EMBEDDINGS, DOCUMENT_IDS, NEGATIVE_WEIGHTS, TEACHER_SCORES
from lrat_hub.mining.tables import require_documents
from lrat_hub.queries import QueryState, render_query
from lrat_hub.retrieval import Retriever, style_read_by
from lrat_hub.schema import Document
from lrat_hub.storage import rows_of

if TYPE_CHECKING:
    from datasets import Dataset
    from sentence_transformers import MultiVectorEncoder, SentenceTransformer

NO_DOCUMENT = "."
"""The text of a negative that a row lacks. Some models can't take an empty one; the loss masks it."""

FIRST_STAGE = "first_stage"
"""Kind of the negatives that a first stage found; their weight in the softmax is 1."""


SHAPING = ("num_negatives", "redundant_weight", "hard_weight", "weak_weight", "use_weights", "query_style",
           "question_share", "seed")  # fmt: skip
"""Settings that shape rows."""


class TrainingRows:
    """The pairs that have a weight, as rows with columns anchor, positive, negative_1 ... negative_n and label.

    The label is the weight. Two lists for the loss go with each row, in the order of its documents: `document_ids`,
    and `negative_weights`, which is 0 for the negatives that a small pool lacks.

    Args:
        pairs: Config `pairs`.
        documents: Those that the pairs name, at least.
        settings: How many negatives a row has, what their kinds weigh, and how queries are rendered.

    Raises:
        LratError: No pair has a weight, a weight is not finite or below 0, all are 0, a pair lacks a query, a positive
            or a list of negatives, or documents are missing.
    """

    def __init__(self, pairs: Dataset, documents: Mapping[str, Document], settings: FitSettings) -> None:
        trained = [row for row, weight in enumerate(pairs["weight"]) if weight is not None]
        if not trained:
            raise LratError(
                f"Pairs: expected some with a weight, found none among {len(pairs)}. Was every pair judged irrelevant?"
            )
        self.pairs, self.documents, self.settings = pairs.select(trained), documents, settings
        self.epoch = 0
        require_whole(self.pairs)
        weights = np.array(self.pairs["weight"], dtype=np.float64)
        if not np.isfinite(weights).all() or (weights < 0).any() or not weights.any():
            raise LratError("Pairs: expected weights that are finite, 0 or more and not all 0. Mine them again.")
        self.weights = weights if settings.use_weights else np.ones_like(weights)
        self.pool_sizes = np.array([len(pool) for pool in self.pairs["negative_ids"]])
        require_documents(self.docids(), documents)

    def __len__(self) -> int:
        return len(self.pairs)

    def __repr__(self) -> str:
        return f"TrainingRows({len(self)} rows: anchor, {', '.join(self.columns)}, label)"

    def require_settings(self, settings: FitSettings) -> None:
        """Raises LratError when rows that are made with these settings would be others."""
        differ = [name for name in SHAPING if getattr(self.settings, name) != getattr(settings, name)]
        if differ:
            raise LratError(
                f"Training: expected rows that are made with the settings of the run, found others for "
                f"{', '.join(differ)}. Make TrainingRows with the same settings."
            )

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

    def anchor(self, pair: Mapping[str, Any]) -> str:
        """A row's query, as the model is to read it: the agent's, or by `question_share` its question.

        Which of them is drawn by (seed, epoch, row), as negatives are.
        """
        state = QueryState.from_dict(pair)
        share = self.settings.question_share
        if share and state.question and self._random(pair, "query").random() < share:
            state = replace(state, query=state.question)
        return render_query(state, self.settings.query_style)

    def draw(self, pair: Mapping[str, Any]) -> tuple[list[str], list[float]]:
        """Ids of a row's negatives and what each weighs, drawn from its pool by (seed, epoch, row).

        The row goes into the seed as its `pair_id`, so that a pair's draws don't depend on the others.
        """
        pool = list(pair["negative_ids"])
        kinds = pair.get("negative_kinds") or [""] * len(pool)
        drawn = self._random(pair).sample(range(len(pool)), min(self.settings.num_negatives, len(pool)))
        return [pool[index] for index in drawn], [self.settings.kind_weight(kinds[index]) for index in drawn]

    def _random(self, pair: Mapping[str, Any], *what: str) -> random.Random:
        return random.Random("/".join([f"{self.settings.seed}/{self.epoch}/{pair['pair_id']}", *what]))

    def read(self, batch: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        """Rows of config `pairs` as rows for the trainer, both by column."""
        pairs = [dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)]
        draws = [self.draw(pair) for pair in pairs]
        rows: dict[str, list[Any]] = {"anchor": [self.anchor(pair) for pair in pairs]}
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
        teacher_scores: (query, document id) to a teacher's score, when the loss learns from these.
    """

    base_vectors: Mapping[str, np.ndarray] | None = None
    teacher_scores: Mapping[tuple[str, str], float] | None = None

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
            if self.teacher_scores is not None:
                asked = zip((row["anchor"] for row in features), docids, strict=True)
                # What a row lacks has no score, and the loss leaves it out.
                scores = [self.teacher_scores[query, docid] if docid else 0.0 for query, docid in asked]
                batch[f"{column}_{TEACHER_SCORES}"] = torch.tensor(scores)
        return batch


def pair_collator(
    model: SentenceTransformer | MultiVectorEncoder, rows: TrainingRows, settings: FitSettings
) -> PairCollator:
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


def require_whole(pairs: Dataset) -> None:
    """Raises LratError where a pair lacks a text, a weight or the kinds of its negatives."""
    kinds = "negative_kinds" in pairs.column_names

    def is_whole(pair: Mapping[str, Any]) -> bool:
        negatives = pair["negative_ids"]
        return (
            isinstance(pair["weight"], int | float)
            and isinstance(negatives, list)
            and all(isinstance(text, str) for text in (pair["query"], pair["positive_id"], *negatives))
            # Those without kinds have an empty list of them, or none.
            and len(pair.get("negative_kinds") or negatives) == len(negatives)
        )

    columns = ["pair_id", "query", "positive_id", "negative_ids", "weight", *(["negative_kinds"] if kinds else [])]
    broken = [pair for pair in rows_of(pairs.select_columns(columns)) if not is_whole(pair)]
    if broken:
        raise LratError(
            "Pairs: expected a query, a positive and a list of negatives, all as texts, a number as weight, and as "
            f"many kinds as negatives; found others in {len(broken)} of {len(pairs)} pairs, first in {broken[0]}. "
            "Mine them again."
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
    keys = [_question_of(question, query) for question, query in zip(questions, queries, strict=True)]
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


def add_negatives(pairs: Dataset, retriever: Retriever, depth: int) -> Dataset:
    """Pairs with the documents as further negatives that a first stage finds for their queries.

    Positives of the same question are left out, unless a judge found them irrelevant in all their pairs: these are
    negatives that an agent took for relevant. Nobody has judged the others: some may be relevant.

    Args:
        pairs: Config `pairs`.
        retriever: The first stage; it reads queries in its own style.
        depth: Results of each query that are looked at.
    """
    relevant: dict[str, set[str]] = {}
    for pair in rows_of(
        pairs.select_columns(
            [name for name in ("question", "query", "positive_id", "verdict") if name in pairs.features]
        )
    ):
        if pair.get("verdict") == "irrelevant":
            continue
        relevant.setdefault(_question_of(pair.get("question"), pair["query"]), set()).add(pair["positive_id"])
    style = style_read_by(retriever)

    def extended(batch: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        rows = [dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)]
        queries = [render_query(QueryState.from_dict(row), style) for row in rows]
        ids, kinds = [], []
        for row, hits in zip(rows, retriever.search(queries, depth), strict=True):
            left_out = {
                *relevant.get(_question_of(row.get("question"), row["query"]), ()),
                row["positive_id"],
                *row["negative_ids"],
            }
            found = [hit.docid for hit in hits if hit.docid not in left_out]
            given = row.get("negative_kinds") or [""] * len(row["negative_ids"])
            ids.append([*row["negative_ids"], *found])
            kinds.append([*given, *[FIRST_STAGE] * len(found)])
        return {"negative_ids": ids, "negative_kinds": kinds}

    return pairs.map(extended, batched=True, batch_size=256, load_from_cache_file=False)


def stable_order(texts: Iterable[str], seed: int) -> list[str]:
    """Texts in an order given by the seed; the order of two texts does not depend on the others."""
    return sorted(texts, key=lambda text: (_number(f"{seed}/{_normalised(text)}"), text))


def content_number(text: str) -> int:
    """A document's text as a 63-bit integer that tells it from others, the same in every process."""
    return _number(text)


def _number(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def _question_of(question: str | None, query: str) -> str:
    """What tells the questions of pairs apart: an agent's query is its own where no question is known."""
    return _normalised(question or "") or _normalised(query)


def _normalised(text: str) -> str:
    return " ".join(text.casefold().split())
