"""What the weighted losses cost beside sentence-transformers' own, on the same batches in one run, and in memory.

Run::

    python benchmarks/loss_overhead.py time              # ratios of CPU time and wall time, steps taken in turn
    python benchmarks/loss_overhead.py memory            # peak memory of each loss, each in a process of its own
    python benchmarks/loss_overhead.py large             # 256 queries with 9 negatives each, with cached gradients

Texts are random words; the model is MiniLM. The default is short texts, where the loss itself weighs more, not less.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from statistics import median

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import (
    CachedMultipleNegativesRankingLoss,
    MultipleNegativesRankingLoss,
)

from lrat_hub import CachedWeightedMultipleNegativesRankingLoss, WeightedMultipleNegativesRankingLoss
from lrat_hub.demo.bases import minilm_folder
from lrat_hub.losses import DOCUMENT_IDS, NEGATIVE_WEIGHTS

NEGATIVES = 9
LOSSES = {
    "MultipleNegativesRankingLoss": lambda model: MultipleNegativesRankingLoss(model, scale=50),
    "WeightedMultipleNegativesRankingLoss": WeightedMultipleNegativesRankingLoss,
    "CachedMultipleNegativesRankingLoss": lambda model: CachedMultipleNegativesRankingLoss(
        model, scale=50, mini_batch_size=32
    ),
    "CachedWeightedMultipleNegativesRankingLoss": lambda model: CachedWeightedMultipleNegativesRankingLoss(
        model, mini_batch_size=32
    ),
}


def batch(model: SentenceTransformer, queries: int, tokens: int, *, known: bool) -> list[dict]:
    """Features of a batch; `known` adds ids and tiers of the documents, which the weighted losses use."""
    chance = torch.Generator().manual_seed(0)
    vocabulary = model.tokenizer.vocab_size
    columns = []
    for place in range(2 + NEGATIVES):
        ids = torch.randint(1_000, vocabulary, (queries, tokens), generator=chance)
        features = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        if known and place:
            features[DOCUMENT_IDS] = torch.randint(1 << 40, (queries,), generator=chance)
        if known and place > 1:
            features[NEGATIVE_WEIGHTS] = torch.ones(queries)
        columns.append(features)
    return columns


def step(name: str, model: SentenceTransformer, loss, queries: int, tokens: int) -> tuple[float, float]:
    """Seconds of CPU and of the clock for value and gradients."""
    features = batch(model, queries, tokens, known="Weighted" in name)
    model.zero_grad()
    cpu, clock = time.process_time(), time.perf_counter()
    loss(features, torch.ones(queries)).backward()
    return time.process_time() - cpu, time.perf_counter() - clock


def measure_time(queries: int, tokens: int, rounds: int) -> None:
    model = SentenceTransformer(str(minilm_folder()), device="cpu").train()
    losses = {name: make(model) for name, make in LOSSES.items()}
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in LOSSES}
    for number in range(rounds + 1):
        # Turned round every time, as whoever comes second finds caches warm.
        for name in list(LOSSES) if number % 2 else reversed(LOSSES):
            seconds = step(name, model, losses[name], queries, tokens)
            if number:
                taken[name].append(seconds)
    for theirs, ours in (list(LOSSES)[:2], list(LOSSES)[2:]):
        for place, kind in enumerate(("CPU", "clock")):
            ratios = [a[place] / b[place] for a, b in zip(taken[ours], taken[theirs], strict=True)]
            print(
                f"{ours}: {kind} time {median(r[place] for r in taken[ours]):.2f} s a step, "
                f"{median(ratios):.3f} of {theirs}'s (median of {rounds}; {min(ratios):.3f} to {max(ratios):.3f})"
            )


def measure_memory(name: str, queries: int, tokens: int) -> None:
    model = SentenceTransformer(str(minilm_folder()), device="cpu").train()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    _, clock = step(name, model, LOSSES[name](model), queries, tokens)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{name}, {queries} queries: peak {peak / 1024:.0f} MB, {(peak - before) / 1024:.0f} MB above the model, "
          f"{clock:.0f} s")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("time", "memory", "large", "one"))
    parser.add_argument("--loss", choices=list(LOSSES), default=list(LOSSES)[-1])
    parser.add_argument("--queries", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=12)
    args = parser.parse_args()
    if args.what == "time":
        measure_time(args.queries, args.tokens, args.rounds)
    elif args.what == "one":
        measure_memory(args.loss, args.queries, args.tokens)
    else:
        queries, names = (args.queries, list(LOSSES)) if args.what == "memory" else (256, [args.loss])
        for name in names:
            command = [sys.executable, __file__, "one", "--loss", name, "--queries", queries, "--tokens", args.tokens]
            subprocess.run([str(word) for word in command], check=True)


if __name__ == "__main__":
    main()
