"""The paper's numbers that ship with the library."""

from collections import Counter

import pytest

from lrat_hub.paper import paper_values


def test_every_table_and_figure_is_whole():
    assert Counter(value.source for value in paper_values()) == {
        "Table 1": 5 * 3 * 5, "Table 2": 6 * 4 * 5, "Table 3": 9, "Figure 1": 24, "Figure 4 (a)": 8, "Figure 4 (b)": 5,
        "Figure 4 (c)": 20, "Figure 4 (d)": 4, "Figure 6": 40, "Figure 7": 15, "Figure 8 (a)": 12, "Figure 8 (b)": 24,
        "Figure 9 (b)": 12,
    }  # fmt: skip


def test_what_stands_in_two_places_agrees_but_for_one_known_number():
    """Figures 7 and 8 have the success of Table 2; where the paper has 12.1 there, Figures 7 and 8 have 12.2."""
    table = {(value.row, value.column): value.value for value in paper_values("Table 2")
             if (value.benchmark, value.metric) == ("BrowseComp-Plus", "success")}  # fmt: skip
    same = {"Base": "Qwen3-Emb", "Baseline": "Qwen3-Emb", "+Reweight": "Qwen3-Emb + LRAT", "Ours": "Qwen3-Emb + LRAT",
            "+ LRAT": "Qwen3-Emb + LRAT"}  # fmt: skip
    others = [
        (value.source, value.row, value.value, table[value.row, same[value.column]])
        for source in ("Figure 1", "Figure 7", "Figure 8 (a)", "Figure 8 (b)", "Table 3")
        for value in paper_values(source)
        if value.benchmark == "BrowseComp-Plus" and value.metric == "success" and value.k == 10
        and value.column in same
    ]  # fmt: skip
    assert len(others) == 12 + 6 + 3 + 6 + 3
    assert [one for one in others if one[2] != one[3]] == [
        ("Figure 7", "GPT-OSS", 12.2, 12.1), ("Figure 8 (b)", "GPT-OSS", 12.2, 12.1)
    ]  # fmt: skip


def test_the_totals_of_table_1_are_means_of_its_rows_and_not_of_all_runs():
    for outcome in ("correct", "incorrect", "all"):
        rows = {(value.row, value.metric): value.value for value in paper_values("Table 1") if value.column == outcome}
        retrievers = [row for row, metric in rows if metric == "runs" and row != "Total"]
        assert rows["Total", "runs"] == sum(rows[name, "runs"] for name in retrievers)
        for metric in ("searches", "browses", "steps"):
            mean = sum(rows[name, metric] for name in retrievers) / 4
            assert rows["Total", metric] == pytest.approx(mean, abs=0.03), (outcome, metric)
    right = {(value.row, value.metric): value.value for value in paper_values("Table 1") if value.column == "correct"}
    browses = sum(right[name, "runs"] * right[name, "browses"] for name in retrievers)
    # What docs/paper_index.md has of the paper's counts.
    assert round(browses, -2) == 94_700


def test_numbers_of_figure_4_are_shares_of_a_whole():
    transitions = {(value.row, value.column): value.value for value in paper_values("Figure 4 (a)")}
    for outcome in ("correct", "incorrect"):
        for first in "SB":
            assert transitions[outcome, f"{first} to S"] + transitions[outcome, f"{first} to B"] == 100
    for who in ("agent", "people"):
        # Densities at ten ranks, which the paper smoothes.
        assert 95 < sum(value.value for value in paper_values("Figure 4 (c)") if value.row == who) < 101
