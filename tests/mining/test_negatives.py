"""Which documents are negatives once verdicts are known: pools, tiers, caps and protection."""

import pytest

from lrat_hub import mine_pairs
from tests.builders import answer, browse, search, trajectory
from tests.mining.judges import OneWordJudge


def negatives(result):
    return [dict(zip(pair.negative_ids, pair.negative_kinds, strict=True)) for pair in result.pairs]


def test_pooled_negatives_add_unopened_candidates_of_the_searches_since_the_last_relevant_browse():
    run = trajectory(
        search("q1", "a", "b"), search("q2", "c", "d"), browse("c"),
        search("q3", "e", "a", reasoning="irrelevant"), browse("e"),
        search("q4", "f", "g", reasoning="relevant"), browse("f"), answer("relevant"),
    )  # fmt: skip
    assert negatives(mine_pairs([run], negatives="pooled", judge=OneWordJudge())) == [
        {"d": "list", "a": "pooled", "b": "pooled"},
        {"a": "list", "b": "pooled", "d": "pooled"},  # the browse of c was of no use, its pool goes on
        {"g": "list"},  # that of e was
    ]
    # Where nobody judges, every browse ends the pool.
    assert negatives(mine_pairs([run], negatives="pooled"))[1:] == [{"a": "list"}, {"g": "list"}]


def test_tiers_tell_what_was_read_and_relevant_from_what_was_read_in_vain_and_what_was_never_opened():
    run = trajectory(
        search("q1", "a", "b", "u"), browse("a"), browse("b", reasoning="relevant"),
        search("q2", "c", "d", "a", "v", reasoning="irrelevant"),
        browse("d"), browse("c", reasoning="irrelevant"),
        search("q3", "w", "x", reasoning="relevant"), browse("w"), answer("unclear"),
    )  # fmt: skip
    assert negatives(mine_pairs([run], negatives="tiers", judge=OneWordJudge())) == [
        {"b": "hard", "u": "weak"},  # of its own list, read right after and of no use
        {"u": "weak"},
        {"a": "redundant", "b": "hard", "v": "weak"},
        {"a": "redundant", "b": "hard", "d": "hard", "v": "weak"},
        # What was listed earlier and never opened stays unlabelled.
        {"a": "redundant", "c": "redundant", "b": "hard", "d": "hard", "x": "weak"},
    ]


def test_a_document_whose_verdict_nobody_gave_is_in_no_tier():
    run = trajectory(search("q1", "a", "b"), browse("a"), search("q2", "c", "d"), browse("c"), answer())
    assert negatives(mine_pairs([run], negatives="tiers")) == [{"b": "weak"}, {"d": "weak"}]


def test_positives_of_the_same_question_are_no_negatives_in_any_trajectory():
    def run(name, question, *docids):
        made = trajectory(search("q", *docids), browse(docids[0]), answer("relevant"), name=name)
        return made.__class__(**{**made.__dict__, "question": question})

    runs = [run("1", "Who?", "a", "b", "c"), run("2", "who", "b", "a", "d"), run("3", "What?", "c", "a", "b")]
    result = mine_pairs(runs, judge=OneWordJudge())
    assert [pair.negative_ids for pair in result.pairs] == [("c",), ("d",), ("a", "b")]
    assert result.ledger["pairs"].notes == {"negatives left out, positive of the same question": 2}
    kept = mine_pairs(runs, same_question=False).pairs
    assert [pair.negative_ids for pair in kept] == [("b", "c"), ("a", "d"), ("a", "b")]
    # A document that no pair is trained on as a positive is not protected.
    other = OneWordJudge({"relevant": "irrelevant"})
    assert mine_pairs(runs, judge=other).pairs[0].negative_ids == ("b", "c")


def test_chunks_of_the_positives_page_can_be_left_out():
    from dataclasses import replace

    step = search("q", "a", "b", "c", "d")
    titles = ("Page", "Page", "Other", "")
    step = replace(step, results=tuple(replace(hit, title=t) for hit, t in zip(step.results, titles, strict=True)))
    run = trajectory(step, browse("a"), answer())
    assert mine_pairs([run]).pairs[0].negative_ids == ("b", "c", "d")
    result = mine_pairs([run], same_page=True)
    assert result.pairs[0].negative_ids == ("c", "d")
    assert result.ledger["browses"].notes == {"negatives left out, title of the positive": 1}
    untitled = trajectory(search("q", "a", "b"), browse("a"), answer())
    notes = mine_pairs([untitled], same_page=True).ledger["browses"].notes
    assert notes == {"positives without a title, whose pages are not known": 1}


def test_caps_keep_the_first_of_each_kind_and_count_the_rest():
    run = trajectory(search("q1", "x", "y", "z"), search("q2", "a", "b", "c", "d"), browse("a"), answer())
    result = mine_pairs([run], negatives="pooled", caps={"list": 2, "pooled": 1})
    assert negatives(result) == [{"b": "list", "c": "list", "x": "pooled"}]
    assert result.ledger["pairs"].notes == {"negatives left out, over the cap of their kind": 3}


def test_guards_cap_the_length_of_what_is_no_reasoning_and_say_how_often():
    reasonings = {
        "good": "It supports the claim, as the tower was built that year, by the firm that the question asks about. "
        * 2,
        "short": "The tower.",
        "loop": "the tower is tall and the tower is old " * 60,
        "signs": "tower " + "=== ### *** ||| " * 60,
        "elsewhere": "Bananas " + " ".join(f"w{number}" for number in range(90)),
    }
    runs = [
        trajectory(search("tower question", "a", "b"), browse("a"), answer(text), name=name)
        for name, text in reasonings.items()
    ]
    result = mine_pairs(runs, guards=["degenerate", "repetitive", "off_topic"])
    fit, weights = result.fits["all"], {pair.trajectory_id: pair.weight for pair in result.pairs}
    at_half = fit.weigh([fit.half_life])[0]
    assert all(weights[name] == at_half for name in ("loop", "signs", "elsewhere"))
    assert sum(weights.values()) / len(weights) == pytest.approx(1.0)
    assert result.ledger["pairs"].notes == {
        "trained pairs, guard repetitive bit": 1,
        "trained pairs, guard degenerate bit": 1,
        "trained pairs, guard off_topic bit": 1,
    }
    free = {pair.trajectory_id: pair.weight for pair in mine_pairs(runs).pairs}
    assert free["loop"] > at_half
