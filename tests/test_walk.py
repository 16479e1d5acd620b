"""The walk over a trajectory: its rules by hand, and all who read trajectories by them agreeing on generated ones."""

import asyncio
from dataclasses import replace
from types import SimpleNamespace

from hypothesis import example, given, settings
from hypothesis import strategies as st

from lrat_hub.agents.environment import Observation
from lrat_hub.agents.runner import Answer, Browse, Invalid, Question, Search, run_agents_async
from lrat_hub.analysis import measure_runs
from lrat_hub.evaluation.agents import evaluate_agents
from lrat_hub.evaluation.replay import Replay, searches_of
from lrat_hub.mining import Weighting, mine_pairs
from lrat_hub.schema import STATUSES, Candidate, Sampling, Step, Trajectory
from lrat_hub.walk import Walk
from tests.builders import answer, browse, search, trajectory

DOCIDS = "abcdef"
FAILED = "the page is gone"

UNIFORM = Weighting(scheme="uniform")
"""Generated runs often have nothing but empty reasonings, which Eq. 3 can't weigh."""

reasonings = st.sampled_from([None, "", "one", "two words", "now three words"])


@st.composite
def searches(draw):
    """A search with up to three queries, each with a list of its own that may be empty."""
    queries = draw(st.lists(st.sampled_from("xyz"), min_size=1, max_size=3, unique=True))
    results = [
        Candidate(index, rank, docid)
        for index in range(len(queries))
        for rank, docid in enumerate(draw(st.lists(st.sampled_from(DOCIDS), max_size=4, unique=True)), start=1)
    ]
    return Step(0, draw(reasonings), "search", queries=tuple(queries), results=tuple(results))


browses = st.builds(
    lambda reasoning, docid, error, turn: Step(0, reasoning, "browse", docid=docid, error=error, search_turn=turn),
    reasonings,
    st.sampled_from([*DOCIDS, "never listed"]),
    st.sampled_from([None, None, None, FAILED]),
    st.none() | st.integers(0, 5),
)
invalid = st.builds(lambda reasoning: Step(0, reasoning, "invalid", error="no such tool"), reasonings)
trajectories = st.builds(
    lambda steps, end: trajectory(*steps, *end),
    st.lists(st.one_of(searches(), browses, browses, invalid), max_size=14),
    st.sampled_from([(), (answer("the last words"),)]),
)


def test_a_failed_browse_opens_nothing_belongs_to_nothing_and_leaves_its_reasoning_to_what_comes_next():
    steps = trajectory(
        search("q", "a", "b"),
        browse("a"),
        replace(browse("b", reasoning="Now b."), error=FAILED),
        search("r", "b", reasoning="It is gone."),
        browse("b", reasoning=None),
        answer("End."),
    ).steps
    walk = Walk.over(steps)
    first, failed, again = walk.browses
    assert (first.reasoning_after, again.reasoning_after) == ("Now b.", "End.")
    assert (failed.failed, failed.listing, failed.reasoning_after) == (True, None, None)
    assert not again.is_repeat
    assert walk.searches[1].documents_read == ("a",)
    assert walk.searches[1].reasoning_before == "It is gone."
    assert walk.first_opened == {"a": 2, "b": 5}


def test_a_browse_belongs_to_the_search_that_it_names_if_that_listed_its_document():
    steps = trajectory(
        search("first", "a", "b", "c"),
        search("second", "b", "a"),
        browse("a", search_turn=0),
        browse("b"),
        browse("c", search_turn=1),
        browse("a", search_turn=6),
        search("third", "a"),
        browse("a", search_turn=1),
        browse("a", search_turn=2),
    ).steps
    listed = [(found.search.turn, found.rank) for one in Walk.over(steps).browses if (found := one.listing)]
    # The third says a search that did not list it, the fourth one that was still to come, the last one no search.
    assert listed == [(0, 1), (1, 1), (0, 3), (1, 2), (1, 2), (6, 1)]
    several = replace(search("x", "a"), queries=("x", "y", "z"), results=(Candidate(0, 2, "a"), Candidate(2, 1, "a")))
    (one,) = Walk.over(trajectory(several, search("again", "a"), browse("a", search_turn=0)).steps).browses
    assert one.listing[1:] == (2, 1)


def test_turns_stay_positions_among_the_actions_where_steps_were_left_out():
    run = trajectory(search("q", "a"), Step(0, None, "invalid", error="no tool"), browse("a"), answer())
    filtered = replace(run, steps=tuple(step for step in run.steps if step.action != "invalid"))
    (pair,) = mine_pairs([filtered]).pairs
    assert (pair.search_turn, pair.browse_turn) == (0, 2)
    # The browse is not directly after the search, though they are neighbours in the filtered list.
    assert mine_pairs([filtered], profile="paper").pairs == mine_pairs([run], profile="paper").pairs == []


