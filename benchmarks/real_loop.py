"""The whole loop on natural questions: what training on the reader's runs gains, what it costs, and what it teaches.

The reader works on the first 300 questions of `twowiki`, its runs are mined, MiniLM is trained on the pairs, and every
model is evaluated on the other 100 questions: one search with the question, the reader with result lists of 10 and of
3, and the content check. The loop is varied to see what matters: see `VARIANTS`. It is a matter of hours on two cores,
so it goes in pieces, and every piece leaves its results in the work folder::

    python benchmarks/real_loop.py --data twowiki --work work --minutes 8     # again and again, until nothing is left
    python benchmarks/real_loop.py --data twowiki --work work --report
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from natural_questions import (
    HalfwayEncoder,
    NaturalData,
    Values,
    dense_retriever,
    load_minilm,
    run_reader,
    score_reader,
    search_share,
)

from lrat_hub.demo.natural import NaturalReader
from lrat_hub.demo.natural.language import fold
from lrat_hub.fitting.settings import FitSettings
from lrat_hub.hub.cards import markdown_table
from lrat_hub.judges import RuleJudge
from lrat_hub.mining import mine_pairs
from lrat_hub.retrieval import Retriever
from lrat_hub.retrieval.bm25 import BM25Retriever
from lrat_hub.schema import Document, Pair, Trajectory
from lrat_hub.significance import paired_difference

TRAINED_ON = 300
SEEDS = (0, 1, 2)
FROZEN = 3
POOL = 1
"""Negatives that are kept of each pair: with more, more passages would have to be encoded for the anchor."""

RECIPE = FitSettings(
    max_steps=60,
    batch_size=16,
    learning_rate=1e-4,
    num_negatives=1,
    temperature=0.05,
    query_length=64,
    document_length=64,
    frozen_layers=FROZEN,
    precision="bf16",
)
"""A pass over the pairs and a bit, on two free cores in a minute; a model takes two, with encoding and evaluation."""

Queries = Literal["agent", "title", "question"]


@dataclass(frozen=True)
class Variant:
    """A way around the loop.

    Args:
        says: What it is, for the report.
        retriever: Which one the reader searches with while runs are collected.
        reader: Settings of the reader while runs are collected.
        judged: Whether only pairs are trained on that the judge calls relevant, with their weights; else all, alike.
        queries: The agent's; or the title of the positive in the place of each; or the agent's and, for what later
            searches of a run have found, the question besides.
        titled: Whether titles stand before the texts of passages, in training and in the index.
        anchor: The loss's hold on documents' vectors.
    """

    says: str
    retriever: Literal["MiniLM", "BM25"] = "MiniLM"
    reader: dict[str, Any] = field(default_factory=dict)
    judged: bool = True
    queries: Queries = "agent"
    titled: bool = True
    anchor: float = 3.0


VARIANTS = {
    "anchored": Variant("pairs of the base's own runs, judged and weighted, with the anchor"),
    "plain": Variant("the same without the anchor", anchor=0.0),
    "titles": Variant("control: each query is the title of its positive", queries="title"),
    "questions": Variant("what later searches found is also a positive of the question", queries="question"),
    "weak naive": Variant(
        "a reader that opens by snippets; all its pairs, alike", reader={"opener": "snippet"}, judged=False
    ),
    "weak judged": Variant("the same, judged and weighted", reader={"opener": "snippet"}),
    "untitled": Variant("texts without titles before them", titled=False),
    "bm25": Variant("pairs of the reader's runs with BM25", retriever="BM25"),
    "held": Variant(
        "the same, positives of the question as well, a stronger anchor", "BM25", queries="question", anchor=6.0
    ),
}

UNTRAINED = {
    "BM25": "no training",
    "MiniLM": "the base, no training",
    "MiniLM untitled": "the base on texts without titles",
}

METRICS = {
    "recall@5": "question R@5",
    "recall@10": "question R@10",
    "named@10": "R@10, named",
    "unnamed@10": "R@10, not named",
    "share@k10": "reader k=10: share",
    "searches@k10": "searches",
    "share@k3": "reader k=3: share",
    "all@k3": "all",
    "searches@k3": "searches ",
    "content@10": "content R@10",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--work", type=Path, required=True, metavar="DIR")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="start no further piece after these")
    parser.add_argument("--only", nargs="*", choices=VARIANTS, default=list(VARIANTS), help="variants to train")
    parser.add_argument("--report", action="store_true", help="only print what is there")
    args = parser.parse_args()
    loop = Loop(NaturalData.load(args.data), args.work)
    if not args.report:
        pieces: list[tuple[str, Callable[[], dict[str, Values]]]] = [
            ("BM25", lambda: loop.evaluate(loop.bm25)),
            ("MiniLM", lambda: loop.evaluate(loop.base)),
        ]
        # Every variant once before any a second time.
        for seed in SEEDS:
            for name in args.only:
                pieces.append((f"{name} s{seed}", lambda name=name, seed=seed: loop.train(VARIANTS[name], seed)))
        if any(not VARIANTS[name].titled for name in args.only):
            pieces.append(("MiniLM untitled", lambda: loop.evaluate(loop.untitled_base)))
        started = time.monotonic()
        left = [(name, work) for name, work in pieces if not loop.file(name).is_file()]
        for place, (name, work) in enumerate(left):
            if time.monotonic() - started > 60 * args.minutes:
                print(f"{len(left) - place} of {len(pieces)} pieces are left: run it again.")
                return
            before = time.monotonic()
            loop.file(name).parent.mkdir(parents=True, exist_ok=True)
            loop.file(name).write_text(json.dumps(work()), encoding="utf-8")
            print(f"{name}: {time.monotonic() - before:.0f} s", flush=True)
    print(report(loop))


@dataclass
class Loop:
    """The loop, with everything that several of its pieces need. `work` keeps what is slow to make."""

    data: NaturalData
    work: Path

    def file(self, piece: str) -> Path:
        return self.work / "results" / f"{piece.replace(' ', '-')}.json"

    @cached_property
    def dev(self) -> NaturalData:
        return self.data.part(TRAINED_ON)

    @cached_property
    def bm25(self) -> Retriever:
        return BM25Retriever(self.data.documents)

    @cached_property
    def base(self) -> Retriever:
        return self._dense_base(titled=True)

    @cached_property
    def untitled_base(self) -> Retriever:
        return self._dense_base(titled=False)

    def _dense_base(self, *, titled: bool) -> Retriever:
        model, file = load_minilm(), self.work / f"base-{'titled' if titled else 'untitled'}.npy"
        if not file.is_file():
            np.save(file, self.encoder(titled=titled).encode(model))
        return dense_retriever(model, np.load(file), self.data, "MiniLM")

    def documents(self, *, titled: bool) -> dict[str, Document]:
        """What is encoded; the agent sees titles in any case."""
        return {
            document.docid: document if titled else dataclasses.replace(document, title="")
            for document in self.data.documents
        }

    def encoder(self, *, titled: bool) -> HalfwayEncoder:
        texts = [document.content for document in self.documents(titled=titled).values()]
        name = "titled" if titled else "untitled"
        return HalfwayEncoder(load_minilm(), texts, layers=FROZEN, file=self.work / f"lower-{FROZEN}-layers-{name}.pt")

    # Collecting, mining, training.

    def runs(self, variant: Variant) -> list[Trajectory]:
        kind = "-".join([variant.retriever, *variant.reader.values()])
        file = self.work / f"runs-{kind}.jsonl"
        if not file.is_file():
            retriever = self.bm25 if variant.retriever == "BM25" else self.base
            runs = run_reader(self.data.part(0, TRAINED_ON), retriever, reader=NaturalReader(**variant.reader))
            file.write_text("".join(json.dumps(run.to_dict()) + "\n" for run in runs), encoding="utf-8")
        return [Trajectory.from_dict(json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]

    def pairs(self, variant: Variant) -> list[Pair]:
        runs = self.runs(variant)
        pairs = mine_pairs(runs, judge=RuleJudge() if variant.judged else None).trained
        if variant.queries == "title":
            by_docid = self.data.by_docid
            return [dataclasses.replace(pair, query=by_docid[pair.positive_id].title) for pair in pairs]
        if variant.queries == "question":
            first = {run.trajectory_id: run.steps[0].results for run in runs}
            opened = {run.trajectory_id: {step.docid for step in run.steps} for run in runs}
            return pairs + [
                dataclasses.replace(
                    pair,
                    pair_id=f"{pair.pair_id}-question",
                    query=pair.question,
                    negative_ids=(negatives := self._passed_over(first, opened, pair)),
                    negative_kinds=("list",) * len(negatives),
                )
                for pair in pairs
                if pair.query != pair.question
            ]
        return pairs

    @staticmethod
    def _passed_over(first: dict[str, Sequence[Any]], opened: dict[str, set[Any]], pair: Pair) -> tuple[str, ...]:
        """What the search with the question listed and nobody opened."""
        listed = [hit.docid for hit in first[pair.trajectory_id]]
        return tuple(docid for docid in listed if docid not in opened[pair.trajectory_id])

    def train(self, variant: Variant, seed: int) -> dict[str, Values]:
        from lrat_hub.fitting import TrainingRows, fit_retriever
        from lrat_hub.mining.tables import pair_table

        settings = dataclasses.replace(RECIPE, seed=seed, document_anchor=variant.anchor, use_weights=variant.judged)
        model = load_minilm()
        rows = TrainingRows(
            pair_table(thinned(self.pairs(variant), seed)), self.documents(titled=variant.titled), settings
        )
        fit_retriever(model, rows, settings)
        model.eval()
        vectors = self.encoder(titled=variant.titled).encode(model)
        return self.evaluate(dense_retriever(model, vectors, self.data, "trained"))

    # Evaluating.

    def evaluate(self, retriever: Retriever) -> dict[str, Values]:
        """Metric to query id to value; the content check's queries are passages."""
        values = {f"recall@{k}": search_share(self.dev, retriever, k) for k in (5, 10)}
        values |= {f"{kind}@10": search_share(part, retriever, 10) for kind, part in self.evidence_kinds.items()}
        for k in (10, 3):
            scores = score_reader(self.dev, run_reader(self.dev, retriever, k=k))
            share = scores.values("evidence_share")
            values[f"share@k{k}"] = share
            values[f"all@k{k}"] = {query_id: float(value == 1) for query_id, value in share.items()}
            for metric in ("opened_share", "searches", "browses"):
                values[f"{metric}@k{k}"] = scores.values(metric)
        values["content@10"] = self.content_check.score(retriever).values("recall@10")
        return values

    @cached_property
    def evidence_kinds(self) -> dict[str, NaturalData]:
        """The questions with only that of their evidence whose title they name, and with only the other."""
        titles = {document.docid: fold(document.title.partition(" (")[0]) for document in self.dev.documents}
        asked = {question.query_id: f" {fold(question.text)} " for question in self.dev.questions}
        parts = {}
        for kind, wanted in {"named": True, "unnamed": False}.items():
            qrels = {
                query_id: {d: grade for d, grade in grades.items() if (f" {titles[d]} " in asked[query_id]) == wanted}
                for query_id, grades in self.dev.qrels.items()
            }
            kept = tuple(question for question in self.dev.questions if qrels[question.query_id])
            parts[kind] = dataclasses.replace(self.dev, questions=kept, qrels=qrels)
        return parts

    @cached_property
    def content_check(self) -> Any:
        from datasets import Dataset

        from lrat_hub.documents import Documents
        from lrat_hub.evaluation.controls import content_check

        rows = [dataclasses.asdict(document) for document in self.data.documents]
        return content_check(Documents(Dataset.from_list(rows)))


