"""A model before and after training: what it gained on its task, and whether it forgot what else it knew.

Trainings on several variants of the pairs, with several seeds each, are compared by the same benchmarks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from lrat_hub.documents import Documents
from lrat_hub.encoders import cut_to, is_late
from lrat_hub.errors import LratError
from lrat_hub.evaluation.benchmark import Benchmark
from lrat_hub.evaluation.controls import CHECK_METRIC, bounded_check, content_check
from lrat_hub.evaluation.metrics import METRICS, RetrievalScores
from lrat_hub.queries import QueryStyle
from lrat_hub.retrieval.bm25 import BM25Retriever
from lrat_hub.retrieval.dense import DenseRetriever
from lrat_hub.retrieval.fusion import RerankedRetriever
from lrat_hub.significance import Difference, paired_difference

if TYPE_CHECKING:
    from lrat_hub.encoders.encoding import Ranker
    from lrat_hub.hub.inputs import Source
    from lrat_hub.hub.refs import HubRef

TASK_METRIC = "recall@10"
"""What the verdict on the task rests on."""

TASK, CONTENT = "task", "content"

RERANKED = 20
"""Results of BM25 that a reranker, or late interaction, ranks again when a training is judged."""

REPORTED = {TASK: ("recall@10", "ndcg@10"), CONTENT: ("recall@10",)}
"""The metrics of each benchmark that the table of a sweep has."""


@dataclass(frozen=True)
class TrainingEvaluation:
    """The benchmarks that a training is judged by, any of which may be missing.

    Args:
        benchmarks: `TASK`: the development queries. `CONTENT`: sentences, without title words, and their passages.
        left_out: Why there is no content check although one was asked for: not every corpus has passages for it.
        max_length: Tokens of a document where there is no task; 0 for the model's limit, as with a task.
    """

    benchmarks: Mapping[str, Benchmark] = field(default_factory=dict)
    left_out: str = ""
    max_length: int = 0

    @classmethod
    def of(
        cls, task: Benchmark | None, documents: Documents, *, passages: int, max_length: int = 0
    ) -> TrainingEvaluation:
        """Evaluates on a task, if there is one, and on passages of its corpus, or else of the given documents.

        The corpus of a task is encoded for the task, and the content check costs no more than its queries. Without a
        task that check alone would need all the documents: it takes a part of them, cut as in training.

        Args:
            passages: Number of passages of the content check; 0 skips it.
            max_length: Tokens of a document in training; 0 for the model's limit.
        """
        benchmarks, left_out = {TASK: task} if task else {}, ""
        if passages:
            try:
                check = content_check if task else bounded_check
                benchmarks[CONTENT] = check(task.documents if task else documents, passages=passages)
            except LratError as error:
                left_out = str(error)
        return cls(benchmarks, left_out, 0 if task else max_length)

    @property
    def cost(self) -> str:
        """What `score` encodes, in words; empty where it encodes nothing."""
        if not self.benchmarks:
            return ""
        documents = len(next(iter(self.benchmarks.values())).documents)
        queries = sum(len(benchmark.qrels) for benchmark in self.benchmarks.values())
        length = f"at most {self.max_length} tokens each" if self.max_length else "as long as the model takes"
        return f"{documents} documents, {length}, and {queries} queries"

    @property
    def reranking_cost(self) -> str:
        """What `score` has a reranker or a late-interaction model score, in words; empty where there is nothing."""
        queries = sum(len(benchmark.qrels) for benchmark in self.benchmarks.values())
        return f"the first {RERANKED} results of BM25 for {queries} queries" if queries else ""

    def score(self, model: Ranker, style: QueryStyle = "plain") -> dict[str, RetrievalScores]:
        """Scores of every benchmark, with queries in the model's style; their common corpus is encoded once.

        A reranker ranks the first `RERANKED` results of BM25 again, which reads the same text as it does. So does late
        interaction: the token vectors of a whole corpus may be too many to be kept.
        """
        from sentence_transformers import CrossEncoder

        if not self.benchmarks:
            return {}
        documents = next(iter(self.benchmarks.values())).documents
        with cut_to(model, self.max_length):
            if isinstance(model, CrossEncoder) or is_late(model):
                first = BM25Retriever(documents.in_order())
                retriever = RerankedRetriever(first, model, documents, depth=RERANKED)
            else:
                retriever = DenseRetriever(model, documents.in_order(), show_progress=True)
            return {name: benchmark.score(retriever, style=style) for name, benchmark in self.benchmarks.items()}

    def compare(self, before: Mapping[str, RetrievalScores], after: Mapping[str, RetrievalScores]) -> TrainingResult:
        return TrainingResult(
            [
                MetricChange(name, metric, before[name].mean(metric), after[name].mean(metric),
                             benchmark.difference(after[name], before[name], metric))
                for name, benchmark in self.benchmarks.items()
                for metric in (METRICS if name == TASK else (CHECK_METRIC,))
            ]
        )  # fmt: skip


@dataclass(frozen=True)
class MetricChange:
    """One metric of one benchmark, before and after training."""

    benchmark: str
    metric: str
    base: float
    trained: float
    difference: Difference

    def to_dict(self) -> dict[str, Any]:
        return {
            "benchmark": self.benchmark,
            "metric": self.metric,
            "base": self.base,
            "trained": self.trained,
            "difference": str(self.difference),
        }


@dataclass(frozen=True)
class TrainingResult:
    """What training changed, by every metric of every benchmark."""

    changes: list[MetricChange]

    @property
    def verdict(self) -> str:
        """One line: better, no difference or worse on the task, and whether content retrieval got worse."""
        parts = []
        if task := self._difference(TASK, TASK_METRIC):
            word = "better" if task.low > 0 else "worse" if task.high < 0 else "no difference"
            parts.append(f"{word} on the development queries ({TASK_METRIC} {task})")
        else:
            parts.append("not tried on queries: give `corpus`, `queries` and `qrels`")
        if content := self._difference(CONTENT, CHECK_METRIC):
            word = "content retrieval got worse" if content.high < 0 else "no forgetting detected"
            parts.append(f"{word} (sentence to passage, {CHECK_METRIC} {content})")
        return "; ".join(parts)

    def _difference(self, benchmark: str, metric: str) -> Difference | None:
        for change in self.changes:
            if (change.benchmark, change.metric) == (benchmark, metric):
                return change.difference
        return None


@dataclass(frozen=True)
class VariantRun:
    """One training of a variant, or the base model.

    Args:
        variant: Its name; "base" for the base model.
        seed: None for the base model.
        pairs: Number of pairs that were trained on.
        scores: Scores of every benchmark of the `TrainingEvaluation`, by its name.
        model: The pin of the trained model, where it was kept.
    """

    variant: str
    seed: int | None
    pairs: int
    scores: dict[str, RetrievalScores]
    model: HubRef | None = None


def sweep_table(runs: Sequence[VariantRun], evaluation: TrainingEvaluation) -> list[dict[str, Any]]:
    """A row for each metric and variant: the mean over seeds and its spread, and paired differences.

    Differences are of each query's mean over the seeds, from the base and from the variant before, with 95 %
    intervals over questions; the standard deviation is of the seeds' means, which no interval covers.
    """
    by_variant: dict[str, list[VariantRun]] = {}
    for run in runs:
        by_variant.setdefault(run.variant, []).append(run)
    return [
        row
        for benchmark, metrics in REPORTED.items()
        if benchmark in evaluation.benchmarks
        for metric in metrics
        for row in _metric_rows(by_variant, benchmark, metric, evaluation.benchmarks[benchmark].clusters)
    ]


def run_rows(runs: Sequence[VariantRun]) -> list[dict[str, Any]]:
    """A row for each run, benchmark and metric."""
    return [
        {"variant": run.variant, "seed": run.seed, "pairs": run.pairs, "benchmark": benchmark, "metric": metric,
         "value": scores.mean(metric)}
        for run in runs
        for benchmark, scores in run.scores.items()
        for metric in scores.metrics
    ]  # fmt: skip


def model_rows(base: Source, runs: Sequence[VariantRun]) -> list[dict[str, Any]]:
    """A row for each model: the base, and those that were kept."""
    return [
        {"variant": run.variant, "seed": run.seed, "pairs": run.pairs, "model": str(run.model or base)}
        for run in runs
        if run.model is not None or run.seed is None
    ]


def _metric_rows(
    by_variant: Mapping[str, Sequence[VariantRun]], benchmark: str, metric: str, clusters: Mapping[str, str]
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


def _query_means(group: Sequence[VariantRun], benchmark: str, metric: str) -> dict[str, float]:
    scores = [run.scores[benchmark].values(metric) for run in group]
    return {query_id: mean(values[query_id] for values in scores) for query_id in scores[0]}
