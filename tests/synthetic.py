"""Runs whose evidence recall is known before anything is measured."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class SyntheticRun:
    """What a system found, and what that is worth.

    Args:
        found: Query id to the documents found, evidence among others, in no order; queries without a run lack.
        any: Share of all judged queries of which any evidence was found.
        share: Mean over all judged queries of the share of the evidence that was found.
    """

    found: dict[str, list[str]]
    any: Fraction
    share: Fraction


def run_of_known_recall(
    qrels: Mapping[str, Mapping[str, int]], *, seed: int = 0, missing: float = 0.1, others: int = 8
) -> SyntheticRun:
    """A run that finds a random number of each query's evidence documents, from none to all.

    Args:
        missing: Chance that a query has no run at all.
        others: Unjudged documents among those found.
    """
    rng = random.Random(seed)
    found, counts = {}, []
    for query_id, grades in qrels.items():
        evidence = sorted(docid for docid, grade in grades.items() if grade > 0)
        if not evidence:
            continue
        if rng.random() < missing:
            counts.append((0, len(evidence)))
            continue
        hits = rng.sample(evidence, rng.randint(0, len(evidence)))
        found[query_id] = [*hits, *(f"other-{query_id}-{number}" for number in range(others))]
        rng.shuffle(found[query_id])
        counts.append((len(hits), len(evidence)))
    return SyntheticRun(
        found,
        any=Fraction(sum(hits > 0 for hits, _ in counts), len(counts)),
        share=sum((Fraction(hits, total) for hits, total in counts), Fraction()) / len(counts),
    )