def thinned(pairs: Sequence[Pair], seed: int) -> list[Pair]:
    """The pairs with a few of their negatives, drawn by the seed."""
    chance = random.Random(seed)
    return [
        dataclasses.replace(
            pair,
            negative_ids=tuple(pair.negative_ids[place] for place in places),
            negative_kinds=("list",) * len(places),
        )
        for pair in pairs
        for places in [sorted(chance.sample(range(len(pair.negative_ids)), min(POOL, len(pair.negative_ids))))]
    ]


def report(loop: Loop) -> str:
    """Means of all models, over their seeds, and what they gain over their base and over the title control."""
    systems = {name: [loop.file(name)] for name in UNTRAINED}
    systems |= {name: [loop.file(f"{name} s{seed}") for seed in SEEDS] for name in VARIANTS}
    results = {
        name: averaged([json.loads(file.read_text(encoding="utf-8")) for file in files if file.is_file()])
        for name, files in systems.items()
        if any(file.is_file() for file in files)
    }
    seeds = {name: sum(file.is_file() for file in files) for name, files in systems.items()}
    says = UNTRAINED | {name: variant.says for name, variant in VARIANTS.items()}
    levels = [
        {
            "model": name,
            "what it is": says[name],
            "seeds": seeds[name] if name in VARIANTS else "",
            **{
                title: f"{sum(values[metric].values()) / len(values[metric]):.3f}" for metric, title in METRICS.items()
            },
        }
        for name, values in results.items()
    ]
    baselines = {
        name: "MiniLM" if VARIANTS[name].titled else "MiniLM untitled" for name in results if name in VARIANTS
    }
    pairs = [(name, base) for name, base in baselines.items() if base in results]
    pairs += [(name, "titles") for name in ("anchored", "questions") if {name, "titles"} <= results.keys()]
    if {"weak judged", "weak naive"} <= results.keys():
        pairs.append(("weak judged", "weak naive"))
    if "anchored" in results:
        pairs.append(("anchored", "BM25"))
    gains = [
        {
            "difference": f"{system} - {baseline}",
            **{
                title: f"{paired_difference(results[system][metric], results[baseline][metric])}"
                for metric, title in METRICS.items()
            },
        }
        for system, baseline in pairs
        if baseline in results
    ]
    return f"{markdown_table(levels)}\n\n{markdown_table(gains)}"


def averaged(results: Sequence[dict[str, Values]]) -> dict[str, Values]:
    """The mean over seeds, question by question."""
    return {
        metric: {key: sum(result[metric][key] for result in results) / len(results) for key in values}
        for metric, values in results[0].items()
    }


if __name__ == "__main__":
    main()
