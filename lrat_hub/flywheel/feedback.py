"""What a flywheel can go wrong by, measured round by round.

A retriever that is trained on what agents opened decides what they will be shown, and so what they can open in the
next round. Three things go wrong without any figure of the gate noticing at once:

- **It lists what it already likes.** Fewer documents of the corpus are ever listed, and what is learned from was
  listed before: `listed`, `listed_before`, `novel`, `repeated`.
- **Popular documents crowd out others.** Listings gather on few documents: `gini`, `top_share`.
- **The judge drifts.** Verdicts change while the documents don't, because of another model, prompt or server:
  `relevant` by round, and `judge_drift` on pairs that are judged again.

Everything is counted in one pass over trajectories and pairs; what is kept is a number for each document listed.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from lrat_hub.errors import LratError
from lrat_hub.judges.agreement import Agreement, agreement
from lrat_hub.schema import Pair, Trajectory, Verdict
from lrat_hub.significance.pooled import Estimate, Part, rate

TOP = 0.01
"""The share of the corpus whose listings `top_share` counts: its most listed documents."""

Round = tuple[str, Iterable[Trajectory], Iterable[Pair]]
"""The name of a round, the runs of its agents, and the pairs that were mined from them."""


@dataclass(frozen=True)
class RoundFeedback:
    """What a round fed back. Shares of positives have 95 % intervals over questions.

    Coverage and concentration depend on how much was searched: compare rounds of equally many questions.

    Args:
        lists, listings: Result lists, and their entries.
        documents: Documents in the corpus.
        listed: How many of them any list of this round has.
        listed_earlier: How many of them the rounds before have listed, all together.
        first_listed: How many were listed in this round and in none before.
        gini: Gini coefficient of listings over all documents of the corpus: 0 where each is listed equally often, near
            1 where few have all listings. None when nothing was listed.
        top_share: Share of the listings that the most listed 1 % of the corpus has.
        positives: Pairs that are trained on.
        listed_before: Of the positives, those whose document the round before listed already, for any question.
        novel: Of the positives, those whose document no round before has listed. The first round has none before
            it: there the three are None.
        repeated: Of the positives, those whose document was a positive of a round before.
        relevant: Of the judged pairs, those that the judge calls relevant.
        unjudged: Pairs without a verdict.
    """

    round: str
    questions: int
    lists: int
    listings: int
    documents: int
    listed: int
    listed_earlier: int
    first_listed: int
    gini: float | None
    top_share: float | None
    positives: int
    listed_before: Estimate | None
    novel: Estimate | None
    repeated: Estimate | None
    relevant: Estimate | None
    unjudged: int

    @property
    def coverage(self) -> float:
        return self.listed / self.documents


@dataclass
class Feedback:
    """Takes one round after the other and remembers what earlier ones listed and learned from.

    Args:
        documents: Number of documents in the corpus.
    """

    documents: int
    _last: frozenset[str] | None = field(default=None, init=False)
    _listed: set[str] = field(default_factory=set, init=False)
    _positives: set[str] = field(default_factory=set, init=False)

    def add(self, name: str, trajectories: Iterable[Trajectory], pairs: Iterable[Pair]) -> RoundFeedback:
        """Counts a round.

        Raises:
            LratError: More documents were listed than the corpus has.
        """
        listings, lists, questions = Counter[str](), 0, set[str]()
        for trajectory in trajectories:
            questions.add(trajectory.query_id)
            for step in trajectory.steps:
                lists += len({hit.query_index for hit in step.results})
                listings.update(hit.docid for hit in step.results)
        if len(listings) > self.documents:
            raise LratError(
                f"Feedback of {name}: expected listings of the {self.documents} documents of the corpus, found "
                f"{len(listings)} different ones. Give the corpus that was searched."
            )
        parts: dict[str, list[Part]] = {"listed_before": [], "novel": [], "repeated": [], "relevant": []}
        positives, trained_on, unjudged = set[str](), 0, 0
        for pair in pairs:
            if pair.verdict == "unjudged":
                unjudged += 1
            else:
                parts["relevant"].append((pair.query_id, pair.verdict == "relevant", 1))
            if pair.weight is None:
                continue
            trained_on += 1
            positives.add(pair.positive_id)
            if self._last is not None:
                parts["listed_before"].append((pair.query_id, pair.positive_id in self._last, 1))
                parts["novel"].append((pair.query_id, pair.positive_id not in self._listed, 1))
                parts["repeated"].append((pair.query_id, pair.positive_id in self._positives, 1))
        found = RoundFeedback(
            round=name,
            questions=len(questions),
            lists=lists,
            listings=listings.total(),
            documents=self.documents,
            listed=len(listings),
            listed_earlier=len(self._listed),
            first_listed=len(listings.keys() - self._listed),
            gini=gini(listings.values(), self.documents),
            top_share=_top_share(listings, self.documents),
            positives=trained_on,
            listed_before=rate(parts["listed_before"]),
            novel=rate(parts["novel"]),
            repeated=rate(parts["repeated"]),
            relevant=rate(parts["relevant"]),
            unjudged=unjudged,
        )
        self._last = frozenset(listings)
        self._listed.update(listings)
        self._positives |= positives
        return found


def feedback_by_round(rounds: Iterable[Round], documents: int) -> Iterator[RoundFeedback]:
    """The feedback of each round, in their order.

    Args:
        documents: Number of documents in the corpus.
    """
    feedback = Feedback(documents)
    for name, trajectories, pairs in rounds:
        yield feedback.add(name, trajectories, pairs)


def gini(counts: Iterable[int], total: int) -> float | None:
    """The Gini coefficient of counts over `total` documents, of which those without a count have 0.

    Returns:
        0 where all are alike, near 1 where one has everything; None when everything is 0.
    """
    ordered = np.sort(np.fromiter(counts, dtype=np.float64))
    if not ordered.sum():
        return None
    # Documents that were never listed come first, and add nothing to the sum.
    ranks = np.arange(total - len(ordered) + 1, total + 1)
    return float(2 * (ranks * ordered).sum() / (total * ordered.sum()) - (total + 1) / total)


def _top_share(listings: Counter[str], documents: int) -> float | None:
    if not listings:
        return None
    most = listings.most_common(max(1, math.ceil(TOP * documents)))
    return sum(count for _, count in most) / listings.total()


@dataclass(frozen=True)
class JudgeDrift:
    """Verdicts on the same pairs at two times.

    Args:
        between: How far they agree, on the pairs that are in both.
        only_first, only_second: Pairs that were judged one time only; they are in no figure.
    """

    between: Agreement
    only_first: int
    only_second: int

    @property
    def relevant(self) -> tuple[int, int]:
        """How many of the pairs that were judged both times are relevant by the first verdicts, and by the second."""
        both = {verdicts: count for verdicts, count in self.between.counts.items() if "unjudged" not in verdicts}
        first, second = (sum(n for verdicts, n in both.items() if verdicts[side] == "relevant") for side in (0, 1))
        return first, second

    def __str__(self) -> str:
        first, second = self.relevant
        return (
            f"agrees with itself on {self.between}; relevant {first} of {self.between.judged} before, {second} after; "
            f"{self.only_first + self.only_second} pairs judged only once"
        )


def judge_drift(first: Iterable[Pair], second: Iterable[Pair]) -> JudgeDrift:
    """Compares the verdicts of two judgements of the same pairs, as judging mined pairs again leaves them.

    Args:
        first, second: Pairs with their verdicts; they are joined by `pair_id`.

    Raises:
        LratError: No pair is in both.
    """
    before: dict[str, Verdict] = {pair.pair_id: pair.verdict for pair in first}
    verdicts, only_second = list[tuple[Verdict, Verdict]](), 0
    for pair in second:
        verdict = before.pop(pair.pair_id, None)
        if verdict is None:
            only_second += 1
        else:
            verdicts.append((verdict, pair.verdict))
    if not verdicts:
        raise LratError(
            f"Judge's drift: expected pairs that were judged both times, found none among {len(before)} and "
            f"{only_second}. Give the same pairs, judged again."
        )
    return JudgeDrift(agreement(verdicts), len(before), only_second)
