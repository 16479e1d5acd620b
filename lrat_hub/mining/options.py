"""What can be chosen about mining, as options of a stage."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal

from lrat_hub.errors import LratError
from lrat_hub.mining.settings import MiningSettings
from lrat_hub.mining.splits import Splits
from lrat_hub.mining.weights import Weighting


@dataclass(kw_only=True)
class MiningOptions:
    profile: Literal["paper", "episode", "released"] = field(
        default="episode",
        metadata={
            "help": "How browses become pairs: of the search right before, of the nearest one that listed the "
            "document, or as the authors' code does it."
        },
    )
    negatives: Literal["default", "unbrowsed", "formula", "pooled", "tiers"] = field(
        default="default",
        metadata={
            "help": "'unbrowsed' (the default) leaves out everything browsed in the trajectory, 'formula' only the "
            "positive; 'pooled' adds those of earlier searches, 'tiers' documents already read."
        },
    )
    caps: list[str] = field(
        default_factory=list, metadata={"help": "At most so many negatives of a kind, such as pooled=50."}
    )
    same_question: Literal["default", "keep", "leave_out"] = field(
        default="default",
        metadata={"help": "Negatives that are positives of the same question; left out by default with 'episode'."},
    )
    same_page: bool = field(
        default=False, metadata={"help": "Leave out negatives with the title of the positive: chunks of one page."}
    )
    outcomes: list[str] = field(
        default_factory=lambda: ["correct", "unknown"],
        metadata={"help": "Trajectories to mine: any of correct, incorrect, unknown."},
    )
    statuses: list[str] = field(
        default_factory=lambda: ["completed"],
        metadata={"help": "Of these, the ones that ended so: any of completed, limited, failed."},
    )
    train_on: list[str] = field(
        default_factory=list,
        metadata={"help": "Verdicts that get a weight; if not given, relevant, or all where nobody judges."},
    )
    weights: Literal["saturation", "uniform", "linear", "log", "rank"] = field(
        default="saturation", metadata={"help": "From lengths to weights; 'saturation' is Eq. 3."}
    )
    weights_by: Literal["global", "agent", "retriever"] = field(
        default="global", metadata={"help": "What has a half-life and a mean of its own."}
    )
    half_life: float | None = field(
        default=None, metadata={"help": "beta of Eq. 3 in tokens; the median if not given."}
    )
    guards: list[str] = field(
        default_factory=list,
        metadata={
            "help": "Reasonings that count for no more than the half-life: any of degenerate, repetitive, off_topic."
        },
    )
    validation: float = field(default=0.0, metadata={"help": "Share of the questions for a split `validation`."})
    test: float = field(default=0.0, metadata={"help": "Share of the questions for a split `test`."})

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
        return MiningSettings(
            profile=self.profile,
            negatives=None if self.negatives == "default" else self.negatives,
            outcomes=tuple(self.outcomes),
            statuses=tuple(self.statuses),
            held_out=frozenset(held_out),
            same_question=None if self.same_question == "default" else self.same_question == "leave_out",
            same_page=self.same_page,
            caps=dict(map(_cap, self.caps)),
            train_on=tuple(self.train_on) or None,
            guards=tuple(self.guards),
            weighting=self.weighting,
        )


def _cap(text: str) -> tuple[str, int]:
    kind, _, count = text.partition("=")
    if not count.isdecimal():
        raise LratError(f"Caps: expected a kind and a number, such as pooled=50, found {text!r}.")
    return kind, int(count)
