"""The quickstart's corpus and questions: real Wikipedia text, questions with known evidence, no download."""

from lrat_hub.clues.questions import SPLITS, Clue, ClueCollection, ClueQuestion, build_clue_collection
from lrat_hub.clues.wikipedia import dump_source

__all__ = ["SPLITS", "Clue", "ClueCollection", "ClueQuestion", "build_clue_collection", "dump_source"]
