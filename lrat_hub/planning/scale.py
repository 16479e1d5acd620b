"""Hours and bytes of a whole loop at a scale, and what of it breaks first on given machines.

Sizes follow from formulas, and speeds from `RATES`: each says where it was measured or published. A plan is right to a
factor of about two, which is what decides between one machine and ten.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from lrat_hub.errors import LratError
from lrat_hub.hub.preflight import in_words
from lrat_hub.planning.models import ModelSize, model_size, why_unknown
from lrat_hub.planning.work import REPLY_TOKENS, TITLE_TOKENS, code_bytes, index_bytes, table_1_means
from lrat_hub.retrieval.settings import CODED, IndexSettings
from lrat_hub.retrieval.vectors import build_memory, ivf_lists, ivf_probes


class Rate(NamedTuple):
    """A speed or a size, and where it is from."""

    value: float
    source: str


RATES = {
    "GPU": Rate(
        3.0e14,
        "operations a second of an H100 that reads text: Qwen3-14B in FP8 reads 10,597 tokens a second of prompts of "
        "2,000 (vLLM 0.11, docs.gpustack.ai/latest/performance-lab), with 2 operations a parameter",
    ),
    "CPU": Rate(
        1.0e11, "operations a second of a core that encodes in fp32: MiniLM, 36 passages a second (docs/retrieval.md)"
    ),
    "agent reads": Rate(
        45_000,
        "tokens a second of an H200 that serves Qwen3.5-35B-A3B in FP8, long contexts (vLLM, the same place)",
    ),
    "agent writes": Rate(10_400, "tokens a second of the same, where it writes most"),
    "BM25 search": Rate(1.0e8, "documents a second and core, for queries of 8 words (docs/scale.md)"),
    "BM25 build": Rate(500_000, "words a second and core (docs/scale.md)"),
    "BM25 memory": Rate(27, "bytes a word while it is built (docs/retrieval.md: 1.84 GB for 67 million)"),
    "BM25 index": Rate(9, "bytes a word (docs/scale.md)"),
    "core": Rate(5.0e10, "operations a second of a core that compares vectors in batches (docs/scale.md)"),
    "core, fp16": Rate(2.0e10, "the same for vectors in float16, which FAISS takes one query at a time"),
    "graph": Rate(2.0e9, "numbers a second of a core that walks a graph (docs/scale.md)"),
    "codes": Rate(1.7e9, "bytes of codes that a core looks up in a second (docs/scale.md)"),
    "candidate": Rate(
        6.0e-6, "core seconds of a vector that is read from the disk's cache and scored (docs/scale.md)"
    ),
    "import": Rate(225, "runs a second and core (docs/importing.md)"),
    "mine": Rate(480, "runs a second and core (benchmarks/README.md)"),
    "run": Rate(62_000, "bytes of JSON of a run (benchmarks/import_scale.py)"),
}

NEGATIVES = 9
"""Of the paper's groups of 10 documents."""

TRAINED = 3
"""A training step takes three times the operations of reading: gradients of activations and of weights."""

LARGEST_FILE = 50 * 10**9
"""Bytes of a file that the Hub takes at most."""

K, SNIPPET, BROWSE, QUERY, JUDGED_WRITTEN = 5, 64, 512, 32, 100
"""Results of a search, and tokens of a snippet, an opened document, a query and a judge's answer: estimates."""

PEAK = 3
"""Searches a second at the busiest time of a day, by the mean."""

DAY = 86_400

BEHIND = "late interaction behind another retriever, as bm25>model, which needs no index"


