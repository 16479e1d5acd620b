"""What keeps a retriever from forgetting content while it learns agents' queries: the remedies, measured alike.

The reader works on the first 300 questions of `twowiki` with BM25, and its runs are mined. A base model is trained on
the pairs with each remedy and three seeds. Measured are the gain on the other 100 questions, and the loss in the
content check (a sentence without the words of its title, and its passage)::

    python benchmarks/forgetting.py --data twowiki --work work --base static
    python benchmarks/forgetting.py --data twowiki --work work --base static --report

Every training leaves its scores in the work folder, where the same command goes on.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from datasets import Dataset, concatenate_datasets
from natural_questions import NaturalData, run_reader
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.losses.merged_forward import embed_columns
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from small_minilm import small_minilm

from lrat_hub.demo.bases import minilm_folder
from lrat_hub.demo.recorded import read_questions
from lrat_hub.demo.wikipedia import read_documents
from lrat_hub.documents import Documents
from lrat_hub.evaluation.benchmark import Benchmark
from lrat_hub.evaluation.controls import sentence_query
from lrat_hub.evaluation.training import TrainingEvaluation
from lrat_hub.fitting import TrainingRows, fit_retriever, trainer
from lrat_hub.fitting.kinds import RETRIEVERS
from lrat_hub.fitting.settings import FitSettings
from lrat_hub.hub.cards import markdown_table
from lrat_hub.judges import RuleJudge
from lrat_hub.losses import WeightedMultipleNegativesRankingLoss
from lrat_hub.losses.labels import split_labels
from lrat_hub.mining import mine_pairs
from lrat_hub.mining.tables import pair_table
from lrat_hub.retrieval.bm25 import BM25Retriever
from lrat_hub.schema import Document, Pair
from lrat_hub.significance import paired_difference

TRAINED_ON = 300
LENGTH = 48
"""Tokens of a query and of a passage, for the base with layers."""
METRICS = ("task recall@5", "task recall@10", "task ndcg@10", "content recall@10")
"""A benchmark of the evaluation of a training, and a metric."""
ANCHOR = "anchor 3"

STATIC = FitSettings(max_steps=45, batch_size=32, learning_rate=3e-3, num_negatives=4, temperature=0.02,
                     query_length=0, document_length=0)  # fmt: skip
"""The recipe `quickstart_static` without its anchor and questions."""
SMALL = FitSettings(max_steps=40, batch_size=16, learning_rate=3e-4, num_negatives=1, temperature=0.05,
                    query_length=LENGTH, document_length=LENGTH)  # fmt: skip
"""The recipe `tiny_cpu` without what it does against forgetting (the anchor, frozen layers), with three times its
learning rate and two thirds of its steps."""


@dataclass(frozen=True)
class Remedy:
    """What is done against forgetting.

    Args:
        settings: What differs from the base's settings.
        factor: The learning rate by that of the base's settings.
        lwf: Coefficient of the term that keeps scores near those of the base (learning without forgetting).
        general: Other pairs that are mixed in: questions on passages of another corpus, or sentences of these.
        share: Number of the other pairs by that of the mined ones.
        layers: Whether it needs a transformer.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    factor: float = 1.0
    lwf: float = 0.0
    general: str = ""
    share: float = 1.0
    layers: bool = False


REMEDIES = {
    "none": Remedy(),
    "anchor 1": Remedy({"document_anchor": 1.0}),
    "anchor 3": Remedy({"document_anchor": 3.0}),
    "anchor 10": Remedy({"document_anchor": 10.0}),
    "LwF 1": Remedy(lwf=1.0),
    "LwF 3": Remedy(lwf=3.0),
    "LwF 10": Remedy(lwf=10.0),
    "weight averaging 0.5": Remedy({"interpolate": 0.5}),
    "weight averaging 0.25": Remedy({"interpolate": 0.25}),
    "a third of the learning rate": Remedy(factor=1 / 3),
    "general pairs: questions": Remedy(general="questions"),
    "general pairs: sentences": Remedy(general="sentences"),
    "LoRA 16": Remedy({"lora_rank": 16}, factor=10 / 3, layers=True),
    "frozen: embeddings, 1 of 2 layers": Remedy({"frozen_layers": 1}, layers=True),
}


