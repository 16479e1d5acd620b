"""Metrics that need trajectories, on cases worked by hand."""

import pytest

from lrat_hub.evaluation.replay import OwnCandidates, Replay, searches_of
from lrat_hub.mining import mine_pairs
from lrat_hub.retrieval import Hit
from lrat_hub.schema import Candidate, Step
from tests.builders import answer, browse, search, trajectory


def hits(*docids):
    return [Hit(docid, float(-rank), rank) for rank, docid in enumerate(docids, start=1)]


def two_queries(*lists):
    """A search step with several queries, each with a list of its own."""
    results = tuple(
        Candidate(place, rank, docid)
        for place, docids in enumerate(lists)
        for rank, docid in enumerate(docids, start=1)
    )
    return Step(0, None, "search", queries=tuple(f"query {place}" for place in range(len(lists))), results=results)


RUN = trajectory(
    search("first", "a", "b", reasoning="I begin."), browse("a", reasoning="It is about a."), two_queries("ac", "d"),
    search("last", "b", "e", "f", reasoning="Once more."), answer(), name="q",
)  # fmt: skip


def test_searches_are_asked_in_the_state_the_agent_was_in():
    first, second, third, last = searches_of(RUN)
    assert [search.search_id for search in (first, second, third, last)] == ["q/0/0", "q/2/0", "q/2/1", "q/3/0"]
    assert [search.number for search in (first, second, third, last)] == [1, 2, 2, 3]
    assert (first.seen, second.seen, third.seen, last.seen) == (set(), set("ab"), set("ab"), set("abcd"))
    assert (second.listed, third.listed) == (("a", "c"), ("d",))
    # The step said nothing of its own: it shares the reasoning that the browse before it came with.
    assert second.state.reasoning_before == "It is about a."
    assert last.state.previous_queries == ("first", "query 0", "query 1")
    assert last.state.question == "Question q?"


def test_novelty_and_evidence_of_what_the_agents_were_shown():
    replay = Replay.of([RUN], {"q": {"c": 1, "f": 1, "e": 0, "never": 1}, "other": {"a": 1}})
    values = replay.measure(replay.logged(), k=2)
    assert values["novelty@2"] == {"q/0/0": 1, "q/2/0": 0.5, "q/2/1": 1, "q/3/0": 0.5}
    assert values["evidence_share@2"] == {"q": pytest.approx(1 / 3)}
    assert values["evidence_any@2"] == {"q": 1}
    assert replay.measure(replay.logged(), k=3)["evidence_share@3"] == {"q": pytest.approx(2 / 3)}
    assert replay.curves(replay.logged(), k=3) == {"q": pytest.approx([0, 1 / 3, 2 / 3])}
    assert replay.clusters == dict.fromkeys(["q", "q/0/0", "q/2/0", "q/2/1", "q/3/0"], "q")


def test_another_retriever_is_measured_on_the_same_searches():
    replay = Replay.of([RUN], {"q": {"c": 1, "f": 1}})
    run = {"q/0/0": hits("c", "a"), "q/2/0": hits("a", "b"), "q/3/0": hits("f", "x")}
    values = replay.measure(run, k=2)
    # What it does not list is not new; seen is what the agent had been shown, not what this one would have.
    assert values["novelty@2"] == {"q/0/0": 1, "q/2/0": 0, "q/2/1": 0, "q/3/0": 1}
    assert values["evidence_mrr@2"] == {"q/0/0": 1, "q/2/0": 0, "q/2/1": 0, "q/3/0": 1}
    assert replay.measure({"q/0/0": hits("a", "c")}, k=2)["evidence_mrr@2"]["q/0/0"] == 0.5
    assert replay.measure({"q/0/0": hits("a", "c")}, k=1)["evidence_mrr@1"]["q/0/0"] == 0
    assert replay.curves(run, k=2) == {"q": [0.5, 0.5, 1]}


def test_a_run_that_has_ended_keeps_what_it_found_in_the_mean():
    short = trajectory(search("only", "g"), name="s")
    replay = Replay.of([RUN, short], {"q": {"c": 1, "f": 1}, "s": {"g": 1}})
    assert replay.mean_curve(replay.logged()) == pytest.approx([0.5, 0.75, 1])
    assert Replay.of([short], {}).mean_curve({}) == []


def test_a_positive_is_sought_among_the_candidates_it_was_chosen_from():
    run = trajectory(search("x", "a", "b", "c"), browse("b"), search("y", "d", "e"), browse("d"), answer(), name="q")
    own = OwnCandidates.of(mine_pairs([run]).pairs)
    pairs = {pair.positive_id: pair for pair in own.pairs}
    assert {name: set(pair.negative_ids) for name, pair in pairs.items()} == {"b": {"a", "c"}, "d": {"e"}}
    assert own.random_baseline == pytest.approx((1 / 3 + 1 / 2) / 2)
    first, second = pairs["b"].pair_id, pairs["d"].pair_id
    # Documents that were no candidates don't count; a positive that is not listed comes last.
    values = own.measure({first: hits("d", "z", "a", "b", "c"), second: hits("d")})
    assert values == {"own_first": {first: 0, second: 1}, "own_mrr": {first: 0.5, second: 1}}
    assert own.measure({})["own_mrr"] == {first: pytest.approx(1 / 3), second: 0.5}
