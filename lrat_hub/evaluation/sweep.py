"""Sweeps: the same training on variants of the pairs, over several seeds, against the base and one another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from lrat_hub.errors import LratError
from lrat_hub.evaluation.metrics import RetrievalScores
from lrat_hub.evaluation.trial import CONTENT, TASK, Trial
from lrat_hub.fitting import TrainingRows, fit_retriever
from lrat_hub.fitting.rows import stable_order
from lrat_hub.fitting.settings import FitSettings
from lrat_hub.schema import Document
from lrat_hub.significance import paired_difference

if TYPE_CHECKING:
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer

REPORTED = {TASK: ("recall@10", "ndcg@10"), CONTENT: ("recall@10",)}
"""The metrics of each benchmark that a sweep's table has."""


@dataclass(frozen=True)
class Variant:
    """One of the things that a sweep compares.

    Args:
        pairs: Config `pairs`; those with a weight are trained on.
        count: How many of them, drawn question by question for each seed; None for all.
    """

    name: str
    pairs: Dataset
    settings: FitSettings
    count: int | None = None


@dataclass(frozen=True)
class Run:
    """One training: how many pairs it had and what came of it; `seed` is None for the base model."""

    variant: str
    seed: int | None
    pairs: int
    scores: dict[str, RetrievalScores]


def ladder(pairs: Dataset, settings: FitSettings) -> list[Variant]:
    """The variants of Figure 7: all browsed documents as positives, without those a judge refused, and weighted.

    Raises:
        LratError: No pair was refused, so that the first two would be one.
    """
    weights = pairs["weight"]
    kept = pairs.select([row for row, weight in enumerate(weights) if weight is not None])
    if len(kept) == len(pairs):
        raise LratError(
            f"Sweep: expected pairs that a judge has seen, found weights on all {len(pairs)}. "
            "Mine with a judge: naive pairs are kept beside those it accepts."
        )
    naive = pairs.remove_columns("weight").add_column("weight", [1.0] * len(pairs))
    return [
        Variant("naive", naive, replace(settings, use_weights=False)),
        Variant("+ filter", kept, replace(settings, use_weights=False)),
        Variant("+ reweight", kept, replace(settings, use_weights=True)),
    ]


def sizes(pairs: Dataset, settings: FitSettings, shares: Sequence[float]) -> list[Variant]:
    """Growing parts of the pairs, as in Figure 8a.

    Raises:
        LratError: A share is not above 0 and at most 1.
    """
    if wrong := [share for share in shares if not 0 < share <= 1]:
        raise LratError(f"Sweep: expected shares above 0 and at most 1, found {wrong[0]}.")
    kept = pairs.select([row for row, weight in enumerate(pairs["weight"]) if weight is not None])
    return [
        Variant(f"{share:g} of the pairs", kept, settings, max(1, round(share * len(kept))))
        for share in sorted(shares)
    ]


def sources(named: Mapping[str, Dataset], settings: FitSettings) -> list[Variant]:
    """As many pairs from each of several datasets, such as those of right and of wrong answers (Table 3).

    Raises:
        LratError: There are fewer than two.
    """
    if len(named) < 2:
        raise LratError(f"Sweep: expected pairs from two datasets or more, found {len(named)}.")
    kept = {
        name: pairs.select([row for row, weight in enumerate(pairs["weight"]) if weight is not None])
        for name, pairs in named.items()
    }
    count = min(map(len, kept.values()))
    return [Variant(name, pairs, settings, count) for name, pairs in kept.items()]


def draw_pairs(pairs: Dataset, count: int | None, seed: int) -> Dataset:
    """So many pairs, question by question in an order by the seed: fewer are a part of more."""
    if count is None or count >= len(pairs):
        return pairs
    questions = list(pairs["question"] if "question" in pairs.column_names else pairs["query"])
    rank = {question: place for place, question in enumerate(stable_order(set(questions), seed))}
    rows = sorted(range(len(pairs)), key=lambda row: (rank[questions[row]], row))
    return pairs.select(sorted(rows[:count]))


def run_sweep(
    variants: Sequence[Variant],
    load_base: Callable[[], SentenceTransformer],
    documents: Mapping[str, Document],
    trial: Trial,
    *,
    seeds: int,
) -> Iterator[Run]:
    """The base model first, then every variant with the seeds 0, 1, ..."""
    yield Run("base", None, 0, trial.score(load_base()))
    for variant in variants:
        for seed in range(seeds):
            settings = replace(variant.settings, seed=seed)
            rows = TrainingRows(draw_pairs(variant.pairs, variant.count, seed), documents, settings)
            fitted = fit_retriever(load_base(), rows, settings)
            yield Run(variant.name, seed, len(rows), trial.score(fitted.model, settings.query_style))


def sweep_table(runs: Sequence[Run], trial: Trial) -> list[dict[str, Any]]:
    """A row for each metric and variant: the mean over seeds and its spread, and paired differences.

    Differences are of each query's mean over the seeds, from the base and from the variant before, with 95 %
    intervals over questions; the standard deviation is of the seeds' means, which no interval covers.
    """
    by_variant: dict[str, list[Run]] = {}
    for run in runs:
        by_variant.setdefault(run.variant, []).append(run)
    return [
        row
        for benchmark, metrics in REPORTED.items()
        if benchmark in trial.benchmarks
        for metric in metrics
        for row in _metric_rows(by_variant, benchmark, metric, trial.benchmarks[benchmark].clusters)
    ]


def _metric_rows(
    by_variant: Mapping[str, Sequence[Run]], benchmark: str, metric: str, clusters: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    base: dict[str, float] | None = None
    before: dict[str, float] | None = None
    for name, group in by_variant.items():
        own = _query_means(group, benchmark, metric)
        means = [run.scores[benchmark].mean(metric) for run in group]
        yield {
            "benchmark": benchmark,
            "metric": metric,
            "variant": name,
            "pairs": group[0].pairs,
            "mean": mean(means),
            "sd": stdev(means) if len(means) > 1 else None,
            "from base": str(paired_difference(own, base, clusters)) if base else None,
            "from the one before": str(paired_difference(own, before, clusters)) if before else None,
        }
        # The first variant is compared with the base once, not twice.
        base, before = (own, None) if base is None else (base, own)


def run_rows(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """A row for each run, benchmark and metric."""
    return [
        {"variant": run.variant, "seed": run.seed, "pairs": run.pairs, "benchmark": benchmark, "metric": metric,
         "value": scores.mean(metric)}
        for run in runs
        for benchmark, scores in run.scores.items()
        for metric in scores.metrics
    ]  # fmt: skip


def _query_means(group: Sequence[Run], benchmark: str, metric: str) -> dict[str, float]:
    scores = [run.scores[benchmark].values(metric) for run in group]
    return {query_id: mean(values[query_id] for values in scores) for query_id in scores[0]}
