"""Every figure on data whose answer is known."""

import math
from dataclasses import replace

import numpy as np
import pytest

from lrat_hub.analysis import TABLES, account_of, analyze_runs, human_curve, measure_runs, were_shuffled
from lrat_hub.analysis.browses import (
    AS_SHOWN,
    BY_SCORE,
    distance_to,
    expected_shares,
    half_life_rows,
    histogram_rows,
    length_rows,
    position_rows,
)
from lrat_hub.errors import LratError
from lrat_hub.schema import Candidate, Step
from lrat_hub.significance import wilson_interval
from tests.builders import answer, browse, search, trajectory


def analyzed(trajectories, **options):
    return analyze_runs(list(measure_runs(trajectories, **options)), human=human_curve())


def value(rows, **keys):
    (row,) = (row for row in rows if keys.items() <= row.items())
    return row["value"]


@pytest.fixture
def tables():
    right = [search("q", "a", "b"), browse("a"), search("q", "c"), browse("c"), answer()]
    wrong = [search("x", "a"), search("y", "b"), search("z", "c"), search("z", "d"), browse("d")]
    return analyzed([
        trajectory(*right, name="1", correct=True),
        replace(trajectory(*wrong, name="2", correct=False), status="failed"),
        trajectory(*wrong[:2], name="3", correct=False),
    ])  # fmt: skip


def test_the_names_of_the_tables_are_known_before_they_are_made(tables):
    assert set(tables) == set(TABLES)


def test_table_1_has_means_and_the_ratio_of_sums(tables):
    of = {(row["outcome"], row["measure"]): row["value"] for row in tables["outcomes"]}
    assert [of["incorrect", name] for name in ("searches", "browses", "steps", "completed")] == [3, 0.5, 3.5, 0.5]
    assert of["incorrect", "B/S"] == pytest.approx(1 / 6)  # and not the mean of 1/4 and 0
    assert of["correct", "B/S"] == 1
    assert of["all", "B/S"] == pytest.approx(3 / 8)
    assert {row["n"] for row in tables["outcomes"] if row["measure"] == "steps"} == {1, 2, 3}


def test_transitions_are_of_searches_and_browses_and_of_what_ends_a_run(tables):
    rows = tables["transitions"]
    assert value(rows, outcome="correct", after="search", next="browse") == 1
    assert value(rows, outcome="correct", after="browse", next="search") == 0.5
    assert value(rows, outcome="correct", after="browse", next="end") == 0.5
    assert value(rows, outcome="incorrect", after="search", next="search") == pytest.approx(4 / 6)
    assert value(rows, outcome="incorrect", after="search", next="end") == pytest.approx(1 / 6)
    for outcome in ("correct", "incorrect", "all"):
        for after in ("search", "browse"):
            of = [row["value"] for row in rows if (row["outcome"], row["after"]) == (outcome, after)]
            assert sum(of) == pytest.approx(1)


def test_steps_show_new_results_repeats_and_distances(tables):
    rows = tables["steps"]
    assert value(rows, outcome="incorrect", measure="new results", first=4) == 1
    assert value(rows, outcome="correct", measure="repeated queries", first=3) == 1
    assert value(rows, outcome="correct", measure="query distance", first=3) == 0
    assert value(rows, outcome="incorrect", measure="query distance", first=4) == 0
    assert value(rows, outcome="incorrect", measure="query distance", first=2) == 1
    assert value(rows, outcome="all", measure="repeated browses", first=5) == 0
    assert value(tables["distances"], outcome="incorrect", **{"from": 0.9}) == 0.75
    assert sum(row["value"] for row in tables["distances"] if row["outcome"] == "all") == pytest.approx(1)


def test_late_steps_are_looked_at_together():
    run = trajectory(*(search(f"q{place}", "a") for place in range(130)))
    rows = [row for row in analyzed([run])["steps"] if row["measure"] == "new results"]
    assert [(row["first"], row["last"], row["n"]) for row in rows][-4:] == [
        (16, 25, 10), (26, 50, 25), (51, 100, 50), (101, 1_000_000, 30)]  # fmt: skip
    assert [row["value"] for row in rows] == [1] + [0] * (len(rows) - 1)