@dataclass(frozen=True)
class Workload:
    """What is done, and with which machines.

    Args:
        documents, tokens: Documents of the corpus, and tokens of each.
        retrievers: Models, and "bm25".
        index: How vectors are indexed.
        questions: Runs of agents in a round, one a question and retriever.
        sessions: Sessions of production a day, which are searched, collected, imported and mined.
        judged: The share of sessions whose opened documents a language model judges.
        gpus, gpu_memory: Number of GPUs, and bytes of each.
        cores, memory: Cores and bytes of memory of a machine; stages that map use all of its cores.

    Raises:
        LratError: A number is smaller than what there can be, or `judged` is no share.
    """

    documents: int
    retrievers: Sequence[str]
    tokens: int = 512
    index: IndexSettings = field(default_factory=lambda: IndexSettings(fp16=True))
    questions: int = 0
    sessions: int = 0
    judged: float = 1.0
    gpus: int = 8
    gpu_memory: int = 80 * 10**9
    cores: int = 64
    memory: int = 1_000 * 10**9

    def __post_init__(self) -> None:
        least = dict.fromkeys(("documents", "tokens", "gpu_memory", "cores", "memory"), 1)
        least |= dict.fromkeys(("questions", "sessions", "gpus", "judged"), 0)
        for name, number in least.items():
            if getattr(self, name) < number:
                raise LratError(f"Plan: expected {name} of {number} or more, found {getattr(self, name)}.")
        if self.judged > 1:
            raise LratError(f"Plan: expected a share as judged, from 0 to 1, found {self.judged}.")


class Cost(NamedTuple):
    """One step of the work.

    Args:
        step: What is done.
        gpu_hours, core_hours: Of all GPUs or cores together.
        hours: By the clock, with the machines that there are.
        memory: Bytes of memory at least, in one process.
        disk: Bytes that are written.
        per: "once", "round" or "day".
    """

    step: str
    per: str
    gpu_hours: float = 0.0
    core_hours: float = 0.0
    hours: float = 0.0
    memory: int = 0
    disk: int = 0


class Limit(NamedTuple):
    """What is needed of something, by what there is: from 1 on, it breaks.

    Args:
        name: What it is, in words.
        share: Needed by available.
        remedy: What helps.
    """

    name: str
    share: float
    remedy: str


def costs_of(work: Workload) -> Iterator[Cost]:
    """Every step of a workload, in its order.

    Raises:
        LratError: A model's size is not known, or its vectors can't have an index of that kind.
    """
    for name, size in _sizes(work).items():
        if size is None:
            yield _words(work)
            continue
        flops = 2 * size.parameters * work.documents * work.tokens
        yield _on_gpus(work, f"encode for {name}", "once", flops, disk=_shards(work, size))
        yield _built(work, name, size)
    if work.questions:
        runs = work.questions * len(work.retrievers)
        yield _agents(work, f"{runs:,} runs of agents", "round", runs)
        yield _judge(work, "judge opened documents", "round", runs)
        yield _map(work, "import and mine", "round", runs)
        for name, size in _sizes(work).items():
            if size is not None:
                pairs = runs * table_1_means()["browses"]
                flops = TRAINED * 2 * size.parameters * pairs * (NEGATIVES + 2) * work.tokens
                yield _on_gpus(work, f"train {name}", "round", flops, disk=2 * size.weights)
    if work.sessions:
        yield from _searches(work)
        yield _map(work, "collect, import and mine", "day", work.sessions)
        yield _judge(work, f"judge {work.judged:.0%} of the sessions", "day", round(work.sessions * work.judged))


def limits_of(work: Workload) -> list[Limit]:
    """What breaks, worst first."""
    limits = []
    for cost in costs_of(work):
        limits.append(Limit(f"{cost.step}: memory", cost.memory / work.memory, _remedy(work, cost)))
        if math.isinf(cost.hours):
            limits.append(Limit(f"{cost.step}: no GPU", math.inf, "a GPU, or a server elsewhere"))
        elif cost.per == "day":
            limits.append(Limit(f"{cost.step}: a day has 24 hours", cost.hours / 24, _remedy(work, cost)))
        else:
            limits.append(Limit(f"{cost.step}: longer than two days", cost.hours / 48, _remedy(work, cost)))
    for name, size in _sizes(work).items():
        if size is not None and work.index.kind in ("flat", "hnsw", "ivf"):
            vectors = index_bytes(_vectors(work, size), size.vector, work.index)
            remedy = BEHIND if size.token_dimension else "kind ivfpq has files of 4 GiB"
            limits.append(
                Limit(f"{name}: one file of the index on the Hub", vectors / LARGEST_FILE,
                      f"{remedy}; the embedded Hub takes any size")
            )  # fmt: skip
            # Vectors of tokens are searched in blocks.
            if work.gpus and work.index.kind != "hnsw" and not size.token_dimension:
                limits.append(
                    Limit(f"{name}: the index on all GPUs", vectors / (work.gpus * work.gpu_memory),
                          "kind ivfpq, or shards on several machines")
                )  # fmt: skip
    return sorted(limits, key=lambda limit: -limit.share)


