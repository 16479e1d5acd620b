"""The retrievers that a stage's options name, with their pins in the stage's lineage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lrat_hub.errors import LratError
from lrat_hub.retrieval.fusion import FusionRetriever
from lrat_hub.retrieval.indexes import load_index
from lrat_hub.retrieval.remote import RemoteRetriever, is_url

if TYPE_CHECKING:
    from lrat_hub.documents import Documents
    from lrat_hub.hub.inputs import Inputs, Source
    from lrat_hub.retrieval import Retriever


def open_index(
    inputs: Inputs, text: str, *, corpus: Source, model: Source | None = None, name: str = "index"
) -> Retriever:
    """An index by its reference, or a retriever that `lrat serve` serves by its URL.

    Args:
        corpus: The corpus of the stage; an index of another is refused.
        model: The index's model, where that is not on the Hub.
        name: The input's name in the lineage.

    Raises:
        LratError: It can't be opened, is of another corpus or model, or is a URL although pins are required.
    """
    if not is_url(text):
        index = inputs.resolve(name, text, repo_type="model")
        return load_index(index, corpus=corpus, model=model)
    if inputs.require_pinned:
        raise LratError(f"{text}: --require-pinned allows only references at a full commit sha, not a server.")
    retriever = RemoteRetriever(text, corpus=corpus)
    inputs.record(name, f"{retriever.name}@{retriever.revision} (served at {retriever.url})")
    return retriever


INDEX_PREFIX = "index:"


class RetrieverShelf:
    """Retrievers over one corpus, each opened once, however many systems it is a part of.

    Args:
        option: The stage's option that names them; the parts are recorded as `<option>_1` and so on.
    """

    def __init__(self, inputs: Inputs, corpus: Source, documents: Documents, *, option: str = "retrievers") -> None:
        self._inputs, self._corpus, self._documents, self._option = inputs, corpus, documents, option
        self._opened: dict[str, Retriever] = {}

    def open(self, text: str) -> Retriever:
        """The retriever that a text names.

        Args:
            text: "bm25"; a SentenceTransformer, which encodes the corpus and is searched exactly; "index:REF" or the
                URL of a served index; or several of these joined by "+", fused by reciprocal rank.

        Raises:
            LratError: There is no such retriever, or it is of another corpus.
        """
        parts = text.split("+") if not is_url(text) else [text]
        retrievers = [self._part(part.strip()) for part in parts]
        return retrievers[0] if len(retrievers) == 1 else FusionRetriever(retrievers, self._documents.row)

    def _part(self, text: str) -> Retriever:
        if text not in self._opened:
            self._opened[text] = self._new(text, f"{self._option.removesuffix('s')}_{len(self._opened) + 1}")
        return self._opened[text]

    def _new(self, text: str, name: str) -> Retriever:
        from lrat_hub.hub.inputs import load_model
        from lrat_hub.retrieval.bm25 import BM25Retriever
        from lrat_hub.retrieval.dense import DenseRetriever

        if not text:
            raise LratError(f"--{self._option}: expected a retriever, found an empty name.")
        if text == "bm25":
            return BM25Retriever(self._documents.in_order(), revision=getattr(self._corpus, "revision", None))
        if is_url(text) or text.startswith(INDEX_PREFIX):
            return open_index(self._inputs, text.removeprefix(INDEX_PREFIX), corpus=self._corpus, name=name)
        source = self._inputs.resolve(name, text, repo_type="model")
        return DenseRetriever.of(source, load_model(source), self._documents.in_order(), show_progress=True)
