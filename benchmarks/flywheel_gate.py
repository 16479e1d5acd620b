"""Error rates of the flywheel's gate: how often it promotes an equal challenger, and one that is better.

The gate is the real one (`lrat_hub.flywheel.decide`), the agent is scripted: whether it answers a question is drawn. A
question has a difficulty that all retrievers share, and each retriever has luck of its own with it, so that two equal
retrievers differ on a set share of the questions. Checks and steps of the challenger are drawn as well, as far from
the champion's as those of real models are, with no true change::

    python benchmarks/flywheel_gate.py

Rates have 95 % intervals. For equal challengers flywheels of 50 rounds are run, and are the units of the intervals, as
all rounds of one meet the same champion; better challengers meet a new champion each.
"""

from __future__ import annotations

import argparse
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import product

import numpy as np
from scipy.optimize import brentq
from scipy.stats import multivariate_normal, norm

from lrat_hub.flywheel import Decision, GateSettings, Measured, decide
from lrat_hub.hub.cards import markdown_table
from lrat_hub.significance import detectable_difference, paired_bounds, wilson_interval
from lrat_hub.significance.pooled import rate

QUESTIONS = (100, 300, 830)
GAINS = (0.01, 0.02, 0.05)
ROUNDS = 50
PLANNED = (50, 10, 3)
DISCORDANCES = {"reader": 0.04, "language model": 0.20}
"""Share of the questions that only one of two retrievers lets the agent answer.

With the reader of natural questions: 4 of 100, MiniLM against MiniLM trained at K = 3 (docs/agent_evaluation.md: four
points with p = 0.63 after Holm's correction over five are four questions won and none lost). An agent that samples
differs more, also from itself; 0.20 is an assumption, not a measurement.
"""

SUCCESS = 0.65
"""The champion's success rate: MiniLM's at K = 3 on the same questions."""

CONTENT, CHANGED_CONTENT, FOUND_CONTENT = 500, 0.03, 0.586
"""Queries of the content check, the share on which two models differ, and the champion's recall (docs/natural_loop.md:
the interval of anchored - MiniLM, [-.013, +.017], is that of 3 % of 500)."""

STEPS, STEPS_DEVIATION = 5.9, 1.3
"""Steps a question, and the standard deviation of their paired difference (docs/agent_evaluation.md: the interval of
-0.57 [-0.85, -0.33] over 100 questions)."""

DEVIATIONS = {"success, reader": 0.20, "success, language model": 0.45, "evidence_share, reader": 0.09,
              "recall@10 alone": 0.19}  # fmt: skip
"""Standard deviations of paired differences by question: roots of the discordances, and from the intervals over 100
questions of docs/agent_evaluation.md (evidence share at K = 3, +2.0 [+0.5, +4.0]) and docs/natural_loop.md (recall@10,
+.065 [+.029, +.105])."""


@dataclass(frozen=True)
class Cell:
    """One setting of the simulation.

    Args:
        gain: By how much the success rate of a challenger is truly higher than that of the first champion.
        loss: By how much its recall in the content check is truly lower.
        planned: Rounds that the gate's level is for.
        played: Rounds of a flywheel that are simulated.
        flywheels: How many are simulated, each with a champion of its own.
    """

    questions: int
    discordance: float
    gain: float = 0.0
    loss: float = 0.0
    planned: int = ROUNDS
    played: int = 1
    flywheels: int = 400


class ScriptedAgent:
    """An agent that answers by chance: each retriever shares the questions' difficulties and has luck of its own."""

    def __init__(self, cell: Cell, rng: np.random.Generator) -> None:
        self.cell, self.rng = cell, rng
        self.difficulty = {name: rng.standard_normal(size) for name, size in self.sizes.items()}
        self.shared = {
            "success": shared_part(SUCCESS, cell.discordance),
            "content": shared_part(FOUND_CONTENT, CHANGED_CONTENT),
        }
        self.usual_steps = rng.gamma(4.0, STEPS / 4.0, cell.questions)

    @property
    def sizes(self) -> dict[str, int]:
        return {"success": self.cell.questions, "content": CONTENT}

    def measure(self, *, gain: float = 0.0, loss: float = 0.0) -> Measured:
        """What the agent does with another retriever, whose true rates differ from the first one's by so much."""
        rates = {"success": SUCCESS + gain, "content": FOUND_CONTENT - loss}
        figures = {}
        for name, size in self.sizes.items():
            shared, luck = self.shared[name], self.rng.standard_normal(size)
            ability = np.sqrt(shared) * self.difficulty[name] + np.sqrt(1 - shared) * luck
            figures[name] = by_id((ability < norm.ppf(rates[name])).astype(float))
        # Half of the variance of a difference is the champion's.
        noise = self.rng.normal(0, STEPS_DEVIATION / np.sqrt(2), self.cell.questions)
        figures["steps"] = by_id(self.usual_steps + noise)
        return Measured(figures)


@lru_cache
def shared_part(share: float, discordance: float) -> float:
    """The correlation of two retrievers' abilities at which they differ on a share of the questions."""
    threshold = norm.ppf(share)

    def excess(correlation: float) -> float:
        both = multivariate_normal.cdf([threshold, threshold], cov=[[1, correlation], [correlation, 1]])
        return 2 * (share - both) - discordance

    return brentq(excess, 0.0, 1 - 1e-6, xtol=1e-6)


