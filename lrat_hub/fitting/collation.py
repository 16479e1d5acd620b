"""sentence-transformers' collator, with what the loss is told of each document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from sentence_transformers.sentence_transformer.data_collator import SentenceTransformerDataCollator

from lrat_hub.fitting.rows import document_number
from lrat_hub.losses import BASE_EMBEDDINGS, DOCUMENT_IDS, NEGATIVE_WEIGHTS


class PairCollator(SentenceTransformerDataCollator):
    """Collates rows of `TrainingRows`; their lists for the loss become features of the columns of documents.

    Args:
        base_vectors: Id to a document's vector by the base model, when the loss is anchored to them. Places without
            a document get zeros, which the loss leaves out.
    """

    base_vectors: Mapping[str, np.ndarray] | None = None

    def __call__(self, features: list[dict[str, Any]]) -> dict[str, Any]:
        known = (DOCUMENT_IDS, NEGATIVE_WEIGHTS)
        texts = [{key: value for key, value in row.items() if key not in known} for row in features]
        batch = super().__call__(texts)
        columns = [name for name in texts[0] if name not in (*self.valid_label_columns, "anchor", "dataset_name")]
        for place, column in enumerate(columns):
            docids = [row[DOCUMENT_IDS][place] for row in features]
            batch[f"{column}_{DOCUMENT_IDS}"] = torch.tensor([document_number(docid) for docid in docids])
            if place:
                weights = [row[NEGATIVE_WEIGHTS][place - 1] for row in features]
                batch[f"{column}_{NEGATIVE_WEIGHTS}"] = torch.tensor(weights)
            if self.base_vectors is not None:
                vectors = np.stack([self.base_vectors[docid] for docid in docids])
                batch[f"{column}_{BASE_EMBEDDINGS}"] = torch.from_numpy(vectors)
        return batch
