"""Figures 4 and 6 as the paper counts them, beside its own numbers."""

from dataclasses import replace

import pytest

from lrat_hub.analysis.as_paper import paper_rows, people
from lrat_hub.analysis.runs import measure_runs
from tests.evaluation.runs import run


@pytest.fixture(scope="module")
def rows():
    runs = [
        # S B S B E, and S S E.
        run("1", ("a", "b"), "b", ("c",), "c", correct=True),
        run("2", ("a", "b"), ("c",), correct=False),
        run("3", ("a",), "a", ("a", "b"), "a", correct=False),
        run("4", ("a",), "a"),
    ]
    qrels = {"1": {"b", "c"}, "2": {"a"}, "3": {"b"}, "4": {"a"}}
    measured = measure_runs(runs, qrels=qrels, measure=lambda texts: [len(text.split()) for text in texts])
    return {(row["figure"], row["group"], row["measure"]): row for row in paper_rows(list(measured))}


def test_what_follows_an_action_leaves_the_end_out(rows):
    assert rows["4 (a)", "correct", "S to B"]["value"] == 1.0
    assert rows["4 (a)", "incorrect", "S to S"]["value"] == pytest.approx(1 / 3)
    assert rows["4 (a)", "incorrect", "S to B"]["value"] == pytest.approx(2 / 3)
    assert rows["4 (a)", "correct", "B to S"]["n"] == 1


def test_evidence_is_counted_in_bins_of_two(rows):
    assert rows["4 (b)", "all", "0-1"]["value"] == 0.0
    assert rows["4 (b)", "all", "2-3"]["value"] == 1.0
    assert ("4 (b)", "all", "4-5") not in rows


def test_positions_stand_beside_the_curve_of_the_figure(rows):
    shares = [rows["4 (c)", "all", f"rank {position}"] for position in range(1, 11)]
    assert sum(row["value"] for row in shares) == pytest.approx(1)
    # A document that is opened again counts once.
    assert shares[0]["n"] == 4
    assert (shares[0]["reference"], shares[9]["reference"]) == (pytest.approx(0.198), pytest.approx(0.041))
    assert (shares[0]["paper"], shares[0]["read"]) == (pytest.approx(0.117), "read from the figure")
    assert sum(map(people, range(1, 11))) == pytest.approx(1, abs=0.03)


def test_lengths_have_four_bars(rows):
    assert [group for figure, group, _ in rows if figure == "4 (d)"] == [
        "correct", "incorrect", "evidence", "non-evidence"
    ]  # fmt: skip


def test_lengths_are_in_the_bins_of_the_papers_drawing_beside_its_shares(rows):
    bins = {measure: row for (figure, _, measure), row in rows.items() if figure == "6"}
    assert len(bins) == 40
    # Each of five reasonings has a few words.
    assert [row["value"] for row in bins.values()] == [1.0, *[0.0] * 39]
    assert bins["3-48"]["paper"] == pytest.approx(1125 / 2061)
    assert sum(row["paper"] for row in bins.values()) == pytest.approx(1, abs=1e-4)


def test_the_papers_numbers_stand_beside_every_bar_it_has(rows):
    assert rows["4 (a)", "correct", "S to B"]["paper"] == pytest.approx(0.230)
    assert rows["4 (a)", "correct", "S to B"]["read"] == "printed"
    lengths = rows["4 (d)", "correct", "mean length"]
    assert (lengths["paper"], lengths["paper_low"], lengths["paper_high"]) == (149.3, 129.2, 169.4)
    assert all(row["paper"] is not None for row in rows.values())


def test_marks_of_lengths_are_drawn_for_tokens_alone(rows):
    def marks(unit):
        from lrat_hub.analysis.paper_figures import draw_as_paper

        figure = draw_as_paper(list(rows.values()), unit)
        hollow = [line for axes in figure.axes for line in axes.get_lines() if line.get_markerfacecolor() == "none"]
        return sum(len(line.get_xdata()) for line in hollow)

    drawn = len(rows) - 44
    assert (marks("words"), marks("tokens of m")) == (drawn, len(rows))


def test_an_open_that_failed_and_is_tried_again_counts_once():
    """Without an error of its own, as logs have it: the observation says that nothing was opened."""
    for failure in ({"error": "the document could not be opened"}, {"observation": "[Document not found] docid=a"}):
        made = run("1", ("a", "b"), "a", "a", correct=True)
        failed = replace(made.steps[1], **{"observation": "", **failure})
        measured = measure_runs(
            [replace(made, steps=(made.steps[0], failed, *made.steps[2:]))],
            qrels={"1": {"a"}},
            measure=lambda texts: [len(text.split()) for text in texts],
        )
        drawn = {(row["figure"], row["measure"]): row for row in paper_rows(list(measured))}
        assert (drawn["4 (c)", "rank 1"]["value"], drawn["4 (c)", "rank 1"]["n"]) == (1.0, 1)
