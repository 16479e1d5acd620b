"""Figure 4 as the paper counts it."""

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
    assert (shares[0]["reference"], shares[9]["reference"]) == (pytest.approx(0.2), pytest.approx(0.04))
    assert sum(map(people, range(1, 11))) == pytest.approx(1, abs=0.03)


def test_lengths_have_four_bars(rows):
    assert [group for figure, group, _ in rows if figure == "4 (d)"] == [
        "correct", "incorrect", "evidence", "non-evidence"
    ]  # fmt: skip