def table_of(work: Workload) -> list[dict[str, str]]:
    """Rows of `costs_of`, as they are shown."""
    return [
        {
            "step": cost.step,
            "each": cost.per,
            "GPU hours": _number(cost.gpu_hours),
            "core hours": _number(cost.core_hours),
            "hours": _number(cost.hours) if math.isfinite(cost.hours) else "needs a GPU",
            "memory": in_words(cost.memory) if cost.memory else "",
            "disk": in_words(cost.disk) if cost.disk else "",
        }
        for cost in costs_of(work)
    ]


def search_seconds(work: Workload, size: ModelSize | None) -> float:
    """Core seconds of one search in a batch of many, without encoding the query; None is BM25."""
    if size is None:
        return work.documents / RATES["BM25 search"].value
    exact = RATES["core, fp16" if work.index.fp16 else "core"].value
    if work.index.kind == "flat":
        # Late interaction compares each token of the query with each of the corpus.
        return 2 * _vectors(work, size) * size.vector * (QUERY if size.token_dimension else 1) / exact
    lists = ivf_lists(work.documents, work.index)
    centres = 2 * lists * size.vector / RATES["core"].value
    probed = ivf_probes(lists, work.index) / lists
    if work.index.kind in CODED:
        codes = work.documents * probed * work.index.code_bytes(size.vector) / RATES["codes"].value
        return centres + codes + work.index.pq_candidates * RATES["candidate"].value
    if work.index.kind == "ivf":
        return centres + 2 * work.documents * probed * size.vector / exact
    return _walked(work, size, work.index.hnsw_search)


def _walked(work: Workload, size: ModelSize, candidates: int) -> float:
    """Seconds of a walk through a graph, which compares a multiple of the candidates that grows as the graph does."""
    return candidates * math.log2(max(2, work.documents)) * size.vector / RATES["graph"].value


def _sizes(work: Workload) -> dict[str, ModelSize | None]:
    sizes: dict[str, ModelSize | None] = {}
    for name in work.retrievers:
        sizes[name] = None if name == "bm25" else model_size(name)
        if name != "bm25" and sizes[name] is None:
            parts = list(dict.fromkeys(filter(None, re.split(r"[+>()]+(?:\d+:)?", name))))
            if len(parts) > 1:
                raise LratError(
                    f"Retriever {name}: expected a model or bm25, found several in one. Give its parts, which are "
                    f"counted one by one: {' '.join(parts)}."
                )
            raise LratError(f"Retriever {name}: expected a model whose size is known, found none: {why_unknown(name)}")
        if (size := sizes[name]) is not None:
            if size.token_dimension and work.index.kind != "flat":
                raise LratError(
                    f"Retriever {name}: expected kind flat, found {work.index.kind}. Late interaction is searched "
                    "exactly: plan it by itself."
                )
            work.index.require(work.documents, size.vector)
    return sizes


def _vectors(work: Workload, size: ModelSize) -> int:
    """Vectors of the corpus: one a document, or one a token."""
    return work.documents * (work.tokens if size.token_dimension else 1)


def _words(work: Workload) -> Cost:
    words = work.documents * work.tokens * 3 / 4
    hours = words / RATES["BM25 build"].value / 3_600
    memory, disk = (round(words * RATES[name].value) for name in ("BM25 memory", "BM25 index"))
    return Cost("BM25 index", "once", core_hours=hours, hours=hours, memory=memory, disk=disk)


def _shards(work: Workload, size: ModelSize) -> int:
    return _vectors(work, size) * size.vector * (2 if work.index.fp16 else 4)


def _built(work: Workload, name: str, size: ModelSize) -> Cost:
    documents, kind = _vectors(work, size), work.index.kind
    lists = ivf_lists(documents, work.index)
    seconds = 0.0
    if kind == "hnsw":
        # Each document is looked for in the graph so far.
        seconds = documents * _walked(work, size, work.index.hnsw_build)
    elif kind != "flat":
        # Ten steps of k-means over 64 documents a cluster, and then each document's nearest centre.
        seconds = 2 * lists * size.vector * (documents + 64 * lists * 10) / RATES["core"].value
    hours = seconds / 3_600
    threads = 1 if kind in ("flat", "hnsw") else work.cores
    return Cost(
        f"{kind} index for {name}", "once", core_hours=hours, hours=hours / threads,
        memory=build_memory(documents, size.vector, work.index), disk=index_bytes(documents, size.vector, work.index),
    )  # fmt: skip