class LearningWithoutForgetting(WeightedMultipleNegativesRankingLoss):
    """The weighted loss, with a * KL(base || model) of a query's distribution over the documents of the batch.

    It is Li and Hoiem's distillation from the model before training on the new inputs
    (https://huggingface.co/papers/1606.09282), with the documents of the batch as classes.
    """

    def __init__(self, model: SentenceTransformer, base: SentenceTransformer, share: float, **options: Any) -> None:
        super().__init__(model, **options)
        # In a tuple it is no module of this one: nobody trains it.
        self.share, self.base = share, (base.eval(),)

    def forward(self, sentence_features: Any, labels: torch.Tensor | None) -> torch.Tensor:
        features, own = split_labels(sentence_features, labels)
        with torch.no_grad():
            before = self._log_shares(embed_columns(self.base[0], [dict(column) for column in features]))
        embeddings = embed_columns(self.model, features)
        after = self._log_shares(embeddings)
        kept = torch.nn.functional.kl_div(after, before, reduction="batchmean", log_target=True)
        return self.compute_loss_from_embeddings(embeddings, own) + self.share * kept

    def _log_shares(self, embeddings: list[torch.Tensor]) -> torch.Tensor:
        return torch.log_softmax(self.similarity_fct(embeddings[0], torch.cat(embeddings[1:])) * self.scale, dim=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--work", type=Path, required=True, metavar="DIR", help="keeps what was measured")
    parser.add_argument("--base", choices=("static", "small"), default="static", help="averaged embeddings; 2 layers")
    parser.add_argument("--passages", type=int, default=1200, help="all evidence, and others drawn")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=REMEDIES, default=list(REMEDIES))
    parser.add_argument("--report", action="store_true", help="only print the tables of what is there")
    args = parser.parse_args()
    remedies = {name: REMEDIES[name] for name in args.only if args.base == "small" or not REMEDIES[name].layers}
    forgetting = Forgetting(args.data, args.work, args.base, args.passages)
    if not args.report:
        forgetting.measure("base", 0, lambda: forgetting.score(forgetting.load_base()))
        # Every remedy once before any a second time.
        for seed in range(args.seeds):
            for name, remedy in remedies.items():
                forgetting.measure(name, seed, lambda remedy=remedy, seed=seed: forgetting.train(remedy, seed))
    print("\n\n".join(forgetting.tables(remedies, args.seeds)))


