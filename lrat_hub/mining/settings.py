"""What can be chosen about mining, with the defaults of each profile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from lrat_hub.errors import LratError
from lrat_hub.mining.guards import GUARDS, Guard
from lrat_hub.mining.weights import Weighting
from lrat_hub.schema import OUTCOMES, STATUSES, VERDICTS, Outcome, Status, Verdict

Profile = Literal["paper", "episode", "released"]
Negatives = Literal["unbrowsed", "formula", "pooled", "tiers"]
Kind = Literal["list", "pooled", "redundant", "hard", "weak"]

PROFILES: tuple[Profile, ...] = get_args(Profile)
NEGATIVES: tuple[Negatives, ...] = get_args(Negatives)
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class MiningSettings:
    """How trajectories become pairs. What is None takes the profile's default; `resolved` fills it in.

    Args:
        profile: How a browse becomes a pair. "paper" is section 5.1.1: a search directly followed by a browse of one
            of its candidates. "episode" attributes every browse to the nearest earlier search that listed the
            document. "released" is what the authors' code does.
        negatives: Which documents a pair's negatives are (`lrat_hub.mining.negatives`). The profile "released" has
            its own.
        outcomes: Which trajectories to mine. The default leaves out those known to be wrong (section 4.1.4) and keeps
            those nobody has judged (section 6.5).
        statuses: Of these, the ones that ended so. The default leaves out those that were made to answer at a limit
            (section 4.1.4), and those that failed.
        held_out: Documents that must not be trained on, for example because test questions are about them: pairs
            with such a positive are dropped and such negatives are left out, both counted.
        same_question: Leave negatives out that are a trained positive of the same question in any trajectory.
        same_page: Leave negatives out that have the title of the positive, as other chunks of its page have.
        caps: At most so many negatives of a kind ("pooled": 50), the first ones.
        train_on: Verdicts of the pairs that get a weight. None means relevant ones, or all when nobody judges.
        guards: Which reasonings count for no more than the half-life (`lrat_hub.mining.guards`).
        weighting: From reasoning lengths to weights.
    """

    profile: Profile = "episode"
    negatives: Negatives | None = None
    outcomes: tuple[Outcome, ...] = ("correct", "unknown")
    statuses: tuple[Status, ...] = ("completed",)
    held_out: frozenset[str] = frozenset()
    same_question: bool | None = None
    same_page: bool = False
    caps: Mapping[Kind, int] = field(default_factory=dict)
    train_on: tuple[Verdict, ...] | None = None
    guards: tuple[Guard, ...] = ()
    weighting: Weighting | None = None

    def resolved(self, *, judged: bool) -> MiningSettings:
        """The settings with nothing left to a default.

        Args:
            judged: Whether a judge gives verdicts.

        Raises:
            LratError: A value is unknown, or two of them contradict each other.
        """
        _require("Profile", [self.profile], PROFILES)
        _require("Outcomes", self.outcomes, OUTCOMES)
        _require("Statuses", self.statuses, STATUSES)
        _require("Caps", self.caps, KINDS)
        _require("Guards", self.guards, tuple(GUARDS))
        _require("Verdicts to train on", self.train_on or (), VERDICTS)
        released = self.profile == "released"
        if released and self.negatives is not None:
            raise LratError(
                f"Negatives: expected none to be named with the profile 'released', found {self.negatives!r}. "
                "It pools them as the authors' code does."
            )
        _require("Negatives", [self.negatives or "unbrowsed"], NEGATIVES)
        train_on = self.train_on or (("relevant",) if judged and not released else VERDICTS)
        if not judged and "unjudged" not in train_on:
            raise LratError(
                "Verdicts to train on: expected 'unjudged' among them, as there is no judge, found others."
            )
        return replace(
            self,
            negatives=self.negatives or ("pooled" if released else "unbrowsed"),
            same_question=self.profile == "episode" if self.same_question is None else self.same_question,
            train_on=tuple(train_on),
            # The authors' code gives a pair without reasoning the weight 1.
            weighting=self.weighting or Weighting(empty=1.0 if released else None),
        )


def _require(what: str, values: object, allowed: tuple[str, ...]) -> None:
    if unknown := sorted(set(values) - set(allowed)):
        raise LratError(f"{what}: expected some of {', '.join(allowed)}, found {', '.join(map(str, unknown))}.")
