"""A model before and after training: what it gained on its task, and whether it forgot what else it knew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lrat_hub.documents import Documents
from lrat_hub.errors import LratError
from lrat_hub.evaluation.benchmark import Benchmark
from lrat_hub.evaluation.controls import CHECK_METRIC, content_check
from lrat_hub.evaluation.metrics import METRICS, RetrievalScores
from lrat_hub.queries import QueryStyle
from lrat_hub.retrieval.dense import DenseRetriever
from lrat_hub.significance import Difference

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

TASK_METRIC = "recall@10"
"""What the verdict on the task rests on."""

TASK, CONTENT = "task", "content"


@dataclass(frozen=True)
class Trial:
    """The benchmarks that a training is judged by, any of which may be missing.

    Args:
        benchmarks: `TASK`: the development queries. `CONTENT`: sentences, without title words, and their passages.
        left_out: Why there is no content check although one was asked for: not every corpus has passages for it.
    """

    benchmarks: Mapping[str, Benchmark] = field(default_factory=dict)
    left_out: str = ""

    @classmethod
    def of(cls, task: Benchmark | None, documents: Documents, *, passages: int) -> Trial:
        """A trial on a task, if there is one, and on passages of its corpus, or else of the given documents.

        Args:
            passages: For the content check; 0 leaves it out.
        """
        benchmarks, left_out = {TASK: task} if task else {}, ""
        if passages:
            try:
                benchmarks[CONTENT] = content_check(task.documents if task else documents, passages=passages)
            except LratError as error:
                left_out = str(error)
        return cls(benchmarks, left_out)

    def score(self, model: SentenceTransformer, style: QueryStyle = "plain") -> dict[str, RetrievalScores]:
        """Scores of every benchmark, with queries in the model's style; their common corpus is encoded once."""
        if not self.benchmarks:
            return {}
        documents = next(iter(self.benchmarks.values())).documents
        retriever = DenseRetriever(model, documents.in_order(), show_progress=True)
        return {name: benchmark.score(retriever, style=style) for name, benchmark in self.benchmarks.items()}

    def outcome(self, before: Mapping[str, RetrievalScores], after: Mapping[str, RetrievalScores]) -> Outcome:
        return Outcome(
            [
                Row(name, metric, before[name].mean(metric), after[name].mean(metric),
                    benchmark.difference(after[name], before[name], metric))
                for name, benchmark in self.benchmarks.items()
                for metric in (METRICS if name == TASK else (CHECK_METRIC,))
            ]
        )  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One metric of one benchmark, before and after."""

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
class Outcome:
    """All that a trial found."""

    rows: list[Row]

    @property
    def verdict(self) -> str:
        """One line: better, no difference or worse on the task, and whether something was forgotten."""
        parts = []
        if task := self._difference(TASK, TASK_METRIC):
            word = "better" if task.low > 0 else "worse" if task.high < 0 else "no difference"
            parts.append(f"{word} on the development queries ({TASK_METRIC} {task})")
        else:
            parts.append("not tried on queries: give --corpus, --queries and --qrels")
        if content := self._difference(CONTENT, CHECK_METRIC):
            word = "content retrieval was forgotten" if content.high < 0 else "no forgetting detected"
            parts.append(f"{word} (sentence to passage, {CHECK_METRIC} {content})")
        return "; ".join(parts)

    def _difference(self, benchmark: str, metric: str) -> Difference | None:
        found = (row.difference for row in self.rows if (row.benchmark, row.metric) == (benchmark, metric))
        return next(found, None)
