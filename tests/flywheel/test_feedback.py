"""Feedback: every share worked by hand, in one pass, and the remedies do what the documentation says."""

import asyncio

import pytest

from lrat_hub.agents.environment import SearchEnvironment
from lrat_hub.errors import LratError
from lrat_hub.flywheel.feedback import Feedback, feedback_by_round, gini, judge_drift
from lrat_hub.retrieval import Hit
from lrat_hub.retrieval.bm25 import BM25Retriever
from lrat_hub.retrieval.fusion import FusionRetriever
from lrat_hub.schema import Candidate, Document, Pair, Step, Trajectory


def run(query_id, *lists):
    """A run whose searches list these documents; a search is one list or, in a tuple, several."""
    steps = []
    for turn, found in enumerate(lists):
        queries = found if isinstance(found, tuple) else (found,)
        results = tuple(
            Candidate(index, rank, docid)
            for index, docids in enumerate(queries)
            for rank, docid in enumerate(docids, 1)
        )
        steps.append(Step(turn, "", "search", tuple("q" for _ in queries), results))
    return Trajectory(f"run-{query_id}", query_id, "?", tuple(steps))


def pair(query_id, positive_id, verdict="relevant", *, pair_id=None):
    return Pair(
        pair_id or f"{query_id}/{positive_id}", f"run-{query_id}", query_id, 0, 1, "?", "q", positive_id, (), (),
        reasoning="", reasoning_length=0, verdict=verdict, weight=1.0 if verdict == "relevant" else None,
    )  # fmt: skip


ROUNDS = [
    ("round-1", [run("a", "xy", ("xz", "yz")), run("b", "xw")],
     [pair("a", "x"), pair("a", "y", "irrelevant"), pair("b", "w")]),
    ("round-2", [run("c", "xyv"), run("d", "u")],
     [pair("c", "x"), pair("c", "v"), pair("d", "u"), pair("d", "y", "unjudged")]),
    ("round-3", [run("e", "wt"), run("f", "x")], [pair("e", "w"), pair("f", "x"), pair("f", "t", "irrelevant")]),
]  # fmt: skip


def test_the_shares_of_three_rounds_worked_by_hand():
    first, second, third = feedback_by_round(ROUNDS, documents=10)
    assert (first.questions, first.lists, first.listings, first.listed, first.documents) == (2, 4, 8, 4, 10)
    assert (first.listed_earlier, first.first_listed, first.coverage) == (0, 4, 0.4)
    assert (first.positives, first.unjudged) == (2, 0)
    assert (first.listed_before, first.novel, first.repeated) == (None, None, None)
    assert (first.relevant.value, first.relevant.n) == (pytest.approx(2 / 3), 3)
    # x in 3 of 8 listings; 1 % of ten documents is one document.
    assert first.top_share == 3 / 8

    # v and u are new; x was listed before, and is a positive again.
    assert (second.listed, second.listed_earlier, second.first_listed) == (4, 4, 2)
    assert [(share.value, share.n) for share in (second.listed_before, second.novel, second.repeated)] == [
        (pytest.approx(1 / 3), 3), (pytest.approx(2 / 3), 3), (pytest.approx(1 / 3), 3)
    ]  # fmt: skip
    assert second.unjudged == 1

    # The round before did not list w, the first did: neither listed before nor novel.
    assert [share.value for share in (third.listed_before, third.novel, third.repeated)] == [0.5, 0.0, 1.0]
    assert (third.listed_earlier, third.first_listed) == (6, 1)


def test_positives_of_one_question_are_not_independent():
    """Ten positives of one question say less than ten of ten questions."""
    first = ("round-1", [run("a", "x")], [pair("a", "x")])
    halves = "x" * 5 + "y" * 5

    def width(questions):
        pairs = [pair(question, docid) for question, docid in zip(questions, halves, strict=True)]
        *_, found = feedback_by_round([first, ("round-2", [], pairs)], documents=10)
        assert found.listed_before.value == 0.5
        return found.listed_before.high - found.listed_before.low

    assert width("aaaaabbbbb") > width("abcdefghij")


