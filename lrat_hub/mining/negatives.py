"""Which documents are a pair's negatives, once the verdicts on its trajectory are known.

| negatives | kinds | what they are |
| --- | --- | --- |
| unbrowsed | list | candidates of the pair's list that the agent opened nowhere in the trajectory (section 4.2.2) |
| formula | list | candidates of the pair's list but the positive: the letter of N_t = D_t \\ {d} |
| pooled | list, pooled | as "unbrowsed", and such candidates of all searches since the last relevant browse |
| tiers | redundant, hard, weak | opened before the search and relevant; opened and irrelevant; as "unbrowsed" |

The profile "released" has its own (`lrat_hub.mining.released`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import cast

import numpy as np

from lrat_hub.ledger import Ledger
from lrat_hub.mining.profiles import NaivePair
from lrat_hub.mining.released import released_negatives
from lrat_hub.mining.settings import ResolvedSettings
from lrat_hub.mining.tables import question_key
from lrat_hub.schema import Pair, Verdict
from lrat_hub.text import stable_hash

KindByDocid = dict[str, str]
"""Negatives of one pair in their order, each with its kind."""


def resolve_negatives(
    naive: Sequence[NaivePair], verdicts: Sequence[Verdict], settings: ResolvedSettings, *, judged: bool
) -> Sequence[KindByDocid | None]:
    """The negatives of the pairs of one trajectory, before protection and caps; None for one that is no pair.

    Args:
        naive: All pairs of the trajectory, in order.
        verdicts: One a pair.
        judged: Whether anybody was asked; if not, every run of browses ends the pool, and no tier but "weak" is known.
    """
    relevant = [verdict == "relevant" or not judged for verdict in verdicts]
    if settings.profile == "released":
        return released_negatives(naive, relevant)
    own = [dict(zip(pair.negative_ids, pair.negative_kinds, strict=True)) for pair, *_ in naive]
    if settings.negatives == "pooled":
        return _pooled(naive, own, relevant)
    if settings.negatives == "tiers":
        return [_tiers(index, naive, verdicts) | own[index] for index in range(len(naive))]
    return own


def _pooled(naive: Sequence[NaivePair], own: list[KindByDocid], relevant: Sequence[bool]) -> list[KindByDocid]:
    pooled: list[KindByDocid] = []
    pool: KindByDocid = {}
    for _, members in groupby(range(len(naive)), key=lambda index: naive[index].run):
        run = list(members)
        read = {naive[index].pair.positive_id for index in run}
        for index in run:
            pool |= {docid: "pooled" for docid, kind in own[index].items() if kind == "pooled"}
        for index in run:
            listed = {docid: kind for docid, kind in own[index].items() if kind == "list"}
            pooled.append(listed | {docid: kind for docid, kind in pool.items() if docid not in {*listed, *read}})
        # A run without a relevant document leaves what it listed to the next.
        pool = {} if any(relevant[index] for index in run) else pool | {
            docid: "pooled" for index in run for docid in own[index]
        }  # fmt: skip
    return pooled


def _tiers(index: int, naive: Sequence[NaivePair], verdicts: Sequence[Verdict]) -> KindByDocid:
    """Documents that were opened and whose verdicts are known: those before the search, and others of its list."""
    pair = naive[index].pair
    relevant_before: set[str] = set()
    irrelevant, relevant = set[str](), set[str]()
    beside: list[str] = []
    for (other, *_), verdict in zip(naive, verdicts, strict=True):
        if verdict == "relevant":
            relevant.add(other.positive_id)
            if other.browse_turn < pair.search_turn:
                relevant_before.add(other.positive_id)
        elif verdict == "irrelevant":
            irrelevant.add(other.positive_id)
        if (other.search_turn, other.query) == (pair.search_turn, pair.query):
            beside.append(other.positive_id)
    read = [docid for docid in dict.fromkeys((*pair.read_ids, *beside)) if docid != pair.positive_id]
    return {
        **{docid: "redundant" for docid in read if docid in relevant_before},
        **{docid: "hard" for docid in read if docid in irrelevant - relevant},
    }


class Positives:
    """Documents that are trained on as positives, by question: 8 bytes each, so that there may be millions.

    Args:
        hashes: `Positives.hash` of each, uint64, in any order.
    """

    def __init__(self, hashes: np.ndarray) -> None:
        self.hashes = np.unique(hashes)

    @staticmethod
    def hash(question: str, docid: str) -> int:
        """The same in every process, unlike Python's own."""
        return stable_hash(f"{question}\0{docid}")

    def among(self, question: str, docids: Sequence[str]) -> set[str]:
        """Those of the documents that are positives of the question. Hashes that collide cost a negative."""
        if not len(self.hashes) or not docids:
            return set()
        hashes = np.array([self.hash(question, docid) for docid in docids], dtype=np.uint64)
        indexes = np.minimum(np.searchsorted(self.hashes, hashes), len(self.hashes) - 1)
        return {docid for docid, there in zip(docids, self.hashes[indexes] == hashes, strict=True) if there}


def allowed_negatives(
    pair: Pair, negatives: KindByDocid, positives: Positives, settings: ResolvedSettings, ledger: Ledger
) -> KindByDocid:
    """The negatives without protected documents, and of each kind no more than its cap.

    A document that is "redundant" stays: it is a positive of the same question, and is not wanted a second time.
    """
    if settings.same_question:
        asked = [docid for docid, kind in negatives.items() if kind != "redundant"]
        protected = positives.among(question_key(pair), asked)
        ledger.note("negatives left out, positive of the same question", len(protected))
        negatives = {docid: kind for docid, kind in negatives.items() if docid not in protected}
    # A mapping is invariant in its keys, so that it does not take any text as a kind.
    caps = cast("Mapping[str, int]", settings.caps)
    if caps:
        counts: dict[str, int] = {}
        capped: KindByDocid = {}
        for docid, kind in negatives.items():
            counts[kind] = counts.get(kind, 0) + 1
            if counts[kind] <= caps.get(kind, counts[kind]):
                capped[docid] = kind
        ledger.note("negatives left out, over the cap of their kind", len(negatives) - len(capped))
        negatives = capped
    return negatives
