"""What the benchmarks on natural questions share: the data, MiniLM with its vectors kept on disk, agents' scores.

The folder of the data holds `corpus.jsonl` (docid, title, text), `queries.tsv` (id, question, answer) and
`qrels_evidence.txt` (TREC format).
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lrat_hub.agents import Question, SearchEnvironment, run_agents
from lrat_hub.demo.bases import minilm_folder
from lrat_hub.demo.natural import NaturalReader
from lrat_hub.evaluation import AgentScores, evaluate_agents
from lrat_hub.retrieval import Retriever
from lrat_hub.retrieval.dense import DenseRetriever
from lrat_hub.retrieval.settings import IndexSettings
from lrat_hub.retrieval.vectors import VectorIndex, build_index
from lrat_hub.schema import Document, Trajectory

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

INDEX_LENGTH = 128
"""Tokens of a passage in the index."""

Values = dict[str, float]
"""Query id to a score."""


@dataclass(frozen=True)
class NaturalData:
    """The corpus, the questions and their evidence."""

    documents: tuple[Document, ...]
    questions: tuple[Question, ...]
    qrels: Mapping[str, Mapping[str, int]]

    @classmethod
    def load(cls, folder: Path) -> NaturalData:
        lines = (folder / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
        rows = [line.split("\t") for line in (folder / "queries.tsv").read_text(encoding="utf-8").splitlines()]
        qrels: dict[str, dict[str, int]] = {}
        for line in (folder / "qrels_evidence.txt").read_text(encoding="utf-8").splitlines():
            query_id, _, docid, grade = line.split()
            qrels.setdefault(query_id, {})[docid] = int(grade)
        return cls(
            tuple(Document(**json.loads(line)) for line in lines),
            tuple(Question(query_id, text, answer) for query_id, text, answer in rows),
            qrels,
        )

    def part(self, start: int, stop: int | None = None) -> NaturalData:
        """The same corpus with some of the questions, in the order of the file."""
        questions = self.questions[start:stop]
        return dataclasses.replace(
            self,
            questions=questions,
            qrels={question.query_id: self.qrels[question.query_id] for question in questions},
        )

    @property
    def by_docid(self) -> dict[str, Document]:
        return {document.docid: document for document in self.documents}


def run_reader(
    data: NaturalData, retriever: Retriever, *, k: int = 10, reader: NaturalReader | None = None
) -> list[Trajectory]:
    """The reader's trajectories on all questions."""
    environment = SearchEnvironment(retriever, data.by_docid, k=k)
    return run_agents(
        reader or NaturalReader(), data.questions, environment, max_turns=100, concurrency=len(data.questions)
    )


def score_reader(data: NaturalData, trajectories: Sequence[Trajectory]) -> AgentScores:
    return evaluate_agents(trajectories, [question.query_id for question in data.questions], data.qrels)


def search_share(data: NaturalData, retriever: Retriever, depths: int | Mapping[str, int]) -> Values:
    """The share of the evidence that one search with the question finds, to one depth or to each question's own."""
    ids = [question.query_id for question in data.questions]
    depth = depths if isinstance(depths, int) else max(depths.values())
    found = retriever.search([question.text for question in data.questions], depth)
    shares = {}
    for query_id, hits in zip(ids, found, strict=True):
        seen = {hit.docid for hit in hits[: depths if isinstance(depths, int) else depths[query_id]]}
        shares[query_id] = len(seen & data.qrels[query_id].keys()) / len(data.qrels[query_id])
    return shares


def load_minilm() -> SentenceTransformer:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(minilm_folder()), device="cpu")
    model.max_seq_length = INDEX_LENGTH
    return model


def dense_retriever(model: SentenceTransformer, vectors: np.ndarray, data: NaturalData, name: str) -> DenseRetriever:
    """A retriever over vectors of the whole corpus, in its order."""
    index = build_index([vectors], IndexSettings())
    return DenseRetriever(model, VectorIndex(index, [document.docid for document in data.documents]), name=name)


class HalfwayEncoder:
    """Encodes one corpus with many models that share their lower layers, which is done once and kept on disk.

    It computes in bfloat16, which halves the time again on processors that have it. Queries are encoded by the model
    itself, in float32; passages differ from that by rounding, the same for every model.

    Args:
        base: A BERT of sentence-transformers.
        texts: The corpus.
        layers: Lower layers that no model changes.
        file: Where the states after them are kept.
    """

    def __init__(self, base: SentenceTransformer, texts: Sequence[str], *, layers: int, file: Path) -> None:
        import torch

        self._layers, self._count = layers, len(texts)
        if not file.is_file():
            states = self._lower_layers(base, texts)
            file.parent.mkdir(parents=True, exist_ok=True)
            part = file.with_suffix(".part")
            torch.save(states, part)
            part.rename(file)
        self._batches: list[tuple[list[int], torch.Tensor, torch.Tensor]] = torch.load(file, weights_only=True)

    def _lower_layers(self, base: SentenceTransformer, texts: Sequence[str]) -> list:
        import torch

        bert = base[0].auto_model
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        batches = []
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
            for start in range(0, len(order), 32):
                places = order[start : start + 32]
                features = base.preprocess([texts[place] for place in places])
                inputs = {name: features[name] for name in ("input_ids", "token_type_ids") if name in features}
                hidden, mask = bert.embeddings(**inputs), features["attention_mask"]
                hidden = self._through(bert.encoder.layer[: self._layers], hidden, mask)
                batches.append((places, hidden.to(torch.bfloat16), mask))
        return batches

    def encode(self, model: SentenceTransformer) -> np.ndarray:
        """Normalised vectors of the corpus, shape (documents, dimension), float32."""
        import torch

        bert = model[0].auto_model
        vectors = np.empty((self._count, model.get_embedding_dimension()), dtype=np.float32)
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
            for places, hidden, mask in self._batches:
                hidden = self._through(bert.encoder.layer[self._layers :], hidden, mask).float()
                # Mean pooling, which is MiniLM's.
                weights = mask[:, :, None].float()
                pooled = (hidden * weights).sum(1) / weights.sum(1)
                vectors[places] = torch.nn.functional.normalize(pooled, dim=1).numpy()
        return vectors

    @staticmethod
    def _through(layers: Sequence[torch.nn.Module], hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        allowed = mask[:, None, None, :].bool()
        for layer in layers:
            output = layer(hidden, allowed)
            hidden = output[0] if isinstance(output, tuple) else output
        return hidden