@settings(max_examples=100, deadline=None)
@given(trajectories)
def test_mining_replay_and_analysis_agree_on_searches_and_browses(run):
    (measured,) = measure_runs([run])
    asked = {search.search_id: search for search in searches_of(run)}
    opened = [step for step in run.steps if step.action == "browse"]
    by_turn = {step.turn: found for step, found in zip(opened, measured.browses, strict=True)}
    result = mine_pairs([run], negatives="formula", same_question=False, weighting=UNIFORM)
    for pair in result.pairs:
        index = run.steps[pair.search_turn].queries.index(pair.query)
        logged = asked[f"t/{pair.search_turn}/{index}"]
        found = by_turn[pair.browse_turn]
        assert logged.state.previous_queries == pair.previous_queries
        assert logged.state.reasoning_before == pair.reasoning_before
        assert logged.listed[found.position - 1] == pair.positive_id
        assert set(pair.negative_ids) == {*logged.listed} - {pair.positive_id}
        assert found.length == len(logged.listed)
        assert (found.reasoning or 0) == pair.reasoning_length
    counts = result.ledger["browses"].dropped
    assert counts["failed"] == sum(found.failed for found in measured.browses)
    assert counts["never listed before"] == sum(
        found.position is None and not found.failed for found in measured.browses
    )
    for found in measured.browses:
        assert not found.failed or (found.position, found.reasoning) == (None, None)
    # What is new to the run is what no earlier search had listed.
    new = {search.step: search.new for search in measured.searches}
    for turn, step in enumerate(run.steps):
        if step.action == "search":
            seen = asked[f"t/{turn}/0"].seen
            number = sum(earlier.action in ("search", "browse") for earlier in run.steps[: turn + 1])
            assert new[number] == len({hit.docid for hit in step.results} - seen)


@settings(max_examples=100, deadline=None)
@given(trajectories)
def test_the_papers_pairs_are_those_of_the_episode_that_follow_their_search_directly(run):
    direct = [
        (pair.search_turn, pair.browse_turn, pair.query)
        for pair in mine_pairs([run], weighting=UNIFORM).pairs
        if pair.num_browses == 1 and pair.browse_turn == pair.search_turn + 1
    ]
    papers = mine_pairs([run], profile="paper", weighting=UNIFORM).pairs
    paper = [(pair.search_turn, pair.browse_turn, pair.query) for pair in papers]
    assert set(direct) <= set(paper)
    assert all(browse_turn == search_turn + 1 for search_turn, browse_turn, _ in paper)


@settings(max_examples=100, deadline=None)
@given(trajectories, st.frozensets(st.sampled_from(DOCIDS), min_size=1))
def test_replay_analysis_and_evaluation_find_the_same_evidence(run, evidence):
    qrels = {"t": dict.fromkeys(evidence, 1)}
    (measured,) = measure_runs([run], qrels={"t": evidence})
    (scores,) = evaluate_agents([run], ["t"], qrels).questions
    assert measured.evidence_listed == len(scores.evidence_steps)
    assert measured.evidence_opened == scores.evidence_opened
    assert (len(measured.searches), len(measured.browses)) == (scores.searches, scores.browses)
    assert len(measured.actions) == scores.steps == run.num_steps
    assert set(scores.evidence_steps) <= {search.step for search in measured.searches}
    replay = Replay.of([run], qrels)
    for curve in replay.curves(replay.logged(), k=100).values():
        shares = [scores.share_by(search.step) for search in measured.searches]
        assert curve == shares


@settings(max_examples=100, deadline=None)
@example(trajectory(search("x", "a"), browse("a"), Step(0, None, "invalid", error="no such tool"), answer("It is.")))
@given(trajectories)
def test_leaving_out_steps_that_say_nothing_changes_nothing(run):
    kept = tuple(step for step in run.steps if step.action != "invalid" or step.reasoning is not None)
    filtered = replace(run, steps=kept)
    for profile in ("paper", "episode", "released"):
        mined = [mine_pairs([one], profile=profile, weighting=UNIFORM).pairs for one in (run, filtered)]
        assert mined[0] == mined[1]
    assert list(measure_runs([filtered])) == list(measure_runs([run]))
    assert searches_of(filtered) == searches_of(run)


@settings(max_examples=100, deadline=None)
@given(trajectories)
def test_what_a_run_knows_while_it_goes_on_is_what_mining_and_replay_read_from_it_later(run):
    environment = LoggedEnvironment(run)
    (recorded,) = asyncio.run(
        run_agents_async(
            ScriptedAgent(run, environment), [Question("t", run.question)], environment, max_turns=len(run.steps) + 1
        )
    )
    states = {search.search_id.split("/")[1]: search.state for search in searches_of(recorded)}
    known = {str(turn): (state.previous_queries, state.reasoning_before) for turn, state in environment.known.items()}
    assert {turn: (state.previous_queries, state.reasoning_before) for turn, state in states.items()} == known
    for pair in mine_pairs([recorded], statuses=STATUSES, weighting=UNIFORM).pairs:
        assert known[str(pair.search_turn)] == (pair.previous_queries, pair.reasoning_before)


class LoggedEnvironment:
    """Answers the calls of a logged run with what it had been shown, and keeps what was known at each search."""

    def __init__(self, run: Trajectory) -> None:
        self.run, self.turn, self.known, self.settings = run, -1, {}, {}
        self.retriever = SimpleNamespace(name="logged", revision=None)

    def carried_out(self, queries):
        return tuple(queries)

    async def search(self, queries, seen, known):
        self.known[self.turn] = known
        return Observation("listed", results=self.run.steps[self.turn].results)

    async def browse(self, docid):
        return Observation("shown", error=self.run.steps[self.turn].error)


class ScriptedAgent:
    """Makes the calls of a logged run; it is the agent and its only episode."""

    name, revision, sampling, settings, notes = "scripted", None, Sampling(), {}, {}

    def __init__(self, run: Trajectory, environment: LoggedEnvironment) -> None:
        self.steps, self.environment = iter(run.steps), environment

    def start(self, question):
        return self

    async def act(self, observation):
        step = next(self.steps, answer())
        self.environment.turn += 1
        if step.action == "search":
            return Search(step.reasoning, step.queries)
        if step.action == "browse":
            return Browse(step.reasoning, step.docid)
        return Answer(step.reasoning, "done") if step.action == "answer" else Invalid(step.reasoning, step.error)