def by_id(values: np.ndarray) -> dict[str, float]:
    return {str(number): value for number, value in enumerate(values.tolist())}


def play(cell: Cell, seed: Sequence[int]) -> Iterator[Decision]:
    """The rounds of one flywheel: what is promoted is the next champion."""
    agent = ScriptedAgent(cell, np.random.default_rng(seed))
    settings = GateSettings(rounds=cell.planned)
    champion, earlier = agent.measure(), list[Decision]()
    for _ in range(cell.played):
        challenger = agent.measure(gain=cell.gain, loss=cell.loss)
        earlier.append(decide(settings, champion, challenger, earlier=earlier))
        champion = challenger if earlier[-1].promoted else champion
        yield earlier[-1]


def promotions(cell: Cell) -> list[int]:
    """Promotions in each of the flywheels."""
    return [
        sum(decision.promoted for decision in play(cell, [number, cell.questions])) for number in range(cell.flywheels)
    ]


def equal_row(cell: Cell, promoted: Sequence[int]) -> dict[str, str | int]:
    """Flywheels of equal challengers: wrong promotions by round and by flywheel."""
    by_round = rate((str(number), count, cell.played) for number, count in enumerate(promoted))
    by_flywheel = wilson_interval(sum(count > 0 for count in promoted), len(promoted))
    return {
        "questions": cell.questions,
        "differ": f"{100 * cell.discordance:.0f} %",
        "promoted, of all rounds": f"{sum(promoted)} of {cell.played * len(promoted)}",
        "rate by round": f"{by_round:.4f}",
        "flywheels with a promotion": f"{by_flywheel:.3f}",
    }


def better_rows(cells: Sequence[Cell], promoted: Sequence[list[int]]) -> list[dict[str, str | int]]:
    """A line for each kind of challenger, and beside each other the rates by the number of planned rounds."""
    rows: dict[Cell, dict[str, str | int]] = {}
    for cell, found in zip(cells, promoted, strict=True):
        row = rows.setdefault(
            replace(cell, planned=0),
            {
                "questions": cell.questions,
                "differ": f"{100 * cell.discordance:.0f} %",
                "true gain": f"{100 * cell.gain:+.0f}",
                "content lost": f"{100 * cell.loss:.0f}",
            },
        )
        row[f"{cell.planned} rounds"] = f"{wilson_interval(sum(found), len(found)):.3f}"
    return list(rows.values())


def detectable_row(rounds: int, questions: int) -> dict[str, str | int]:
    """True differences that a round shows in 80 of 100 cases, by the standard deviation of the paired difference."""
    level = 2 * GateSettings(rounds=rounds).level_after(())
    return {"planned rounds": rounds, "questions": questions} | {
        name: f"{detectable_difference(deviation / questions**0.5, alpha=level):.3f}"
        for name, deviation in DEVIATIONS.items()
    }


def chance_to_pass(passages: int, limit: float, planned: int) -> float:
    """How often an equal challenger keeps a limit in a content check of so many passages."""
    confidence = 1 - 2 * GateSettings(rounds=planned).level_after(())
    drawn = np.random.default_rng(18).multinomial(passages, [CHANGED_CONTENT / 2] * 2 + [1 - CHANGED_CONTENT], 2_000)
    kept = 0
    for (won, lost), times in Counter(map(tuple, drawn[:, :2].tolist())).items():
        differences = np.repeat([1.0, -1.0, 0.0], [won, lost, passages - won - lost])
        kept += times * (paired_bounds(differences, confidence, successes=True)[0] > -limit)
    return kept / len(drawn)


def check_row(limit: float) -> dict[str, str | int]:
    """Passages of a content check in which 80 of 100 equal challengers keep a limit, in tens."""
    sizes = range(50, 3_000, 10)
    return {"limit": f"{limit:.2f}"} | {
        f"{planned} rounds": sizes[bisect_left(sizes, 0.8, key=partial(chance_to_pass, limit=limit, planned=planned))]
        for planned in PLANNED
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flywheels", type=int, default=200, help="flywheels of equal challengers a line")
    parser.add_argument("--challengers", type=int, default=400, help="challengers that are better, a figure")
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    started = time.monotonic()
    equal = [
        Cell(questions, discordance, played=ROUNDS, flywheels=args.flywheels)
        for discordance, questions in product(DISCORDANCES.values(), QUESTIONS)
    ]
    kinds = [(*kind, 0.0) for kind in product(DISCORDANCES.values(), GAINS, QUESTIONS)]
    # And such that have forgotten as much as the limit, or twice as much.
    kinds += [(DISCORDANCES["reader"], 0.05, 830, loss) for loss in (0.03, 0.06)]
    better = [
        Cell(questions, discordance, gain, loss, planned, flywheels=args.challengers)
        for (discordance, gain, questions, loss), planned in product(kinds, PLANNED)
    ]
    with ProcessPoolExecutor(args.processes) as pool:
        found = list(pool.map(promotions, [*equal, *better]))
    print(markdown_table([equal_row(*one) for one in zip(equal, found[: len(equal)], strict=True)]))
    print()
    print(markdown_table(better_rows(better, found[len(equal) :])))
    print()
    print(markdown_table([detectable_row(rounds, questions) for rounds, questions in product(PLANNED, QUESTIONS)]))
    print()
    print(markdown_table([check_row(limit) for limit in (0.02, 0.03, 0.05)]))
    print(f"\n{time.monotonic() - started:.0f} seconds")


if __name__ == "__main__":
    main()
