from __future__ import annotations

import pytest

from lrat_hub.demo.natural.language import CONTAINED, MOST_WORDS, english, find_names, title_match
from lrat_hub.demo.natural.questions import Finding, parse_question
from lrat_hub.demo.natural.reading import (
    find_answer,
    find_dates,
    read_attributes,
    read_hop,
    read_inverse,
    tidy_sentences,
)

LANGUAGE = english()


def names(text: str, hop: str, subject: str = "Nobody") -> tuple[str, ...]:
    return read_hop(text, [subject], LANGUAGE.hops[hop], LANGUAGE).names


@pytest.mark.parametrize(
    ("hop", "text", "first"),
    [
        ("director", "It is a 1931 film written by Ann Lee and directed by Karl M. Berg.", "Karl M. Berg"),
        ("director", "A 1921 documentary about Hollywood made by Beaumont Smith.", "Beaumont Smith"),
        ("composer", "It was written by Lee Hall and directed by Jan Daly, with music by Bo Warbeck.", "Bo Warbeck"),
        ("performer", 'The song was recorded by American singer Marvin Gaye in "Hitsville".', "Marvin Gaye"),
        ("father", "A daughter of William, Duke of Weimar and Dorothea of Anhalt.", "William, Duke of Weimar"),
        ("mother", "A daughter of William, Duke of Weimar and Dorothea of Anhalt.", "Dorothea of Anhalt"),
        ("mother", "The king was born to Queen Maria and to King Olaf II.", "Queen Maria"),
        ("father", "Her father was exiled by the Allies in 1917. Daughter of King Olaf II, she fled.", "King Olaf II"),
        ("spouse", "In 1503 the shah Ismail I married Tajlu Khanum in Tabriz.", "Ismail I"),
        ("child", "He was the father of the painter Jan Berg.", "Jan Berg"),
    ],
)
def test_the_name_next_to_the_relation_comes_first(hop, text, first):
    assert names(text, hop, "Tajlu Khanum")[0] == first


def test_a_name_of_the_other_parent_is_none_of_this_one():
    assert names("He was a son of King Charles III of Spain.", "mother") == ()


def test_the_passage_s_own_name_is_no_result():
    assert names("Anna Lind was a sister of Olof Lind.", "sibling", "Anna Lind") == ("Olof Lind",)


def test_names_go_on_over_ranks_and_connectors_and_leave_out_nationalities():
    sentence = "The Swedish painter Ann de la Mer met George Grey, 2nd Earl of Kent, Bo and D. H. Berg. Fritz left."
    found = [span.text for span in find_names(sentence, LANGUAGE)]
    assert found == ["Ann de la Mer", "George Grey, 2nd Earl of Kent", "Bo", "D. H. Berg", "Fritz"]


def test_titles_are_compared_without_case_accents_and_brackets():
    assert title_match("Ek Hi Bhool (1940 Film)", "Ek Hi Bhool (1940 film)", LANGUAGE) > title_match(
        "Ek Hi Bhool (1940 Film)", "Ek Hi Bhool (1981 film)", LANGUAGE
    )
    assert title_match("Éric Rohmer", "Eric Rohmer (director)", LANGUAGE) > MOST_WORDS
    assert title_match("Philip II", "Philip II of Spain", LANGUAGE) == CONTAINED
    assert title_match("The Hideout", "Hope at the Hideout", LANGUAGE) == 0


def test_years_in_brackets_tell_of_birth_and_only_two_of_death():
    born, died = LANGUAGE.attributes["born"], LANGUAGE.attributes["died"]
    reading = read_attributes("Jo Ray( 4 May 1953) is an actor.", [born, died])
    assert reading.sentences == ("Jo Ray (4 May 1953) is an actor.",)
    assert reading.missing == (died,)
    assert not read_attributes("Jo Ray (4 May 1953 – 2001) was an actor.", [born, died]).missing


def test_a_relation_is_read_the_other_way_round_only_close_to_the_name():
    spouse = LANGUAGE.hops["spouse"]
    assert read_inverse("She was the wife of Bo Lind.", "Bo Lind", spouse).sentences
    far = "Bo Lind painted for forty years in a house by the sea, which belonged to the husband of a cousin."
    assert not read_inverse(far, "Bo Lind", spouse).sentences


def test_blanks_that_tokenisers_left_are_mended():
    assert tidy_sentences("Ann( born 1950), a half- sister, “sang”.") == ['Ann (born 1950), a half-sister, "sang".']


OLD = "Ann Lee (May 4, 1899 – 1971) was a Danish painter, born in Aarhus on the coast. She died in New York."
YOUNG = "Bo Ray (born 12 June 1899) is a Swedish actor who died on 3 March 1960."


def answer(question: str, *texts: str) -> str | None:
    parsed = parse_question(question, LANGUAGE)
    findings = [Finding(mention, text=text) for mention, text in zip(parsed.mentions, texts, strict=False)]
    return find_answer(question, parsed, findings, LANGUAGE)


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
