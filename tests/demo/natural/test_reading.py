from __future__ import annotations

import pytest

from lrat_hub.demo.natural.names import CONTAINED, MOST_WORDS, find_names, title_match
from lrat_hub.demo.natural.reading import read_attributes, read_hop, read_inverse, tidy_sentences
from lrat_hub.demo.natural.relations import english

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
