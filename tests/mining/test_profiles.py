"""Which search a browse belongs to: the profiles `episode` and `released`, on made and on real trajectories."""

from dataclasses import replace
from pathlib import Path

import pytest

from lrat_hub import load_trajectories, mine_pairs
from lrat_hub.errors import LratError
from lrat_hub.schema import Candidate
from tests.builders import answer, browse, search, trajectory
from tests.mining.judges import OneWordJudge

REAL = Path(__file__).parents[3] / "shared" / "data" / "lrat_release" / "trajectories"
NAMES = ("0", "1", "4", "5", "11", "15")


@pytest.fixture(scope="module")
def real_runs():
    if not REAL.is_dir():
        pytest.skip("the real trajectories are not beside this checkout")
    return [run for name in NAMES for run in load_trajectories(REAL / f"{name}.json")]


@pytest.mark.parametrize(
    ("profile", "counts"),
    [("paper", [2, 1, 1, 2, 1, 3]), ("episode", [2, 1, 3, 3, 1, 3]), ("released", [2, 1, 3, 3, 1, 3])],
)
def test_real_trajectories_give_their_known_pairs(real_runs, profile, counts):
    assert [len(mine_pairs([run], profile=profile).pairs) for run in real_runs] == counts


def test_real_browses_of_documents_from_several_searches_back_belong_to_those_searches(real_runs):
    four = mine_pairs(real_runs, profile="episode").pairs[3:6]
    assert [(pair.browse_turn, pair.search_turn) for pair in four] == [(7, 1), (8, 0), (10, 9)]


def test_real_trajectories_give_the_samples_of_the_authors_code(real_runs):
    result = mine_pairs(real_runs, profile="released", judge=OneWordJudge({}))
    counts = [len(pair.negative_ids) for pair in result.pairs]
    assert counts == [32, 188, 9, 47, 47, 9, 17, 8, 8, 25, 9, 9, 9]
    assert all(pair.verdict == "relevant" for pair in result.pairs)


def test_a_browse_belongs_to_the_nearest_earlier_search_that_listed_the_document():
    run = trajectory(
        search("q1", "a", "b"), search("q2", "a", "c"), search("q3", "x", "y"), browse("a"), browse("b"), answer()
    )
    first, second = mine_pairs([run]).pairs
    assert (first.query, first.search_turn, first.browse_turn, first.negative_ids) == ("q2", 1, 3, ("c",))
    assert (second.query, second.search_turn, second.browse_turn, second.negative_ids) == ("q1", 0, 4, ())
    assert (first.previous_queries, second.previous_queries) == (("q1",), ())


def test_a_step_with_several_queries_attributes_each_browse_to_the_one_that_listed_it_best():
    step = search("q1", "a", "b", "x")
    more = (Candidate(1, 1, "x"), Candidate(1, 2, "c"), Candidate(2, 1, "d"))
    step = replace(step, queries=("q1", "q2", "q3"), results=(*step.results, *more))
    run = trajectory(step, browse("c"), browse("a"), browse("x"), answer())
    pairs = mine_pairs([run]).pairs
    assert [(pair.positive_id, pair.query, pair.negative_ids) for pair in pairs] == [
        ("c", "q2", ()), ("a", "q1", ("b",)), ("x", "q2", ()),
    ]  # fmt: skip


def test_a_document_browsed_again_is_one_pair_for_a_search_and_two_for_two_searches():
    run = trajectory(
        search("q1", "a", "b"), browse("a"), browse("a", reasoning="Short."),
        search("q2", "a", reasoning="Much longer."), browse("a", reasoning="Open."), answer("End."),
    )  # fmt: skip
    result = mine_pairs([run])
    assert [(pair.query, pair.num_browses, pair.reasoning) for pair in result.pairs] == [
        ("q1", 2, "Much longer."), ("q2", 1, "End."),
    ]  # fmt: skip
    assert result.pairs[0].browse_turn == 2
    assert result.ledger["browses"].dropped == {"again from the same result list, merged": 1}


def test_browses_of_documents_that_were_never_listed_are_counted_and_not_guessed():
    result = mine_pairs([trajectory(browse("b"), search("q1", "a", "b"), browse("z"), answer())])
    assert result.pairs == []
    assert result.ledger["browses"].dropped == {"never listed before": 2}


def test_results_of_a_query_that_the_log_does_not_have_cost_their_pairs_only():
    step = replace(search("q1", "a", "b"), results=(Candidate(0, 1, "a"), Candidate(3, 1, "b")))
    result = mine_pairs([trajectory(step, browse("b"), browse("a"), answer())])
    assert [pair.positive_id for pair in result.pairs] == ["a"]
    assert result.ledger["browses"].dropped == {"its search does not say which query listed it": 1}
    nothing = trajectory(replace(search("q1"), queries=()), browse("a"), answer())
    assert mine_pairs([nothing], profile="released").ledger["browses"].num_dropped == 1


def test_a_pair_knows_what_was_read_before_its_search():
    run = trajectory(search("q1", "a", "b"), browse("b"), browse("z"), search("q2", "c"), browse("c"), answer())
    assert [pair.read_ids for pair in mine_pairs([run]).pairs] == [(), ("b", "z")]


def test_the_authors_code_pairs_the_latest_query_and_pools_since_the_last_relevant_run():
    run = trajectory(
        search("q1", "a", "b"),
        browse("a"), browse("z", reasoning="irrelevant"),  # "a" is judged by what comes next
        search("q2", "c", "a", reasoning="irrelevant"),
        browse("c"),
        search("q3", "d", "e", reasoning="relevant"),
        browse("d"),
        answer("relevant"),
    )  # fmt: skip
    result = mine_pairs([run], profile="released", judge=OneWordJudge())
    assert [(pair.query, pair.positive_id, pair.verdict, pair.negative_ids) for pair in result.pairs] == [
        # No search listed "z", which makes no pair and is a negative all the same.
        ("q1", "a", "irrelevant", ("z", "b")),
        # Nothing was relevant, so the first list is still in the pool, and what was read there comes first.
        ("q2", "c", "relevant", ("z", "a", "b")),
        ("q3", "d", "relevant", ("e",)),
    ]
    assert result.ledger["pairs"].dropped == {"listed by no search since the last relevant browses": 1}
    # Unsatisfied samples are trained on like the others.
    assert all(pair.weight is not None for pair in result.pairs)


def test_the_authors_code_weighs_empty_reasoning_one():
    runs = [
        trajectory(search("q", "a", "b"), browse("a"), answer(reasoning), name=str(place))
        for place, reasoning in enumerate(["", "two words", "three words here"])
    ]
    weights = [pair.weight for pair in mine_pairs(runs, profile="released").pairs]
    assert weights[0] == 1.0
    assert sum(weights) / 3 == pytest.approx(1.0)
    assert mine_pairs(runs).pairs[0].weight == 0.0


def test_settings_that_contradict_each_other_are_refused():
    with pytest.raises(LratError, match="It pools them as the authors' code does"):
        mine_pairs([], profile="released", negatives="tiers")
    with pytest.raises(LratError, match="expected 'unjudged' among them"):
        mine_pairs([], train_on=["relevant"])
    with pytest.raises(LratError, match="Profile: expected some of paper, episode, released, found other"):
        mine_pairs([], profile="other")
    with pytest.raises(LratError, match="Caps: expected some of list, pooled"):
        mine_pairs([], caps={"many": 3})
