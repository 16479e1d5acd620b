"""Variants of the pairs that are compared: what each of them is trained on."""

from dataclasses import replace

import pytest

from lrat_hub.errors import LratError
from lrat_hub.fitting.settings import FitSettings
from lrat_hub.fitting.variants import draw_pairs, ladder, sizes, sources
from lrat_hub.mining.tables import pair_table

from .small import pair


def pairs(count: int, *, refused: int = 0):
    """Three pairs a question, of which a judge refused the first."""
    return pair_table(
        replace(
            pair(f"query {n}", "a", "b"), question=f"Question {n // 3}?", pair_id=str(n), trajectory_id=str(n),
            **({"weight": None, "verdict": "irrelevant"} if n < refused else {}),
        )
        for n in range(count)
    )  # fmt: skip


def of_trajectories(count: int, each: int):
    return pair_table(
        replace(pair("query", "a", "b"), pair_id=f"{n}-{m}", trajectory_id=f"q{n}-0")
        for n in range(count)
        for m in range(each)
    )


def test_fewer_pairs_are_a_part_of_more_and_questions_stay_whole():
    table = pairs(30)
    few, many = (set(draw_pairs(table, count, seed=1)["pair_id"]) for count in (9, 18))
    assert (len(few), len(many)) == (9, 18)
    assert few < many
    assert len({int(name) // 3 for name in few}) == 3
    assert set(draw_pairs(table, 9, seed=2)["pair_id"]) != few


def test_the_ladder_trains_on_all_then_on_those_kept_then_with_weights():
    variants = ladder(pairs(12, refused=4), FitSettings())
    assert [(one.name, len(one.pairs), one.settings.use_weights) for one in variants] == [
        ("naive", 12, False), ("+ filter", 8, False), ("+ reweight", 8, True)
    ]  # fmt: skip
    assert set(variants[0].pairs["weight"]) == {1.0}
    with pytest.raises(LratError, match="expected pairs that a judge has seen"):
        ladder(pairs(12), FitSettings())


def test_sizes_are_of_trajectories_whose_pairs_all_come_with_them():
    table = of_trajectories(4_000, 3)
    named = [(one.name, len(set(one.drawn(0)["trajectory_id"])), len(one.drawn(0)))
             for one in sizes(table, FitSettings(), [2_000, 1_500])]  # fmt: skip
    assert named == [("1500 trajectories", 1_500, 4_500), ("2k", 2_000, 6_000)]
    small, large = sizes(table, FitSettings(), [1_500, 2_000])
    assert set(small.drawn(1)["pair_id"]) < set(large.drawn(1)["pair_id"]) != set(large.drawn(2)["pair_id"])


def test_trajectories_of_several_retrievers_are_told_apart_though_their_ids_are_the_same():
    table = pair_table(
        replace(pair("query", "a", "b"), pair_id=name, trajectory_id="q0-0", retriever=name)
        for name in ("bm25", "me/model")
    )
    assert [len(one.drawn(0)) for one in sizes(table, FitSettings(), [1, 2])] == [1, 2]


def test_sources_count_the_pairs_that_have_a_weight():
    table = pairs(12, refused=4)
    assert [one.count for one in sources({"right": pairs(30), "wrong": table}, FitSettings())] == [8, 8]
    with pytest.raises(LratError, match="from 1 to 8, which have pairs; found 9"):
        sizes(table, FitSettings(), [1, 9])
    with pytest.raises(LratError, match="two datasets or more, found 1"):
        sources({"right": table}, FitSettings())
