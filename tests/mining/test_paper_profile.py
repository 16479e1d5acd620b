"""The profile `paper` (section 5.1): what becomes a pair, with which negatives, and what every drop is counted as."""

import random
from functools import partial

import pytest

from lrat_hub import mine_pairs
from lrat_hub.errors import LratError
from lrat_hub.judges import RuleJudge
from tests.builders import answer, browse, search, trajectory

mine = partial(mine_pairs, profile="paper")


def test_a_browse_right_after_a_search_that_listed_it_gives_a_pair():
    run = trajectory(
        search("q1", "a", "b", "c", reasoning="I need x."), browse("b"), answer("b says x. " * 3), name="run"
    )
    (pair,) = mine([run]).pairs
    assert (pair.query, pair.positive_id, pair.negative_ids) == ("q1", "b", ("a", "c"))
    assert (pair.search_turn, pair.browse_turn, pair.trajectory_id) == (0, 1, "run")
    assert pair.reasoning == "b says x. " * 3
    assert pair.reasoning_length == 9
    assert pair.reasoning_before == "I need x."


def test_other_browses_are_counted_and_give_none():
    run = trajectory(
        browse("a"),  # before any search
        search("q1", "a", "b"),
        search("q2", "c", "d"),
        browse("a"),  # listed by the search before the last
        browse("c"),  # not directly after the search
        answer(),
    )
    result = mine([run])
    assert result.pairs == []
    assert result.ledger["browses"].dropped == {
        "not directly after a search": 2,
        "not among the candidates of the search before it": 1,
    }
    assert result.fits == {}


def test_negatives_leave_out_everything_browsed_in_the_trajectory_unless_the_formula_is_asked_for():
    run = trajectory(search("q1", "a", "b", "c"), browse("a"), search("q2", "b", "a", "d"), browse("b"), answer())
    assert [pair.negative_ids for pair in mine([run]).pairs] == [("c",), ("d",)]
    assert [pair.negative_ids for pair in mine([run], negatives="formula").pairs] == [("b", "c"), ("a", "d")]


def test_a_browse_belongs_to_the_query_whose_list_held_the_document():
    from dataclasses import replace

    from lrat_hub.schema import Candidate

    step = search("q1", "a", "b")
    step = replace(step, queries=("q1", "q2"), results=(*step.results, Candidate(1, 1, "c"), Candidate(1, 2, "d")))
    (pair,) = mine([trajectory(step, browse("d"), answer())]).pairs
    assert (pair.query, pair.negative_ids) == ("q2", ("c",))


def test_calls_of_one_message_share_the_reasoning_before_and_after():
    run = trajectory(
        search("q", "a", "b", reasoning="Why I do both."), browse("a", reasoning=None), browse("b", reasoning=None),
        answer("What I learned."),
    )  # fmt: skip
    (pair,) = mine([run]).pairs
    assert (pair.reasoning_before, pair.reasoning) == ("Why I do both.", "What I learned.")


def test_held_out_documents_are_neither_positives_nor_negatives():
    run = trajectory(search("q1", "a", "b", "c"), browse("a"), search("q2", "b", "d"), browse("d"), answer())
    result = mine([run], held_out={"d", "b"})
    assert [(pair.positive_id, pair.negative_ids) for pair in result.pairs] == [("a", ("c",))]
    assert result.ledger["browses"].dropped == {"held-out document": 1}
    assert result.ledger["browses"].notes == {
        "negatives left out, held-out document": 1, "held-out documents listed, of 2": 2,
    }  # fmt: skip
    other_corpus = mine([run], held_out={"x"})
    assert other_corpus.ledger["browses"].notes == {"held-out documents listed, of 1": 0}


def test_only_relevant_pairs_are_weighed_and_their_weights_have_mean_one():
    def run(name, reasoning):
        return trajectory(search("q", "a", "b"), browse("a"), answer(reasoning), name=name)

    result = mine(
        [
            run("yes", "It supports the claim at some length."),
            run("yes, longer", "It confirms " + "all of this and " * 20),
            run("no", "It does not help with what supports the claim."),
            run("quoted", "The page says “nothing confirms it”."),
        ],
        judge=RuleJudge(),
    )
    assert [pair.verdict for pair in result.pairs] == ["relevant", "relevant", "irrelevant", "unjudged"]
    assert [pair.weight is not None for pair in result.pairs] == [True, True, False, False]
    assert sum(pair.weight for pair in result.trained) / 2 == pytest.approx(1.0)
    assert result.ledger["pairs"].dropped == {"verdict irrelevant": 1, "verdict unjudged": 1}


def test_trajectories_known_to_be_wrong_are_left_out_by_default():
    runs = [
        trajectory(search("q", "a", "b"), browse("a"), answer(), name=str(correct), correct=correct)
        for correct in (True, False, None)
    ]
    assert [pair.trajectory_id for pair in mine(runs).pairs] == ["True", "None"]
    assert len(mine(runs, outcomes=("incorrect",)).pairs) == 1
    with pytest.raises(LratError, match="Outcomes: expected some of"):
        mine(runs, outcomes=("wrong",))


def test_trajectories_that_were_made_to_answer_at_a_limit_are_left_out_by_default():
    from dataclasses import replace

    runs = [
        replace(trajectory(search("q", "a", "b"), browse("a"), answer(), name=status, correct=True), status=status)
        for status in ("completed", "limited", "failed")
    ]
    result = mine(runs)
    assert [pair.trajectory_id for pair in result.pairs] == ["completed"]
    assert result.ledger["trajectories"].dropped == {"status limited": 1, "status failed": 1}
    assert result.ledger["steps"].to_dict()["dropped"] == {
        "of trajectories with status limited": 3, "of trajectories with status failed": 3,
    }  # fmt: skip
    assert len(mine(runs, statuses=["completed", "limited"]).pairs) == 2


def test_ledgers_add_up_whatever_the_trajectories():
    rng = random.Random(0)
    documents = [f"d{i}" for i in range(8)]

    def step():
        if rng.random() < 0.5:
            return search("q", *rng.sample(documents, 4))
        return browse(rng.choice(documents), reasoning=rng.choice(["supports", "does not help", "", None]))

    runs = [
        trajectory(*(step() for _ in range(12)), name=str(number), correct=rng.choice([True, False, None]))
        for number in range(200)
    ]
    result = mine(runs, judge=RuleJudge(), held_out={"d0"})
    browses = sum(run.count("browse") for run in runs if run.correct is not False)
    assert result.ledger["trajectories"].read == 200
    assert result.ledger["browses"].read == browses
    assert result.ledger["browses"].kept == result.ledger["pairs"].read == len(result.pairs)
    assert result.ledger["pairs"].kept == len(result.trained)
    for ledger in result.ledger.values():
        ledger.to_dict()
