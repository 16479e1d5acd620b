"""What can be chosen about mining, with the defaults of each profile; the same as options of a stage."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, cast, get_args

from lrat_hub.errors import LratError, did_you_mean
from lrat_hub.mining.tables import Splits
from lrat_hub.mining.weights import GUARDS, Guard, Weighting
from lrat_hub.option import option
from lrat_hub.schema import OUTCOMES, STATUSES, VERDICTS, Outcome, Status, Verdict

Profile = Literal["paper", "episode", "released"]
Negatives = Literal["unbrowsed", "formula", "pooled", "tiers"]
NegativeKind = Literal["list", "pooled", "redundant", "hard", "weak"]

PROFILES: tuple[Profile, ...] = get_args(Profile)
NEGATIVES: tuple[Negatives, ...] = get_args(Negatives)
NEGATIVE_KINDS: tuple[NegativeKind, ...] = get_args(NegativeKind)


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
        caps: Maximum number of negatives of a kind ("pooled": 50); the first ones are kept.
        train_on: Verdicts of the pairs that get a weight. None means relevant ones, or all when nobody judges.
        guards: Which reasonings count for no more than the half-life (`lrat_hub.mining.weights`).
        weighting: From reasoning lengths to weights.
    """

    profile: Profile = "episode"
    negatives: Negatives | None = None
    outcomes: tuple[Outcome, ...] = ("correct", "unjudged")
    statuses: tuple[Status, ...] = ("completed",)
    held_out: frozenset[str] = frozenset()
    same_question: bool | None = None
    same_page: bool = False
    caps: Mapping[NegativeKind, int] = field(default_factory=dict)
    train_on: tuple[Verdict, ...] | None = None
    guards: tuple[Guard, ...] = ()
    weighting: Weighting | None = None

    def resolved(self, *, judged: bool) -> ResolvedSettings:
        """The settings with nothing left to a default.

        Args:
            judged: Whether a judge gives verdicts.

        Raises:
            LratError: A value is unknown, or two of them contradict each other.
        """
        _require("Profile", [self.profile], PROFILES)
        outcomes = _current(self.outcomes)
        _require("Outcomes", outcomes, OUTCOMES)
        _require("Statuses", self.statuses, STATUSES)
        _require("Caps", self.caps, NEGATIVE_KINDS)
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
        choices = {item.name: getattr(self, item.name) for item in fields(MiningSettings)}
        choices |= {
            "outcomes": outcomes,
            "negatives": self.negatives or ("pooled" if released else "unbrowsed"),
            "same_question": self.profile == "episode" if self.same_question is None else self.same_question,
            "train_on": tuple(train_on),
            # The authors' code gives a pair without reasoning the weight 1.
            "weighting": self.weighting or Weighting(empty=1.0 if released else None),
        }
        return ResolvedSettings(**choices)


@dataclass(frozen=True)
class ResolvedSettings(MiningSettings):
    """`MiningSettings` with nothing left to a default; made by `MiningSettings.resolved`."""

    negatives: Negatives = "unbrowsed"
    same_question: bool = False
    train_on: tuple[Verdict, ...] = VERDICTS
    weighting: Weighting = field(default_factory=Weighting)


def _current(outcomes: Iterable[str]) -> tuple[Outcome, ...]:
    """The outcomes by their names of today: what is "unjudged" was called "unknown" up to version 0.1."""
    if "unknown" in outcomes:
        warnings.warn('The outcome "unknown" is called "unjudged" now.', FutureWarning, stacklevel=3)
    return cast("tuple[Outcome, ...]", tuple("unjudged" if name == "unknown" else name for name in outcomes))


def _require(what: str, values: Iterable[str], allowed: tuple[str, ...]) -> None:
    if unknown := sorted(set(values) - set(allowed)):
        end = did_you_mean(unknown[0], allowed) or "."
        raise LratError(f"{what}: expected some of {', '.join(allowed)}, found {', '.join(map(str, unknown))}{end}")