def test_accuracy_by_evidence_has_wilsons_intervals():
    def run(name, opened, correct):
        docids = [f"e{place}" for place in range(10)]
        return trajectory(search("q", *docids), *map(browse, docids[:opened]), name=name, correct=correct)

    runs = [run(f"a{place}", 0, False) for place in range(6)] + [run(f"b{place}", 2, place < 3) for place in range(4)]
    runs += [run("c", 9, True), run("d", 10, True), run("unjudged", 2, None), run("without", 2, True)]
    evidence = {run.query_id: {f"e{place}" for place in range(10)} for run in runs if run.query_id != "without"}
    rows = analyzed(runs, qrels=evidence)["accuracy"]
    assert [(row["evidence_opened"], row["and_more"], row["value"], row["n"]) for row in rows] == [
        (0, False, 0, 6), (2, False, 0.75, 4), (8, True, 1, 2)]  # fmt: skip
    wilson = wilson_interval(3, 4)
    assert (rows[1]["low"], rows[1]["high"]) == pytest.approx((wilson.low, wilson.high))
    assert analyzed(runs)["accuracy"] == []


def opened_at(position, length, *, scores=None, name="t"):
    shown = tuple(
        Candidate(0, rank, f"{name}{rank}", score=None if scores is None else scores[rank - 1])
        for rank in range(1, length + 1)
    )
    return trajectory(Step(0, "", "search", ("q",), shown), browse(f"{name}{position}"), answer(), name=name)


def test_positions_are_counted_beside_what_people_and_chance_would_open():
    runs = [opened_at(1, 4, name="a"), opened_at(4, 4, name="b"), opened_at(1, 2, name="c"), opened_at(3, 4, name="d")]
    rows = position_rows(list(measure_runs(runs)), [0.6, 0.2, 0.1, 0.1])
    assert [row["value"] for row in rows] == [0.5, 0, 0.25, 0.25]
    assert [row["uniform"] for row in rows] == pytest.approx([0.3125, 0.3125, 0.1875, 0.1875])
    # Three lists of four, and one of two, where 0.6 and 0.2 are all there is.
    assert [row["human"] for row in rows] == pytest.approx([0.6375, 0.2125, 0.075, 0.075])
    assert distance_to(rows, "uniform") == pytest.approx(0.3125)
    assert {row["order"] for row in rows} == {AS_SHOWN}
    assert were_shuffled(list(measure_runs(runs))) is None


def test_documents_opened_again_or_listed_nowhere_have_no_position():
    run = trajectory(search("q", "a", "b"), browse("b"), browse("b"), browse("x"), answer())
    runs = list(measure_runs([run]))
    assert [(row["value"], row["n"]) for row in position_rows(runs, [1])] == [(0, 1), (1, 1)]
    notes = account_of(runs)["browses"].notes
    assert notes == {"of a document that no search before listed": 1, "of a document that was open before": 1}
    assert position_rows(list(measure_runs([trajectory(search("q"), browse("x"))])), [1]) == []


def test_shuffled_lists_are_seen_by_their_scores_and_have_a_control():
    """An agent that always opens the best document, wherever it is shown, has no position bias and all content."""
    random = np.random.default_rng(0)
    runs = []
    for place in range(400):
        scores = random.permutation(10).astype(float).tolist()
        runs.append(opened_at(scores.index(9.0) + 1, 10, scores=scores, name=f"r{place}-"))
    measured = list(measure_runs(runs))
    assert were_shuffled(measured) is True
    rows = position_rows(measured, human_curve())
    shown = [row for row in rows if row["order"] == AS_SHOWN]
    by_score = [row for row in rows if row["order"] == BY_SCORE]
    assert distance_to(shown, "uniform") < 0.1
    assert [row["value"] for row in by_score] == [1] + [0] * 9
    assert distance_to(shown, "human") > 0.2
    ordered = [opened_at(1, 10, scores=[float(score) for score in range(10, 0, -1)], name=f"o{n}") for n in range(9)]
    assert were_shuffled(list(measure_runs(ordered))) is False


def test_the_curve_of_people_is_a_model_or_a_file(tmp_path):
    assert human_curve(2)[:3] == [1, 0.25, pytest.approx(1 / 9)]
    assert expected_shares([3], human_curve()) == pytest.approx(np.array([6, 3, 2]) / 11)
    path = tmp_path / "clicks.txt"
    path.write_text("42\n12\n\n8\n")
    assert human_curve(clicks=path) == [42, 12, 8]
    for text in ("", "a", "0\n1", "-1", "nan"):
        path.write_text(text)
        with pytest.raises(LratError, match="expected"):
            human_curve(clicks=path)
    with pytest.raises(LratError, match="exponent"):
        human_curve(-1)


