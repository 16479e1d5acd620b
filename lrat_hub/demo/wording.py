"""The wording of a clue question: what its writer and its reader have to agree on.

A question is one string, and everything that an agent knows of it:

    Two passages of one article are described below, in other words. Passage 1: <clue>. Passage 2: <clue with ____>.
    Which name belongs in the blank?
"""

from __future__ import annotations

import re

from lrat_hub.errors import LratError

BLANK = "____"
"""Stands in a clue where its sentence has the name that is asked for."""

_QUESTION = re.compile(
    r"Two passages of one article are described below, in other words\. "
    r"Passage 1: (?P<first>.+)\. Passage 2: (?P<second>.+)\. Which name belongs in the blank\?"
)


def write_question(first_clue: str, second_clue: str) -> str:
    """The question for two clues, of which the second has the blank."""
    return (
        "Two passages of one article are described below, in other words. "
        f"Passage 1: {first_clue}. Passage 2: {second_clue}. Which name belongs in the blank?"
    )


def read_question(question: str) -> tuple[str, str]:
    """Gives the two clues of a question.

    Raises:
        LratError: If the question is worded in another way.
    """
    match = _QUESTION.fullmatch(question)
    if match is None:
        raise LratError(
            f"Reading a clue question failed: expected {write_question('<clue>', f'<clue with {BLANK}>')!r}, "
            f"found {question!r}. Ask another agent."
        )
    return match["first"], match["second"]
