"""What ranks documents again for one query: cross-encoders, and late interaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from lrat_hub.encoders import is_late, load_late_interaction, load_reranker, model_kind, require_one_score
from lrat_hub.encoders.loading import LATE_INTERACTION
from lrat_hub.errors import LratError
from lrat_hub.retrieval.settings import BATCH_SIZE

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder, MultiVectorEncoder

    from lrat_hub.hub.inputs import Source


class Reranker(Protocol):
    """Scores documents for a query, each by itself: neither their order nor their number changes a score."""

    def score(self, query: str, documents: Sequence[str]) -> np.ndarray:
        """Scores of documents, higher is better, shape (documents,)."""
        ...


class CrossEncoderReranker:
    """Scores of a CrossEncoder, before the activation that it may put behind them.

    A sigmoid gives documents of high scores the same one.

    Args:
        model: Any CrossEncoder that gives one score per pair.
        name: Its name, for errors.
        batch_size: Pairs that are scored together.

    Raises:
        LratError: The model gives several scores per pair.
    """

    def __init__(self, model: CrossEncoder, *, name: str = "cross-encoder", batch_size: int = BATCH_SIZE) -> None:
        require_one_score(model, name)
        self._model, self._batch_size = model, batch_size

    def score(self, query: str, documents: Sequence[str]) -> np.ndarray:
        """See `Reranker.score`. Query and document are read together, after the model's prompt."""
        from torch.nn import Identity

        pairs = [(query, document) for document in documents]
        return np.asarray(
            self._model.predict(pairs, batch_size=self._batch_size, activation_fn=Identity(), show_progress_bar=False)
        )


class LateReranker:
    """Scores of a late-interaction model: MaxSim of the query's tokens and the document's, exactly.

    Documents are encoded again for every query. An index of their vectors saves that, for 2 bytes a number of every
    token (`LateRetriever`).

    Args:
        model: Any MultiVectorEncoder.
        batch_size: Documents that are encoded together.
    """

    def __init__(self, model: MultiVectorEncoder, *, batch_size: int = BATCH_SIZE) -> None:
        self._model, self._batch_size = model, batch_size

    def score(self, query: str, documents: Sequence[str]) -> np.ndarray:
        """See `Reranker.score`. Texts have the prompts and lengths of `encode_query` and `encode_document`."""
        model = self._model
        # On the model's device, where they are compared.
        queries = model.encode_query([query], show_progress_bar=False)
        encoded = model.encode_document(list(documents), batch_size=self._batch_size, show_progress_bar=False)
        return model.similarity(queries, encoded)[0].float().cpu().numpy()


def reranker_of(model: Any, *, name: str = "reranker", batch_size: int = BATCH_SIZE) -> Reranker:
    """What ranks again with a model: a MultiVectorEncoder, a CrossEncoder, or anything with `score`, as it is.

    Raises:
        LratError: The model gives several scores per pair, or is something else.
    """
    if is_late(model):
        return LateReranker(model, batch_size=batch_size)
    if callable(getattr(model, "score", None)):
        return model
    if not (callable(getattr(model, "predict", None)) and hasattr(model, "num_labels")):
        raise LratError(
            "Reranking: expected a CrossEncoder, a MultiVectorEncoder, or an object with score(query, documents) for "
            f"{name}, found {type(model).__name__}."
        )
    return CrossEncoderReranker(model, name=name, batch_size=batch_size)


def load_second_stage(source: Source) -> CrossEncoder | MultiVectorEncoder:
    """The model of a repository that ranks again.

    Raises:
        LratError: It is of another kind, or can't be loaded.
    """
    return load_late_interaction(source) if model_kind(source) == LATE_INTERACTION else load_reranker(source)
