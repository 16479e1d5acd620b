"""From trajectories to mined pairs (section 5.1 of https://huggingface.co/papers/2604.04949).

The profile `paper`: a search directly followed by a browse of one of its candidates gives a naive pair; the
reasoning right after the browse is judged and measured; pairs judged relevant are weighed (Eq. 3).
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from lrat_hub.errors import LratError
from lrat_hub.judges import Judge
from lrat_hub.ledger import Ledger
from lrat_hub.schema import Pair, Step, Trajectory
from lrat_hub.weights import WeightFit, intensity_weights

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Negatives = Literal["unbrowsed", "formula"]
Outcome = Literal["correct", "incorrect", "unknown"]
OUTCOMES: tuple[Outcome, ...] = ("correct", "incorrect", "unknown")

LIST_NEGATIVE = "list"
"""Kind of a negative that stood in the same result list as the positive."""


@dataclass(frozen=True)
class MiningResult:
    """What was mined, and what became of everything that was read.

    Args:
        pairs: All naive pairs with their verdicts; only those to be trained on have a weight.
        ledger: Accounts by name: "trajectories", "browses" and "pairs" (of which those trained on are kept).
        weights: The fit behind the weights, or None when no pair is trained on.
    """

    pairs: list[Pair]
    ledger: dict[str, Ledger]
    weights: WeightFit | None

    @property
    def trained(self) -> list[Pair]:
        """The pairs to train on."""
        return [pair for pair in self.pairs if pair.weight is not None]


def mine_pairs(
    trajectories: Iterable[Trajectory],
    *,
    profile: Literal["paper"] = "paper",
    judge: Judge | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
    negatives: Negatives = "unbrowsed",
    outcomes: Collection[Outcome] = ("correct", "unknown"),
    held_out: Collection[str] = frozenset(),
    half_life: float | None = None,
) -> MiningResult:
    """Mines pairs from trajectories, in their order.

    Args:
        profile: How browses become pairs. "paper" is section 5.1.1.
        judge: Gives the verdicts (section 5.1.2). Without one every pair stays "unjudged" and all are trained on,
            which is the "+Naive" variant of section 6.3; with one, only relevant pairs are.
        tokenizer: Its tokens, without special ones, are the unit of lengths; blank-separated words when None.
        negatives: "unbrowsed" takes the candidates of the pair's list without any document that the agent browsed
            anywhere in the trajectory, "formula" only without the positive: the letter of N_t = D_t \\ {d}.
        outcomes: Which trajectories to mine. The default leaves out those known to be wrong (section 4.1.4) and
            keeps those nobody has judged (section 6.5).
        held_out: Documents that must not be trained on, for example because test questions are about them: pairs
            with such a positive are dropped and such negatives are left out, both counted.
        half_life: beta of Eq. 3, in tokens; the median over the trained pairs when None.

    Raises:
        LratError: An unknown profile, kind of negatives or outcome.
    """
    if profile != "paper":
        raise LratError(f"Profile: expected 'paper', found {profile!r}.")
    if negatives not in ("unbrowsed", "formula"):
        raise LratError(f"Negatives: expected 'unbrowsed' or 'formula', found {negatives!r}.")
    if unknown := set(outcomes) - set(OUTCOMES):
        raise LratError(f"Outcomes: expected some of {', '.join(OUTCOMES)}, found {', '.join(sorted(unknown))}.")
    held_out = frozenset(held_out)
    ledger = {name: Ledger(name) for name in ("trajectories", "browses", "pairs")}

    naive: list[Pair] = []
    listed_held_out: set[str] = set()
    for trajectory in trajectories:
        outcome = outcome_of(trajectory)
        if outcome not in outcomes:
            ledger["trajectories"].drop(f"outcome {outcome}")
            continue
        ledger["trajectories"].keep()
        listed_held_out.update(hit.docid for step in trajectory.steps for hit in step.results if hit.docid in held_out)
        naive.extend(_naive_pairs(trajectory, negatives, held_out, ledger))

    if held_out:
        # Also when it is 0, which says that the list is of another corpus and keeps nothing out.
        ledger["browses"].notes[f"held-out documents listed, of {len(held_out)}"] = len(listed_held_out)
    judged = _judged(_measured(naive, tokenizer), judge)
    for pair in judged:
        if judge is None or pair.verdict == "relevant":
            ledger["pairs"].keep()
        else:
            ledger["pairs"].drop(f"verdict {pair.verdict}")
    return _weighed(judged, judge is not None, half_life, ledger)


def outcome_of(trajectory: Trajectory) -> Outcome:
    """Whether a trajectory's answer is known to be right, known to be wrong, or unknown."""
    if trajectory.correct is None:
        return "unknown"
    return "correct" if trajectory.correct else "incorrect"


