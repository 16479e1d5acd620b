"""The gate: a challenger becomes the champion only when the frozen held-out set shows that it is better.

A challenger is promoted when it passes every test of a round:

- **Better.** On the primary metric a one-sided paired test (McNemar's exact test for successes, the randomisation
  test for means) rejects that it is no better than the champion.
- **No worse.** For every figure with a limit, the bound of the paired difference rules out a loss of the limit or
  more: forgetting, and what the agents' work costs. The champion of the first round can be a second reference, so
  that small losses don't add up over the rounds.

For a challenger that should not pass, at least one of the tested hypotheses is true, so that it passes with at most
the level of its round (an intersection-union test). The rounds share the level of the whole run by the fallback
procedure (Wiens, 2003): each round has `level / rounds`, and the round after a promotion has the level of the
promoted round besides. So the probability of any wrong promotion in the whole run is at most `level`, however the
rounds depend on each other, and a promotion that was right uses up none of it. What is right is meant of all
questions that could have been drawn, and of all answers that the agents could have given.

Nothing is promoted on missing data: all that was asked must have been measured, on the same questions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from lrat_hub.errors import LratError
from lrat_hub.flywheel.figures import FIGURES, Measured, Values, count_known
from lrat_hub.significance import detectable_difference, mcnemar, paired_bounds, randomisation_test

Role = Literal["primary", "limit", "reported"]


@dataclass(frozen=True)
class GateSettings:
    """The rules of the gate. They are stated before the first round and hold for the whole run.

    Args:
        primary: Name of the figure on which a challenger must be better.
        level: The largest probability of any wrong promotion in the whole run.
        rounds: Number of planned rounds, which share the level.
        limits: Name of a figure to the largest loss that is allowed: in points of a share (0.03 for three points), for
            steps as a share of the reference's steps. Every figure that is named here has to be measured.

    Raises:
        LratError: A figure is unknown, or a number is out of its range.
    """

    primary: str = "success"
    level: float = 0.05
    rounds: int = 10
    limits: Mapping[str, float] = field(default_factory=lambda: {"content": 0.03, "steps": 0.1})

    def __post_init__(self) -> None:
        for name in (self.primary, *self.limits):
            if name not in FIGURES:
                raise LratError(f"Gate: expected figures of {', '.join(FIGURES)}; found {name!r}.")
        if self.primary in self.limits:
            raise LratError(
                f"Gate: expected limits for other figures than the primary one, found {self.primary!r} in both. "
                "What has to be better can't be worse: leave out its limit."
            )
        allowed = all(0 < limit < math.inf for limit in self.limits.values())
        if not 0 < self.level < 1 or self.rounds < 1 or not allowed:
            raise LratError(
                "Gate: expected a level between 0 and 1, a round or more and finite limits above 0; "
                f"found {self.level}, {self.rounds} and {dict(self.limits)}."
            )

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def level_after(self, earlier: Sequence[Decision]) -> float:
        """The level of the next round by the fallback procedure. Rounds that lacked data have used none.

        Raises:
            LratError: An earlier round was decided by other settings, or all planned rounds have been decided.
        """
        stated = self.to_dict()
        for decision in earlier:
            if decision.settings != stated:
                raise LratError(
                    f"Gate: expected the settings of the earlier rounds, {decision.settings}; found {stated}. "
                    "They are stated before the first round: start another flywheel to change them."
                )
        decided = [decision for decision in earlier if decision.complete]
        if len(decided) >= self.rounds:
            raise LratError(
                f"Gate: expected at most the {self.rounds} planned rounds, found one more. Their level of "
                f"{self.level} is used up: start another flywheel, on other held-out questions."
            )
        carried = decided[-1].level if decided and decided[-1].promoted else 0.0
        return self.level / self.rounds + carried


@dataclass(frozen=True)
class FigureRow:
    """One figure of the challenger beside one reference, on what was measured of both.

    Args:
        against: "champion", or "start" for the champion of the first round.
        reference, value: Means of the reference and of the challenger.
        difference: `value` - `reference`; `low` and `high` are its one-sided bounds at the level of the round.
        p_value: Of the primary metric: the one-sided p-value that the challenger is no better.
        limit: The largest loss that is allowed, in the unit of the figure.
        measured, asked: Numbers of questions (or of queries of a check) with a value on both sides, and of all.
        passed: None for a figure that decides nothing.
    """

    figure: str
    role: Role
    against: str
    reference: float
    value: float
    difference: float
    low: float
    high: float
    p_value: float | None
    limit: float | None
    detectable: float | None
    measured: int
    asked: int
    passed: bool | None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def sentence(self, level: float) -> str:
        """What the figure says for or against a promotion."""
        known = FIGURES[self.figure]
        of = "" if self.against == "champion" else " since the start"
        digits = 3 if known.is_share else 2
        change = f"{known.title}{of}: {self.reference:.{digits}f} to {self.value:.{digits}f}"
        if self.role == "primary":
            reach = "" if self.passed or self.detectable is None else (
                f"; {self.measured} questions show a true difference of {self.detectable:.{digits}f} "
                "in 80 of 100 experiments"
            )  # fmt: skip
            verdict = "is better" if self.passed else "is not shown to be better"
            return f"The challenger {verdict} ({change}, p = {self.p_value:.2g}, needed {level:.2g}{reach})."
        harm, worst, limit = known.harm, (-self.low if known.higher_is_better else self.high), self.limit or 0.0
        if self.passed:
            found = f"a {harm} of {limit:.{digits}f} is ruled out"
        else:
            found = f"a {harm} of up to {worst:.{digits}f} is possible, and the limit is {limit:.{digits}f}"
        return f"{change[0].upper()}{change[1:]}; {found} ({self.measured} of {self.asked} measured)."


@dataclass(frozen=True)
class Decision:
    """What the gate decided in one round, with the figures it decided by.

    Args:
        promoted: Whether the challenger becomes the champion.
        complete: False where data were missing: nothing was tested, and the round can be decided again.
        level: The level of this round; see `GateSettings.level_after`.
        reasons: Sentences, one for each test.
        settings: The settings as `GateSettings.to_dict` has them.
    """

    promoted: bool
    complete: bool
    level: float
    reasons: tuple[str, ...]
    figures: tuple[FigureRow, ...]
    settings: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Decision:
        figures = tuple(FigureRow(**row) for row in values["figures"])
        return cls(**{**values, "reasons": tuple(values["reasons"]), "figures": figures})


def decide(
    settings: GateSettings,
    champion: Measured,
    challenger: Measured,
    *,
    start: Measured | None = None,
    earlier: Sequence[Decision] = (),
) -> Decision:
    """Decides whether a challenger becomes the champion; see the module.

    Args:
        start: The champion of the first round: limits hold against it, too.
        earlier: The decisions of all rounds before this one, in their order. They tell the level of this round.

    Raises:
        LratError: A figure was asked of other questions on the two sides, or `GateSettings.level_after` refuses.
    """
    level = settings.level_after(earlier)
    references = {"champion": champion} | ({} if start is None or start == champion else {"start": start})
    sides = {**references, "challenger": challenger}
    gaps = [
        gap
        for name in (settings.primary, *settings.limits)
        for side, measured in sides.items()
        if (name in settings.limits or side != "start") and (gap := _gap(name, side, measured))
    ]
    rows = [
        _compare(name, role, settings, level, against, reference.figures[name], challenger.figures[name])
        for against, reference in references.items()
        for name in FIGURES
        if (role := _role(name, settings, against)) is not None
        and all(count_known(side.figures.get(name, {})) >= 2 for side in (reference, challenger))
    ]
    tests = sorted((row for row in rows if row.role != "reported"), key=lambda row: row.role != "primary")
    if gaps:
        reasons = [*gaps, "Nothing was tested: measure what is missing, and decide the round again."]
    else:
        reasons = [row.sentence(level) for row in tests]
    promoted = not gaps and all(row.passed for row in tests)
    return Decision(promoted, not gaps, level, tuple(reasons), tuple(rows), settings.to_dict())


def _role(name: str, settings: GateSettings, against: str) -> Role | None:
    """What a figure is compared for; figures that decide nothing are compared with the champion alone."""
    if name in settings.limits:
        return "limit"
    if against != "champion":
        return None
    return "primary" if name == settings.primary else "reported"


def _gap(name: str, side: str, measured: Measured) -> str:
    """What is missing of a figure that decides, in a sentence; "" where nothing is."""
    values = measured.figures.get(name, {})
    known = count_known(values)
    if known >= max(2, len(values)):
        return ""
    return f"The {FIGURES[name].title} ({name}) of the {side} is known for {known} of {len(values)}."


def _compare(
    name: str, role: Role, settings: GateSettings, level: float, against: str, reference: Values, challenger: Values
) -> FigureRow:
    if reference.keys() != challenger.keys():
        both = len(reference.keys() & challenger.keys())
        raise LratError(
            f"Gate: expected {name} of the same held-out questions, found {len(reference)} of the {against} and "
            f"{len(challenger)} of the challenger, {both} of them in both. Evaluate both on one frozen set."
        )
    known = FIGURES[name]
    joined = {
        item: (value, before)
        for item, value in challenger.items()
        if value is not None and (before := reference[item]) is not None
    }
    ours, theirs = (np.array([pair[side] for pair in joined.values()], dtype=np.float64) for side in (0, 1))
    differences = ours - theirs
    all_or_nothing = bool(np.isin((ours, theirs), (0.0, 1.0)).all())
    low, high = paired_bounds(differences, 1 - 2 * level, successes=all_or_nothing)
    before = float(theirs.mean())
    p_value = limit = passed = detectable = None
    better = 1 if known.higher_is_better else -1
    if role == "primary":
        p_value = _one_sided(joined, differences * better, successes=known.successes)
        passed = p_value <= level
        error = float(differences.std(ddof=1)) / math.sqrt(len(differences))
        detectable = detectable_difference(error, alpha=2 * level) if error else None
    elif role == "limit":
        limit = settings.limits[name] * (1.0 if known.is_share else before)
        passed = (low > -limit) if known.higher_is_better else (high < limit)
    return FigureRow(
        name, role, against, before, float(ours.mean()), float(differences.mean()), low, high,
        p_value, limit, detectable, len(joined), len(challenger), passed,
    )  # fmt: skip


def _one_sided(joined: Mapping[str, tuple[float, float]], gains: np.ndarray, *, successes: bool) -> float:
    """The p-value that the challenger gains nothing: half of the two-sided one, if it does gain."""
    if successes:
        ours, theirs = ({item: pair[side] > 0 for item, pair in joined.items()} for side in (0, 1))
        two_sided = mcnemar(ours, theirs).exact
    else:
        two_sided = randomisation_test(gains)
    return two_sided / 2 if gains.sum() > 0 else 1.0
