from __future__ import annotations

import pytest

from lrat_hub.demo.natural.language import english
from lrat_hub.demo.natural.questions import parse_question


def parse(question: str) -> tuple[tuple[str, ...], list[list[str]], list[str], tuple[str, ...]]:
    parsed = parse_question(question, english())
    chains = [[hop.name for hop in chain] for chain in parsed.chains]
    return parsed.mentions, chains, [attribute.name for attribute in parsed.attributes], parsed.topic


def test_hops_before_the_name_are_followed_from_the_one_next_to_it():
    question = "Who is the mother of the director of film Seven Red Lamps?"
    assert parse(question) == (("Seven Red Lamps",), [["director", "mother"]], [], ("film",))


def test_hops_after_the_name_are_followed_in_their_order():
    question = "Where was Anton Of The Hill's wife's brother born?"
    assert parse(question) == (("Anton Of The Hill",), [["spouse", "sibling"]], ["born"], ())


def test_one_chain_serves_both_names_of_a_comparison():
    question = "Do director of film Red Lamps and director of film Of Mice And Lamps (1931 Film) share a nationality?"
    mentions, chains, attributes, _ = parse(question)
    # A small "and" ends a name, a large one is a part of it.
    assert mentions == ("Red Lamps", "Of Mice And Lamps (1931 Film)")
    assert (chains, attributes) == ([["director"]], ["nationality"])


@pytest.mark.parametrize(
    ("question", "chains"),
    [
        ("Who is the maternal grandfather of Anna Lind?", [["mother", "father"]]),
        ("Who is Anna Lind's grandfather?", [["father", "father"], ["mother", "father"]]),
        ("Who is Anna Lind's father-in-law?", [["spouse", "father"]]),
        ("Who directed Red Lamps?", [["director"]]),
        ("Which film was directed first, Red Lamps or Dahlia?", [[]]),
    ],
)
def test_one_word_can_stand_for_several_hops_and_a_verb_for_one_if_somebody_is_asked_for(question, chains):
    assert parse(question)[1] == chains


@pytest.mark.parametrize(
    ("question", "mentions"),
    [
        ("Who is older, King Baggot (Actor) or James L. Berg?", ["King Baggot (Actor)", "James L. Berg"]),
        ("Where did James Lyon, 7Th Earl Of Kinghorne die?", ["James Lyon, 7Th Earl Of Kinghorne"]),
        ("Who is the father of Elizabeth Capell (1704-1784)?", ["Elizabeth Capell (1704-1784)"]),
        ("When was the 1931 American film The Lamp released?", ["The Lamp"]),
        ("Did Aram + Aram = Kinnaram, come out before 1941?", ["Aram + Aram = Kinnaram", "1941"]),
        ("why is the sky blue", []),
    ],
)
def test_names_are_runs_of_capitals(question, mentions):
    assert list(parse(question)[0]) == mentions
