"""What is measured of a trajectory."""

from dataclasses import replace

import pytest

from lrat_hub.analysis.runs import System, measure_runs, query_distance, system_labels
from lrat_hub.schema import Candidate, Step
from tests.builders import answer, browse, search, trajectory


def measured(*steps, **options):
    (run,) = measure_runs([trajectory(*steps)], **options)
    return run


def test_steps_are_counted_and_what_is_new_or_again_is_told():
    run = measured(
        search("red fox", "a", "b"),
        browse("b"),
        search("fox red", "b", "c", "d"),
        Step(0, "x", "invalid", error="no tool"),
        browse("b"),
        browse("z"),
        search("red wolf", "a"),
        answer(),
    )
    assert run.actions == "SBSBBS"
    assert [(hit.step, hit.listed, hit.new, hit.is_repeat) for hit in run.searches] == [
        (1, 2, 2, False), (3, 3, 2, True), (6, 1, 0, False)]  # fmt: skip
    assert [hit.distance for hit in run.searches] == [None, 0.0, pytest.approx(2 / 3)]
    assert [(hit.step, hit.position, hit.length, hit.is_repeat) for hit in run.browses] == [
        (2, 2, 2, False), (4, 1, 3, True), (5, None, None, False)]  # fmt: skip


def test_evidence_is_told_only_where_there_are_judgements():
    steps = search("q", "a", "b", "c"), browse("a"), browse("c"), replace(browse("b"), error="gone")
    run = measured(*steps, qrels={"t": {"a", "b", "elsewhere"}})
    assert [hit.is_evidence for hit in run.browses] == [True, False, True]
    assert (run.evidence, run.evidence_listed, run.evidence_opened) == (3, 2, 1)
    run = measured(*steps, qrels={"other": {"a"}})
    assert {hit.is_evidence for hit in run.browses} == {None}
    assert (run.evidence, run.evidence_listed, run.evidence_opened) == (None, None, None)


def test_reasoning_right_after_a_browse_is_that_of_the_next_message():
    run = measured(
        search("q", "a", "b"),
        browse("a"),
        browse("b", reasoning=None),
        search("r", reasoning="one two three"),
        browse("a"),
        browse("a", reasoning=""),
        replace(browse("b"), error="gone", reasoning="four words are here"),
        browse("b", reasoning="five"),
    )
    assert [hit.reasoning for hit in run.browses] == [3, 3, 0, 4, None, None]


def test_every_query_of_a_search_has_a_list_of_its_own():
    results = (Candidate(0, 1, "a"), Candidate(0, 2, "b"), Candidate(1, 1, "b"), Candidate(1, 2, "c"))
    run = measured(Step(0, "", "search", queries=("x", "y"), results=results), browse("c"), browse("b"))
    assert [hit.position for hit in run.browses] == [2, 1]  # of the list that ranks it best, as in mining
    assert run.searches[0].listed == 3


def test_an_entry_that_could_not_be_read_leaves_its_place_in_the_list():
    results = (Candidate(0, 1, "a"), Candidate(0, 3, "c"))
    run = measured(Step(0, "", "search", queries=("x",), results=results), browse("c"))
    assert [(hit.position, hit.length) for hit in run.browses] == [(3, 3)]


def test_lists_in_another_order_than_their_scores_are_shuffled():
    def listed(*scores):
        return Step(0, "", "search", ("q",), tuple(
            Candidate(0, rank, f"d{rank}", score=score) for rank, score in enumerate(scores, start=1)))  # fmt: skip

    run = measured(listed(3, 1, 2), browse("d3"), browse("d1"))
    assert (run.lists, run.shuffled) == (1, 1)
    assert [(hit.position, hit.position_by_score) for hit in run.browses] == [(3, 2), (1, 1)]
    for scores in ((3, 2, 2), (0.1, 0.2, 0.3), (None, 2, 3), (1, 1, 1)):
        run = measured(listed(*scores), browse("d3"))
        assert run.shuffled == 0
        assert run.browses[0].position_by_score is None


@pytest.mark.parametrize(
    ("queries", "before", "distance"),
    [
        (["the Red fox"], ["fox, the red"], 0.0),
        (["red fox"], ["blue whale"], 1.0),
        (["red fox den"], ["red fox"], 1 / 3),
        (["red fox", "blue whale"], ["red fox", "red"], 0.5),
        (["?"], ["!"], 0.0),
        (["東京 tower"], ["東京都"], 0.5),
    ],
)
def test_distance_of_queries_is_that_of_their_words(queries, before, distance):
    assert query_distance(queries, before) == pytest.approx(distance)


def test_systems_are_named_as_shortly_as_tells_them_apart():
    base, trained = System("agent", None, "me/r", "a" * 40), System("agent", None, "me/r", "b" * 40)
    bm25 = System("agent", None, "bm25", None)
    assert list(system_labels([base, bm25, base, trained, System("", None, "", None)]).values()) == [
        "agent + me/r@aaaaaaa", "agent + bm25", "agent + me/r@bbbbbbb", "unknown agent"]  # fmt: skip
    assert list(system_labels([base]).values()) == ["agent + me/r"]
    sources = [replace(base, source="me/old"), replace(base, source="me/new"), replace(bm25, source="me/old")]
    assert list(system_labels(sources).values()) == [
        "agent + me/r (me/old)", "agent + me/r (me/new)", "agent + bm25"]  # fmt: skip
    everywhere = [replace(system, source=source) for system in (base, trained) for source in ("x", "y")]
    assert list(system_labels(everywhere).values()) == [
        f"agent + me/r@{revision * 7} ({source})" for revision in "ab" for source in "xy"]  # fmt: skip
