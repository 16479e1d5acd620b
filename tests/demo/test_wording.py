from __future__ import annotations

import pytest

from lrat_hub.demo.clues import BLANK, read_question, write_question
from lrat_hub.errors import LratError
from lrat_hub.text import split_sentences, split_words


def test_sentences_end_neither_at_initials_nor_at_abbreviations():
    text = (
        'He met D. H. Lawrence in the U.S. army, e.g. Dr. Bell. "It was late." They left at 5 p.m. sharp. No one saw'
    )
    assert split_sentences(text) == [
        "He met D. H. Lawrence in the U.S. army, e.g. Dr. Bell.",
        '"It was late."',
        "They left at 5 p.m. sharp.",
        "No one saw",
    ]


def test_words_know_their_place_and_leave_the_genitive_out():
    text = "Mendel’s F-111 cost 1,024 in the U.S. of O'Brien."
    words = split_words(text)
    assert [word.text for word in words] == ["Mendel", "F-111", "cost", "1,024", "in", "the", "U.S", "of", "O'Brien"]
    assert all(text[word.start : word.end] == word.text for word in words)


def test_a_question_gives_its_clues_back_and_another_one_is_refused():
    clues = ("boy Italy dwell", f"met {BLANK} U.S clip")
    assert read_question(write_question(*clues)) == clues
    with pytest.raises(LratError, match=r"expected .* found 'Who was it\?'"):
        read_question("Who was it?")