@dataclass(kw_only=True)
class MiningOptions:
    profile: Literal["paper", "episode", "released"] = option(
        "episode",
        "Which search a browse is paired with: 'paper' the one right before it, 'episode' the nearest "
        "earlier one that listed the document, 'released' the one that the authors' code takes.",
        group="essentials",
    )
    negatives: Literal["default", "unbrowsed", "formula", "pooled", "tiers"] = option(
        "default",
        "Which documents are negatives: 'unbrowsed' (the default) the listed ones that the agent never "
        "browsed, 'formula' all listed ones but the positive; 'pooled' adds those of earlier searches, 'tiers' "
        "documents that the agent had read.",
        group="essentials",
    )
    caps: list[str] = option(help="Maximum number of negatives of a kind, such as pooled=50.", factory=list)
    same_question: Literal["default", "keep", "leave_out"] = option(
        "default",
        "Whether to keep negatives that are positives of the same question; the default leaves them out "
        "with profile 'episode'.",
    )
    same_page: bool = option(False, "Leave out negatives with the title of the positive: chunks of one page.")
    outcomes: list[str] = option(
        help="Trajectories to mine: any of correct, incorrect, unjudged.",
        factory=lambda: ["correct", "unjudged"],
        group="essentials",
    )
    statuses: list[str] = option(
        help="How the trajectories to mine ended: any of completed, limited, failed.",
        factory=lambda: ["completed"],
        group="essentials",
    )
    train_on: list[str] = option(
        help="Verdicts of the pairs to train on; by default relevant, or all without a judge.", factory=list
    )
    weights: Literal["saturation", "uniform", "linear", "log", "rank"] = option(
        "saturation", "Function from reasoning lengths to weights; 'saturation' is Eq. 3."
    )
    weights_by: Literal["global", "agent", "retriever"] = option(
        "global", "Groups of pairs that have their own half-life and mean weight."
    )
    half_life: float | None = option(None, "Half-life (beta of Eq. 3) in tokens; the median length by default.")
    guards: list[str] = option(
        help="Reasonings that count for no more than the half-life: any of degenerate, repetitive, off_topic.",
        factory=list,
    )
    validation: float = option(0.0, "Share of the questions for split `validation`, from 0 to 1.", group="essentials")
    test: float = option(0.0, "Share of the questions for split `test`, from 0 to 1.", group="essentials")

    @property
    def splits(self) -> Splits:
        return Splits(self.validation, self.test)

    @property
    def weighting(self) -> Weighting:
        # The authors' code gives a pair without reasoning the weight 1, where Eq. 3 gives 0.
        empty = 1.0 if self.profile == "released" else None
        return Weighting(self.weights, half_life=self.half_life, by=self.weights_by, empty=empty)

    def settings(self, held_out: Collection[str] = ()) -> MiningSettings:
        """The settings that these options ask for.

        Raises:
            LratError: An option has a value that is none of its own.
        """
        # Lists of texts, as a recipe has them: `MiningSettings.resolved` checks their values.
        given: Any = self
        return MiningSettings(
            profile=self.profile,
            negatives=None if self.negatives == "default" else self.negatives,
            outcomes=tuple(given.outcomes),
            statuses=tuple(given.statuses),
            held_out=frozenset(held_out),
            same_question=None if self.same_question == "default" else self.same_question == "leave_out",
            same_page=self.same_page,
            caps=dict(map(_cap, self.caps)),
            train_on=tuple(given.train_on) or None,
            guards=tuple(given.guards),
            weighting=self.weighting,
        )


def _cap(text: str) -> tuple[Any, int]:
    kind, _, count = text.partition("=")
    if not count.isdecimal():
        raise LratError(f"Caps: expected a kind and a number, such as pooled=50, found {text!r}.")
    return kind, int(count)
