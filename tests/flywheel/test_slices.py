"""Slices of questions: apart from each other and from what is held out, and the same every time."""

from __future__ import annotations

import pytest

from lrat_hub import cli
from lrat_hub.corpora.loading import load_questions
from lrat_hub.errors import LratError
from lrat_hub.flywheel.slices import draw_slice

QUESTIONS = {f"q{number}": (f"What is {number}?", None) for number in range(20)}


def ids(number, *, questions=None, held_out=(), count=5, seed=0):
    rows, _ = draw_slice(questions or QUESTIONS, held_out, number=number, count=count, seed=seed)
    return [row["query_id"] for row in rows]


def test_slices_are_apart_and_depend_on_the_seed_alone():
    drawn = [ids(number) for number in (1, 2, 3, 4)]
    assert sorted(query_id for slice_ in drawn for query_id in slice_) == sorted(QUESTIONS)
    assert drawn[0] != sorted(drawn[0], key=list(QUESTIONS).index)
    assert ids(1) == drawn[0] == ids(1, questions=dict(reversed(QUESTIONS.items())))
    assert ids(1, seed=1) != drawn[0]


def test_what_is_held_out_by_id_or_by_words_is_in_no_slice():
    held_out = [{"q3": ("Something else?", None)}, {"other": ("  what IS\n7? ", None)}]
    drawn = [query_id for number in (1, 2, 3) for query_id in ids(number, held_out=held_out)]
    assert not {"q3", "q7"} & set(drawn)
    _, ledger = draw_slice(QUESTIONS, held_out, number=1, count=5, seed=0)
    assert ledger.to_dict()["dropped"] == {"held out": 2, "in other slices, or in none": 13}


def test_a_question_that_is_held_out_later_moves_no_other_before_its_place():
    first = ids(1)
    later = ids(1, held_out=[{ids(4)[0]: ("Nobody asks this.", None)}])
    assert later == first


def test_questions_with_the_same_words_count_as_one():
    twice = QUESTIONS | {"again": ("WHAT is 4?", None)}
    _, ledger = draw_slice(twice, [], number=1, count=5, seed=0)
    assert ledger.to_dict()["dropped"]["the text of another question"] == 1


@pytest.mark.parametrize(("number", "count"), [(5, 5), (0, 5), (1, 21), (1, 0)])
def test_slices_that_there_are_not_are_refused(number, count):
    with pytest.raises(LratError, match=r"found 20 of 20 that are not held out, enough for"):
        ids(number, count=count)


def test_the_stage_publishes_a_slice(hub, tmp_path):
    (tmp_path / "queries.tsv").write_text("".join(f"{key}\t{text}\tanswer\n" for key, (text, _) in QUESTIONS.items()))
    (tmp_path / "held_out.tsv").write_text("x\twhat is 1?\tanswer\n")
    words = ["questions", "--queries", str(tmp_path / "queries.tsv"), "--held_out", str(tmp_path / "held_out.tsv")]
    pin = cli.run([*words, "--count", "19", "--to", "lrat/slice-questions"])
    drawn = load_questions(pin)
    assert drawn.keys() == QUESTIONS.keys() - {"q1"}
    assert drawn["q5"] == ("What is 5?", "answer")