class Forgetting:
    """The data, a base, and what was measured, which the work folder keeps."""

    def __init__(self, data: Path, work: Path, base: str, passages: int) -> None:
        self.work, self.base = work, base
        whole = NaturalData.load(data)
        evidence = {docid for grades in whole.qrels.values() for docid in grades}
        others = [one for one in whole.documents if one.docid not in evidence]
        left_out = {one.docid for one in random.Random(0).sample(others, max(0, len(whole.documents) - passages))}
        kept = tuple(one for one in whole.documents if one.docid not in left_out)
        self.whole, self.data = whole, replace(whole, documents=kept)

    def file(self, name: str, seed: int) -> Path:
        return self.work / self.base / f"{name.replace(' ', '-').replace(':', '').replace(',', '')}-s{seed}.json"

    def measure(self, name: str, seed: int, work: Callable[[], dict[str, Any]]) -> None:
        file, started = self.file(name, seed), time.process_time()
        if not file.is_file():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(work()), encoding="utf-8")
            print(f"{name}, seed {seed}: {time.process_time() - started:.0f} s of CPU time", flush=True)

    # What is trained

    def load_base(self) -> SentenceTransformer:
        if self.base == "small":
            # The texts are those of rankers.py.
            passages = [one.content for one in self.whole.documents]
            questions = [one.text for one in self.whole.part(0, TRAINED_ON).questions]
            texts = passages + [one.title for one in self.whole.documents] + 6 * questions
            folder = small_minilm(texts, self.work / "minilm-in-two-layers")
            model = SentenceTransformer(str(folder), device="cpu")
            model.max_seq_length = LENGTH
            return model
        whole = SentenceTransformer(str(minilm_folder()), device="cpu")
        weights = whole[0].auto_model.get_input_embeddings().weight.detach().clone()
        static = StaticEmbedding(whole.tokenizer, embedding_weights=weights)
        return SentenceTransformer(modules=[static], device="cpu", similarity_fn_name="cosine")

    @cached_property
    def pairs(self) -> list[Pair]:
        runs = run_reader(self.data.part(0, TRAINED_ON), BM25Retriever(self.data.documents))
        return list(mine_pairs(runs, judge=RuleJudge()).trained)

    def mixed_in(self, remedy: Remedy, seed: int) -> tuple[list[Pair], dict[str, Document]]:
        """Other pairs with their documents, without mined negatives."""
        if not remedy.general:
            return [], {}
        passages = {f"other-{docid}": replace(one, docid=f"other-{docid}") for docid, one in read_documents().items()}
        if remedy.general == "questions":
            found = [(one.question, f"other-{one.evidence[0]}") for one in read_questions()]
        else:
            found = [(query, docid) for docid, one in passages.items() if (query := sentence_query(one))]
        found = [(query, docid) for query, docid in found if docid in passages]
        drawn = random.Random(seed).sample(found, min(len(found), round(remedy.share * len(self.pairs))))
        one = self.pairs[0]
        return [
            replace(one, pair_id=f"other-{number}", question=query, query=query, positive_id=docid, negative_ids=(),
                    negative_kinds=(), previous_queries=(), weight=1.0)
            for number, (query, docid) in enumerate(drawn)
        ], passages  # fmt: skip

    def train(self, remedy: Remedy, seed: int) -> dict[str, Any]:
        settings = STATIC if self.base == "static" else SMALL
        assert settings.learning_rate is not None
        settings = replace(
            settings, **remedy.settings, seed=seed, learning_rate=settings.learning_rate * remedy.factor
        )
        others, passages = self.mixed_in(remedy, seed)
        table = pair_table(self.pairs)
        if others:
            table = concatenate_datasets([table, pair_table(others)])
        model = self.load_base()
        rows = TrainingRows(table, self.data.by_docid | passages, settings)
        with learning_without_forgetting(self.load_base, remedy.lwf):
            model = fit_retriever(model, rows, settings).model
        return self.score(model.eval())

    # What it is worth

    @cached_property
    def evaluation(self) -> TrainingEvaluation:
        documents = Documents(Dataset.from_list([asdict(one) for one in self.data.documents]))
        dev = self.data.part(TRAINED_ON)
        queries = {one.query_id: one.text for one in dev.questions}
        return TrainingEvaluation.of(
            Benchmark(documents, queries, dev.qrels, {query: query for query in queries}), documents, passages=500
        )

    def score(self, model: SentenceTransformer) -> dict[str, Any]:
        scores = self.evaluation.score(model)
        parts = {name: name.split() for name in METRICS}
        return {name: scores[task].values(metric) for name, (task, metric) in parts.items()}

    def tables(self, remedies: dict[str, Remedy], seeds: int) -> list[str]:
        """Levels with the spread over seeds; differences from the base; differences from the anchor."""
        scores: dict[str, list[dict[str, Any]]] = {"not trained": [self.read("base", 0)]}
        for name in remedies:
            if found := [self.read(name, seed) for seed in range(seeds) if self.file(name, seed).is_file()]:
                scores[name] = found
        means = {
            name: {
                metric: {key: mean(one[metric][key] for one in found) for key in found[0][metric]}
                for metric in METRICS
            }
            for name, found in scores.items()
        }

        def level(name: str, metric: str) -> str:
            seeds = [mean(one[metric].values()) for one in scores[name]]
            return f"{mean(seeds):.3f}" + (f" (sd {stdev(seeds):.3f})" if len(seeds) > 1 else "")

        tables = [
            [
                {"remedy": name, "seeds": str(len(found))} | {metric: level(name, metric) for metric in METRICS}
                for name, found in scores.items()
            ]
        ]
        for baseline in ("not trained", ANCHOR):
            tables.append(
                [
                    {"remedy": name, "compared with": baseline}
                    | {
                        metric: str(paired_difference(means[name][metric], means[baseline][metric]))
                        for metric in METRICS
                    }
                    for name in scores
                    if baseline in scores and name not in ("not trained", baseline)
                ]
            )
        return [markdown_table(table) for table in tables if table]

    def read(self, name: str, seed: int) -> dict[str, Any]:
        return json.loads(self.file(name, seed).read_text(encoding="utf-8"))


@contextmanager
def learning_without_forgetting(load_base: Callable[[], SentenceTransformer], share: float) -> Iterator[None]:
    """Trainings have the loss with LwF within the context, where its coefficient is above 0."""
    of_model = trainer.kind_of

    def make_loss(model: SentenceTransformer, settings: FitSettings) -> LearningWithoutForgetting:
        assert settings.temperature is not None
        return LearningWithoutForgetting(model, load_base(), share, scale=1 / settings.temperature)

    if share:
        trainer.kind_of = lambda model: replace(RETRIEVERS, make_loss=make_loss)
    try:
        yield
    finally:
        trainer.kind_of = of_model


if __name__ == "__main__":
    main()
