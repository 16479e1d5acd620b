from __future__ import annotations

import pytest

from lrat_hub.demo.natural.answers import Finding, find_answer, find_dates
from lrat_hub.demo.natural.questions import parse_question
from lrat_hub.demo.natural.relations import english

OLD = "Ann Lee (May 4, 1899 – 1971) was a Danish painter, born in Aarhus on the coast. She died in New York."
YOUNG = "Bo Ray (born 12 June 1899) is a Swedish actor who died on 3 March 1960."


def answer(question: str, *texts: str) -> str | None:
    parsed = parse_question(question, english())
    findings = [Finding(mention, text=text) for mention, text in zip(parsed.mentions, texts, strict=False)]
    return find_answer(question, parsed, findings, english())


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Who was born first, Ann Lee or Bo Ray?", "Ann Lee"),
        ("Who is younger, Ann Lee or Bo Ray?", "Bo Ray"),
        ("Who died earlier, Ann Lee or Bo Ray?", "Bo Ray"),
        ("Who lived longer, Ann Lee or Bo Ray?", "Ann Lee"),
        ("Do Ann Lee and Bo Ray have the same nationality?", "no"),
    ],
)
def test_two_names_are_compared_by_what_their_passages_say(question, expected):
    assert answer(question, OLD, YOUNG) == expected


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("When was Ann Lee born?", "May 4, 1899"),
        ("What is the date of death of Ann Lee?", "1971"),
        ("Where was Ann Lee born?", "Aarhus"),
        ("Where did Ann Lee die?", "New York"),
        ("What nationality is Ann Lee?", "Danish"),
    ],
)
def test_one_name_s_passage_is_read_for_a_date_a_place_or_a_country(question, expected):
    assert answer(question, OLD) == expected


def test_what_a_passage_does_not_say_is_not_made_up():
    assert answer("Where was Bo Ray buried?", YOUNG) is None
    assert answer("Who was born first, Ann Lee or Bo Ray?", OLD) is None
    assert answer("Who was born first, Ann Lee or Bo Ray?", OLD, "Bo Ray is an actor.") is None


def test_dates_are_ordered_by_time_however_they_are_written():
    first, second, third = find_dates("He came on 4 May 1899, stayed until June 1899 and left in 1900.")
    assert first < second < third
    assert [date.written for date in (first, second, third)] == ["4 May 1899", "June 1899", "1900"]