def test_rounds_are_read_once_and_as_they_come():
    feedback = Feedback(10)
    found = [feedback.add(name, iter(trajectories), iter(pairs)) for name, trajectories, pairs in ROUNDS]
    assert found == list(feedback_by_round(ROUNDS, 10))


def test_an_empty_round_has_counts_and_no_shares():
    found = Feedback(10).add("round-1", [], [])
    assert (found.listed, found.listings, found.gini, found.top_share, found.relevant) == (0, 0, None, None, None)


def test_another_corpus_is_refused():
    with pytest.raises(LratError, match="round-1: expected listings of the 2 documents of the corpus, found 3"):
        Feedback(2).add("round-1", [run("a", "xyz")], [])


@pytest.mark.parametrize("counts", [[1, 1, 1, 1], [5], [1, 2, 3, 4, 10], [7, 7, 1]], ids=str)
def test_gini_is_half_the_mean_difference_over_the_mean(counts):
    """Its definition, over all pairs of documents."""
    total = 6
    everything = counts + [0] * (total - len(counts))
    differences = sum(abs(one - other) for one in everything for other in everything)
    assert gini(counts, total) == pytest.approx(differences / (2 * total * sum(everything)))


def test_the_drift_of_a_judge_is_counted_on_pairs_that_were_judged_twice():
    names = {"a": ("relevant", "relevant"), "b": ("relevant", "irrelevant"), "c": ("irrelevant", "irrelevant"),
             "d": ("relevant", "unjudged"), "e": ("relevant", None), "f": (None, "relevant")}  # fmt: skip
    before, after = (
        [pair("q", "x", verdicts[time], pair_id=name) for name, verdicts in names.items() if verdicts[time]]
        for time in (0, 1)
    )
    drift = judge_drift(before, after)
    assert (drift.between.judged, drift.between.unjudged, drift.only_first, drift.only_second) == (3, 1, 1, 1)
    assert drift.between.raw == pytest.approx(2 / 3)
    assert drift.relevant == (2, 1)
    assert "66.7 % of 3 pairs" in str(drift)
    assert "2 of 3 before, 1 after; 2 pairs judged only once" in str(drift)
    with pytest.raises(LratError, match="found none among 1 and 1"):
        judge_drift(before[:1], after[1:2])


WORDS = ["amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heath", "inlet", "jetty"]
DOCUMENTS = [
    Document(f"{word}-{number}", f"{word} {number}", f"{word} stands here as number {number}")
    for word in WORDS
    for number in range(6)
]


class Favourites:
    """A retriever that only lists what it already likes, whatever it is asked."""

    name, revision = "favourites", None

    def search(self, queries, k):
        return [[Hit(doc.docid, -float(rank), rank) for rank, doc in enumerate(DOCUMENTS[:k], 1)] for _ in queries]


def collect(retriever, **settings):
    """A run of three searches for each word, as an environment shows them."""
    environment = SearchEnvironment(retriever, {doc.docid: doc for doc in DOCUMENTS}, k=4, **settings)

    async def one(word):
        seen, steps = set(), []
        for turn in range(3):
            observation = await environment.search([word], seen)
            seen.update(hit.docid for hit in observation.results)
            steps.append(Step(turn, "", "search", (word,), observation.results))
        return Trajectory(word, word, "?", tuple(steps))

    async def all_words():
        return [await one(word) for word in WORDS]

    return Feedback(len(DOCUMENTS)).add("round", asyncio.run(all_words()), [])


def test_a_retriever_that_lists_its_favourites_is_seen_and_the_remedies_widen_its_lists():
    row_of = {document.docid: row for row, document in enumerate(DOCUMENTS)}
    mixed = FusionRetriever([Favourites(), BM25Retriever(DOCUMENTS)], row_of.__getitem__)
    closed = collect(Favourites())
    assert (closed.listed, closed.top_share) == (4, 0.25)
    hidden, fused, both = collect(Favourites(), hide_seen=True), collect(mixed), collect(mixed, hide_seen=True)
    assert closed.listed < hidden.listed < fused.listed < both.listed
    assert closed.gini > hidden.gini > both.gini
    # Other orders of the same lists widen nothing.
    assert collect(Favourites(), shuffle=True).listed == closed.listed
