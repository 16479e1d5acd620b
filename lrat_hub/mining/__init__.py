"""From trajectories to mined pairs (sections 5.1 and 5.2.1 of https://huggingface.co/papers/2604.04949).

`profiles` reads one trajectory into naive pairs and `negatives` says which documents are against them; `pipeline` goes
over all of them (verdicts and weights, then negatives), and `bulk` does so from table to table with bounded memory.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lrat_hub.errors import LratError
from lrat_hub.judges import Judge
from lrat_hub.judges.documents import checked_judge
from lrat_hub.ledger import Ledger
from lrat_hub.mining.pipeline import complete_pairs, judge_and_weigh, mine_naive_pairs, new_ledgers, note_held_out
from lrat_hub.mining.profiles import pair_id
from lrat_hub.mining.settings import (
    NEGATIVE_KINDS,
    NEGATIVES,
    PROFILES,
    MiningSettings,
    NegativeKind,
    Negatives,
    Profile,
)  # fmt: skip
from lrat_hub.mining.tables import Splits
from lrat_hub.mining.weights import Guard, LengthMeasure, WeightFit, Weighting, token_lengths
from lrat_hub.schema import Outcome, Pair, Status, Trajectory, Verdict

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerBase

__all__ = [
    "NEGATIVES", "NEGATIVE_KINDS", "PROFILES", "MiningResult", "MiningSettings", "Weighting", "mine_pairs",
    "pair_id", "token_lengths",
]  # fmt: skip


@dataclass(frozen=True)
class MiningResult:
    """What was mined, and what became of everything that was read.

    Args:
        pairs: All naive pairs with their verdicts; only those to be trained on have a weight.
        ledger: Accounts by name: "trajectories", "steps", "browses" and "pairs" (of which those trained on are kept).
        fits: The constants behind the weights, by group ("all" where there is one); empty when no pair is trained on.
    """

    pairs: list[Pair]
    ledger: dict[str, Ledger]
    fits: dict[str, WeightFit]

    def __repr__(self) -> str:
        trajectories = self.ledger["trajectories"]
        return (
            f"MiningResult({len(self.trained)} of {len(self.pairs)} pairs to train on, from {trajectories.kept} of "
            f"{trajectories.read} trajectories)"
        )

    @property
    def trained(self) -> list[Pair]:
        """The pairs to train on."""
        return [pair for pair in self.pairs if pair.weight is not None]


def mine_pairs(
    trajectories: Iterable[Trajectory],
    *,
    profile: Profile = "episode",
    judge: Judge | None = None,
    tokenizer: PreTrainedTokenizerBase | Tokenizer | None = None,
    negatives: Negatives | None = None,
    outcomes: Collection[Outcome] = ("correct", "unjudged"),
    statuses: Collection[Status] = ("completed",),
    held_out: Collection[str] = frozenset(),
    same_question: bool | None = None,
    same_page: bool = False,
    caps: Mapping[NegativeKind, int] | None = None,
    train_on: Collection[Verdict] | None = None,
    guards: Collection[Guard] = (),
    weighting: Weighting | None = None,
    half_life: float | None = None,
) -> MiningResult:
    """Mines pairs from trajectories, in their order. For more of them than memory holds, see `lrat mine`.

    Args:
        judge: Gives the verdicts (section 5.1.2). Without one every pair stays "unjudged" and all are trained on,
            which is the "+Naive" variant of section 6.3; with one, only relevant pairs are.
        tokenizer: Its tokens, without special ones, are the unit of lengths; blank-separated words when None.
        half_life: beta of Eq. 3 in tokens, short for `weighting=Weighting(half_life=...)`.

    The others are the fields of `MiningSettings`.

    Raises:
        LratError: A value is unknown, or two of them contradict each other; the trajectories are none, or the judge is
            no judge or gives other verdicts than one a pair.
    """
    given = {"outcomes": outcomes, "statuses": statuses, "held_out": held_out, "train_on": train_on, "guards": guards}
    for name, value in given.items():
        if isinstance(value, str):
            raise LratError(f"Mining: expected `{name}` as several texts, found one: {value!r}. Give [{value!r}].")
    for name, value, kind in (("weighting", weighting, Weighting), ("half_life", half_life, int | float)):
        if value is not None and not isinstance(value, kind):
            raise LratError(f"Mining: expected `{name}` as {getattr(kind, '__name__', 'a number')}, found {value!r}.")
    judge = None if judge is None else checked_judge(judge)
    settings = MiningSettings(
        profile=profile,
        negatives=negatives,
        outcomes=tuple(outcomes),
        statuses=tuple(statuses),
        held_out=frozenset(held_out),
        same_question=same_question,
        same_page=same_page,
        caps=dict(caps or {}),
        train_on=tuple(train_on) if train_on is not None else None,
        guards=tuple(guards),
        weighting=weighting or (Weighting(half_life=half_life) if half_life is not None else None),
    ).resolved(judged=judge is not None)
    ledger = new_ledgers()
    listed_held_out: set[str] = set()
    batches = [mine_naive_pairs(_checked(trajectories), settings, LengthMeasure(tokenizer), ledger, listed_held_out)]
    note_held_out(ledger, settings, listed_held_out)
    judged_pairs = judge_and_weigh(batches, judge, settings, Splits(), ledger)
    (pairs,) = complete_pairs(batches, judged_pairs, judge, settings, ledger)
    return MiningResult(pairs, ledger, judged_pairs.fits)


def _checked(trajectories: Iterable[Trajectory]) -> Iterator[Trajectory]:
    one = isinstance(trajectories, str) or not isinstance(trajectories, Iterable)
    for trajectory in [trajectories] if one else trajectories:
        if one or not isinstance(trajectory, Trajectory):
            found = f"{'one ' if one else ''}{type(trajectory).__name__}"
            raise LratError(
                f"Mining: expected an iterable of Trajectory, found {found}. load_trajectories reads them from a "
                "reference, a file or a dataset."
            )
        yield trajectory