def thought(length, docid, correct, name):
    return trajectory(search("q", docid), browse(docid), answer("w " * length), name=name, correct=correct)


def test_lengths_are_told_apart_by_outcome_and_evidence():
    runs = [thought(length, docid, correct, f"{docid}{correct}{length}")
            for docid, correct, lengths in (("e", True, (80, 100, 120)), ("x", True, (20, 30)), ("e", False, (50,)))
            for length in lengths]  # fmt: skip
    evidence = {run.query_id: {"e"} for run in runs}
    rows = length_rows(list(measure_runs(runs, qrels=evidence)))
    assert [(row["outcome"], row["document"], row["n"], row["mean"], row["median"]) for row in rows] == [
        ("correct", "evidence", 3, 100, 100),
        ("correct", "other", 2, 25, 25),
        ("incorrect", "evidence", 1, 50, 50),
    ]
    assert (rows[0]["q05"], rows[0]["q25"], rows[0]["q95"]) == (82, 90, 118)
    assert [row["document"] for row in length_rows(list(measure_runs(runs)))] == ["unknown", "unknown"]


@pytest.fixture(scope="module")
def decaying():
    """Lengths that start at 40 tokens and halve every 90."""
    random = np.random.default_rng(0)
    lengths = 40 + random.exponential(90 / math.log(2), 2_000)
    return list(measure_runs(thought(round(length), "e", None, f"q{place}") for place, length in enumerate(lengths)))


def test_the_fitted_half_life_is_that_of_the_decay_beyond_the_mode(decaying):
    rows = {row["estimate"]: row for row in half_life_rows(decaying)}
    decay = rows["decay"]
    assert decay["low"] < 90 < decay["high"]
    assert decay["high"] - decay["low"] < 12
    assert 30 <= decay["start"] <= 60
    assert decay["distance"] < 0.05 < rows["exponential"]["distance"]
    assert rows["median"]["low"] < 130 < rows["median"]["high"]


def test_the_histogram_has_every_browse_once(decaying):
    rows = histogram_rows(decaying)
    assert sum(row["browses"] for row in rows) == 2_000
    assert rows[0]["from"] == 0
    assert [row["from"] for row in rows[1:]] == [row["to"] for row in rows[:-1]]
    assert sum(row["browses"] for row in rows if row["to"] <= 40) == 0
    assert half_life_rows([]) == histogram_rows([]) == []


def test_agents_are_told_apart_and_compared_in_the_same_measures():
    run = trajectory(search("q", "a"), browse("a"), answer(), correct=True)
    tables = analyzed([replace(run, agent="one"), replace(run, agent="two", correct=False), replace(run, agent="two")])
    assert value(tables["agents"], agent="one", measure="accuracy") == 1
    assert value(tables["agents"], agent="two", measure="accuracy") == 0.5
    assert value(tables["agents"], agent="two", measure="browse after search") == 1
    assert value(tables["agents"], agent="two", measure="opened at position 1") == 1
    assert {row["agent"] for rows in tables.values() for row in rows} == {"one", "two"}
    assert value(tables["comparisons"], agent="two", measure="accuracy") == -0.5
    assert all(rows[0].keys() == row.keys() for rows in tables.values() for row in rows)


def test_agents_differ_on_the_questions_that_both_were_asked():
    def runs(agent, more):
        for place in range(12):
            steps = [search("q", "a"), *[search("r", "b")] * (more if place % 2 else 1), browse("a"), answer()]
            yield replace(trajectory(*steps, name=f"q{place}", correct=place % 2 == 0), agent=agent)

    alone = replace(trajectory(*[search("q")] * 50, name="alone", correct=True), agent="two")
    rows = {row["measure"]: row for row in analyzed([*runs("one", 1), *runs("two", 3), alone])["comparisons"]}
    assert rows.keys() == {"accuracy", "searches", "browses", "steps"}
    more = rows["searches"]
    assert (more["agent"], more["baseline"], more["value"], more["questions"]) == ("two", "one", 1, 12)
    assert 0 < more["low"] < 1 < more["high"] < 2
    assert more["p_value"] == pytest.approx(2 / 2**6)  # six questions differ, all one way
    assert more["p_corrected"] == pytest.approx(4 * 2 / 2**6)
    assert (rows["accuracy"]["value"], rows["accuracy"]["p_value"]) == (0, 1)
    assert analyzed([alone])["comparisons"] == []