def reasoning_after(steps: tuple[Step, ...], turn: int) -> str:
    """The reasoning right after an action: that of the next message, "" when there is none."""
    for step in steps[turn + 1 :]:
        if step.reasoning is not None:
            return step.reasoning
    return ""


def reasoning_before(steps: tuple[Step, ...], turn: int) -> str:
    """The reasoning that led to an action: that of its message."""
    for step in reversed(steps[: turn + 1]):
        if step.reasoning is not None:
            return step.reasoning
    return ""


def _naive_pairs(
    trajectory: Trajectory,
    negatives: Negatives,
    held_out: frozenset[str],
    ledger: dict[str, Ledger],
) -> Iterator[Pair]:
    steps = trajectory.steps
    browsed = {step.docid for step in steps if step.action == "browse"}
    browses = ledger["browses"]
    for turn, step in enumerate(steps):
        if step.action != "browse":
            continue
        search = steps[turn - 1] if turn else None
        if search is None or search.action != "search":
            browses.drop("not directly after a search")
            continue
        query_index = next((hit.query_index for hit in search.results if hit.docid == step.docid), None)
        if query_index is None:
            browses.drop("not among the candidates of the search before it")
            continue
        if step.error is not None:
            browses.drop("failed")
            continue
        if step.docid in held_out:
            browses.drop("held-out document")
            continue
        browses.keep()
        left = [
            hit.docid
            for hit in search.results
            if hit.query_index == query_index
            and hit.docid != step.docid
            and (negatives == "formula" or hit.docid not in browsed)
        ]
        allowed = tuple(dict.fromkeys(docid for docid in left if docid not in held_out))
        browses.note("negatives left out, held-out document", sum(docid in held_out for docid in left))
        if not allowed:
            browses.note("pairs without a negative")
        yield Pair(
            pair_id=pair_id(trajectory.trajectory_id, search.turn, step.turn),
            trajectory_id=trajectory.trajectory_id,
            query_id=trajectory.query_id,
            search_turn=search.turn,
            browse_turn=step.turn,
            question=trajectory.question,
            query=search.queries[query_index],
            positive_id=step.docid,
            negative_ids=allowed,
            negative_kinds=(LIST_NEGATIVE,) * len(allowed),
            reasoning=reasoning_after(steps, turn),
            reasoning_length=0,  # measured for all pairs at once, which tokenizers do much faster
            previous_queries=tuple(
                query for earlier in steps[: turn - 1] if earlier.action == "search" for query in earlier.queries
            ),
            reasoning_before=reasoning_before(steps, turn - 1),
        )


def pair_id(trajectory_id: str, search_turn: int, browse_turn: int) -> str:
    """A pair's id: the same for the same place of the same trajectory, whenever it is mined."""
    return hashlib.sha256(f"{trajectory_id}\0{search_turn}\0{browse_turn}".encode()).hexdigest()[:16]


def token_lengths(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase | None) -> list[int]:
    """Length of each text in tokens without special ones, or in blank-separated words without a tokenizer."""
    if tokenizer is None:
        return [len(text.split()) for text in texts]
    if not texts:
        return []
    # Reasonings may be longer than the model could read; here they are only counted.
    encoded = tokenizer(list(texts), add_special_tokens=False, truncation=False, verbose=False)
    return [len(ids) for ids in encoded["input_ids"]]


def _measured(pairs: list[Pair], tokenizer: PreTrainedTokenizerBase | None) -> list[Pair]:
    lengths = token_lengths([pair.reasoning for pair in pairs], tokenizer)
    return [dataclasses.replace(pair, reasoning_length=length) for pair, length in zip(pairs, lengths, strict=True)]


def _judged(pairs: list[Pair], judge: Judge | None) -> list[Pair]:
    if judge is None:
        return pairs
    verdicts = judge.judge(pairs)
    return [
        dataclasses.replace(pair, verdict=verdict, judge=judge.name)
        for pair, verdict in zip(pairs, verdicts, strict=True)
    ]


def _weighed(
    pairs: list[Pair], only_relevant: bool, half_life: float | None, ledger: dict[str, Ledger]
) -> MiningResult:
    trained = [index for index, pair in enumerate(pairs) if not only_relevant or pair.verdict == "relevant"]
    if not trained:
        return MiningResult(pairs, ledger, None)
    fit = intensity_weights([pairs[index].reasoning_length for index in trained], half_life=half_life)
    weighed = list(pairs)
    for index, weight in zip(trained, fit.weights, strict=True):
        weighed[index] = dataclasses.replace(pairs[index], weight=float(weight))
    return MiningResult(weighed, ledger, fit)
