"""What a search costs: milliseconds and tokens a query, vectors a document, bytes of the index.

Quality alone says that the largest reranker is best. What its answer costs stands beside it, measured in the same run.
"""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from lrat_hub.retrieval import Hit, Retriever, is_served_elsewhere, size_of

if TYPE_CHECKING:
    from lrat_hub.evaluation.retrieval import TaskComparison

QUALITY = "ndcg@10"
"""The metric that tables and figures set beside the cost."""

COLUMNS = {
    "milliseconds": "ms a query",
    "tokens": "tokens a query",
    "vectors": "vectors a document",
    "megabytes": "index, MB",
}
"""What tables call the parts of a cost."""


@dataclass(frozen=True)
class SearchCost:
    """The cost of a search that was made, all queries at once.

    Args:
        milliseconds: Wall-clock time per query.
        queries: Number of queries that were searched together.
        results: Results that were asked for per query.
        tokens: Tokens per query that models of sentence-transformers read in this process while they searched, of
            queries and, in rerankers, of documents; without padding. None where the work is done elsewhere.
        vectors: Stored vectors per document. None where the retriever does not say.
        num_bytes: Bytes of the index, without texts and ids. None where the retriever does not say.
        device: What computed.
    """

    milliseconds: float
    queries: int
    results: int
    tokens: float | None
    vectors: float | None
    num_bytes: int | None
    device: str

    def __add__(self, other: SearchCost) -> SearchCost:
        """The cost of both searches, as of a fusion of their results."""

        def total(name: str) -> Any:
            values = getattr(self, name), getattr(other, name)
            return None if None in values else sum(values)

        summed = {name: total(name) for name in ("milliseconds", "tokens", "vectors", "num_bytes")}
        return SearchCost(**{**asdict(self), **summed})

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> SearchCost:
        """The cost that a row has among other columns."""
        return cls(**{one.name: row[one.name] for one in fields(cls)})

    def cells(self) -> dict[str, str]:
        """The cost for people, by `COLUMNS`; what is not known is a dash."""
        megabytes = None if self.num_bytes is None else self.num_bytes / 1e6
        values = {name: getattr(self, name) for name in ("milliseconds", "tokens", "vectors")}
        values["megabytes"] = megabytes
        return {COLUMNS[name]: "-" if value is None else short_number(value) for name, value in values.items()}


@dataclass
class _Tokens:
    count: int = 0


class MeasuredRetriever:
    """A retriever whose last search is measured: `cost` says what it cost.

    One query is searched beforehand, and not counted: first calls load libraries and fill caches.

    Args:
        documents: Number of documents of the corpus.
    """

    cost: SearchCost | None = None

    def __init__(self, retriever: Retriever, *, documents: int) -> None:
        self.name, self.revision = retriever.name, retriever.revision
        self._retriever, self._documents = retriever, documents

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """See `Retriever.search`."""
        self._retriever.search(queries[:1], k)
        with _counted_tokens() as tokens:
            started = time.perf_counter()
            results = self._retriever.search(queries, k)
            seconds = time.perf_counter() - started
        size, count = size_of(self._retriever), max(1, len(queries))
        # BM25 has no model; of a plug-in that stores nothing it is not known whether it has one.
        known = (tokens.count or size is not None) and not is_served_elsewhere(self._retriever)
        self.cost = SearchCost(
            milliseconds=1000 * seconds / count,
            queries=len(queries),
            results=k,
            tokens=tokens.count / count if known else None,
            vectors=size.vectors / self._documents if size else None,
            num_bytes=size.num_bytes if size else None,
            device=device_name(),
        )
        return results


def cost_table(costs: Mapping[str, SearchCost], comparison: TaskComparison) -> list[dict[str, Any]]:
    """A row a system with a cost: its mean nDCG@10 (the first metric, where results are fewer), and what it costs."""
    metric = QUALITY if QUALITY in comparison.metrics else comparison.metrics[0]
    return [
        {"system": name, metric: f"{comparison.mean(name, metric):.3f}", **cost.cells()}
        for name, cost in costs.items()
        if name in comparison.values
    ]


def measured_how(costs: Mapping[str, SearchCost]) -> str:
    """Where, and on how many queries at once, costs were measured, as a sentence; "" where none was."""
    if not costs:
        return ""
    devices = list(dict.fromkeys(cost.device for cost in costs.values()))
    ways = list(dict.fromkeys((cost.queries, cost.results) for cost in costs.values()))
    asked = " and ".join(f"{queries} queries at once with {results} results each" for queries, results in ways)
    return f"Measured in this run on {' and '.join(devices)}: {asked}."


def device_name() -> str:
    """What computes in this process: the GPU, or else the kind and number of CPU threads."""
    if "torch" not in sys.modules:
        return f"{platform.machine()} CPU"
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{platform.machine()} CPU, {torch.get_num_threads()} threads"


def short_number(value: float) -> str:
    """A number with three digits or more that say something."""
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"


@contextmanager
def _counted_tokens() -> Iterator[_Tokens]:
    """Counts the tokens that models of sentence-transformers read in this process within the context."""
    tokens = _Tokens()
    # Without it no model is here, and BM25 alone does not need the seconds that its import takes.
    if "sentence_transformers" not in sys.modules:
        yield tokens
        return
    from torch.nn.modules.module import register_module_forward_pre_hook

    # Retrievers are of any make, and a model may be deep inside one: the hook is of all modules.
    hook = register_module_forward_pre_hook(_counter(tokens))
    try:
        yield tokens
    finally:
        hook.remove()


def _counter(tokens: _Tokens) -> Callable[[Any, Any], None]:
    from sentence_transformers.base.model import BaseModel

    def count(module: Any, inputs: Any) -> None:
        if isinstance(module, BaseModel) and inputs and isinstance(inputs[0], Mapping):
            if (mask := inputs[0].get("attention_mask")) is not None:
                tokens.count += int(mask.sum())
            elif (ids := inputs[0].get("input_ids")) is not None:
                tokens.count += ids.numel()

    return count