def _on_gpus(work: Workload, step: str, per: str, flops: float, disk: int = 0) -> Cost:
    if not work.gpus:
        hours = flops / RATES["CPU"].value / 3_600
        return Cost(step, per, core_hours=hours, hours=hours / work.cores, disk=disk)
    hours = flops / RATES["GPU"].value / 3_600
    return Cost(step, per, gpu_hours=hours, hours=hours / work.gpus, disk=disk)


def _agents(work: Workload, step: str, per: str, runs: int) -> Cost:
    mean = table_1_means()
    read = mean["searches"] * K * (SNIPPET + TITLE_TOKENS) + mean["browses"] * BROWSE
    return _served(work, step, per, runs * read, runs * (mean["steps"] + 1) * REPLY_TOKENS,
                   disk=round(runs * RATES["run"].value))  # fmt: skip


def _judge(work: Workload, step: str, per: str, runs: int) -> Cost:
    asked = runs * table_1_means()["browses"]
    return _served(work, step, per, asked * 2 * BROWSE, asked * JUDGED_WRITTEN)


def _served(work: Workload, step: str, per: str, read: float, written: float, disk: int = 0) -> Cost:
    """Tokens are read once (prefix caching) and written."""
    hours = (read / RATES["agent reads"].value + written / RATES["agent writes"].value) / 3_600
    return Cost(step, per, gpu_hours=hours, hours=hours / work.gpus if work.gpus else math.inf, disk=disk)


def _map(work: Workload, step: str, per: str, runs: int) -> Cost:
    hours = (runs / RATES["import"].value + runs / RATES["mine"].value) / 3_600
    return Cost(step, per, core_hours=hours, hours=hours / work.cores, disk=round(runs * RATES["run"].value))


def _searches(work: Workload) -> Iterator[Cost]:
    """Production's searches of one of the retrievers, each by itself; flat indexes and IVF are searched on GPUs."""
    searches = work.sessions * table_1_means()["searches"]
    for name, size in _sizes(work).items():
        if size is not None:
            flops = 2 * size.parameters * searches * QUERY
            encoding = _on_gpus(work, f"encode queries for {name}", "day", flops)
            yield encoding._replace(hours=PEAK * encoding.hours)
        seconds = searches * search_seconds(work, size)
        on_gpus = bool(work.gpus) and work.index.kind in ("flat", "ivf") and size is not None
        exact = RATES["core, fp16" if work.index.fp16 else "core"].value
        hours = seconds * (exact / RATES["GPU"].value if on_gpus else 1) / 3_600
        yield Cost(
            f"search with {name}, {searches / DAY:,.0f} a second ({PEAK * searches / DAY:,.0f} at the peak)", "day",
            gpu_hours=hours * on_gpus, core_hours=hours * (not on_gpus),
            hours=PEAK * hours / (work.gpus if on_gpus else work.cores), memory=_searched_bytes(work, size),
        )  # fmt: skip


def _searched_bytes(work: Workload, size: ModelSize | None) -> int:
    """Bytes of memory that searches read."""
    if size is None:
        return _words(work).disk
    of_kind = code_bytes if work.index.kind in CODED else index_bytes
    return of_kind(_vectors(work, size), size.vector, work.index)


def _remedy(work: Workload, cost: Cost) -> str:
    late = [name for name, size in _sizes(work).items() if size is not None and size.token_dimension]
    if cost.step.startswith("search") and any(f"with {name}," in cost.step for name in late):
        return BEHIND
    if cost.step.startswith("search with bm25"):
        return "shards of lrat serve on more machines"
    if cost.step.startswith("search"):
        return "kind ivfpq, fewer candidates and clusters, or more machines (replicas or shards of lrat serve)"
    if cost.step.startswith("BM25"):
        return "BM25 over parts of the corpus, each an index and a server of its own"
    if cost.step.startswith("judge"):
        return "judge a share of the sessions, or by rules"
    return "kind ivfpq" if "index" in cost.step else "more machines"


def _number(value: float) -> str:
    return "" if not value else f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
