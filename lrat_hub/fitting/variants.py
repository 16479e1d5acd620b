"""Variants of the pairs that one model is trained on, to be compared: the paper's ablations."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lrat_hub.errors import LratError
from lrat_hub.fitting.rows import stable_order
from lrat_hub.fitting.settings import FitSettings

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class Variant:
    """Pairs and settings that a sweep compares with others.

    Args:
        name: What tables call it.
        pairs: Config `pairs`; those with a weight are trained on.
        settings: How to train on them; a sweep sets the seed.
        count: Number of pairs to train on, drawn question by question for each seed; None for all.
        trajectories: Number of trajectories whose pairs to train on, drawn for each seed; None for all.
    """

    name: str
    pairs: Dataset
    settings: FitSettings
    count: int | None = None
    trajectories: int | None = None

    def drawn(self, seed: int) -> Dataset:
        """The pairs that a training with this seed gets."""
        if self.trajectories is not None:
            return draw_trajectories(self.pairs, self.trajectories, seed)
        return draw_pairs(self.pairs, self.count, seed)


def ladder(pairs: Dataset, settings: FitSettings) -> list[Variant]:
    """The variants of Figure 7: all browsed documents as positives, without those a judge refused, and weighted.

    Raises:
        LratError: No pair was refused, so that the first two would be one.
    """
    kept = _with_weight(pairs)
    if len(kept) == len(pairs):
        raise LratError(
            f"Sweep: expected pairs that a judge has seen, found weights on all {len(pairs)}. "
            "Mine with a judge: naive pairs are kept beside those it accepts."
        )
    naive = pairs.remove_columns("weight").add_column("weight", [1.0] * len(pairs))
    return [
        Variant("naive", naive, replace(settings, use_weights=False)),
        Variant("+ filter", kept, replace(settings, use_weights=False)),
        Variant("+ reweight", kept, replace(settings, use_weights=True)),
    ]


def sizes(pairs: Dataset, settings: FitSettings, trajectories: Sequence[int]) -> list[Variant]:
    """The pairs of growing numbers of trajectories, as in Figure 8a, named as it names them.

    Raises:
        LratError: There are fewer trajectories, or a number is below 1.
    """
    kept = _with_weight(pairs)
    there = len(set(_trajectories(kept)))
    if wrong := [count for count in trajectories if not 1 <= count <= there]:
        raise LratError(
            f"Sweep: expected numbers of trajectories from 1 to {there}, which have pairs; found {wrong[0]}."
        )
    return [
        Variant(f"{count} trajectories" if count % 1_000 else f"{count // 1_000}k", kept, settings, trajectories=count)
        for count in sorted(trajectories)
    ]


def sources(named: Mapping[str, Dataset], settings: FitSettings) -> list[Variant]:
    """The same number of pairs from each of several datasets, such as those of right and of wrong answers (Table 3).

    Raises:
        LratError: There are fewer than two.
    """
    if len(named) < 2:
        raise LratError(f"Sweep: expected pairs from two datasets or more, found {len(named)}.")
    kept = {name: _with_weight(pairs) for name, pairs in named.items()}
    count = min(map(len, kept.values()))
    return [Variant(name, pairs, settings, count) for name, pairs in kept.items()]


def draw_pairs(pairs: Dataset, count: int | None, seed: int) -> Dataset:
    """A number of pairs, drawn question by question in an order by the seed: a smaller draw is a part of a larger one.

    Args:
        count: Number of pairs to draw; None for all.
    """
    if count is None or count >= len(pairs):
        return pairs
    questions = list(pairs["question"] if "question" in pairs.column_names else pairs["query"])
    rank = {question: position for position, question in enumerate(stable_order(set(questions), seed))}
    rows = sorted(range(len(pairs)), key=lambda row: (rank[questions[row]], row))
    return pairs.select(sorted(rows[:count]))


def draw_trajectories(pairs: Dataset, count: int, seed: int) -> Dataset:
    """All pairs of a number of trajectories, drawn by the seed: a smaller draw is a part of a larger one."""
    of_row = _trajectories(pairs)
    chosen = set(stable_order(set(of_row), seed)[:count])
    return pairs.select([row for row, trajectory in enumerate(of_row) if trajectory in chosen])


def _trajectories(pairs: Dataset) -> list[str]:
    """The trajectory of each pair. Ids alone are the same for all agents and retrievers."""
    columns = (pairs[name] for name in ("agent", "retriever", "trajectory_id"))
    return [json.dumps(names) for names in zip(*columns, strict=True)]


def _with_weight(pairs: Dataset) -> Dataset:
    """The pairs that are trained on: a judge has accepted them, or none has seen them."""
    return pairs.select([row for row, weight in enumerate(pairs["weight"]) if weight is not None])
